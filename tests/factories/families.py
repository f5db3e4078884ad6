"""The processes of a running service, by what they are for; also those that have outlived it.

Readers inherit a mark in their environment; parsers have an environment of their own, and the number of the process
they serve as their last argument. So both are found when no parent connects them with it any more.
"""

from __future__ import annotations

import uuid
from contextlib import suppress

import psutil
from msgspec import Struct

MARK = "TEST_FAMILY"
READER, PARSER = "longscroll.reading.process", "longscroll.documents.child"


class Family(Struct):
    """A service or a worker and all that it started."""

    name: str
    pid: int = 0  # of the process that was started first

    @classmethod
    def fresh(cls) -> Family:
        """Return one that has no process yet."""
        return cls(uuid.uuid4().hex)

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process a member."""
        return {MARK: self.name}

    def members(self) -> list[psutil.Process]:
        """Return those that live, whether their parents do or not."""
        return [process for process in psutil.process_iter() if is_alive(process) and self._is_member(process)]

    def readers(self) -> list[psutil.Process]:
        """Return the processes that answer."""
        return [process for process in self._descendants() if READER in command_of(process)]

    def zygotes(self) -> list[psutil.Process]:
        """Return the processes that fork parsers: one, or none while it is being replaced."""
        return [process for process in self._parsers() if parent_of(process) == self.pid]

    def children(self) -> list[psutil.Process]:
        """Return the contained parsers, each of which has a file or a part of one."""
        zygotes = {process.pid for process in self.zygotes()}
        return [process for process in self._parsers() if parent_of(process) in zygotes]

    def _parsers(self) -> list[psutil.Process]:
        return [process for process in self._descendants() if PARSER in command_of(process)]

    def _descendants(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [process for process in psutil.Process(self.pid).children(recursive=True) if is_alive(process)]
        return []

    def _is_member(self, process: psutil.Process) -> bool:
        command = command_of(process)
        if PARSER in command:
            return command[-1] == str(self.pid)
        with suppress(psutil.Error):
            return process.environ().get(MARK) == self.name
        return False


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs, and does not only wait for its parent to take note of its end."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def command_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process, nothing when it is gone."""
    with suppress(psutil.Error):
        return list(process.cmdline())
    return []


def parent_of(process: psutil.Process) -> int | None:
    """Return the number of a process's parent, None when it is gone."""
    with suppress(psutil.NoSuchProcess):
        return int(process.ppid())
    return None
