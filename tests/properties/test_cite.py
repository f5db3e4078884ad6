from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from factories.evidences import evidence
from longscroll.engines.base import Text
from longscroll.reading.cite import Citer
from longscroll.types import Annotation, CitationMode

PASSAGES = (
    "Tesla was born in 1856. He died in New York.\nThe end.",
    "他生于一八五六年。他死于纽约！",
    "x",
    "A b, c d; e f.",
)
MARKS = st.sampled_from(
    ["[1]", "[2]", "[1][2]", " [3, 4]", "【1】", "［２］", "[9]", "[", "]", "[1", "1]", "[2024]", "[1-3]"]
)
SPACE = st.sampled_from(["`", "```", "\n", " ", "  ", "\t", ".", "。"])
WORDS = st.sampled_from(["Tesla died", "他死于纽约", "in 1856", "“born in 1856”", "the end"])
PIECES = MARKS | SPACE | WORDS
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=24).map("".join)
MODES = st.sampled_from(["annotations", "marks", "off"])


def cited(pieces: list[str], mode: CitationMode) -> tuple[str, list[Annotation]]:
    citer = Citer(evidence(*PASSAGES), mode, reads_marks=True)
    deltas = [*(citer.feed(Text(piece)) for piece in pieces), citer.close()]
    sent = [delta for delta in deltas if delta]
    return "".join(delta.text for delta in sent), [a for delta in sent for a in delta.annotations]


@given(TEXTS, MODES, st.lists(st.integers(1, 5), max_size=40))
def test_streaming_in_any_pieces_gives_the_same_answer(text: str, mode: CitationMode, sizes: list[int]) -> None:
    pieces, start = [], 0
    for size in sizes:
        pieces.append(text[start : start + size])
        start += size
    assert cited([*pieces, text[start:]], mode) == cited([text], mode)


@given(TEXTS)
def test_every_citation_lies_in_its_passage_and_equals_its_text(text: str) -> None:
    answer, annotations = cited([text], "annotations")
    document = "".join(PASSAGES)
    for annotation in annotations:
        citation = annotation.citation
        assert answer[annotation.start_index : annotation.end_index] == f"[{citation.number}]"
        start, stop = citation.span
        assert 100 <= start < stop <= 100 + len(document)
        assert citation.quote == document[start - 100 : stop - 100] != ""


@given(TEXTS)
def test_numbers_begin_at_one_and_leave_no_gap(text: str) -> None:
    _, annotations = cited([text], "annotations")
    numbers = [annotation.citation.number for annotation in annotations]
    first_seen = list(dict.fromkeys(numbers))
    assert first_seen == list(range(1, len(first_seen) + 1))
