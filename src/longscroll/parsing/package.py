"""Office packages: members of a ZIP read in bounded blocks, XML parsed without entities, network or deep trees.

Owns the limits that stand between a bomb and memory. Knows no vocabulary of any Office format.
"""

from __future__ import annotations

import lzma
import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, Literal, Self

from lxml import etree

from longscroll.errors import DocumentError, DocumentErrorKind

MAX_MEMBER_BYTES = 400 << 20
MAX_PACKAGE_BYTES = 1 << 30
MAX_RATIO = 200  # inflated to deflated, watched from FREE_BYTES on
FREE_BYTES = 50 << 20
MAX_MEMBERS = 100_000
DAMAGED = "The document is damaged and cannot be read."
TOO_LARGE = "The document unpacks to more than can be read."
_RELATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"

Event = tuple[Literal["start", "end"], etree._Element]  # noqa: SLF001 - lxml has no public name for it


class Member:
    """One member of a package as a readable stream that counts what it inflates."""

    def __init__(self, package: Package, info: zipfile.ZipInfo, stream: IO[bytes]) -> None:
        self._package = package
        self._stream = stream
        self._info = info
        self.size_bytes = info.file_size  # as declared
        self.n_read = 0

    def read(self, n_bytes: int = -1) -> bytes:
        """Read up to ``n_bytes``.

        Raises:
            DocumentError: more comes out than any honest document has, or the member is damaged.
        """
        with _damage_as_document_error():
            data = self._stream.read(n_bytes if 0 <= n_bytes <= FREE_BYTES else FREE_BYTES)
        self.n_read += len(data)
        self._package.n_read += len(data)
        if _is_too_much(self.n_read, self._info) or self._package.n_read > MAX_PACKAGE_BYTES:
            raise DocumentError(DocumentErrorKind.TOO_LARGE, TOO_LARGE)
        return data


class Package:
    """An open Office package; a context manager. All of it raises DocumentError for what is damaged."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.n_read = 0

    def __enter__(self) -> Self:
        with _damage_as_document_error():
            self._zip = zipfile.ZipFile(self._stream)
        if len(self._zip.filelist) > MAX_MEMBERS:
            raise DocumentError(DocumentErrorKind.TOO_LARGE, TOO_LARGE)
        self.names = frozenset(self._zip.namelist())
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @contextmanager
    def open(self, name: str) -> Iterator[Member]:
        """Open a member that is in ``names``."""
        info = self._zip.getinfo(name)
        if info.flag_bits & 1:
            raise DocumentError(
                DocumentErrorKind.ENCRYPTED,
                "This document needs a password to be read; upload a copy that is not protected.",
            )
        if _is_too_much(info.file_size, info):
            raise DocumentError(DocumentErrorKind.TOO_LARGE, TOO_LARGE)
        with _damage_as_document_error():
            stream = self._zip.open(info)
        with stream:
            yield Member(self, info, stream)

    def events(self, member: Member, *, tags: tuple[str, ...], both: bool = True) -> Iterator[Event]:
        """Yield the starts (unless not ``both``) and ends of elements with these tags, in document order."""
        events = etree.iterparse(
            member,
            events=("start", "end") if both else ("end",),
            tag=tags,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
        try:
            yield from events
        except etree.XMLSyntaxError as error:
            raise DocumentError(DocumentErrorKind.CORRUPT, DAMAGED) from error

    def relations(self, part: str) -> dict[str, list[str]]:
        """Return the parts that ``part`` refers to (the package itself for ``""``) by the last word of their type."""
        folder, name = posixpath.split(part)
        path = posixpath.join(folder, "_rels", f"{name}.rels")
        found: dict[str, list[str]] = {}
        if path not in self.names:
            return found
        with self.open(path) as member:
            for _, relation in self.events(member, tags=(_RELATION,), both=False):
                kind = relation.get("Type", "").rsplit("/", 1)[-1]
                target = posixpath.normpath(posixpath.join("/", folder, relation.get("Target", ""))).lstrip("/")
                if relation.get("TargetMode") != "External" and target in self.names:
                    found.setdefault(kind, []).append(target)
        return found


def _is_too_much(n_bytes: int, info: zipfile.ZipInfo) -> bool:
    return n_bytes > MAX_MEMBER_BYTES or (n_bytes > FREE_BYTES and n_bytes > MAX_RATIO * info.compress_size)


def forget(element: etree._Element) -> None:
    """Free an element that was read and everything before it among its siblings; the tree stays small."""
    element.clear()
    parent = element.getparent()
    if parent is not None:
        while element.getprevious() is not None:
            del parent[0]


@contextmanager
def _damage_as_document_error() -> Iterator[None]:
    """Raise DocumentError for whatever zipfile and what it inflates with say about damaged bytes."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        NotImplementedError,  # a way of packing that zipfile does not know
        RuntimeError,  # a member that claims to be encrypted after all
        ValueError,
        OverflowError,
    ) as error:
        raise DocumentError(DocumentErrorKind.CORRUPT, DAMAGED) from error
