"""Clients of a service that may die at any time: they upload, ask, list and delete, and write down what they were told.

Each loop is for a thread of its own. A request that breaks off while the service lives is a harm; one that breaks off
because it died leaves an open fate, which ``inspection`` settles after the restart.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from factories.canaries import Document, docx_document, make_token, pdf_document, text_document
from factories.history import Fate, Harm, History, Upload
from factories.http import Client, Reply
from factories.running import RunningService

NOT_NOW = (429, 503)
"""Documented refusals of a service that has enough to do."""

PAUSE_S = 0.01
_DYING_S = 2.0
N_FILES = 50  # that there are at most, about


class Gone(Exception):
    """The service died over a request."""


class Clients:
    """What all threads of a workload share: the service of now, the history, and when to stop."""

    def __init__(self, history: History, seed: int) -> None:
        """Nobody asks before there is a ``service``."""
        self.history = history
        self.service: RunningService | None = None
        self.stopped = threading.Event()
        self._seed = seed

    def chance(self, name: str) -> random.Random:
        """Return the random numbers of one thread."""
        return random.Random(f"{self._seed} {name}")

    def request(self, send: Callable[[Client], Reply]) -> Reply:
        """Send one request to the service of now; waits while there is none.

        Raises:
            Gone: it died before it had answered, or the workload is over.
        """
        while (service := self.service) is None:
            if self.stopped.wait(PAUSE_S):
                raise Gone
        try:
            return send(Client(service))
        except (OSError, http.client.HTTPException) as error:
            if not _dies(service):
                self.history.harm(Harm.REFUSED, f"a living service broke off: {error!r}")
            raise Gone from error

    def upload(self, document: Document) -> Upload:
        """Upload a document, and write down how that ended."""
        upload = self.history.send(document)
        try:
            reply = self.request(lambda client: client.send_file(document.filename, document.data))
        except Gone:
            self.history.break_off(upload)
            raise
        if reply.status == 200:
            self.history.settle(upload, Fate.KEPT, file_id=reply.json["id"])
        else:
            self._refused("upload", reply)
            self.history.settle(upload, Fate.ABSENT)
        return upload

    def delete(self, upload: Upload) -> None:
        """Delete a file and look at once whether it is gone from everywhere; another's turn is left to it."""
        if not self.history.ask_to_delete(upload):
            return
        try:
            reply = self.request(lambda client: client.request("DELETE", f"/v1/files/{upload.file_id}"))
        except Gone:
            self.history.break_off(upload)
            raise
        if reply.status == 200:
            self.history.settle(upload, Fate.DELETED)
            self.look_for(upload)
        else:
            self._refused("delete", reply)
            self.history.settle(upload, Fate.KEPT)

    def look_for(self, upload: Upload) -> None:
        """Look on every surface for a file that was deleted."""
        file_id = upload.file_id
        for path in (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content", f"/api/v1/files/{file_id}"):
            reply = self.request(lambda client, path=path: client.request("GET", path))  # type: ignore[misc]
            if reply.status == 200:
                self.history.harm(Harm.HALF_DELETED, f"{upload.filename} at {path}: {reply.body[:100]!r}")
        reply = self.request(lambda client: client.chat(("system", f"fileid://{file_id}"), ("user", "How long?")))
        if reply.status not in (400, 404):
            self.history.harm(Harm.HALF_DELETED, f"{upload.filename} in a chat: {reply.body[:200]!r}")

    def ask(self, upload: Upload, *, day: int, stream: bool) -> None:
        """Ask about a file; a wrong answer is a harm, unless it was deleted meanwhile."""
        turns = (("system", f"fileid://{upload.file_id}"), ("user", f"How long did the lamp burn on day {day}?"))
        reply = self.request(lambda client: client.chat(*turns, stream=stream))
        is_whole = reply.status == 200 and (not stream or reply.body.endswith(b"data: [DONE]\n\n"))
        if is_whole:
            self.history.counts["answers"] += 1
        elif upload.fate is Fate.KEPT:
            self._refused("chat", reply)

    def _refused(self, what: str, reply: Reply) -> None:
        if reply.status in NOT_NOW:
            self.history.counts["refused for now"] += 1
        else:
            self.history.harm(Harm.REFUSED, f"{what}: {reply.status} {reply.body[-300:]!r}")


Act = Callable[[Clients, random.Random], None]


def upload_any(clients: Clients, chance: random.Random) -> None:
    """Upload a document of any kind: most are small, a few take seconds."""
    token = make_token(chance)
    kind = chance.choices(("text", "long text", "docx", "pdf", "long pdf"), (12, 1, 3, 3, 1))[0]
    if kind == "docx":
        document = docx_document(token, n_lines=chance.randrange(10, 400))
    elif kind.endswith("pdf"):
        document = pdf_document(token, n_pages=chance.randrange(200, 900) if kind == "long pdf" else 5)
    else:
        document = text_document(
            token,
            size_bytes=chance.randrange(300_000, 2_000_000) if "long" in kind else int(1000 * 100 ** chance.random()),
        )
    clients.upload(document)
    clients.stopped.wait(chance.uniform(0.1, 0.9))


def ask_any(clients: Clients, chance: random.Random) -> None:
    """Ask about a file, parsed or not, streamed or not."""
    kept = clients.history.of(Fate.KEPT)
    if kept:
        clients.ask(chance.choice(kept), day=chance.randrange(10), stream=chance.random() < 0.5)
    clients.stopped.wait(chance.uniform(0.05, 0.4))


def delete_any(clients: Clients, chance: random.Random) -> None:
    """Delete a file, one that has just come as likely as an old one; more often the more there are."""
    kept = clients.history.of(Fate.KEPT)
    if len(kept) > chance.randrange(N_FILES):
        clients.delete(chance.choice(kept[-3:] if chance.random() < 0.5 else kept))
    clients.stopped.wait(chance.uniform(0.05, 0.3))


def keep_doing(act: Act, clients: Clients, name: str) -> None:
    """Act until the workload is over."""
    chance = clients.chance(name)
    while not clients.stopped.is_set():
        with suppress(Gone):
            act(clients, chance)


def _dies(service: RunningService) -> bool:
    """Whether the process of a service is gone, or is just going."""
    end = time.monotonic() + _DYING_S
    while service.process.poll() is None:
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE_S)
    return True
