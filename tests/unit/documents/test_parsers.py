"""The pool of parsers, with real processes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from factories.parsing import Upload, until_no_child, zygote
from factories.pdf_files import build_pdf
from longscroll.documents.artifact import Artifact
from longscroll.documents.parsers import ParserOptions, Parsers
from longscroll.documents.zygote import ZygoteLost
from longscroll.errors import DocumentError, DocumentErrorKind, StorageFull

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = b"The quick brown fox jumps over the lazy dog, again and again and again.\n" * 200_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parsers() -> AsyncIterator[Parsers]:
    async with Parsers(n_children=2) as parsers:
        yield parsers


async def test_a_text_becomes_an_artifact_with_its_counts(parsers: Parsers, tmp_path: Path) -> None:
    upload = Upload(tmp_path, "长卷，one two.\n".encode())
    done = await upload.parse(parsers)
    artifact = Artifact.open(upload.artifact)
    assert (done.n_pages, done.n_chars, done.n_tokens) == (None, 12, artifact.meta.n_tokens)
    assert artifact.text((0, 12)) == "长卷，one two.\n"
    artifact.close()


async def test_pages_are_reported_up_to_the_last(parsers: Parsers, tmp_path: Path) -> None:
    upload = Upload(tmp_path, build_pdf([["a page"]] * 30), "a.pdf")
    assert (await upload.parse(parsers)).n_pages == 30
    last = upload.progress[-1]
    assert (last.n_done, last.n_total, last.unit) == (30, 30, "pages")


async def test_an_error_of_the_file_comes_in_its_words(parsers: Parsers, tmp_path: Path) -> None:
    upload = Upload(tmp_path, b"\x89PNG\r\n\x1a\n" + bytes(100), "a.png")
    kind, details = await upload.fails(parsers)
    assert kind == DocumentErrorKind.UNSUPPORTED
    assert details.startswith("This looks like a PNG picture")


async def test_a_text_without_a_visible_character_is_blank(parsers: Parsers, tmp_path: Path) -> None:
    assert await Upload(tmp_path, b" \n\n\t").fails(parsers) == (DocumentErrorKind.BLANK, "no text found")


async def test_who_stops_waiting_ends_the_child(parsers: Parsers, tmp_path: Path) -> None:
    upload = Upload(tmp_path, LONG)
    parsing = asyncio.create_task(upload.parse(parsers))
    await upload.until_progress()
    parsing.cancel()
    await asyncio.wait([parsing])
    await until_no_child(parsers)


async def test_a_file_goes_on_when_the_zygote_dies_under_it(parsers: Parsers, tmp_path: Path) -> None:
    upload = Upload(tmp_path, LONG)
    parsing = asyncio.create_task(upload.parse(parsers))
    await upload.until_progress()
    zygote(parsers).kill()
    assert (await parsing).n_chars == len(LONG)


async def test_a_child_that_is_killed_is_tried_once_more(parsers: Parsers, tmp_path: Path) -> None:
    upload = Upload(tmp_path, LONG)
    parsing = asyncio.create_task(upload.parse(parsers))
    for _ in range(2):
        await upload.until_progress()
        zygote(parsers).children()[0].kill()
    with pytest.raises(DocumentError, match="made its parser fail") as caught:
        await parsing
    assert caught.value.kind == DocumentErrorKind.CORRUPT


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (ParserOptions(stall_s=0.0), DocumentErrorKind.TIMEOUT, "made no progress"),
        (ParserOptions(cpu_s=1, cpu_s_per_mb=0), DocumentErrorKind.TIMEOUT, "takes more time"),
        (ParserOptions(memory_bytes=2 << 20), DocumentErrorKind.TOO_LARGE, "needs more memory"),
        (ParserOptions(max_artifact_bytes=4096), DocumentErrorKind.TOO_LARGE, "larger than can be stored"),
    ],
)
async def test_each_limit_ends_a_file_with_its_own_words(
    tmp_path: Path, options: ParserOptions, kind: DocumentErrorKind, words: str
) -> None:
    async with Parsers(n_children=1, options=options) as parsers:
        upload = Upload(tmp_path, 4 * LONG)
        found, details = await upload.fails(parsers)
        assert found == kind
        assert words in details
        await until_no_child(parsers)


async def test_too_many_pages_are_refused(tmp_path: Path) -> None:
    async with Parsers(n_children=1, options=ParserOptions(max_pages=2)) as parsers:
        upload = Upload(tmp_path, build_pdf([["a"]] * 3), "a.pdf")
        assert (await upload.fails(parsers))[0] == DocumentErrorKind.TOO_MANY_PAGES


async def test_a_pool_that_was_stopped_starts_nothing_any_more(tmp_path: Path) -> None:
    async with Parsers(n_children=1) as parsers:
        pass
    with pytest.raises(ZygoteLost):
        await Upload(tmp_path, b"text\n").parse(parsers)


async def test_a_zygote_that_dies_is_replaced_although_nobody_asks(parsers: Parsers) -> None:
    killed = zygote(parsers)
    killed.kill()
    async with asyncio.timeout(10):
        while parsers.zygote_pid in {None, killed.pid}:
            await asyncio.sleep(0.01)


async def test_children_give_way_to_the_service(parsers: Parsers, tmp_path: Path) -> None:
    upload = Upload(tmp_path, LONG)
    parsing = asyncio.create_task(upload.parse(parsers))
    await upload.until_progress()
    (child,) = zygote(parsers).children()
    assert child.nice() == zygote(parsers).nice() + 5
    parsing.cancel()
    await asyncio.wait([parsing])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_full_disk_is_not_the_fault_of_the_file(parsers: Parsers, tmp_path: Path) -> None:
    upload = Upload(tmp_path, b"text\n")
    upload.artifact = Path("/dev/full")
    with pytest.raises(StorageFull):
        await upload.parse(parsers)


async def test_the_zygote_ends_when_its_service_is_killed() -> None:
    program = (
        "import asyncio\nfrom longscroll.documents.parsers import Parsers\n"
        "async def main():\n"
        "    async with Parsers(n_children=1) as parsers:\n"
        "        print(parsers.zygote_pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    assert service.stdout is not None
    pid = int(await service.stdout.readline())
    service.send_signal(signal.SIGKILL)
    await service.wait()
    async with asyncio.timeout(5):
        while _is_alive(pid):
            await asyncio.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
