"""The pages that say what was shown are those that the tests' marks and a run would write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from factories import compatibility, conformance
from factories.marks import MarkedTest, marked_tests

WRITE = "`make conformance` writes it anew"


@pytest.fixture(scope="module")
def tests() -> list[MarkedTest]:
    return list(marked_tests())


def test_the_page_names_the_tests_of_every_line(tests: list[MarkedTest]) -> None:
    wanted = [line for section in conformance.sections(tests, {}) for line in section.lines]
    written = conformance.read(conformance.DOCUMENT.read_text(encoding="utf-8"))
    assert [(line.number, line.says, line.tests) for line in written] == [
        (line.number, line.says, line.tests) for line in wanted
    ], WRITE


def test_every_line_of_the_page_has_a_result_of_a_run() -> None:
    written = conformance.read(conformance.DOCUMENT.read_text(encoding="utf-8"))
    proved = re.compile(r"\d+ passed(, \d+ skipped)?(; .+)?")
    assert [line.number for line in written if line.tests and not proved.fullmatch(line.result)] == [], WRITE


def test_every_mark_is_a_line_of_the_contract(tests: list[MarkedTest]) -> None:
    lines = {line.number for section in conformance.sections([], {}) for line in section.lines}
    assert [test.id for test in tests if not lines.issuperset(test.items)] == []


def test_the_table_of_clients_is_current(tests: list[MarkedTest]) -> None:
    page = compatibility.DOCUMENT.read_text(encoding="utf-8")
    assert page == compatibility.with_table(page, tests), WRITE


def test_every_client_is_run_by_a_test_that_shows_something(tests: list[MarkedTest]) -> None:
    rows = [line.split(" | ") for line in compatibility.table(tests).splitlines()[2:]]
    assert [row[0] for row in rows if "✓" not in row] == []


def test_marks_are_read_from_functions_and_from_their_modules(tmp_path: Path) -> None:
    source = """
pytestmark = [pytest.mark.slow, pytest.mark.client("curl")]

@pytest.mark.item(3, 4)
@pytest.mark.shows("chat")
async def test_one(): ...

@pytest.mark.client("java")
def test_two(): ...

def no_test(): ...
"""
    (tmp_path / "test_x.py").write_text(source)
    assert list(marked_tests(tmp_path)) == [
        MarkedTest("test_x.py::test_one", (3, 4), ("curl",), ("chat",)),
        MarkedTest("test_x.py::test_two", (), ("java",), ()),
    ]


def test_a_page_is_read_as_it_was_written() -> None:
    tests = [MarkedTest("wire/test_a.py::test_b", (1, 2), (), ()), MarkedTest("wire/test_a.py::test_c", (2,), (), ())]
    contract = conformance.sections(tests, {})
    lines = conformance.read(conformance.render(contract, "Run of a day."))
    assert lines == [line for section in contract for line in section.lines]
    assert lines[1].tests == ("wire/test_a.py::test_b", "wire/test_a.py::test_c")
    assert (lines[1].result, lines[2].result) == ("2 not run", conformance.NO_TEST)
