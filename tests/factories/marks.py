"""What the tests say of themselves in their marks: which lines of the wire contract, which clients.

Read from the source, so that it needs no run and holds for tests that are skipped here. Knows no table.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

TESTS = Path(__file__).parents[1]

Marks = dict[str, tuple[object, ...]]


class MarkedTest(Struct, frozen=True):
    """A test function; its marks stand above it or, if they are its module's, at the top."""

    id: str  # "wire/test_chat.py::test_that"
    items: tuple[int, ...]
    clients: tuple[str, ...]
    columns: tuple[str, ...]


def marked_tests(folder: Path = TESTS) -> Iterator[MarkedTest]:
    """Yield every test of a folder that has any of the marks, by path and place."""
    for path in sorted(folder.glob("**/test_*.py")):
        module = ast.parse(path.read_bytes())
        shared = _marks(node for statement in module.body for node in _module_marks(statement))
        for function in module.body:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name.startswith("test_"):
                marks = shared | _marks(function.decorator_list)
                if marks.keys() & {"item", "client", "shows"}:
                    yield _marked(f"{path.relative_to(folder)}::{function.name}", marks)


def _marked(test_id: str, marks: Marks) -> MarkedTest:
    items = tuple(number for number in marks.get("item", ()) if isinstance(number, int))
    clients, columns = (tuple(map(str, marks.get(name, ()))) for name in ("client", "shows"))
    return MarkedTest(test_id, items, clients, columns)


def _module_marks(statement: ast.stmt) -> list[ast.expr]:
    if not isinstance(statement, ast.Assign) or ast.unparse(statement.targets[0]) != "pytestmark":
        return []
    return statement.value.elts if isinstance(statement.value, ast.List) else [statement.value]


def _marks(nodes: Iterable[ast.expr]) -> Marks:
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    named = {ast.unparse(call.func).removeprefix("pytest.mark."): call.args for call in calls}
    wanted = {name: arguments for name, arguments in named.items() if name in {"item", "client", "shows"}}
    return {name: tuple(ast.literal_eval(one) for one in arguments) for name, arguments in wanted.items()}
