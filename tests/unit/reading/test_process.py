from __future__ import annotations

from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from factories.artifacts import artifact_bytes
from longscroll.engines.base import Evidence, Prompt
from longscroll.reading.evidence import ReadingOptions
from longscroll.reading.messages import Composed, ComposeTask, Failed, Read, ReaderReply, ReaderTask, ReadTask, Source
from longscroll.reading.process import LENGTH, Desk, serve
from longscroll.tokens import EstimatedCounter

MAPS = Path("/proc/self/maps")
needs_maps = pytest.mark.skipif(not MAPS.exists(), reason="only Linux says what a process has mapped")
TESLA = "Nikola Tesla was born in Smiljan. He died in New York in 1943."


@pytest.fixture
def desk() -> Desk:
    return Desk(ReadingOptions(), EstimatedCounter)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "artifact"
    path.write_bytes(artifact_bytes(TESLA))
    return path


def task(*sources: Source, number: int = 1) -> ReadTask:
    return ReadTask(task=number, question="Where was Tesla born?", sources=sources, context_window=None)


def source(path: Path | None = None, inline: str | None = None, document: int = 0) -> Source:
    artifact = str(path) if path else None
    return Source(document=document, workspace="ws", file_id="file-fe-1", artifact=artifact, inline=inline)


def exchange(desk: Desk, *tasks: ReaderTask) -> list[ReaderReply]:
    frames = b"".join(LENGTH.pack(len(data)) + data for data in map(msgspec.msgpack.encode, tasks))
    out = BytesIO()
    serve(desk, BytesIO(frames), out)
    data, replies = out.getvalue(), list[ReaderReply]()
    while data:
        (size,) = LENGTH.unpack(data[: LENGTH.size])
        replies.append(msgspec.msgpack.decode(data[LENGTH.size : LENGTH.size + size], type=ReaderReply))
        data = data[LENGTH.size + size :]
    return replies


def replace(path: Path, content: bytes) -> None:
    """Put another file in the place of one, as the store does."""
    beside = path.with_name("beside")
    beside.write_bytes(content)
    beside.replace(path)


def mapped_under(folder: Path) -> list[str]:
    """Return the files of a folder that this process has mapped, deleted ones too."""
    return [line for line in MAPS.read_text().splitlines() if f" {folder}/" in line]


def test_files_and_inline_text_are_read_side_by_side(desk: Desk, stored: Path) -> None:
    [reply] = exchange(desk, task(source(stored), source(inline="Tesla again, born elsewhere.", document=1)))
    assert isinstance(reply, Read)
    assert {passage.document for passage in reply.evidence.passages} == {0, 1}
    assert len(reply.n_tokens) == len(reply.n_tokens_read) == 2
    assert reply.n_tokens[0] == EstimatedCounter().count(TESLA)


def test_an_answer_is_composed(desk: Desk) -> None:
    prompt = Prompt(model="m", question="?", language="en", evidence=Evidence(plan="none", plan_reason=""), messages=())
    [reply] = exchange(desk, ComposeTask(task=7, prompt=prompt))
    assert isinstance(reply, Composed)
    assert (reply.task, reply.abstained, len(reply.parts)) == (7, False, 1)


def test_a_deleted_file_is_gone_even_after_it_was_open(desk: Desk, stored: Path) -> None:
    [first] = exchange(desk, task(source(stored)))
    stored.unlink()
    assert isinstance(first, Read)
    assert exchange(desk, task(source(stored))) == [Failed(task=1, error="FileGone", message="file-fe-1")]


def test_a_file_that_another_has_replaced_is_read_anew(desk: Desk, stored: Path, tmp_path: Path) -> None:
    [before] = exchange(desk, task(source(stored)))
    longer = tmp_path / "longer"
    longer.write_bytes(artifact_bytes(TESLA * 3))
    longer.replace(stored)
    [after] = exchange(desk, task(source(stored)))
    assert isinstance(before, Read)
    assert isinstance(after, Read)
    assert [read.n_tokens for read in (before, after)] == [
        (EstimatedCounter().count(TESLA),),
        (EstimatedCounter().count(TESLA * 3),),
    ]


def test_a_document_that_grew_is_read_as_it_is_now(desk: Desk, stored: Path) -> None:
    [first] = exchange(desk, task(source(stored)))
    grown = TESLA + " His laboratory stood in Colorado Springs."
    replace(stored, artifact_bytes(grown))

    [second] = exchange(desk, task(source(stored)))

    assert isinstance(first, Read)
    assert isinstance(second, Read)
    assert [first.n_tokens, second.n_tokens] == [(EstimatedCounter().count(text),) for text in (TESLA, grown)]


def test_a_document_that_another_of_its_size_has_replaced_is_read_anew(desk: Desk, stored: Path) -> None:
    exchange(desk, task(source(stored)))
    replacement = artifact_bytes(TESLA.replace("Smiljan", "Sanssou"))
    assert len(replacement) == stored.stat().st_size
    replace(stored, replacement)
    [read] = exchange(desk, task(source(stored)))
    assert isinstance(read, Read)
    assert "born in Sanssou." in read.evidence.passages[0].text


@needs_maps
def test_what_was_replaced_is_let_go(desk: Desk, stored: Path) -> None:
    exchange(desk, task(source(stored)))
    replace(stored, b"no artifact at all")

    [failed] = exchange(desk, task(source(stored)))

    assert isinstance(failed, Failed)
    assert failed.error == "ArtifactError"
    assert mapped_under(stored.parent) == []


@needs_maps
def test_a_document_that_did_not_change_is_mapped_once(desk: Desk, stored: Path) -> None:
    exchange(desk, task(source(stored)), task(source(stored)))

    assert len(mapped_under(stored.parent)) == 1


@needs_maps
def test_a_deleted_file_is_let_go_when_it_is_asked_for_again(desk: Desk, stored: Path) -> None:
    exchange(desk, task(source(stored)))
    stored.unlink()

    exchange(desk, task(source(stored)))

    assert mapped_under(stored.parent) == []


def test_a_damaged_file_fails_its_task_and_not_the_next(desk: Desk, stored: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"no artifact at all")
    failed, read = exchange(desk, task(source(broken)), task(source(stored), number=2))
    assert isinstance(failed, Failed)
    assert (failed.error, read.task) == ("ArtifactError", 2)
    assert isinstance(read, Read)


def test_blank_inline_text_is_an_error_of_the_document(desk: Desk) -> None:
    [reply] = exchange(desk, task(source(inline="  \n ")))
    assert isinstance(reply, Failed)
    assert reply.error == "DocumentError"


def test_a_cut_frame_ends_the_process_quietly(desk: Desk) -> None:
    out = BytesIO()
    serve(desk, BytesIO(LENGTH.pack(100) + b"short"), out)
    assert out.getvalue() == b""
