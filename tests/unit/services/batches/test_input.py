"""The check of an input: which lines are refused, under which code, at which line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from factories.batches import ENDPOINT, ScriptedLines, make_line, to_jsonl
from longscroll.services.batches.input import MAX_FAULTS, InputCheck, opened, unanswered
from longscroll.storage.batches import BatchFault


async def check(path: Path, content: bytes, *, max_lines: int = 1000, max_line_bytes: int = 1000) -> InputCheck:
    """Check an input with these bytes."""
    path = path / "input.jsonl"
    path.write_bytes(content)
    found = InputCheck(ScriptedLines(), endpoint=ENDPOINT, max_lines=max_lines)
    async with opened(path, max_line_bytes=max_line_bytes) as reader:
        await found.run(reader)
    return found


def codes(found: InputCheck) -> list[tuple[str, str | None, int | None]]:
    return [(fault.code, fault.param, fault.line) for fault in found.faults]


async def test_good_lines_are_counted(tmp_path: Path) -> None:
    found = await check(tmp_path, to_jsonl(make_line("a"), make_line("b")))
    assert (found.n_lines, found.faults) == (2, [])


async def test_blank_lines_count_for_nothing_but_their_number(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + to_jsonl(make_line("a")) + b"\r\n  \n" + b"no json"
    found = await check(tmp_path, content)
    assert (found.n_lines, codes(found)) == (2, [("invalid_json_line", None, 4)])


async def test_a_file_without_lines_is_refused(tmp_path: Path) -> None:
    found = await check(tmp_path, b"\n \n")
    assert found.faults == [BatchFault(code="empty_file", message="The input file has no lines.")]


async def test_a_custom_id_stands_once(tmp_path: Path) -> None:
    found = await check(tmp_path, to_jsonl(make_line("a"), make_line("b"), make_line("a")))
    assert codes(found) == [("duplicate_custom_id", "custom_id", 3)]


async def test_all_lines_name_the_model_of_the_first(tmp_path: Path) -> None:
    found = await check(tmp_path, to_jsonl(make_line("a"), make_line("b", model="other")))
    assert codes(found) == [("mismatched_model", "model", 2)]


async def test_a_model_that_nobody_has_is_told_of(tmp_path: Path) -> None:
    found = await check(tmp_path, to_jsonl(make_line("a", model="unknown")))
    assert codes(found) == [("model_not_found", None, 1)]


async def test_all_lines_are_for_the_endpoint_of_the_batch(tmp_path: Path) -> None:
    found = await check(tmp_path, to_jsonl(make_line("a", url="/v1/embeddings")))
    assert codes(found) == [("mismatched_endpoint", "url", 1)]


async def test_a_batch_has_so_many_lines(tmp_path: Path) -> None:
    lines = to_jsonl(*(make_line(str(number)) for number in range(4)))
    assert codes(await check(tmp_path, lines, max_lines=4)) == []
    assert codes(await check(tmp_path, lines, max_lines=3)) == [("too_many_lines", None, 4)]


async def test_a_line_that_is_too_long_is_passed_over_to_its_end(tmp_path: Path) -> None:
    content = b"x" * 2500 + b"\n" + to_jsonl(make_line("a"))
    found = await check(tmp_path, content, max_line_bytes=1000)
    assert (found.n_lines, codes(found)) == (2, [("line_too_long", None, 1)])


async def test_a_line_of_the_longest_length_is_read(tmp_path: Path) -> None:
    line = json.dumps(make_line("a")).encode()
    for end in (b"", b"\n", b"\r\n"):
        assert codes(await check(tmp_path, line + end, max_line_bytes=len(line))) == []
        assert codes(await check(tmp_path, line + end, max_line_bytes=len(line) - 1)) == [("line_too_long", None, 1)]


async def test_no_more_faults_are_told_than_anybody_reads(tmp_path: Path) -> None:
    found = await check(tmp_path, b"no json\n" * 500)
    assert len(found.faults) == MAX_FAULTS


@pytest.mark.parametrize("answered", [set(), {1, 4}, {1, 2, 4}])
async def test_only_lines_without_a_reply_are_read_again(tmp_path: Path, answered: set[int]) -> None:
    path = tmp_path / "input.jsonl"
    path.write_bytes(b"a\nb\n\nc\n")
    async with opened(path, max_line_bytes=10) as reader:
        found = [(number, text) async for number, text in unanswered(reader, answered)]
    assert found == [(number, text) for number, text in ((1, b"a"), (2, b"b"), (4, b"c")) if number not in answered]
