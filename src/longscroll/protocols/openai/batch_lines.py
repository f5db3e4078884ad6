"""The lines of a batch as this surface writes them: a request out of a line, a record out of its reply (§8.5).

A line is answered by the handler of its endpoint, as if it had come over HTTP just now with the key of its batch; it
differs in that it is never streamed and no limit is asked. Knows no file and no order of lines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec
import structlog
from msgspec import Struct

from longscroll.access.base import Principal
from longscroll.errors import AccessDenied, InvalidParameter, InvalidUrl, LongscrollError, MissingModel, StorageFull
from longscroll.protocols.encoding import decode, encode
from longscroll.protocols.exchange import AsgiMessage, Reply, Request, Route
from longscroll.protocols.openai.errors import refuse
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.parameters import explain
from longscroll.services.batches.base import Line, LineReply, SkipReason
from longscroll.services.models import ModelCatalog
from longscroll.storage.batches import Batch

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
"""What a batch can be for, where it is served."""

_NOT_STREAMED = ("stream", "stream_options")
_REASONS: dict[SkipReason, str] = {
    "batch_expired": "The completion window ended before this request was made.",
    "batch_cancelled": "The batch was cancelled before this request was made.",
    "batch_failed": "The batch failed before this request was made.",
}

log = structlog.get_logger(__name__)


class WireLine(Struct, kw_only=True):
    """A line of the input; further keys are ignored."""

    custom_id: str | None = None
    method: str | None = None
    url: str | None = None
    body: dict[str, msgspec.Raw] | None = None


class RecordedReply(Struct, frozen=True, kw_only=True):
    """The ``response`` of a record."""

    status_code: int
    request_id: str
    body: msgspec.Raw


class RecordedError(Struct, frozen=True, kw_only=True):
    """The ``error`` of a record: why there is no response."""

    code: str
    message: str


class Record(Struct, frozen=True, kw_only=True):
    """A line of an output file or an error file."""

    id: str
    custom_id: str
    response: RecordedReply | None
    error: RecordedError | None


_decoder = msgspec.json.Decoder(WireLine)
_name_decoder = msgspec.json.Decoder(str)


class BatchLines:
    """``Lines`` of this surface; ``find_caller`` returns who a key is now, or raises Unauthenticated."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        catalog: ModelCatalog,
        find_caller: Callable[[str, str], Awaitable[Principal]],
        *,
        options: ProtocolOptions,
        clock: Callable[[], datetime],
    ) -> None:
        """Answer by ``routes``, the rows of the endpoints that are served; those of workspace and key id call."""
        self._routes = routes
        self._catalog = catalog
        self._find_caller = find_caller
        self._options = options
        self._clock = clock

    def read(self, text: bytes) -> Line:
        """Return what a line asks; see ``Lines.read``."""
        try:
            wire = decode(text, _decoder)
        except msgspec.ValidationError as error:
            raise explain(error) from error
        if not wire.custom_id:
            raise InvalidParameter("custom_id must be a string that is not empty.", param="custom_id")
        if (wire.method or "POST").upper() != "POST":
            raise InvalidParameter("The method must be POST.", param="method")
        if wire.url is None or wire.url not in self._routes:
            raise InvalidUrl(f"The url must be one of {', '.join(self._routes)}.")
        if wire.body is None:
            raise InvalidParameter("The body must be an object.", param="body")
        fields = {name: value for name, value in wire.body.items() if name not in _NOT_STREAMED}
        return Line(
            custom_id=wire.custom_id, endpoint=wire.url, model=_model_of(fields), body=msgspec.json.encode(fields)
        )

    def check_model(self, line: Line) -> None:
        """Refuse a line whose model nobody has; see ``Lines.check_model``."""
        if line.endpoint.endswith("/embeddings"):
            self._catalog.embedding(line.model)
        else:
            self._catalog.answering(line.model)

    async def answer(self, batch: Batch, line: Line, request_id: str) -> LineReply:
        """Return the reply to a line; see ``Lines.answer``."""
        request = self._request(line, request_id)
        asking = asyncio.create_task(self._ask(request, batch))
        try:
            await asyncio.wait([asking])
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            request.end()
        error = asking.exception()
        if isinstance(error, StorageFull):
            raise error
        reply = asking.result() if error is None else _refusal(request, error)
        response = RecordedReply(status_code=reply.status, request_id=request_id, body=msgspec.Raw(reply.body))
        record = Record(id=request_id, custom_id=line.custom_id, response=response, error=None)
        return LineReply(status=reply.status, record=encode(record))

    def skip(self, line: Line, record_id: str, reason: SkipReason) -> bytes:
        """Return the record of a line that was never asked; see ``Lines.skip``."""
        error = RecordedError(code=reason, message=_REASONS[reason])
        return encode(Record(id=record_id, custom_id=line.custom_id, response=None, error=error))

    def _request(self, line: Line, request_id: str) -> Request:
        async def receive() -> AsgiMessage:
            return {"type": "http.request", "body": line.body, "more_body": False}

        scope = {"type": "http", "method": "POST", "path": line.endpoint, "query_string": b"", "headers": ()}
        request = Request(scope, receive, request_id=request_id, received_at=self._clock(), options=self._options)
        request.route = self._routes[line.endpoint]
        request.is_exempt = True
        return request

    async def _ask(self, request: Request, batch: Batch) -> Reply:
        route = request.route
        assert route is not None
        request.principal = await self._find_caller(batch.workspace, batch.key_id)
        if route.scope is not None and route.scope not in request.principal.scopes:
            raise AccessDenied("Access denied.")
        reply = await route.handler(request)
        assert isinstance(reply, Reply), "nothing is streamed"
        return reply


def _model_of(fields: Mapping[str, msgspec.Raw]) -> str:
    try:
        name = _name_decoder.decode(fields.get("model", b"null")).strip()
    except msgspec.ValidationError as error:
        raise MissingModel from error
    if not name:
        raise MissingModel
    return name


def _refusal(request: Request, error: BaseException) -> Reply:
    """Return what a client would be told; what nobody foresaw is logged, as at the boundary."""
    assert isinstance(error, Exception), error
    if not isinstance(error, LongscrollError):
        log.error("request failed", request_id=request.id, method=request.method, exc_info=error)
    return refuse(request, error)
