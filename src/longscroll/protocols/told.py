"""How the parameters of a route are told in the description of the interface: by kind, range and one sentence."""

from __future__ import annotations

from longscroll.protocols.exchange import RequestParameter


def text(name: str, says: str) -> RequestParameter:
    """Tell a parameter of any text."""
    return RequestParameter(name=name, says=says)


def number(name: str, says: str, *, default: int | None = None, low: int, high: int) -> RequestParameter:
    """Tell a whole number of a range."""
    schema: dict[str, str | int] = {"type": "integer", "minimum": low, "maximum": high}
    if default is not None:
        schema["default"] = default
    return RequestParameter(name=name, says=says, schema=schema)


def choice(name: str, says: str, *, among: tuple[str, ...]) -> RequestParameter:
    """Tell a parameter of a few fixed values, the first of them the default."""
    return RequestParameter(name=name, says=says, schema={"type": "string", "enum": [*among], "default": among[0]})


def header(name: str, says: str) -> RequestParameter:
    """Tell a header."""
    return RequestParameter(name=name, says=says, place="header")


def pages(max_size: int) -> tuple[RequestParameter, ...]:
    """Tell the two parameters of a numbered page."""
    return (
        number("page_no", "Which page, from 1.", default=1, low=1, high=10**9),
        number("page_size", "How many of one page.", default=10, low=1, high=max_size),
    )
