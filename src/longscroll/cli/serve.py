"""``longscroll serve``: the service as a process; one line on standard output when it answers."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from longscroll.app import build_application, found_model_servers
from longscroll.cli.configured import configured
from longscroll.cli.listening import CalmServer, announce, listen
from longscroll.cli.stopping import end_soon
from longscroll.config import TestingOptions
from longscroll.errors import StartupError
from longscroll.protocols.asgi import Application
from longscroll.protocols.connection import GuardedConnection
from longscroll.telemetry import configure_logging, log_loop_trouble

UVICORN_ECHO = "Application startup failed. Exiting."
"""What uvicorn adds to every refused start; the reason itself is our one line."""


TICK_S = 1.0
"""How often the date that every reply carries is set."""


TESTING_IS_ON = "[testing] is on: whoever has a key can make this service fail. Leave it out unless that is wanted."


class Server(CalmServer):
    """uvicorn, which says when it answers, and goes on listening while the application drains."""

    def __init__(
        self, config: uvicorn.Config, application: Application, *, drain_s: float, looks_for_models: bool
    ) -> None:
        """Serve ``application`` as ``config`` says; running requests have ``drain_s`` to finish at the end."""
        super().__init__(config)
        self._application = application
        self._drain_s = drain_s
        self._looks_for_models = looks_for_models
        self._looking: asyncio.Task[None] | None = None
        self._is_told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, then print the one line."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(log_loop_trouble)
        try:
            await super().startup(sockets)
        except SystemExit:
            raise self._application.startup_error or StartupError("The service could not start; see above.") from None
        if self.started:
            gc.freeze()  # what is here stays; to look through it again and again would hold the loop for 50 ms
            announce("Longscroll is ready at", self.servers[0].sockets[0])
            if self._looks_for_models:
                self._looking = asyncio.create_task(_tell_model_servers())

    async def main_loop(self) -> None:
        """Run until a signal comes."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._is_told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what runs finish while new connections are still told to go elsewhere; then close everything."""
        until = time.monotonic() + self._drain_s
        draining = asyncio.create_task(self._application.drained(within_s=self._drain_s))
        while not draining.done():
            await self.on_tick(0)
            await asyncio.wait([draining], timeout=TICK_S)
        self.config.timeout_graceful_shutdown = max(1, int(until - time.monotonic()))  # for what is sent, but not taken
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves it out; without it, no store is closed
            await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, leave at the second, whichever signals they are."""
        if self.should_exit:
            self.force_exit = True
            end_soon()
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._obey)

    def _obey(self) -> None:
        self._is_told.set()
        if self.force_exit:
            self._application.give_up()


def run(
    config_file: Path | None,
    data_dir: Path | None,
    server: dict[str, Any],
    *,
    upstream: str | None,
    upstream_model: str | None,
) -> None:
    """Run the service until a signal ends it."""
    config = configured(config_file, data_dir, server, upstream=upstream, upstream_model=upstream_model)
    configure_logging(level=config.server.log_level)
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.getMessage() != UVICORN_ECHO)
    _allow_many_connections()
    if config.testing != TestingOptions():
        sys.stderr.write(f"{TESTING_IS_ON}\n")
    listener = listen(config.server.host, config.server.port)
    application = build_application(config)
    settings = uvicorn.Config(
        application,
        loop="uvloop",
        http=GuardedConnection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=300,
    )
    uvicorn_server = Server(settings, application, drain_s=config.server.drain_s, looks_for_models=not config.upstream)
    uvicorn_server.run(sockets=[listener])


def _allow_many_connections() -> None:
    """Take as many descriptors as this user may have: a thousand streams take a thousand."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems say infinity and mean less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _tell_model_servers() -> None:
    for url, names in await found_model_servers():
        name = names[0] if names else "NAME"
        sys.stderr.write(
            f"A model server answers at {url}. To let it write the answers:\n"
            f"  longscroll serve --upstream {url} --upstream-model {name}\n"
        )
