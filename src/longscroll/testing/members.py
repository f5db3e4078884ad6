"""Where secrets stand in JSON: strings under a name that tells, found in bytes that need be no whole document.

Events of a stream, lines, and a reply that broke off are looked through as they are. JSON inside of a string tells
nothing. Knows no key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

Span = tuple[int, int]

_MARK = re.compile(rb'[{}]|"((?:[^"\\\n]|\\.)*)(?:"|\Z|(?=\\?\n)|\\\Z)(\s*:)?')
_TELLS = re.compile(
    rb"(?i)[\w-]*(api[-_]?key|access[-_]?key|private[-_]?key|secret|secret[-_]?key|password|authorization|signature)"
    rb"|([\w-]*(access|refresh|id|session|security|auth|api)[-_]?)?token"
)


class _Object(Struct):
    """A JSON object whose end has not come yet."""

    names: set[bytes]
    values: list[tuple[bytes, Span]]  # those that are strings
    name: bytes | None = None  # whose value comes next
    value_at: int = 0  # where it would begin

    def secrets(self) -> Iterator[Span]:
        """Yield the strings that are secrets among these names."""
        is_new_key = b"redacted_value" in self.names
        is_word = b"logprob" in self.names  # of an answer, with its probability
        for name, span in self.values:
            if (name == b"value" and is_new_key) or (_TELLS.fullmatch(name) and not (name == b"token" and is_word)):
                yield span


def secret_members(data: bytes) -> list[Span]:
    """Return where in ``data`` the values of secret members stand, without their quotes, in order."""
    found: list[Span] = []
    still_open = [_Object(set(), [])]  # the bytes may begin, and end, in the middle of an object
    for mark in _MARK.finditer(data):
        if mark[0] == b"{":
            still_open.append(_Object(set(), []))
        elif mark[0] == b"}":
            found += still_open.pop().secrets()
            still_open = still_open or [_Object(set(), [])]
        else:
            _add(still_open[-1], data, mark)
    return sorted([*found, *(span for one in still_open for span in one.secrets())])


def _add(one: _Object, data: bytes, mark: re.Match[bytes]) -> None:
    """Take in a string: a name, or the value of the name before it, or neither."""
    if mark[2] is not None:
        one.name, one.value_at = mark[1], mark.end()
        one.names.add(mark[1])
    elif one.name is not None and not data[one.value_at : mark.start()].strip():
        one.values.append((one.name, mark.span(1)))
        one.name = None
