"""An event loop of simulated processes in virtual time: nothing waits, and a seed decides who goes first.

Owns time and order. What is ready within one process runs in its order, as asyncio promises; between processes the seed
chooses. A process can be stopped, for a while or for ever, between any two of its steps, as by SIGSTOP and SIGKILL.
Knows no store and no file.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from random import Random
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(AssertionError):
    """Somebody waits for something that nobody will do."""


class OutOfTime(AssertionError):
    """The history goes on for longer than it may."""


class Lane:
    """The share of the loop that is one simulated process: all that it has ready, in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.is_stopped = False


LANE: ContextVar[Lane] = ContextVar("LANE")
"""Whose code is running; each task inherits it."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs lanes until the clock reaches ``limit_s``, virtual seconds from 0."""

    def __init__(self, random: Random, *, limit_s: float) -> None:
        super().__init__()
        self.is_over = False  # then whatever tasks complain of is no more of interest
        self.tasks: list[asyncio.Task[Any]] = []  # all of them: who is dead must not be collected, that would run it
        self._random = random
        self._limit_s = limit_s
        self._now = 0.0
        self.main = Lane("main")
        self._lanes = [self.main]
        self._timers: list[tuple[float, int, Lane, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._complaint: BaseException | None = None

    def add_lane(self, name: str) -> Lane:
        """Begin a process."""
        lane = Lane(name)
        self._lanes.append(lane)
        return lane

    def spawn(self, lane: Lane, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``work`` as a task of a process."""
        context = copy_context()
        context.run(LANE.set, lane)
        return self.create_task(work, context=context)

    def time(self) -> float:
        """Return virtual seconds."""
        return self._now

    def create_task(self, *args: Any, **named: Any) -> asyncio.Task[Any]:
        """Begin a task, which stays alive as long as the loop."""
        task: asyncio.Task[Any] = super().create_task(*args, **named)
        self.tasks.append(task)
        return task

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Put a callback at the end of its process's lane."""
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        context.get(LANE, self.main).ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # there are no threads

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Put a callback into its process's lane at a time."""
        context = copy_context() if context is None else context
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), context.get(LANE, self.main), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it; it is skipped when its time comes."""

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Do the work here and now; what a thread would raise is raised at once."""
        future: asyncio.Future[T] = self.create_future()
        future.set_result(func(*args))
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Let the history fail by whatever nobody caught."""
        if not self.is_over and self._complaint is None:
            self._complaint = context.get("exception") or AssertionError(context["message"])

    def end(self) -> None:
        """Cancel all that is left of every process, the dead too; whoever they call must answer nothing by now."""
        self.is_over = True
        self._complaint = None
        self._limit_s = float("inf")
        for lane in self._lanes:
            lane.is_stopped = False
        for _ in range(100):
            tasks = [task for task in self.tasks if not task.done()]
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.run_until_complete(asyncio.wait(tasks, timeout=1.0))
        self.close()

    def _run_once(self) -> None:
        """Take one step of one process that is ready; when none is, go on to the next moment at which one will be."""
        if self._complaint is not None:
            raise self._complaint
        lanes = [lane for lane in self._lanes if lane.ready and not lane.is_stopped]
        if not lanes:
            self._advance()
            return
        lane = lanes[0] if len(lanes) == 1 else lanes[int(self._random.random() * len(lanes))]
        handle = lane.ready.popleft()
        if not handle.cancelled():
            handle._run()

    def _advance(self) -> None:
        while self._timers and self._timers[0][3].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            raise Deadlock(f"Nothing is ready and nothing will be, {self._now:.3f} s from the beginning.")
        self._now = max(self._now, self._timers[0][0])
        if self._now > self._limit_s:
            raise OutOfTime(f"The history did not end within {self._limit_s:.0f} s.")
        while self._timers and self._timers[0][0] <= self._now:
            _, _, lane, timer = heapq.heappop(self._timers)
            lane.ready.append(timer)
