"""Unchanged clients ask about a file that is being parsed: answers from its beginning, and comments while they wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from factories.client_programs import PROGRAMS, results, run_program
from factories.held import HeldService, held_service
from factories.wire import FAST, eventually

BEGINNING = "The lighthouse was lit in 1871. Its keeper, Ada Thornbury, kept bees in the lamp room.\n\n"
END = "Her brother Tom Thornbury repaired clocks in the village.\n"
WAIT_S = 4 * FAST.first_heartbeat_s


@pytest.fixture
def held() -> Iterator[HeldService]:
    with held_service() as running:
        yield running


def said_by(client: str, held: HeldService, client_set: str) -> dict[str, Any]:
    """Run the program; the parse ends when its second question has waited for a while."""
    file_id = held.being_parsed(BEGINNING + END, beginning=BEGINNING)
    with ThreadPoolExecutor(1) as pool:
        program = PROGRAMS / f"partial_{client}.py"
        running = pool.submit(run_program, held, client_set, program, held.url, held.key, file_id)
        assert eventually(lambda: running.done() or (held.n_asked, held.n_answering) == (2, 1), within_s=60)
        time.sleep(WAIT_S)
        held.release()
        return results(running.result())


@pytest.mark.client("openai-2023", "openai-latest")
@pytest.mark.shows("silence")
def test_openai_reads_the_beginning_and_how_far_it_goes(held: HeldService, client_set: str) -> None:
    said = said_by("openai", held, client_set)
    assert said["parsed"] == {"done": 2, "total": 4, "unit": "pages"}
    assert ("Tom Thornbury" in said["partial"], "Tom Thornbury" in said["whole"]) == (False, True)


@pytest.mark.client("dashscope-2023", "dashscope-latest")
@pytest.mark.shows("silence")
def test_dashscope_reads_the_beginning_and_outlives_the_comments(held: HeldService, client_set: str) -> None:
    said = said_by("dashscope", held, client_set)
    assert ("Tom Thornbury" in said["partial"], "Tom Thornbury" in said["whole"]) == (False, True)
