"""Logs: one structured line per event on standard error. Knows no request and no secret.

Events carry request ids, routes, statuses, counts and times; never a prompt, a file name or a key.
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logging(*, level: str = "info", as_json: bool | None = None) -> None:
    """Send every log line of this process to standard error.

    JSON lines unless standard error is a terminal; ``as_json`` decides otherwise. Called once by a command.
    """
    numeric = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor
    if as_json is False or (as_json is None and sys.stderr.isatty()):
        renderer = structlog.dev.ConsoleRenderer()
    else:
        renderer = structlog.processors.JSONRenderer()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(numeric, logging.WARNING), force=True)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every malformed form, with its bytes
