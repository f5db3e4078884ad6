"""Documents that are parsed in parts, with real processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from factories.parsing import Upload, limits, until_no_child, zygote
from factories.pdf_files import build_pdf
from longscroll.documents.artifact import Artifact
from longscroll.documents.children import Children
from longscroll.documents.messages import MergeTask, PartPlace
from longscroll.documents.parsers import ParserOptions, Parsers
from longscroll.errors import DocumentError, DocumentErrorKind

pytestmark = pytest.mark.asyncio(loop_scope="module")

N_PAGES = 600
OPTIONS = ParserOptions(part_pages=100)
WORDS = "the lamp of the lighthouse burned all night and the keeper wrote it down"
BOOK = build_pdf(
    [[f"Chapter {n // 10}", *[f"{WORDS}, {n} and {i}" for i in range(40)]] for n in range(N_PAGES)],
    outline=[(f"Chapter {n}", 10 * n) for n in range(N_PAGES // 10)],
    first_label=3,
)
LONG_TEXT = "".join(f"On day {n} {WORDS}.\n" for n in range(100_000)).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parsers() -> AsyncIterator[Parsers]:
    async with Parsers(n_children=2, options=OPTIONS) as parsers:
        yield parsers


@pytest.fixture
def book(tmp_path: Path) -> Upload:
    return Upload(tmp_path, BOOK, "book.pdf")


async def test_it_is_the_document_that_it_would_be_in_one_part(parsers: Parsers, book: Upload) -> None:
    done = await book.parse(parsers)
    in_parts = Artifact.from_buffer(book.artifact.read_bytes())
    async with Parsers(n_children=1, options=ParserOptions(part_pages=N_PAGES)) as undivided:
        await book.parse(undivided)
    whole = Artifact.open(book.artifact)
    assert (done.n_pages, done.n_chars) == (N_PAGES, whole.meta.n_chars)
    assert in_parts.text((0, done.n_chars)) == whole.text((0, done.n_chars))
    assert (in_parts.pages.tolist(), in_parts.outline) == (whole.pages.tolist(), whole.outline)
    assert len(in_parts.segments) > len(whole.segments) == 1


async def test_the_artifact_does_not_depend_on_how_many_parse(parsers: Parsers, book: Upload) -> None:
    await book.parse(parsers)
    by_two = book.artifact.read_bytes()
    async with Parsers(n_children=1, options=OPTIONS) as alone:
        await book.parse(alone)
    assert book.artifact.read_bytes() == by_two


@pytest.mark.parametrize(("content", "name"), [(BOOK, "book.pdf"), (LONG_TEXT, "log.txt")])
async def test_its_beginning_can_be_read_before_its_end_is_parsed(
    parsers: Parsers, tmp_path: Path, content: bytes, name: str
) -> None:
    upload = Upload(tmp_path, content, name)
    done = await upload.parse(parsers)
    whole = Artifact.open(upload.artifact)
    assert upload.previews, "there was one"
    for path, readable in upload.previews:
        preview = Artifact.open(path)
        assert 0 < readable.n_tokens == preview.meta.n_tokens < done.n_tokens
        assert preview.text((0, preview.meta.n_chars)) == whole.text((0, preview.meta.n_chars))
    assert all(b.n_done >= 2 * a.n_done for (_, a), (_, b) in pairwise(upload.previews))


async def test_progress_is_of_all_pages_and_begins_with_the_first(parsers: Parsers, book: Upload) -> None:
    await book.parse(parsers)
    first, last = book.progress[0], book.progress[-1]
    assert (first.n_done, first.n_total, first.unit) == (1, N_PAGES, "pages")
    assert (last.n_done, last.n_total, last.unit) == (N_PAGES, N_PAGES, "pages")


async def test_nothing_but_the_artifact_and_previews_is_left(parsers: Parsers, book: Upload) -> None:
    await book.parse(parsers)
    kept = {book.file, book.artifact, *(path for path, _ in book.previews)}
    assert set(book.artifact.parent.iterdir()) == kept


async def test_who_stops_waiting_leaves_no_child_and_no_part(parsers: Parsers, book: Upload) -> None:
    parsing = asyncio.create_task(book.parse(parsers))
    async with asyncio.timeout(10):
        while not any(path.name == "artifact.1" for path in book.artifact.parent.iterdir()):
            await asyncio.sleep(0.005)
    parsing.cancel()
    await asyncio.wait([parsing])
    await until_no_child(parsers)
    kept = {book.file, book.artifact, *(path for path, _ in book.previews)}
    assert set(book.artifact.parent.iterdir()) == kept


async def test_a_range_whose_child_is_killed_is_parsed_once_more(parsers: Parsers, book: Upload) -> None:
    parsing = asyncio.create_task(book.parse(parsers))
    await book.until_progress()
    for child in zygote(parsers).children():
        child.kill()
    assert (await parsing).n_pages == N_PAGES


async def test_a_range_that_kills_every_child_ends_the_file(book: Upload) -> None:
    async with Parsers(n_children=2, options=ParserOptions(part_pages=100, max_tries=1)) as parsers:
        parsing = asyncio.create_task(book.fails(parsers))
        await book.until_progress()
        for child in zygote(parsers).children():
            child.kill()
        kind, details = await parsing
        assert (kind, "made its parser fail" in details) == (DocumentErrorKind.CORRUPT, True)
        await until_no_child(parsers)


async def test_a_file_in_parts_goes_on_when_the_zygote_dies_under_it(parsers: Parsers, book: Upload) -> None:
    parsing = asyncio.create_task(book.parse(parsers))
    await book.until_progress()
    zygote(parsers).kill()
    assert (await parsing).n_pages == N_PAGES


async def test_pages_without_text_in_a_whole_part_are_no_error(parsers: Parsers, tmp_path: Path) -> None:
    upload = Upload(tmp_path, build_pdf([["one"], *[[]] * 300, ["last"]]), "a.pdf")
    assert (await upload.parse(parsers)).n_pages == 302


async def test_a_long_document_without_any_text_is_blank(parsers: Parsers, tmp_path: Path) -> None:
    upload = Upload(tmp_path, build_pdf([[]] * 200), "a.pdf")
    assert await upload.fails(parsers) == (DocumentErrorKind.BLANK, "no text found")


async def test_all_parts_together_may_not_be_larger_than_an_artifact(book: Upload) -> None:
    limit = ParserOptions(part_pages=100, max_artifact_bytes=1 << 20)
    async with Parsers(n_children=2, options=limit) as parsers:
        kind, details = await book.fails(parsers)
    assert (kind, details) == (DocumentErrorKind.TOO_LARGE, "The text of the file is larger than can be stored.")


async def test_a_small_file_is_parsed_while_a_long_one_takes_its_children(parsers: Parsers, tmp_path: Path) -> None:
    (tmp_path / "long").mkdir()
    book = Upload(tmp_path / "long", BOOK, "book.pdf")
    parsing = asyncio.create_task(book.parse(parsers))
    await book.until_progress()
    await Upload(tmp_path, b"a small file\n").parse(parsers)
    assert not parsing.done()
    await parsing


@pytest.mark.parametrize("place", [PartPlace(0, 0, 4096), PartPlace(0, 1 << 40, 64), PartPlace(0, 0, 64)])
async def test_parts_that_are_none_end_their_merge_and_nothing_else(tmp_path: Path, place: PartPlace) -> None:
    (tmp_path / "parts").write_bytes(b"LSCROLL\x1a" + bytes(4088))
    children = Children(n_slots=1, stall_s=15)
    await children.start()
    task = MergeTask(parts=(place,), **limits())
    for _ in range(2):
        async with children.running(task, reads=[tmp_path / "parts"], writes=tmp_path / "artifact") as child:
            with pytest.raises(DocumentError, match="damaged and cannot be read"):
                await children.reply(child)
    await children.stop()
