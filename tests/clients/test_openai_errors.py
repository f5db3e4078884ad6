"""Errors as unchanged openai clients raise them: class, status, code and words."""

from __future__ import annotations

from typing import Any

import pytest

from factories.client_programs import DOCUMENTS, PROGRAMS, results, run_program
from factories.running import RunningService

pytestmark = pytest.mark.client("openai-2023", "openai-latest")

Said = dict[str, Any]
UNKNOWN_FILE = "Invalid file [id:file-fe-00000000000000000000ffff]."


@pytest.fixture(scope="module")
def said(service: RunningService, client_set: str) -> Said:
    url = f"{service.url}/compatible-mode/v1"
    return results(run_program(service, client_set, PROGRAMS / "openai_errors.py", url, service.key, DOCUMENTS))


@pytest.mark.item(3, 26, 39, 58, 71)
@pytest.mark.parametrize(
    ("step", "kind", "status", "code", "words"),
    [
        ("bad_key", "AuthenticationError", 401, "invalid_api_key", "Incorrect API key provided."),
        ("bad_key_streamed", "AuthenticationError", 401, "invalid_api_key", "Incorrect API key provided."),
        ("bad_key_files", "AuthenticationError", 401, "invalid_api_key", "Incorrect API key provided."),
        ("unknown_model", "NotFoundError", 404, "model_not_found", "The model `qwen-short` does not exist"),
        ("unknown_model_streamed", "NotFoundError", 404, "model_not_found", "The model `qwen-short` does not exist"),
        ("empty_model", "BadRequestError", 400, "invalid_request_error", "you must provide a model parameter"),
        ("no_messages", "BadRequestError", 400, "invalid_parameter_error", "Role must be user or assistant"),
        ("unknown_file", "BadRequestError", 400, "invalid_parameter_error", UNKNOWN_FILE),
        ("unknown_file_streamed", "BadRequestError", 400, "invalid_parameter_error", UNKNOWN_FILE),
        ("deleted_file", "BadRequestError", 400, "invalid_parameter_error", "Invalid file [id:file-fe-"),
    ],
)
@pytest.mark.shows("errors")
def test_an_error_is_the_clients_own_class(
    said: Said, step: str, kind: str, status: int, code: str, words: str
) -> None:
    error = said[step]
    assert (error["class"], error["status"], error["inner"]["code"]) == (kind, status, code)
    assert error["inner"]["message"].startswith(words)
    assert error["ids_agree"]


@pytest.mark.item(3)
def test_the_code_is_read_where_the_version_reads_it(said: Said, client_set: str) -> None:
    code = None if client_set == "2023" else "invalid_api_key"  # openai 1.0.0 looks beside the error object
    assert said["bad_key"]["code"] == code


@pytest.mark.item(72)
@pytest.mark.parametrize(
    ("name", "words"),
    [("blank.txt", "content blank."), ("broken.pdf", "parsing error."), ("noise.exe", "format is not supported.")],
)
@pytest.mark.shows("errors")
def test_an_unreadable_file_is_named_with_its_reason(said: Said, name: str, words: str) -> None:
    error = said[name]
    assert (error["class"], error["status"]) == ("BadRequestError", 400)
    assert error["inner"]["message"].endswith(words)
