"""Faults by request header: ``X-Longscroll-Fault: Throttling.RateQuota; after=3; retry_after_s=2``.

Owns the header's grammar and how a fault meets the three kinds of answers. Handlers are wrapped only where the
configuration allows it, so nobody else pays. Knows no route and no surface.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from longscroll.engines.faults import Fault
from longscroll.errors import InvalidParameter
from longscroll.protocols.exchange import Answer, EventStream, Pieces, Request, Route
from longscroll.types import Delta, Finish

HEADER = "X-Longscroll-Fault"

_NAME = HEADER.lower().encode()
_FIELDS = ", ".join(name for name in Fault.__struct_fields__ if name != "error")

Item = TypeVar("Item")


def fallible(route: Route) -> Route:
    """Return the route, whose requests may ask for a fault."""

    async def handle(request: Request) -> Answer:
        value = request.header(_NAME)
        if value is None:
            return await route.handler(request)
        fault = parse_fault(value)
        if fault.is_error and fault.after == 0:
            await fault.strike(subject=_subject(request))
        return await _spoil(await route.handler(request), fault, _subject(request))

    return replace(route, handler=handle)


def parse_fault(value: str) -> Fault:
    """Return the fault that a header asks for.

    Raises:
        InvalidParameter: the header says something else.
    """
    name, *settings = (part.strip() for part in value.split(";"))
    fields: dict[str, str] = {"error": name}
    for setting in filter(None, settings):
        key, _, text = setting.partition("=")
        fields[key.strip()] = text.strip().strip('"')
    try:
        return msgspec.convert(fields, Fault, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidParameter(
            f"{HEADER} is a code of the table of errors, cut, silence or slow, and then any of {_FIELDS}, as in "
            f"`Throttling.RateQuota; after=3; retry_after_s=2`: {error}."
        ) from error


async def _spoil(answer: Answer, fault: Fault, subject: str) -> Answer:
    """Return an answer that goes wrong after so many deltas, or pieces; one that is sent whole is withheld."""
    if isinstance(answer, EventStream):
        return replace(answer, events=_spoilt(answer.events, fault, subject, counted=Delta))
    if isinstance(answer, Pieces):
        return replace(answer, pieces=_spoilt(answer.pieces, fault, subject, counted=bytes))
    await fault.strike(subject=subject)
    return answer


async def _spoilt(
    items: AsyncGenerator[Item, None], fault: Fault, subject: str, *, counted: type
) -> AsyncGenerator[Item, None]:
    n_left, is_due = fault.after, True
    async with aclosing(items):
        async for item in items:
            if is_due and (n_left == 0 or isinstance(item, Finish)):
                await fault.strike(subject=subject)
                is_due = False
            n_left -= isinstance(item, counted)
            yield item
            if is_due and n_left == 0:  # before more is made than the client gets: usage counts what was made
                await fault.strike(subject=subject)
                is_due = False
        if is_due:
            await fault.strike(subject=subject)


def _subject(request: Request) -> str:
    return next(iter(request.arguments.values()), "unknown")
