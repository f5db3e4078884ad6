"""``longscroll record`` and ``longscroll replay``: another service's replies kept in a file, and given again."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from longscroll.cli.listening import CalmServer, announce, listen
from longscroll.errors import StartupError
from longscroll.testing.exchanges import Exchange, Recording, RecordingError, load
from longscroll.testing.recorder import Recorder
from longscroll.testing.replayer import Pace, Replayer

HOST = "127.0.0.1"


def record(path: Path, *, upstream: str, port: int) -> None:
    """Pass requests on to ``upstream`` and append every exchange to a file, until a signal ends it.

    Raises:
        StartupError: ``upstream`` is no address, or the port cannot be used.
        RecordingError: the file cannot be written, or no more of it; the client has its reply all the same.
    """
    parts = urlsplit(upstream)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StartupError(f"--upstream must be an address such as https://dashscope.aliyuncs.com, got {upstream!r}.")
    recording = Recording(path)
    failures: list[RecordingError] = []

    def keep(exchange: Exchange) -> None:
        try:
            recording.add(exchange)
        except RecordingError as error:
            failures.append(error)
            signal.raise_signal(signal.SIGTERM)  # ends the server as a user would: a recording with gaps is none

    try:
        _serve("Longscroll records at", Recorder(upstream, keep), port)
    finally:
        recording.close()
    if failures:
        raise failures[0]


def replay(path: Path, *, port: int, pace: Pace) -> None:
    """Reply with recorded exchanges, until a signal ends it."""
    exchanges = load(path)
    sys.stderr.write(f"{len(exchanges)} exchanges in {path}\n")
    _serve("Longscroll replays at", nullcontext(Replayer(exchanges, pace=pace)), port)


def _serve(words: str, application: AbstractAsyncContextManager[Any], port: int) -> None:
    listener = listen(HOST, port)
    logging.getLogger("uvicorn.error").setLevel(
        logging.CRITICAL
    )  # it takes a reply that is cut on purpose for a mistake
    asyncio.run(_run(words, application, listener))


async def _run(words: str, application: AbstractAsyncContextManager[Any], listener: socket.socket) -> None:
    async with application as app:
        settings = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # that of the recorded service is passed on
            timeout_graceful_shutdown=1,
        )
        listener.listen()
        announce(words, listener)
        await CalmServer(settings).serve(sockets=[listener])
