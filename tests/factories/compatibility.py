"""The table of docs/compatibility.md: clients and versions against what tests run with them.

Owns the form of the table. Rows and columns stand in tools/compatibility.toml, what was run in the marks of the tests,
versions in the locks.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from factories.marks import MarkedTest

ROOT = Path(__file__).parents[2]
ROWS = ROOT / "tools" / "compatibility.toml"
DOCUMENT = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- written by make conformance -->\n", "<!-- to here -->\n"


def table(tests: Iterable[MarkedTest]) -> str:
    """Return the table; a mark that names no row or column of it is an error."""
    known = tomllib.loads(ROWS.read_text(encoding="utf-8"))
    clients, columns = known["clients"], known["columns"]
    shown: dict[str, set[str]] = {client: set() for client in clients}
    n_tests = dict.fromkeys(clients, 0)
    for test in tests:
        for client in test.clients:
            shown[client].update(test.columns)
            n_tests[client] += 1
    unknown = set().union(*shown.values()) - columns.keys()
    assert unknown == set(), f"no column of {ROWS.name}: {unknown}"
    heads = ["", "version", *columns.values(), "tests"]
    rows = [
        [
            str(client["title"]),
            _version(client),
            *("✓" if column in shown[key] else "" for column in columns),
            str(n_tests[key]),
        ]
        for key, client in clients.items()
    ]
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def with_table(page: str, tests: Iterable[MarkedTest]) -> str:
    """Return the page with the table as it should be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(tests)}\n{END}{after}"


def _version(client: dict[str, Any]) -> str:
    if "version" in client:
        return str(client["version"])
    text = (ROOT / client["lock"]).read_text(encoding="utf-8")
    if client["lock"].endswith(".json"):
        return str(json.loads(text)["packages"][f"node_modules/{client['package']}"]["version"])
    [version] = re.findall(rf"^{re.escape(client['package'])}==(\S+)", text, re.MULTILINE)
    return str(version)
