from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from factories.access import Clock, CountingKeys, nothing
from factories.storage import NOON
from longscroll.access.base import DEFAULT_SCOPES, Principal
from longscroll.access.keys import KeyOptions, Keys, cache_salt, load_pepper
from longscroll.errors import InvalidParameter, KeyNotFound, StartupError, Unauthenticated
from longscroll.storage.base import Key

UNKNOWN = "Bearer some-opaque-key-nobody-knows"


async def refused(keys: Keys, authorization: str | None) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        await keys.authenticate(authorization)
    return str(refusal.value)


async def test_a_created_key_stands_for_its_workspace_scopes_and_models(keys: Keys) -> None:
    plaintext, key = await keys.create("acme", name="laptop", scopes=("chat",), models=("qwen-long",))
    assert await keys.authenticate(f"Bearer {plaintext}") == Principal(
        workspace="acme", key_id=key.id, scopes=frozenset({"chat"}), models=frozenset({"qwen-long"})
    )


async def test_what_is_stored_of_a_key_does_not_contain_it(keys: Keys, store: CountingKeys) -> None:
    plaintext, key = await keys.create("acme", name="laptop", expires_at=NOON + timedelta(days=1))
    assert await store.list_keys(None) == [key]
    assert key == Key(
        id=key.id,
        workspace="acme",
        name="laptop",
        display=f"{plaintext[:10]}…{plaintext[-4:]}",
        digest=key.digest,
        scopes=DEFAULT_SCOPES,
        created_at=NOON,
        expires_at=NOON + timedelta(days=1),
    )
    assert plaintext not in repr(key)


@pytest.mark.parametrize("form", ["bearer {}", "BEARER   {} ", "  Bearer {}"])
async def test_the_scheme_is_read_in_any_case_and_spaces_are_trimmed(keys: Keys, form: str) -> None:
    plaintext, key = await keys.create("acme", name="laptop")
    assert (await keys.authenticate(form.format(plaintext))).key_id == key.id


async def test_every_refusal_has_the_same_words_and_repeats_no_key(keys: Keys, clock: Clock) -> None:
    expired, _ = await keys.create("acme", name="short", expires_at=NOON + timedelta(seconds=1))
    revoked, key = await keys.create("acme", name="revoked")
    await keys.revoke(key.id)
    clock.advance(1)
    headers = [None, "", "Bearer", "Basic abc", UNKNOWN, f"Bearer {expired}", f"Bearer {revoked}"]
    assert {await refused(keys, header) for header in headers} == {
        "No API key was given, or it is unknown, revoked or expired."
    }


async def test_a_mistyped_key_of_ours_never_reaches_the_store(keys: Keys, store: CountingKeys) -> None:
    plaintext, _ = await keys.create("acme", name="laptop")
    typo = plaintext[:20] + ("a" if plaintext[20] != "a" else "b") + plaintext[21:]
    await refused(keys, f"Bearer {typo}")
    await refused(keys, "Bearer sk-ls-")
    await refused(keys, "Bearer 密钥")
    await refused(keys, f"Bearer {'x' * 513}")
    assert store.n_lookups == 0


async def test_a_key_seen_a_moment_ago_is_not_looked_up_again(keys: Keys, store: CountingKeys, clock: Clock) -> None:
    plaintext, _ = await keys.create("acme", name="laptop")
    for seconds in (0, 3.9, 0.2):
        clock.advance(seconds)
        await keys.authenticate(f"Bearer {plaintext}")
    assert store.n_lookups == 2


async def test_an_unknown_key_is_remembered_for_a_second(keys: Keys, store: CountingKeys, clock: Clock) -> None:
    for seconds in (0, 0.9, 0.2):
        clock.advance(seconds)
        await refused(keys, UNKNOWN)
    assert store.n_lookups == 2


async def test_a_hundred_requests_at_once_share_one_look_up(keys: Keys, store: CountingKeys) -> None:
    plaintext, _ = await keys.create("acme", name="laptop")
    await asyncio.gather(*(keys.authenticate(f"Bearer {plaintext}") for _ in range(100)))
    assert store.n_lookups == 1


async def test_a_revoked_key_ends_at_once_in_this_process(keys: Keys) -> None:
    plaintext, key = await keys.create("acme", name="laptop")
    await keys.authenticate(f"Bearer {plaintext}")
    assert await keys.revoke(key.id) is True
    await refused(keys, f"Bearer {plaintext}")
    assert await keys.revoke(key.id) is False


async def test_a_revocation_by_another_process_arrives_with_a_second_to_spare_of_the_five_promised(
    keys: Keys, store: CountingKeys, clock: Clock
) -> None:
    plaintext, key = await keys.create("acme", name="laptop")
    await keys.authenticate(f"Bearer {plaintext}")
    await store.revoke_key(key.id, now=clock())
    clock.advance(4)
    await refused(keys, f"Bearer {plaintext}")


async def test_a_look_up_that_a_revocation_overtakes_is_not_remembered(keys: Keys, store: CountingKeys) -> None:
    plaintext, key = await keys.create("acme", name="laptop")
    store.meanwhile = lambda: keys.revoke(key.id)
    await keys.authenticate(f"Bearer {plaintext}")
    store.meanwhile = nothing
    await refused(keys, f"Bearer {plaintext}")


async def test_what_a_key_began_goes_on_until_the_key_ends(keys: Keys, clock: Clock) -> None:
    _, revoked = await keys.create("acme", name="laptop", scopes=("chat",))
    _, short = await keys.create("acme", name="short", expires_at=NOON + timedelta(seconds=2))
    assert await keys.caller("acme", revoked.id) == Principal(
        workspace="acme", key_id=revoked.id, scopes=frozenset({"chat"})
    )
    await keys.caller("acme", short.id)
    await keys.revoke(revoked.id)
    clock.advance(2)
    for workspace, key in (("acme", revoked), ("acme", short), ("other", revoked)):
        with pytest.raises(Unauthenticated):
            await keys.caller(workspace, key.id)


async def test_a_remembered_key_expires_on_time(keys: Keys, clock: Clock) -> None:
    plaintext, _ = await keys.create("acme", name="short", expires_at=NOON + timedelta(seconds=2))
    await keys.authenticate(f"Bearer {plaintext}")
    clock.advance(2)
    await refused(keys, f"Bearer {plaintext}")


async def test_a_rotated_key_and_its_successor_both_open_the_workspace_until_the_overlap_ends(
    keys: Keys, clock: Clock
) -> None:
    old, key = await keys.create("acme", name="laptop", scopes=("chat",), models=("qwen-long",))
    new, successor = await keys.rotate(key.id, overlap=timedelta(hours=24))
    expected = Principal(
        workspace="acme", key_id=successor.id, scopes=frozenset({"chat"}), models=frozenset({"qwen-long"})
    )
    clock.advance(24 * 3600 - 1)
    assert (await keys.authenticate(f"Bearer {old}")).key_id == key.id
    assert await keys.authenticate(f"Bearer {new}") == expected
    clock.advance(1)
    await refused(keys, f"Bearer {old}")
    assert await keys.authenticate(f"Bearer {new}") == expected


async def test_without_an_overlap_the_old_key_ends_at_once_in_this_process(keys: Keys) -> None:
    old, key = await keys.create("acme", name="laptop")
    await keys.authenticate(f"Bearer {old}")
    await keys.rotate(key.id, overlap=timedelta(0))
    await refused(keys, f"Bearer {old}")


async def test_a_rotation_by_another_process_arrives_with_a_second_to_spare_of_the_five_promised(
    keys: Keys, store: CountingKeys, clock: Clock
) -> None:
    old, key = await keys.create("acme", name="laptop")
    await keys.authenticate(f"Bearer {old}")
    await Keys(store, b"p" * 32, clock=clock).rotate(key.id, overlap=timedelta(0))
    clock.advance(4)
    await refused(keys, f"Bearer {old}")


async def test_a_successor_lives_as_long_as_its_predecessor_was_made_for(keys: Keys, clock: Clock) -> None:
    _, key = await keys.create("acme", name="laptop", expires_at=NOON + timedelta(days=30))
    clock.advance(86_400)
    _, successor = await keys.rotate(key.id, overlap=timedelta(days=90))
    assert successor.expires_at == NOON + timedelta(days=31)
    assert (await keys.get("acme", key.id)).expires_at == NOON + timedelta(days=30)


async def test_a_key_that_has_ended_cannot_be_rotated_and_stays_ended(keys: Keys, clock: Clock) -> None:
    _, revoked = await keys.create("acme", name="revoked")
    _, expired = await keys.create("acme", name="short", expires_at=NOON + timedelta(seconds=1))
    await keys.revoke(revoked.id)
    clock.advance(1)
    for key in (revoked, expired):
        with pytest.raises(InvalidParameter, match=f"{key.id} is revoked or expired"):
            await keys.rotate(key.id, overlap=timedelta(hours=1))
    assert len(await keys.list(None)) == 2


async def test_what_is_not_there_cannot_be_rotated_nor_shown(keys: Keys) -> None:
    _, foreign = await keys.create("umbrella", name="theirs")
    with pytest.raises(KeyNotFound, match="No such key: key-none"):
        await keys.rotate("key-none", overlap=timedelta(0))
    with pytest.raises(KeyNotFound, match=f"No such key: {foreign.id}"):
        await keys.get("acme", foreign.id)


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=40_000)])
async def test_an_overlap_that_cannot_be_changes_nothing(keys: Keys, overlap: timedelta) -> None:
    _, key = await keys.create("acme", name="laptop")
    with pytest.raises(InvalidParameter, match="overlap"):
        await keys.rotate(key.id, overlap=overlap)
    assert await keys.list(None) == [key]


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"name": "x" * 101}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"scopes": ()}, "scopes"),
        ({"scopes": ("chat", "root")}, "scopes"),
        ({"models": ("",)}, "models"),
        ({"models": ("m" * 101,)}, "models"),
        ({"models": tuple(f"m{n}" for n in range(101))}, "models"),
        ({"expires_at": NOON}, "expires_at"),
        ({"expires_at": NOON + timedelta(days=40_000)}, "expires_at"),
    ],
)
async def test_a_key_that_cannot_be_as_it_is_wanted_is_not_made(keys: Keys, wanted: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        await keys.create("acme", **({"name": "laptop"} | wanted))
    assert (refusal.value.param, await keys.list(None)) == (param, [])


async def test_scopes_are_kept_once_each_in_the_order_that_is_documented(keys: Keys) -> None:
    _, key = await keys.create("acme", name="laptop", scopes=("admin", "chat", "admin"))
    assert key.scopes == ("chat", "admin")


async def test_nobody_can_call_where_every_key_has_ended(keys: Keys, clock: Clock) -> None:
    _, revoked = await keys.create("acme", name="revoked")
    await keys.create("acme", name="short", expires_at=NOON + timedelta(seconds=1))
    await keys.revoke(revoked.id)
    assert await keys.is_any_valid() is True
    clock.advance(1)
    assert await keys.is_any_valid() is False


def test_the_salt_of_a_cache_is_the_workspaces_own_and_needs_the_pepper() -> None:
    salts = {cache_salt(pepper, workspace) for pepper in (b"p" * 32, b"q" * 32) for workspace in ("acme", "umbrella")}
    assert (len(salts), {len(salt) for salt in salts}) == (4, {64})
    assert cache_salt(b"p" * 32, "acme") in salts


async def test_a_flood_of_guesses_evicts_no_known_key(store: CountingKeys, clock: Clock) -> None:
    keys = Keys(store, b"p" * 32, clock=clock, options=KeyOptions(max_cached=10))
    plaintext, _ = await keys.create("acme", name="laptop")
    await keys.authenticate(f"Bearer {plaintext}")
    for guess in range(50):
        await refused(keys, f"Bearer guess-{guess}")
    await keys.authenticate(f"Bearer {plaintext}")
    assert store.n_lookups == 51


async def test_an_operators_key_may_be_any_string_and_adopting_it_twice_changes_nothing(keys: Keys) -> None:
    first = await keys.adopt("correct-horse", "acme", name="LONGSCROLL_API_KEY")
    assert await keys.adopt("correct-horse", "acme", name="LONGSCROLL_API_KEY") == first
    assert (await keys.authenticate("Bearer correct-horse")).key_id == first.id
    assert (first.display, await keys.list("acme")) == ("…", [first])


async def test_a_key_that_was_refused_before_it_existed_works_once_it_does(keys: Keys) -> None:
    await refused(keys, UNKNOWN)
    key = await keys.adopt(UNKNOWN.removeprefix("Bearer "), "acme", name="late")
    assert (await keys.authenticate(UNKNOWN)).key_id == key.id


@pytest.mark.parametrize("given", ["", "two words", "密钥", "x" * 513, "sk-ls-mine", "line\nbreak"])
async def test_a_string_that_no_client_could_send_is_not_adopted(keys: Keys, given: str) -> None:
    with pytest.raises(StartupError, match="cannot be used"):
        await keys.adopt(given, "acme", name="LONGSCROLL_API_KEY")


async def test_a_revoked_or_foreign_key_is_not_adopted_again(keys: Keys) -> None:
    key = await keys.adopt("correct-horse", "acme", name="first")
    with pytest.raises(StartupError, match=key.id):
        await keys.adopt("correct-horse", "umbrella", name="other")
    await keys.revoke(key.id)
    with pytest.raises(StartupError, match=key.id):
        await keys.adopt("correct-horse", "acme", name="again")


@pytest.mark.parametrize("workspace", ["", "a/b", "..", "研究", "a" * 65, "a\n"])
async def test_a_workspace_that_cannot_be_a_folder_is_refused(keys: Keys, workspace: str) -> None:
    with pytest.raises(InvalidParameter, match="workspace"):
        await keys.create(workspace, name="laptop")


async def test_another_pepper_knows_no_key(keys: Keys, store: CountingKeys, clock: Clock) -> None:
    plaintext, _ = await keys.create("acme", name="laptop")
    await refused(Keys(store, b"q" * 32, clock=clock), f"Bearer {plaintext}")


def test_the_pepper_is_drawn_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    pepper = load_pepper(tmp_path)
    assert load_pepper(tmp_path) == pepper
    assert load_pepper(tmp_path / "other") != pepper
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.glob("pepper*")] == [("pepper", 0o600)]


def test_a_damaged_pepper_is_not_replaced_in_silence(tmp_path: Path) -> None:
    (tmp_path / "pepper").write_bytes(b"short")
    with pytest.raises(StartupError, match="expected 32 bytes, found 5"):
        load_pepper(tmp_path)
