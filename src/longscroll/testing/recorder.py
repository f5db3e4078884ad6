"""A pass-through that keeps what goes through it: requests to another service, its replies with their timing.

Owns the way of one exchange there and back; a client sees the very bytes of the other service, piece by piece. Knows
neither protocol. An ASGI application, and an async context manager for its connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp

from longscroll.errors import ModelUnavailable
from longscroll.protocols.exchange import AsgiScope, Receive, Send
from longscroll.testing.exchanges import Exchange, Piece, piece, read_body, understand
from longscroll.testing.refusal import refuse
from longscroll.testing.secrets import Secrets, is_secret_name

_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
_NOT_SENT = _HOP_BY_HOP | {"host", "content-length", "accept-encoding", "expect"}

Headers = list[tuple[bytes, bytes]]


class Recorder:
    """Passes every request on to ``upstream``, an address without a path as a rule."""

    def __init__(self, upstream: str, keep: Callable[[Exchange], None], *, silence_timeout_s: float = 600.0) -> None:
        """Give every exchange to ``keep`` when it has ended; an upstream may be silent for so long."""
        self._upstream = upstream.rstrip("/")
        self._keep = keep
        self._secrets = Secrets()
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=silence_timeout_s)
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession(
            auto_decompress=False, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._client is not None
        await self._client.close()

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        assert self._client is not None, "enter it first"
        if (body := await read_body(receive)) is None:
            return
        self._secrets.learn(scope["headers"], scope["query_string"])
        query = scope["query_string"].decode("latin-1")
        url = self._upstream + scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        began = asyncio.get_running_loop().time()
        try:
            async with self._client.request(
                scope["method"],
                url,
                headers=_sent_headers(scope),
                data=body or None,
                allow_redirects=False,
            ) as reply:
                await self._pass_back(reply, scope, body, send, began=began)
        except aiohttp.ClientError as error:
            await refuse(scope, send, ModelUnavailable(f"{self._upstream} cannot be reached: {error}"))

    async def _pass_back(
        self, reply: aiohttp.ClientResponse, scope: AsgiScope, body: bytes, send: Send, *, began: float
    ) -> None:
        clock = asyncio.get_running_loop().time
        head_at_s = clock() - began
        headers = [(name.lower(), value) for name, value in reply.raw_headers if _text(name) not in _HOP_BY_HOP]
        self._secrets.learn(headers)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        pieces: list[tuple[float, bytes]] = []
        is_cut = False
        try:
            async for data, _ in reply.content.iter_chunks():
                if data:
                    pieces.append((clock() - began, data))
                    await send({"type": "http.response.body", "body": data, "more_body": True})
        except aiohttp.ClientError:
            is_cut = True
        self._secrets.learn_body(b"".join(data for _, data in pieces))
        self._keep(
            Exchange(
                asked=await understand(scope, body, self._secrets),
                status=reply.status,
                headers=_kept_headers(headers, self._secrets),
                head_at_s=round(head_at_s, 4),
                pieces=self._kept(pieces),
                is_cut=is_cut,
            )
        )
        if not is_cut:  # else the connection is closed without the end of the reply, as it was on the other side
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _kept(self, pieces: list[tuple[float, bytes]]) -> tuple[Piece, ...]:
        masked = self._secrets.masked([data for _, data in pieces])
        return tuple(piece(at_s, data) for (at_s, _), data in zip(pieces, masked, strict=True))


def _sent_headers(scope: AsgiScope) -> list[tuple[str, str]]:
    """Return the client's headers; a reply that is not compressed can be read where it is kept."""
    headers = [(_text(name), value.decode("latin-1")) for name, value in scope["headers"]]
    return [*((name, value) for name, value in headers if name not in _NOT_SENT), ("accept-encoding", "identity")]


def _kept_headers(headers: Headers, secrets: Secrets) -> tuple[tuple[str, str], ...]:
    return tuple(
        (_text(name), secrets.masked([value])[0].decode("latin-1"))
        for name, value in headers
        if not is_secret_name(_text(name))
    )


def _text(name: bytes) -> str:
    return name.decode("latin-1").lower()
