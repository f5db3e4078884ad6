from __future__ import annotations

import pytest

from longscroll.reading.plan import PlanOptions, Room, choose

DETAIL = "Who designed the pump in Halden?"
WHOLE = "What is this about?"


def kind(question: str, *sizes: int, window: int | None, **room: float) -> str:
    leaves = Room(context_window=window, n_reserved=1000, **room)  # type: ignore[arg-type]
    return choose(question, sizes, room=leaves, options=PlanOptions()).kind


def test_without_documents_there_is_nothing_to_read() -> None:
    assert kind(WHOLE, window=8000) == "none"


@pytest.mark.parametrize(
    ("question", "size", "window", "expected"),
    [
        (DETAIL, 7000, 8000, "whole"),
        (DETAIL, 7001, 8000, "lookup"),
        (DETAIL, 32_000, 131_072, "whole"),
        (DETAIL, 32_001, 131_072, "lookup"),
        (WHOLE, 100_000, 131_072, "whole"),
        (WHOLE, 200_000, 131_072, "digest"),
        (DETAIL, 10, None, "lookup"),
        (WHOLE, 10, None, "digest"),
    ],
)
def test_the_plan_follows_from_question_size_and_window(
    question: str, size: int, window: int | None, expected: str
) -> None:
    assert kind(question, size, window=window) == expected


def test_documents_that_would_take_too_long_to_prefill_are_looked_up() -> None:
    assert kind(DETAIL, 20_000, window=65_536, prefill_tokens_per_s=900) == "lookup"
    assert kind(DETAIL, 20_000, window=65_536, prefill_tokens_per_s=1100) == "whole"


@pytest.mark.parametrize(
    ("window", "wanted", "budget"),
    [
        (131_072, None, 32_000),
        (65_536, None, 16_000),
        (4096, None, 3096),
        (900, None, 0),
        (None, None, 8000),
        (65_536, 500, 500),
        (4096, 9999, 3096),
        (None, 700, 700),
    ],
)
def test_the_budget_never_exceeds_what_the_window_leaves(window: int | None, wanted: int | None, budget: int) -> None:
    room = Room(context_window=window, n_reserved=1000, n_wanted=wanted)
    assert choose(DETAIL, [10_000_000], room=room, options=PlanOptions()).budget == budget


def test_every_plan_says_why() -> None:
    for question in (DETAIL, WHOLE):
        room = Room(context_window=None)
        assert choose(question, [5], room=room, options=PlanOptions()).reason
