"""Who may make, see, replace and end which keys."""

from __future__ import annotations

from datetime import timedelta

import pytest

from factories.access import make_administration
from longscroll.access.base import DEFAULT_SCOPES, SCOPES, Principal
from longscroll.errors import InvalidParameter, KeyNotFound, ModelAccessDenied, WorkspaceDenied
from longscroll.services.admin import KeyAdministration, NewKey

HOUR = timedelta(hours=1)


def caller(workspace: str = "acme", *scopes: str, models: tuple[str, ...] = ()) -> Principal:
    """Return an administrator of a workspace."""
    scopes = scopes or ("admin",)
    return Principal(workspace=workspace, key_id="key-0", scopes=frozenset(scopes), models=frozenset(models))


@pytest.fixture
def keys() -> KeyAdministration:
    return make_administration()


def test_the_operator_is_who_has_an_admin_key_of_the_first_workspace() -> None:
    callers = [caller("default"), caller("acme"), caller("default", *DEFAULT_SCOPES), caller("default", *SCOPES)]
    assert [one.is_operator for one in callers] == [True, False, False, True]


async def test_a_key_is_for_the_callers_workspace_unless_it_is_said(keys: KeyAdministration) -> None:
    _, key = await keys.create(caller("acme"), NewKey(name="laptop"))
    assert (key.workspace, key.name, key.scopes, key.models) == ("acme", "laptop", DEFAULT_SCOPES, ())


async def test_the_operator_makes_keys_for_any_workspace_and_sees_all(keys: KeyAdministration) -> None:
    made = [(await keys.create(caller("default"), NewKey(workspace=name)))[1] for name in ("acme", "umbrella")]
    assert await keys.list(caller("default"), None) == sorted(made, key=lambda key: key.id)
    assert await keys.list(caller("default"), "umbrella") == made[1:]
    assert await keys.get(caller("default"), made[0].id) == made[0]


@pytest.mark.parametrize("workspace", ["umbrella", "default", "nobody", "", "../acme"])
async def test_an_administrator_of_one_workspace_cannot_make_a_key_to_another(
    keys: KeyAdministration, workspace: str
) -> None:
    with pytest.raises(WorkspaceDenied):
        await keys.create(caller("acme"), NewKey(workspace=workspace))
    assert await keys.list(caller("default"), None) == []


async def test_a_foreign_key_is_as_one_that_is_not_there(keys: KeyAdministration) -> None:
    _, key = await keys.create(caller("acme"), NewKey())
    stranger = caller("umbrella")
    for ask in (keys.get, keys.revoke):
        with pytest.raises(KeyNotFound, match=f"^No such key: {key.id}$"):
            await ask(stranger, key.id)
    with pytest.raises(KeyNotFound, match=f"^No such key: {key.id}$"):
        await keys.rotate(stranger, key.id, overlap=HOUR)
    assert await keys.list(stranger, None) == await keys.list(stranger, "acme") == []
    assert await keys.get(caller("acme"), key.id) == key


async def test_who_may_use_some_models_hands_out_no_others(keys: KeyAdministration) -> None:
    narrow = caller(models=("a", "b"))
    for models in (("c",), ("a", "c")):
        with pytest.raises(ModelAccessDenied):
            await keys.create(narrow, NewKey(models=models))
    assert [(await keys.create(narrow, NewKey(models=models)))[1].models for models in ((), ("a",))] == [
        ("a", "b"),
        ("a",),
    ]


async def test_who_may_use_some_models_gets_no_successor_of_a_key_for_more(keys: KeyAdministration) -> None:
    _, wide = await keys.create(caller(), NewKey())
    _, narrow = await keys.create(caller(), NewKey(models=("a",)))
    with pytest.raises(ModelAccessDenied):
        await keys.rotate(caller(models=("a",)), wide.id, overlap=HOUR)
    _, successor = await keys.rotate(caller(models=("a",)), narrow.id, overlap=HOUR)
    assert (successor.models, len(await keys.list(caller(), None))) == (("a",), 3)


async def test_a_revoked_key_stays_revoked_and_cannot_be_rotated(keys: KeyAdministration) -> None:
    _, key = await keys.create(caller(), NewKey())
    first = await keys.revoke(caller(), key.id)
    assert first.revoked_at is not None
    assert await keys.revoke(caller(), key.id) == first
    with pytest.raises(InvalidParameter, match="revoked"):
        await keys.rotate(caller(), key.id, overlap=HOUR)
