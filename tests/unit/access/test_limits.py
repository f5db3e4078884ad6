from __future__ import annotations

import msgspec
import pytest

from longscroll.access.limits import LimitOptions, Limits
from longscroll.errors import ConcurrencyExceeded, RequestRateExceeded, TokenRateExceeded


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_limits(clock: Clock, **limit: int) -> Limits:
    return Limits([msgspec.convert(limit, LimitOptions)], clock=clock)


def n_admitted(limits: Limits, n_tried: int, *, workspace: str = "a", model: str = "m") -> int:
    n_done = 0
    for _ in range(n_tried):
        try:
            limits.admit(workspace, model).leave(is_refused=False)
        except RequestRateExceeded:
            continue
        n_done += 1
    return n_done


def test_without_a_limit_everything_is_admitted() -> None:
    limits = Limits([LimitOptions(model="other", requests_per_minute=1)])
    assert n_admitted(limits, 1000) == 1000


@pytest.mark.item(78)
def test_a_minute_holds_as_many_requests_as_the_limit_says_and_refused_ones_cost_nothing() -> None:
    clock = Clock()
    limits = make_limits(clock, requests_per_minute=6)
    assert n_admitted(limits, 100) == 6
    clock.now += 30
    assert n_admitted(limits, 100) == 3


def test_one_that_is_refused_after_all_takes_nothing_of_the_minute() -> None:
    limits = make_limits(Clock(), requests_per_minute=2, concurrent_requests=1)
    for _ in range(5):
        limits.admit("a", "m").leave(is_refused=True)
    assert n_admitted(limits, 5) == 2


@pytest.mark.item(78)
def test_the_refusal_says_when_the_next_request_is_admitted() -> None:
    clock = Clock()
    limits = make_limits(clock, requests_per_minute=6)
    n_admitted(limits, 6)
    with pytest.raises(RequestRateExceeded) as refused:
        limits.admit("a", "m")
    clock.now += 9.99
    assert n_admitted(limits, 1) == 0
    clock.now += 0.01
    assert (refused.value.retry_after_s, n_admitted(limits, 2)) == (10, 1)


@pytest.mark.item(80)
def test_each_workspace_and_each_model_has_its_own_counters() -> None:
    limits = make_limits(Clock(), requests_per_minute=2)
    counts = [n_admitted(limits, 5, workspace=w, model=m) for w, m in (("a", "m"), ("b", "m"), ("a", "n"), ("a", "m"))]
    assert counts == [2, 2, 2, 0]


def test_the_first_limit_that_matches_is_the_one() -> None:
    options = [LimitOptions(workspace="a*", requests_per_minute=1), LimitOptions(requests_per_minute=3)]
    limits = Limits(options, clock=Clock())
    assert [n_admitted(limits, 5, workspace=name) for name in ("alpha", "beta")] == [1, 3]


def test_as_many_run_at_once_as_the_limit_says() -> None:
    limits = make_limits(Clock(), concurrent_requests=2)
    running = [limits.admit("a", "m") for _ in range(2)]
    with pytest.raises(ConcurrencyExceeded):
        limits.admit("a", "m")
    running[0].leave(is_refused=False)
    limits.admit("a", "m")
    with pytest.raises(ConcurrencyExceeded):
        limits.admit("a", "m")


def test_one_that_is_refused_for_its_rate_does_not_count_as_running() -> None:
    clock = Clock()
    limits = make_limits(clock, requests_per_minute=1, concurrent_requests=1)
    limits.admit("a", "m").leave(is_refused=False)
    with pytest.raises(RequestRateExceeded):
        limits.admit("a", "m")
    clock.now += 60
    limits.admit("a", "m")


@pytest.mark.item(78)
def test_tokens_are_reserved_and_settled_by_what_was_used() -> None:
    clock = Clock()
    limits = make_limits(clock, tokens_per_minute=600)
    limits.reserve("a", "m", 500).settle(100)
    limits.reserve("a", "m", 500)
    with pytest.raises(TokenRateExceeded) as refused:
        limits.reserve("a", "m", 50)
    assert refused.value.retry_after_s == 5


def test_a_reservation_is_settled_once() -> None:
    limits = make_limits(Clock(), tokens_per_minute=600)
    reservation = limits.reserve("a", "m", 600)
    reservation.settle(300)
    reservation.settle(0)
    with pytest.raises(TokenRateExceeded):
        limits.reserve("a", "m", 301)


def test_what_is_larger_than_a_minute_is_admitted_when_nothing_else_is_owed() -> None:
    clock = Clock()
    limits = make_limits(clock, tokens_per_minute=600)
    limits.reserve("a", "m", 1800)
    with pytest.raises(TokenRateExceeded) as refused:
        limits.reserve("a", "m", 1)
    assert refused.value.retry_after_s == 121
    clock.now += 121
    limits.reserve("a", "m", 1)


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "concurrent_requests"])
def test_a_limit_below_one_is_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"{name} must be at least 1, got 0"):
        msgspec.convert({name: 0}, LimitOptions)
