"""What both protocols check between a body's JSON and its parameters: the model, the right to it, and its limits."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from longscroll.access.base import Principal
from longscroll.access.limits import Limits
from longscroll.errors import InvalidParameter, LimitExceeded, MissingModel, ModelAccessDenied, RequestError
from longscroll.protocols.exchange import Request
from longscroll.protocols.parameters import GENERIC, explain
from longscroll.services.models import DEFAULT_MAX_OUTPUT_TOKENS, Model, ModelCatalog, Task

T = TypeVar("T")


class _Named(Struct):
    """Only the name of a body whose other fields have wrong types."""

    model: Any = None


_named = msgspec.json.Decoder(_Named)


class Gate:
    """Admits requests that name a model, in the order of PROTOCOL.md §9.1."""

    def __init__(self, catalog: ModelCatalog, limits: Limits) -> None:
        self._catalog = catalog
        self._limits = limits

    async def admit(
        self,
        request: Request,
        decoder: msgspec.json.Decoder[T],
        *,
        task: Task | None = "chat",
        is_limited: bool = True,
    ) -> tuple[str, T]:
        """Return the model's name, trimmed, and the decoded body; the request counts as running until it ends.

        The model is checked before the types of other fields. ``task`` is what it must be for, None: anything. What is
        free of charge is not ``is_limited``.

        Raises:
            InvalidBody: the body is not JSON, or no object.
            MissingModel, ModelNotFound, ModelAccessDenied: there is no model to go on with.
            LimitExceeded: the workspace asks too much of it.
            InvalidParameter: the model is for another task, or a field has the wrong type.
        """
        wrong_type: msgspec.ValidationError | None = None
        body: Any
        try:
            body = await request.decode(decoder)
        except msgspec.ValidationError as error:
            wrong_type = error
            body = await _decode_name(request)
        name, model = _allowed_model(getattr(body, "model", None), request.principal, self._catalog)
        if task is not None:
            model.check_task(task)
        if is_limited and not request.is_exempt:
            admission = self._limits.admit(request.principal.workspace, model.name)
            request.at_end(lambda: admission.leave(is_refused=isinstance(request.error, RequestError | LimitExceeded)))
        if wrong_type is not None:
            raise explain(wrong_type) from wrong_type
        return name, body

    def max_output_tokens(self, model: str) -> int:
        """Return the most that one answer of a model may be asked for."""
        return self._catalog.get(model).max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS


async def _decode_name(request: Request) -> _Named:
    try:
        return await request.decode(_named)
    except msgspec.ValidationError as error:  # a number that nobody can hold is of no type at all
        raise explain(error) from error


def _allowed_model(name: object, principal: Principal, catalog: ModelCatalog) -> tuple[str, Model]:
    if name is None or name == "":
        raise MissingModel
    if not isinstance(name, str):
        raise InvalidParameter(GENERIC, param="model")
    model = catalog.get(name)
    if not principal.may_use(model.name, name.strip()):
        raise ModelAccessDenied("Model access denied.")
    return name.strip(), model
