from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from longscroll.documents.passages import MAX_CHARS, cut_passages

PARTS = st.sampled_from(
    [
        "word ",
        "A sentence. ",
        "一个句子。",
        "\n",
        "\n\n",
        "“引用。”",
        '"Quote." ',
        "𝄞",
        "x" * 900,
        "字" * 400,
        " " * 300,
    ]
)
TEXTS = st.lists(PARTS | st.text(max_size=20), max_size=60).map("".join)


@given(TEXTS, st.lists(st.integers(0, 20_000), max_size=20))
def test_passages_tile_any_text_wherever_its_headings_are(text: str, headings: list[int]) -> None:
    inside = sorted({heading for heading in headings if heading < len(text)})

    stops = [0, *cut_passages(text, headings=inside)]

    assert stops[-1] == len(text)
    assert all(0 < stop - start <= 1.25 * MAX_CHARS + 64 for start, stop in pairwise(stops))
