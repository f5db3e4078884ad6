"""The option that writes what a run has shown into docs/: `pytest -m item --write-results`, or `make conformance`."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from datetime import UTC, datetime

import pytest
from hypothesis import settings

from factories import compatibility, conformance
from factories.marks import marked_tests

settings.register_profile("shared", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("shared")


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "write docs/conformance.md and docs/compatibility.md from this run; with --collect-only the second alone"
    parser.addoption("--write-results", action="store_true", help=words)


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")  # of pytest-xdist: its reports come to the process that started it
    if config.getoption("--write-results") and not is_worker:
        config.pluginmanager.register(Results())


class Results:
    """Collects how each test ended, its cases together, and writes the tables at the end."""

    def __init__(self) -> None:
        self._endings: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a case when it was called, or when it did not come to that."""
        if report.when == "call" or report.outcome != "passed":
            test = report.nodeid.removeprefix("tests/").partition("[")[0]
            self._endings[test][report.outcome] += 1

    def pytest_sessionfinish(self) -> None:
        """Write the tables."""
        tests = list(marked_tests())
        page = compatibility.DOCUMENT.read_text(encoding="utf-8")
        compatibility.DOCUMENT.write_text(compatibility.with_table(page, tests), encoding="utf-8")
        if self._endings:
            run = f"Run of {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.system()}."
            contract = conformance.sections(tests, self._endings)
            conformance.DOCUMENT.write_text(conformance.render(contract, run), encoding="utf-8")
