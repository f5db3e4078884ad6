"""Golden exchanges: one file per request and its exact response.

    # where the bytes come from
    POST /path HTTP/1.1
    Header: value

    the body
    --- 200
    header: value that must be there

    the exact body
    --- end

The bodies are the bytes between the empty line and the line break before ``---``. ``{file_id}`` in a response stands
for an id. Lines of a form end in CR LF; ``Host`` and ``Content-Length`` are added.
"""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

from factories.wire import Reply

FOLDER = Path(__file__).parents[1] / "wire" / "golden"

_FORM = re.compile(
    rb"(?P<source># .+?)\n(?P<head>[A-Z]+ .+?)\n\n(?P<body>.*)\n--- (?P<status>\d+)\n(?P<headers>.*?)\n\n"
    rb"(?P<reply>.*)\n--- end\n",
    re.DOTALL,
)


class Golden(Struct, frozen=True):
    """One exchange."""

    request: bytes
    expected: Reply  # only the headers that matter

    def matches(self, reply: Reply) -> bool:
        """Whether a response is the expected one, ids apart."""
        body = re.escape(self.expected.body).replace(re.escape(b"{file_id}"), rb"file-fe-[0-9a-f]{24}")
        return (
            reply.status == self.expected.status
            and self.expected.headers.items() <= reply.headers.items()
            and re.fullmatch(body, reply.body) is not None
        )


def read_golden(name: str) -> Golden:
    """Read the exchange of that name."""
    match = _FORM.fullmatch((FOLDER / f"{name}.txt").read_bytes())
    assert match is not None, f"{name} is not a golden exchange"
    head, body = match["head"], match["body"]
    if b"multipart/form-data" in head:
        body = body.replace(b"\n", b"\r\n")
    head += b"\nHost: test\nContent-Length: %d" % len(body)
    headers = dict(line.split(": ", 1) for line in match["headers"].decode().split("\n"))
    expected = Reply(int(match["status"]), headers, match["reply"])
    return Golden(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body, expected)
