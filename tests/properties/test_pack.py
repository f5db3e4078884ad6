from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longscroll.reading.pack import BudgetTooSmall, PackOptions, pack
from longscroll.reading.rank import Hit

SIZES = st.lists(st.lists(st.integers(1, 900), min_size=1, max_size=20), min_size=1, max_size=5)
OPTIONS = st.builds(
    PackOptions,
    header_tokens=st.integers(0, 40),
    n_neighbored=st.integers(0, 4),
    n_fronts=st.integers(0, 3),
    n_sure=st.integers(0, 9),
    max_joined=st.integers(1, 5),
)


@st.composite
def ranked(draw: st.DrawFn) -> tuple[list[list[int]], list[Hit]]:
    sizes = draw(SIZES)
    places = [(d, p) for d, passages in enumerate(sizes) for p in range(len(passages))]
    found = draw(st.lists(st.sampled_from(places), unique=True, max_size=30))
    scores = sorted(draw(st.lists(st.floats(0.1, 50), min_size=len(found), max_size=len(found))), reverse=True)
    return sizes, [Hit(d, p, score) for (d, p), score in zip(found, scores, strict=True)]


@given(ranked(), st.integers(0, 20_000), OPTIONS)
def test_packing_never_exceeds_its_budget_nor_repeats_a_passage(
    found: tuple[list[list[int]], list[Hit]], budget: int, options: PackOptions
) -> None:
    sizes, hits = found
    try:
        choices = pack(hits, sizes, budget=budget, named=[0], options=options)
    except BudgetTooSmall:
        best = hits[0]
        assert sizes[best.document][best.passage] + options.header_tokens > budget
        return
    assert sum(choice.n_tokens for choice in choices) <= budget
    assert all(c.n_tokens == sum(sizes[c.document][c.first : c.stop]) + options.header_tokens for c in choices)
    places = [(c.document, p) for c in choices for p in range(c.first, c.stop)]
    assert places == sorted(set(places))
