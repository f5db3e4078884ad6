"""docs/conformance.md: the lines of the wire contract, the tests that prove them, and how those ended.

Owns the form of the table, both ways. The lines stand in tools/conformance.toml, the tests in their marks; the endings
come from a run.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from factories.marks import MarkedTest

ROOT = Path(__file__).parents[2]
LINES = ROOT / "tools" / "conformance.toml"
DOCUMENT = ROOT / "docs" / "conformance.md"
NO_TEST = "no test yet"
HEAD = """# Conformance

Every line of the wire contract, the tests that prove it, and how they ended in the last run that was written down.
`make conformance` runs them and writes this page; a test fails when lines, tests and this page disagree.

{run}
"""

Endings = Mapping[str, Counter[str]]  # of a test, its cases by outcome
_ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.*?) \| (.+?) \|$", re.MULTILINE)


class Line(Struct, frozen=True):
    """One line of the contract as the page shows it."""

    number: int
    says: str
    tests: tuple[str, ...]
    result: str


class Section(Struct, frozen=True):
    """Lines under one heading."""

    title: str
    lines: tuple[Line, ...]


def sections(tests: Iterable[MarkedTest], endings: Endings) -> list[Section]:
    """Return the contract with its tests and their endings."""
    contract = tomllib.loads(LINES.read_text(encoding="utf-8"))
    proofs: defaultdict[int, list[str]] = defaultdict(list)
    for test in tests:
        for number in test.items:
            proofs[number].append(test.id)
    return [
        Section(
            section["title"],
            tuple(
                Line(int(number), says, tuple(proofs[int(number)]), _result(number, proofs, contract, endings))
                for number, says in section["items"].items()
            ),
        )
        for section in contract["section"]
    ]


def _result(
    number: str, proofs: Mapping[int, list[str]], contract: Mapping[str, dict[str, str]], endings: Endings
) -> str:
    tests = proofs[int(number)]
    remark = contract["remarks"].get(number)
    if not tests:
        return remark or NO_TEST
    total = sum((endings.get(test, Counter({"not run": 1})) for test in tests), Counter[str]())
    order = ("failed", "passed", "skipped", "not run")
    counts = ", ".join(f"{total[outcome]} {outcome}" for outcome in order if total[outcome])
    return f"{counts}; {remark}" if remark else counts


def render(contract: Iterable[Section], run: str) -> str:
    """Write the page; ``run`` says which run the results are of."""
    parts = [HEAD.format(run=run)]
    for section in contract:
        rows = [
            f"| {line.number} | {line.says} | {'<br>'.join(f'`{test}`' for test in line.tests)} | {line.result} |"
            for line in section.lines
        ]
        parts.append(
            "\n".join([f"## {section.title}\n", "| | what holds | tests | result |", "|---|---|---|---|", *rows, ""])
        )
    return "\n".join(parts)


def read(text: str) -> list[Line]:
    """Read the lines of a page."""
    return [
        Line(int(number), says, tuple(re.findall(r"`([^`]+)`", tests)), result)
        for number, says, tests, result in _ROW.findall(text)
    ]
