"""Pages of other origins: what their browsers must be told to let them use this service, where the operator allows it.

Off by default, as with the hosted service: a page that calls it shows its visitors the key. Knows no route.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from longscroll.protocols.exchange import Headers, Reply, Request
from longscroll.protocols.options import ProtocolOptions

ANY = "*"

_EXPOSED = b"X-Request-Id, Retry-After, Req-Cost-Time"
_NAMES = re.compile(r"[A-Za-z0-9_-]+(?:\s*,\s*[A-Za-z0-9_-]+)*")
_KEPT_S = b"600"


def allowance(request: Request, options: ProtocolOptions) -> Headers:
    """Return the headers that let a page read a reply; none for a page that may not, or where no page may."""
    origin = request.header(b"origin") if options.cors_origins else None
    if origin is None:
        return ()
    if ANY in options.cors_origins:
        return ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED))
    if origin not in options.cors_origins:
        return ((b"vary", b"Origin"),)
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    )


def preflight(request: Request, options: ProtocolOptions, methods: Iterable[str]) -> Reply | None:
    """Return the reply to a browser that asks before a page's request, which has no key; None: it is something else."""
    asks = request.method == "OPTIONS" and request.header(b"access-control-request-method") is not None
    if not asks or not any(name == b"access-control-allow-origin" for name, _ in allowance(request, options)):
        return None
    headers = [
        (b"access-control-allow-methods", ", ".join(methods).encode()),
        (b"access-control-max-age", _KEPT_S),
    ]
    wanted = request.header(b"access-control-request-headers") or ""
    if _NAMES.fullmatch(wanted.strip()):
        headers.append((b"access-control-allow-headers", wanted.strip().encode()))
    return Reply(body=b"", headers=tuple(headers))
