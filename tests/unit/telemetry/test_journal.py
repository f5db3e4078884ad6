from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from factories.records import make_record
from longscroll.telemetry.journal import Journal, Response
from longscroll.telemetry.metrics import Levels, Metrics

RECORD = make_record(request_id="r1", is_streamed=True)
LINE = {
    "event": "request",
    "log_level": "info",
    "request_id": "r1",
    "method": "POST",
    "route": "/v1/chat/completions",
    "status": 200,
    "surface": "openai",
    "workspace": "acme",
    "key_id": "key-1",
    "ms": 2000.0,
}


def make_response(**fields: Any) -> Response:
    standard: dict[str, Any] = {"method": "POST", "route": "/v1/chat/completions", "surface": "openai", "status": 200}
    return Response(**(standard | {"workspace": "acme", "key_id": "key-1"} | fields))


def make_journal(metrics: Metrics | None = None, **fields: Any) -> Journal:
    return Journal(metrics or Metrics(), clock=iter(range(0, 100, 2)).__next__, **fields)


def counts(metrics: Metrics, name: str) -> list[float]:
    text = metrics.exposition(Levels(), workspace=None, accept="").text.decode()
    families = text_string_to_metric_families(text)
    return [sample.value for family in families for sample in family.samples if sample.name == name]


def test_a_request_that_asked_a_model_leaves_one_line_with_both_sides_of_it() -> None:
    journal = make_journal()
    with capture_logs() as lines:
        entry = journal.begin("r1")
        journal.answered(RECORD)
        journal.end(entry, make_response())
    model = {"model": "qwen-long", "model_served": "extractive", "stream": True}
    tokens = {"n_input_tokens": 1200, "n_output_tokens": 11, "first_token_ms": 500.0}
    assert lines == [LINE | model | tokens]


def test_another_request_has_no_tokens_and_its_error() -> None:
    journal = make_journal()
    with capture_logs() as lines:
        entry = journal.begin("r1")
        entry.error = "Unauthenticated"
        journal.end(entry, make_response(status=401, workspace=None, key_id=None))
    assert lines == [LINE | {"status": 401, "workspace": None, "key_id": None, "error": "Unauthenticated"}]


def test_a_client_that_left_before_it_was_answered_has_the_status_of_that() -> None:
    metrics = Metrics()
    journal = make_journal(metrics)
    entry = journal.begin("r1")
    entry.error = "ClientLeft"
    with capture_logs() as lines:
        journal.end(entry, make_response(status=0))
    assert lines == [LINE | {"status": 499, "error": "ClientLeft"}]
    assert counts(metrics, "longscroll_failed_requests_total") == [1]


def test_what_is_not_logged_is_counted() -> None:
    metrics = Metrics()
    journal = make_journal(metrics, is_logged=False)
    with capture_logs() as lines:
        journal.end(journal.begin("r1"), make_response())
    assert lines == []
    assert counts(metrics, "http_server_request_duration_seconds_count") == [1]


def test_an_answer_to_a_request_that_did_not_come_over_http_is_counted_and_forgotten() -> None:
    metrics = Metrics()
    journal = make_journal(metrics)
    journal.answered(RECORD)
    assert (journal.n_open, counts(metrics, "gen_ai_server_request_duration_seconds_count")) == (0, [1])


def test_requests_are_open_from_their_beginning_to_their_end() -> None:
    journal = make_journal(is_logged=False)
    first, second = journal.begin("r1"), journal.begin("r2")
    assert journal.n_open == 2
    journal.end(first, make_response())
    journal.end(second, make_response())
    assert journal.n_open == 0


def test_two_requests_of_one_id_leave_a_line_each() -> None:
    journal = make_journal()
    with capture_logs() as lines:
        for entry in [journal.begin("r1"), journal.begin("r1")]:
            journal.end(entry, make_response())
    assert ([line["request_id"] for line in lines], journal.n_open) == (["r1", "r1"], 0)
