from __future__ import annotations

from pathlib import Path

import pytest

from factories.access import CountingKeys
from longscroll.access.base import DEFAULT_WORKSPACE, SCOPES
from longscroll.access.bootstrap import FirstKey, first_key, require_key
from longscroll.access.keys import Keys
from longscroll.errors import StartupError


async def test_the_first_start_writes_a_key_that_works_and_that_only_its_owner_reads(
    keys: Keys, tmp_path: Path
) -> None:
    first = await first_key(tmp_path, keys, None)
    path = tmp_path / "api-key"
    written = path.read_text()
    assert first == FirstKey(path=path, plaintext=written.strip(), is_new=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (await keys.authenticate(f"Bearer {written.strip()}")).workspace == "default"


@pytest.mark.parametrize("given", [None, "given-by-the-operator"])
async def test_the_first_key_is_the_operators_with_every_right(keys: Keys, tmp_path: Path, given: str | None) -> None:
    await first_key(tmp_path, keys, given)
    assert [(key.workspace, key.scopes) for key in await keys.list(None)] == [(DEFAULT_WORKSPACE, SCOPES)]


async def test_the_next_start_finds_the_same_key(keys: Keys, tmp_path: Path) -> None:
    first = await first_key(tmp_path, keys, None)
    again = await first_key(tmp_path, keys, None)
    assert (again.plaintext, again.is_new, len(await keys.list(None))) == (first.plaintext, False, 1)


async def test_a_start_cut_off_before_the_row_was_written_is_finished_by_the_next(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "api-key").write_text("an-opaque-key-of-before\n")
    found = await first_key(tmp_path, keys, None)
    assert found == FirstKey(path=tmp_path / "api-key", plaintext="an-opaque-key-of-before", is_new=False)
    assert (await keys.authenticate("Bearer an-opaque-key-of-before")).workspace == "default"


async def test_a_given_key_is_taken_and_written_nowhere(keys: Keys, tmp_path: Path) -> None:
    first = await first_key(tmp_path, keys, "given-by-the-operator")
    assert first == FirstKey(path=None, plaintext="given-by-the-operator", is_new=False)
    assert not (tmp_path / "api-key").exists()
    assert (await keys.authenticate("Bearer given-by-the-operator")).workspace == "default"


async def test_where_keys_exist_and_the_file_was_removed_no_other_is_made(keys: Keys, tmp_path: Path) -> None:
    await keys.create("acme", name="laptop")
    assert await first_key(tmp_path, keys, None) == FirstKey(path=None, plaintext=None, is_new=False)
    assert len(await keys.list(None)) == 1


async def test_a_revoked_first_key_stays_revoked_and_does_not_stop_the_start(keys: Keys, tmp_path: Path) -> None:
    await first_key(tmp_path, keys, None)
    [key] = await keys.list(None)
    await keys.revoke(key.id)
    again = await first_key(tmp_path, keys, None)
    assert (again.is_new, [known.revoked_at is None for known in await keys.list(None)]) == (False, [False])


async def test_a_file_that_holds_no_key_is_named(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "api-key").write_bytes(b"\xff\xfe")
    with pytest.raises(StartupError, match="api-key does not hold an API key"):
        await first_key(tmp_path, keys, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
async def test_where_others_can_reach_it_a_service_needs_a_key_that_is_valid(keys: Keys, host: str) -> None:
    _, key = await keys.create("acme", name="laptop")
    await require_key(keys, host=host, given=None)
    await keys.revoke(key.id)
    with pytest.raises(StartupError, match=f"No API key is valid.*{host}.*longscroll keys create"):
        await require_key(keys, host=host, given=None)


async def test_where_others_reach_it_a_chosen_key_is_not_short(keys: Keys) -> None:
    await keys.adopt("k" * 15, "default", name="LONGSCROLL_API_KEY")
    await require_key(keys, host="127.0.0.1", given="k" * 15)
    await require_key(keys, host="0.0.0.0", given="k" * 16)
    with pytest.raises(StartupError, match=r"LONGSCROLL_API_KEY has 15 characters.*at least 16"):
        await require_key(keys, host="0.0.0.0", given="k" * 15)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
async def test_where_only_this_machine_reaches_it_none_is_needed(keys: Keys, host: str) -> None:
    await require_key(keys, host=host, given=None)


async def test_no_secret_is_shown_by_accident(keys: Keys, store: CountingKeys, tmp_path: Path) -> None:
    first = await first_key(tmp_path, keys, None)
    shown = repr((first, keys, store, await keys.list(None)))
    assert first.plaintext is not None
    assert first.plaintext not in shown
    assert "ppppp" not in shown
