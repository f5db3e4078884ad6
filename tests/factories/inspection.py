"""Looks at a running service and at its data folder from outside, and holds them against a history.

What is read of the folder is what any neighbor of it could read: files and their bytes, no module of the store.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from factories.canaries import Search, Trace, n_lines_of, tokens_on_disk
from factories.history import Fate, Harm, History, Upload
from factories.http import Client
from factories.patience import patience
from longscroll.documents.artifact import Artifact
from longscroll.errors import ArtifactError

GONE_WITHIN_S = 1.0
"""From the reply to a deletion, or from the readiness of a restarted service, until no byte may be left."""


class ArtifactWatch:
    """A reader beside the service, which opens every artifact and preview in its place and checks every byte of it."""

    def __init__(self, data_dir: Path, history: History) -> None:
        """Nothing is looked at before ``look``."""
        self._blobs = data_dir / "blobs"
        self._history = history
        self._seen: set[tuple[int, int]] = set()

    def look(self) -> None:
        """Check what was not there at the last look."""
        for pattern in ("w/*/f/*/artifact", "w/*/f/*/preview/*"):
            for path in self._blobs.glob(pattern):
                self._check(path)

    def _check(self, path: Path) -> None:
        try:
            found = path.stat()
            version = found.st_ino, found.st_mtime_ns
            if version not in self._seen:
                artifact = Artifact.open(path)
                artifact.verify()
                artifact.close()
                self._seen.add(version)
                self._history.counts["artifacts verified"] += 1
        except FileNotFoundError:  # deleted or replaced meanwhile
            pass
        except ArtifactError as error:
            self._history.harm(Harm.HALF_WRITTEN, f"{path}: {error}")


def look_for_deleted(data_dir: Path, search: Search, history: History) -> None:
    """Search every byte of the data folder for documents that were deleted long enough ago, or never came to be."""
    began = time.monotonic()
    for token, traces in search.tokens().items():
        upload = history.owner_of(token)
        if upload and upload.fate in (Fate.DELETED, Fate.ABSENT) and began - upload.since > patience(GONE_WITHIN_S):
            _found(token, traces, history)


def look_at_states(client: Client, history: History) -> None:
    """List all files: each that was acknowledged is there, its state is one that may follow, and its text is right."""
    asked_at = time.monotonic()
    listed = list_files(client)
    for upload in history.of(Fate.KEPT):
        if upload.since < asked_at and upload.file_id not in listed:
            if upload.fate is Fate.KEPT:
                history.harm(Harm.LOST, f"{upload.filename} is not listed")
        elif upload.file_id in listed and history.saw(upload, listed[upload.file_id][1], asked_at=asked_at):
            check_text(client, upload, history)


def list_files(client: Client) -> dict[str, tuple[str, str]]:
    """Return name and status of every file by its id."""
    listed: dict[str, tuple[str, str]] = {}
    after = ""
    while True:
        page = client.request("GET", f"/v1/files?limit=500{after}").json
        listed |= {file["id"]: (file["filename"], file["status"]) for file in page["data"]}
        if not page["has_more"]:
            return listed
        after = f"&after={page['data'][-1]['id']}"


def check_text(client: Client, upload: Upload, history: History) -> None:
    """Hold the text of a processed file against what was uploaded."""
    if upload.final != "processed":
        return
    reply = client.request("GET", f"/v1/files/{upload.file_id}/content")
    text = reply.body.decode()
    if upload.is_plain:
        is_right = hashlib.sha256(reply.body).hexdigest() == upload.sha256
    else:
        is_right = n_lines_of(upload.token, text) == upload.n_lines
    if not is_right and upload.fate is Fate.KEPT:
        history.harm(Harm.LOST, f"{upload.filename}: the text is not right: {reply.status} {text[:100]!r}")


def settle_open_fates(client: Client, history: History) -> None:
    """Find out by a look at the restarted service what became of the requests that broke off."""
    undecided = history.open()
    listed = list_files(client) if undecided else {}
    ids = {filename: file_id for file_id, (filename, _) in listed.items()}
    for upload in undecided:
        file_id = ids.get(upload.filename, "")
        if file_id:
            history.settle(upload, Fate.KEPT, file_id=file_id)
        else:
            history.settle(upload, Fate.ABSENT if upload.fate is Fate.SENT else Fate.DELETED)


def check_at_rest(data_dir: Path, history: History) -> None:
    """Hold the data folder against the history when nothing is under way: it has what was kept, and nothing else."""
    kept = {upload.file_id: upload for upload in history.of(Fate.KEPT)}
    for upload in kept.values():
        _check_blobs(data_dir, upload, history)
    stray = [path for path in _blob_files(data_dir) if path.parts[-2] not in kept and path.parts[-3] not in kept]
    rows = _rows(data_dir)
    for file_id in rows.keys() - kept.keys():
        history.harm(Harm.HALF_DELETED, f"a row of {file_id} ({rows[file_id]})")
    for path in [*stray, *_staged(data_dir)]:
        history.harm(Harm.LEFT, f"{path.relative_to(data_dir)} belongs to no file")
    for token, traces in tokens_on_disk(data_dir).items():
        if history.owner_of(token) not in kept.values():
            _found(token, traces, history)


def _found(token: str, traces: Iterable[Trace], history: History) -> None:
    """Report text as a harm; a name, which SQLite may leave behind in a page that it rebuilt, is counted."""
    for path, is_text in traces:
        if is_text:
            history.harm(Harm.LEFT, f"{token} in {path.name}")
        else:
            history.names_left.add(token)


def _check_blobs(data_dir: Path, upload: Upload, history: History) -> None:
    folders = list((data_dir / "blobs").glob(f"w/*/f/{upload.file_id}"))
    names = {path.name for folder in folders for path in folder.iterdir()}
    if names != {"bytes", "artifact"}:
        history.harm(Harm.LOST, f"{upload.filename} has {sorted(names)}")
    elif hashlib.sha256((folders[0] / "bytes").read_bytes()).hexdigest() != upload.sha256:
        history.harm(Harm.LOST, f"{upload.filename}: its bytes are not those that were uploaded")


def _blob_files(data_dir: Path) -> Iterator[Path]:
    return (path for path in (data_dir / "blobs" / "w").rglob("*") if path.is_file())


def _staged(data_dir: Path) -> list[Path]:
    return [path for path in (data_dir / "blobs" / "staging").rglob("*") if path.is_file() and path.name != "lock"]


def _rows(data_dir: Path) -> dict[str, str]:
    with closing(sqlite3.connect(f"file:{data_dir / 'longscroll.db'}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT id, status FROM files").fetchall())
