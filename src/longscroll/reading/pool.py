"""The reader processes, as the service sees them: so many at a time, each doing one task, replaced when it breaks.

Owns starting, feeding, killing and replacing them, and the bounded queue before them. Runs on the event loop and does
no reading itself; knows no document.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from itertools import count

import msgspec
import structlog
from msgspec import Struct

from longscroll.engines.base import Prompt
from longscroll.engines.extractive import Composition
from longscroll.errors import (
    ArtifactError,
    DocumentError,
    DocumentErrorKind,
    EngineFailed,
    EngineTimeout,
    FileGone,
    Overloaded,
)
from longscroll.reading.evidence import ReadingOptions
from longscroll.reading.messages import Composed, ComposeTask, Failed, Read, ReaderReply, ReaderTask, ReadTask
from longscroll.reading.process import LENGTH

RESTART_PAUSE_S = 1.0
_log = structlog.get_logger(__name__)
_DECODER: msgspec.msgpack.Decoder[ReaderReply] = msgspec.msgpack.Decoder(ReaderReply)
_ENCODER = msgspec.msgpack.Encoder()
_ERRORS: dict[str, Callable[[str], Exception]] = {
    "FileGone": FileGone,
    "ArtifactError": ArtifactError,
    "DocumentError": lambda message: DocumentError(DocumentErrorKind.BLANK, message),
}


class PoolOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many readers, and how patient."""

    n_readers: int = 1
    max_waiting: int = 64  # tasks waiting for a reader; one more is refused
    timeout_s: float = 60.0  # a task that takes longer loses its reader
    grace_s: float = 0.1  # a task whose caller is gone may take so long before its reader is killed


class ReaderDied(Exception):
    """The process ended before it replied; the pool tries another."""


class Readers:
    """A pool of reader processes. Start it before use, stop it at the end; every method belongs to one event loop."""

    def __init__(self, options: PoolOptions, reading: ReadingOptions) -> None:
        self._options = options
        self._reading = reading
        self._idle: asyncio.LifoQueue[_Process] = asyncio.LifoQueue()
        self._all: set[_Process] = set()
        self._cleanups: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self._n_waiting = 0

    async def start(self) -> None:
        """Start the processes; they load in the background."""
        for process in await asyncio.gather(*(_Process.start(self._reading) for _ in range(self._options.n_readers))):
            self._all.add(process)
            self._idle.put_nowait(process)

    async def stop(self) -> None:
        """End the processes."""
        for cleanup in list(self._cleanups):
            cleanup.cancel()
        await asyncio.gather(*(process.kill() for process in self._all), *self._cleanups, return_exceptions=True)
        self._all.clear()

    async def read(self, task: ReadTask) -> Read:
        """Find the evidence for a question; the task's number is given here.

        Raises:
            FileGone: an artifact is gone.
            ArtifactError: an artifact is damaged.
            DocumentError: an inline document is blank.
            Overloaded: too many tasks wait already.
            EngineFailed: two readers died over it. EngineTimeout: it took too long.
        """
        reply = await self._do(msgspec.structs.replace(task, task=next(self._numbers)))
        assert isinstance(reply, Read)
        return reply

    async def compose(self, prompt: Prompt) -> Composition:
        """Let the embedded engine write an answer; raises as ``read`` does."""
        reply = await self._do(ComposeTask(task=next(self._numbers), prompt=prompt))
        assert isinstance(reply, Composed)
        return Composition(parts=reply.parts, abstained=reply.abstained)

    async def _do(self, task: ReaderTask) -> Read | Composed:
        try:
            return _checked(await self._try(task))
        except ReaderDied:
            pass
        try:
            return _checked(await self._try(task))
        except ReaderDied as error:
            raise EngineFailed("Reading the documents failed twice; this was logged.") from error

    async def _try(self, task: ReaderTask) -> ReaderReply:
        process = await self._acquire()
        job = asyncio.create_task(process.ask(task))
        grace_s = 0.0
        try:
            return await asyncio.wait_for(asyncio.shield(job), self._options.timeout_s)
        except TimeoutError as error:
            raise EngineTimeout("Reading the documents took too long.") from error
        except asyncio.CancelledError:
            grace_s = self._options.grace_s
            raise
        finally:
            if job.done() and not job.cancelled() and job.exception() is None:
                self._idle.put_nowait(process)
            else:
                self._clean_up(process, job, grace_s=grace_s)

    async def _acquire(self) -> _Process:
        if self._n_waiting >= self._options.max_waiting:
            raise Overloaded("Too many questions are being read; please try again later.")
        self._n_waiting += 1
        try:
            return await self._idle.get()
        finally:
            self._n_waiting -= 1

    def _clean_up(self, process: _Process, job: asyncio.Task[ReaderReply], *, grace_s: float) -> None:
        cleanup = asyncio.create_task(self._recover(process, job, grace_s))
        self._cleanups.add(cleanup)
        cleanup.add_done_callback(self._cleanups.discard)

    async def _recover(self, process: _Process, job: asyncio.Task[ReaderReply], grace_s: float) -> None:
        """Bring a reader back to the idle ones: itself if it still finishes in time, else another in its place."""
        await asyncio.wait([job], timeout=grace_s)
        if job.done() and job.exception() is None:
            self._idle.put_nowait(process)
            return
        job.cancel()
        self._all.discard(process)
        await asyncio.gather(process.kill(), job, return_exceptions=True)
        fresh = await self._start_again()
        self._all.add(fresh)
        self._idle.put_nowait(fresh)

    async def _start_again(self) -> _Process:
        """Start a process, however long the system refuses to; until then its place in the pool is empty."""
        while True:
            try:
                return await _Process.start(self._reading)
            except OSError as error:
                _log.warning("a reader cannot be started", reason=str(error))
                await asyncio.sleep(RESTART_PAUSE_S)


class _Process:
    """One reader process; it does one task at a time."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    @classmethod
    async def start(cls, options: ReadingOptions) -> _Process:
        settings = msgspec.json.encode(options).decode()
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "longscroll.reading.process", settings)
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))

    async def ask(self, task: ReaderTask) -> ReaderReply:
        stdin, stdout = self._child.stdin, self._child.stdout
        assert stdin is not None
        assert stdout is not None
        data = _ENCODER.encode(task)
        try:
            stdin.write(LENGTH.pack(len(data)))
            stdin.write(data)
            await stdin.drain()
            (size,) = LENGTH.unpack(await stdout.readexactly(LENGTH.size))
            return _DECODER.decode(await stdout.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ReaderDied from error

    async def kill(self) -> None:
        if self._child.returncode is None:
            self._child.kill()
        await self._child.wait()


def _checked(reply: ReaderReply) -> Read | Composed:
    if isinstance(reply, Failed):
        raise _ERRORS.get(reply.error, EngineFailed)(reply.message)
    return reply
