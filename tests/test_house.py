"""The house itself: what is installed is locked, what is generated is current, and the wire contract is covered."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from factories.documents import FOLDER, build_all
from factories.marks import marked_tests

ROOT = Path(__file__).parents[1]
REQUIREMENTS = sorted(ROOT.glob("requirements/*.txt"))

REQUIRED_ITEMS = {*range(1, 21), *range(24, 114), 115, 116, *range(119, 123), 124, 125, 127, 128, 130}
"""The lines of the conformance checklist that must have a test; the others wait for a model, or are not offered."""


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_are_pinned_by_hash_and_name_no_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9._-]+==\S+.*\\$", text, re.MULTILINE)
    others = [line for line in text.splitlines() if not line.startswith(("    --hash=sha256:", "    #"))]
    assert others == pins
    assert "://" not in text


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {"runtime": project["project"]["dependencies"]} | project["dependency-groups"]
    missing = []
    for name, requirements in wanted.items():
        locked = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        names = (re.split(r"[=<>~!;\[ ]", requirement)[0].lower() for requirement in requirements)
        missing += [f"{name}: {one}" for one in names if not re.search(rf"^{re.escape(one)}==", locked, re.MULTILINE)]
    assert missing == []


def test_the_test_documents_are_as_their_factory_makes_them() -> None:
    assert {name: (FOLDER / name).read_bytes() for name in build_all()} == build_all()


def test_every_required_line_of_the_wire_contract_has_a_test() -> None:
    assert REQUIRED_ITEMS - {number for test in marked_tests() for number in test.items} == set()


def test_the_lock_of_the_node_packages_has_hashes_and_names_no_address() -> None:
    text = (ROOT / "tests" / "clients" / "node" / "package-lock.json").read_text(encoding="utf-8")
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")] == []
    assert "://" not in text
