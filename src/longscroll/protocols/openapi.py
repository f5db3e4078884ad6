"""The description of the interface, OpenAPI 3.1, made from the route table: ``GET /openapi.json``.

Everything it says stands in the table, in the types it names and in the first lines of its handlers. Knows no route and
no field of any surface beyond how each says no.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from longscroll import __version__
from longscroll.protocols.encoding import encode
from longscroll.protocols.exchange import Form, Reply, Request, RequestParameter, Route
from longscroll.protocols.schemas import Schemas

PATH = "/openapi.json"
TITLE = "Longscroll"

_PARAMETER = re.compile(r"\{(\w+)(?:\.\.\.)?\}")
_REQUEST_ID = {"description": "The id of this exchange, in the log too.", "schema": {"type": "string"}}
_RETRY_AFTER = {"description": "Seconds after which to try again; 429 and 503 have it.", "schema": {"type": "integer"}}
_BEARER = {"type": "http", "scheme": "bearer", "description": "A key of this service."}


class Tag(Struct, frozen=True, kw_only=True):
    """A group of routes: by the beginning of their paths, with the shape of their errors."""

    name: str
    base: str
    error: type


def description_route(routes: Sequence[Route], tags: Sequence[Tag]) -> Route:
    """Return the row that describes ``routes`` and itself; it is open, as it tells nothing of this installation."""

    @cache
    def body() -> bytes:
        return encode(describe((*routes, row), tags))

    row = Route(method="GET", path=PATH, scope=None, handler=_describing(body), is_open=True)
    return row


def describe(routes: Sequence[Route], tags: Sequence[Tag]) -> dict[str, Any]:
    """Return the document."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        tag = next((tag for tag in tags if route.path.startswith(tag.base)), tags[-1])
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, tag, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": __version__},
        "security": [{"key": []}],
        "tags": [{"name": tag.name} for tag in tags],
        "paths": paths,
        "components": {"securitySchemes": {"key": _BEARER}, "schemas": schemas.components()},
    }


def _describing(body: Callable[[], bytes]) -> Callable[[Request], Any]:
    async def describe_interface(request: Request) -> Reply:
        """Return this description."""
        tag = f'"{hashlib.sha256(body()).hexdigest()[:32]}"'.encode()
        headers = ((b"etag", tag), (b"cache-control", b"no-cache"))
        known = (request.header(b"if-none-match") or "").encode()
        if tag in (part.strip().removeprefix(b"W/") for part in known.split(b",")):
            return Reply(status=304, body=b"", headers=headers)
        return Reply(body=body(), headers=headers)

    return describe_interface


def _operation(route: Route, tag: Tag, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "tags": [tag.name],
        "parameters": [*_path_parameters(route.path), *map(_parameter, route.parameters)],
        "responses": {"200": _success(route, schemas)},
    }
    if summary := (route.handler.__doc__ or "").partition("\n")[0]:
        operation["summary"] = summary
    if route.request is not None:
        operation["requestBody"] = _request_body(route, schemas)
    if route.is_open:
        operation["security"] = []
    else:
        operation["responses"] |= {"4XX": _refusal(tag, schemas), "5XX": _refusal(tag, schemas)}
    if route.scope is not None:
        operation["description"] = f"Asks for a key with the scope `{route.scope}`."
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", route.path)
    return route.method.lower() + "".join(word[0].upper() + word[1:] for word in words)


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]


def _parameter(parameter: RequestParameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": False,
        "description": parameter.says,
        "schema": dict(parameter.schema),
    }


def _request_body(route: Route, schemas: Schemas) -> dict[str, Any]:
    if route.request is Form:
        form = {"schema": schemas.of(route.form) if route.form is not None else {"type": "object"}}
        return {"required": True, "content": {"multipart/form-data": form}}
    schema = schemas.of(route.request)
    if route.requires:
        schema = {"allOf": [schema, {"required": list(route.requires)}]}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _success(route: Route, schemas: Schemas) -> dict[str, Any]:
    schema = schemas.of(route.response) if route.response is not None else {}
    content: dict[str, Any] = {content_type: {"schema": schema} for content_type in route.content_types}
    if route.events is not None:
        event = {"schema": {"type": "string"}, "x-event": schemas.of(route.events)}
        content["text/event-stream"] = event
    return {"description": "Success", "headers": {"X-Request-Id": _REQUEST_ID}, "content": content}


def _refusal(tag: Tag, schemas: Schemas) -> dict[str, Any]:
    return {
        "description": "Refused, with the reason",
        "headers": {"X-Request-Id": _REQUEST_ID, "Retry-After": _RETRY_AFTER},
        "content": {"application/json": {"schema": schemas.of(tag.error)}},
    }
