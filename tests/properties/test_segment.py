from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from longscroll.documents.query import is_stop_term, read_query
from longscroll.documents.segment import build_segment
from longscroll.documents.terms import Lexer

WORDS = st.sampled_from(
    ["ship", "Ships", "café", "ﬁnd", "v7.1.0", "a-b", "船长", "日志", "。", ",", "\n", "é", "１２", "한국"]
)
TEXTS = st.lists(WORDS | st.text(max_size=5), max_size=30).map(" ".join)


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_a_segment_counts_what_its_passages_have(texts: list[str]) -> None:
    segment = build_segment(texts, Lexer())

    expected = Counter(
        (key, number) for number, text in enumerate(texts) for key in Lexer().terms([text]).keys.tolist()
    )
    counted = {
        (key, int(segment.docs[i])): int(segment.tfs[i])
        for n, key in enumerate(segment.keys.tolist())
        for i in range(int(segment.indptr[n]), int(segment.indptr[n + 1]))
    }
    assert counted == expected


@given(TEXTS)
def test_whatever_is_asked_in_the_words_of_a_text_is_found_in_it(text: str) -> None:
    lexer = Lexer()
    asked = read_query(text, lexer)

    indexed = set(lexer.terms([text]).keys.tolist())

    assert {term.key for term in asked} <= indexed
    assert all(not is_stop_term(term) for term in asked) or all(map(is_stop_term, asked))


@given(st.text(max_size=300))
def test_any_text_has_as_many_lengths_as_passages(text: str) -> None:
    segment = build_segment([text, text], Lexer())

    assert segment.lengths.tolist() == [segment.lengths[0]] * 2
