"""Batches by the unchanged openai client, which has had them since 2024, and by curl."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from factories.batches import make_line, to_jsonl
from factories.client_programs import PROGRAMS, curl, post, results, run_program
from factories.running import RunningService

pytestmark = pytest.mark.client("openai-latest")

Said = dict[str, Any]


@pytest.fixture(scope="module")
def said(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Said:
    folder = tmp_path_factory.mktemp("batches")
    url = f"{service.url}/compatible-mode/v1"
    return results(run_program(service, "latest", PROGRAMS / "openai_batches.py", url, service.key, folder))


@pytest.mark.item(116)
def test_a_batch_is_created_of_a_file(said: Said) -> None:
    batch, file = said["created"], said["file"]
    assert (file["purpose"], file["status"], file["id"][:11]) == ("batch", "processed", "file-batch-")
    assert (batch["object"], batch["status"], batch["input_file_id"]) == ("batch", "validating", file["id"])
    assert batch["metadata"] == {"ds_name": "代码"}


@pytest.mark.item(116)
@pytest.mark.shows("batches")
def test_a_batch_comes_to_its_end(said: Said) -> None:
    batch = said["ended"]
    assert (batch["id"], batch["status"], batch["errors"]) == (said["created"]["id"], "completed", None)
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    assert batch["created_at"] <= batch["in_progress_at"] <= batch["finalizing_at"] <= batch["completed_at"]


@pytest.mark.item(116)
def test_the_output_has_a_completion_for_each_line(said: Said) -> None:
    [line] = said["output"]
    assert (line["custom_id"], line["error"], line["response"]["status_code"]) == ("一", None, 200)
    body = line["response"]["body"]
    assert (body["object"], body["model"]) == ("chat.completion", "qwen-long")
    assert "吸入管路中有空气" in body["choices"][0]["message"]["content"]


def test_an_error_is_the_one_that_the_client_would_have_met(said: Said) -> None:
    [line] = said["errors"]
    assert (line["custom_id"], line["response"]["status_code"]) == ("二", 400)
    assert line["response"]["body"]["error"]["code"] == "invalid_parameter_error"


def test_faults_of_the_input_are_told_by_line(said: Said) -> None:
    batch = said["faulty"]
    told = [(fault["code"], fault["param"], fault["line"]) for fault in batch["errors"]["data"]]
    assert batch["status"] == "failed"
    assert told == [("duplicate_custom_id", "custom_id", 2), ("invalid_json_line", None, 3)]


def test_batches_are_listed_newest_first_and_by_name(said: Said) -> None:
    assert said["listed"] == [said["faulty"]["id"], said["ended"]["id"]]
    assert said["named"] == [said["ended"]["id"]]
    assert said["batch_files"] == ["batch"]


def test_a_canceled_batch_has_every_line_in_one_of_its_files(said: Said) -> None:
    counts = said["unwanted"]["request_counts"]
    assert (said["cancelled"], said["unwanted"]["status"]) == ("cancelling", "cancelled")
    assert counts["completed"] + counts["failed"] == counts["total"]


@pytest.mark.shows("errors")
def test_errors_are_those_of_the_client(said: Said) -> None:
    assert said["cancelled_too_late"]["message"] == "Cannot cancel a batch with status 'completed'."
    assert said["unknown"]["code"] == "batch_not_found"


@pytest.mark.item(116)
@pytest.mark.client("curl")
@pytest.mark.shows("batches")
def test_curl_carries_a_batch_to_its_end(service: RunningService, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_bytes(to_jsonl(make_line("a"), make_line("b")))
    key = ("-H", f"Authorization: Bearer {service.key}")
    file = json.loads(curl(*key, "-F", "purpose=batch", "-F", f"file=@{questions}", f"{service.url}/v1/files"))
    asked = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "1d"}
    batch = post(service, "/v1/batches", asked).json()
    until = time.monotonic() + 30
    while batch["status"] != "completed":
        assert time.monotonic() < until, batch
        time.sleep(0.1)
        batch = json.loads(curl(*key, f"{service.url}/v1/batches/{batch['id']}"))
    output = curl(*key, f"{service.url}/v1/files/{batch['output_file_id']}/content").splitlines()
    assert [json.loads(line)["custom_id"] for line in output] == ["a", "b"]
