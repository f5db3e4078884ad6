"""One line in the log, and one count in the metrics, for each request that has ended.

Joins by request id what the boundary knows, which is HTTP, and what metering knows, which is the model and its tokens.
Says who asked by workspace and key id; never a prompt, a file name, a key, a query string or the value of a header.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from msgspec import Struct

from longscroll.telemetry.metrics import Answered, Metrics

CLIENT_LEFT_STATUS = 499
"""What the log of nginx says of a client that left before it was answered."""

_log = structlog.get_logger(__name__)


class Entry:
    """One request while it is served. ``error`` is the class of what ended it, or nothing."""

    __slots__ = ("began", "error", "record", "request_id")

    def __init__(self, request_id: str, began: float) -> None:
        self.request_id = request_id
        self.began = began
        self.record: Answered | None = None
        self.error = ""


class Response(Struct, frozen=True, kw_only=True):
    """What the boundary knows of a request that has ended."""

    method: str
    route: str  # a row of the route table; empty: it is for none
    surface: str
    status: int  # 0: nothing was sent
    workspace: str | None = None  # None: nobody was recognized
    key_id: str | None = None


class Journal:
    """Where requests are entered when they begin and left when they end. Belongs to one event loop."""

    def __init__(
        self, metrics: Metrics, *, is_logged: bool = True, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Count in ``metrics``; write lines unless not ``is_logged``."""
        self._metrics = metrics
        self._is_logged = is_logged
        self._clock = clock
        self._open: dict[str, Entry] = {}

    @property
    def n_open(self) -> int:
        """How many requests are being served."""
        return len(self._open)

    def begin(self, request_id: str) -> Entry:
        """Enter a request; ``end`` must follow."""
        entry = self._open[request_id] = Entry(request_id, self._clock())
        return entry

    def answered(self, record: Answered) -> None:
        """Count what a request asked of a model; its line will say so, where it came over HTTP."""
        self._metrics.answered(record)
        entry = self._open.get(record.request_id)
        if entry is not None:
            entry.record = record

    def end(self, entry: Entry, response: Response) -> None:
        """Count a request and write its line."""
        self._open.pop(entry.request_id, None)  # an id that was given twice may have left already
        duration_s = self._clock() - entry.began
        status = response.status or CLIENT_LEFT_STATUS
        self._metrics.responded(method=response.method, route=response.route, status=status, duration_s=duration_s)
        if entry.error:
            self._metrics.failed(entry.error)
        if self._is_logged:
            _log.info(
                "request",
                request_id=entry.request_id,
                method=response.method,
                route=response.route,
                status=status,
                surface=response.surface,
                workspace=response.workspace,
                key_id=response.key_id,
                ms=round(duration_s * 1000, 1),
                **_of_model(entry.record),
                **({"error": entry.error} if entry.error else {}),
            )


def _of_model(record: Answered | None) -> dict[str, object]:
    if record is None:
        return {}
    return {
        "model": record.model,
        "model_served": record.model_served,
        "stream": record.is_streamed,
        "n_input_tokens": record.n_input,
        "n_output_tokens": record.n_output,
        "first_token_ms": None if record.first_token_ms is None else round(record.first_token_ms, 1),
    }
