"""What a contained process can no longer do; each test runs one, because it is for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from longscroll.documents.contain import landlock_version

IMPORTS = """
import os, resource, signal, socket, sys
from longscroll.documents.contain import Limits, die_with_parent, forbid_everything, limit_cpu, set_limits
"""
needs_landlock = pytest.mark.skipif(not landlock_version(), reason="this kernel has no Landlock")
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="a limit of Linux")


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", IMPORTS + program], capture_output=True, text=True, timeout=60)


@needs_landlock
@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd')",
        "open('/tmp/new', 'w')",
        "os.listdir('/')",
        "os.execv('/bin/true', ['true'])",
        "open('/proc/self/status')",
    ],
)
def test_no_path_can_be_opened_listed_or_executed(attempt: str) -> None:
    ended = run(f"assert forbid_everything()\n{attempt}")
    assert "PermissionError" in ended.stderr


@needs_landlock
def test_what_is_open_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    ended = run(f"file = open({str(path)!r}, 'w')\nassert forbid_everything()\nfile.write('still')\nfile.close()")
    assert (ended.returncode, path.read_text()) == (0, "still"), ended.stderr


@pytest.mark.skipif(landlock_version() < 4, reason="this kernel's Landlock does not know the network")
def test_no_connection_can_be_made() -> None:
    ended = run("forbid_everything()\nsocket.create_connection(('127.0.0.1', 9))")
    assert "PermissionError" in ended.stderr


@pytest.mark.skipif(landlock_version() < 6, reason="this kernel's Landlock does not know signals")
def test_no_signal_reaches_another_process() -> None:
    assert "PermissionError" in run("forbid_everything()\nos.kill(os.getppid(), 0)").stderr


@only_linux
def test_memory_beyond_the_limit_is_refused() -> None:
    program = "set_limits(Limits(memory_bytes=32 << 20, file_bytes=1, cpu_s=9))\nbytearray({} << 20)"
    assert run(program.format(8)).returncode == 0
    assert "MemoryError" in run(program.format(64)).stderr


def test_more_time_than_allowed_ends_the_process() -> None:
    ended = run("set_limits(Limits(memory_bytes=32 << 20, file_bytes=1, cpu_s=1))\nwhile True: pass")
    assert -ended.returncode in (9, 24)


def test_a_step_may_take_its_share_of_the_time_and_no_more_than_all() -> None:
    limits = "set_limits(Limits(memory_bytes=32 << 20, file_bytes=1, cpu_s=40))\n"
    shown = "print(resource.getrlimit(resource.RLIMIT_CPU))\n"
    ended = run(f"{limits}limit_cpu(5)\n{shown}limit_cpu(9)\n{shown}limit_cpu(400)\n{shown}")
    assert ended.stdout == "(6, 41)\n(10, 41)\n(41, 41)\n", ended.stderr


def test_a_file_longer_than_allowed_cannot_be_written(tmp_path: Path) -> None:
    path = str(tmp_path / "long")
    ended = run(
        f"file = open({path!r}, 'wb', buffering=0)\n"
        "set_limits(Limits(memory_bytes=32 << 20, file_bytes=10, cpu_s=9))\n"
        "print(file.write(bytes(20)))\nfile.write(b'more')"
    )
    assert ended.stdout == "10\n"
    assert "File too large" in ended.stderr


@only_linux
def test_a_process_ends_with_its_parent() -> None:
    ended = run(
        "reads, writes = os.pipe()\n"
        "if not os.fork():\n"
        "    if not os.fork():\n"
        "        die_with_parent(os.getppid())\n"
        "        os.write(writes, b'ready')\n"
        "        signal.pause()\n"
        "    os.read(reads, 5)\n"
        "    os._exit(0)\n"
        "os.close(writes)\n"
        "os.wait()\n"
        "print(os.read(reads, 1))"  # ends when nobody holds the other end any more
    )
    assert ended.stdout == "b''\n", ended.stderr


def test_whose_parent_is_gone_already_ends_at_once() -> None:
    ended = run("die_with_parent(1 << 22)\nprint('still here')")
    assert (ended.returncode, ended.stdout) == (0, "")
