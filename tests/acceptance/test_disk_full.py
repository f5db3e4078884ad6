"""A real service on a disk of 64 MB: what it says when that is full, what goes on, how it heals when space returns."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from factories.canaries import Document, make_token, text_document
from factories.history import History
from factories.http import Client, Reply
from factories.inspection import ArtifactWatch
from factories.running import RunningService
from factories.small_disk import SmallDisk, small_disk

pytestmark = pytest.mark.slow

SIZE_MB = 64
BEES = b"The lighthouse of Quarrel Point was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"
SORRY = "An system error has occured, please try again later."
HEALED_WITHIN_S = 90.0  # the longest pause between two tries of ingestion, and a margin
CHANCE = random.Random(11)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, size_mb=SIZE_MB, n_inodes=5000) as disk:
        yield disk


@pytest.fixture
def service(disk: SmallDisk) -> Iterator[RunningService]:
    with RunningService(disk.folder / "data") as running:
        yield running


@pytest.fixture
def file_id(service: RunningService) -> str:
    client = Client(service)
    file_id = client.upload("lighthouse.txt", BEES)
    assert client.parsed(file_id)["status"] == "processed"
    return file_id


def megabytes(n: int) -> Document:
    return text_document(make_token(CHANCE), size_bytes=n << 20)


def send(client: Client, document: Document) -> Reply:
    return client.send_file(document.filename, document.data)


def refused(reply: Reply) -> tuple[int, str, str]:
    error = reply.json["error"]
    return reply.status, error["code"], error["message"]


def about_bees(client: Client, file_id: str) -> str:
    return str(client.ask("Who kept bees?", file_id)["content"])


def staged_bytes(data_dir: Path) -> int:
    return sum(path.stat().st_size for path in (data_dir / "blobs" / "staging").rglob("*") if path.is_file())


def assert_sound(data_dir: Path) -> None:
    """The database is whole, and so is every artifact."""
    with closing(sqlite3.connect(data_dir / "longscroll.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    history = History()
    ArtifactWatch(data_dir, history).look()
    assert (history.harms, history.counts["artifacts verified"] > 0) == ([], True)


def test_uploads_until_it_is_full_are_refused_in_the_documented_words_and_nothing_else_stops(
    service: RunningService, disk: SmallDisk, file_id: str
) -> None:
    client, kept = Client(service), []
    while (reply := send(client, megabytes(7))).status == 200:
        kept.append(reply.json["id"])
    assert refused(reply) == (500, "internal_error", SORRY)
    assert "Ada Thornbury" in about_bees(client, file_id)
    assert [client.request("GET", path).status for path in ("/healthz", "/readyz", "/v1/files")] == [200] * 3
    assert [client.request("DELETE", f"/v1/files/{one}").status for one in kept] == [200] * len(kept)
    after = send(client, megabytes(7))
    assert (after.status, client.parsed(after.json["id"], within_s=HEALED_WITHIN_S)["status"]) == (200, "processed")
    assert service.stop() == 0
    assert_sound(service.data_dir)


def test_on_a_disk_without_one_free_block_questions_and_deletions_go_on(
    service: RunningService, disk: SmallDisk, file_id: str
) -> None:
    client = Client(service)
    other = client.upload("other.txt", megabytes(1).data)
    client.parsed(other)
    disk.fill()
    assert [refused(send(client, megabytes(1))) for _ in range(3)] == [(500, "internal_error", SORRY)] * 3
    assert "Ada Thornbury" in about_bees(client, file_id)
    assert client.request("DELETE", f"/v1/files/{other}").status == 200
    assert client.file(other)["error"]["code"] == "file_not_found"
    assert staged_bytes(service.data_dir) == len(f"{service.process.pid}\n")
    disk.empty()
    assert client.parsed(client.upload("again.txt", BEES))["status"] == "processed"
    assert service.stop() == 0
    assert_sound(service.data_dir)


def test_the_native_surface_refuses_in_its_own_words(service: RunningService, disk: SmallDisk) -> None:
    disk.fill()
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n'
    reply = Client(service).request("POST", "/api/v1/files", body, Content_Type="multipart/form-data; boundary=b")
    disk.empty()
    assert (reply.status, reply.json["code"], reply.json["message"]) == (500, "SystemError", SORRY)


def test_a_file_that_is_parsed_when_the_disk_fills_is_read_when_space_returns(
    service: RunningService, disk: SmallDisk, file_id: str
) -> None:
    client, document = Client(service), megabytes(8)
    disk.leave(len(document.data) + (1 << 20))
    waiting = client.upload(document.filename, document.data)
    time.sleep(5)
    assert client.file(waiting)["status"] == "uploaded"
    assert "Ada Thornbury" in about_bees(client, file_id)
    disk.empty()
    assert client.parsed(waiting, within_s=HEALED_WITHIN_S)["status"] == "processed"
    assert client.request("GET", f"/v1/files/{waiting}/content").body == document.data
    assert service.stop() == 0
    assert_sound(service.data_dir)
