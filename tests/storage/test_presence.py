"""What every ``Presence`` keeps, and what the real one does when processes are killed or meet at the door."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from longscroll.storage.memory import MemoryPresence
from longscroll.storage.presence import LocalPresence

Newcomer = Callable[[], MemoryPresence | LocalPresence]

PRESENT = """
import asyncio, sys
from pathlib import Path
from longscroll.storage.presence import LocalPresence

async def main():
    async with LocalPresence(Path(sys.argv[1])) as presence:
        print(presence.owner, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""

COMING_AND_GOING = """
import asyncio, sys
from pathlib import Path
from longscroll.storage.presence import LocalPresence

async def main():
    folder = Path(sys.argv[1])
    async with LocalPresence(folder) as onlooker:
        for _ in range(300):
            async with LocalPresence(folder) as newcomer:
                others = {path.name for path in folder.iterdir()}
                await onlooker.dead(others)
                assert await onlooker.dead({newcomer.owner, onlooker.owner}) == set()
            assert await onlooker.dead({newcomer.owner}) == {newcomer.owner}

asyncio.run(main())
"""


def started(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a process that is present, and return it with its owner."""
    command = [sys.executable, "-c", PRESENT, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


async def test_the_living_are_not_dead_and_who_was_never_there_is(newcomer: Newcomer) -> None:
    async with newcomer() as one, newcomer() as other:
        assert await one.dead([one.owner, other.owner, "nobody"]) == {"nobody"}
        assert await other.dead([]) == set()


async def test_who_has_stopped_is_dead(newcomer: Newcomer) -> None:
    async with newcomer() as one:
        async with newcomer() as other:
            pass
        assert await one.dead([other.owner]) == {other.owner}


async def test_stopping_twice_is_harmless(newcomer: Newcomer) -> None:
    presence = newcomer()
    await presence.start()
    await presence.stop()
    await presence.stop()


async def test_no_two_have_one_name(newcomer: Newcomer) -> None:
    assert len({newcomer().owner for _ in range(100)}) == 100


async def test_one_that_a_test_declares_dead_is_dead_for_all() -> None:
    living: set[str] = set()
    async with MemoryPresence(living, owner="api") as api, MemoryPresence(living, owner="worker"):
        api.declare_dead("worker")
        assert await api.dead(["api", "worker"]) == {"worker"}


async def test_a_killed_process_is_dead_at_once_and_its_file_is_removed(tmp_path: Path) -> None:
    async with LocalPresence(tmp_path) as presence:
        process, owner = await asyncio.to_thread(started, tmp_path)
        with process:
            before = await presence.dead([owner])
            process.kill()
            process.wait()
            after = await presence.dead([owner])
        assert (before, after) == (set(), {owner})
        assert [path.name for path in tmp_path.iterdir()] == [presence.owner]


async def test_who_asks_is_alive_even_if_somebody_removed_its_file(tmp_path: Path) -> None:
    async with LocalPresence(tmp_path) as presence:
        (tmp_path / presence.owner).unlink()
        assert await presence.dead([presence.owner, "nobody"]) == {"nobody"}


async def test_who_starts_removes_what_the_dead_left(tmp_path: Path) -> None:
    (tmp_path / "0123456789abcdef").touch()
    async with LocalPresence(tmp_path) as presence:
        assert [path.name for path in tmp_path.iterdir()] == [presence.owner]
    assert list(tmp_path.iterdir()) == []


async def test_nobody_who_has_started_is_ever_taken_for_dead(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMING_AND_GOING, str(tmp_path)]
    processes = [await asyncio.create_subprocess_exec(*command) for _ in range(4)]
    assert [await process.wait() for process in processes] == [0] * 4
    assert list(tmp_path.iterdir()) == []
