from __future__ import annotations

import struct
import zlib
from io import BytesIO

import pytest

from longscroll.documents.container import ALIGNMENT, TRAILER_BYTES, Container, ContainerWriter
from longscroll.errors import ArtifactError


def container_bytes(**sections: bytes) -> bytearray:
    out = BytesIO()
    writer = ContainerWriter(out)
    for name, data in sections.items():
        writer.add(name, data)
    writer.finish()
    return bytearray(out.getvalue())


def sealed_again(data: bytearray, table: int) -> None:
    """Make the checksums of a changed table right."""
    end = len(data) - TRAILER_BYTES
    struct.pack_into("<I", data, end + 24, zlib.crc32(data[table:end]))
    struct.pack_into("<I", data, end + 28, zlib.crc32(data[end : end + 28]))


def opened(data: bytes | bytearray) -> Container:
    return Container(memoryview(data))


def test_sections_come_back_as_they_were_written() -> None:
    container = opened(container_bytes(text=b"abc", empty=b"", numbers=bytes(1000)))

    assert [bytes(container.section(name)) for name in ("text", "empty", "numbers")] == [b"abc", b"", bytes(1000)]


def test_a_section_may_be_written_in_parts() -> None:
    out = BytesIO()
    writer = ContainerWriter(out)
    with writer.section("text") as section:
        section.write(b"ab")
        section.write(b"c")
    writer.finish()

    assert bytes(opened(out.getvalue()).section("text")) == b"abc"


def test_every_section_begins_at_a_multiple_of_the_alignment() -> None:
    data = container_bytes(a=b"x", b=b"y" * 65, c=b"z")

    assert [data.index(mark) % ALIGNMENT for mark in (b"x", b"y", b"z")] == [0, 0, 0]


def test_containers_can_stand_one_after_the_other_in_one_file() -> None:
    first, second = container_bytes(text=b"first"), container_bytes(text=b"second", more=b"x")
    start = len(first)

    container = opened((first + second)[start:])

    assert (start % ALIGNMENT, bytes(container.section("text"))) == (0, b"second")


def test_a_name_that_is_no_text_is_a_section_that_nobody_knows() -> None:
    data = container_bytes(text=b"abc", future=b"")
    entry = data.index(b"future\0")
    data[entry] = 0xFF
    sealed_again(data, entry - 64)

    assert ("text" in opened(data), "future" in opened(data)) == (True, False)


def test_the_writer_says_how_long_the_file_is() -> None:
    out = BytesIO()

    assert ContainerWriter(out).finish() == len(out.getvalue())


def test_a_missing_section_is_named() -> None:
    with pytest.raises(ArtifactError, match="section pages is missing"):
        opened(container_bytes(text=b"abc")).section("pages")


def test_a_damaged_section_is_found_when_it_is_read() -> None:
    data = container_bytes(good=b"good", text=b"damaged")
    data[data.index(b"damaged")] ^= 1
    container = opened(data)

    assert bytes(container.section("good")) == b"good"
    with pytest.raises(ArtifactError, match="section text does not match its checksum"):
        container.section("text")


def test_verify_reads_sections_that_nobody_knows() -> None:
    data = container_bytes(text=b"abc", future=b"unknown")
    data[data.index(b"unknown")] ^= 1

    with pytest.raises(ArtifactError, match="section future"):
        opened(data).verify()


@pytest.mark.parametrize("n_bytes", [0, 7, 64, 127, 200])
def test_a_file_that_is_cut_short_is_refused(n_bytes: int) -> None:
    with pytest.raises(ArtifactError):
        opened(container_bytes(text=bytes(100))[:n_bytes])


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(ArtifactError, match="not a stored document"):
        opened(b"PK\x03\x04" + bytes(500))


def test_a_newer_format_is_refused_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longscroll.documents.container.FORMAT_VERSION", 9)
    data = container_bytes(text=b"abc")
    monkeypatch.undo()

    with pytest.raises(ArtifactError, match="format version 9; this program reads 1"):
        opened(data)
