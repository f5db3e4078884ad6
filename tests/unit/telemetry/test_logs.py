from __future__ import annotations

import json
import subprocess
import sys

import pytest

BEGINNING = """
import asyncio, logging, structlog
from longscroll.telemetry import configure_logging, log_loop_trouble
configure_logging(level="info")
log = structlog.get_logger()
def fail():
    int("canary-7f3a")
"""
PROGRAMS = {
    "of ours": """
try:
    fail()
except ValueError:
    log.exception("failed", request_id="r1")
""",
    "of a library": """
try:
    fail()
except ValueError:
    logging.getLogger("library").exception("failed")
""",
    "given as it is": """
try:
    fail()
except ValueError as error:
    log.error("failed", exc_info=error)
""",
    "with a cause": """
try:
    try:
        fail()
    except ValueError as error:
        raise KeyError("canary-7f3a") from error
except KeyError:
    log.exception("failed")
""",
    "of a group": """
async def several():
    async with asyncio.TaskGroup() as group:
        group.create_task(one())
async def one():
    fail()
try:
    asyncio.run(several())
except ExceptionGroup:
    log.exception("failed")
""",
    "of a loop": """
async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_trouble)
    loop.call_soon(int, "canary-7f3a")
    await asyncio.sleep(0.01)
asyncio.run(main())
""",
}


def lines_of(program: str) -> list[dict[str, str]]:
    done = subprocess.run([sys.executable, "-c", BEGINNING + program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("whose", PROGRAMS)
def test_an_exception_is_logged_by_class_and_place_without_what_it_says(whose: str) -> None:
    [line] = lines_of(PROGRAMS[whose])
    assert "ValueError" in line["exception"]
    assert "canary" not in json.dumps(line)


def test_a_chain_of_exceptions_is_told_from_its_beginning() -> None:
    [line] = lines_of(PROGRAMS["with a cause"])
    assert [part for part in line["exception"].split() if part.endswith("Error")] == ["ValueError", "KeyError"]


def test_a_value_of_any_kind_can_be_logged() -> None:
    [line] = lines_of('log.info("odd", half="\\ud800", huge=2**70, kind=int, text="长卷")')
    odd = {"half": "\ud800", "huge": 2**70, "kind": "<class 'int'>", "text": "长卷"}
    assert {name: line[name] for name in odd} == odd


def test_a_line_below_the_level_is_not_written() -> None:
    assert lines_of('configure_logging(level="warning")\nlog.info("quiet")\nlog.warning("loud")')[0]["event"] == "loud"
