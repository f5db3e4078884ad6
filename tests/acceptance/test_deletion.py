"""Deletion is final: a second after the reply no byte of the file is in the data folder, whatever was going on."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from factories.canaries import Document, Trace, docx_document, make_token, pdf_document, text_document, tokens_on_disk
from factories.http import Client, Reply
from factories.inspection import GONE_WITHIN_S
from factories.patience import patience
from factories.running import NotReady, RunningService, RunningWorker, crashing_at
from longscroll.telemetry import Moment

CHANCE = random.Random(7)
N_LARGE_PAGES = 4000
SOON_S = 20.0
SLOW_ANSWER = """
[[rule]]
deltas = ["It burned ", "three hours ", "on that day", " [1]", ", says ", "the log."]
pace_s = 0.4
"""
SLOW_MODEL = '[[model]]\nname = "slow"\nengine = "scripted"\nscript = "{script}"\n'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("deletion")
    (folder / "answers.toml").write_text(SLOW_ANSWER)
    (folder / "longscroll.toml").write_text(SLOW_MODEL.format(script=folder / "answers.toml"))
    with RunningService(folder / "data", arguments=["--config", str(folder / "longscroll.toml")]) as running:
        yield running


def large() -> Document:
    return pdf_document(make_token(CHANCE), n_pages=N_LARGE_PAGES)


def put(client: Client, document: Document) -> str:
    return client.upload(document.filename, document.data)


def delete(client: Client, file_id: str) -> float:
    """Delete a file; return when the reply came."""
    assert client.request("DELETE", f"/v1/files/{file_id}").status == 200
    return time.monotonic()


def places(data_dir: Path, token: str, *, gone_by: float) -> list[Trace]:
    """Return where a file is still found by the last look that begins before it must be gone."""
    while (found := tokens_on_disk(data_dir).get(token)) and time.monotonic() < gone_by:
        time.sleep(0.02)
    return sorted(found or [])


def left(client: Client, document: Document, file_id: str, *, since: float) -> tuple[list[Trace], list[int]]:
    """Return what a raw search finds a second after a deletion, and the surfaces that still know the file."""
    found = places(client.service.data_dir, document.token, gone_by=since + patience(GONE_WITHIN_S))
    paths = (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content", f"/api/v1/files/{file_id}")
    replies = [client.request("GET", path) for path in paths]
    listed = client.request("GET", "/v1/files").body.decode().count(file_id)
    return found, [reply.status for reply in replies if reply.status == 200] + [200] * listed


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end, f"not so within {SOON_S} s"
        time.sleep(0.02)


def preview_of(service: RunningService, file_id: str) -> bool:
    return any((service.data_dir / "blobs").glob(f"w/*/f/{file_id}/preview/*"))


def n_pages_done(client: Client, file_id: str) -> int:
    progress = client.file(file_id).get("longscroll", {}).get("progress") or {}
    return int(progress.get("done", 0))


def held_by(worker: RunningWorker) -> list[str]:
    """Return the files that a worker parses now, as the rows say it."""
    files = psutil.Process(worker.process.pid).open_files()
    owners = [Path(file.path).name for file in files if Path(file.path).parent.name == "processes"]
    with closing(sqlite3.connect(f"file:{worker.data_dir / 'longscroll.db'}?mode=ro", uri=True)) as rows:
        query = "SELECT id FROM files WHERE status = 'uploaded' AND lease_owner = ?"
        return [file_id for owner in owners for (file_id,) in rows.execute(query, (owner,))]


@pytest.mark.parametrize(
    "document",
    [
        text_document(make_token(CHANCE), size_bytes=100_000),
        pdf_document(make_token(CHANCE), n_pages=20),
        docx_document(make_token(CHANCE), n_lines=500),
    ],
    ids=["text", "pdf", "docx"],
)
def test_a_processed_file_leaves_no_byte(service: RunningService, document: Document) -> None:
    client = Client(service)
    file_id = put(client, document)
    assert client.parsed(file_id)["status"] == "processed"
    assert tokens_on_disk(service.data_dir).get(document.token)
    assert left(client, document, file_id, since=delete(client, file_id)) == ([], [])


def test_a_file_that_is_being_parsed_leaves_no_byte(service: RunningService) -> None:
    client, document = Client(service), large()
    file_id = put(client, document)
    until(lambda: n_pages_done(client, file_id) > 0)
    assert client.file(file_id)["status"] == "uploaded"
    assert left(client, document, file_id, since=delete(client, file_id)) == ([], [])


def test_a_file_whose_first_pages_can_be_read_leaves_no_byte(service: RunningService) -> None:
    client, document = Client(service), large()
    file_id = put(client, document)
    until(lambda: preview_of(service, file_id))
    assert client.file(file_id)["status"] == "uploaded"
    assert left(client, document, file_id, since=delete(client, file_id)) == ([], [])


def test_a_file_that_a_worker_parses_leaves_no_byte(service: RunningService) -> None:
    client, documents = Client(service), [large() for _ in range(4)]
    with RunningWorker(service.data_dir) as worker:
        by_id = {put(client, document): document for document in documents}
        until(lambda: held_by(worker))
        file_id = held_by(worker)[0]
        assert left(client, by_id[file_id], file_id, since=delete(client, file_id)) == ([], [])
        for other in by_id.keys() - {file_id}:
            delete(client, other)


def test_a_chat_that_is_being_answered_finishes_with_its_citations(service: RunningService) -> None:
    client, document = Client(service), text_document(make_token(CHANCE), size_bytes=20_000)
    file_id = put(client, document)
    client.parsed(file_id)
    with ThreadPoolExecutor(1) as pool:
        asking: list[Reply] = []
        answering = pool.submit(
            lambda: asking.append(
                client.chat(
                    ("system", f"fileid://{file_id}"), ("user", "How long did it burn?"), model="slow", stream=True
                )
            )
        )
        time.sleep(1.0)
        assert left(client, document, file_id, since=delete(client, file_id)) == ([], [])
        assert not answering.done()
        answering.result()
    deltas = [event["choices"][0]["delta"] for event in asking[0].events if event["choices"]]
    cited = [mark["file_citation"]["file_id"] for delta in deltas for mark in delta.get("annotations", [])]
    assert (
        "".join(delta.get("content") or "" for delta in deltas)
        == "It burned three hours on that day [1], says the log."
    )
    assert (cited, asking[0].body.endswith(b"data: [DONE]\n\n")) == ([file_id], True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", [moment for moment in Moment if moment.value.startswith(("delete.", "blob.deleted"))]
)
@pytest.mark.parametrize("again", [None, Moment.BLOB_DELETED, Moment.BLOBS_DELETED, Moment.ROW_REMOVED])
def test_a_deletion_that_died_is_finished_at_the_next_start_that_lives(
    moment: Moment, again: Moment | None, tmp_path: Path
) -> None:
    document = text_document(make_token(CHANCE), size_bytes=30_000)
    with RunningService(tmp_path / "data", program=crashing_at(moment, 1)) as first:
        client = Client(first)
        file_id = put(client, document)
        client.parsed(file_id)
        with pytest.raises(OSError):  # noqa: PT011 - whichever way the connection ends
            client.request("DELETE", f"/v1/files/{file_id}")
        assert first.wait(10) == -signal.SIGKILL
    if again is not None:
        die_again(tmp_path / "data", again)
    with RunningService(tmp_path / "data") as last:
        assert left(Client(last), document, file_id, since=time.monotonic()) == ([], [])


def die_again(data_dir: Path, moment: Moment) -> None:
    """Start the service so that it dies over the deletion that it finishes; where there is none, it is killed."""
    try:
        RunningService(data_dir, program=crashing_at(moment, 1)).kill()
    except NotReady:
        return
