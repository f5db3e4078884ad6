"""The headers of the native surface that change what a request means (PROTOCOL.md §2.1). Knows no body."""

from __future__ import annotations

from longscroll.errors import AsyncNotSupported, InvalidParameter
from longscroll.protocols.exchange import Request
from longscroll.protocols.told import header

STREAMING = (
    header("X-DashScope-SSE", "`enable` asks for a stream; so does `Accept: text/event-stream`."),
    header("X-DashScope-Async", "`enable` is refused: there are no asynchronous tasks."),
)

ENCRYPTED = "Encrypted input is not supported."


def wants_stream(request: Request) -> bool:
    """Whether a header asks for events; each of the two does it alone."""
    return _is_enabled(request, b"x-dashscope-sse") or "text/event-stream" in (request.header(b"accept") or "").lower()


def refuse_tasks(request: Request) -> None:
    """Refuse to make an asynchronous task of a request.

    Raises:
        AsyncNotSupported: the header asks for one.
    """
    if _is_enabled(request, b"x-dashscope-async"):
        raise AsyncNotSupported("Current user api does not support asynchronous calls.")


def refuse_encryption(request: Request) -> None:
    """Refuse an input that only the hosted service could read; before the body, whose input is then no object.

    Raises:
        InvalidParameter: the header names the key that it is encrypted with.
    """
    if request.header(b"x-dashscope-encryptionkey"):
        raise InvalidParameter(ENCRYPTED, param="input")


def _is_enabled(request: Request, header: bytes) -> bool:
    return (request.header(header) or "").strip().lower() == "enable"
