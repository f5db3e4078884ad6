"""Recorded exchanges, replied again: byte for byte, piece by piece, at their own pace or at once.

Owns which exchange answers a request. Knows neither protocol. An ASGI application; no key is asked for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from longscroll.errors import PathNotFound
from longscroll.protocols.exchange import AsgiScope, Receive, Send
from longscroll.testing.exchanges import Asked, Exchange, read_body, understand
from longscroll.testing.refusal import refuse
from longscroll.testing.secrets import Secrets

N_DIFFERENCES_TOLD = 3

Pace = Literal["original", "none"]


class Replayer:
    """Replies to a request with the exchange recorded for an equal one.

    Equal requests get their replies in recorded order, and the last one again and again.
    """

    def __init__(self, exchanges: Iterable[Exchange], *, pace: Pace = "original") -> None:
        self._exchanges: dict[bytes, list[Exchange]] = {}
        for exchange in exchanges:
            self._exchanges.setdefault(exchange.asked.key, []).append(exchange)
        self._n_replied: Counter[bytes] = Counter()
        self._is_paced = pace == "original"

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Reply to one request."""
        if (body := await read_body(receive)) is None:
            return
        secrets = Secrets()
        secrets.learn(scope["headers"], scope["query_string"])
        asked = await understand(scope, body, secrets)
        recorded = self._exchanges.get(asked.key)
        if recorded is None:
            error = PathNotFound("Not found!")
            error.words = self._explain(asked)
            await refuse(scope, send, error)
            return
        turn = min(self._n_replied[asked.key], len(recorded) - 1)
        self._n_replied[asked.key] += 1
        await self._reply(recorded[turn], send)

    async def _reply(self, exchange: Exchange, send: Send) -> None:
        began = asyncio.get_running_loop().time()
        await self._wait_until(began + exchange.head_at_s)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in exchange.headers]
        await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
        for piece in exchange.pieces:
            await self._wait_until(began + piece.at_s)
            await send({"type": "http.response.body", "body": piece.body, "more_body": True})
        if not exchange.is_cut:  # else the server closes the connection without the end of the reply
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _wait_until(self, when: float) -> None:
        delay_s = when - asyncio.get_running_loop().time()
        if self._is_paced and delay_s > 0:
            await asyncio.sleep(delay_s)

    def _explain(self, asked: Asked) -> str:
        """Say what was asked, and in what the nearest recorded request differs."""
        what = f"No exchange is recorded for {asked.method} {asked.path}"
        rivals = [exchanges[0].asked for exchanges in self._exchanges.values()]
        alike = [one for one in rivals if (one.method, one.path) == (asked.method, asked.path)]
        if not alike:
            paths = ", ".join(sorted({f"{one.method} {one.path}" for one in rivals})) or "nothing"
            return f"{what}; recorded is {paths}."
        told = min((list(_differences(_plain(asked), _plain(one))) for one in alike), key=len)
        more = f" and {len(told) - N_DIFFERENCES_TOLD} more" if len(told) > N_DIFFERENCES_TOLD else ""
        return f"{what} with this content; the nearest differs in {', '.join(told[:N_DIFFERENCES_TOLD])}{more}."


def _plain(asked: Asked) -> Any:
    return msgspec.to_builtins(asked)


def _differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Yield the places in which two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*one, *other)):
            yield from _differences(one.get(name), other.get(name), f"{place}.{name}" if place else str(name))
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for position, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differences(left, right, f"{place}[{position}]")
    elif one != other:
        yield place
