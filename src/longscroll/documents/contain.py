"""What keeps a process that reads foreign bytes from harm: limits, no new rights, no files, death with its parent.

Linux through ctypes, no package. Knows nothing of documents.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from msgspec import Struct

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_LANDLOCK_CREATE_RULESET = 444  # one number on every architecture
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_VERSION = 1
_FILE_RIGHTS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}  # how many of the lowest bits; later versions know 16
_NET_RIGHTS_FROM = 4
_SCOPES_FROM = 6
_IS_LINUX = sys.platform == "linux"


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class Limits(Struct, frozen=True, kw_only=True):
    """What a process may use; memory is counted from what it has when the limits are set."""

    memory_bytes: int
    file_bytes: int
    cpu_s: int
    n_files: int = 32


def die_with_parent(parent: int) -> None:
    """End this process when ``parent`` ends, at once when it has ended already."""
    if _IS_LINUX:
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def set_limits(limits: Limits) -> None:
    """Limit this process for good. An allocation beyond the limit fails; more CPU time ends it by SIGXCPU."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.n_files, limits.n_files))
    if _IS_LINUX:  # elsewhere the kernel does not count private memory
        n_bytes = _private_bytes() + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, n_bytes))


def limit_cpu(cpu_s: int) -> None:
    """Allow this process so much more CPU time, within its limit; may be said again."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (min(most, int(usage.ru_utime + usage.ru_stime) + cpu_s + 1), most))


def landlock_version() -> int:
    """Return the version of Landlock that the kernel offers, 0 for none."""
    if not _IS_LINUX:
        return 0
    return max(0, int(_libc().syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)))


def forbid_everything() -> bool:
    """Give up opening any path, the network, signals to others and new rights, for good; what is open stays open.

    Returns False where the kernel has no Landlock: then only new rights are given up.
    """
    if not _IS_LINUX:
        return False
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    version = landlock_version()
    if not version:
        return False
    ruleset = _Ruleset(
        handled_access_fs=(1 << _FILE_RIGHTS_BY_VERSION.get(version, 16)) - 1,
        handled_access_net=3 if version >= _NET_RIGHTS_FROM else 0,
        scoped=3 if version >= _SCOPES_FROM else 0,
    )
    n_fields = 3 if version >= _SCOPES_FROM else 2 if version >= _NET_RIGHTS_FROM else 1
    size = ctypes.c_size_t(n_fields * ctypes.sizeof(ctypes.c_uint64))
    descriptor = libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    if descriptor < 0:
        return False
    failed = libc.syscall(_LANDLOCK_RESTRICT_SELF, descriptor, 0)
    os.close(descriptor)
    return not failed


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _private_bytes() -> int:
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[5]) * resource.getpagesize()  # data and stack
