from __future__ import annotations

from datetime import timedelta

import pytest

from factories.access import Clock
from longscroll.services import repeats
from longscroll.services.repeats import Repeats


async def made(named: Repeats, name: str, file_id: str = "file-fe-1", *, workspace: str = "acme") -> str | None:
    """Hold a name, return what was made under it, and make a file if there was none."""
    async with named.turn(workspace, name) as turn:
        before = turn.file_id
        turn.file_id = before or file_id
        return before


async def test_a_name_is_known_for_a_day() -> None:
    clock = Clock()
    named = Repeats(now=clock)
    assert await made(named, "a") is None
    clock.advance(timedelta(days=1).total_seconds())
    assert await made(named, "a") == "file-fe-1"
    clock.advance(1)
    assert await made(named, "a") is None


async def test_a_name_belongs_to_its_workspace_and_keeps_nobody_else_waiting() -> None:
    named = Repeats(now=Clock())
    async with named.turn("acme", "a") as turn:
        assert await made(named, "a", "file-fe-2", workspace="other") is None
        turn.file_id = "file-fe-1"
    assert [await made(named, "a", workspace=name) for name in ("acme", "other")] == ["file-fe-1", "file-fe-2"]


async def test_a_name_under_which_nothing_was_made_is_forgotten() -> None:
    named = Repeats(now=Clock())
    with pytest.raises(KeyError):
        async with named.turn("acme", "a"):
            raise KeyError
    assert named._named == {}


async def test_the_oldest_names_are_forgotten_when_there_are_too_many() -> None:
    named = Repeats(now=Clock())
    for number in range(repeats.MAX_KEPT + 1):
        await made(named, str(number))
    assert len(named._named) == repeats.MAX_KEPT
    assert (await made(named, str(repeats.MAX_KEPT)), await made(named, "0")) == ("file-fe-1", None)
