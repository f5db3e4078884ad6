from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories.artifacts import artifact, page, sections_of, with_section
from longscroll.documents.artifact import Artifact
from longscroll.documents.build import INVISIBLE, build_artifact, parts_of
from longscroll.documents.merge import merge_artifacts
from longscroll.errors import ArtifactError
from longscroll.parsing.base import Heading, OriginRun, Page
from longscroll.tokens import EstimatedCounter, TokenCounter, load_counter

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff")
TEXTS = st.text(CHARACTERS, max_size=60) | st.sampled_from(
    ["", "\n", "Ahoy!", "The log.\n", "船长的日志。", "42", "word " * 900, "第一章\n内容，" * 600]
)
QUALITIES = st.sampled_from(["text", "ocr", "unreadable"])
UNHURRIED = settings(deadline=None)  # beside other tests, parts by the dozen may take longer than usual


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    counter = load_counter()
    if not counter.is_exact:
        pytest.skip("the vocabulary is not installed")
    return counter


@st.composite
def documents(draw: st.DrawFn) -> list[Page]:
    """Draw the pages of a document that has some text."""
    texts = draw(
        st.lists(TEXTS, min_size=1, max_size=7).filter(lambda texts: any(text.strip(INVISIBLE) for text in texts))
    )
    is_numbered = draw(st.booleans())
    return [_page(draw, text, number if is_numbered else None) for number, text in enumerate(texts, 1)]


def _page(draw: st.DrawFn, text: str, number: int | None) -> Page:
    offsets = draw(st.lists(st.integers(0, len(text) - 1), max_size=2)) if text else []
    return page(
        text,
        number,
        label=draw(st.none() | st.sampled_from(["i", "1"])) if number else None,
        headings=tuple(Heading(offset, 1, f"At {offset}") for offset in sorted(offsets)),
        origin=(OriginRun(0, draw(st.integers(0, 9)), len(text)),) if text and number else (),
        quality=draw(QUALITIES) if number else "text",
    )


def cut(pages: Sequence[Page], n_chars: int, counter: TokenCounter | None = None) -> list[Artifact]:
    """Build the parts of a document."""
    return [Artifact.from_buffer(part_bytes(part, counter)) for part in map(list, parts_of(pages, n_chars))]


def part_bytes(pages: Sequence[Page], counter: TokenCounter | None = None) -> bytes:
    out = BytesIO()
    build_artifact(pages, out, counter or EstimatedCounter(), may_be_blank=True)
    return out.getvalue()


def merged(parts: Sequence[Artifact]) -> Artifact:
    out = BytesIO()
    merge_artifacts(parts, out)
    return Artifact.from_buffer(out.getvalue())


@given(documents(), st.integers(1, 6000))
@UNHURRIED
def test_a_document_merged_from_parts_is_the_one_built_at_once(pages: list[Page], n_chars: int) -> None:
    document, whole = merged(cut(pages, n_chars)), artifact(*pages)

    document.verify()
    length = whole.meta.n_chars
    assert document.text((0, length)) == whole.text((0, length))
    assert (document.meta.sha256, document.meta.n_pages) == (whole.meta.sha256, whole.meta.n_pages)
    assert (document.meta.details, document.unreadable_pages) == (whole.meta.details, whole.unreadable_pages)
    for at in range(0, length, max(1, length // 50)):
        span = (at, min(at + 30, length))
        assert document.pages_of(span) == whole.pages_of(span)
        assert document.page_label_of(at) == whole.page_label_of(at)
        assert document.section_of(at) == whole.section_of(at)
        assert document.origin_of(span) == whole.origin_of(span)


@given(documents(), st.integers(1, 6000))
@UNHURRIED
def test_passages_of_a_merged_document_are_those_of_its_parts(pages: list[Page], n_chars: int) -> None:
    parts = cut(pages, n_chars)
    document = merged(parts)

    spans = [document.passage_span(i) for i in range(document.n_passages)]

    assert [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
    assert spans[-1][1] == document.meta.n_chars
    of_parts = [part.passage_text(i) for part in parts for i in range(part.n_passages)]
    assert [document.passage_text(i).rstrip("\n") for i in range(len(spans))] == [
        text.rstrip("\n") for text in of_parts
    ]
    assert [len(segment.lengths) for segment in document.segments] == [
        len(segment.lengths) for part in parts for segment in part.segments
    ]


@given(documents(), st.integers(1, 6000))
@UNHURRIED
def test_the_first_parts_make_a_beginning_of_the_document(pages: list[Page], n_chars: int) -> None:
    parts = cut(pages, n_chars)
    whole = merged(parts)
    n_blank = next(i for i, part in enumerate(parts) if not part.meta.is_blank)

    for stop in range(n_blank + 1, len(parts) + 1):
        preview = merged(parts[:stop])
        n_preview = preview.meta.n_chars
        assert whole.text((0, n_preview)) == preview.text((0, n_preview))
        assert whole.pages[: len(preview.pages)].tolist() == preview.pages.tolist()
        assert whole.passage_starts[: preview.n_passages].tolist() == preview.passage_starts[:-1].tolist()


@given(texts=st.lists(st.sampled_from(["A stop.", "a word", "42", "。", "第一章", "end \n", "\n", "a-b"]), min_size=1))
@UNHURRIED
def test_tokens_add_up_to_one_for_each_edge(counter: TokenCounter, texts: list[str]) -> None:
    pages = [page(text, number) for number, text in enumerate((*texts, "end"), 1)]

    document = merged(cut(pages, 1, counter))

    assert abs(document.meta.n_tokens - counter.count(document.text((0, 9999)))) <= len(pages) - 1


@given(texts=st.lists(st.sampled_from(["A stop.\n", "a word\n", "42\n", "第一章\n"]), min_size=1))
@UNHURRIED
def test_tokens_add_up_where_parts_end_at_line_ends(counter: TokenCounter, texts: list[str]) -> None:
    document = merged(cut(list(map(page, texts)), 1, counter))

    assert document.meta.n_tokens == counter.count("".join(texts))


STORED = part_bytes(
    [
        page("The captain's log.", 1, label="i", headings=(Heading(4, 1, "Log"),), origin=(OriginRun(0, 0, 18),)),
        page("船长的日志。", 2, quality="unreadable"),
    ]
)


@given(st.lists(st.tuples(st.integers(0, len(STORED) - 1), st.integers(1, 255)), min_size=1, max_size=4), st.data())
@UNHURRIED
def test_a_damaged_part_is_merged_right_or_refused(damage: list[tuple[int, int]], data: st.DataObject) -> None:
    stored = bytearray(STORED)
    for at, mask in damage:
        stored[at] ^= mask
    length = data.draw(st.sampled_from([len(stored)] * 4 + [len(stored) // 2, len(stored) - 1]))

    try:
        document = merged([artifact("first"), Artifact.from_buffer(stored[:length])])
    except ArtifactError:
        return
    assert document.meta == merged([artifact("first"), Artifact.from_buffer(STORED)]).meta


@given(st.sampled_from([*sections_of(STORED), "unknown"]), st.data())
@settings(UNHURRIED, max_examples=300)
def test_a_part_that_lies_is_refused_or_makes_a_sound_document(name: str, data: st.DataObject) -> None:
    lying = with_section(STORED, name, data.draw(lies(sections_of(STORED).get(name, b""))))

    try:
        document = merged([artifact("first"), Artifact.from_buffer(lying), artifact("last")])
    except ArtifactError:
        return
    read_all(document)


@given(st.sampled_from(["n_chars", "n_bytes", "n_tokens", "n_pages", "n_passages", "segments", "terms"]), st.data())
@UNHURRIED
def test_a_part_that_lies_about_its_facts_is_refused_or_makes_a_sound_document(fact: str, data: st.DataObject) -> None:
    lie = data.draw(st.integers() | st.integers(-2, 40) | st.lists(st.integers(-1, 3), max_size=3) | st.none())
    facts = json.loads(sections_of(STORED)["meta"])
    lying = with_section(STORED, "meta", json.dumps(facts | {fact: lie}).encode())

    try:
        document = merged([artifact("first"), Artifact.from_buffer(lying), artifact("last")])
    except ArtifactError:
        return
    read_all(document)


def lies(content: bytes) -> st.SearchStrategy[bytes]:
    """Draw what may stand in the place of a section."""
    others = st.binary(max_size=2 * len(content) + 8)
    if not content:
        return others
    change = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    return others | change.map(lambda it: content[: it[0]] + bytes([it[1]]) + content[it[0] + 1 :])


def read_all(document: Artifact) -> None:
    """Use all that a document has; the text of a sound one comes back whole."""
    document.verify()
    text = b"".join(document.iter_text()).decode()
    assert document.text((0, len(text))) == text
    assert "".join(document.passage_text(i) for i in range(document.n_passages)) == text
    for start, stop in pairwise(range(len(text) + 1)):
        document.pages_of((start, stop)), document.section_of(start), document.page_label_of(start)
        document.origin_of((start, stop))
