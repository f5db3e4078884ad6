"""What unchanged clients make of a limit: they wait as long as they are told, and then succeed."""

from __future__ import annotations

import pytest

from factories.client_programs import PROGRAMS, results, run_program
from factories.running import RunningService

ANSWER = "晴，二十一度。"


@pytest.mark.item(78, 79)
@pytest.mark.client("openai-2023", "openai-latest")
@pytest.mark.shows("retries")
def test_openai_succeeds_when_the_limit_clears_in_time(equipped: RunningService, client_set: str) -> None:
    url = f"{equipped.url}/compatible-mode/v1"
    said = results(run_program(equipped, client_set, PROGRAMS / "retries_openai.py", url, equipped.key))
    error = said["limited"]["body"]["error"]
    assert (said["limited"]["status"], error["code"], error["type"]) == (429, "limit_requests", "limit_requests")
    assert error["message"] == "You exceeded your current requests list."
    assert 1 <= int(said["limited"]["retry_after"]) <= 2  # thirty a minute is one every two seconds
    assert said["retried"] == ANSWER
    assert said["after_s"] > 0.5


@pytest.mark.item(78, 79)
@pytest.mark.client("dashscope-client")
@pytest.mark.shows("retries")
def test_the_new_dashscope_client_succeeds_when_the_limit_clears_in_time(equipped: RunningService) -> None:
    program = PROGRAMS / "retries_dashscope.py"
    said = results(run_program(equipped, "latest", program, equipped.url, equipped.key))
    assert said["limited"] == [429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later."]
    assert said["retried"] == ANSWER
