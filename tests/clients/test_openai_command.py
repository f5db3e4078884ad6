"""The `openai` command line, which the openai package shipped until it had none: conversations, files, models, errors.

It puts nothing between the base URL and the path.
"""

from __future__ import annotations

import json
import subprocess

import pytest

from factories.client_programs import DOCUMENTS, ROOT, client_environment
from factories.running import RunningService

pytestmark = [pytest.mark.item(7), pytest.mark.client("openai-command")]

COMMAND = ROOT / ".venv-clients-2023" / "bin" / "openai"
WARRANTY = "How long is the warranty of the pump?"
MACHINES = "自助借还机的保修期是多久？"


def openai(service: RunningService, *arguments: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `openai api …` and return what it said."""
    if not COMMAND.exists():
        pytest.skip(f"{COMMAND.parents[1].name} is missing: `make test` makes it")
    base_url = f"{service.url}/compatible-mode/v1"
    command = [str(COMMAND), "--api-key", key or service.key, "--api-base", base_url, "api", *arguments]
    environment = client_environment(service)
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("more", [(), ("--stream",)])
@pytest.mark.parametrize(("document", "question", "word"), [(0, WARRANTY, "24 months"), (1, MACHINES, "24个月")])
@pytest.mark.shows("chat", "streams", "documents")
def test_a_question_about_a_document_is_answered(
    equipped: RunningService,
    document_ids: tuple[str, str],
    document: int,
    question: str,
    word: str,
    more: tuple[str, ...],
) -> None:
    turns = ("-g", "system", f"fileid://{document_ids[document]}", "-g", "user", question)
    done = openai(equipped, "chat.completions.create", "-m", "qwen-long", *turns, *more)
    assert (done.returncode, word in done.stdout) == (0, True), done.stderr


@pytest.mark.item(64)
@pytest.mark.shows("files")
def test_a_file_is_created_and_listed(equipped: RunningService) -> None:
    created = openai(equipped, "files.create", "-f", str(DOCUMENTS / "年度报告.pdf"), "-p", "file-extract")
    file = json.loads(created.stdout)
    listed = openai(equipped, "files.list").stdout  # `files.delete` of this version fails before it asks
    assert (file["filename"], file["id"].startswith("file-fe-"), file["id"] in listed) == ("年度报告.pdf", True, True)


@pytest.mark.item(115)
@pytest.mark.shows("chat")
def test_a_prompt_is_completed(equipped: RunningService) -> None:
    done = openai(equipped, "completions.create", "-m", "qwen-plus", "-p", "天气")
    assert (done.returncode, done.stdout.strip()) == (0, "晴，二十一度。"), done.stderr


@pytest.mark.item(91)
@pytest.mark.shows("models")
def test_models_are_listed(equipped: RunningService) -> None:
    done = openai(equipped, "models.list")
    assert (done.returncode, '"id": "qwen-long"' in done.stdout) == (0, True)


@pytest.mark.item(3, 26)
@pytest.mark.shows("errors")
@pytest.mark.parametrize(
    ("model", "key", "status", "code"),
    [("qwen-short", None, 404, "model_not_found"), ("qwen-plus", "sk-nobody", 401, "invalid_api_key")],
)
def test_an_error_is_printed_and_fails_the_command(
    equipped: RunningService, model: str, key: str | None, status: int, code: str
) -> None:
    done = openai(equipped, "chat.completions.create", "-m", model, "-g", "user", "天气", key=key)
    assert done.returncode == 1
    assert f"Error code: {status}" in done.stderr
    assert f"'code': '{code}'" in done.stderr
