"""Requests without a server: what a handler or a reader of bodies sees."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from factories.wire import NOON, REQUEST_ID
from longscroll.access.base import SCOPES, Principal
from longscroll.protocols.exchange import AsgiMessage, Request
from longscroll.protocols.options import ProtocolOptions


def make_request(
    *pieces: bytes,
    headers: Mapping[str, str] | None = None,
    options: ProtocolOptions | None = None,
    leaves: bool = False,
) -> Request:
    """Return a request whose body comes in these pieces; ``leaves``: the client hangs up after the last."""
    messages: list[AsgiMessage] = [
        {"type": "http.request", "body": piece, "more_body": leaves or number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]
    messages = messages or [{"type": "http.request", "body": b"", "more_body": leaves}]
    if leaves:
        messages.append({"type": "http.disconnect"})

    async def receive() -> AsgiMessage:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    scope = {
        "method": "POST",
        "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
    }
    request = Request(scope, receive, request_id=REQUEST_ID, received_at=NOON, options=options or ProtocolOptions())
    request.principal = Principal(workspace="acme", key_id="key-1", scopes=frozenset(SCOPES))
    return request
