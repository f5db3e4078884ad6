"""What a request comes down to, and the file that exchanges are kept in."""

from __future__ import annotations

import hashlib
import resource
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from longscroll.testing.exchanges import (
    Asked,
    Exchange,
    Field,
    Piece,
    Recording,
    RecordingError,
    load,
    piece,
    understand,
)
from longscroll.testing.secrets import Secrets

KEY = "sk-0123456789"
JSON = b'{"model": "qwen-long", "n": 1}'
FORM = (
    '--{0}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfile-extract\r\n'
    '--{0}\r\nContent-Disposition: form-data; name="file"; filename="年.txt"\r\n\r\ntext\r\n--{0}--\r\n'
)
EXCHANGE = Exchange(
    asked=Asked(method="POST", path="/v1/x", json={"a": [1]}),
    status=200,
    headers=(("content-type", "text/event-stream"),),
    head_at_s=0.1,
    pieces=(Piece(at_s=0.2, text="data: 春"), Piece(at_s=0.3, data=b"\xe6\x98")),
    is_cut=True,
)


async def asked(body: bytes = b"", *, headers: Mapping[str, str] | None = None, **scope: Any) -> Asked:
    secrets = Secrets()
    pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    whole = {"method": "POST", "path": "/v1/x", "query_string": b"", "headers": pairs} | scope
    secrets.learn(whole["headers"], whole["query_string"])
    return await understand(whole, body, secrets)


async def test_two_bodies_that_say_the_same_are_equal() -> None:
    assert (await asked(JSON)).key == (await asked(b'{"n":1,"model":"qwen-long"}')).key
    assert (await asked(JSON)).key != (await asked(b'{"n":2,"model":"qwen-long"}')).key


@pytest.mark.parametrize("headers", [{"x-dashscope-sse": "enable"}, {"accept": "text/event-stream"}])
async def test_a_header_that_asks_for_events_makes_another_request(headers: dict[str, str]) -> None:
    assert await asked(JSON, headers=headers) == Asked(
        method="POST", path="/v1/x", wants_events=True, json={"model": "qwen-long", "n": 1}
    )


async def test_the_order_of_a_query_and_the_key_in_it_make_no_difference() -> None:
    one = await asked(query_string=b"limit=3&api_key=sk-0123456789&after=x")
    other = await asked(query_string=b"after=x&limit=3&api_key=another-key-of-mine")
    assert one == other == Asked(method="POST", path="/v1/x", query="after=x&api_key=&limit=3")


async def test_a_form_is_its_fields_and_the_hashes_of_its_files() -> None:
    one, other = [
        await asked(FORM.format(mark).encode(), headers={"content-type": f"multipart/form-data; boundary={mark}"})
        for mark in ("a", "b")
    ]
    file = Field(name="file", filename="年.txt", size_bytes=4, sha256=hashlib.sha256(b"text").hexdigest())
    assert one == other == Asked(method="POST", path="/v1/x", form=(Field(name="purpose", value="file-extract"), file))


@pytest.mark.parametrize("headers", [{}, {"content-type": "multipart/form-data; boundary=x"}])
async def test_what_is_neither_json_nor_a_form_is_its_hash(headers: dict[str, str]) -> None:
    found = await asked(b"\xff\x00 bytes", headers=headers)
    assert found == Asked(method="POST", path="/v1/x", sha256=hashlib.sha256(b"\xff\x00 bytes").hexdigest())


async def test_the_key_of_the_caller_is_nowhere_in_what_was_asked() -> None:
    headers = {"authorization": f"Bearer {KEY}"}
    found = await asked(f'{{"note": "mine is {KEY}"}}'.encode(), headers=headers, path=f"/v1/{KEY}")
    assert found == Asked(method="POST", path="/v1/REMOVED", json={"note": "mine is REMOVED"})


async def test_a_key_of_a_body_makes_no_difference() -> None:
    one, other = [
        await asked(f'{{"api_key": "{key}", "note": "{key}"}}'.encode())
        for key in ("key-of-mine-0123456789", "sk-of-somebody-else-1")
    ]
    assert one == other == Asked(method="POST", path="/v1/x", json={"api_key": "REMOVED", "note": "REMOVED"})


@pytest.mark.parametrize("data", ["春".encode(), b"", b"\xe6\x98", b"data: {}\n\n"])
def test_a_piece_gives_back_its_bytes(data: bytes) -> None:
    assert piece(0.123456, data).body == data


def test_a_file_is_its_owners_alone_and_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for _ in range(2):
        recording = Recording(path)
        recording.add(EXCHANGE)
        recording.close()
    assert (stat.S_IMODE(path.stat().st_mode), load(path)) == (0o600, [EXCHANGE, EXCHANGE])


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.touch()
    path.chmod(0o644)
    with pytest.raises(RecordingError, match=r"can be read by others \(mode 0644\); `chmod 600"):
        Recording(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no recording, line 1"),
        ('{"deltas": []}', "no recording, line 1"),
        ('{"format": "longscroll-recording", "version": 2}', "longscroll-recording of version 2; expected"),
        ('{"format": "longscroll-recording", "version": 1}\n{}\n', "no recording, line 2"),
    ],
)
def test_another_file_is_refused_by_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(RecordingError, match=words):
        load(path)


def recorded(path: Path, *exchanges: Exchange) -> Path:
    recording = Recording(path)
    for exchange in exchanges:
        recording.add(exchange)
    recording.close()
    return path


def test_a_last_line_without_its_end_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = recorded(tmp_path / "a.jsonl", EXCHANGE, EXCHANGE)
    path.write_bytes(path.read_bytes()[:-9])
    assert load(path) == [EXCHANGE]
    assert caplog.messages == [f"{path} ends inside of line 3: this exchange is left out."]


@pytest.mark.parametrize("n_left", [0, 9, 20])
def test_what_was_left_of_a_last_line_is_cut_off_before_more_is_added(tmp_path: Path, n_left: int) -> None:
    path = recorded(tmp_path / "a.jsonl", EXCHANGE)
    path.write_bytes(path.read_bytes() + b'{"asked":{"method":"GET","pa'[:n_left])
    assert load(recorded(path, EXCHANGE)) == [EXCHANGE, EXCHANGE]


def test_a_recording_may_be_cut_inside_of_its_first_line(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.jsonl")
    path.write_bytes(path.read_bytes()[:20])
    assert load(recorded(path, EXCHANGE)) == [EXCHANGE]


def test_another_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.touch(0o600)
    path.write_text("one line without an end")
    with pytest.raises(RecordingError, match="no recording, line 1"):
        Recording(path)
    assert path.read_text() == "one line without an end"


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """Let no file of this process become larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_exchange_without_room_for_all_of_it_is_not_kept_and_says_so(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.jsonl", EXCHANGE)
    recording = Recording(path)
    with largest_file(path.stat().st_size + 20), pytest.raises(RecordingError, match="cannot be written: File too"):
        recording.add(EXCHANGE)
    recording.add(EXCHANGE)
    recording.close()
    assert load(path) == [EXCHANGE, EXCHANGE]


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        load(tmp_path / "a.jsonl")
    with pytest.raises(RecordingError, match="cannot be written: No such file"):
        Recording(tmp_path / "nowhere" / "a.jsonl")
