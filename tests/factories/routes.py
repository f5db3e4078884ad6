"""The route table as the service builds it, over services that are never called."""

from __future__ import annotations

from typing import Any

from longscroll.protocols.exchange import Route
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.routes import Services, build_routes


def all_routes() -> tuple[Route, ...]:
    """Return every row."""
    nothing: Any = None
    services = Services(
        authenticate=nothing,
        answer=nothing,
        files=nothing,
        batches=nothing,
        catalog=nothing,
        keys=nothing,
        usage=nothing,
        vectors=nothing,
        counter=nothing,
    )
    return build_routes(services, ProtocolOptions(), is_ready=lambda: True)
