"""The zygote, and how it contains the children it forks: each works for one file (work.py), and nothing else.

Run by ``spawned``: an exec'ed, single-threaded process that has every parser and codec loaded before the first file
comes. Orders and descriptors reach it over one stream; it opens no file for a task. A child owns the descriptors of its
task and nothing else; whatever it does, only its own file is lost.
"""

from __future__ import annotations

import codecs
import encodings.aliases
import errno
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from io import BytesIO
from typing import NamedTuple, NoReturn

import msgspec
import structlog

from longscroll.documents.artifact import Artifact
from longscroll.documents.build import build_artifact
from longscroll.documents.contain import Limits, die_with_parent, forbid_everything, landlock_version, set_limits
from longscroll.documents.merge import merge_artifacts
from longscroll.documents.messages import (
    LENGTH_BYTES,
    ChildBegun,
    ChildEnded,
    ChildTask,
    KillTask,
    MergeTask,
    ParseDone,
    ParseFailed,
    ZygoteOrder,
    ZygoteReady,
    frame,
)
from longscroll.documents.work import Descriptors, Speaker, merge_parts, parse_file
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.formats import parse
from longscroll.storage.space import NO_SPACE
from longscroll.telemetry import configure_logging
from longscroll.tokens import TokenCounter, load_counter

_NICENESS = 5  # readers and the service go first
_ELDER_NICENESS = 15
_ELDER_S = 0.5  # a child at work for longer steps back when another begins
_MAX_DESCRIPTORS = 253  # in one message, says the kernel
_SPARE_DESCRIPTORS = 32
_FIRST_DESCRIPTOR = 3  # after standard input, output and error
_MAXRSS_BYTES = 1024 if sys.platform == "linux" else 1
_LATE_MODULES = ("numpy.ma",)  # numpy's set operations import it when they are first called
_WARM_UP = ("# Warm\n\nThe quick brown fox, 42.\n", "预热：快速的棕色狐狸。\n", "v1.0\n")

log = structlog.get_logger()


def main(arguments: list[str]) -> None:
    """Serve until the service closes the stream or dies; the one argument is the stream's descriptor."""
    control = socket.socket(fileno=int(arguments[0]))
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a group is told to end as one; the service ends us when it has drained
        signal.signal(number, signal.SIG_IGN)
    configure_logging()
    counter = load_counter()
    warm_up(counter)
    gc.freeze()
    control.sendall(frame(ZygoteReady(is_landlocked=landlock_version() > 0)))
    Forker(control, counter).run()


def warm_up(counter: TokenCounter) -> None:
    """Load what Python and the libraries load late; a contained child can open no module any more."""
    for module in _LATE_MODULES:
        importlib.import_module(module)
    for name in set(encodings.aliases.aliases.values()):
        with suppress(LookupError):  # codecs of other systems
            codecs.lookup(name)
    parts = []
    for encoding in ("utf-8", "gb18030"):
        with tempfile.TemporaryFile() as sample:
            sample.write("".join(_WARM_UP).encode(encoding) * 8)
            out = BytesIO()
            build_artifact(parse(sample, "sample.md"), out, counter)
            parts.append(Artifact.from_buffer(out.getvalue()))
    merge_artifacts(parts, BytesIO())


class _Running(NamedTuple):
    task: int
    began_s: float


class Forker:
    """The loop of the zygote: orders in, children out."""

    def __init__(self, control: socket.socket, counter: TokenCounter) -> None:
        self._control = control
        self._counter = counter
        self._children: dict[int, _Running] = {}  # those not reaped yet, so that their numbers are still their own
        self._decoder = msgspec.msgpack.Decoder(ZygoteOrder)
        self._wake, wake_end = socket.socketpair()
        for end in (self._wake, wake_end):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_end.fileno(), warn_on_full_buffer=False)
        self._wake_end = wake_end

    def run(self) -> None:
        """Take orders until the stream ends; children die with this process."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._wake:
                        self._wake.recv(4096)
                        self._reap()
                    elif not self._take_order():
                        return

    def _take_order(self) -> bool:
        """Read one order; False when the service is gone."""
        head, descriptors, _, _ = socket.recv_fds(self._control, LENGTH_BYTES, _MAX_DESCRIPTORS, socket.MSG_WAITALL)
        if len(head) < LENGTH_BYTES:
            return False
        n_bytes = int.from_bytes(head, "big")
        body = self._control.recv(n_bytes, socket.MSG_WAITALL)
        if len(body) < n_bytes:
            return False
        order = self._decoder.decode(body)
        if isinstance(order, KillTask):
            self._kill(order.task)
        else:
            *files, artifact, stream = descriptors
            self._fork(order, Descriptors(tuple(files), artifact, stream))
        return True

    def _kill(self, task: int) -> None:
        for child, running in self._children.items():
            if running.task == task:
                os.kill(child, signal.SIGKILL)

    def _fork(self, task: ChildTask, its: Descriptors) -> None:
        zygote = os.getpid()
        child = os.fork()
        if not child:
            signal.set_wakeup_fd(-1)
            die_with_parent(zygote)
            _close_all_but(its)
            run_child(task, its, self._counter)
        for descriptor in (*its.files, its.artifact, its.stream):
            os.close(descriptor)
        now = time.monotonic()
        self._have_elders_step_back(now)
        self._children[child] = _Running(task.task, now)
        self._control.sendall(frame(ChildBegun(task=task.task)))

    def _have_elders_step_back(self, now: float) -> None:
        """Let a newcomer go before children that have been at work for long, perhaps for ever."""
        for child, running in self._children.items():
            if now - running.began_s > _ELDER_S:
                os.setpriority(os.PRIO_PROCESS, child, _ELDER_NICENESS)

    def _reap(self) -> None:
        while self._children:
            child, status, usage = os.wait4(-1, os.WNOHANG)
            if not child:
                return
            ended = ChildEnded(
                task=self._children.pop(child).task,
                signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
                peak_bytes=usage.ru_maxrss * _MAXRSS_BYTES,
                cpu_s=usage.ru_utime + usage.ru_stime,
            )
            self._control.sendall(frame(ended))


def run_child(task: ChildTask, own: Descriptors, counter: TokenCounter) -> NoReturn:
    """Give up all rights, work, say how it ended, leave."""
    os.nice(_NICENESS)
    speaker = Speaker(task.task, socket.socket(fileno=own.stream))
    reply: ParseDone | ParseFailed | None
    try:
        set_limits(
            Limits(
                memory_bytes=task.memory_bytes,
                file_bytes=task.artifact_bytes,
                cpu_s=task.cpu_s,
                n_files=_SPARE_DESCRIPTORS + 2 * len(own.files),  # a mapped file takes a second one
            )
        )
        forbid_everything()
        if isinstance(task, MergeTask):
            reply = merge_parts(task, own, speaker)
        else:
            reply = parse_file(task, own, speaker, counter)
    except Exception as error:  # noqa: BLE001 - the parser child is one of the three places that may
        reply = _failure(task, error)
    if reply is not None:
        with suppress(OSError):  # the service may be gone
            speaker.say(reply)
    os._exit(0)


def _close_all_but(kept: Descriptors) -> None:
    start = _FIRST_DESCRIPTOR
    for descriptor in sorted((*kept.files, kept.artifact, kept.stream)):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))


def _failure(task: ChildTask, error: Exception) -> ParseFailed:
    kind: DocumentErrorKind | None
    if isinstance(error, DocumentError):
        kind, details = error.kind, str(error)
    elif isinstance(error, MemoryError):
        kind, details = DocumentErrorKind.TOO_LARGE, "The file needs more memory to be read than a file may take."
    elif isinstance(error, OSError) and error.errno == errno.EFBIG:
        kind, details = DocumentErrorKind.TOO_LARGE, "The text of the file is larger than can be stored."
    elif isinstance(error, OSError) and error.errno in NO_SPACE:
        kind, details = None, "No space is left to store the text of the file."
    else:
        kind, details = DocumentErrorKind.CORRUPT, "The file is damaged and cannot be read."
        log.error("parsers.child_failed", error=type(error).__name__, at=_place(error))
    return ParseFailed(task=task.task, kind=kind, details=details)


def _place(error: Exception) -> str:
    """Return where an error was raised; its message may hold text of a document and is not logged."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace is not None else ""
