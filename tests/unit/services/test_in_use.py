"""Who waits for whom when a file is read and deleted at once."""

from __future__ import annotations

import asyncio

from longscroll.services.in_use import FilesInUse


async def is_free(in_use: FilesInUse, file_id: str = "a") -> bool:
    """Whether a deletion need not wait."""
    waiting = asyncio.create_task(in_use.wait_until_free("acme", file_id, timeout_s=60))
    await asyncio.sleep(0)
    is_done = waiting.done()
    waiting.cancel()
    return is_done


async def test_a_file_is_in_use_until_its_last_use_is_over() -> None:
    in_use = FilesInUse()
    with in_use.use("acme", ["a", "b"]), in_use.use("acme", ["a"]) as second:
        assert [await is_free(in_use, file_id) for file_id in "abc"] == [False, False, True]
        second.end()
        assert not await is_free(in_use)
    assert await is_free(in_use)


async def test_the_same_id_in_another_workspace_is_another_file() -> None:
    in_use = FilesInUse()
    with in_use.use("other", ["a"]):
        assert await is_free(in_use)


async def test_a_use_that_ended_early_ends_once() -> None:
    in_use = FilesInUse()
    with in_use.use("acme", ["a"]):
        with in_use.use("acme", ["a"]) as use:
            use.end()
            use.end()
        assert not await is_free(in_use)


async def test_a_file_that_is_named_twice_is_one_use() -> None:
    in_use = FilesInUse()
    with in_use.use("acme", ["a", "a"]):
        pass
    assert await is_free(in_use)


async def test_the_end_of_the_last_use_wakes_who_waits() -> None:
    in_use = FilesInUse()
    with in_use.use("acme", ["a"]):
        waiting = [asyncio.create_task(in_use.wait_until_free("acme", "a", timeout_s=60)) for _ in range(2)]
        await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(*waiting), 1)


async def test_the_wait_for_a_file_that_stays_in_use_has_an_end() -> None:
    in_use = FilesInUse()
    with in_use.use("acme", ["a"]):
        await asyncio.wait_for(in_use.wait_until_free("acme", "a", timeout_s=0.01), 1)
