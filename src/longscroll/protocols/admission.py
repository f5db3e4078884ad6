"""What both protocols check between a body's JSON and its parameters: the model is named, known and allowed."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from longscroll.access.base import Principal
from longscroll.errors import InvalidParameter, MissingModel, ModelAccessDenied
from longscroll.protocols.exchange import Request
from longscroll.protocols.parameters import GENERIC, explain
from longscroll.services.models import ModelCatalog

T = TypeVar("T")


class _Named(Struct):
    """Only the name of a body whose other fields have wrong types."""

    model: Any = None


_named = msgspec.json.Decoder(_Named)


async def read_body(request: Request, decoder: msgspec.json.Decoder[T], catalog: ModelCatalog) -> tuple[str, T]:
    """Return the model's name, trimmed, and the decoded body.

    The model is checked before the types of other fields, as PROTOCOL.md §9.1 orders it.

    Raises:
        InvalidBody: the body is not JSON, or no object.
        MissingModel, ModelNotFound, ModelAccessDenied: there is no model to go on with.
        InvalidParameter: a field has the wrong type.
    """
    try:
        body = await request.decode(decoder)
    except msgspec.ValidationError as error:
        named = await request.decode(_named)
        _check_model(named.model, request.principal, catalog)
        raise explain(error) from error
    return _check_model(getattr(body, "model", None), request.principal, catalog), body


def _check_model(name: object, principal: Principal, catalog: ModelCatalog) -> str:
    if name is None or name == "":
        raise MissingModel
    if not isinstance(name, str):
        raise InvalidParameter(GENERIC, param="model")
    model = catalog.get(name)
    if principal.models and not principal.models & {model.name, name.strip()}:
        raise ModelAccessDenied("Model access denied.")
    return name.strip()
