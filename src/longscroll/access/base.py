"""Who a caller is, once the key is known."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Scope = Literal["chat", "files:read", "files:write", "admin"]
SCOPES: tuple[Scope, ...] = ("chat", "files:read", "files:write", "admin")


class Principal(Struct, frozen=True, kw_only=True):
    """The caller: a workspace and what its key allows."""

    workspace: str
    key_id: str
    scopes: frozenset[str]
    models: frozenset[str] = frozenset()  # empty: every model
