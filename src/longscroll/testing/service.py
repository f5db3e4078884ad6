"""A real service on a free port, in a folder of its own, whose script a test replaces while it runs.

Owns what is started and how it is told what to do; everything a client sees is the service itself. Made for synchronous
tests: the service is a process of its own.
"""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from longscroll.access.base import DEFAULT_WORKSPACE
from longscroll.documents.scripted import FileRule
from longscroll.engines.scripted import Rule
from longscroll.services.script import Chat, Script, render_lines
from longscroll.storage.batches import CANCELABLE, UNFINISHED
from longscroll.testing.process import ServiceProcess

MODELS = ("qwen-long", "qwen-plus", "qwen-turbo", "qwen-max", "chatyuan-large-v2")
PAGE_OF_FILES = 2000
PAGE_OF_BATCHES = 100
BATCHES_END_WITHIN_S = 30.0
NOT_BY_PROXY = "127.0.0.1,localhost"
_VARIABLES = {
    "LONGSCROLL_SERVER__WORKERS": "1",
    "LONGSCROLL_SERVER__DRAIN_S": "0",
    "LONGSCROLL_TESTING__CONTROL": "true",
    "LONGSCROLL_TESTING__FAULT_HEADER": "true",
}


class ServiceOptions(Struct, frozen=True, kw_only=True):
    """What is served."""

    models: tuple[str, ...] = MODELS  # answer by script
    config: str = ""  # more of the configuration file, as TOML; it may have sections and models of its own


class Refused(AssertionError):
    """The service did not do what the test double asked of it."""


class _ChatList(Struct):
    data: list[Chat]


class _FileId(Struct):
    id: str


class _FileList(Struct):
    data: list[_FileId]


class _Batch(Struct):
    id: str
    status: str


class _Batches(Struct):
    data: list[_Batch]


class Service:
    """A running service, for tests that speak to it with clients of their own."""

    def __init__(self, process: ServiceProcess, script: Script) -> None:
        """Speak to ``process``, which obeys ``script``."""
        self.process = process
        self.url = process.url
        self.base_url = f"{process.url}/compatible-mode/v1"  # of OpenAI clients
        self.native_url = f"{process.url}/api/v1"  # of DashScope clients
        self.api_key = process.key
        self._first_script = self._script = script

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules for answers, in the order in which they are tried."""
        return self._script.rule

    @property
    def file_rules(self) -> tuple[FileRule, ...]:
        """The rules for files, in the order in which they are tried."""
        return self._script.file

    def add(self, *rules: Rule | FileRule) -> None:
        """Obey these rules before those that are there already."""
        added = _script(rules)
        self._put(Script(rule=(*added.rule, *self._script.rule), file=(*added.file, *self._script.file)))

    def replace(self, *rules: Rule | FileRule) -> None:
        """Obey these rules and no others; a file that none of them keeps stuck is parsed."""
        self._put(_script(rules))

    def reset(self) -> None:
        """Go back to the first rules, without files, chats and batches that run.

        What stays: keys that were made, the list of batches, recorded usage, and what limits have counted.
        """
        self._end_batches()  # before the rules, which their lines would use up
        self._put(self._first_script)
        self._delete_files()
        self._call("DELETE", "/testing/chats")

    def chats(self) -> list[Chat]:
        """Return the chats that came since the last reset, oldest first: what was asked, what usage was told."""
        return msgspec.json.decode(self._call("GET", "/testing/chats"), type=_ChatList).data

    def environment(self) -> dict[str, str]:
        """Return the variables that point OpenAI and DashScope clients here."""
        return {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": self.api_key,
            "DASHSCOPE_BASE_URL": self.native_url,  # of `dashscope.Client`, before the next
            "DASHSCOPE_HTTP_BASE_URL": self.native_url,
            "DASHSCOPE_COMPATIBLE_BASE_URL": self.base_url,
            "DASHSCOPE_API_KEY": self.api_key,
            "DASHSCOPE_PROTOCOL": "native",  # that of the address
            "DASHSCOPE_WORKSPACE": DEFAULT_WORKSPACE,  # a developer's own is none that the key opens
            "NO_PROXY": NOT_BY_PROXY,
            "no_proxy": NOT_BY_PROXY,  # Python looks at it first
        }

    def _put(self, script: Script) -> None:
        self._call("PUT", "/testing/script", script)
        self._script = script

    def _end_batches(self) -> None:
        path = f"/compatible-mode/v1/batches?limit={PAGE_OF_BATCHES}&status={','.join(UNFINISHED)}"
        until = time.monotonic() + BATCHES_END_WITHIN_S
        while batches := msgspec.json.decode(self._call("GET", path), type=_Batches).data:
            if time.monotonic() > until:
                raise Refused(f"{batches[0].id} does not come to its end: {batches[0].status}")
            for batch in batches:
                if batch.status in CANCELABLE:
                    with suppress(Refused):  # it has come to its end in this moment
                        self._call("POST", f"/compatible-mode/v1/batches/{batch.id}/cancel")
            time.sleep(0.02)

    def _delete_files(self) -> None:
        path = f"/compatible-mode/v1/files?limit={PAGE_OF_FILES}"
        while files := msgspec.json.decode(self._call("GET", path), type=_FileList).data:
            for file in files:
                self._call("DELETE", f"/compatible-mode/v1/files/{file.id}")

    def _call(self, method: str, path: str, body: Any = None) -> bytes:
        data = None if body is None else msgspec.json.encode(body)
        with closing(http.client.HTTPConnection(*self.process.host_and_port, timeout=60)) as connection:
            connection.request(method, path, data, {"Authorization": f"Bearer {self.api_key}"})
            reply = connection.getresponse()
            said = reply.read()
        if reply.status != 200:
            raise Refused(f"{method} {path}: {reply.status} {said.decode(errors='replace')}")
        return said


@contextmanager
def running_service(
    rules: Iterable[Rule | FileRule] = (), *, options: ServiceOptions | None = None
) -> Iterator[Service]:
    """Start a service that obeys ``rules``; end it, and remove all that it kept, with the block.

    Raises:
        NotReady: it could not start; the message has its log.
    """
    script = _script(rules)
    with tempfile.TemporaryDirectory(prefix="longscroll-") as name:
        folder = Path(name)
        (folder / "script.jsonl").write_text(render_lines(script), encoding="utf-8")
        config = folder / "longscroll.toml"
        config.write_text(_config(options or ServiceOptions(), folder / "script.jsonl"), encoding="utf-8")
        with ServiceProcess(folder / "data", arguments=["--config", str(config)], environment=_VARIABLES) as process:
            yield Service(process, script)


def _script(rules: Iterable[Rule | FileRule]) -> Script:
    rules = tuple(rules)
    return Script(
        rule=tuple(rule for rule in rules if isinstance(rule, Rule)),
        file=tuple(rule for rule in rules if isinstance(rule, FileRule)),
    )


def _config(options: ServiceOptions, script: Path) -> str:
    entries = [{"name": name, "engine": "scripted", "script": str(script)} for name in options.models]
    models = [f"[[model]]\n{_toml(entry)}" for entry in entries]
    return "\n".join([options.config, *models])


def _toml(table: dict[str, str]) -> str:
    return "".join(f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in table.items())
