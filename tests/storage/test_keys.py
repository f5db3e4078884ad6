"""What every ``KeyStore`` keeps."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from factories.storage import NOON, make_key
from longscroll.storage.base import KeyStore


async def test_a_key_is_found_by_its_digest_as_it_was_added(keys: KeyStore) -> None:
    key = make_key(models=("qwen-long", "chatyuan-large-v2"), expires_at=NOON + timedelta(days=30))
    await keys.add_key(key)
    assert await keys.find_key(key.digest) == key
    assert await keys.find_key(b"\x00" * 32) is None


async def test_keys_are_listed_oldest_first_by_workspace_or_all(keys: KeyStore) -> None:
    younger = make_key(created_at=NOON + timedelta(seconds=1))
    older = make_key()
    foreign = make_key(workspace="umbrella", created_at=NOON + timedelta(seconds=2))
    for key in (younger, foreign, older):
        await keys.add_key(key)
    assert await keys.list_keys("acme") == [older, younger]
    assert await keys.list_keys(None) == [older, younger, foreign]


async def test_a_key_is_revoked_once_and_still_found(keys: KeyStore) -> None:
    key = make_key()
    await keys.add_key(key)
    assert await keys.revoke_key(key.id, now=NOON) is True
    assert await keys.revoke_key(key.id, now=NOON + timedelta(days=1)) is False
    assert await keys.find_key(key.digest) == replace(key, revoked_at=NOON)


async def test_revoking_an_unknown_key_says_so(keys: KeyStore) -> None:
    assert await keys.revoke_key("key-none", now=NOON) is False


async def test_a_digest_belongs_to_one_key_over_all_workspaces(keys: KeyStore) -> None:
    key = make_key()
    await keys.add_key(key)
    with pytest.raises(ValueError, match="stored already"):
        await keys.add_key(make_key(workspace="umbrella", digest=key.digest))
    assert await keys.list_keys(None) == [key]


async def test_a_key_is_found_by_its_id_in_its_workspace_or_in_any(keys: KeyStore) -> None:
    key = make_key()
    await keys.add_key(key)
    found = [await keys.get_key(workspace, key.id) for workspace in ("acme", None, "umbrella")]
    assert found == [key, key, None]
    assert await keys.get_key(None, "key-none") is None


async def test_a_key_that_is_replaced_ends_when_it_is_told_to_and_its_successor_is_there(keys: KeyStore) -> None:
    key, successor = make_key(), make_key()
    await keys.add_key(key)
    until = NOON + timedelta(hours=24)
    assert await keys.replace_key(key.id, successor, until=until, now=NOON) is True
    assert await keys.list_keys(None) == [replace(key, expires_at=until), successor]


@pytest.mark.parametrize(("hours", "expected"), [(1, 1), (48, 24)])
async def test_being_replaced_never_prolongs_a_key(keys: KeyStore, hours: int, expected: int) -> None:
    key = make_key(expires_at=NOON + timedelta(hours=hours))
    await keys.add_key(key)
    await keys.replace_key(key.id, make_key(), until=NOON + timedelta(hours=24), now=NOON)
    assert await keys.find_key(key.digest) == replace(key, expires_at=NOON + timedelta(hours=expected))


@pytest.mark.parametrize("end", [{"revoked_at": NOON}, {"expires_at": NOON}])
async def test_a_key_that_has_ended_is_not_replaced(keys: KeyStore, end: dict[str, datetime]) -> None:
    key = make_key(**end)
    await keys.add_key(key)
    assert await keys.replace_key(key.id, make_key(), until=NOON + timedelta(hours=1), now=NOON) is False
    assert await keys.replace_key("key-none", make_key(), until=NOON + timedelta(hours=1), now=NOON) is False
    assert await keys.list_keys(None) == [key]


async def test_a_key_whose_successor_cannot_be_stored_goes_on(keys: KeyStore) -> None:
    key, other = make_key(), make_key()
    await keys.add_key(key)
    await keys.add_key(other)
    with pytest.raises(ValueError, match="stored already"):
        await keys.replace_key(key.id, make_key(digest=other.digest), until=NOON, now=NOON - timedelta(hours=1))
    assert await keys.find_key(key.digest) == key
