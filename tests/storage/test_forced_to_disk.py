"""What is acknowledged is on the disk itself: every force to disk, in its order, as called and as the system saw it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from factories.storage import put_blob
from longscroll.storage.base import blob_prefix
from longscroll.storage.blobs import LocalBlobs

PREFIX = blob_prefix("acme", "file-fe-1")
NAME = PREFIX + "original"
ABOVE = ["w/acme/f/file-fe-1", "w/acme/f", "w/acme", "w", "."]  # each folder holds the name of the one before
PROGRAM = """
import asyncio, sys
from pathlib import Path
from longscroll.storage.blobs import LocalBlobs

async def main():
    async with LocalBlobs(Path(sys.argv[1])) as blobs:
        staged = blobs.staging_path()
        staged.write_bytes(b"content")
        await blobs.adopt(staged, sys.argv[2])

asyncio.run(main())
"""


class Recorder:
    """Notes what is forced to disk, and whether the blob was in its place by then."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.calls: list[tuple[str, bool]] = []

    def __call__(self, path: Path) -> None:
        self.calls.append((str(path.relative_to(self._root)), (self._root / NAME).exists()))


async def test_a_file_is_forced_before_it_is_renamed_and_every_folder_after(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    async with LocalBlobs(tmp_path, force_to_disk=recorder) as blobs:
        staged = await put_blob(blobs, NAME, b"content")
    assert recorder.calls == [(str(staged.relative_to(tmp_path)), False), *((folder, True) for folder in ABOVE)]


async def test_a_deletion_forces_the_folder_that_stays(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    async with LocalBlobs(tmp_path, force_to_disk=recorder) as blobs:
        await put_blob(blobs, NAME, b"content")
        await put_blob(blobs, blob_prefix("acme", "file-fe-2") + "original", b"content")
        recorder.calls.clear()
        await blobs.delete_prefix(PREFIX)
    assert recorder.calls == [("w/acme/f", False)]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to see what the system is asked")
def test_the_system_is_asked_for_all_of_it(tmp_path: Path) -> None:
    trace, root = tmp_path / "trace", tmp_path / "blobs"
    watched = "trace=fsync,fdatasync,rename,renameat,renameat2"
    command = ["strace", "-f", "-y", "-e", watched, "-o", str(trace), sys.executable, "-c", PROGRAM, str(root), NAME]
    if subprocess.run(command, capture_output=True).returncode != 0 or not trace.exists():
        pytest.skip("tracing a process is not allowed here")
    calls = re.findall(rf"(fsync|rename\w*)\(.*?{re.escape(str(root))}/?([^\">]*)", trace.read_text())
    staged = calls[0][1]
    assert staged.startswith("staging/")
    kinds = [("fsync" if kind == "fsync" else "rename", path or ".") for kind, path in calls]
    assert kinds == [("fsync", staged), ("rename", staged), *(("fsync", folder) for folder in ABOVE)]
