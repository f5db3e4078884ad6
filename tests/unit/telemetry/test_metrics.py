from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from factories.records import make_record
from longscroll.telemetry.metrics import Levels, Metrics
from longscroll.types import FileStatus, HeldFiles

WORKSPACES = ("acme", "umbrella")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def make_levels() -> Levels:
    held = [
        HeldFiles(workspace=workspace, status=FileStatus.UPLOADED, n_files=2, n_bytes=30) for workspace in WORKSPACES
    ]
    return Levels(files=held, n_files_parsing=1, n_readers=2, n_readers_busy=1, n_reader_restarts=3, n_requests=4)


def text_of(metrics: Metrics, *, workspace: str | None = None, accept: str = "") -> str:
    return metrics.exposition(make_levels(), workspace=workspace, accept=accept).text.decode()


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {(s.name, frozenset(s.labels.items())): s.value for family in parse(text) for s in family.samples}


def value(metrics: Metrics, name: str, **labels: str) -> list[float]:
    """Return the samples of that name which have at least these labels."""
    wanted = set(labels.items())
    return [value for (found, values), value in samples(text_of(metrics)).items() if found == name and wanted <= values]


def test_an_answer_is_counted_under_the_names_of_the_conventions() -> None:
    metrics = Metrics()
    metrics.answered(make_record())
    labels = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "longscroll",
        "gen_ai_request_model": "qwen-long",
        "gen_ai_response_model": "extractive",
        "workspace": "acme",
    }
    assert value(metrics, "gen_ai_server_request_duration_seconds_sum", error_type="", **labels) == [1.5]
    assert value(metrics, "gen_ai_server_time_to_first_token_seconds_sum", **labels) == [0.5]
    assert value(metrics, "gen_ai_server_time_per_output_token_seconds_sum", **labels) == [0.1]
    assert value(metrics, "gen_ai_client_token_usage_sum", gen_ai_token_type="input", **labels) == [1200]
    assert value(metrics, "gen_ai_client_token_usage_sum", gen_ai_token_type="output", **labels) == [11]


def test_a_failed_request_has_its_error_and_no_first_token() -> None:
    metrics = Metrics()
    metrics.answered(make_record(outcome="failed", code="EngineFailed"))
    assert value(metrics, "gen_ai_server_request_duration_seconds_count", error_type="EngineFailed") == [1]
    assert value(metrics, "gen_ai_server_time_to_first_token_seconds_count") == []


def test_a_client_that_left_is_an_error_of_its_own() -> None:
    metrics = Metrics()
    metrics.answered(make_record(outcome="cancelled"))
    assert value(metrics, "gen_ai_server_request_duration_seconds_count", error_type="ClientLeft") == [1]


@pytest.mark.parametrize(
    ("operation", "said"),
    [("chat", "chat"), ("completion", "text_completion"), ("embedding", "embeddings"), ("rerank", "rerank")],
)
def test_operations_have_the_names_of_the_conventions(operation: str, said: str) -> None:
    metrics = Metrics()
    metrics.answered(make_record(operation=operation))
    assert value(metrics, "gen_ai_server_request_duration_seconds_count", gen_ai_operation_name=said) == [1]


def test_an_answer_of_one_token_has_no_time_between_tokens() -> None:
    metrics = Metrics()
    metrics.answered(make_record(n_output=1))
    assert value(metrics, "gen_ai_server_time_to_first_token_seconds_count") == [1]
    assert value(metrics, "gen_ai_server_time_per_output_token_seconds_count") == []


@pytest.mark.parametrize(("duration_s", "bounds"), [(0.005, {"0.005", "0.01"}), (0.0051, {"0.01"}), (11.0, {"+Inf"})])
def test_a_value_is_counted_below_every_bound_that_it_does_not_pass(duration_s: float, bounds: set[str]) -> None:
    metrics = Metrics()
    metrics.responded(method="GET", route="/readyz", status=200, duration_s=duration_s)
    name = "http_server_request_duration_seconds_bucket"
    counts = {bound: value(metrics, name, le=bound) for bound in ("0.005", "0.01", "+Inf")}
    assert {bound for bound, count in counts.items() if count == [1]} == bounds | {"+Inf"}


def test_a_method_that_does_not_exist_is_no_series_of_its_own() -> None:
    metrics = Metrics()
    for method in ("GET", "BREW", "WHEN"):
        metrics.responded(method=method, route="/readyz", status=405, duration_s=0.1)
    name = "http_server_request_duration_seconds_count"
    assert value(metrics, name, http_request_method="GET", http_response_status_code="405") == [1]
    assert value(metrics, name, http_request_method="_OTHER", http_route="/readyz") == [2]


def test_levels_are_told_as_they_are() -> None:
    metrics = Metrics(version="1.2.3")
    assert value(metrics, "longscroll_files", workspace="acme", status="uploaded") == [2]
    assert value(metrics, "longscroll_files_bytes", workspace="umbrella", status="uploaded") == [30]
    assert value(metrics, "longscroll_files_waiting") == [3]
    assert value(metrics, "longscroll_process_restarts_total", process="reader") == [3]
    assert value(metrics, "http_server_active_requests") == [4]
    assert value(metrics, "longscroll_build_info", version="1.2.3") == [1]


def test_an_operator_sees_what_the_process_uses() -> None:
    [resident] = value(Metrics(), "process_resident_memory_bytes")
    assert resident > 1 << 20


def test_a_workspace_sees_its_own_series_and_none_of_the_process() -> None:
    metrics = Metrics()
    for workspace in WORKSPACES:
        metrics.answered(make_record(workspace=workspace))
    metrics.responded(method="GET", route="/readyz", status=200, duration_s=0.1)
    metrics.failed("Overloaded")
    metrics.loop_delayed(0.1)
    seen = samples(text_of(metrics, workspace="acme"))
    assert {dict(labels).get("workspace") for _, labels in seen} == {"acme"}
    everything = samples(text_of(metrics))
    assert seen == {key: value for key, value in everything.items() if ("workspace", "acme") in key[1]}


@pytest.mark.parametrize(
    ("accept", "content_type", "read"),
    [
        ("", "text/plain; version=0.0.4", parse),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0", parse_openmetrics),
    ],
)
def test_both_formats_of_prometheus_are_spoken(accept: str, content_type: str, read: Callable[[str], Any]) -> None:
    metrics = Metrics()
    metrics.answered(make_record())
    exposition = metrics.exposition(make_levels(), workspace=None, accept=accept)
    assert exposition.content_type.startswith(content_type)
    assert "gen_ai_client_token_usage" in {family.name for family in read(exposition.text.decode())}


def test_two_applications_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.answered(make_record())
    assert value(other, "gen_ai_client_token_usage_count") == []
