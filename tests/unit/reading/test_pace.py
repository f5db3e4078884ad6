from __future__ import annotations

from longscroll.engines.base import EngineUsage
from longscroll.reading.pace import MAX_REMEMBERED, MIN_TOKENS, Pace


def usage(n_tokens: int, n_cached: int = 0) -> EngineUsage:
    return EngineUsage(n_input_tokens=n_tokens, n_cached_tokens=n_cached)


def test_the_first_measurement_is_the_estimate_and_later_ones_move_it() -> None:
    pace = Pace()
    assert pace.speed("m", "a") is None
    pace.note("m", usage(1000), 2.0)
    assert pace.speed("m", "a") == 500
    pace.note("m", usage(1000), 1.0)
    assert pace.speed("m", "a") == 650
    assert pace.speed("other", "a") is None


def test_cached_tokens_and_short_prompts_tell_nothing() -> None:
    pace = Pace()
    pace.note("m", usage(5000, 5000 - MIN_TOKENS + 1), 1.0)
    pace.note("m", usage(MIN_TOKENS - 1), 1.0)
    pace.note("m", usage(5000), 0.0)
    assert pace.speed("m", "a") is None


def test_documents_that_were_read_whole_cost_nothing_again_until_they_are_forgotten() -> None:
    pace = Pace()
    pace.note("m", usage(1000), 2.0)
    pace.remember("m", "a")
    assert pace.speed("m", "a") is None
    for i in range(MAX_REMEMBERED):
        pace.remember("m", f"other {i}")
    assert pace.speed("m", "a") == 500
