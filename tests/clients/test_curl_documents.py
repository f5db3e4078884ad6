"""Documents as curl sends them: formats, old encodings, what cannot be read and why, and who answers about them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from factories.client_programs import DOCUMENTS, exchange, post
from factories.running import RunningService

pytestmark = pytest.mark.client("curl")

CHAT = "/compatible-mode/v1/chat/completions"
NATIVE = "/api/v1/services/aigc/text-generation/generation"
FILES = "/compatible-mode/v1/files"
FERRY = "The ferry to Skarholmen leaves at 07:40. It carries sixty cars."
LIBRARY = "青石桥社区图书馆位于老粮仓改建的三层小楼内。馆藏图书共三万八千六百册。自助借还机的保修期为24个月。"


def parsed(service: RunningService, filename: str, content: bytes) -> dict[str, Any]:
    """Upload a file and return its object in its final state."""
    key = ("-H", f"Authorization: Bearer {service.key}")
    form = ("-F", "purpose=file-extract", "-F", f"file=@-;filename={filename}")
    file: dict[str, Any] = exchange(*key, *form, f"{service.url}{FILES}", data=content).json()
    while file["status"] == "uploaded":
        time.sleep(0.05)
        file = exchange(*key, f"{service.url}{FILES}/{file['id']}").json()
    return file


def ask(service: RunningService, file_id: str, question: str, **options: Any) -> dict[str, Any]:
    """Return the whole answer to a question about a file."""
    document = {"role": "system", "content": f"fileid://{file_id}"}
    messages = [document, {"role": "user", "content": question}]
    answer: dict[str, Any] = post(service, CHAT, {"model": "qwen-long", "messages": messages} | options).json()
    return answer


def text(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


@pytest.mark.item(103)
@pytest.mark.shows("documents")
@pytest.mark.parametrize("suffix", ["txt", "md", "docx", "pdf"])
@pytest.mark.parametrize(
    ("stem", "question", "word"),
    [
        ("handbook", "How long is the warranty of the pump?", "24 months"),
        ("年度报告", "自助借还机的保修期是多久？", "24个月"),
    ],
)
def test_a_format_is_read_and_answered_from(
    service: RunningService, suffix: str, stem: str, question: str, word: str
) -> None:
    name = f"{stem}.{suffix}"
    file = parsed(service, name, (DOCUMENTS / name).read_bytes())
    assert (file["status"], file["status_details"]) == ("processed", None)
    assert word in text(ask(service, file["id"], question))


@pytest.mark.item(104)
@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-16", "utf-8-sig"])
def test_an_old_encoding_is_read(service: RunningService, encoding: str) -> None:
    file = parsed(service, "图书馆.txt", (LIBRARY * 3).encode(encoding))
    content = exchange("-H", f"Authorization: Bearer {service.key}", f"{service.url}{FILES}/{file['id']}/content").body
    assert content.decode().strip() == LIBRARY * 3
    assert "24个月" in text(ask(service, file["id"], "自助借还机的保修期是多久？"))


@pytest.mark.item(121)
@pytest.mark.shows("errors")
@pytest.mark.parametrize(
    ("name", "content", "why", "words"),
    [
        ("blank.txt", b" \n", "no text found", "File [id:{id}] content blank."),
        ("broken.pdf", b"%PDF-1.4 nothing follows", "PDF", "File [id:{id}] parsing error."),
        (
            "noise.bin",
            b"\x7fELF\x02\x01\x01" + b"\x00" * 64,
            "supported are",
            "File [id:{id}] format is not supported.",
        ),
    ],
)
def test_a_file_says_why_it_could_not_be_read(
    service: RunningService, name: str, content: bytes, why: str, words: str
) -> None:
    file = parsed(service, name, content)
    assert (file["status"], why in file["status_details"]) == ("error", True), file
    assert ask(service, file["id"], "?")["error"]["message"] == words.format(id=file["id"])


@pytest.mark.item(106)
def test_an_answer_ends_at_the_limit_and_says_so(service: RunningService) -> None:
    file = parsed(service, "ferry.txt", FERRY.encode())
    answer = ask(service, file["id"], "When does the ferry leave?", max_tokens=5)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert 0 < answer["usage"]["completion_tokens"] <= 5


@pytest.mark.item(122)
@pytest.mark.shows("chat", "streams")
def test_chatyuan_answers_on_the_compat_surface_and_streams_on_both(equipped: RunningService) -> None:
    body = {"model": "chatyuan-large-v2", "messages": [{"role": "user", "content": "天气"}]}
    native = {"model": "chatyuan-large-v2", "input": {"prompt": "天气"}, "parameters": {"incremental_output": True}}
    chunks = post(equipped, CHAT, body | {"stream": True}).events()
    frames = post(equipped, NATIVE, native, "-H", "X-DashScope-SSE: enable").events()
    assert text(post(equipped, CHAT, body).json()) == "晴，二十一度。"
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == "晴，二十一度。"
    assert "".join(frame["output"]["text"] for frame in frames) == "晴，二十一度。"


@pytest.mark.item(125)
@pytest.mark.shows("usage")
def test_what_the_model_had_cached_is_told_on_both_surfaces(equipped: RunningService) -> None:
    messages = [{"role": "user", "content": "天气"}]
    compat = post(equipped, CHAT, {"model": "qwen-plus", "messages": messages}).json()
    native = post(
        equipped,
        NATIVE,
        {"model": "qwen-plus", "input": {"messages": messages}, "parameters": {"result_format": "message"}},
    ).json()
    details = [compat["usage"]["prompt_tokens_details"], native["usage"]["prompt_tokens_details"]]
    assert [one["cached_tokens"] for one in details] == [5, 5]


@pytest.mark.item(124)
@pytest.mark.parametrize("model", ["qwen-doc-turbo", "qwen-long-latest"])
def test_another_name_of_the_model_is_answered_and_echoed(service: RunningService, model: str) -> None:
    file = parsed(service, "ferry.txt", FERRY.encode())
    answer = ask(service, file["id"], "When does the ferry leave?", model=model)
    assert (answer["model"], "07:40" in text(answer)) == (model, True)
    listed = json.loads(post(service, "/compatible-mode/v1/models", None, "-X", "GET").body)["data"]
    assert model in [one["id"] for one in listed]
