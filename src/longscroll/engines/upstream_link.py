"""The connections to a model server: which of its addresses, failover, silence, and errors as our own.

Owns the sockets. Knows neither what is asked nor what an answer means: ``upstream`` chats over it, ``upstream_vectors``
embeds and ranks.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from longscroll import late
from longscroll.engines.upstream_errors import cut_stream, error_of_response
from longscroll.engines.upstream_probe import read_at_most
from longscroll.engines.upstream_wire import UpstreamKind
from longscroll.errors import EngineFailed, EngineTimeout, ModelUnavailable

if TYPE_CHECKING:
    import aiohttp
else:
    aiohttp = late("aiohttp")  # a fifth of a second that a service without model servers has no use for

MAX_ERROR_BODY_BYTES = 64 << 10
MAX_AT_ONCE_BYTES = 64 << 10
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


class Connections:
    """The connections of one model to its servers; they close after each answer that is not read to its end."""

    def __init__(self, options: UpstreamOptions) -> None:
        self.options = options
        self.urls = tuple(url.rstrip("/") for url in options.urls)
        self._turns = itertools.count()
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Open the session all requests share; no server is asked for anything yet."""
        options = self.options
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

    async def close(self) -> None:
        """Close every connection; running answers end in an error."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def answering(self, path: str, body: bytes, *, affinity: str = "") -> AsyncIterator[aiohttp.ClientResponse]:
        """Post a body and yield the response of the first server that can answer; closes its connection at the end.

        Leaving closes the server's connection at once, also before its first byte. The same ``affinity`` begins at the
        same server, where the prefix is cached.

        Raises:
            EngineError: as ``upstream_errors`` translates.
        """
        response = await self._first_answer(path, body, affinity=affinity)
        try:
            yield response
        finally:
            response.close()

    async def next_block(self, response: aiohttp.ClientResponse, *, tail_s: float | None = None) -> bytes:
        """Return the bytes that are there, ``b""`` at the end.

        With ``tail_s`` the answer is whole already: what comes later, or breaks, is its end as well.
        """
        try:
            if tail_s is None:
                return await response.content.readany()
            async with asyncio.timeout(tail_s):
                return await response.content.readany()
        except TimeoutError as error:
            if tail_s is not None:
                return b""
            raise self._silence() from error
        except (aiohttp.ClientError, OSError) as error:
            if tail_s is not None:
                return b""
            raise cut_stream() from error

    async def read_to_end(self, response: aiohttp.ClientResponse) -> None:
        """Let the connection be used again: it can, once the few bytes after the answer are read."""
        if response.content.at_eof():
            return
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(END_GRACE_S):
                while await response.content.readany():
                    pass

    async def whole_body(self, response: aiohttp.ClientResponse, *, limit: int) -> bytes:
        """Return the body, up to ``limit`` bytes.

        Raises:
            EngineError: it stopped coming, or broke off.
        """
        try:
            return await read_at_most(response, limit)
        except TimeoutError as error:
            raise self._silence() from error
        except (aiohttp.ClientError, OSError) as error:
            raise cut_stream() from error

    async def _first_answer(self, path: str, body: bytes, *, affinity: str) -> aiohttp.ClientResponse:
        """Try the servers in turn."""
        first = zlib.crc32(affinity.encode()) if affinity else next(self._turns)
        for n_tried in range(len(self.urls) - 1):
            try:
                return await self._ask(self._address(first + n_tried, path), body)
            except ModelUnavailable:
                continue
        return await self._ask(self._address(first - 1, path), body)

    def _address(self, turn: int, path: str) -> str:
        return self.urls[turn % len(self.urls)] + path

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
        if self.options.api_key:
            answer = answer.replace(self.options.api_key.encode(), b"***")
        raise error_of_response(response.status, answer, retry_after=response.headers.get("Retry-After"))

    async def _send(self, url: str, body: bytes) -> aiohttp.ClientResponse:
        name = self.options.name
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
            raise ModelUnavailable(f"The model server {self.options.name} is not connected.")

        async def post() -> aiohttp.ClientResponse:
            # A long one as a stream: aiohttp would write it to the socket in one go (and warns about more than 1 MiB).
            data = body if len(body) <= MAX_AT_ONCE_BYTES else io.BytesIO(body)
            return await session.post(url, data=data, allow_redirects=False)

        try:
            return await post()
        except (aiohttp.ClientConnectorError, TimeoutError):
            raise
        except aiohttp.ClientConnectionError:
            # Most often a kept connection that the server closed in the same moment; no answer had begun.
            return await post()

    def _silence(self) -> EngineTimeout:
        return EngineTimeout(f"The model server was silent for {self.options.silence_timeout_s:g} seconds.")
