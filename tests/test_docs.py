"""The documentation is true: its examples run, its links lead somewhere, and nothing that a user can set is missing.

A fenced block below `<!-- runs -->` is run as it stands, on a service at the documented address; a block below
`<!-- prints -->` is what the block before it prints, where `…` stands for anything. One below `<!-- tests -->` is a
module that pytest runs where Longscroll is installed; one below `<!-- runs with longscroll -->` is a program that runs
there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import typer.main

from factories.client_programs import ROOT
from factories.routes import all_routes
from factories.running import RunningService
from longscroll.cli import app
from longscroll.config import Config
from longscroll.protocols.dashscope import errors as native_errors
from longscroll.protocols.openai import errors as compat_errors

DOCUMENTS = (ROOT / "README.md", ROOT / "README.zh.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")))
DOCUMENTED_ADDRESS = "http://127.0.0.1:7300"
BLOCK = re.compile(r"<!-- (runs|runs with longscroll|tests|prints) -->\n+```(\w*)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


class Example(NamedTuple):
    """A runnable block and what it prints, if the document says so."""

    where: str
    kind: str
    language: str
    program: str
    prints: str | None


def examples() -> Iterator[Example]:
    for path in DOCUMENTS:
        blocks = BLOCK.findall(path.read_text(encoding="utf-8")) if path.exists() else []
        for (kind, language, program), following in pairwise([*blocks, ("", "", "")]):
            if kind != "prints" and program:
                prints = following[2] if following[0] == "prints" else None
                yield Example(f"{path.name}: {program[:40]!r}", kind, language, program, prints)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Return a service whose data folder is where the documents say it is, in a home folder of its own."""
    share = tmp_path_factory.mktemp("home") / ".local" / "share"
    share.mkdir(parents=True)
    with RunningService(share / "longscroll") as running:
        yield running


def of_kind(*kinds: str) -> pytest.MarkDecorator:
    chosen = [example for example in examples() if example.kind in kinds]
    return pytest.mark.parametrize("example", chosen, ids=lambda example: example.where)


@of_kind("runs")
def test_an_example_runs_and_prints_what_is_written(service: RunningService, example: Example) -> None:
    program = example.program.replace(DOCUMENTED_ADDRESS, service.url)
    interpreter = ROOT / ".venv-clients-latest" / "bin" / "python" if example.language == "python" else "bash"
    home = service.data_dir.parents[2]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"HOME": str(home), "PATH": path, "NO_PROXY": "*", "LANG": "C.UTF-8", "LONGSCROLL_URL": service.url}
    done = subprocess.run(
        [interpreter, "-"], input=program, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert_prints(example, done.stdout)


@of_kind("tests", "runs with longscroll")
def test_an_example_for_testing_runs(tmp_path: Path, example: Example) -> None:
    [clients] = ROOT.glob(".venv-clients-latest/lib/python*/site-packages")
    path = tmp_path / "test_example.py"
    path.write_text(example.program, encoding="utf-8")
    how = (
        ["-m", "pytest", "-q", "-p", "longscroll.fixtures", "-p", "no:cacheprovider"] if example.kind == "tests" else []
    )
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(clients), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, *how, str(path)], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert_prints(example, done.stdout)


def assert_prints(example: Example, said: str) -> None:
    if example.prints is not None:
        pattern = re.escape(example.prints.strip()).replace("…", ".*?")
        assert re.fullmatch(pattern, said.strip(), re.DOTALL), said


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.exists()], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = LINK.findall(path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in LINK.findall(index.read_text(encoding="utf-8"))}
    assert {path for path in ROOT.glob("docs/**/*.md") if path != index} - linked == set()


def commands(command: Any, name: str = "longscroll") -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name; typer's own copy of click has no public types."""
    for child in getattr(command, "commands", {}).values():
        yield from commands(child, f"{name} {child.name}")
    if not hasattr(command, "commands"):
        yield name, command


@pytest.mark.parametrize(("name", "command"), list(commands(typer.main.get_command(app))))
def test_every_command_is_documented_with_its_options(name: str, command: Any) -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    _, _, section = text.partition(f"## `{name}")
    section = section.partition("\n## ")[0]
    options = [max(parameter.opts, key=len) for parameter in command.params if parameter.param_type_name == "option"]
    shared = ("--help", "--data-dir", "--config")  # said once, at the top
    assert section
    assert [option for option in options if option not in shared and f"`{option}" not in section] == []


def settings() -> Iterator[tuple[str, str, object]]:
    """Yield section, name and default of every option; a list of tables is a section too."""
    for section in msgspec.structs.fields(Config):
        for part in msgspec.inspect.multi_type_info([section.type]):
            kind = part.item_type if isinstance(part, msgspec.inspect.VarTupleType) else part
            if isinstance(kind, msgspec.inspect.StructType):
                for field in kind.fields:
                    yield section.name, field.encode_name, field.default


@pytest.mark.parametrize(("section", "name", "default"), list(settings()))
def test_every_setting_is_documented_with_its_default(section: str, name: str, default: object) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    title = re.compile(rf"`\[+{section}\]+`")
    [rows] = [part for part in text.split("\n## ") if title.search(part.partition("\n")[0])]
    [cell] = re.findall(rf"^\| `{name}` \|([^|]*)\|", rows, re.MULTILINE)
    if isinstance(default, bool | int | float | str) and default != "":
        assert cell.strip() == f"`{default:g}`" if isinstance(default, float) else f"`{json.dumps(default)}`"


def test_every_route_is_documented() -> None:
    text = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    assert [route.path for route in all_routes() if f"`{route.method} {route.path}`" not in text] == []


def test_every_error_code_is_documented_with_its_status() -> None:
    text = (ROOT / "docs" / "http.md").read_text(encoding="utf-8").partition("## Errors")[2]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = {(row.status, row.code) for table in (compat_errors.ROWS, native_errors.ROWS) for row in table.values()}
    said = {(status, code) for status, code in rows for line in lines if str(status) in line and f"`{code}`" in line}
    assert rows - said == set()
