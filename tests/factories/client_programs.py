"""Unchanged clients against a real service: the programs of `tests/clients/programs/`, and curl.

Owns how a program is started in the virtual environment of a client set, by Node or by Java, and how its JSON lines are
read. Knows nothing of what a program asks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "clients" / "programs"
NODE_PROGRAMS = ROOT / "tests" / "clients" / "node"
JAVA_PROGRAMS = ROOT / "tests" / "clients" / "java"
JAVA_CLASSPATH = "DASHSCOPE_JAVA_CLASSPATH"
DOCUMENTS = ROOT / "tests" / "documents"

Lines = list[dict[str, Any]]


class Served(Protocol):
    """A service that clients can be pointed at."""

    @property
    def url(self) -> str:
        """The address before any path."""

    @property
    def key(self) -> str:
        """A key of the service."""


def run_program(service: Served, client_set: str, program: Path, *arguments: str | Path) -> Lines:
    """Run a program with the Python of a client set and return the JSON objects that it printed."""
    python = ROOT / f".venv-clients-{client_set}" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python.parent.parent.name} is missing: `make test` or `make test-slow` makes it")
    return _lines([python, program, *arguments], client_environment(service))


def run_node(service: Served, program: Path, *arguments: str | Path) -> Lines:
    """Run a program with Node and the packages of `tests/clients/node`, and return what it printed."""
    packages = ROOT / ".venv-clients-node" / "node_modules"
    node = shutil.which("node")
    if node is None or not packages.exists():
        pytest.skip("Node or its packages are missing: `make test` installs them where there is an npm")
    return _lines([node, program, *arguments], client_environment(service) | {"NODE_PATH": str(packages)})


def run_java(service: Served, program: Path, *arguments: str | Path) -> Lines:
    """Run a program of one Java file against the SDK of the variable JAVA_CLASSPATH, and return what it printed."""
    java, classpath = shutil.which("java"), os.environ.get(JAVA_CLASSPATH)
    if java is None or not classpath:
        pytest.skip(f"no JDK, or no dashscope-sdk-java: {JAVA_CLASSPATH} names it and what it needs")
    return _lines([java, "-cp", classpath, program, *arguments], client_environment(service))


def _lines(command: list[str | Path], environment: dict[str, str]) -> Lines:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]


def client_environment(service: Served) -> dict[str, str]:
    """Return the variables that point the clients at the service, without those a developer may have set."""
    theirs = ("OPENAI_", "DASHSCOPE_", "LANGCHAIN_", "LANGSMITH_", "LITELLM_")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    return ours | {
        "DASHSCOPE_API_KEY": service.key,
        "DASHSCOPE_HTTP_BASE_URL": f"{service.url}/api/v1",
        "NO_PROXY": "*",
        "PYTHONUTF8": "1",
    }


def results(lines: Lines) -> dict[str, Any]:
    """Return the lines of a program that names its results, as one mapping."""
    return {name: value for line in lines for name, value in line.items()}


def curl(*arguments: str, data: bytes | None = None) -> bytes:
    """Run curl, give it ``data`` on standard input, and return its standard output."""
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, timeout=90)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass(frozen=True)
class Exchange:
    """One reply as curl saw it."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON; it must say that it is."""
        assert self.headers["content-type"].startswith("application/json"), self
        return json.loads(self.body)

    def frames(self) -> list[bytes]:
        """Return the frames of an event stream, each without its empty line; the last one must have had one too."""
        assert self.headers["content-type"] == "text/event-stream;charset=UTF-8", self
        *frames, rest = self.body.split(b"\n\n")
        assert rest == b"", rest
        return frames

    def events(self) -> list[Any]:
        """Return the JSON of the frames that carry some, in order."""
        lines = [line for frame in self.frames() for line in frame.split(b"\n")]
        data = [line.removeprefix(b"data:").strip() for line in lines if line.startswith(b"data:")]
        return [json.loads(item) for item in data if item != b"[DONE]"]


def exchange(*arguments: str, data: bytes | None = None) -> Exchange:
    """Run curl and return status, headers and body."""
    head, _, body = curl("--include", "--no-buffer", *arguments, data=data).partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Exchange(int(status_line.split()[1]), headers, body)


def post(service: Served, path: str, body: object, *arguments: str, key: str | None = None) -> Exchange:
    """Post JSON with a key, the service's own by default; further arguments go to curl."""
    headers = ("-H", f"Authorization: Bearer {key or service.key}", "-H", "Content-Type: application/json")
    data = json.dumps(body, ensure_ascii=False).encode()
    return exchange(*headers, *arguments, "--data-binary", "@-", f"{service.url}{path}", data=data)
