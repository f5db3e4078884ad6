"""``longscroll doctor``: look at this installation, say what is right, and what to do about what is not."""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from msgspec import Struct
from rich.console import Console
from rich.progress import Progress

from longscroll import __version__
from longscroll.app import probe_upstreams, verification
from longscroll.cli.configured import configured
from longscroll.config import Config
from longscroll.documents.contain import landlock_version
from longscroll.errors import ConfigError, LongscrollError
from longscroll.services.verify import Problem, Verification
from longscroll.tokens import load_counter

_FREE_BYTES_WANTED = 1 << 30


class Finding(Struct, frozen=True):
    """One thing looked at. ``advice`` is empty when all is well."""

    what: str
    is_ok: bool
    found: str
    advice: str = ""


def run(config_file: Path | None, data_dir: Path | None, *, verify: bool, repair: bool, as_json: bool) -> None:
    """Print every finding as it is made; exit status 1 when something must be mended."""
    if repair and not verify:
        raise ConfigError("--repair mends what --verify finds; give both.")
    show = _print_json if as_json else _print_lines
    is_well = True
    try:
        config = configured(config_file, data_dir)
        for finding in examine(config, is_thorough=verify):
            show(finding)
            is_well = is_well and finding.is_ok
        if verify:
            is_well = asyncio.run(_verify(config, show, repair=repair)) and is_well
    except ConfigError as error:
        show(Finding("configuration", False, str(error), "Mend the option that it names."))
        is_well = False
    except LongscrollError as error:
        show(Finding("files", False, str(error), "They cannot be checked before that is mended."))
        is_well = False
    if not is_well:
        sys.exit(1)


def _print_json(finding: Finding) -> None:
    row = {name: getattr(finding, name) for name in finding.__struct_fields__}
    sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def _print_lines(finding: Finding) -> None:
    sys.stdout.write(f"{'ok  ' if finding.is_ok else 'MEND'}  {finding.what}: {finding.found}\n")
    if finding.advice:
        sys.stdout.write(f"      {finding.advice}\n")


def examine(config: Config, *, is_thorough: bool = False) -> Iterator[Finding]:
    """Yield the findings, cheapest first; ``is_thorough``: read the database's indexes too."""
    yield Finding("version", True, f"longscroll {__version__}, Python {platform.python_version()}")
    yield _vocabulary()
    yield _containment()
    yield _space(config.data_dir)
    yield from _database(config.data_dir / "longscroll.db", "integrity_check" if is_thorough else "quick_check")
    yield from _upstreams(config)


def _vocabulary() -> Finding:
    if load_counter().is_exact:
        return Finding("vocabulary", True, "Qwen, token counts are exact")
    return Finding("vocabulary", False, "absent, token counts are estimates", "Run `make setup`.")


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


def _database(path: Path, check: Literal["quick_check", "integrity_check"]) -> Iterator[Finding]:
    if not path.exists():
        yield Finding("database", True, "not there yet; the first `longscroll serve` makes it")
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            verdict = connection.execute(f"PRAGMA {check}").fetchone()[0]
            counts = dict(connection.execute("SELECT status, count(*) FROM files GROUP BY status").fetchall())
    except sqlite3.Error as error:
        verdict, counts = f"{path} cannot be read: {error}", {}
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


async def _verify(config: Config, show: Callable[[Finding], None], *, repair: bool) -> bool:
    """Check every stored file; returns whether nothing is left to be mended."""
    if not (config.data_dir / "longscroll.db").exists():
        show(Finding("files", True, "none yet"))
        return True
    async with verification(config) as room:
        began = time.monotonic()
        n_files, n_bytes, problems = await _check(room)
        took_s = time.monotonic() - began
        findings = [await _found(room, problem, repair=repair) for problem in problems]
    for finding in findings:
        show(finding)
    n_left = sum(not finding.is_ok for finding in findings)
    found = f"{n_files} checked, {n_bytes / 1e6:.1f} MB in {took_s:.1f} s ({n_bytes / 1e6 / took_s:.0f} MB/s)"
    if findings:
        found += f"; {len(findings)} problems, {len(findings) - n_left} mended"
    show(Finding("files", n_left == 0, found))
    return n_left == 0


async def _check(room: Verification) -> tuple[int, int, list[Problem]]:
    """Run the check behind a progress bar; returns how many files and bytes were read, and what is wrong."""
    n_files, n_bytes, problems = 0, 0, []
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("checking files", total=await room.n_files())
        async with aclosing(room.run()) as events:
            async for event in events:
                if isinstance(event, Problem):
                    problems.append(event)
                    continue
                n_files, n_bytes = n_files + 1, n_bytes + event.n_bytes
                progress.advance(bar)
    return n_files, n_bytes, problems


async def _found(room: Verification, problem: Problem, *, repair: bool) -> Finding:
    """Return what to say of a problem, mended where that is wanted and can be."""
    what = f"file {problem.file_id}"
    found = f"{problem.filename}: {problem.what}" if problem.filename else problem.what
    if repair and problem.can_be_parsed_again and await room.parse_again(problem):
        return Finding(what, True, f"{found}; it is queued, a running service or the next one parses it again")
    return Finding(what, False, found, problem.advice)
