"""The engine that lets an OpenAI-compatible model server write: connections, failover, silence and cancellation.

Owns the sockets. The protocol's words are in ``upstream_wire``, its errors in ``upstream_errors``. Knows no documents
and no citations: marks stay in the text as the model wrote them.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct

from longscroll import late
from longscroll.engines.base import Engine, EngineEvent, Prompt
from longscroll.engines.upstream_errors import cut_stream, error_of_response, no_completion
from longscroll.engines.upstream_probe import ProbeResult, probe, read_at_most
from longscroll.engines.upstream_wire import AnswerStream, UpstreamKind, request_body
from longscroll.errors import EngineFailed, EngineTimeout, ModelUnavailable

if TYPE_CHECKING:
    import aiohttp
else:
    aiohttp = late("aiohttp")  # a fifth of a second that a service without model servers has no use for

__all__ = ["ProbeResult", "Upstream", "UpstreamKind", "UpstreamOptions", "probe"]

DEFAULT_CONTEXT_WINDOWS: dict[UpstreamKind, int] = {
    "vllm": 8192,
    "sglang": 8192,
    "llama-server": 8192,
    "ollama": 4096,  # its own default; it cuts longer prompts without a word
    "openai": 8192,
}
"""Tokens, for servers that do not tell."""

MAX_WHOLE_BODY_BYTES = 16 << 20
MAX_ERROR_BODY_BYTES = 64 << 10
TAIL_GRACE_S = 1.0  # for usage and [DONE] after the last text
END_GRACE_S = 0.2
KEEPALIVE_S = 4.0  # uvicorn, under most model servers, closes idle connections after 5 s


class UpstreamOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model server, or several that serve the same models under the same names."""

    name: str
    urls: tuple[str, ...]  # base URLs, up to and including /v1
    kind: UpstreamKind = "openai"
    api_key: str | None = None
    served_name: str | None = None  # what the server calls the model; None: the name in the prompt
    context_window: int | None = None  # tokens; None: ask the server, see Upstream
    connect_timeout_s: float = 5.0
    silence_timeout_s: float = 300.0  # without one byte, before the first as well as between two
    extra_body: dict[str, Any] = {}  # added to every request, such as chat_template_kwargs

    def __post_init__(self) -> None:
        if not self.urls:
            raise ValueError(f"upstream {self.name}: urls is empty")
        for url in self.urls:
            if not url.startswith(("http://", "https://")) or "@" in url or "?" in url:
                raise ValueError(f"upstream {self.name}: expected http(s)://host[:port]/v1 without a key, got {url!r}")
        if self.api_key and not self.api_key.isprintable():
            raise ValueError(f"upstream {self.name}: the key has characters that no header can carry")

    def __repr__(self) -> str:
        key = "set" if self.api_key else None
        return f"UpstreamOptions(name={self.name!r}, urls={self.urls!r}, kind={self.kind!r}, api_key={key})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("urls", self.urls), ("kind", self.kind)]


class Upstream(Engine):
    """Streams answers from a model server; always streamed there, whatever our client asked for.

    The window is the configured one. Without one the server is asked at ``start`` and, if it was away then, before the
    next answers until it is back; a server that does not tell has 8192 tokens (Ollama: 4096).
    """

    writes_marks = True

    def __init__(self, options: UpstreamOptions) -> None:
        self._options = options
        self._urls = tuple(url.rstrip("/") for url in options.urls)
        self._turns = itertools.count()
        self._session: aiohttp.ClientSession | None = None
        self.context_window: int | None = options.context_window or DEFAULT_CONTEXT_WINDOWS[options.kind]
        self._knows_window = options.context_window is not None

    async def start(self) -> None:
        """Open the session all requests share; ask for the window where it is not configured."""
        options = self._options
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if options.api_key:
            headers["Authorization"] = f"Bearer {options.api_key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=options.connect_timeout_s,
                sock_connect=options.connect_timeout_s,
                sock_read=options.silence_timeout_s,
            ),
        )
        await self._ask_window(options.served_name)

    async def stop(self) -> None:
        """Close every connection; running answers end in an error."""
        if self._session is not None:
            await self._session.close()
            self._session = None

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
        async with self._answering(prompt) as response:
            self._knows_window |= not lists_models  # it answers and has no list: asking again would be in vain
            answer = AnswerStream()
            if response.content_type == "application/json":
                for event in answer.take_whole(await self._whole_body(response)):
                    yield event
                return
            if response.content_type == "text/html":
                raise no_completion()
            while not answer.is_done and (block := await self._next_block(response, is_tail=answer.is_finished)):
                for text in answer.feed(block):
                    yield text
            for event in answer.close():
                yield event
            await self._read_to_end(response)

    async def _ask_window(self, model: str | None) -> bool:
        """Ask for the window unless it is known; False when no server lists its models."""
        if self._knows_window or model is None:
            return True
        kind = None if self._options.kind == "openai" else self._options.kind  # "openai" is also what nobody chose
        for url in self._urls:
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

    @asynccontextmanager
    async def _answering(self, prompt: Prompt) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open the answer at the first server that can give one; closes its connection at the end."""
        options = self._options
        body = request_body(
            prompt, kind=options.kind, served_name=options.served_name or prompt.model, extra_body=options.extra_body
        )
        response = await self._first_answer(body, affinity=prompt.affinity)
        try:
            yield response
        finally:
            response.close()

    async def _first_answer(self, body: bytes, *, affinity: str) -> aiohttp.ClientResponse:
        """Try the servers in turn; the same documents begin at the same one, where their prefix is cached."""
        first = zlib.crc32(affinity.encode()) if affinity else next(self._turns)
        for n_tried in range(len(self._urls) - 1):
            try:
                return await self._ask(self._urls[(first + n_tried) % len(self._urls)], body)
            except ModelUnavailable:
                continue
        return await self._ask(self._urls[(first - 1) % len(self._urls)], body)

    async def _ask(self, url: str, body: bytes) -> aiohttp.ClientResponse:
        """Return the response once its status is 200, or raise what its status means."""
        response = await self._send(url, body)
        if response.status == 200:
            return response
        try:
            answer = await read_at_most(response, MAX_ERROR_BODY_BYTES)
        except (aiohttp.ClientError, TimeoutError):
            answer = b""
        finally:
            response.close()
        if self._options.api_key:
            answer = answer.replace(self._options.api_key.encode(), b"***")
        raise error_of_response(response.status, answer, retry_after=response.headers.get("Retry-After"))

    async def _send(self, url: str, body: bytes) -> aiohttp.ClientResponse:
        name = self._options.name
        try:
            return await self._post(url, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ModelUnavailable(f"The model server {name} cannot be reached: is it running?") from error
        except TimeoutError as error:
            raise self._silence() from error
        except aiohttp.ClientConnectionError as error:
            raise ModelUnavailable(f"The model server {name} closed the connection without an answer.") from error
        except aiohttp.ClientError as error:
            raise EngineFailed(f"The model server {name} does not answer in HTTP.") from error

    async def _post(self, url: str, body: bytes) -> aiohttp.ClientResponse:
        session = self._session
        if session is None:
            raise ModelUnavailable(f"The model server {self._options.name} is not connected.")

        async def post() -> aiohttp.ClientResponse:
            # A stream, because aiohttp would write bytes to the socket in one go (and warns about more than 1 MiB).
            return await session.post(f"{url}/chat/completions", data=io.BytesIO(body), allow_redirects=False)

        try:
            return await post()
        except (aiohttp.ClientConnectorError, TimeoutError):
            raise
        except aiohttp.ClientConnectionError:
            # Most often a kept connection that the server closed in the same moment; no answer had begun.
            return await post()

    async def _next_block(self, response: aiohttp.ClientResponse, *, is_tail: bool) -> bytes:
        """Return the bytes that are there, ``b""`` at the end; a tail may also be late or broken, the text is whole."""
        try:
            async with asyncio.timeout(TAIL_GRACE_S if is_tail else None):
                return await response.content.readany()
        except TimeoutError as error:
            if is_tail:
                return b""
            raise self._silence() from error
        except (aiohttp.ClientError, OSError) as error:
            if is_tail:
                return b""
            raise cut_stream() from error

    async def _read_to_end(self, response: aiohttp.ClientResponse) -> None:
        """Let the connection be used again: it can, once the few bytes after ``[DONE]`` are read."""
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(END_GRACE_S):
                while await response.content.readany():
                    pass

    async def _whole_body(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await read_at_most(response, MAX_WHOLE_BODY_BYTES)
        except TimeoutError as error:
            raise self._silence() from error
        except (aiohttp.ClientError, OSError) as error:
            raise cut_stream() from error

    def _silence(self) -> EngineTimeout:
        return EngineTimeout(f"The model server was silent for {self._options.silence_timeout_s:g} seconds.")
