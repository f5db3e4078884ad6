"""The chat protocol that model servers speak: our prompt as their request, their chunks as our events.

Pure: no sockets, no clocks. What each kind of server understands is data in a table; a field that a kind does not know
is never sent to it, because strict servers answer 422 to any unknown one (transformers 5.23 ``serve``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from longscroll.engines.base import EngineFinish, EngineUsage, Prompt, Text
from longscroll.engines.upstream_errors import cut_stream, error_in_stream, no_completion
from longscroll.engines.upstream_sse import EventParser
from longscroll.errors import EngineFailed, EngineRefused
from longscroll.types import Sampling

UpstreamKind = Literal["vllm", "sglang", "llama-server", "ollama", "openai"]

_STANDARD_FIELDS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_OWN_FIELDS: dict[UpstreamKind, dict[str, str]] = {
    "vllm": {"top_k": "top_k", "repetition_penalty": "repetition_penalty"},
    "sglang": {"top_k": "top_k", "repetition_penalty": "repetition_penalty"},
    "llama-server": {"top_k": "top_k", "repetition_penalty": "repeat_penalty"},
    "ollama": {},
    "openai": {},
}
"""Our name of a sampling field → the server's: OpenAI's own, and what each kind knows beyond them."""

_RUNNING = {None, "", "null"}  # "null": DashScope's compatible mode before 2025
_BROKEN = {"abort", "error"}  # SGLang, vLLM: the engine gave the request up


class _Content(Struct):
    content: str | None = None


class _Choice(Struct):
    delta: _Content | None = None
    message: _Content | None = None
    finish_reason: str | None = None
    index: int | None = 0


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
        "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling_fields(prompt.sampling, kind),
    }
    return msgspec.json.encode({**(extra_body or {}), **ours})


def _sampling_fields(sampling: Sampling, kind: UpstreamKind) -> dict[str, Any]:
    names = _STANDARD_FIELDS | _OWN_FIELDS[kind]
    values = {theirs: getattr(sampling, ours) for ours, theirs in names.items()}
    fields = {name: value for name, value in values.items() if value is not None}
    return {**fields, "stop": list(sampling.stop)} if sampling.stop else fields


class AnswerStream:
    """The state of one streamed answer: bytes in, Text out, one EngineFinish at the end."""

    def __init__(self) -> None:
        self._events = EventParser()
        self._finish_reason: str | None = None
        self._usage: EngineUsage | None = None
        self._is_done = False

    @property
    def is_done(self) -> bool:
        """The server has said ``[DONE]``."""
        return self._is_done

    @property
    def is_finished(self) -> bool:
        """The text is whole; at most usage and ``[DONE]`` may follow."""
        return self._is_done or self._finish_reason is not None

    def feed(self, block: bytes) -> Iterator[Text]:
        """Take the next bytes of the body; yield the text in them.

        Raises:
            EngineError: the server reports an error in the stream, or sends what is no chunk.
        """
        for data in self._events.feed(block):
            yield from self._take(data)

    def close(self) -> Iterator[Text | EngineFinish]:
        """Take the end of the body: yield what was still held back, then the EngineFinish.

        Raises:
            EngineError: the stream was cut before the end of the answer.
        """
        for data in self._events.close():
            yield from self._take(data)
        if not self.is_finished:
            raise cut_stream()
        reason: Literal["stop", "length"] = "length" if self._finish_reason == "length" else "stop"
        yield EngineFinish(reason=reason, usage=self._usage)

    def take_whole(self, body: bytes) -> Iterator[Text | EngineFinish]:
        """Take the answer of a server that does not stream: one JSON body instead of events."""
        if not _decoded(body).choices:
            raise no_completion()
        yield from self._take(body)
        self._is_done = True
        yield from self.close()

    def _take(self, data: bytes) -> Iterator[Text]:
        if self._is_done:
            return
        if data.strip() == b"[DONE]":
            self._is_done = True
            return
        chunk = _decoded(data)
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        for choice in chunk.choices or ():
            part = choice.delta or choice.message
            if part is not None and part.content and not choice.index:
                yield Text(part.content)
            if choice.finish_reason not in _RUNNING and not choice.index:
                self._end(choice.finish_reason)

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


def _usage(usage: _Usage) -> EngineUsage:
    details = usage.prompt_tokens_details or _InputDetails()
    return EngineUsage(
        n_input_tokens=usage.prompt_tokens or 0,
        n_output_tokens=usage.completion_tokens or 0,
        n_cached_tokens=details.cached_tokens or 0,
    )
