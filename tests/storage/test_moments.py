"""Where a process may die in the middle of durable work, in the order in which it passes there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, sys
from pathlib import Path
from factories.storage import make_file, put_blob
from longscroll.storage.base import blob_prefix
from longscroll.storage.blobs import LocalBlobs
from longscroll.storage.database import Database
from longscroll.telemetry import observe_moments

async def main():
    folder = Path(sys.argv[1])
    async with Database(folder / "longscroll.db") as database, LocalBlobs(folder / "blobs") as blobs:
        observe_moments(lambda moment: print(moment, *sorted(p.name for p in (folder / "blobs/w").rglob("part-*"))))
        for part in ("part-1", "part-2"):
            await put_blob(blobs, blob_prefix("acme", "file-fe-1") + part, b"content")
        await database.files.add(make_file())
        await blobs.delete_prefix(blob_prefix("acme", "file-fe-1"))
        print("done")

asyncio.run(main())
"""


def test_every_durable_step_is_a_moment(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, check=True, text=True, env=environment).stdout
    assert printed.splitlines() == [
        "blob.forced",
        "blob.renamed part-1",
        "blob.forced part-1",
        "blob.renamed part-1 part-2",
        "row.written part-1 part-2",
        "row.committed part-1 part-2",
        "blob.deleted part-2",
        "blob.deleted",
        "done",
    ]
