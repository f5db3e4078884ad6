"""What a process counts, under which names, and who may see which series.

Owns the names, which follow the OpenTelemetry conventions for generative AI and for HTTP servers with ``_`` for ``.``,
and the text in which Prometheus reads them. A series about a workspace bears its name as a label; all others are about
the process. Values of labels come from the configuration and the route table, never from a client. Knows no store.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from longscroll.telemetry.instruments import Counter, Histogram
from longscroll.types import FileStatus, HeldFiles

PROVIDER = "longscroll"
CLIENT_LEFT = "ClientLeft"
"""Stands for the class of an error where the client left."""
WORKSPACE = "workspace"
_ERROR = "error_type"

_ANSWER = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    WORKSPACE,
)
_HTTP = ("http_request_method", "http_route", "http_response_status_code")
_OPERATIONS = {"completion": "text_completion", "embedding": "embeddings"}
"""Names of the conventions that are not our own."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# The bounds that the conventions ask for.
_REQUEST_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_TOKEN_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_NEXT_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_HTTP_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_LOOP_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


class Answered(Protocol):
    """One request to a model, once it is over: the record of its usage."""

    @property
    def request_id(self) -> str:
        """Whose log line it belongs to."""

    @property
    def workspace(self) -> str:
        """Who asked."""

    @property
    def operation(self) -> str:
        """chat, completion, embedding or rerank."""

    @property
    def model(self) -> str:
        """The model that was asked, by a name that the configuration has."""

    @property
    def model_served(self) -> str:
        """The model that answered."""

    @property
    def is_streamed(self) -> bool:
        """Whether the answer came in pieces."""

    @property
    def n_input(self) -> int:
        """Tokens of the question with its documents."""

    @property
    def n_output(self) -> int:
        """Tokens of the answer."""

    @property
    def outcome(self) -> str:
        """ok, cancelled or failed."""

    @property
    def code(self) -> str | None:
        """The class of the error that ended it."""

    @property
    def first_token_ms(self) -> float | None:
        """From the beginning to the first piece of the answer, if there was one."""

    @property
    def total_ms(self) -> float:
        """From the beginning to the end."""


class Levels(Struct, frozen=True, kw_only=True):
    """What is there at this moment, as whoever owns it says."""

    files: Sequence[HeldFiles] = ()
    n_requests: int = 0  # being served
    n_files_parsing: int = 0  # in this process
    n_questions_waiting: int = 0  # for a reader
    n_readers_busy: int = 0
    n_readers: int = 0
    n_reader_restarts: int = 0
    n_parser_restarts: int = 0


class Exposition(Struct, frozen=True):
    """The text that is scraped."""

    content_type: str
    text: bytes


class Metrics:
    """The instruments of one application. All methods but ``exposition`` are the event loop's."""

    def __init__(self, *, version: str = "") -> None:
        """Count for the application of that version; nothing is shared between two."""
        self._version = version
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        self._requests = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Time from a request's arrival to the end of its answer.",
            (*_ANSWER, _ERROR),
            bounds=_REQUEST_S,
        )
        self._first_tokens = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time from a request's arrival to the first piece of its answer.",
            _ANSWER,
            bounds=_FIRST_TOKEN_S,
        )
        self._next_tokens = Histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Time per output token after the first.",
            _ANSWER,
            bounds=_NEXT_TOKEN_S,
        )
        self._tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a request, as its usage says.",
            (*_ANSWER, "gen_ai_token_type"),
            bounds=_TOKENS,
        )
        self._http = Histogram(
            "http_server_request_duration_seconds",
            "Time from a request's arrival to the last byte of its reply.",
            _HTTP,
            bounds=_HTTP_S,
        )
        self._loop_delays = Histogram(
            "longscroll_event_loop_delay_seconds",
            "How much later than asked the event loop runs a timer.",
            bounds=_LOOP_S,
        )
        self._failed = Counter(
            "longscroll_failed_requests", "Requests that ended in an error, by its class.", (_ERROR,)
        )

    def answered(self, record: Answered) -> None:
        """Count what a request asked of a model."""
        operation = _OPERATIONS.get(record.operation, record.operation)
        labels = (operation, PROVIDER, record.model, record.model_served, record.workspace)
        error = CLIENT_LEFT if record.outcome == "cancelled" else record.code or ""
        self._requests.observe(record.total_ms / 1000, (*labels, error))
        self._tokens.observe(record.n_input, (*labels, "input"))
        self._tokens.observe(record.n_output, (*labels, "output"))
        if record.outcome == "ok" and record.first_token_ms is not None:
            self._first_tokens.observe(record.first_token_ms / 1000, labels)
            if record.n_output > 1:
                rest_s = (record.total_ms - record.first_token_ms) / 1000
                self._next_tokens.observe(rest_s / (record.n_output - 1), labels)

    def responded(self, *, method: str, route: str, status: int, duration_s: float) -> None:
        """Count a reply; ``route`` is a row of the route table, or nothing, ``status`` 0 where none was sent."""
        named = method if method in _METHODS else "_OTHER"
        self._http.observe(duration_s, (named, route, str(status or "")))

    def failed(self, error: str) -> None:
        """Count a request that ended in an error of that class."""
        self._failed.add((error,))

    def loop_delayed(self, delay_s: float) -> None:
        """Count how late a timer ran."""
        self._loop_delays.observe(delay_s)

    def exposition(self, levels: Levels, *, workspace: str | None, accept: str) -> Exposition:
        """Render what was counted, for whom it concerns: one workspace, or None for who may see everything.

        Takes milliseconds where there are thousands of series; safe in any thread.
        """
        encode, content_type = choose_encoder(accept)
        families = _Chosen(self._families(levels), workspace)
        return Exposition(content_type, encode(families))

    def _families(self, levels: Levels) -> Iterator[Metric]:
        for instrument in (self._requests, self._first_tokens, self._next_tokens, self._tokens, self._http):
            yield instrument.family()
        yield self._loop_delays.family()
        yield self._failed.family()
        yield from _levels(levels)
        yield InfoMetricFamily(
            "longscroll_build",
            "What runs.",
            value={"version": self._version, "python": platform.python_version()},
        )
        yield from self._process.collect()


class _Chosen(Collector):
    """The families that one reader may see."""

    def __init__(self, families: Iterable[Metric], workspace: str | None) -> None:
        self._families = families
        self._workspace = workspace

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            if self._workspace is None:
                yield family
                continue
            own = Metric(family.name, family.documentation, family.type, family.unit)
            own.samples = [sample for sample in family.samples if sample.labels.get(WORKSPACE) == self._workspace]
            if own.samples:
                yield own


def _levels(levels: Levels) -> Iterator[Metric]:
    n_files = GaugeMetricFamily("longscroll_files", "Files, by state.", labels=(WORKSPACE, "status"))
    n_bytes = GaugeMetricFamily("longscroll_files_bytes", "Bytes of files, by state.", labels=(WORKSPACE, "status"))
    for held in levels.files:
        n_files.add_metric((held.workspace, held.status), held.n_files)
        n_bytes.add_metric((held.workspace, held.status), held.n_bytes)
    yield n_files
    yield n_bytes
    waiting = sum(held.n_files for held in levels.files if held.status == FileStatus.UPLOADED) - levels.n_files_parsing
    yield _gauge("longscroll_files_waiting", "Files that wait to be parsed.", max(0, waiting))
    yield _gauge("longscroll_files_parsing", "Files that this process parses.", levels.n_files_parsing)
    yield _gauge("http_server_active_requests", "Requests being served.", levels.n_requests)
    yield _gauge("longscroll_questions_waiting", "Questions that wait for a reader.", levels.n_questions_waiting)
    yield _gauge("longscroll_readers", "Reader processes that there should be.", levels.n_readers)
    yield _gauge("longscroll_readers_busy", "Reader processes at work.", levels.n_readers_busy)
    restarts = Counter(
        "longscroll_process_restarts", "Child processes started in place of one that ended.", ("process",)
    )
    restarts.add(("reader",), amount=levels.n_reader_restarts)
    restarts.add(("parser",), amount=levels.n_parser_restarts)
    yield restarts.family()


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
