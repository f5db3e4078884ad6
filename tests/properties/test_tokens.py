from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longscroll.tokens import EstimatedCounter, RunningCount, TokenCounter, is_stable_cut, load_counter

PARTS = st.sampled_from(
    [
        "word",
        " word",
        "don't",
        "'s",
        "12",
        "。",
        "，",
        "中文字",
        "\n",
        "\n\n ",
        "  ",
        "\t",
        "!?",
        "e\u0301",
        "가",
        "\u1112\u1161",
        "…",
    ]
)
PIECES = st.lists(PARTS | st.text(max_size=4), max_size=30)


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    counter = load_counter()
    if not counter.is_exact:
        pytest.skip("the vocabulary is not installed")
    return counter


@given(pieces=PIECES)
def test_a_text_may_be_cut_at_every_stable_place(counter: TokenCounter, pieces: list[str]) -> None:
    text = "".join(pieces)

    for at in range(1, len(text)):
        if is_stable_cut(text, at):
            assert counter.encode(text[:at]) + counter.encode(text[at:]) == counter.encode(text)


@given(pieces=PIECES)
def test_a_running_count_rises_to_the_exact_one(counter: TokenCounter, pieces: list[str]) -> None:
    running = RunningCount(counter)

    counts = [running.add(piece) for piece in pieces]

    assert counts == sorted(counts)
    assert max(counts, default=0) <= running.total() == counter.count("".join(pieces))


@given(pieces=PIECES)
def test_exact_counts_of_pieces_add_up(counter: TokenCounter, pieces: list[str]) -> None:
    assert_adds_up(counter, pieces)


@given(pieces=PIECES)
def test_estimated_counts_of_pieces_add_up(pieces: list[str]) -> None:
    assert_adds_up(EstimatedCounter(), pieces)


def assert_adds_up(counter: TokenCounter, pieces: list[str]) -> None:
    stops = [len("".join(pieces[: i + 1])) for i in range(len(pieces))]

    counts = counter.count_pieces("".join(pieces), stops)

    assert (len(counts), sum(counts)) == (len(pieces), counter.count("".join(pieces)))
    assert min(counts, default=0) >= 0
