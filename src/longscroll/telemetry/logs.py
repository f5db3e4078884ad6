"""The log of a process: one structured line per event on standard error.

Events carry request ids, routes, statuses, counts and times; never a prompt, a file name or a key. An exception is
logged by its class and where it was raised, without its message: that may quote what was asked. Knows no request and
no secret.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import msgspec
import structlog

_VALUES = re.compile(r"\s*[<(].*", re.DOTALL)

_ENCODER = msgspec.json.Encoder(enc_hook=repr)
_log = structlog.get_logger(__name__)


def configure_logging(*, level: str = "info", as_json: bool | None = None) -> None:
    """Send every log line of this process to standard error.

    JSON lines unless standard error is a terminal; ``as_json`` decides otherwise. Called once by a command.
    """
    numeric = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor
    if as_json is False or (as_json is None and sys.stderr.isatty()):
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    else:
        renderer = structlog.processors.JSONRenderer(_to_json)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _locate_exception,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,  # or each event would make its logger anew
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(numeric, logging.WARNING), force=True)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every malformed form, with its bytes


def _to_json(event: structlog.typing.EventDict, **_options: object) -> str:
    try:
        return _ENCODER.encode(event).decode()
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, as names of files have; a huge number
        return json.dumps(event, default=repr)


def log_loop_trouble(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what an event loop can raise to nobody; as its exception handler. Its own would show values."""
    _log.error("event loop", details=_VALUES.sub("", context["message"]), exc_info=context.get("exception"))


def _locate_exception(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put in place of an exception the classes of its chain, each with where it was raised."""
    given = event.pop("exc_info", None)
    if isinstance(given, tuple):
        given = given[1]
    error = given if isinstance(given, BaseException) or not given else sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["exception"] = "\n".join(_located(error))
    return event


def _located(error: BaseException) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _located(before)
        yield "which led to"
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _located(part)
        yield "together as"
    yield "".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__
