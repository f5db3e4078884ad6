"""`longscroll record` and `longscroll replay` as processes: what went through once comes again, byte for byte."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from msgspec.structs import replace

from factories.patience import patience
from factories.wire import FAST, KEY, Connection, request, wire_service
from longscroll.testing.exchanges import load

CHAT = "/compatible-mode/v1/chat/completions"
NATIVE = "/api/v1/services/aigc/text-generation/generation"
FILES = "/compatible-mode/v1/files"
OTHER_KEY = "sk-of-somebody-else"
COMMAND = [sys.executable, "-m", "longscroll"]


def chat(question: str, *, stream: bool = True) -> bytes:
    body = {"model": "qwen-long", "messages": [{"role": "user", "content": question}], "stream": stream}
    return json.dumps(body).encode()


def form(mark: str) -> tuple[bytes, str]:
    body = f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfile-extract\r\n--{mark}\r\n'
    body += f'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\ntext\r\n--{mark}--\r\n'
    return body.encode(), f"Content-Type: multipart/form-data; boundary={mark}"


def requests(mark: str, *, key: str) -> list[bytes]:
    """Return one request of every kind; ``key`` and the mark of forms differ from client to client."""
    native = json.dumps({"model": "qwen-long", "input": {"prompt": f"say {key}"}}).encode()
    upload, is_form = form(mark)
    close = "Connection: close"
    return [
        request("POST", CHAT, chat("slow"), close, key=key),
        request("POST", CHAT, chat("你好", stream=False), close, key=key),
        request("POST", CHAT, chat("separators"), "Cookie: session=0123456789", close, key=key),
        request("POST", CHAT, chat("hi"), "X-Longscroll-Fault: cut; after=1", close, key=key),
        request(
            "POST", NATIVE, native, "X-DashScope-SSE: enable", "X-DashScope-WorkSpace: secret-room", close, key=key
        ),
        request("POST", FILES, upload, is_form, close, key=key),
        request("GET", f"{FILES}?limit=3&api_key={key}", b"", close, key=key),
        request("GET", "/api/v1/nothing", b"", close, key=key),
    ]


def replies(port: int, asked: list[bytes]) -> list[bytes]:
    """Return all bytes of each reply."""
    said = []
    for one in asked:
        with Connection(port) as connection:
            connection.send(one)
            said.append(connection.receive_rest())
    return said


@contextmanager
def running(*arguments: str, errors: BinaryIO | None = None) -> Iterator[int]:
    """Run a command until the end of the block; yields its port."""
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield int(line.rpartition(":")[2])
        finally:
            process.terminate()
        assert process.wait(10) == 0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """Return a recording of one request of every kind, and what the client got."""
    path = tmp_path_factory.mktemp("record") / "exchanges.jsonl"
    with wire_service(replace(FAST, fault_header=True)) as service:
        url = f"http://127.0.0.1:{service.port}"
        with running("record", "--upstream", url, "--to", str(path)) as port:
            return path, replies(port, requests("first", key=KEY))


def test_every_kind_of_exchange_is_kept(recorded: tuple[Path, list[bytes]]) -> None:
    kept = [(exchange.status, exchange.is_cut) for exchange in load(recorded[0])]
    assert kept == [(200, False)] * 3 + [(200, True)] + [(200, False)] * 3 + [(404, False)]


def test_every_byte_comes_again_whoever_asks(recorded: tuple[Path, list[bytes]]) -> None:
    path, said = recorded
    with running("replay", str(path)) as port:
        again = replies(port, requests("second", key=OTHER_KEY))
    expected = [reply.replace(KEY.encode(), b"x" * len(KEY)) for reply in said]
    assert again == expected


def test_the_pauses_come_again_unless_nobody_wants_them(recorded: tuple[Path, list[bytes]]) -> None:
    path, _ = recorded
    slow = requests("second", key=OTHER_KEY)[:1]
    took = {}
    for pace in ("original", "none"):
        with running("replay", str(path), "--pace", pace) as port:
            began = time.monotonic()
            replies(port, slow)
            took[pace] = time.monotonic() - began
    assert took["original"] >= 0.5
    assert took["none"] < took["original"]


def test_a_stream_is_kept_in_the_pieces_in_which_it_came(recorded: tuple[Path, list[bytes]]) -> None:
    slow = load(recorded[0])[0]
    times = [piece.at_s for piece in slow.pieces]
    assert [piece.text for piece in slow.pieces if piece.text and piece.text.startswith(":")] != []
    assert times == sorted(times)
    assert times[-1] >= 0.5


def test_nothing_secret_is_kept(recorded: tuple[Path, list[bytes]]) -> None:
    text = recorded[0].read_text()
    assert [secret for secret in (KEY, "0123456789", "secret-room", "authorization") if secret in text] == []


def test_a_key_that_a_reply_hands_out_is_not_kept_and_its_reply_is_as_long(tmp_path: Path) -> None:
    path, made = tmp_path / "exchanges.jsonl", request("POST", "/admin/v1/keys", b"{}", "Connection: close", key=KEY)
    with (
        wire_service() as service,
        running("record", "--upstream", f"http://127.0.0.1:{service.port}", "--to", str(path)) as port,
    ):
        [said] = replies(port, [made])
    value = json.loads(said.partition(b"\r\n\r\n")[2])["value"]
    assert value not in path.read_text()
    with running("replay", str(path)) as port:
        assert replies(port, [made]) == [said.replace(value.encode(), b"x" * len(value))]


def test_a_recording_that_was_killed_is_replayed_with_a_warning(
    recorded: tuple[Path, list[bytes]], tmp_path: Path
) -> None:
    path, one = tmp_path / "exchanges.jsonl", requests("second", key=OTHER_KEY)[1]
    path.write_bytes(recorded[0].read_bytes() + b'{"asked":{"method":"GET","pa')
    with (tmp_path / "errors").open("wb") as errors, running("replay", str(path), errors=errors) as port:
        assert replies(port, [one]) == recorded[1][1:2]
    said = (tmp_path / "errors").read_text()
    assert said.startswith(f"{path} ends inside of line 10: this exchange is left out.\n8 exchanges in {path}\n")


def test_where_there_is_no_space_the_client_has_its_reply_and_the_command_fails(tmp_path: Path) -> None:
    path, one = tmp_path / "exchanges.jsonl", request("POST", CHAT, chat("你好", stream=False), key=KEY)
    with wire_service() as service:
        command = [*COMMAND, "record", "--upstream", f"http://127.0.0.1:{service.port}", "--to", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline().rpartition(":")[2])
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 20,) * 2)
            [reply] = replies(port, [one])
            _, said = process.communicate(timeout=patience(20))
    assert (reply.startswith(b"HTTP/1.1 200 "), process.returncode, load(path)) == (True, 1, [])
    assert said == f"longscroll: {path} cannot be written: File too large.\n"


def test_request_ids_are_kept(recorded: tuple[Path, list[bytes]]) -> None:
    assert all(dict(exchange.headers)["x-request-id"] for exchange in load(recorded[0]))


def test_an_upstream_that_is_away_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "exchanges.jsonl"
    with running("record", "--upstream", "http://127.0.0.1:9", "--to", str(path)) as port:
        [reply] = replies(port, requests("first", key=KEY)[:1])
    assert reply.startswith(b"HTTP/1.1 503 ")
    assert b'"code":"model_unavailable"' in reply
    assert load(path) == []


def test_a_request_that_was_not_sent_whole_is_not_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "exchanges.jsonl"
    with (
        wire_service() as service,
        running("record", "--upstream", f"http://127.0.0.1:{service.port}", "--to", str(path)) as port,
    ):
        with Connection(port) as connection:
            connection.send(request("POST", CHAT, chat("你好"))[:-5])
        whole = replies(port, [request("POST", CHAT, chat("hi"), "Connection: close")])
        assert len(service.answers.requests) == len(whole) == len(load(path)) == 1


@pytest.mark.parametrize(
    ("upstream", "mode", "words"),
    [("dashscope.aliyuncs.com", 0o600, "must be an address such as"), ("http://x", 0o644, "can be read by others")],
)
def test_what_cannot_be_recorded_is_said_in_one_line(tmp_path: Path, upstream: str, mode: int, words: str) -> None:
    path = tmp_path / "exchanges.jsonl"
    path.touch()
    path.chmod(mode)
    command = [sys.executable, "-m", "longscroll", "record", "--upstream", upstream, "--to", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert words in done.stderr
