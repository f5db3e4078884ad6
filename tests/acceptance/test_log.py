"""The log of a whole run has a line for each request and not a word of what anybody asked, named or sent as a key."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from factories.http import Client
from factories.pdf_files import build_pdf
from factories.running import RunningService
from factories.telltale_server import FAILURES, TelltaleServer

CANARY = "Canary7f3a"
"""Stands in everything that is sent; nothing of the program's own bears it."""
CHAT, GENERATION = "/v1/chat/completions", "/api/v1/services/aigc/text-generation/generation"
CONFIG = """
[server]
log_level = "debug"

[[upstream]]
name = "telltale"
urls = ["{url}"]
{models}
[[model]]
name = "scripted"
engine = "scripted"
script = "{folder}/answers.jsonl"
"""
MODEL = '[[model]]\nname = "{name}"\nengine = "upstream"\nupstream = "telltale"\n'
RULES = (
    {"message": "unavailable", "fault": {"error": "ModelUnavailable", "message": f"No {CANARY}."}},
    {"message": "cut", "deltas": [f"{CANARY} ", "and more"], "fault": {"error": "cut", "after": 1}},
    {"deltas": [f"{CANARY} says hello."]},
)
HEADERS = {"X_Canary": CANARY, "User_Agent": CANARY, "Cookie": f"session={CANARY}", "X_DashScope_WorkSpace": CANARY}


def send_files(client: Client) -> list[str]:
    """Upload what can be read and what cannot, by names that tell; return the ids."""
    pages = build_pdf([[f"{CANARY} was here, on page {number}."] for number in range(3)])
    files = {
        f"{CANARY}.txt": f"{CANARY} lit the lamp at dusk.\n".encode() * 50,
        f"{CANARY}.pdf": pages,
        f"{CANARY} broken.pdf": pages[:200] + CANARY.encode(),
        f"{CANARY}.docx": b"PK\x03\x04" + CANARY.encode(),
        f"{CANARY}.xyz": CANARY.encode(),
        f"../{CANARY}/长卷.txt": f"{CANARY}。".encode(),
    }
    sent = [client.send_file(name, data) for name, data in files.items()]
    ids = [reply.json["id"] for reply in sent if reply.status == 200]
    for file_id in ids:
        client.parsed(file_id)
    return ids


def ask_everybody(client: Client, file_id: str) -> None:
    """Ask every engine and model server, whole and streamed, on both surfaces."""
    references = ("system", f"fileid://{file_id}")
    for model in ("qwen-long", "scripted", *FAILURES, CANARY, "chatyuan-large-v2"):
        for stream in (False, True):
            client.chat(references, ("user", f"Who is {CANARY}?"), model=model, stream=stream, **HEADERS)
        body = {"model": model, "input": {"prompt": f"unavailable {CANARY}"}, "parameters": {}}
        client.request("POST", GENERATION, body, **HEADERS)
    client.chat(("user", f"unavailable {CANARY}"), model="scripted", stream=True)
    with pytest.raises(http.client.IncompleteRead):
        client.chat(("user", f"cut {CANARY}"), model="scripted", stream=True)


def send_nonsense(client: Client) -> None:
    """Send what is refused before it is understood."""
    for body in (b'{"model": "' + CANARY.encode(), CANARY.encode(), b"\xff" + CANARY.encode(), b"[" * 5000):
        for path in (CHAT, GENERATION):
            client.request("POST", path, body)
    wrong: list[dict[str, Any]] = [
        {"model": "qwen-long", "messages": CANARY},
        {"model": {CANARY: 1}, "messages": []},
        {"model": "qwen-long", "messages": [{"role": CANARY, "content": CANARY}]},
        {"model": "qwen-long", "messages": [{"role": "system", "content": f"fileid://file-fe-{CANARY}"}]},
    ]
    for fields in wrong:
        client.request("POST", CHAT, fields)
    for path in (CANARY, f"v1/files/{CANARY}", f"v1/files?after={CANARY}&api_key={CANARY}", f"v1/models/{CANARY}"):
        client.request("GET", f"/{path}")
        client.request("DELETE", f"/{path}")
    form = {"Content_Type": f"multipart/form-data; boundary={CANARY}"}
    client.request("POST", "/v1/files", f"--{CANARY}\r\n{CANARY}".encode(), **form)
    Client(client.service, key=f"sk-{CANARY}").request("GET", "/v1/models")


def break_connections(service: RunningService) -> None:
    """Send what is no HTTP, and leave in the middle of an answer."""
    secret = f"Authorization: Bearer {service.key}\r\nX: {CANARY}\r\n"
    body = json.dumps({"model": "scripted", "messages": [{"role": "user", "content": CANARY}], "stream": True})
    for sent in (
        f"{CANARY}\r\n\r\n",
        f"BREW /{CANARY} HTTP/1.1\r\n{secret}\r\n",
        f"GET / HTTP/1.1\r\nX: {CANARY * 9000}\r\n\r\n",
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\n{secret}Content-Length: {len(body)}\r\n\r\n{body}",
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\n{secret}Content-Length: 9999\r\n\r\n{body}",
    ):
        with socket.create_connection(service.host_and_port) as connection:
            connection.sendall(sent.encode())
            connection.settimeout(0.2)
            try:
                connection.recv(1000)
            except TimeoutError:
                continue


def kill_children(service: RunningService, client: Client) -> None:
    """Kill readers and parsers, so that the log says it, and wait until they are back."""
    for child in psutil.Process(service.process.pid).children(recursive=True):
        child.kill()
    file_id = client.upload(f"{CANARY} after.txt", f"{CANARY} came back.\n".encode())
    client.parsed(file_id)
    assert client.chat(("system", f"fileid://{file_id}"), ("user", "Who came back?")).status == 200


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Return a service that everything was done to, and that has ended."""
    folder = tmp_path_factory.mktemp("log")
    (folder / "answers.jsonl").write_text("\n".join(json.dumps(rule) for rule in RULES))
    config = folder / "longscroll.toml"
    with TelltaleServer() as server:
        models = "".join(MODEL.format(name=name) for name in FAILURES)
        config.write_text(CONFIG.format(url=server.url, models=models, folder=folder))
        with RunningService(folder / "data", arguments=["--config", str(config)]) as running:
            client = Client(running)
            ids = send_files(client)
            ask_everybody(client, ids[0])
            send_nonsense(client)
            break_connections(running)
            kill_children(running, client)
            running.stop()
            yield running


@pytest.mark.slow
def test_nothing_that_was_asked_or_named_is_in_the_log(service: RunningService) -> None:
    assert [line for line in service.said().splitlines() if CANARY.lower() in line.lower()] == []


@pytest.mark.slow
def test_no_key_is_in_the_log(service: RunningService) -> None:
    assert service.key not in service.said()


@pytest.mark.slow
def test_every_line_is_structured_and_requests_have_one_each(service: RunningService) -> None:
    lines = [json.loads(line) for line in service.said().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert len({line["request_id"] for line in requests}) == len(requests) > 60
    assert {line["status"] for line in requests} >= {200, 400, 401, 404, 431, 500, 503}
    assert {"a reader died", "parsers.zygote_died", "request failed"} <= {line["event"] for line in lines}
    assert {"EngineFailed", "Unauthenticated", "ModelUnavailable"} <= {line.get("error") for line in requests}
