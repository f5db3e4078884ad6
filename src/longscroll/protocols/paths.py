"""From a path to the rows of the route table. Knows no handler and no surface."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from longscroll.protocols.exchange import AsgiScope, Route

VERSION = "v1"
CLIENT_ROOTS = ("compatible-mode", "api")
"""Before the version in base URLs that clients are given; administrators write whole paths."""

Segments = tuple[str, ...]


def path_segments(scope: AsgiScope) -> Segments:
    """Return the decoded segments of a request's path; doubled and trailing slashes count for nothing.

    Split before it is decoded, so an escaped slash stays inside its segment.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return tuple(unquote_to_bytes(segment).decode("utf-8", "replace") for segment in raw.split(b"/") if segment)


class RouteTable:
    """The rows by path: literal paths in one look-up, paths with parameters by comparison."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._literal: dict[Segments, dict[str, Route]] = {}
        self._patterns: dict[Segments, dict[str, Route]] = {}
        for route in routes:
            segments = tuple(segment for segment in route.path.split("/") if segment)
            rows = self._patterns if "{" in route.path else self._literal
            rows.setdefault(segments, {})[route.method] = route

    def find(self, segments: Segments) -> tuple[dict[str, Route], dict[str, str]] | None:
        """Return the rows of a path by method, and the values of its parameters; None for an unknown path.

        A base URL that was joined to a path without a slash, as by the command of openai 1.0.0, is understood.
        """
        return self._find(segments) or self._find(_with_missing_slash(segments))

    def _find(self, segments: Segments) -> tuple[dict[str, Route], dict[str, str]] | None:
        methods = self._literal.get(segments)
        if methods is not None:
            return methods, {}
        for pattern, methods in self._patterns.items():
            arguments = _match(pattern, segments)
            if arguments is not None:
                return methods, arguments
        return None


def _with_missing_slash(segments: Segments) -> Segments:
    """Return ``…/v1chat/…`` as ``…/v1/chat/…``; every base URL ends in the version."""
    for position, segment in enumerate(segments[:2]):
        if segment.startswith(VERSION) and segment != VERSION and (position == 0 or segments[0] in CLIENT_ROOTS):
            return (*segments[:position], VERSION, segment.removeprefix(VERSION), *segments[position + 1 :])
    return segments


def _match(pattern: Segments, segments: Segments) -> dict[str, str] | None:
    arguments: dict[str, str] = {}
    for position, expected in enumerate(pattern):
        if expected.endswith("...}"):
            rest = segments[position:]
            return {**arguments, expected[1:-4]: "/".join(rest)} if rest else None
        if position >= len(segments):
            return None
        if expected.startswith("{"):
            arguments[expected[1:-1]] = segments[position]
        elif expected != segments[position]:
            return None
    return arguments if len(pattern) == len(segments) else None
