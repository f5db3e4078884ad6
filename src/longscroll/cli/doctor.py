"""``longscroll doctor``: look at this installation, say what is right, and what to do about what is not."""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from rich.console import Console

from longscroll import __version__
from longscroll.app import probe_upstreams
from longscroll.cli.configured import configured
from longscroll.config import Config
from longscroll.documents.contain import landlock_version
from longscroll.errors import LongscrollError
from longscroll.tokens import load_counter

_FREE_BYTES_WANTED = 1 << 30


class Finding(Struct, frozen=True):
    """One thing looked at. ``advice`` is empty when all is well."""

    what: str
    is_ok: bool
    found: str
    advice: str = ""


def run(config_file: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Print every finding; exit status 1 when something must be mended."""
    try:
        config = configured(config_file, data_dir)
        findings = list(examine(config))
    except LongscrollError as error:
        findings = [Finding("configuration", False, str(error), "Mend the option that it names.")]
    if as_json:
        for finding in findings:
            row = {name: getattr(finding, name) for name in finding.__struct_fields__}
            sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
    else:
        console = Console(highlight=False)
        for finding in findings:
            console.print(f"{'ok  ' if finding.is_ok else 'MEND'}  {finding.what}: {finding.found}", soft_wrap=True)
            if finding.advice:
                console.print(f"      {finding.advice}", soft_wrap=True)
    if not all(finding.is_ok for finding in findings):
        sys.exit(1)


def examine(config: Config) -> Iterator[Finding]:
    """Yield the findings, cheapest first."""
    yield Finding("version", True, f"longscroll {__version__}, Python {platform.python_version()}")
    yield _vocabulary()
    yield _containment()
    yield _space(config.data_dir)
    yield from _database(config.data_dir / "longscroll.db")
    yield from _upstreams(config)


def _vocabulary() -> Finding:
    if load_counter().is_exact:
        return Finding("vocabulary", True, "Qwen, token counts are exact")
    return Finding("vocabulary", False, "absent, token counts are estimates", "Run `make vocabulary`.")


def _containment() -> Finding:
    version = landlock_version()
    if version:
        return Finding("containment", True, f"resource limits and Landlock (ABI {version})")
    return Finding("containment", True, "resource limits; this kernel has no Landlock")


def _space(data_dir: Path) -> Finding:
    folder = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    found = f"{data_dir}, {free / 1e9:.1f} GB free"
    if free < _FREE_BYTES_WANTED:
        return Finding("data folder", False, found, "Free some space, or choose another --data-dir.")
    return Finding("data folder", True, found)


def _database(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield Finding("database", True, "not there yet; the first `longscroll serve` makes it")
        return
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
        counts = dict(connection.execute("SELECT status, count(*) FROM files GROUP BY status").fetchall())
    found = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "no files"
    if verdict == "ok":
        yield Finding("database", True, found)
    else:
        yield Finding("database", False, verdict, "Restore the data folder from a backup.")


def _upstreams(config: Config) -> Iterator[Finding]:
    if not config.upstream:
        yield Finding("model server", True, "none configured; answers are quotations from the documents")
        return
    for name, url, problem in asyncio.run(probe_upstreams(config)):
        advice = "Start it, or correct its address." if problem else ""
        yield Finding(f"model server {name}", not problem, problem or f"answers at {url}", advice)
