"""Which names of blobs exist; anything else is refused before it comes near a file system.

Owns the grammar ``w/<workspace>/f/<file id>/<part>[/<part>…]``. Knows no store. Names are made by the service and never
by a client, so a refusal is a defect of the caller and raises ValueError.
"""

from __future__ import annotations

import re

_ID = r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
_PART = r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}(?:\.[A-Za-z0-9_-]{1,20}){0,3}"
_FOLDER = rf"w/{_ID}/f/{_ID}/(?:{_PART}/){{0,3}}"
_NAME = re.compile(rf"{_FOLDER}{_PART}")
_DELETABLE = re.compile(_FOLDER)
_LISTABLE = re.compile(rf"w/(?:{_ID}/)?|{_FOLDER}")


def check_name(name: str) -> str:
    """Return the name of one blob, or raise ValueError."""
    return _checked(_NAME, name, "a blob")


def check_deletable(prefix: str) -> str:
    """Return a prefix that lies within one file, or raise ValueError: nothing wider is ever deleted at once."""
    return _checked(_DELETABLE, prefix, "a prefix within one file")


def check_listable(prefix: str) -> str:
    """Return a prefix of one file, of one workspace, or of all, or raise ValueError."""
    return _checked(_LISTABLE, prefix, "a prefix of blobs")


def _checked(grammar: re.Pattern[str], name: str, what: str) -> str:
    if grammar.fullmatch(name) is None:
        raise ValueError(f"{name!r} does not name {what}; expected w/<workspace>/f/<file id>/…")
    return name
