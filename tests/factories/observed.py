"""The real service as a process that can be asked how its event loop fares: delays, tasks, when requests have ended.

``ObservedService`` is what tests and benchmarks hold; the rest runs inside the service's process, beside the product,
which knows nothing of it. Run as a program it puts an observer on the event loop, then runs the command line.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import socket
import sys
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from factories.running import RunningService
from longscroll.cli import main

TICK_S = 0.005
REQUEST = "RequestResponseCycle.run_asgi"
"""The coroutine of every task that serves a request, by uvicorn's name."""


class LoopDelay:
    """Samples by how much a timer of the running loop fires late, at fixed times, 200 a second.

    A tick that a long stall swallowed counts with the delay that it had: the samples say how long something that
    happens at any moment waits for the loop. uvloop's timers have whole milliseconds, so that an idle loop shows up to
    one.
    """

    def __init__(self) -> None:
        self._late_s = array("d")

    async def sample(self) -> None:
        """Sample until cancelled."""
        due = time.perf_counter() + TICK_S
        while True:
            await asyncio.sleep(math.ceil((due - time.perf_counter()) * 1e3) / 1e3)
            now = time.perf_counter()
            while due <= now:
                self._late_s.append(now - due)
                due += TICK_S

    def take(self) -> array[float]:
        """Return the samples since the last call, in seconds."""
        taken, self._late_s = self._late_s, array("d")
        return taken


class _Observer:
    """Answers one question a connection, about the loop that it runs on."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._delay = LoopDelay()
        self._own: set[asyncio.Task[Any] | None] = set()

    async def live(self) -> None:
        self._own.add(asyncio.current_task())
        server = await asyncio.start_unix_server(self._converse, self._address)
        async with server:
            await self._delay.sample()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._own.add(task)
        question = (await reader.readline()).decode().split()
        writer.write(await self._answer(question))
        writer.close()
        self._own.discard(task)

    async def _answer(self, question: Sequence[str]) -> bytes:
        if question[0] == "delays":
            return self._delay.take().tobytes()  # as bytes, because a long text would delay the loop
        if question[0] == "ended":
            return json.dumps(await self._ended(int(question[1]))).encode()
        return json.dumps(self._tasks()).encode()

    async def _ended(self, n_left: int) -> float:
        """Wait until no more than ``n_left`` requests are being served; return when, by the monotonic clock."""
        while self._tasks()[REQUEST] > n_left:
            await asyncio.sleep(0.001)
        return time.perf_counter()

    def _tasks(self) -> Counter[str]:
        others = (task.get_coro() for task in asyncio.all_tasks() if task not in self._own)
        return Counter(getattr(one, "__qualname__", "?") for one in others)


class ObservedService(RunningService):
    """``longscroll serve`` with an observer on its event loop."""

    def __init__(
        self, data_dir: Path, *, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a service on ``data_dir`` and wait until it says that it answers."""
        self._folder = tempfile.mkdtemp(prefix="observed-")  # a path that is short enough for a socket
        self._address = f"{self._folder}/loop"
        paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        super().__init__(
            data_dir,
            program=("-m", "factories.observed", self._address),
            arguments=arguments,
            environment={"PYTHONPATH": os.pathsep.join(paths), **(environment or {})},
        )

    def delays_s(self) -> array[float]:
        """Return by how much the loop was late at each tick since the last call."""
        return array("d", self._ask("delays"))

    def tasks(self) -> dict[str, int]:
        """Return the tasks of the loop by the names of their coroutines."""
        tasks: dict[str, int] = json.loads(self._ask("tasks"))
        return tasks

    def n_requests(self) -> int:
        """Return how many requests are being served."""
        return self.tasks().get(REQUEST, 0)

    def ended_at(self, *, n_left: int = 0) -> float:
        """Wait until no more than ``n_left`` requests are being served; return when, as ``time.perf_counter`` would."""
        at: float = json.loads(self._ask(f"ended {n_left}"))
        return at

    def _ask(self, question: str) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self._address)
            connection.sendall(question.encode() + b"\n")
            answer = b""
            while data := connection.recv(1 << 16):
                answer += data
        return answer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        shutil.rmtree(self._folder, ignore_errors=True)


def observe(address: str) -> None:
    """Have every uvicorn server of this process observed from its start on."""
    start = uvicorn.Server.startup
    observing: set[asyncio.Task[None]] = set()

    async def startup(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        observing.add(asyncio.create_task(_Observer(address).live()))
        await start(server, sockets)

    uvicorn.Server.startup = startup  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    observe(sys.argv.pop(1))
    main()
