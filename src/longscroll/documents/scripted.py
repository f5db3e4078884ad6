"""Parsers that a script makes slow, stuck or unlucky, by the name of the file: the test double of ingestion.

Everything around a parse stays as it is: claims, progress, waits, deletion. Knows no file that rules come from.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from msgspec import Struct

from longscroll.documents.claimed import ParserPool
from longscroll.documents.messages import ParseDone
from longscroll.documents.parsers import ParseListener
from longscroll.errors import DocumentError, DocumentErrorKind
from longscroll.parsing.base import NO_TEXT

DETAILS = {
    DocumentErrorKind.UNSUPPORTED: "This format is not supported.",
    DocumentErrorKind.ENCRYPTED: "This document needs a password to be read; upload a copy that is not protected.",
    DocumentErrorKind.CORRUPT: "This document is damaged.",
    DocumentErrorKind.TOO_LARGE: "This document is too large.",
    DocumentErrorKind.TOO_MANY_PAGES: "This document has too many pages.",
    DocumentErrorKind.BLANK: NO_TEXT,
    DocumentErrorKind.TIMEOUT: "Reading this document took too long.",
}
"""Said of a file that ends in an error, unless the rule has words of its own."""


class FileRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of the parse of a file."""

    name: str = "*"  # a pattern with * and ?, of the filename
    delay_s: float = 0.0  # before the parse
    stuck: bool = False  # it comes to no end while this rule is there
    error: DocumentErrorKind | None = None
    message: str = ""  # with an error: the sentence for ``status_details``; empty: the usual one

    def __post_init__(self) -> None:
        if self.delay_s < 0:
            raise ValueError(f"delay_s must not be negative, got {self.delay_s}")


class ScriptedParsers:
    """A pool of parsers that obeys the first rule for a file's name; without one it parses as ever."""

    def __init__(
        self,
        parsers: ParserPool,
        rules: Iterable[FileRule] = (),
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Hand files to ``parsers``; ``sleep`` waits out delays."""
        self.n_children = parsers.n_children
        self.rules = tuple(rules)
        self._parsers = parsers
        self._sleep = sleep
        self._is_replaced = asyncio.Event()

    def replace(self, rules: Iterable[FileRule]) -> None:
        """Obey other rules from now on; a parse that is stuck by none of them goes on."""
        self.rules = tuple(rules)
        self._is_replaced.set()
        self._is_replaced = asyncio.Event()

    async def parse(self, file: Path, artifact: Path, *, filename: str, listener: ParseListener) -> ParseDone:
        """Parse a file as its rule wishes; see ``Parsers.parse``.

        Raises:
            DocumentError: the rule's, or the parser's own.
        """
        rule = self._rule_of(filename)
        if rule.delay_s > 0:
            await self._sleep(rule.delay_s)
        while rule.stuck:
            await self._is_replaced.wait()
            rule = self._rule_of(filename)
        if rule.error is not None:
            raise DocumentError(rule.error, rule.message or DETAILS[rule.error])
        return await self._parsers.parse(file, artifact, filename=filename, listener=listener)

    def _rule_of(self, filename: str) -> FileRule:
        return next((rule for rule in self.rules if fnmatch.fnmatchcase(filename, rule.name)), FileRule())
