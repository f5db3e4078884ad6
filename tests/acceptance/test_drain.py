"""The end of a service: what runs may finish, what comes is sent elsewhere, and it lasts no longer than it must."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from factories.http import Client
from factories.running import RunningService
from factories.wire import Connection, Reply, request

SCRIPT = """
[[rule]]
message = "count"
deltas = ["one ", "two ", "three ", "four ", "five"]
pace_s = 0.3

[[rule]]
message = "never end"
fault = { error = "silence", after = 1 }
deltas = ["so"]
"""
COMPAT, NATIVE = "/v1/chat/completions", "/api/v1/services/aigc/text-generation/generation"
TEXT = "The lighthouse of Quarrel Point was lit in 1871.\n" * 2000
AT_ONCE_S = 2.0
"""Far below every time that the service waits; on an idle machine it takes a third of a second."""
RESTARTING = "Model is unavailable, please try again later. The service is restarting."


@contextmanager
def running(folder: Path, *, drain_s: float = 30) -> Iterator[RunningService]:
    (folder / "answers.toml").write_text(SCRIPT)
    model = f'[[model]]\nname = "slow"\nengine = "scripted"\nscript = "{folder / "answers.toml"}"\n'
    (folder / "longscroll.toml").write_text(f"[server]\ndrain_s = {drain_s}\n{model}")
    with RunningService(folder / "data", arguments=["--config", str(folder / "longscroll.toml")]) as service:
        yield service


class Asking(Connection):
    """A chat on a raw socket, asked and not read yet."""

    def __init__(self, service: RunningService, question: str, *, path: str = COMPAT, stream: bool = True) -> None:
        super().__init__(service.host_and_port[1])
        messages = [{"role": "user", "content": question}]
        body: dict[str, Any] = {"model": "slow", "messages": messages, "stream": stream}
        headers = []
        if path == NATIVE:
            body, headers = {"model": "slow", "input": {"messages": messages}}, ["X-DashScope-SSE: enable"]
        self.send(request("POST", path, json.dumps(body).encode(), *headers, key=service.key))

    def rest(self) -> bytes:
        """Read everything that still comes, until the service closes the connection."""
        blocks = []
        while block := self.socket.recv(65536):
            blocks.append(block)
        return b"".join(blocks)


def exchange(service: RunningService, method: str, path: str, body: bytes = b"", key: str | None = None) -> Reply:
    """Send one request on a new connection."""
    with Connection(service.host_and_port[1]) as connection:
        connection.send(request(method, path, body, key=key))
        return connection.receive()


def tell(service: RunningService, number: signal.Signals = signal.SIGTERM) -> float:
    service.process.send_signal(number)
    return time.monotonic()


def until_draining(service: RunningService) -> None:
    end = time.monotonic() + 5
    while exchange(service, "GET", "/readyz").status != 503:
        assert time.monotonic() < end
        time.sleep(0.01)


def upload_of_text(service: RunningService) -> bytes:
    """Return the request of an upload as it goes over the wire."""
    form = (
        '--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfile-extract\r\n'
        '--b\r\nContent-Disposition: form-data; name="file"; filename="log.txt"\r\n\r\n' + TEXT + "\r\n--b--\r\n"
    ).encode()
    return request("POST", "/v1/files", form, "Content-Type: multipart/form-data; boundary=b", key=service.key)


def test_a_service_with_nothing_to_do_ends_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as service, Connection(service.host_and_port[1]) as kept_open:
        told = tell(service)
        assert service.wait(10) == 0
        assert time.monotonic() - told < AT_ONCE_S
        assert (kept_open.socket.recv(1), service.family.members()) == (b"", [])


def test_a_running_stream_is_finished_while_new_work_is_sent_elsewhere(tmp_path: Path) -> None:
    with running(tmp_path) as service, Asking(service, "count") as asking:
        asking.receive_until(b'"one ')
        tell(service)
        until_draining(service)
        assert exchange(service, "GET", "/healthz").status == 200
        refused = {path: exchange(service, "POST", path, b"{}", service.key) for path in (COMPAT, NATIVE)}
        rest = asking.rest()
        finished = time.monotonic()
        assert service.wait(10) == 0
        assert time.monotonic() - finished < AT_ONCE_S
        assert service.family.members() == []
    assert b"five" in rest
    assert rest.rstrip().endswith(b"data: [DONE]\n\n\r\n0")
    for reply in refused.values():
        seen = reply.status, reply.headers["connection"], reply.headers["retry-after"]
        assert seen == (503, "close", "5")
    assert json.loads(refused[COMPAT].body)["error"]["message"] == RESTARTING
    native = json.loads(refused[NATIVE].body)
    assert (native["code"], native["message"]) == ("ModelUnavailable", RESTARTING)


def test_what_comes_on_a_connection_that_was_kept_open_is_refused_and_ends_it(tmp_path: Path) -> None:
    with running(tmp_path) as service, Connection(service.host_and_port[1]) as kept_open:
        kept_open.send(request("GET", "/v1/models", key=service.key))
        assert kept_open.receive().status == 200
        with Asking(service, "count") as asking:
            asking.receive_until(b'"one ')
            tell(service)
            until_draining(service)
            kept_open.send(request("GET", "/v1/models", key=service.key))
            assert kept_open.receive().status == 503
            assert kept_open.socket.recv(1) == b""
            assert b"[DONE]" in asking.rest()


def test_an_upload_under_way_is_taken_and_kept(tmp_path: Path) -> None:
    with running(tmp_path) as service, Connection(service.host_and_port[1]) as connection:
        whole = upload_of_text(service)
        connection.send(whole[: len(whole) // 2])
        time.sleep(0.2)
        tell(service)
        until_draining(service)
        connection.send(whole[len(whole) // 2 :])
        reply = connection.receive()
        assert (reply.status, service.wait(10)) == (200, 0)
    with running(tmp_path) as service:
        assert Client(service).parsed(json.loads(reply.body)["id"])["bytes"] == len(TEXT)


def test_a_file_that_comes_during_the_drain_is_left_to_the_next_start_however_long_that_takes(tmp_path: Path) -> None:
    with running(tmp_path) as service, Connection(service.host_and_port[1]) as connection:
        Client(service).parsed(Client(service).upload("warm up.txt", b"The parsers are ready.\n"))
        whole = upload_of_text(service)
        connection.send(whole[: len(whole) // 2])
        with Asking(service, "count") as asking:
            asking.receive_until(b'"one ')
            tell(service)
            until_draining(service)
            connection.send(whole[len(whole) // 2 :])
            assert connection.receive().status == 200
            assert b"five" in asking.rest()
        assert service.wait(10) == 0
    with closing(sqlite3.connect(f"file:{service.data_dir / 'longscroll.db'}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT status, attempt FROM files ORDER BY sequence").fetchall()
    assert rows == [("processed", 1), ("uploaded", 0)]


@pytest.mark.parametrize("path", [COMPAT, NATIVE])
def test_streams_that_outlast_the_drain_end_with_the_error_event_of_their_surface(tmp_path: Path, path: str) -> None:
    with running(tmp_path, drain_s=0.5) as service, Asking(service, "never end", path=path) as asking:
        asking.receive_until(b'"so"')
        told = tell(service)
        rest = asking.rest().decode()
        assert service.wait(10) == 0
        assert 0.5 <= time.monotonic() - told < 0.5 + AT_ONCE_S
        assert service.family.members() == []
    last = [line for line in rest.splitlines() if line.startswith("data:")][-1].removeprefix("data:")
    assert RESTARTING in last
    assert ("event:error" in rest) == (path == NATIVE)


def test_a_whole_answer_that_outlasts_the_drain_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, drain_s=0.3) as service, Asking(service, "never end", stream=False) as asking:
        time.sleep(0.3)
        tell(service)
        assert asking.receive().status == 503
        assert service.wait(10) == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once_and_leaves_nothing_behind(tmp_path: Path, second: signal.Signals) -> None:
    with running(tmp_path) as service, Asking(service, "never end") as asking:
        file_ids = [Client(service).upload(f"log-{n}.txt", TEXT.encode() * 20) for n in range(3)]
        asking.receive_until(b'"so"')
        tell(service)
        until_draining(service)
        told = tell(service, second)
        assert RESTARTING in asking.rest().decode()
        assert service.wait(10) in (0, -signal.SIGALRM)  # by itself, or by the kernel where it hangs
        assert time.monotonic() - told < AT_ONCE_S
        assert service.family.members() == []
    with running(tmp_path) as service:
        assert [Client(service).parsed(file_id)["status"] for file_id in file_ids] == ["processed"] * 3


def test_what_is_told_to_end_with_the_service_waits_for_it(tmp_path: Path) -> None:
    with running(tmp_path) as service, Asking(service, "count") as asking:
        others = [*service.family.readers(), *service.family.zygotes()]
        for process in others:
            process.terminate()
        service.process.send_signal(signal.SIGTERM)
        body = asking.rest()
        assert service.wait(10) == 0
    assert len(others) >= 2
    assert b"five" in body
    assert b"died" not in service.log_path.read_bytes()
