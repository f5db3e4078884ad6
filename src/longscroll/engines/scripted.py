"""The engine that says what a script tells it to: answers, pace, usage and faults by model and question.

A test double that is product code: whoever tests a program against this service, and the service's own tests, decide
each delta. Deterministic: the first rule that matches answers. Knows no file that rules come from, and no documents;
citations are ``[n]`` in its text.
"""

from __future__ import annotations

import asyncio
import fnmatch
import re
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing

import msgspec
from msgspec import Struct

from longscroll.engines.base import Ability, Engine, EngineEvent, EngineFinish, EngineUsage, Prompt, Text
from longscroll.engines.faults import Fault, Sleep
from longscroll.errors import EngineRefused
from longscroll.types import FinishReason, ToolCallPiece

DEFAULT_CONTEXT_WINDOW = 8192
N_PROMPTS_KEPT = 16


class TokenLogprob(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a script says of one token's probability, in the words of the OpenAI protocol."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: tuple[TokenLogprob, ...] = ()


class ScriptedDelta(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A delta with more than text in it."""

    text: str = ""
    tool_calls: tuple[ToolCallPiece, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()

    def events(self) -> Iterator[EngineEvent]:
        """Yield what the engine sends for it."""
        if self.text or self.logprobs:
            yield Text(self.text, tuple(msgspec.json.encode(logprob) for logprob in self.logprobs))
        yield from self.tool_calls


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer and the questions it is for; all patterns that are given must match."""

    model: str = "*"  # a pattern with * and ?
    message: str = ""  # a regular expression, searched in the question; empty: any question
    system: str = ""  # the same, searched in the system messages as the model gets them, documents included
    filename: str = ""  # a pattern with * and ?, of the name of a file that the answer may quote
    deltas: tuple[str | ScriptedDelta, ...] = ()
    first_delay_s: float = 0.0
    pace_s: float = 0.0  # before each further delta
    finish: FinishReason = "stop"
    abstained: bool = False
    usage: EngineUsage | None = None  # what the client is told; None: what was counted
    fault: Fault | None = None
    times: int | None = None  # how often it answers before later rules get their turn; None: always

    def __post_init__(self) -> None:
        for name in ("message", "system"):
            try:
                re.compile(getattr(self, name))
            except re.error as error:
                raise ValueError(f"{name} is no regular expression: {error}") from error

    def matches(self, prompt: Prompt) -> bool:
        """Tell whether this rule answers the prompt."""
        return (
            fnmatch.fnmatchcase(prompt.model, self.model)
            and re.search(self.message, prompt.question) is not None
            and (not self.system or re.search(self.system, _system_text(prompt)) is not None)
            and (not self.filename or any(fnmatch.fnmatchcase(name, self.filename) for name in _filenames(prompt)))
        )


class Scripted(Engine):
    """Answers by rule. ``prompts``, ``n_running`` and ``n_stopped`` are for tests to read."""

    writes_marks = True
    abilities: frozenset[Ability] = frozenset(Ability) - {Ability.CONTINUES}

    def __init__(
        self,
        rules: Iterable[Rule],
        *,
        context_window: int = DEFAULT_CONTEXT_WINDOW,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Answer by ``rules``, the first that matches; ``sleep`` waits out delays and paces."""
        self.context_window: int | None = context_window
        self.prompts: deque[Prompt] = deque(maxlen=N_PROMPTS_KEPT)
        self.n_running = 0
        self.n_stopped = 0  # answers that were closed or cancelled before their end
        self.rules = tuple(rules)
        self._n_used: Counter[int] = Counter()
        self._sleep = sleep

    def replace(self, rules: Iterable[Rule]) -> None:
        """Answer by other rules from now on; each may answer as often as it says again."""
        self.rules = tuple(rules)
        self._n_used.clear()

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent]:
        """Write the answer of the first rule that matches.

        Raises:
            EngineRefused: no rule matches.
            LongscrollError: the rule's fault.
        """
        self.prompts.append(prompt)
        rule = self._choose(prompt)
        self.n_running += 1
        try:
            async with aclosing(self._play(rule, prompt.model)) as events:
                async for event in events:
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            self.n_stopped += 1
            raise
        finally:
            self.n_running -= 1

    def _choose(self, prompt: Prompt) -> Rule:
        for position, rule in enumerate(self.rules):
            is_used_up = rule.times is not None and self._n_used[position] >= rule.times
            if not is_used_up and rule.matches(prompt):
                self._n_used[position] += 1
                return rule
        raise EngineRefused(f"No rule of the script answers this question for the model {prompt.model}.")

    async def _play(self, rule: Rule, model: str) -> AsyncGenerator[EngineEvent]:
        strikes_at = min(rule.fault.after, len(rule.deltas)) if rule.fault is not None else None
        await self._pause(rule.first_delay_s)
        for n_sent, delta in enumerate((*rule.deltas, None)):
            if rule.fault is not None and n_sent == strikes_at:
                await rule.fault.strike(subject=model, sleep=self._sleep)
            if delta is not None:
                await self._pause(rule.pace_s if n_sent else 0.0)
                for event in [Text(delta)] if isinstance(delta, str) else delta.events():
                    yield event
        yield EngineFinish(
            reason=rule.finish, usage=rule.usage, is_usage_told=rule.usage is not None, abstained=rule.abstained
        )

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._sleep(seconds)


def _system_text(prompt: Prompt) -> str:
    return "\n".join(message.content for message in prompt.messages if message.role == "system")


def _filenames(prompt: Prompt) -> set[str]:
    evidence = prompt.evidence
    names = {passage.filename for passage in evidence.passages} | {document.filename for document in evidence.documents}
    return {name for name in names if name is not None}
