"""A model server that repeats what it was asked wherever a server may say something: errors, headers, broken streams.

The model's name says how it fails. No part of the product.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

FAILURES = ("refuses", "breaks", "overloads", "babbles", "garbles", "fails-inside", "cuts")
"""The names of its models."""


class TelltaleServer:
    """Use as a context manager."""

    def __init__(self) -> None:
        """Listen on a free port of the loopback."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        models = [{"id": name, "object": "model", "max_model_len": 8192} for name in FAILURES]
        self._reply(200, json.dumps({"object": "list", "data": models}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        error = json.dumps({"error": {"message": f"I will not answer {body}", "type": body, "code": body}})
        piece = "data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": "So "}}]}) + "\n\n"
        match json.loads(body)["model"]:
            case "refuses":
                self._reply(400, error)
            case "breaks":
                self._reply(500, error)
            case "overloads":
                self._reply(429, error)
            case "babbles":
                self._reply(200, f"<html>{body}</html>", kind="text/html")
            case "garbles":
                self._reply(200, f"{piece}data: {{{body}\n\n", kind="text/event-stream")
            case "fails-inside":
                self._reply(200, f"{piece}data: {error}\n\n", kind="text/event-stream")
            case _:
                self._reply(200, piece, kind="text/event-stream")

    def _reply(self, status: int, body: str, *, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        pass
