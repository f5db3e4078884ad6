from __future__ import annotations

from io import BytesIO

import pytest

from factories.artifacts import artifact, artifact_bytes, page, sections_of, with_section
from longscroll.documents.artifact import Artifact, OriginSpan, OutlineEntry
from longscroll.documents.build import build_artifact
from longscroll.documents.merge import merge_artifacts
from longscroll.errors import ArtifactError, DocumentError, DocumentErrorKind
from longscroll.parsing.base import Heading, OriginRun, Page
from longscroll.reading.rank import rank
from longscroll.tokens import EstimatedCounter

BOOK = (
    page("Ahoy, 船长！", 1, label="i", headings=(Heading(0, 1, "Ahoy"),), origin=(OriginRun(0, 7, 8),)),
    page("", 2, quality="unreadable"),
    page("The log.\nThe end", 3, label="1", headings=(Heading(9, 2, "The end"),), quality="ocr"),
    page("Index", 4, origin=(OriginRun(1, 100, 4),)),
)


def part_of(*pages: Page | str) -> Artifact:
    out = BytesIO()
    texts = [page(text) if isinstance(text, str) else text for text in pages]
    build_artifact(texts, out, EstimatedCounter(), may_be_blank=True)
    return Artifact.from_buffer(out.getvalue())


def merged(*parts: Artifact, details: str | None = None) -> Artifact:
    out = BytesIO()
    meta = merge_artifacts(parts, out, details=details)
    document = Artifact.from_buffer(out.getvalue())
    document.verify()
    assert document.meta == meta
    return document


def test_one_part_alone_is_the_document_byte_for_byte() -> None:
    out = BytesIO()

    merge_artifacts([artifact(*BOOK)], out)

    assert out.getvalue() == artifact_bytes(*BOOK)


def test_parts_with_pages_begin_new_lines() -> None:
    document = merged(artifact(*BOOK[:1]), part_of(*BOOK[1:2]), artifact(*BOOK[2:]))

    assert document.text((0, 99)) == "Ahoy, 船长！\nThe log.\nThe end\nIndex"


def test_parts_without_pages_are_joined_as_they_are() -> None:
    assert merged(artifact("one"), artifact(" two")).text((0, 99)) == "one two"


def test_places_are_counted_from_the_beginning_of_the_document() -> None:
    document = merged(artifact(*BOOK[:1]), artifact(*BOOK[1:3]), artifact(BOOK[3]))

    assert document.pages.tolist() == artifact(*BOOK).pages.tolist()
    assert document.outline == [OutlineEntry(1, "Ahoy", 0), OutlineEntry(2, "The end", 19)]
    assert [document.page_label_of(at) for at in (0, 12, 27)] == ["i", "1", None]
    assert document.origin_of((0, 99)) == [OriginSpan(0, 8, 1, 7), OriginSpan(28, 4, 4, 100)]


def test_unreadable_pages_are_named_for_the_whole_document() -> None:
    document = merged(artifact(*BOOK[:2]), artifact(*BOOK[2:]))

    assert document.meta.details == "1 of 4 pages could not be read: 2."


def test_a_sentence_about_the_document_goes_before_its_own() -> None:
    assert merged(artifact(*BOOK), details="Repaired.").meta.details == "Repaired."


def test_passages_of_every_part_are_searched_under_their_new_numbers() -> None:
    parts = [artifact("Anchors aweigh. " * 400), artifact("The whale. " * 400)]
    document = merged(*parts)

    assert [segment.first_passage for segment in document.segments] == [0, parts[0].n_passages]
    assert [document.passage_text(i) for i in range(document.n_passages)] == [
        part.passage_text(i) for part in parts for i in range(part.n_passages)
    ]


def test_counts_are_exact_only_where_all_of_them_are() -> None:
    stored = artifact_bytes("first")
    meta = sections_of(stored)["meta"].replace(b'"estimate"', b'"qwen"')
    exact, estimated = Artifact.from_buffer(with_section(stored, "meta", meta)), artifact("second")

    assert merged(exact, exact).meta.tokenizer == "qwen"
    assert merged(exact, estimated).meta.tokenizer == "estimate"


def test_ranking_finds_in_a_merged_document_what_it_finds_in_one_built_at_once() -> None:
    words = ("treasure", "anchor", "treasure and anchor", "whale")
    pages = [
        page(f"Day {i}\n" + f"The {word} was seen, and the sea was calm. " * 40, i, headings=(Heading(0, 1, "Day"),))
        for i, word in enumerate(words, 1)
    ]

    ranking = rank([merged(*map(artifact, pages))], "Where is the anchor of the treasure?")

    assert ranking.hits == rank([artifact(*pages)], "Where is the anchor of the treasure?").hits
    assert ranking.hits[0].passage == 2


def test_a_line_end_between_parts_is_a_token_only_after_a_letter_or_a_digit() -> None:
    pages = [page(text, number) for number, text in enumerate(("word", "stop.", "42", "。", "end"), 1)]

    document = merged(*map(artifact, pages))

    assert [document.passage_tokens(i) for i in range(5)] == [2, 1, 2, 1, 1]


@pytest.mark.parametrize("n_parts", [0, 1, 3])
def test_a_document_whose_parts_are_all_blank_is_blank(n_parts: int) -> None:
    with pytest.raises(DocumentError, match=r"^no text found$") as caught:
        merged(*[part_of(page(" \n", 1))] * n_parts)

    assert caught.value.kind is DocumentErrorKind.BLANK


def test_blank_parts_keep_their_place() -> None:
    pages = [page(text, number) for number, text in enumerate((" ", "text", "", "\n"), 1)]

    document = merged(*map(part_of, pages))

    assert document.text((0, 99)) == artifact(*pages).text((0, 99))
    assert (document.meta.is_blank, document.meta.n_pages) == (False, 4)


def test_the_first_parts_alone_are_a_beginning_of_the_document() -> None:
    parts = [artifact(one) for one in (BOOK[0], BOOK[2], BOOK[3])]

    preview, whole = merged(*parts[:2]), merged(*parts)

    assert whole.text((0, preview.meta.n_chars)) == preview.text((0, 99))
    assert whole.outline[: len(preview.outline)] == preview.outline


def test_a_damaged_part_is_refused() -> None:
    data = bytearray(artifact_bytes("The captain's log."))
    data[data.index(b"captain")] ^= 1

    with pytest.raises(ArtifactError, match="section text does not match its checksum"):
        merge_artifacts([artifact("fine"), Artifact.from_buffer(data)], BytesIO())
