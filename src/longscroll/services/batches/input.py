"""The input of a batch: lines out of a file, a block at a time, and what can be wrong with them.

Owns the order of checks and the codes of faults. Reads in a thread; memory is bounded by one block, or by one line
where that is longer. Knows no wire format.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from longscroll.errors import (
    InvalidBody,
    InvalidUrl,
    LongscrollError,
    MissingModel,
    ModelNotFound,
    ModelNotSupported,
    ModelUnavailable,
)
from longscroll.services.batches.base import Line, Lines
from longscroll.storage.batches import BatchFault

BLOCK_BYTES = 256 << 10
MAX_FAULTS = 100
"""How many are told of one batch; who mends those finds the rest."""

INPUT_DELETED = BatchFault(
    code="input_file_deleted", message="The input file was deleted.", param="input_file_id", line=None
)

_BOM = b"\xef\xbb\xbf"
_CODES = (
    (InvalidBody, "invalid_json_line"),
    (InvalidUrl, "url_not_found"),
    (MissingModel, "model_not_found"),
    (ModelNotFound, "model_not_found"),
    (ModelNotSupported, "model_not_supported"),
    (ModelUnavailable, "model_unavailable"),
)
"""The first that fits; any other error of a line is ``invalid_parameter_error``."""

NumberedText = tuple[int, bytes]


class LineReader:
    """Reads the lines of an open file; blank ones are passed over and count."""

    def __init__(self, file: BinaryIO, *, max_line_bytes: int) -> None:
        self._file = file
        self._max_line_bytes = max_line_bytes
        self._number = 0

    def next_block(self) -> list[NumberedText]:
        """Return the next lines with their numbers, none at the end; a line that is too long has no text."""
        block: list[NumberedText] = []
        n_bytes = 0
        while n_bytes < BLOCK_BYTES and (line := self._next_line()) is not None:
            block.append((self._number, line))
            n_bytes += len(line) + 1
        return block

    def _next_line(self) -> bytes | None:
        while text := self._file.readline(self._max_line_bytes + len(b"\r\n")):
            self._number += 1
            if len(text.rstrip(b"\r\n")) > self._max_line_bytes:
                self._skip_rest(text)
                return b""
            text = text.removeprefix(_BOM).strip() if self._number == 1 else text.strip()
            if text:
                return text
        return None

    def _skip_rest(self, text: bytes) -> None:
        while text and not text.endswith(b"\n"):
            text = self._file.readline(self._max_line_bytes)


@asynccontextmanager
async def opened(path: Path, *, max_line_bytes: int) -> AsyncIterator[LineReader]:
    """Open an input; it can be read to its end, even when it is deleted meanwhile.

    Raises:
        FileNotFoundError: it is gone.
    """
    file = await asyncio.to_thread(path.open, "rb")
    try:
        yield LineReader(file, max_line_bytes=max_line_bytes)
    finally:
        await asyncio.to_thread(file.close)


async def unanswered(reader: LineReader, answered: set[int]) -> AsyncGenerator[NumberedText, None]:
    """Yield the lines that have no reply yet, in order."""
    while block := await asyncio.to_thread(reader.next_block):
        for number, text in block:
            if number not in answered:
                yield number, text


class InputCheck:
    """The check of one input: every line alone, then against those before it."""

    def __init__(self, lines: Lines, *, endpoint: str, max_lines: int) -> None:
        self.faults: list[BatchFault] = []
        self.n_lines = 0
        self._lines = lines
        self._endpoint = endpoint
        self._max_lines = max_lines
        self._model: str | None = None  # of the first line
        self._ids: set[bytes] = set()

    async def run(self, reader: LineReader) -> None:
        """Check all lines, or as many as it takes to find too many faults."""
        while await asyncio.to_thread(self._check_block, reader):
            pass
        if not self.n_lines and not self.faults:
            self.faults.append(BatchFault(code="empty_file", message="The input file has no lines."))

    def _check_block(self, reader: LineReader) -> bool:
        block = reader.next_block()
        for number, text in block:
            self.n_lines += 1
            if self.n_lines > self._max_lines:
                message = f"A batch has at most {self._max_lines} lines."
                self.faults.append(BatchFault(code="too_many_lines", message=message, line=number))
                return False
            self.faults += self._faults_of(number, text)
            if len(self.faults) >= MAX_FAULTS:
                return False
        return bool(block)

    def _faults_of(self, number: int, text: bytes) -> Iterator[BatchFault]:
        if not text:
            yield BatchFault(code="line_too_long", message="The line is too long.", line=number)
            return
        try:
            line = self._lines.read(text)
            if self._model is None:
                self._lines.check_model(line)
        except LongscrollError as error:
            param = getattr(error, "param", None)
            yield BatchFault(code=code_of(error), message=str(error), param=param, line=number)
            return
        yield from self._misfits(number, line)

    def _misfits(self, number: int, line: Line) -> Iterator[BatchFault]:
        """Tell what a line has that its batch, or a line before it, does not let it have."""
        custom_id = hashlib.blake2b(line.custom_id.encode(), digest_size=16).digest()
        if custom_id in self._ids:
            message = f"The custom_id {line.custom_id[:80]!r} stands on an earlier line too."
            yield BatchFault(code="duplicate_custom_id", message=message, param="custom_id", line=number)
        self._ids.add(custom_id)
        if line.endpoint != self._endpoint:
            message = f"The batch is for {self._endpoint}."
            yield BatchFault(code="mismatched_endpoint", message=message, param="url", line=number)
        self._model = self._model or line.model
        if line.model != self._model:
            message = f"All lines of a batch must name one model; the first names {self._model}."
            yield BatchFault(code="mismatched_model", message=message, param="model", line=number)


def code_of(error: LongscrollError) -> str:
    """Return the code of the fault that an error of a line is."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), "invalid_parameter_error")
