"""Plain text and Markdown: encodings, blocks, line ends, headings."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import pytest

from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import Heading
from longscroll.parsing.text import BLOCK_BYTES, find_headings, parse_markdown, parse_text

Opened = Callable[[bytes], BinaryIO]

CHINESE = "长卷把很长的文件读给模型听，一页也不丢。\n第二行说的是另一件事情，比如数据库和缓存。\n"


def text_of(stream: BinaryIO) -> str:
    return "".join(page.text for page in parse_text(stream, "a.txt"))


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "utf-16"])
def test_text_comes_back_as_it_was_written(opened: Opened, codec: str) -> None:
    assert text_of(opened((CHINESE * 500).encode(codec))) == CHINESE * 500


def test_a_character_that_the_end_of_the_file_cuts_is_left_out(opened: Opened) -> None:
    assert text_of(opened("数据库".encode()[:-1])) == "数据"


def test_a_damaged_byte_does_not_change_the_encoding_of_the_rest(opened: Opened) -> None:
    first, rest = CHINESE.encode(), (CHINESE * 200).encode()
    assert text_of(opened(first + b"\xff" + rest)) == CHINESE + "\ufffd" + CHINESE * 200


def test_legacy_text_after_a_long_plain_beginning_is_found(opened: Opened) -> None:
    assert text_of(opened(b"plain\n" * 20_000 + CHINESE.encode("gbk") * 40)).endswith(CHINESE)


def test_line_ends_nul_and_marks_are_made_plain(opened: Opened) -> None:
    assert text_of(opened(b"a\r\nb\rc\0d\x0ce\xef\xbb\xbff\n")) == "a\nb\ncd\nef\n"


def test_a_text_about_the_replacement_character_is_a_text(opened: Opened) -> None:
    assert text_of(opened("\ufffd\n".encode() * 9)) == "\ufffd\n" * 9


def test_bytes_in_no_encoding_are_refused_with_what_to_do(opened: Opened) -> None:
    with pytest.raises(DocumentError, match="save it as UTF-8") as caught:
        text_of(opened(bytes(range(0x80, 0x100)) * 50))
    assert caught.value.kind == DocumentErrorKind.CORRUPT


def test_a_large_text_comes_in_blocks_that_end_lines_and_say_how_far_they_are(opened: Opened) -> None:
    content = b"0123456789abcde\n" * (3 * BLOCK_BYTES // 16)
    pages = list(parse_text(opened(content), "a.txt"))
    assert [page.progress for page in pages] == [(n * BLOCK_BYTES, 3 * BLOCK_BYTES) for n in (1, 2, 3)]
    assert all(page.text.endswith("\n") for page in pages)
    assert "".join(page.text for page in pages).encode() == content


def test_a_line_that_never_ends_is_kept_in_one_piece_up_to_a_limit(opened: Opened) -> None:
    pages = list(parse_text(opened(b"x" * (3 * BLOCK_BYTES)), "a.txt"))
    assert [len(page.text) for page in pages] == [3 * BLOCK_BYTES]


def test_markdown_headings_stand_at_their_lines() -> None:
    text = "# One `code`\n\ntext\n\n## [Two](http://x) ##\nThree\n=====\nFour\n---\n"
    headings, fence = find_headings(text, "")
    assert headings == [
        Heading(0, 1, "One code"),
        Heading(text.index("## ["), 2, "Two"),
        Heading(text.index("Three"), 1, "Three"),
        Heading(text.index("Four"), 2, "Four"),
    ]
    assert fence == ""


@pytest.mark.parametrize("text", ["```\n# no\n```\n", "~~~sh\n# no\n~~~\n", "#no\n", "- item\n---\n", "| a |\n---\n"])
def test_what_only_looks_like_a_heading_is_none(text: str) -> None:
    assert find_headings(text, "") == ([], "")


def test_a_fence_stays_open_from_one_block_to_the_next() -> None:
    assert find_headings("````\n# no\n", "") == ([], "````")
    assert find_headings("```\n# no\n````\n# Yes\n", "````") == ([Heading(14, 1, "Yes")], "")


def test_markdown_pages_carry_their_headings(opened: Opened) -> None:
    (page,) = parse_markdown(opened("# 标题\n正文\n".encode()), "a.md")
    assert (page.number, page.text, page.headings) == (None, "# 标题\n正文\n", (Heading(0, 1, "标题"),))
