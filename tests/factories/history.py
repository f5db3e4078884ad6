"""What was asked of a service and what it said, and what must therefore be true: the judge of a run with kills.

Every upload is one entry whose fate is known, or open while its request is under way or broke off. Any thread may write
here. Knows no process and no disk; times are ``time.monotonic()``.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from enum import StrEnum

from msgspec import Struct

from factories.canaries import Document

FINAL = ("processed", "error")


class Harm(StrEnum):
    """What must never happen."""

    LOST = "acknowledged uploads lost"
    HALF_WRITTEN = "half-written artifacts seen"
    CHANGED = "states changed after the final one"
    UNREAD = "healthy files that ended in an error"
    LEFT = "deleted bytes found"
    HALF_DELETED = "deletions half visible"
    ORPHAN = "orphans"
    REFUSED = "unexpected replies"
    LATE = "files not in their final state in time"


class Fate(StrEnum):
    """How an upload stands, as far as its client can know."""

    SENT = "sent"
    KEPT = "kept"  # acknowledged
    ASKED = "asked"  # to be deleted
    DELETED = "deleted"  # acknowledged
    ABSENT = "absent"  # it never came to be


class Upload(Struct, kw_only=True):
    """One document on its way; only ``History`` writes here."""

    token: str
    filename: str
    sha256: str
    n_lines: int
    is_plain: bool
    is_small: bool
    fate: Fate = Fate.SENT
    since: float  # when it came to this fate
    is_open: bool = False  # the request that decides its fate broke off
    file_id: str = ""
    final: str = ""  # the state that was seen
    final_at: float = 0.0


class History:
    """All uploads of a run, what was seen of them, and every harm."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}
        self.harms: list[tuple[Harm, str]] = []
        self.counts: Counter[str] = Counter()
        self.names_left: set[str] = set()  # of deleted files

    def harm(self, kind: Harm, words: str) -> None:
        """Write down what must not have happened."""
        if (kind, words) not in self.harms:
            self.harms.append((kind, words))

    def send(self, document: Document) -> Upload:
        """Write down that a document is about to be uploaded."""
        upload = Upload(
            token=document.token,
            filename=document.filename,
            sha256=document.sha256,
            n_lines=document.n_lines,
            is_plain=document.is_plain,
            is_small=document.is_small,
            since=time.monotonic(),
        )
        with self._lock:
            self._uploads[upload.token] = upload
        return upload

    def settle(self, upload: Upload, fate: Fate, *, file_id: str = "") -> None:
        """Write down what became of an upload, by a reply or by a look at the restarted service."""
        with self._lock:
            if fate is not Fate.KEPT or not upload.file_id:  # a deletion that did not take place keeps it once more
                self.counts[fate] += 1
            upload.file_id = file_id or upload.file_id
            upload.fate, upload.since, upload.is_open = fate, time.monotonic(), False

    def break_off(self, upload: Upload) -> None:
        """Write down that the service died over a request."""
        with self._lock:
            upload.is_open = True

    def ask_to_delete(self, upload: Upload) -> bool:
        """Take an upload for deletion; False when somebody else has."""
        with self._lock:
            if upload.fate is not Fate.KEPT:
                return False
            upload.fate, upload.since = Fate.ASKED, time.monotonic()
            return True

    def of(self, *fates: Fate) -> list[Upload]:
        """Return the uploads of these fates, oldest first."""
        with self._lock:
            return [upload for upload in self._uploads.values() if upload.fate in fates]

    def open(self) -> list[Upload]:
        """Return the uploads whose fate only a look can tell."""
        with self._lock:
            return [upload for upload in self._uploads.values() if upload.is_open]

    def saw(self, upload: Upload, status: str, *, asked_at: float) -> bool:
        """Write down a state that the service told; True when it is the final one, for the first time."""
        with self._lock:
            if upload.final:
                if status != upload.final and asked_at > upload.final_at:
                    self.harm(Harm.CHANGED, f"{upload.filename}: {upload.final}, then {status}")
                return False
            if status not in FINAL:
                return False
            upload.final, upload.final_at = status, time.monotonic()
        if status == "error":
            self.harm(Harm.UNREAD, upload.filename)
        return True

    def owner_of(self, token: str) -> Upload | None:
        """Return the upload that a token is of; None for what nobody sent."""
        return self._uploads.get(token)
