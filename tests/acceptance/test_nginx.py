"""Behind nginx with its default buffering and its 60 seconds: streams flow and silences are filled."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from factories import nginx
from factories.http import Client
from factories.patience import patience
from factories.running import RunningService

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(nginx.nginx() is None, reason="nginx is not installed: apt-get install nginx-light"),
]

CHAT = "/compatible-mode/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
PACE_S = 0.5
SILENCE_S = 70
SCRIPT = f"""
[[rule]]
message = "pace"
deltas = ["one ", "two ", "three"]
pace_s = {PACE_S}

[[rule]]
message = "silence"
deltas = ["at last"]
first_delay_s = {SILENCE_S}

[[rule]]
deltas = ["{"word " * 20}"]
"""


@contextmanager
def stream(client: Client, path: str, question: str) -> Iterator[http.client.HTTPResponse]:
    """Ask for a stream and yield the response once its head is there."""
    messages = [{"role": "user", "content": question}]
    body = {"model": "scripted", "messages": messages, "stream": True}
    native = {"model": "scripted", "input": {"messages": messages}, "parameters": {"incremental_output": True}}
    headers = {"Authorization": f"Bearer {client.key}", "Content-Type": "application/json"}
    headers |= {"X-DashScope-SSE": "enable"} if path == GENERATION else {}
    with closing(http.client.HTTPConnection(*client.address, timeout=patience(SILENCE_S + 20))) as connection:
        connection.request("POST", path, json.dumps(native if path == GENERATION else body), headers)
        yield connection.getresponse()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("proxied")
    script, config = folder / "script.toml", folder / "config.toml"
    script.write_text(SCRIPT)
    config.write_text(f'[[model]]\nname = "scripted"\nengine = "scripted"\nscript = "{script}"\n')
    with (
        RunningService(folder / "data", arguments=["--config", str(config)]) as service,
        nginx.before(service.url, folder / "nginx") as address,
    ):
        yield Client(service, address=address)


@pytest.mark.parametrize("path", [CHAT, GENERATION])
def test_a_stream_flows_as_it_is_written(client: Client, path: str) -> None:
    with stream(client, path, "pace") as response:
        arrivals = [time.monotonic() for line in response if line.startswith(b"data:") and b"o" in line]
    assert response.status == 200
    assert arrivals[-1] - arrivals[0] >= PACE_S


@pytest.mark.item(45)
@pytest.mark.parametrize("path", [CHAT, GENERATION])
def test_a_silence_longer_than_nginx_allows_is_filled(client: Client, path: str) -> None:
    with stream(client, path, "silence") as response:
        body = response.read()
    assert (response.status, body.count(b"at last"), b"keep-alive" in body) == (200, 1, True)


def test_an_upload_and_a_question_over_it_pass(client: Client) -> None:
    data = "".join(f"Paragraph {n} of a long report.\n" for n in range(100_000)).encode()
    file_id = client.upload("report.txt", data + b"The bridge opened in 1911.\n")
    messages = [{"role": "system", "content": f"fileid://{file_id}"}, {"role": "user", "content": "When did it open?"}]
    reply = client.request("POST", CHAT, {"model": "qwen-long", "messages": messages})
    assert "1911" in reply.json["choices"][0]["message"]["content"]
