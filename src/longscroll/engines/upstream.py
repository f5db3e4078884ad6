"""The engine that lets an OpenAI-compatible model server write: one chat after the other.

The sockets are in ``upstream_link``, the protocol's words in ``upstream_wire``, its errors in ``upstream_errors``.
Knows no documents and no citations: marks stay in the text as the model wrote them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Self

from longscroll.engines.base import Engine, EngineEvent, Prompt
from longscroll.engines.upstream_errors import no_completion
from longscroll.engines.upstream_link import Connections, UpstreamOptions
from longscroll.engines.upstream_probe import ProbeResult, probe
from longscroll.engines.upstream_wire import ABILITIES, AnswerStream, UpstreamKind, request_body
from longscroll.errors import ModelUnavailable

__all__ = ["ProbeResult", "Upstream", "UpstreamKind", "UpstreamOptions", "probe"]

DEFAULT_CONTEXT_WINDOWS: dict[UpstreamKind, int] = {
    "vllm": 8192,
    "sglang": 8192,
    "llama-server": 8192,
    "ollama": 4096,  # its own default; it cuts longer prompts without a word
    "openai": 8192,
}
"""Tokens, for servers that do not tell."""

CHAT = "/chat/completions"
MAX_WHOLE_BODY_BYTES = 16 << 20
TAIL_GRACE_S = 1.0  # for usage and [DONE] after the last text


class Upstream(Engine):
    """Streams answers from a model server; always streamed there, whatever our client asked for.

    The window is the configured one. Without one the server is asked at ``start`` and, if it was away then, before the
    next answers until it is back; a server that does not tell has 8192 tokens (Ollama: 4096).
    """

    writes_marks = True

    def __init__(self, options: UpstreamOptions) -> None:
        self._options = options
        self._connections = Connections(options)
        self.context_window: int | None = options.context_window or DEFAULT_CONTEXT_WINDOWS[options.kind]
        self._knows_window = options.context_window is not None
        self.abilities = ABILITIES[options.kind]

    async def start(self) -> None:
        """Open the session all requests share; ask for the window where it is not configured."""
        await self._connections.open()
        await self._ask_window(self._options.served_name)

    async def stop(self) -> None:
        """Close every connection; running answers end in an error."""
        await self._connections.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent]:
        """Stream the answer. Closing or cancelling closes the server's connection at once, also before its first byte.

        Raises:
            EngineError: as ``upstream_errors`` translates; after the first event as well as before.
        """
        lists_models = await self._ask_window(self._options.served_name or prompt.model)
        answering = self._connections.answering(CHAT, self._body(prompt), affinity=prompt.affinity)
        async with answering as response:
            self._knows_window |= not lists_models  # it answers and has no list: asking again would be in vain
            answer = AnswerStream()
            if response.content_type == "application/json":
                body = await self._connections.whole_body(response, limit=MAX_WHOLE_BODY_BYTES)
                for event in answer.take_whole(body):
                    yield event
                return
            if response.content_type == "text/html":
                raise no_completion()
            while not answer.is_done:
                tail_s = TAIL_GRACE_S if answer.is_finished else None
                block = await self._connections.next_block(response, tail_s=tail_s)
                if not block:
                    break
                for piece in answer.feed(block):
                    yield piece
            for event in answer.close():
                yield event
            await self._connections.read_to_end(response)

    async def _ask_window(self, model: str | None) -> bool:
        """Ask for the window unless it is known; False when no server lists its models."""
        if self._knows_window or model is None:
            return True
        kind = None if self._options.kind == "openai" else self._options.kind  # "openai" is also what nobody chose
        for url in self._connections.urls:
            try:
                found = await probe(url, api_key=self._options.api_key, kind=kind)
            except ModelUnavailable:
                continue
            window = found.context_window(model)
            self.context_window = window or DEFAULT_CONTEXT_WINDOWS[found.kind]
            # Ollama tells it of loaded models only, so it is asked again; the others have said all they will say.
            self._knows_window = window is not None or found.kind != "ollama"
            return True
        return False

    def _body(self, prompt: Prompt) -> bytes:
        options = self._options
        return request_body(
            prompt, kind=options.kind, served_name=options.served_name or prompt.model, extra_body=options.extra_body
        )
