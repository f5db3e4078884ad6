"""What every ``KeyStore`` keeps."""

from __future__ import annotations

from datetime import timedelta

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
