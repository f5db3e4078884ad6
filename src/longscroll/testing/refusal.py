"""How recorder and replayer say no: in the shape of the surface whose path was asked."""

from __future__ import annotations

from longscroll.errors import LongscrollError
from longscroll.protocols.exchange import AsgiScope, Send
from longscroll.protocols.paths import path_segments
from longscroll.protocols.routes import surface_of
from longscroll.testing.exchanges import request_of


async def refuse(scope: AsgiScope, send: Send, error: LongscrollError) -> None:
    """Send the refusal of a request."""
    request = request_of(scope, b"")
    reply = surface_of(path_segments(scope)).refuse(request, error)
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        (b"x-request-id", request.id.encode()),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})
