"""What clients are told of usage on either surface, streamed or whole, and the rows that a service wrote meanwhile."""

from __future__ import annotations

import http.client
import json
import random
import socket
import sqlite3
import threading
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from factories.http import Client, Reply
from factories.raw_chats import PATHS, Surface
from factories.running import RunningService

SURFACES: tuple[Surface, ...] = ("compat", "native")
QUESTIONS = ("count slowly", "count", "count", "refuse", "break")
SCRIPT = """
[[rule]]
message = "slowly"
deltas = ["one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight"]
pace_s = 0.03
[[rule]]
message = "pause"
deltas = ["one two three ", "four"]
pace_s = 60
[[rule]]
message = "refuse"
fault = { error = "ModelUnavailable" }
[[rule]]
message = "break"
deltas = ["one ", "two ", "three "]
fault = { error = "InternalError.Algo", after = 2 }
[[rule]]
deltas = ["one ", "two ", "three"]
"""
"""For the questions."""


class Told(Struct, frozen=True, order=True):
    """One request's usage, as its client or the row of the service has it."""

    request_id: str
    n_input: int
    n_output: int
    n_cached: int
    n_read: int


def ask(client: Client, model: str, question: str, *, surface: Surface, is_streamed: bool, **fields: Any) -> Reply:
    """Ask a question; the reply has as much of its body as came, and tells its usage if it came to its end.

    Raises:
        OSError, http.client.HTTPException: not even the head of a reply came.
    """
    messages = [{"role": "user", "content": question}]
    headers = {"Authorization": f"Bearer {client.key}", "Content-Type": "application/json"}
    if surface == "compat":
        options = {"stream": True, "stream_options": {"include_usage": True}} if is_streamed else {}
        body = {"model": model, "messages": messages, **options, **fields}
    else:
        body = {"model": model, "input": {"messages": messages}, "parameters": {"result_format": "message", **fields}}
        headers |= {"X-DashScope-SSE": "enable"} if is_streamed else {}
    connection = http.client.HTTPConnection(*client.service.host_and_port, timeout=60)
    try:
        connection.request("POST", PATHS[surface], json.dumps(body), headers)
        response = connection.getresponse()
        try:
            came = response.read()
        except http.client.IncompleteRead as cut:
            came = cut.partial
        except ConnectionError:
            came = b""
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, came)
    finally:
        connection.close()


def first_frame(connection: socket.socket) -> dict[str, Any]:
    """Read a stream as far as its first frame; return the JSON of that."""
    received = b""
    while b"\n\n" not in received.partition(b"data:")[2]:
        received += connection.recv(65536)
    frame: dict[str, Any] = json.loads(received.partition(b"data:")[2].partition(b"\n\n")[0])
    return frame


def told(reply: Reply) -> Told | None:
    """Return the usage that a client was told at the end of an answer; None: it had no such end."""
    if reply.status != 200 or not reply.body.endswith((b"\n\n", b"}")):
        return None
    last: dict[str, Any] = reply.events[-1] if reply.body.endswith(b"\n\n") else reply.json
    usage = last.get("usage")
    if not usage or ("output" in last and last["output"]["choices"][0]["finish_reason"] == "null"):
        return None
    details = usage.get("prompt_tokens_details", {})
    return Told(
        request_id=reply.headers["x-request-id"],
        n_input=usage.get("prompt_tokens", usage.get("input_tokens")),
        n_output=usage.get("completion_tokens", usage.get("output_tokens")),
        n_cached=details.get("cached_tokens", 0),
        n_read=details.get("read_tokens", 0),
    )


def recorded(data_dir: Path, *, outcome: Literal["ok", "cancelled", "failed"] = "ok") -> list[Told]:
    """Return what the rows of a data folder say, in the order of the requests' ids."""
    query = "SELECT request_id, n_input, n_output, n_cached, n_read FROM usage WHERE outcome = ? ORDER BY request_id"
    database = sqlite3.connect(data_dir / "longscroll.db")
    try:
        return [Told(*row) for row in database.execute(query, (outcome,))]
    finally:
        database.close()


class Ledger:
    """What many clients were told by a service that comes and goes; each request is in exactly one place."""

    def __init__(self) -> None:
        """Nobody has asked yet, and nothing runs."""
        self.service: RunningService | None = None
        self.stopped = threading.Event()
        self.told: list[Told] = []
        self.refused: set[str] = set()
        self.failed: set[str] = set()  # by an error after the first words of a stream
        self.n_cut = 0

    def keep_asking(self, seed: int) -> None:
        """Ask one question after the other until it is enough."""
        chance = random.Random(seed)
        while not self.stopped.is_set():
            service = self.service
            if service is None:
                self.stopped.wait(0.01)
                continue
            surface, is_streamed = chance.choice(SURFACES), chance.random() < 0.5
            question = chance.choice(QUESTIONS)
            try:
                reply = ask(Client(service), "scripted", question, surface=surface, is_streamed=is_streamed)
            except (OSError, http.client.HTTPException):
                self.n_cut += 1
                self.stopped.wait(0.01)
            else:
                self._enter(reply)

    def _enter(self, reply: Reply) -> None:
        usage, request_id = told(reply), reply.headers["x-request-id"]
        if usage is not None:
            self.told.append(usage)
        elif reply.status != 200:
            self.refused.add(request_id)
        elif b"internal_error" in reply.body or b"InternalError.Algo" in reply.body:
            self.failed.add(request_id)
        else:
            self.n_cut += 1
