from __future__ import annotations

import hashlib
from io import BytesIO

import pytest

from factories.artifacts import artifact, page
from longscroll.documents.artifact import Artifact, ArtifactMeta
from longscroll.documents.build import BLOCK_CHARS, build_artifact, parts_of
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import Heading
from longscroll.tokens import EstimatedCounter, TokenCounter, load_counter


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    counter = load_counter()
    if not counter.is_exact:
        pytest.skip("the vocabulary is not installed")
    return counter


def test_numbered_pages_begin_new_lines() -> None:
    document = artifact(page("one", 1), page("two\n", 2), page("three", 3))

    assert document.text((0, 99)) == "one\ntwo\nthree"


def test_text_without_pages_is_joined_as_it_is() -> None:
    assert artifact("one", " two").text((0, 99)) == "one two"


def test_the_facts_of_a_document_are_written_and_returned() -> None:
    text = "船长的日志"

    meta = build_artifact([page(text, 1)], BytesIO(), EstimatedCounter(), details="one sentence")

    assert meta == ArtifactMeta(
        n_chars=5,
        n_bytes=15,
        n_tokens=4,
        n_pages=1,
        n_passages=1,
        tokenizer="estimate",
        terms=1,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        segments=(0,),
        details="one sentence",
    )


@pytest.mark.parametrize("pages", [(), ("",), (" \n\t", "\u3000\ufeff\u200b")])
def test_a_document_without_visible_text_is_blank(pages: tuple[str, ...]) -> None:
    with pytest.raises(DocumentError, match=r"^no text found$") as caught:
        artifact(*pages)

    assert caught.value.kind is DocumentErrorKind.BLANK


def test_a_part_may_be_blank_and_says_so() -> None:
    out = BytesIO()

    meta = build_artifact([page(" ", 1), page("", 2)], out, EstimatedCounter(), may_be_blank=True)

    assert (meta.is_blank, meta.n_pages, meta.n_chars) == (True, 2, 2)
    assert Artifact.from_buffer(out.getvalue()).meta == meta


def test_a_stream_of_pages_is_cut_into_parts_where_there_is_enough_text() -> None:
    pages = [page(text, number) for number, text in enumerate(("one", "two", "", "three", "four"), 1)]

    parts = [[one.number for one in part] for part in parts_of(iter(pages), 5)]

    assert parts == [[1, 2], [3, 4], [5]]


def test_no_page_is_drawn_before_its_part_is_read() -> None:
    drawn: list[int] = []
    parts = parts_of((drawn.append(number) or page("text", number) for number in range(1, 9)), 8)  # type: ignore[func-returns-value]

    n_first = sum(1 for _ in next(parts))

    assert (n_first, drawn) == (2, [1, 2])


def test_progress_is_told_page_by_page_in_its_unit() -> None:
    told: list[tuple[int, int, str]] = []
    pages = [page("one", 1, progress=(1, 3)), page("two", progress=(20, 60)), page("three", 3)]

    build_artifact(pages, BytesIO(), EstimatedCounter(), on_progress=lambda *progress: told.append(progress))

    assert told == [(1, 3, "pages"), (20, 60, "bytes")]


@pytest.mark.parametrize(
    "line",
    [
        "The quick brown fox, 42 years old, said: “No!”\n",
        "船长说：“不，我今年四十二岁。”",
        "no end at all ",
        "1234567890",
    ],
)
def test_counts_of_blocks_add_up_to_the_count_of_the_text(counter: TokenCounter, line: str) -> None:
    text = line * (3 * BLOCK_CHARS // len(line))

    assert artifact(text, counter=counter).meta.n_tokens == counter.count(text)


def test_a_document_built_from_many_pages_equals_the_one_built_at_once() -> None:
    text = "".join(f"Line {i} of the log.\n" for i in range(120_000))
    pages = [text[i : i + 999] for i in range(0, len(text), 999)]

    assert artifact(*pages).meta == artifact(text).meta


def test_segments_tile_the_passages() -> None:
    document = artifact("".join(f"第{i}行日志。\n" for i in range(600_000)))

    segments = document.segments

    assert len(segments) > 1
    assert [segment.first_passage for segment in segments] == list(document.meta.segments)
    assert sum(len(segment.lengths) for segment in segments) == document.n_passages


def test_segments_of_any_script_cover_like_numbers_of_bytes() -> None:
    narrow = artifact("No day is like another. " * 250_000)
    wide = artifact("每天都不一样，" * 285_714)

    assert [narrow.meta.n_bytes // 10**6, wide.meta.n_bytes // 10**6] == [6, 5]
    assert [len(narrow.segments), len(wide.segments)] == [2, 2]


def test_a_passage_ends_where_a_section_begins() -> None:
    text = "Prose without end. " * 60
    pages = [page(text, 1), page(f"New section\n{text}", 2)]
    headed = [page(text, 1), page(f"New section\n{text}", 2, headings=(Heading(0, 1, "New section"),))]

    assert artifact(*pages).passage_span(0)[1] != len(text)
    assert artifact(*headed).passage_span(0)[1] == len(text) + 1
