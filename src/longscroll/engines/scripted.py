"""The engine that says what a script tells it to: answers, pace, usage and faults by model and question.

A test double that is product code: whoever tests a program against this service, and the service's own tests, decide
each delta. Deterministic: the first rule that matches answers. Knows no documents; citations are ``[n]`` in its text.
"""

from __future__ import annotations

import asyncio
import fnmatch
import re
import tomllib
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Literal, NoReturn, Self

import msgspec
from msgspec import Struct

from longscroll.engines.base import Engine, EngineEvent, EngineFinish, EngineUsage, Prompt, Text
from longscroll.errors import (
    ConfigError,
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineTimeout,
    ModelUnavailable,
)

DEFAULT_CONTEXT_WINDOW = 8192
N_PROMPTS_KEPT = 16


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an answer goes wrong, and after how many of its deltas."""

    kind: Literal["unavailable", "failed", "timeout", "refused", "overloaded", "cut", "silence"]
    after: int = 0  # deltas
    message: str = ""  # empty: the words a model server's fault of this kind would get
    retry_after_s: int = 1  # overloaded


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer and the questions it is for."""

    model: str = "*"  # a pattern with * and ?
    message: str = ""  # a regular expression, searched in the question; empty: any question
    deltas: tuple[str, ...] = ()
    first_delay_s: float = 0.0
    pace_s: float = 0.0  # before each further delta
    finish: Literal["stop", "length"] = "stop"
    abstained: bool = False
    usage: EngineUsage | None = None
    fault: Fault | None = None
    times: int | None = None  # how often it answers before later rules get their turn; None: always

    def __post_init__(self) -> None:
        try:
            re.compile(self.message)
        except re.error as error:
            raise ValueError(f"message is no regular expression: {error}") from error

    def matches(self, prompt: Prompt) -> bool:
        """Tell whether this rule answers the prompt."""
        return fnmatch.fnmatchcase(prompt.model, self.model) and re.search(self.message, prompt.question) is not None


class _Script(Struct, forbid_unknown_fields=True):
    rule: tuple[Rule, ...]


class Scripted(Engine):
    """Answers by rule. ``prompts``, ``n_running`` and ``n_stopped`` are for tests to read."""

    writes_marks = True

    def __init__(
        self,
        rules: Iterable[Rule],
        *,
        context_window: int = DEFAULT_CONTEXT_WINDOW,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Answer by ``rules``, the first that matches; ``sleep`` waits out delays and paces."""
        self.context_window: int | None = context_window
        self.prompts: deque[Prompt] = deque(maxlen=N_PROMPTS_KEPT)
        self.n_running = 0
        self.n_stopped = 0  # answers that were closed or cancelled before their end
        self._rules = tuple(rules)
        self._n_used: Counter[int] = Counter()
        self._sleep = sleep

    @classmethod
    def from_file(cls, path: str | Path, *, context_window: int = DEFAULT_CONTEXT_WINDOW) -> Self:
        """Answer by the rules of a script.

        Raises:
            ConfigError: as ``load_rules``.
        """
        return cls(load_rules(path), context_window=context_window)

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent]:
        """Write the answer of the first rule that matches.

        Raises:
            EngineRefused: no rule matches.
            EngineError: the rule's fault.
        """
        self.prompts.append(prompt)
        rule = self._choose(prompt)
        self.n_running += 1
        try:
            async with aclosing(self._play(rule)) as events:
                async for event in events:
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            self.n_stopped += 1
            raise
        finally:
            self.n_running -= 1

    def _choose(self, prompt: Prompt) -> Rule:
        for position, rule in enumerate(self._rules):
            is_used_up = rule.times is not None and self._n_used[position] >= rule.times
            if not is_used_up and rule.matches(prompt):
                self._n_used[position] += 1
                return rule
        raise EngineRefused(f"No rule of the script answers this question for the model {prompt.model}.")

    async def _play(self, rule: Rule) -> AsyncGenerator[EngineEvent]:
        fault = rule.fault
        await self._pause(rule.first_delay_s)
        for n_sent, delta in enumerate(rule.deltas):
            await self._pause(rule.pace_s if n_sent else 0.0)
            if fault is not None and fault.after == n_sent:
                await _break(fault)
            yield Text(delta)
        if fault is not None:
            await _break(fault)
        yield EngineFinish(reason=rule.finish, usage=rule.usage, abstained=rule.abstained)

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._sleep(seconds)


def load_rules(path: str | Path) -> tuple[Rule, ...]:
    """Read a script: TOML with ``[[rule]]`` tables, or JSON lines (``.jsonl``) with one rule each.

    Raises:
        ConfigError: the file cannot be read, or a rule is not one; names the file and, in JSON lines, the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Script {path} cannot be read: {error}.") from error
    if path.suffix == ".jsonl":
        return tuple(_rule_of_line(path, n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip())
    try:
        return msgspec.convert(tomllib.loads(text), _Script).rule
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"Script {path}: {error}.") from error


def _rule_of_line(path: Path, number: int, line: str) -> Rule:
    try:
        return msgspec.json.decode(line, type=Rule)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"Script {path}, line {number}: {error}.") from error


async def _break(fault: Fault) -> NoReturn:
    if fault.kind == "silence":
        await asyncio.Event().wait()
    raise _fault_error(fault)


def _fault_error(fault: Fault) -> EngineError:
    match fault.kind:
        case "unavailable":
            return ModelUnavailable(fault.message)
        case "timeout":
            return EngineTimeout(fault.message or "The model server did not answer in time.")
        case "refused":
            return EngineRefused(fault.message or "The model server refused the request (HTTP 400).")
        case "overloaded":
            return EngineOverloaded(
                fault.message or "The model server is overloaded.", retry_after_s=fault.retry_after_s
            )
        case "cut" | "silence":
            return EngineFailed(fault.message or "The model server broke off before the end of the answer.")
        case "failed":
            return EngineFailed(fault.message or "The model server failed (HTTP 500).")
