"""The chat protocol that model servers speak: our prompt as their request, their chunks as our events.

Pure: no sockets, no clocks. What each kind of server understands is data in a table; a field that a kind does not know
is never sent to it, because strict servers answer 422 to any unknown one (transformers 5.23 ``serve``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from longscroll.engines.base import Ability, EngineFinish, EngineUsage, Prompt, Text
from longscroll.engines.upstream_errors import cut_stream, error_in_stream, no_completion
from longscroll.engines.upstream_sse import EventParser
from longscroll.errors import EngineFailed, EngineRefused
from longscroll.types import AnswerForm, FinishReason, Message, Sampling, ToolCallPiece

UpstreamKind = Literal["vllm", "sglang", "llama-server", "ollama", "openai"]

ABILITIES: dict[UpstreamKind, frozenset[Ability]] = {
    "vllm": frozenset(Ability),
    "sglang": frozenset(Ability),
    "llama-server": frozenset(Ability) - {Ability.CONTINUES},
    "ollama": frozenset(Ability) - {Ability.CONTINUES},
    "openai": frozenset(Ability) - {Ability.CONTINUES},
}
"""What each kind can do. Several choices are as many requests, so every kind has them. Those without CONTINUES go on
from a last assistant message too, where their template does, and may say it again."""

_STANDARD_FIELDS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_OWN_FIELDS: dict[UpstreamKind, dict[str, str]] = {
    "vllm": {"top_k": "top_k", "repetition_penalty": "repetition_penalty", "logit_bias": "logit_bias"},
    "sglang": {"top_k": "top_k", "repetition_penalty": "repetition_penalty", "logit_bias": "logit_bias"},
    "llama-server": {"top_k": "top_k", "repetition_penalty": "repeat_penalty", "logit_bias": "logit_bias"},
    "ollama": {},
    "openai": {"logit_bias": "logit_bias"},
}
"""Our name of a sampling field → the server's: OpenAI's own, and what each kind knows beyond them."""

_FORM_FIELDS: dict[UpstreamKind, tuple[str, ...]] = {
    "vllm": ("tool_choice", "parallel_tool_calls", "reasoning_effort"),
    "sglang": ("tool_choice", "parallel_tool_calls", "reasoning_effort"),
    "llama-server": ("tool_choice", "parallel_tool_calls"),
    "ollama": ("reasoning_effort",),
    "openai": ("tool_choice", "parallel_tool_calls", "reasoning_effort"),
}
"""Fields of the form that a kind knows beside ``tools`` and ``response_format``, which all of them do."""

_TEMPLATE_FIELDS: dict[UpstreamKind, tuple[str, ...]] = {
    "vllm": ("enable_thinking",),
    "sglang": ("enable_thinking",),
    "llama-server": ("enable_thinking", "reasoning_effort"),
    "ollama": (),
    "openai": (),
}
"""Fields of the form that go to the model's chat template."""

_SALTED: frozenset[UpstreamKind] = frozenset({"vllm"})
"""Kinds that keep prefix caches apart by ``cache_salt``; by the time of a first token one can tell what is cached."""

_CONTINUE_FIELDS: dict[UpstreamKind, dict[str, bool]] = {
    "vllm": {"continue_final_message": True, "add_generation_prompt": False},
    "sglang": {"continue_final_message": True},
    "llama-server": {},  # goes on from a last assistant message unasked
    "ollama": {},  # likewise, where the model's template can
    "openai": {},
}
"""What makes a kind go on from the last message."""

_RUNNING = {None, "", "null"}  # "null": DashScope's compatible mode before 2025
_REASONS: dict[str | None, FinishReason] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
_BROKEN = {"abort", "error"}  # SGLang, vLLM: the engine gave the request up


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Content(Struct):
    content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Logprobs(Struct):
    content: list[Raw] | None = None


class _Choice(Struct):
    delta: _Content | None = None
    message: _Content | None = None
    finish_reason: str | None = None
    index: int | None = 0
    logprobs: _Logprobs | None = None


class _InputDetails(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    message: Any = None  # beside ``code`` where a server sends its error without an envelope
    code: Any = None


_chunk_decoder = msgspec.json.Decoder(_Chunk)


def request_body(
    prompt: Prompt, *, kind: UpstreamKind, served_name: str, extra_body: Mapping[str, Any] | None = None
) -> bytes:
    """Render the body of ``POST /chat/completions``: always streamed, only fields that are set and known to ``kind``.

    ``extra_body`` is the operator's; it never overrides what is ours.
    """
    ours: dict[str, Any] = {
        "model": served_name,
        "messages": [_message_fields(message) for message in prompt.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling_fields(prompt.sampling, kind),
        **_form_fields(prompt.form, kind),
    }
    if prompt.messages and prompt.messages[-1].is_partial:
        ours |= _CONTINUE_FIELDS[kind]
    if prompt.cache_salt and kind in _SALTED:
        ours["cache_salt"] = prompt.cache_salt
    theirs = dict(extra_body or {})
    if template := _given(prompt.form, _TEMPLATE_FIELDS[kind]):
        ours["chat_template_kwargs"] = {**theirs.get("chat_template_kwargs", {}), **template}
    return msgspec.json.encode({**theirs, **ours})


def _message_fields(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls is not None:
        fields["tool_calls"] = Raw(message.tool_calls)
    return {**fields, **_given(message, ("tool_call_id", "name"))}


def _sampling_fields(sampling: Sampling, kind: UpstreamKind) -> dict[str, Any]:
    names = _STANDARD_FIELDS | _OWN_FIELDS[kind]
    fields = {names[ours]: value for ours, value in _given(sampling, names).items()}
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    if sampling.wants_logprobs:
        fields |= {"logprobs": True, "top_logprobs": sampling.n_top_logprobs}
    return fields


def _form_fields(form: AnswerForm, kind: UpstreamKind) -> dict[str, Any]:
    known = ("response_format", "tools", *_FORM_FIELDS[kind])
    if kind == "ollama" and form.tool_choice == b'"none"':
        known = tuple(name for name in known if name != "tools")  # the only way to say it
    fields = _given(form, known)
    if kind == "ollama" and form.enable_thinking is False:
        fields.setdefault("reasoning_effort", "none")
    return {name: Raw(value) if isinstance(value, bytes) else value for name, value in fields.items()}


def _given(source: Struct, names: Iterable[str]) -> dict[str, Any]:
    """Return the fields of those names that are set."""
    values = ((name, getattr(source, name)) for name in names)
    return {name: value for name, value in values if value is not None}


Piece = Text | ToolCallPiece


class AnswerStream:
    """The state of one streamed answer: bytes in, Text and ToolCallPieces out, one EngineFinish at the end."""

    def __init__(self) -> None:
        self._events = EventParser()
        self._finish_reason: str | None = None
        self._usage: EngineUsage | None = None
        self._is_done = False
        self._calls: set[int] = set()  # that have begun

    @property
    def is_done(self) -> bool:
        """The server has said ``[DONE]``."""
        return self._is_done

    @property
    def is_finished(self) -> bool:
        """The text is whole; at most usage and ``[DONE]`` may follow."""
        return self._is_done or self._finish_reason is not None

    def feed(self, block: bytes) -> Iterator[Piece]:
        """Take the next bytes of the body; yield what is in them.

        Raises:
            EngineError: the server reports an error in the stream, or sends what is no chunk.
        """
        for data in self._events.feed(block):
            yield from self._take(data)

    def close(self) -> Iterator[Piece | EngineFinish]:
        """Take the end of the body: yield what was still held back, then the EngineFinish.

        Raises:
            EngineError: the stream was cut before the end of the answer.
        """
        for data in self._events.close():
            yield from self._take(data)
        if not self.is_finished:
            raise cut_stream()
        yield EngineFinish(reason=_REASONS.get(self._finish_reason, "stop"), usage=self._usage)

    def take_whole(self, body: bytes) -> Iterator[Piece | EngineFinish]:
        """Take the answer of a server that does not stream: one JSON body instead of events."""
        if not _decoded(body).choices:
            raise no_completion()
        yield from self._take(body)
        self._is_done = True
        yield from self.close()

    def _take(self, data: bytes) -> Iterable[Piece]:
        if self._is_done or data.strip() == b"[DONE]":
            self._is_done = True
            return ()
        chunk = _decoded(data)
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        choices = chunk.choices or ()
        if len(choices) == 1 and (text := _only_text(choices[0])):
            return (Text(text),)
        return self._pieces(choices)

    def _pieces(self, choices: Iterable[_Choice]) -> Iterator[Piece]:
        for choice in choices:
            if choice.index:
                continue
            part = choice.delta or choice.message
            if part is not None and (part.content or choice.logprobs is not None):
                yield Text(part.content or "", _logprobs(choice))
            if part is not None and part.tool_calls:
                yield from self._tool_calls(part.tool_calls)
            if choice.finish_reason not in _RUNNING:
                self._end(choice.finish_reason)

    def _tool_calls(self, calls: Iterable[_ToolCall]) -> Iterator[ToolCallPiece]:
        """Yield pieces of calls: id and name with the first of each, though some servers repeat them."""
        for position, call in enumerate(calls):
            index = position if call.index is None else call.index
            function = call.function or _Function()
            if index in self._calls:
                yield ToolCallPiece(index=index, arguments=function.arguments or "")
                continue
            self._calls.add(index)
            name, arguments = function.name or "", function.arguments or ""
            yield ToolCallPiece(index=index, id=call.id or f"call_{index}", name=name, arguments=arguments)

    def _end(self, reason: str | None) -> None:
        if reason in _BROKEN:
            raise EngineFailed("The model server gave up before the end of the answer.")
        if reason == "content_filter":
            raise EngineRefused("The model server's content filter stopped the answer.")
        self._finish_reason = reason


def _decoded(data: bytes) -> _Chunk:
    try:
        chunk = _chunk_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise no_completion() from error
    if chunk.error is not None:
        raise error_in_stream(chunk.error)
    if chunk.choices is None and chunk.message is not None:
        raise error_in_stream({"message": chunk.message, "code": chunk.code})
    return chunk


def _only_text(choice: _Choice) -> str | None:
    """Return the text of a choice that has nothing else, as most chunks; None of any other."""
    delta = choice.delta
    if delta is None or delta.tool_calls or choice.index or choice.logprobs or choice.finish_reason not in _RUNNING:
        return None
    return delta.content


def _logprobs(choice: _Choice) -> tuple[bytes, ...]:
    content = choice.logprobs.content if choice.logprobs is not None else None
    return tuple(bytes(token) for token in content or ())


def _usage(usage: _Usage) -> EngineUsage:
    details = usage.prompt_tokens_details or _InputDetails()
    return EngineUsage(
        n_input_tokens=usage.prompt_tokens or 0,
        n_output_tokens=usage.completion_tokens or 0,
        n_cached_tokens=details.cached_tokens or 0,
    )
