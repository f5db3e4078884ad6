"""The reader processes, as the service sees them: so many at a time, each doing one task, replaced when it ends.

Owns starting, feeding, killing and replacing them, and the bounded queue before them. Each has a place in the pool and
a keeper there, which notices by itself that it ended. Runs on the event loop and does no reading; knows no document.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

import msgspec
import structlog
from msgspec import Struct

from longscroll.documents.spawned import N_EARLY_DEATHS, command, keep_running
from longscroll.engines.base import Prompt
from longscroll.engines.extractive import Composition
from longscroll.errors import (
    ArtifactError,
    DocumentError,
    DocumentErrorKind,
    EngineFailed,
    EngineTimeout,
    FileGone,
    ModelUnavailable,
    Overloaded,
    StartupError,
)
from longscroll.reading.evidence import ReadingOptions
from longscroll.reading.messages import Composed, ComposeTask, Failed, Read, ReaderReply, ReaderTask, ReadTask
from longscroll.reading.process import LENGTH, READY
from longscroll.reading.turns import WaitingLine

COMMAND = command("longscroll.reading.process")
READY_WITHIN_S = 60.0
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
    grace_s: float = 0.05  # a task whose caller is gone may take so long before its reader is killed
    restart_pause_s: float = 1.0  # at a place that is failing; doubles up to half a minute


class Load(Struct, frozen=True, kw_only=True):
    """How busy a pool is."""

    n_readers: int
    n_busy: int
    n_waiting: int  # tasks
    n_restarts: int  # processes that took the place of one that ended


class ReaderDied(Exception):
    """The process ended before it replied; the pool tries another."""


class Readers:
    """A pool of reader processes. Start it before use, stop it at the end; every method belongs to one event loop."""

    def __init__(self, options: PoolOptions, reading: ReadingOptions, *, command: Sequence[str] = COMMAND) -> None:
        self._options = options
        self._reading = reading
        self._command = command
        self._idle: list[_Process] = []  # the last one worked last: its memory is the warmest
        self._waiting: WaitingLine[_Process] = WaitingLine()
        self._serving: asyncio.TimerHandle | None = None
        self._keepers: list[asyncio.Task[None]] = []
        self._cleanups: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self._failing: set[int] = set()  # places
        self._is_known = asyncio.Event()  # whether it works: a reader is ready, or every place is failing
        self._n_started = 0
        self._n_busy = 0

    @property
    def is_healthy(self) -> bool:
        """Whether a question can be read, at once or soon; False when readers die before they are ready, everywhere."""
        return len(self._failing) < self._options.n_readers

    @property
    def load(self) -> Load:
        """How busy they are."""
        n_readers = self._options.n_readers
        n_restarts = max(0, self._n_started - n_readers)
        return Load(n_readers=n_readers, n_busy=self._n_busy, n_waiting=len(self._waiting), n_restarts=n_restarts)

    async def start(self) -> None:
        """Start the processes; they load in the background."""
        self._keepers = [asyncio.create_task(self._keep(place)) for place in range(self._options.n_readers)]

    async def wait_until_ready(self) -> None:
        """Wait for the first reader that is ready.

        Raises:
            StartupError: none will be.
        """
        await self._is_known.wait()
        if not self.is_healthy:
            raise StartupError("The processes that read documents end before they are ready; the lines above say why.")

    async def stop(self) -> None:
        """End the processes; tasks that still wait for one are refused."""
        for keeper in self._keepers:
            keeper.cancel()
        self._failing.update(range(self._options.n_readers))
        self._refuse_waiting()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*self._cleanups, return_exceptions=True)

    async def read(self, task: ReadTask) -> Read:
        """Find the evidence for a question; the task's number is given here.

        Raises:
            FileGone: an artifact is gone.
            ArtifactError: an artifact is damaged.
            DocumentError: an inline document is blank.
            Overloaded: too many tasks wait already.
            EngineFailed: two readers died over it. EngineTimeout: it took too long. ModelUnavailable: no reader lives.
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
        self._n_busy += 1
        grace_s = 0.0
        try:
            return await asyncio.wait_for(asyncio.shield(job), self._options.timeout_s)
        except TimeoutError as error:
            raise EngineTimeout("Reading the documents took too long.") from error
        except asyncio.CancelledError:
            grace_s = self._options.grace_s
            raise
        finally:
            self._n_busy -= 1
            self._waiting.used()
            if job.done() and not job.cancelled() and job.exception() is None:
                self._release(process)
            else:
                self._clean_up(process, job, grace_s=grace_s)

    async def _acquire(self) -> _Process:
        if self._idle and self._waiting.is_open:
            return self._idle.pop()
        if not self.is_healthy:
            raise _no_reader()
        if len(self._waiting) >= self._options.max_waiting:
            raise Overloaded("Too many questions are being read; please try again later.")
        turn = self._waiting.join()
        self._serve_waiting()
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:  # it came in the same moment
                self._release(turn.result())
            raise
        finally:
            self._waiting.leave(turn)

    def _release(self, process: _Process) -> None:
        """Give a reader to who is next, or to the idle ones; one that has ended is its keeper's to replace."""
        if process.exit_code is not None:
            return
        self._idle.append(process)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        """Give what is idle to those who wait: now, or when those that can wait may have it."""
        while self._idle and (turn := self._waiting.next()):
            turn.set_result(self._idle.pop())
        if self._idle and self._waiting:
            if self._serving is not None:
                self._serving.cancel()
            loop = asyncio.get_running_loop()
            self._serving = loop.call_later(self._waiting.courtesy_s, self._serve_waiting)

    def _refuse_waiting(self) -> None:
        for turn in self._waiting.everybody():
            turn.set_exception(_no_reader())

    def _clean_up(self, process: _Process, job: asyncio.Task[ReaderReply], *, grace_s: float) -> None:
        cleanup = asyncio.create_task(self._recover(process, job, grace_s))
        self._cleanups.add(cleanup)
        cleanup.add_done_callback(self._cleanups.discard)

    async def _recover(self, process: _Process, job: asyncio.Task[ReaderReply], grace_s: float) -> None:
        """Keep a reader that still finishes in time; end one that does not: its keeper replaces it."""
        await asyncio.wait([job], timeout=grace_s)
        if job.done() and job.exception() is None:
            self._release(process)
            return
        job.cancel()
        await asyncio.gather(process.kill(), job, return_exceptions=True)

    async def _keep(self, place: int) -> None:
        """Keep a place filled."""

        async def rest(n_early_deaths: int, pause_s: float) -> None:
            if n_early_deaths == N_EARLY_DEATHS:
                self._give_up(place)
            await asyncio.sleep(pause_s)

        await keep_running(lambda: self._live(place), rest, pause_s=self._options.restart_pause_s)

    async def _live(self, place: int) -> bool:
        """Run one reader from its start to its end; returns whether it got ready."""
        is_ready = False
        try:
            process = await _Process.start(self._command, self._reading)
        except OSError as error:
            _log.warning("a reader cannot be started", reason=str(error))
            return is_ready
        self._n_started += 1
        try:
            is_ready = await process.is_ready()
            if is_ready:
                self._welcome(place, process)
                await process.ended()
        finally:
            with suppress(ValueError):
                self._idle.remove(process)
            await process.kill()
        if not process.was_killed:
            _log.warning("a reader died", was_ready=is_ready, exit_code=process.exit_code)
        return is_ready

    def _welcome(self, place: int, process: _Process) -> None:
        if place in self._failing:
            _log.info("readers start again", place=place)
        self._failing.discard(place)
        self._is_known.set()
        self._release(process)

    def _give_up(self, place: int) -> None:
        _log.error("readers die before they are ready", place=place)
        self._failing.add(place)
        if not self.is_healthy:
            self._is_known.set()
            self._refuse_waiting()


class _Process:
    """One reader process; it does one task at a time."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        self.was_killed = False

    @classmethod
    async def start(cls, command: Sequence[str], options: ReadingOptions) -> _Process:
        settings = msgspec.json.encode(options).decode()
        pipe = asyncio.subprocess.PIPE
        starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, settings, stdin=pipe, stdout=pipe))
        try:
            return cls(await asyncio.shield(starting))
        except asyncio.CancelledError:
            with suppress(OSError):  # it could not be started
                await cls(await starting).kill()  # a loop forgets a process whose start is canceled
            raise

    @property
    def exit_code(self) -> int | None:
        return self._child.returncode

    async def is_ready(self) -> bool:
        """Wait until it has loaded; False when it ends before, or takes for ever."""
        assert self._child.stdout is not None
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                if await self._child.stdout.read(len(READY)):
                    return True
                await self.ended()  # by itself, so that its exit code says why
        except (ConnectionError, TimeoutError):
            pass
        return False

    async def ask(self, task: ReaderTask) -> ReaderReply:
        stdout = self._child.stdout
        assert stdout is not None
        try:
            await self._send(_ENCODER.encode(task))
            (size,) = LENGTH.unpack(await stdout.readexactly(LENGTH.size))
            return _DECODER.decode(await stdout.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ReaderDied from error

    async def _send(self, data: bytes) -> None:
        stdin = self._child.stdin
        assert stdin is not None
        try:
            stdin.write(LENGTH.pack(len(data)))
            stdin.write(data)
        except RuntimeError as error:  # what uvloop raises, and asyncio does not, once the other end is closed
            raise ReaderDied from error
        await stdin.drain()

    async def ended(self) -> None:
        await self._child.wait()

    async def kill(self) -> None:
        if self._child.returncode is None:
            self.was_killed = True
            self._child.kill()
        await self._child.wait()


def _checked(reply: ReaderReply) -> Read | Composed:
    if isinstance(reply, Failed):
        raise _ERRORS.get(reply.error, EngineFailed)(reply.message)
    return reply


def _no_reader() -> ModelUnavailable:
    return ModelUnavailable("The processes that read documents are not running; the log says why.")
