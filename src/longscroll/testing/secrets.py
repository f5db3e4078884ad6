"""What must not be kept of an exchange: keys, cookies and the names of workspaces, wherever they stand.

A secret is learned where it has its place, in a header or a query, and from then on removed everywhere: in requests by
a word, in replies by as many letters as it had, so that every byte after it stays where it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from urllib.parse import parse_qsl, quote

REMOVED = "REMOVED"
SHORTEST = 6
"""A shorter value is left where it stands inside a body: it would be found in every other word."""

_NAME = re.compile(
    r"(?i)auth|cookie|credential|secret|signature|password|workspace|api[-_]?key|^key$|^token$|access.?token"
)

RawHeaders = Iterable[tuple[bytes, bytes]]


def is_secret_name(name: str) -> bool:
    """Whether a header, query parameter or form field of that name carries a secret."""
    return _NAME.search(name) is not None


class Secrets:
    """The secrets that were seen so far."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def learn(self, headers: RawHeaders, query: bytes = b"") -> None:
        """Take the secrets out of the headers and the query of a request, or out of the headers of a reply."""
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        pairs += parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        for name, value in pairs:
            if is_secret_name(name):
                self._known |= {value.strip(), *re.split(r"[\s;,=]+", value)}
        self._known = {secret for secret in self._known if len(secret) >= SHORTEST and secret.lower() != "bearer"}

    def removed_text(self, text: str) -> str:
        """Return a text of a request without secrets."""
        return self.removed(text.encode()).decode()

    def removed(self, data: bytes) -> bytes:
        """Return bytes of a request without secrets."""
        for form in self._forms():
            data = data.replace(form, REMOVED.encode())
        return data

    def masked(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Return the pieces of a reply, none a byte longer or shorter; a secret may stand across two of them."""
        data = b"".join(pieces)
        for form in self._forms():
            data = data.replace(form, b"x" * len(form))
        ends = [0]
        for piece in pieces:
            ends.append(ends[-1] + len(piece))
        return [data[start:stop] for start, stop in pairwise(ends)]

    def _forms(self) -> list[bytes]:
        """Return every way in which a secret may be written, the longest first."""
        forms = {form for secret in self._known for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])}
        return sorted((form.encode() for form in forms), key=len, reverse=True)
