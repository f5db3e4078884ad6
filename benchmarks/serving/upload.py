"""An upload of 150 MB: CPU of the serving process against the least that can be done with it, and memory.

    python -m benchmarks.serving.upload [--quick]

The least is a process that reads a blocking socket into one buffer, writes it to a file of the same file system, hashes
it and forces it to the disk. The service gets the same bytes as a form of the OpenAI surface, with a key, and stores
them. The file is of no known format, so that no parser is busy with it. Windows are interleaved.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.serving import servers
from benchmarks.serving.loads import Target
from benchmarks.serving.measures import (
    PeakMemory,
    Row,
    print_machine,
    print_rows,
    process_cpu_ns,
    ratios,
    resident_bytes,
)

SIZE_BYTES = 150_000_000
BLOCK_BYTES = 1 << 20
MIB = 1 << 20
BOUNDARY = "a-boundary-of-a-form"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfile-extract\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="numbers.bin"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


def send_all(connection: socket.socket, head: bytes, tail: bytes) -> None:
    block = os.urandom(BLOCK_BYTES)
    connection.sendall(head)
    n_left = SIZE_BYTES
    while n_left > 0:
        n_left -= connection.send(block[: min(n_left, BLOCK_BYTES)])
    connection.sendall(tail)


def upload(target: Target) -> tuple[float, float]:
    """Return milliseconds of CPU, and how many mebibytes the process grew by meanwhile."""
    lines = [
        "POST /v1/files HTTP/1.1",
        f"Host: 127.0.0.1:{target.port}",
        f"Authorization: Bearer {target.key}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(HEAD) + SIZE_BYTES + len(TAIL)}",
        "Connection: close",
    ]
    head = "\r\n".join([*lines, "", ""]).encode() + HEAD
    before, peak, begun = resident_bytes(target.pid), PeakMemory(target.pid), process_cpu_ns(target.pid)
    with target.connect() as connection:
        send_all(connection, head, TAIL)
        reply = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    used_ms = (process_cpu_ns(target.pid) - begun) / 1e6
    assert reply.startswith(b"HTTP/1.1 200 "), reply[:600]
    return used_ms, (peak.bytes() - before) / MIB


def least(port: int, pid: int) -> float:
    """Return the milliseconds of CPU of the least that can be done."""
    begun = process_cpu_ns(pid)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        send_all(connection, b"", b"")
        connection.shutdown(socket.SHUT_WR)
        assert len(connection.recv(64)) == 64
    return (process_cpu_ns(pid) - begun) / 1e6


def receive(folder: str) -> None:
    """Be the process that does the least."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    buffer = memoryview(bytearray(BLOCK_BYTES))
    while True:
        connection, _ = listener.accept()
        with connection, (Path(folder) / "least").open("wb", buffering=0) as file:
            digest = hashlib.sha256()
            while n_read := connection.recv_into(buffer):
                file.write(buffer[:n_read])
                digest.update(buffer[:n_read])
            os.fsync(file.fileno())
            connection.sendall(digest.hexdigest().encode())


def measure(folder: Path, ours: Target, *, n_rounds: int) -> dict[str, list[float]]:
    seen: dict[str, list[float]] = {"ours": [], "least": [], "grown": []}
    command = [sys.executable, "-m", "benchmarks.serving.upload", "--receive", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for round_number in range(n_rounds + 1):
            used_ms, grown = upload(ours)
            least_ms = least(port, process.pid)
            time.sleep(0.2)
            seen["grown"].append(grown)
            if round_number:  # the first round warms up
                seen["ours"].append(used_ms)
                seen["least"].append(least_ms)
        process.terminate()
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds instead of seven")
    parser.add_argument("--receive", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.receive:
        receive(arguments.receive)
        return
    print_machine()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(servers.source())
        ours = stack.enter_context(servers.product(folder, upstream))
        seen = measure(folder, ours, n_rounds=2 if arguments.quick else 7)
    print(f"CPU ms: ours {statistics.median(seen['ours']):.0f}, the least {statistics.median(seen['least']):.0f}")
    print_rows(
        [
            Row(
                what="150 MB upload, CPU / blocking recv, disk, sha256",
                values=ratios(seen["ours"], seen["least"]),
                floor=2.5,
                unit="x",
                is_ceiling=True,
            ),
            Row(
                what="memory grown meanwhile, the most",
                values=[max(seen["grown"])],
                floor=16.0,
                unit="MiB",
                is_ceiling=True,
            ),
        ]
    )


if __name__ == "__main__":
    main()
