"""What must not be kept of an exchange: keys, cookies and the names of workspaces, wherever they stand.

A secret is learned where it has its place, in a header, a query or a member of JSON, and from then on removed
everywhere, also in base64: in requests by a word, in replies by as many letters as it had, so that every byte after it
stays where it was. What looks like a key is one.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from urllib.parse import parse_qsl, quote

from longscroll.testing.members import secret_members

REMOVED = "REMOVED"
SHORTEST = 6
"""A shorter value is left where it stands inside a body: it would be found in every other word."""
SHORTEST_IN_BODY = 16
"""A shorter member of a body, cookie or name of a workspace is removed in its place only: it may be a word."""

_NAME = re.compile(
    r"(?i)authorization|(?:^|[-_])auth(?:[-_]|$)|cookie|credential|secret|signature|password|workspace|api[-_]?key|^key$|^token$|access.?token"
)
_KEY_NAME = re.compile(r"(?i)authorization|api[-_]?key|^key$|^token$|access.?token")
"""Names of which also a short value is a key, wherever it stands."""
_LOOKS_LIKE_A_KEY = re.compile(
    rb"(?:(?<!\w)|(?<=\\[bfnrt]))sk-[\w-]{16,}"  # also behind the white space of a JSON string
    rb"|(?<=Bearer )[\w.~+/=-]{16,}"
    rb"|x{16,}"  # what ``Secrets.masked`` has made of a key in a recorded reply, as a client gives it back
)

RawHeaders = Iterable[tuple[bytes, bytes]]


def is_secret_name(name: str) -> bool:
    """Whether a header, query parameter or form field of that name carries a secret."""
    return _NAME.search(name) is not None


class Secrets:
    """The secrets that were seen so far."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._forms: list[bytes] = []  # every way in which one may be written, the longest first

    def learn(self, headers: RawHeaders, query: bytes = b"") -> None:
        """Take the secrets out of the headers and the query of a request, or out of the headers of a reply."""
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        pairs += parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        for name, value in pairs:
            if is_secret_name(name):
                shortest = SHORTEST if _KEY_NAME.search(name) else SHORTEST_IN_BODY
                parts = _parts(name.lower(), value)
                self._add({part for part in parts if len(part) >= shortest and part.lower() != "bearer"})

    def learn_body(self, body: bytes) -> None:
        """Take the secrets out of the body of a request or a reply."""
        members = {body[start:stop].decode(errors="replace") for start, stop in secret_members(body)}
        self._add({value for value in members if len(value) >= SHORTEST_IN_BODY and " " not in value})
        self._add({key.decode() for key in _LOOKS_LIKE_A_KEY.findall(body)})

    def _add(self, found: set[str]) -> None:
        if not found <= self._known:
            self._known |= found
            self._forms = sorted({form for secret in self._known for form in _forms(secret)}, key=len, reverse=True)

    def removed_text(self, text: str) -> str:
        """Return a text of a request without secrets."""
        return self.removed(text.encode()).decode()

    def removed(self, data: bytes) -> bytes:
        """Return bytes of a request without secrets."""
        return self._without(data, lambda _: REMOVED.encode())

    def masked(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Return the pieces of a reply, none a byte longer or shorter; a secret may stand across two of them."""
        data = self._without(b"".join(pieces), lambda secret: b"x" * len(secret))
        ends = [0]
        for piece in pieces:
            ends.append(ends[-1] + len(piece))
        return [data[start:stop] for start, stop in pairwise(ends)]

    def _without(self, data: bytes, instead: Callable[[bytes], bytes]) -> bytes:
        for start, stop in reversed(secret_members(data)):
            data = data[:start] + instead(data[start:stop]) + data[stop:]
        data = _LOOKS_LIKE_A_KEY.sub(lambda key: instead(key[0]), data)
        for form in self._forms:
            data = data.replace(form, instead(form))
        return data


def _parts(name: str, value: str) -> Iterable[str]:
    """Return what may stand elsewhere of a value in a header or a query; of cookies not their names and attributes."""
    if name == "set-cookie":
        value, _, _attributes = value.partition(";")
    if name.endswith("cookie"):
        return [pair.partition("=")[2].strip() for pair in value.split(";")]
    whole = value.strip()
    return whole.partition(" ")[2] or whole, *re.split(r"[\s;,=]+", whole)  # without the scheme, which may stay


def _forms(secret: str) -> Iterator[bytes]:
    """Yield a secret as it is, in an address, in JSON and in base64, alone or among other bytes."""
    yield from (form.encode() for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]))
    data = secret.encode()
    for encode in (b64encode, urlsafe_b64encode):
        yield from (encode(data), encode(data).rstrip(b"="))
        for n_before in range(3):  # letters in which other bytes have a part are left
            whole = encode(bytes(n_before) + data)
            yield whole[(8 * n_before + 5) // 6 : 8 * (n_before + len(data)) // 6]
