"""A model server of a few lines: speaks the OpenAI protocols of chat, streamed and whole, embeddings and rerank.

It keeps every request it saw, and says always the same; a question with the words `never end` is answered until the
caller leaves. Not a model, and no part of the product.
"""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

PIECES = ("Spring ", "has come, ", "the flowers\n", "are out. 春天来了。")
ANSWER = "".join(PIECES)


class ModelServer:
    """Use as a context manager; ``requests`` are the bodies seen, ``left`` is set when a caller hung up."""

    def __init__(self) -> None:
        """Listen on a free port of the loopback."""
        self.requests: list[dict[str, Any]] = []
        self.left = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"model_server": self}))
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
    model_server: ModelServer

    def do_GET(self) -> None:
        self._reply({"object": "list", "data": [{"id": "tiny", "object": "model", "max_model_len": 8192}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.model_server.requests.append(body)
        if self.path.endswith("/embeddings"):
            self._reply(_embeddings(body["input"]))
        elif self.path.endswith("/rerank"):
            self._reply(_ranking(body["query"], body["documents"]))
        else:
            self._chat(body)

    def _chat(self, body: dict[str, Any]) -> None:
        question = body["messages"][-1]["content"]
        if not body.get("stream"):
            self._reply(_completion(ANSWER))
            return
        try:
            self._stream(question)
        except OSError:
            self.model_server.left.set()

    def _stream(self, question: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for piece in PIECES:
            self._event(_chunk(piece))
        while "never end" in question:
            self._event(_chunk("and on "))
            time.sleep(0.02)
        self._event(_chunk("", "stop"))
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, chunk: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()

    def _reply(self, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing."""


def _chunk(text: str, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "tiny", "choices": [choice]}


def _completion(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 9, "total_tokens": 10}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "tiny", "choices": [choice], "usage": usage}


def _embeddings(texts: list[str]) -> dict[str, Any]:
    vectors = [{"object": "embedding", "index": n, "embedding": [len(text), 0.5]} for n, text in enumerate(texts)]
    return {"object": "list", "model": "tiny", "data": vectors, "usage": {"prompt_tokens": 7, "total_tokens": 7}}


def _ranking(query: str, documents: list[str]) -> dict[str, Any]:
    shares = [sum(char in query for char in document) / len(document) for document in documents]
    results = [{"index": n, "relevance_score": share} for n, share in enumerate(shares)]
    return {"model": "tiny", "results": results, "usage": {"total_tokens": 9}}
