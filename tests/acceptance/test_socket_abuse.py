"""What raw sockets do to a running service: it answers or hangs up, and is afterwards as it was before."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import pytest

from factories.http import Client
from factories.patience import patience
from factories.running import RunningService

pytestmark = pytest.mark.slow

CHAT = "/compatible-mode/v1/chat/completions"
FILES = "/compatible-mode/v1/files"
HELLO = b'{"model":"qwen-long","messages":[{"role":"user","content":"hi"}]}'
N_ROUNDS = 40
MAX_GROWTH = 0.05

Abuse = Callable[[socket.socket, str], None]


def head(key: str, *lines: str, method: str = "POST", path: str = CHAT) -> bytes:
    return "\r\n".join(
        [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", *lines, "", ""]
    ).encode()


def whole(key: str, body: bytes, *lines: str, path: str = CHAT) -> bytes:
    return head(key, f"Content-Length: {len(body)}", *lines, path=path) + body


def half_close(connection: socket.socket, key: str) -> None:
    connection.sendall(whole(key, HELLO))
    finish(connection)


def leave_inside_a_head(connection: socket.socket, key: str) -> None:
    connection.sendall(head(key)[:40])


def leave_inside_a_body(connection: socket.socket, key: str) -> None:
    connection.sendall(whole(key, HELLO)[:-10])


def reset_inside_a_stream(connection: socket.socket, key: str) -> None:
    connection.sendall(whole(key, HELLO[:-1] + b',"stream":true}'))
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def send_a_head_without_end(connection: socket.socket, key: str) -> None:
    with suppress(OSError):
        for n in range(20_000):
            connection.sendall(b"X-%d: y\r\n" % n if n else head(key)[:-2])
    finish(connection)


def announce_more_than_allowed(connection: socket.socket, key: str) -> None:
    connection.sendall(head(key, "Content-Length: 99999999999"))
    finish(connection)


def send_more_than_allowed_in_chunks(connection: socket.socket, key: str) -> None:
    with suppress(OSError):
        connection.sendall(head(key, "Transfer-Encoding: chunked"))
        for _ in range(300):
            connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
    finish(connection)


def send_bad_chunks(connection: socket.socket, key: str) -> None:
    connection.sendall(head(key, "Transfer-Encoding: chunked") + b"5\r\nhello\r\nZZ\r\n")
    finish(connection)


def pipeline(connection: socket.socket, key: str) -> None:
    connection.sendall(whole(key, HELLO) * 20)
    finish(connection)


def smuggle(connection: socket.socket, key: str) -> None:
    lines = (f"Content-Length: {len(HELLO)}", "Transfer-Encoding: chunked")
    connection.sendall(head(key, *lines) + b"0\r\n\r\n" + whole(key, HELLO))
    finish(connection)


def speak_in_invalid_utf8(connection: socket.socket, key: str) -> None:
    connection.sendall(whole(key, HELLO.replace(b"hi", b"\xff\xfe\xc3\x28")))
    finish(connection)


def nest_deeply(connection: socket.socket, key: str) -> None:
    connection.sendall(whole(key, b'{"model":"qwen-long","messages":' + b"[" * 2_000_000))
    finish(connection)


def leave_inside_an_upload(connection: socket.socket, key: str) -> None:
    kind = "Content-Type: multipart/form-data; boundary=b"
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + b"x" * 500_000
    connection.sendall(head(key, kind, "Content-Length: 9000000", path=FILES) + form)


def upload_in_chunks_without_an_end(connection: socket.socket, key: str) -> None:
    lines = ("Content-Type: multipart/form-data; boundary=b", "Transfer-Encoding: chunked")
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nnever ended'
    connection.sendall(head(key, *lines, path=FILES) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(form), form))
    finish(connection)


def speak_tls(connection: socket.socket, _key: str) -> None:
    connection.sendall(bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) * 2)
    finish(connection)


ABUSES: tuple[Abuse, ...] = (
    half_close,
    leave_inside_a_head,
    leave_inside_a_body,
    reset_inside_a_stream,
    send_a_head_without_end,
    announce_more_than_allowed,
    send_more_than_allowed_in_chunks,
    send_bad_chunks,
    pipeline,
    smuggle,
    speak_in_invalid_utf8,
    nest_deeply,
    leave_inside_an_upload,
    upload_in_chunks_without_an_end,
    speak_tls,
)


def finish(connection: socket.socket) -> None:
    """Say that nothing more comes, and read until the service hangs up; a reset is a way to hang up."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
    with suppress(ConnectionError):
        while connection.recv(1 << 16):
            pass


def abuse_all(service: RunningService) -> list[socket.socket]:
    """Do everything once; return connections that sit in the middle of a head, which take none of our time."""
    slow = []
    for abuse in ABUSES:
        with socket.create_connection(service.host_and_port, timeout=patience(20)) as connection:
            abuse(connection, service.key)
        sitting = socket.create_connection(service.host_and_port)
        sitting.sendall(b"POST /v1/chat/completions HT")
        slow.append(sitting)
    return slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("abused") / "data") as running:
        yield running


@pytest.mark.timeout(300)
def test_a_service_that_was_abused_is_as_it_was_before(service: RunningService) -> None:
    api = psutil.Process(service.process.pid)
    warming = [
        connection for _ in range(N_ROUNDS) for connection in abuse_all(service)
    ]  # what the first ones need stays
    for connection in warming:
        connection.close()
    time.sleep(1)
    before, children = api.memory_info().rss, {child.pid for child in api.children()}
    sitting = [connection for _ in range(N_ROUNDS) for connection in abuse_all(service)]
    began = time.monotonic()
    reply = Client(service).request("POST", CHAT, HELLO)
    answered_s = time.monotonic() - began
    for connection in sitting:
        connection.close()
    time.sleep(1)
    growth = api.memory_info().rss / before - 1
    sys.stdout.write(
        f"\n{N_ROUNDS} × {len(ABUSES)} abuses: memory {growth:+.1%}, {answered_s * 1e3:.0f} ms an answer\n"
    )
    assert reply.status == 200
    assert {child.pid for child in api.children()} == children
    assert growth <= MAX_GROWTH
    assert b'"status": 5' not in service.log_path.read_bytes()
    assert b"Traceback" not in service.log_path.read_bytes()
