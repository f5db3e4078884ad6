"""Clients that leave in the middle of an answer, and when the work for them has stopped, seen from outside.

A ``Stage`` is a real service with one reader, a scripted model and a model server that notes to the millisecond when it
is left. What a request is to wait for is held up by stopping the process that would do it, so that nothing ends by
itself. Times are seconds from closing the socket.
"""

from __future__ import annotations

import json
import queue
import select
import signal
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, get_args

import psutil

from factories.http import Client
from factories.observed import ObservedService
from factories.raw_chats import Surface, chat_request
from factories.raw_server import chunk

WAITS = (
    "local answer",
    "local silence",
    "upstream answer",
    "upstream silence",
    "a reader at work",
    "a free reader",
    "a parse",
)
"""What an answer is doing when its client leaves: it is written, or something is waited for."""
NOTES = "The lighthouse of Quarrel Point was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"
BEGUN_S = 0.15
"""After so long what was sent has come to where it is held up."""
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_RULES = (
    {"message": "answer", "deltas": ["and on "] * 1000, "pace_s": 0.02},
    {"fault": {"error": "silence"}},
)


class Case(NamedTuple):
    """One way to leave."""

    waits_for: str  # one of WAITS
    surface: Surface
    is_streamed: bool


CASES = tuple(Case(*one) for one in product(WAITS, get_args(Surface), (True, False)))


class LeftServer(socketserver.ThreadingTCPServer):
    """A model server that says ``and on`` for ever, or nothing; ``left`` gets the time at which each caller left."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _LeftHandler)
        self.asked: queue.Queue[None] = queue.Queue()
        self.left: queue.Queue[float] = queue.Queue()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _LeftHandler(socketserver.StreamRequestHandler):
    server: LeftServer

    def handle(self) -> None:
        length = 0
        while (line := self.rfile.readline().strip().lower()) != b"":
            length = int(line.partition(b":")[2]) if line.startswith(b"content-length") else length
        speaks = b"answer" in self.rfile.read(length)
        self.server.asked.put(None)
        with suppress(ConnectionError):
            if speaks:
                self.request.sendall(_HEAD)
            while not self._is_left(0.02 if speaks else 30):
                self.request.sendall(chunk("and on "))
        self.server.left.put(time.perf_counter())

    def _is_left(self, within_s: float) -> bool:
        readable, _, _ = select.select([self.request], [], [], within_s)
        return bool(readable) and self.request.recv(1) == b""


class Stage:
    """A service that is left. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Start it with its data below ``folder``."""
        self.server = LeftServer()
        self.service = ObservedService(folder / "data", arguments=["--config", str(self._write_config(folder))])
        self.client = Client(self.service)
        self._notes = self.client.upload("notes.txt", NOTES.encode())
        self.client.parsed(self._notes)
        self._ways: dict[str, Callable[[Case], float]] = {
            "local answer": self._local,
            "local silence": self._local,
            "upstream answer": self._upstream,
            "upstream silence": self._upstream,
            "a reader at work": self._reader,
            "a free reader": self._free_reader,
            "a parse": self._parse,
        }

    def leave(self, case: Case) -> float:
        """Ask, leave, and return how long after that the work went on."""
        return self._ways[case.waits_for](case)

    def _write_config(self, folder: Path) -> Path:
        (folder / "answers.jsonl").write_text("\n".join(json.dumps(rule) for rule in _RULES))
        config = folder / "longscroll.toml"
        config.write_text(
            f'[server]\nworkers = 1\n[[upstream]]\nname = "watched"\nurls = ["{self.server.url}"]\n'
            '[[model]]\nname = "remote"\nengine = "upstream"\nupstream = "watched"\ncontext_window = 8192\n'
            f'[[model]]\nname = "local"\nengine = "scripted"\nscript = "{folder / "answers.jsonl"}"\n'
        )
        return config

    def _local(self, case: Case) -> float:
        connection = self.ask(case, "local", case.waits_for)
        self._hear(connection, case)
        return left(connection, self.service.ended_at)

    def _upstream(self, case: Case) -> float:
        connection = self.ask(case, "remote", case.waits_for)
        self.server.asked.get(timeout=10)
        self._hear(connection, case)
        return left(connection, lambda: self.server.left.get(timeout=10))

    def _reader(self, case: Case) -> float:
        self.client.ask("Who kept bees?", self._notes)  # so the reader is there, and idle
        [reader] = self.service.family.readers()
        reader.suspend()
        connection = self.ask(case, "qwen-long", "Who kept bees?", [self._notes])
        time.sleep(BEGUN_S)
        return left(connection, lambda: ended_at(reader))

    def _free_reader(self, case: Case) -> float:
        self.client.ask("Who kept bees?", self._notes)
        [reader] = self.service.family.readers()
        with held([reader]), self.ask(case, "qwen-long", "Who kept bees?", [self._notes]):
            second = self.ask(case, "qwen-long", "Who kept bees?", [self._notes])
            time.sleep(BEGUN_S)
            seconds = left(second, lambda: self.service.ended_at(n_left=1))
        self.service.ended_at()
        return seconds

    def _parse(self, case: Case) -> float:
        with held(self.service.family.zygotes()):
            file_id = self.client.upload("held.txt", NOTES.encode())
            connection = self.ask(case, "qwen-long", "Who kept bees?", [file_id])
            time.sleep(BEGUN_S)
            seconds = left(connection, self.service.ended_at)
        self.client.parsed(file_id)
        return seconds

    def ask(self, case: Case, model: str, question: str, file_ids: Sequence[str] = ()) -> socket.socket:
        """Send a question and return its connection."""
        references = ",".join(f"fileid://{file_id}" for file_id in file_ids)
        connection = socket.create_connection(self.service.host_and_port, timeout=10)
        connection.sendall(
            chat_request(
                self.client,
                question,
                surface=case.surface,
                model=model,
                references=references,
                is_streamed=case.is_streamed,
            )
        )
        return connection

    def _hear(self, connection: socket.socket, case: Case) -> None:
        """Wait until the answer is under way; only a stream says so."""
        if case.is_streamed and case.waits_for.endswith("answer"):
            while b"and on" not in connection.recv(1 << 16):
                pass
        else:
            time.sleep(BEGUN_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.service.__exit__(kind, error, trace)
        self.server.shutdown()
        self.server.server_close()


def left(connection: socket.socket, stopped_at: Callable[[], float]) -> float:
    """Close a connection; return the seconds until the work had stopped."""
    closed_at = time.perf_counter()
    connection.close()
    return stopped_at() - closed_at


def ended_at(process: psutil.Process, *, within_s: float = 10) -> float:
    """Wait until a process has ended, whether it was waited for or not; return when."""
    until = time.perf_counter() + within_s
    while time.perf_counter() < until:
        with suppress(psutil.NoSuchProcess):
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                time.sleep(0.001)
                continue
        return time.perf_counter()
    raise AssertionError(f"process {process.pid} lives after {within_s} s")


def idle_at(process: psutil.Process, *, still_s: float = 0.3) -> float:
    """Wait until a process has used no CPU for ``still_s``, or has ended; return when it last used some."""
    last_ns, at = -1, time.perf_counter()
    while time.perf_counter() < at + still_s:
        now_ns = cpu_ns(process)
        if now_ns > last_ns:
            last_ns, at = now_ns, time.perf_counter()
        time.sleep(0.001)
    return at


def cpu_ns(process: psutil.Process) -> int:
    """Return the CPU time of a process, to its scheduler's last tick; 0 when it is gone."""
    with suppress(OSError):
        return sum(int(one.read_text().split()[0]) for one in Path(f"/proc/{process.pid}/task").glob("*/schedstat"))
    return 0


@contextmanager
def held(processes: list[psutil.Process]) -> Iterator[None]:
    """Stop processes, and let them go on at the end."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)
