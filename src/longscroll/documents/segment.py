"""The search segment: for each term, in which passages it stands and how often, as sorted arrays.

Owns the layout of postings and how they are built. Knows no score and no question: ranking adds up the statistics of
all segments of a conversation first. The passages of a segment are numbered from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longscroll.documents.terms import TERMS_VERSION, Lexer
from longscroll.errors import ArtifactError

__all__ = ["MAX_PASSAGES", "TERMS_VERSION", "Segment", "build_segment"]

MAX_PASSAGES = 1 << 16
_BLOCK_CHARS = 1 << 18  # of text at a time: the arrays stay in the processor's cache
_DOC_BITS = np.uint64(16)
_LAYOUT = (("keys", "<u8"), ("indptr", "<u4"), ("doc", "<u2"), ("tf", "u1"), ("len", "<u2"))


class Segment(NamedTuple):
    """Postings of ``len(lengths)`` passages; term ``keys[i]`` stands in ``docs[indptr[i]:indptr[i + 1]]``."""

    first_passage: int  # of the document, where this segment begins
    keys: NDArray[np.uint64]  # ascending
    indptr: NDArray[np.uint32]
    docs: NDArray[np.uint16]
    tfs: NDArray[np.uint8]  # 255 stands for all above
    lengths: NDArray[np.uint16]  # terms of each passage

    def to_sections(self, prefix: str) -> list[tuple[str, bytes]]:
        """Return the segment as named sections of an artifact."""
        return [
            (f"{prefix}.{name}", np.ascontiguousarray(array, dtype=dtype).tobytes())
            for (name, dtype), array in zip(_LAYOUT, self[1:], strict=True)
        ]

    @classmethod
    def from_sections(
        cls, section: Callable[[str], memoryview], prefix: str, first_passage: int, n_passages: int
    ) -> Segment:
        """Read a segment in place.

        Raises:
            ArtifactError: its sections do not fit together.
        """
        try:
            arrays = [np.frombuffer(section(f"{prefix}.{name}"), dtype=dtype) for name, dtype in _LAYOUT]
        except ValueError as error:
            raise ArtifactError(f"The stored document is damaged: {prefix} has a broken array.") from error
        keys, indptr, docs, tfs, lengths = arrays
        if (len(indptr), len(tfs), len(lengths)) != (len(keys) + 1, len(docs), n_passages):
            raise ArtifactError(f"The stored document is damaged: the arrays of {prefix} do not fit together.")
        return cls(first_passage, keys, indptr, docs, tfs, lengths)


def build_segment(texts: Sequence[str], lexer: Lexer, *, first_passage: int = 0) -> Segment:
    """Index passages, at most MAX_PASSAGES of them; takes some 20 bytes of memory for each term."""
    assert len(texts) <= MAX_PASSAGES
    postings, lengths, start = [], [], 0
    for stop in _block_stops(texts):
        terms = lexer.terms(texts[start:stop])
        postings.append((terms.keys << _DOC_BITS) | (terms.texts + start).astype(np.uint64))
        lengths.append(terms.lengths)
        start = stop
    entries = np.concatenate(postings) if postings else np.zeros(0, dtype=np.uint64)
    entries.sort()
    keys, indptr, docs, tfs = _postings(entries)
    all_lengths = np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.intp)
    return Segment(first_passage, keys, indptr, docs, tfs, np.minimum(all_lengths, 0xFFFF).astype(np.uint16))


def _postings(
    entries: NDArray[np.uint64],
) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.uint16], NDArray[np.uint8]]:
    if not len(entries):
        return (np.zeros(0, np.uint64), np.zeros(1, np.uint32), np.zeros(0, np.uint16), np.zeros(0, np.uint8))
    first = np.flatnonzero(np.concatenate(([True], entries[1:] != entries[:-1])))
    counts = np.diff(first, append=len(entries))
    distinct = entries[first]
    terms = distinct >> _DOC_BITS
    begins = np.flatnonzero(np.concatenate(([True], terms[1:] != terms[:-1])))
    indptr = np.append(begins, len(distinct)).astype(np.uint32)
    return terms[begins], indptr, distinct.astype(np.uint16), np.minimum(counts, 255).astype(np.uint8)


def _block_stops(texts: Sequence[str]) -> list[int]:
    stops, n_chars = [], 0
    for i, text in enumerate(texts, 1):
        n_chars += len(text)
        if n_chars >= _BLOCK_CHARS or i == len(texts):
            stops.append(i)
            n_chars = 0
    return stops
