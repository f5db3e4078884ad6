"""Server-sent events from raw bytes, whatever the chunk edges. Knows no JSON and no model server.

Follows the parsing rules of the HTML standard (section "Server-sent events"): lines end in CR, LF or CRLF, several
``data`` lines join with LF, comments and unknown fields are skipped. One leniency: an event at the very end of the
stream counts without its blank line, because some servers close right after the last brace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from longscroll.errors import EngineFailed

MAX_EVENT_BYTES = 4 << 20
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventParser:
    """Bytes in, the ``data`` of each finished event out. One per response."""

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._line: list[bytes] = []  # the unfinished line, in the pieces it came in
        self._data: list[bytes] = []  # the data lines of the unfinished event
        self._n_line = 0  # bytes in each of the two
        self._n_data = 0
        self._ended_in_cr = False
        self._is_first_line = True

    def feed(self, block: bytes) -> Iterator[bytes]:
        """Take the next bytes; yield the data of every event that they finish.

        Raises:
            EngineFailed: one event is longer than ``max_event_bytes``.
        """
        if self._is_usual(block):
            for event in block[:-2].split(b"\n\n"):
                if event.startswith(b"data: ") and b"\n" not in event:
                    yield event[6:]
                else:
                    yield from self._feed(event + b"\n\n")
        else:
            yield from self._feed(block)

    def _is_usual(self, block: bytes) -> bool:
        """Whether a block is whole events, as most are, with line ends that need no search."""
        return (
            block.endswith(b"\n\n")
            and b"\r" not in block
            and len(block) <= self._max_event_bytes
            and not (self._line or self._data or self._ended_in_cr or self._is_first_line)
        )

    def _feed(self, block: bytes) -> Iterator[bytes]:
        if self._ended_in_cr and block.startswith(b"\n"):
            block = block[1:]
            self._ended_in_cr = False
        if not block:
            return
        self._ended_in_cr = block.endswith(b"\r")
        *lines, rest = _LINE_END.split(block)
        if lines:
            lines[0] = self._whole_line(lines[0])
        for line in lines:
            if line:
                self._take_line(line)
            elif self._data:
                yield self._take_event()
        self._hold(rest)

    def close(self) -> Iterator[bytes]:
        """Yield the data of an event that the end of the stream cut off before its blank line."""
        self._take_line(self._whole_line(b""))
        if self._data:
            yield self._take_event()

    def _hold(self, rest: bytes) -> None:
        if rest:
            self._line.append(rest)
            self._n_line += len(rest)
            self._check_size()

    def _whole_line(self, end: bytes) -> bytes:
        line = b"".join((*self._line, end))
        self._line.clear()
        self._n_line = 0
        if self._is_first_line:
            self._is_first_line = False
            return line.removeprefix(_BYTE_ORDER_MARK)
        return line

    def _take_line(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._n_data += len(value)
            self._check_size()

    def _take_event(self) -> bytes:
        data = b"\n".join(self._data)
        self._data.clear()
        self._n_data = 0
        return data

    def _check_size(self) -> None:
        if self._n_line + self._n_data > self._max_event_bytes:
            raise EngineFailed(f"The model server sent an event of more than {self._max_event_bytes} bytes.")
