"""The byte container under an artifact: named, aligned, checksummed sections, written in one pass, read by mapping.

Owns the bytes: head, sections, table, trailer (docs/artifact-format.md). Knows nothing of what a section means. A
reader skips sections it does not know.
"""

from __future__ import annotations

import struct
import zlib
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from longscroll.errors import ArtifactError

MAGIC = b"LSCROLL\x1a"
FORMAT_VERSION = 1
ALIGNMENT = 64
_HEAD = struct.Struct("<8sI52x")
_ENTRY = struct.Struct("<40sQQII")
_END = struct.Struct("<QQIII")  # offset of the table, size of the file, number of sections, version, crc of the table
_SEAL = struct.Struct("<I24x8s")  # crc of the fields before, magic
TRAILER_BYTES = _END.size + _SEAL.size


class Section(NamedTuple):
    """Where a section lies and what its bytes add up to."""

    offset: int
    size: int
    crc: int


class ContainerWriter:
    """Writes sections one after the other; nothing is ever sought or rewritten, so any stream will do.

    A container's size is a multiple of ALIGNMENT and its places count from its own beginning, so several can stand one
    after the other in one file: each is read from its slice, aligned when the first is.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._sections: dict[str, Section] = {}
        self._position = 0
        self._write(_HEAD.pack(MAGIC, FORMAT_VERSION))

    def section(self, name: str) -> SectionWriter:
        """Open the next section; the one before must be closed."""
        self._align()
        return SectionWriter(self, name, self._position)

    def add(self, name: str, data: bytes | memoryview) -> None:
        """Write a whole section."""
        with self.section(name) as section:
            section.write(data)

    def finish(self) -> int:
        """Write table and trailer; return the size of the file."""
        self._align()
        table = b"".join(_ENTRY.pack(name.encode(), *section, 0) for name, section in self._sections.items())
        offset = self._position
        self._write(table)
        size = offset + len(table) + TRAILER_BYTES
        end = _END.pack(offset, size, len(self._sections), FORMAT_VERSION, zlib.crc32(table))
        self._write(end + _SEAL.pack(zlib.crc32(end), MAGIC))
        return self._position

    def _write(self, data: bytes | memoryview) -> None:
        self._out.write(data)
        self._position += len(data)

    def _align(self) -> None:
        self._write(bytes(-self._position % ALIGNMENT))

    def _close_section(self, name: str, section: Section) -> None:
        self._sections[name] = section


class SectionWriter:
    """One open section of a ContainerWriter; a context manager, for those that are written in one place."""

    def __init__(self, container: ContainerWriter, name: str, offset: int) -> None:
        self._container = container
        self._name = name
        self._offset = offset
        self._size = 0
        self._crc = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes to the section."""
        self._container._write(data)  # noqa: SLF001 (two halves of one writer)
        self._size += len(data)
        self._crc = zlib.crc32(data, self._crc)

    def close(self) -> None:
        """End the section; the next one may be opened."""
        self._container._close_section(self._name, Section(self._offset, self._size, self._crc))  # noqa: SLF001

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Container:
    """Reads a container in place. Structure is checked on opening, a section's bytes when they are first asked for."""

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        self._sections = _read_table(buffer)
        self._checked: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._sections

    def section(self, name: str) -> memoryview:
        """Return the bytes of a section, checked.

        Raises:
            ArtifactError: there is no such section, or its checksum is wrong.
        """
        data = self.unchecked(name)
        if name not in self._checked:
            if zlib.crc32(data) != self._sections[name].crc:
                raise ArtifactError(f"The stored document is damaged: section {name} does not match its checksum.")
            self._checked.add(name)
        return data

    def unchecked(self, name: str) -> memoryview:
        """Return the bytes of a section as they are: for the one section too long to be summed on every opening."""
        if name not in self._sections:
            raise ArtifactError(f"The stored document is incomplete: section {name} is missing.")
        offset, size, _ = self._sections[name]
        return self._buffer[offset : offset + size]

    def verify(self) -> None:
        """Check every byte of every section, known or not.

        Raises:
            ArtifactError: a checksum is wrong.
        """
        for name in self._sections:
            self.section(name)


def _read_table(buffer: memoryview) -> dict[str, Section]:
    if len(buffer) < _HEAD.size + TRAILER_BYTES or buffer[:8] != MAGIC:
        raise ArtifactError("This is not a stored document: it does not begin like one.")
    end, seal = buffer[-TRAILER_BYTES : -_SEAL.size], buffer[-_SEAL.size :]
    offset, size, n_sections, version, table_crc = _END.unpack(end)
    if _SEAL.unpack(seal) != (zlib.crc32(end), MAGIC) or size != len(buffer):
        raise ArtifactError("The stored document is cut short or damaged: its end is not where it should be.")
    if version != FORMAT_VERSION:
        raise ArtifactError(f"The stored document has format version {version}; this program reads {FORMAT_VERSION}.")
    table = buffer[offset : offset + n_sections * _ENTRY.size]
    if len(table) != n_sections * _ENTRY.size or zlib.crc32(table) != table_crc:
        raise ArtifactError("The stored document is damaged: its table of sections does not match its checksum.")
    return {
        name.rstrip(b"\0").decode(errors="replace"): Section(*place) for name, *place, _ in _ENTRY.iter_unpack(table)
    }
