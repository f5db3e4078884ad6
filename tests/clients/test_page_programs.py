"""The programs of the two documented pages, unchanged but for base URL and key.

The copies in `programs/` make the pages' calls. Where the pages themselves lie beside this project, their own words
are run too.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from factories.client_programs import DOCUMENTS, PROGRAMS, ROOT, Lines, exchange, run_program
from factories.running import RunningService

pytestmark = pytest.mark.client("openai-2023", "openai-latest")

PAGES = ROOT.parent / "shared" / "source"
HOSTED = "https://dashscope.aliyuncs.com"
PRINT_AS_JSON = "import builtins, json\nprint = lambda value: builtins.print(json.dumps(repr(value)))\n"
UNAVAILABLE = "Model is unavailable, please try again later."


def page(name: str) -> str:
    path = PAGES / name
    if not path.exists():
        pytest.skip(f"{path} is not beside this project")
    return path.read_text(encoding="utf-8")


def answer(choices: Lines) -> str:
    """Check that a printed stream has the form of the page, and return its text."""
    contents = [choice["delta"]["content"] for choice in choices]
    assert [choice["delta"]["role"] for choice in choices] == ["assistant"] + [None] * (len(choices) - 1)
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert (contents[0] != "", contents[-1]) == (True, "")
    return "".join(contents)


@pytest.mark.item(48, 49)
@pytest.mark.parametrize(("name", "word"), [("年度报告.pdf", "图书馆"), ("handbook.pdf", "Marlow 300")])
@pytest.mark.shows("streams", "documents")
def test_the_program_with_a_file_id_streams_a_summary(
    service: RunningService, client_set: str, name: str, word: str
) -> None:
    program = PROGRAMS / "page_a_by_file_id.py"
    url = f"{service.url}/compatible-mode/v1"
    assert word in answer(run_program(service, client_set, program, url, service.key, DOCUMENTS / name))


@pytest.mark.item(12, 47)
@pytest.mark.shows("streams", "documents")
def test_the_program_with_inline_text_streams_an_answer(service: RunningService, client_set: str) -> None:
    program = PROGRAMS / "page_a_inline.py"
    url = f"{service.url}/compatible-mode/v1"
    assert "大型语言模型" in answer(run_program(service, client_set, program, url, service.key))


@pytest.mark.item(26)
@pytest.mark.client("dashscope-2023", "dashscope-latest")
@pytest.mark.shows("errors")
def test_chatyuan_without_weights_says_how_to_get_them(service: RunningService, client_set: str) -> None:
    [said] = run_program(service, client_set, PROGRAMS / "page_b.py")
    assert (said["status"], said["code"]) == (503, "ModelUnavailable")
    assert said["message"].startswith(UNAVAILABLE)
    assert "chatyuan-large-v2" in said["message"].removeprefix(UNAVAILABLE)


@pytest.mark.item(47, 48)
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.shows("streams", "documents")
def test_the_words_of_page_a_run(service: RunningService, client_set: str, number: int, tmp_path: Path) -> None:
    last_line = "        print(chunk.choices[0].dict())\n"
    before, after, _ = page("qwen-long-quick-start.txt").split(last_line)
    words = (before[before.index("from pathlib import") :], after[after.index("from openai import") :])[number]
    words = words.replace(HOSTED, service.url).replace("$your-dashscope-api-key", service.key)
    words = words.replace('Path("data.pdf")', f"Path({str(DOCUMENTS / '年度报告.pdf')!r})") + last_line
    (tmp_path / "page.py").write_text(PRINT_AS_JSON + words, encoding="utf-8")
    said = run_program(service, client_set, tmp_path / "page.py")
    assert answer([ast.literal_eval(str(line)) for line in said])


@pytest.mark.item(2)
@pytest.mark.client("curl")
@pytest.mark.shows("errors")
def test_the_words_of_page_b_run_with_curl(service: RunningService) -> None:
    text = page("chatyuan-api.txt")
    body = re.search(r"--data '(\{.*?\n\})'", text, re.DOTALL)
    assert body is not None
    url = f"{service.url}/api/v1/services/aigc/text-generation/generation"
    headers = ("--header", f"Authorization: Bearer {service.key}", "--header", "Content-Type: application/json")
    reply = exchange("--location", url, *headers, "--data", body[1])
    assert json.loads(body[1])["model"] == "chatyuan-large-v2"
    assert (reply.status, reply.json()["code"]) == (503, "ModelUnavailable")
