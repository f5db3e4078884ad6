"""The JSON of the endpoints for administrators as types. Times are unix seconds.

Unlike the bodies of the two protocols these refuse a field that is not known: a misspelled one would make a key that
may do more than was meant.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from longscroll.access.base import DEFAULT_SCOPES, Scope


class KeyRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /keys; at most one of ``expires_in_s`` and ``expires_at``."""

    workspace: str | None = None
    name: str = ""
    scopes: tuple[Scope, ...] = DEFAULT_SCOPES
    models: tuple[str, ...] = ()
    expires_in_s: int | None = None
    expires_at: int | None = None


class RotationRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of POST /keys/{id}/rotate."""

    overlap_s: int = 86_400


class KeyObject(Struct, frozen=True, kw_only=True):
    """A key; ``redacted_value`` is what may be shown of it."""

    id: str
    object: Literal["api_key"] = "api_key"
    workspace: str
    name: str
    redacted_value: str
    scopes: tuple[str, ...]
    models: tuple[str, ...]
    state: Literal["active", "expired", "revoked"]
    created_at: int
    expires_at: int | None
    revoked_at: int | None


class NewKeyObject(KeyObject, frozen=True, kw_only=True):
    """A key that was just made, with its ``value``, once."""

    value: str


class KeyList(Struct, frozen=True):
    """A list of keys, oldest first."""

    data: tuple[KeyObject, ...]
    object: Literal["list"] = "list"
