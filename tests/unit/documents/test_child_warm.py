"""A contained child can open no module any more: all that parsing needs is loaded before it is forked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from io import BytesIO
from pathlib import Path
from longscroll.documents.build import build_artifact
from longscroll.documents.child import warm_up
from longscroll.errors import DocumentError
from longscroll.parsing.formats import parse
from longscroll.tokens import load_counter
counter = load_counter()
warm_up(counter)
loaded = set(sys.modules)
for path in map(Path, sys.argv[1:]):
    with path.open("rb") as file:
        try:
            build_artifact(parse(file, path.name), BytesIO(), counter)
        except DocumentError:
            pass
print(sorted(set(sys.modules) - loaded))
"""
ROOT = Path(__file__).parents[3]
FOLDERS = (ROOT / "tests" / "documents", *(ROOT.parent / "shared" / "samples").glob("*"))


def test_no_module_is_loaded_while_files_are_parsed() -> None:
    files = [str(path) for folder in FOLDERS for path in sorted(folder.glob("*")) if path.name != "stream_bomb.pdf"]
    ended = subprocess.run([sys.executable, "-c", PROGRAM, *files], capture_output=True, text=True, timeout=100)
    assert (ended.stdout, ended.returncode) == ("[]\n", 0), ended.stderr
