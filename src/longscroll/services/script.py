"""The script of a test double: what models and parsers are told to do, read from a file, replaced while they run.

Owns the two formats of the file, and what was asked and answered since the last reset. Whoever runs a service for tests
replaces rules through it; nobody else has one. Knows no wire format.
"""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from pathlib import Path

import msgspec
from msgspec import Struct

from longscroll.documents.scripted import FileRule, ScriptedParsers
from longscroll.engines.scripted import Rule, Scripted
from longscroll.errors import ConfigError, LongscrollError
from longscroll.types import ChatEvent, ChatRequest, Finish, Usage

N_CHATS_KEPT = 1000
"""The last ones; a test that asks more has other things to look at."""


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules in the order in which they are tried."""

    rule: tuple[Rule, ...] = ()
    file: tuple[FileRule, ...] = ()


class _FileLine(Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a JSON lines script that is about files."""

    file: FileRule


class Chat(Struct, kw_only=True):
    """One chat that came, and how it ended; while it runs it has neither usage nor error."""

    request: ChatRequest
    usage: Usage | None = None  # as the client was told
    error: str | None = None  # the class of the error, such as RequestRateExceeded


class Director:
    """Replaces the script of a running service and remembers the chats that came to it."""

    def __init__(self, engines: Iterable[Scripted], parsers: ScriptedParsers) -> None:
        """Direct ``engines`` and ``parsers``; what they obey now is the script."""
        self._engines = tuple(dict.fromkeys(engines))
        self.script = Script(rule=tuple(rule for engine in self._engines for rule in engine.rules), file=parsers.rules)
        self._parsers = parsers
        self._chats: deque[Chat] = deque(maxlen=N_CHATS_KEPT)

    def replace(self, script: Script) -> None:
        """Have every scripted model answer by this script, and the parsers obey it."""
        self.script = script
        for engine in self._engines:
            engine.replace(script.rule)
        self._parsers.replace(script.file)

    def chats(self) -> tuple[Chat, ...]:
        """Return the chats that came, oldest first."""
        return tuple(self._chats)

    def forget(self) -> None:
        """Forget the chats that came."""
        self._chats.clear()

    def observed(
        self, answer: Callable[[ChatRequest], AsyncGenerator[ChatEvent, None]]
    ) -> Callable[[ChatRequest], AsyncGenerator[ChatEvent, None]]:
        """Return ``answer``, whose chats are remembered."""

        async def observe(request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
            chat = Chat(request=request)
            self._chats.append(chat)
            try:
                async with aclosing(answer(request)) as events:
                    async for event in events:
                        if isinstance(event, Finish):
                            chat.usage = event.usage
                        yield event
            except LongscrollError as error:
                chat.error = type(error).__name__
                raise

        return observe


def load_script(path: Path) -> Script:
    """Read a script: TOML with ``[[rule]]`` and ``[[file]]`` tables, or JSON lines (``.jsonl``).

    A line is one rule; a line ``{"file": {…}}`` is a rule about files.

    Raises:
        ConfigError: the file cannot be read, or a rule is not one; names the file and, in JSON lines, the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Script {path} cannot be read: {error}.") from error
    if path.suffix == ".jsonl":
        return _script_of_lines(path, text)
    try:
        return msgspec.convert(tomllib.loads(text), Script)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"Script {path}: {error}.") from error


def render_lines(script: Script) -> str:
    """Return a script as JSON lines."""
    lines = [*script.rule, *(_FileLine(rule) for rule in script.file)]
    return "".join(f"{msgspec.json.encode(line).decode()}\n" for line in lines)


def _script_of_lines(path: Path, text: str) -> Script:
    rules: list[Rule] = []
    files: list[FileRule] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            if "file" in msgspec.json.decode(line, type=dict[str, msgspec.Raw]):
                files.append(msgspec.json.decode(line, type=_FileLine).file)
            else:
                rules.append(msgspec.json.decode(line, type=Rule))
        except msgspec.MsgspecError as error:
            raise ConfigError(f"Script {path}, line {number}: {error}.") from error
    return Script(rule=tuple(rules), file=tuple(files))
