"""The compat surface as curl sees it: the bytes of its stream, and uploads by form."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from factories.client_programs import DOCUMENTS, curl, exchange, post
from factories.running import RunningService

pytestmark = pytest.mark.client("curl")

CHAT = "/compatible-mode/v1/chat/completions"
FILES = "/compatible-mode/v1/files"


def about(file_id: str, **options: Any) -> dict[str, Any]:
    system = [{"role": "system", "content": text} for text in ("You are a helpful assistant.", f"fileid://{file_id}")]
    question = {"role": "user", "content": "How long is the warranty of the pump?"}
    return {"model": "qwen-long", "messages": [*system, question], **options}


@pytest.mark.item(29, 49, 52, 53)
@pytest.mark.shows("chat", "streams", "documents")
def test_the_stream_is_data_lines_and_done(service: RunningService, handbook_id: str) -> None:
    reply = post(service, CHAT, about(handbook_id, stream=True))
    *frames, done = reply.frames()
    chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in frames]
    choices = [chunk["choices"][0] for chunk in chunks]
    assert reply.headers["cache-control"] == "no-cache"
    assert [choice["delta"].get("role") for choice in choices] == ["assistant"] + [None] * (len(frames) - 1)
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(frames) - 1) + ["stop"]
    assert choices[-1]["delta"]["content"] == ""
    assert done == b"data: [DONE]"


@pytest.mark.item(51)
@pytest.mark.parametrize(
    ("options", "n_empty"), [({}, 0), ({"stream_options": {"include_usage": True}}, 1), ({"stream_options": {}}, 0)]
)
@pytest.mark.shows("usage")
def test_only_include_usage_brings_a_chunk_without_choices(
    service: RunningService, handbook_id: str, options: dict[str, Any], n_empty: int
) -> None:
    chunks = post(service, CHAT, about(handbook_id, stream=True, **options)).events()
    empty = [chunk for chunk in chunks if not chunk["choices"]]
    assert empty == chunks[len(chunks) - n_empty :]
    assert [chunk["usage"] for chunk in chunks if chunk["choices"]] == [None] * (len(chunks) - n_empty)
    assert all(type(chunk["usage"]["total_tokens"]) is int for chunk in empty)


@pytest.mark.item(54)
def test_line_separators_are_escaped_in_the_stream(service: RunningService) -> None:
    text = "The ferry to Skarholmen leaves at 07:40\u2028from pier nine\u2029and\u0085returns at noon."
    messages = [{"role": role, "content": content} for role, content in (("system", "Help."), ("system", text))]
    question = {"role": "user", "content": "When does the ferry to Skarholmen leave?"}
    body = post(service, CHAT, {"model": "qwen-long", "messages": [*messages, question], "stream": True}).body.decode()
    assert "07:40" in body
    assert not {"\u0085", "\u2028", "\u2029"} & set(body)


@pytest.mark.item(12, 64, 65)
@pytest.mark.shows("files")
def test_an_upload_comes_back_as_the_file_object(service: RunningService) -> None:
    path = DOCUMENTS / "年度报告.pdf"
    key = ("-H", f"Authorization: Bearer {service.key}")
    file = exchange(*key, "-F", "purpose=file-extract", "-F", f"file=@{path}", f"{service.url}{FILES}").json()
    assert set(file) >= {"id", "object", "bytes", "created_at", "filename", "purpose", "status", "status_details"}
    assert {name: file[name] for name in ("object", "bytes", "filename", "purpose")} == {
        "object": "file",
        "bytes": path.stat().st_size,
        "filename": "年度报告.pdf",
        "purpose": "file-extract",
    }
    assert file["id"].startswith("file-fe-")


@pytest.mark.item(66, 119)
@pytest.mark.shows("files")
def test_a_file_is_read_listed_and_deleted(service: RunningService, handbook_id: str) -> None:
    key = ("-H", f"Authorization: Bearer {service.key}")
    url = f"{service.url}{FILES}/{handbook_id}"
    chat = post(service, CHAT, about(handbook_id))  # ends after the parse
    text = curl(*key, f"{url}/content").decode()
    annotation = chat.json()["choices"][0]["message"]["annotations"][0]["file_citation"]
    start, stop = annotation["span"]
    assert exchange(*key, url).json()["status"] == "processed"
    assert text[start:stop] == annotation["quote"]
    assert annotation["pages"] == [3]


@pytest.mark.item(67)
def test_paging_goes_on_from_its_place_while_uploads_come(service: RunningService) -> None:
    key = ("-H", f"Authorization: Bearer {service.key}")
    url = f"{service.url}{FILES}"

    def upload(name: str) -> str:
        form = ("-F", "purpose=file-extract", "-F", f"file=@-;filename={name}")
        return str(exchange(*key, *form, url, data=name.encode()).json()["id"])

    old = [upload(f"{n}.txt") for n in range(4)]
    first = exchange(*key, f"{url}?limit=2").json()
    upload("later.txt")
    second = exchange(*key, f"{url}?limit=2&after={first['data'][-1]['id']}").json()
    assert [file["id"] for page in (first, second) for file in page["data"]] == old[::-1]
    assert first["has_more"]


@pytest.mark.item(71)
def test_another_workspace_sees_nothing(service: RunningService, handbook_id: str) -> None:
    command = [sys.executable, "-m", "longscroll", "keys", "create", "--workspace", "other"]
    made = subprocess.run([*command, "--data-dir", service.data_dir], capture_output=True, text=True, check=True)
    foreign_key = made.stdout.strip()
    key = ("-H", f"Authorization: Bearer {foreign_key}")
    url = f"{service.url}{FILES}"
    chat = post(service, CHAT, about(handbook_id), key=foreign_key)
    statuses = [exchange(*key, *method, f"{url}/{handbook_id}").status for method in ((), ("-X", "DELETE"))]
    assert exchange(*key, url).json()["data"] == []
    assert statuses == [404, 404]
    assert (chat.status, chat.json()["error"]["message"]) == (400, f"Invalid file [id:{handbook_id}].")


@pytest.mark.item(91)
@pytest.mark.shows("models")
def test_models_are_those_that_would_answer(service: RunningService) -> None:
    key = ("-H", f"Authorization: Bearer {service.key}")
    models = exchange(*key, f"{service.url}/compatible-mode/v1/models").json()
    names = [model["id"] for model in models["data"]]
    assert models["object"] == "list"
    assert names[0] == "qwen-long"
    assert "chatyuan-large-v2" not in names
