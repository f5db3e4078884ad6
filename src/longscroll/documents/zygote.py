"""The service's hold on one zygote process: start it, give it files, hear from its children, end it.

Runs on the event loop and never blocks it. Knows no retry, no deadline and no store: those are the pool's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import msgspec

from longscroll.documents.messages import (
    ChildBegun,
    ChildEnded,
    ChildTask,
    Frames,
    KillTask,
    ParseRange,
    ParserReply,
    ZygoteReady,
    ZygoteReply,
    frame,
)
from longscroll.documents.spawned import command

_READ_BYTES = 1 << 16
_READY_WITHIN_S = 60.0
_FORKED_WITHIN_S = 10.0
_ENVIRONMENT = {  # no secret, no thread; large pages, because a child touches most of its memory once
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


class ZygoteLost(Exception):
    """The zygote ended; its children ended with it. Hardly ever is one of their files to blame."""


class NoZygote(ZygoteLost):
    """The zygote could not be started, or ended or fell silent before it was ready; no file is to blame."""


class Child:
    """One child: what it says, in order, then how it ended."""

    def __init__(self, task: int, stream: socket.socket) -> None:
        self.task = task
        self.stream = stream
        self.frames = Frames()
        self.begun = asyncio.Event()
        self.ended: ChildEnded | None = None
        self._events: asyncio.Queue[ParserReply | ChildEnded | None] = asyncio.Queue()

    def send(self, message: ParseRange) -> None:
        """Tell the child what comes next; one that is gone says so by itself."""
        with suppress(OSError):
            self.stream.send(frame(message))

    async def next(self) -> ParserReply | ChildEnded:
        """Wait for the next message; ChildEnded is the last.

        Raises:
            ZygoteLost: there is no zygote any more, so no child.
        """
        event = await self._events.get()
        if event is None:
            raise ZygoteLost
        return event

    def put(self, event: ParserReply | ChildEnded | None) -> None:
        """Add a message; None for the loss of the zygote."""
        self._events.put_nowait(event)


class Zygote:
    """One running zygote; made by ``start``."""

    def __init__(self, process: Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._frames = Frames()
        self._decoder = msgspec.msgpack.Decoder(ZygoteReply)
        self._child_decoder = msgspec.msgpack.Decoder(ParserReply)
        self._children: dict[int, Child] = {}
        self._ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._lost = asyncio.Event()
        asyncio.get_running_loop().add_reader(control.fileno(), self._hear)

    @classmethod
    async def start(cls) -> Self:
        """Start the process; it is ready a second later, ``begin`` waits for that."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command("longscroll.documents.child"),
                    str(theirs.fileno()),
                    stdin=DEVNULL,
                    stdout=DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # an interrupt at the terminal is the service's to handle
                    env=_ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
            except OSError:
                ours.close()
                raise
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_lost(self) -> bool:
        """Whether the process is gone, or as good as gone."""
        return self._lost.is_set()

    async def until_ready(self) -> bool:
        """Wait until everything is loaded; returns whether children are kept from all files.

        Raises:
            NoZygote: it ended before, or takes for ever.
        """
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                return await asyncio.shield(self._ready)
        except TimeoutError as error:
            raise NoZygote from error

    async def until_lost(self) -> None:
        """Wait until the process is gone."""
        await self._lost.wait()

    async def begin(self, task: ChildTask, descriptors: Sequence[int]) -> Child:
        """Give files to read and then one to write to a new child; the descriptors stay the caller's.

        A zygote that forks none for a while hangs, and is ended; no file is to blame.

        Raises:
            ZygoteLost: there is none to take them. NoZygote: there never was.
        """
        await self.until_ready()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        child = Child(task.task, ours)
        self._children[task.task] = child
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear_child, child)
        with theirs:
            self._send(frame(task), [*descriptors, theirs.fileno()])
        try:
            async with asyncio.timeout(_FORKED_WITHIN_S):
                await child.begun.wait()
        except TimeoutError as error:
            await self.close()
            raise ZygoteLost from error
        except asyncio.CancelledError:
            self.kill(child)
            raise
        return child

    def kill(self, child: Child) -> None:
        """End a child; harmless when it has ended."""
        if child.task in self._children and not self.is_lost:
            with suppress(ZygoteLost):  # then its children are ended already
                self._send(frame(KillTask(task=child.task)), [])

    async def close(self) -> None:
        """End the process and all children."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._lose()

    def _send(self, data: bytes, descriptors: list[int]) -> None:
        """Send an order; a zygote that leaves a whole buffer of them unread is as good as lost."""
        try:
            n_sent = socket.send_fds(self._control, [data], descriptors)
        except OSError:
            n_sent = 0
        if n_sent < len(data):
            self._lose()
            raise ZygoteLost

    def _hear(self) -> None:
        data = _receive(self._control)
        if data is None:
            return
        for body in self._frames.feed(data):
            reply = self._decoder.decode(body)
            if isinstance(reply, ZygoteReady):
                self._ready.set_result(reply.is_landlocked)
            elif isinstance(reply, ChildBegun):
                self._children[reply.task].begun.set()
            else:
                self._children[reply.task].ended = reply
                self._settle(self._children[reply.task])
        if not data:
            self._lose()

    def _hear_child(self, child: Child) -> None:
        data = _receive(child.stream)
        if data is None:
            return
        try:
            for body in child.frames.feed(data):
                child.put(self._child_decoder.decode(body))
        except msgspec.DecodeError:  # not the words of our program any more
            self.kill(child)
            data = b""
        if not data:
            self._close_stream(child)
            self._settle(child)

    def _settle(self, child: Child) -> None:
        """Say that a child ended once its stream is at its end too, so that this comes last."""
        if child.ended is not None and child.stream.fileno() < 0:
            del self._children[child.task]
            child.put(child.ended)

    def _lose(self) -> None:
        if self.is_lost:
            return
        self._lost.set()
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()
        if not self._ready.done():
            self._ready.set_exception(NoZygote())
            self._ready.exception()  # it may be that nobody waits
        for child in self._children.values():
            self._close_stream(child)
            child.begun.set()
            child.put(None)
        self._children.clear()

    def _close_stream(self, child: Child) -> None:
        if child.stream.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(child.stream.fileno())
            child.stream.close()


def _receive(stream: socket.socket) -> bytes | None:
    """Read what is there: None when nothing is, nothing at the end."""
    try:
        return stream.recv(_READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""
