"""Who a caller is, once the key is known."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Scope = Literal["chat", "files:read", "files:write", "admin"]
SCOPES: tuple[Scope, ...] = ("chat", "files:read", "files:write", "admin")

DEFAULT_SCOPES: tuple[Scope, ...] = ("chat", "files:read", "files:write")
"""What a key may do unless it is made to do otherwise."""

DEFAULT_WORKSPACE = "default"
"""The workspace of the key that the first start makes."""


class Principal(Struct, frozen=True, kw_only=True):
    """The caller: a workspace and what its key allows."""

    workspace: str
    key_id: str
    scopes: frozenset[str]
    models: frozenset[str] = frozenset()  # empty: every model

    @property
    def is_operator(self) -> bool:
        """Whether the key may administer the whole service: an admin key of the first workspace."""
        return self.workspace == DEFAULT_WORKSPACE and "admin" in self.scopes

    def may_use(self, *names: str) -> bool:
        """Whether the key is for a model, whichever of its names the key names."""
        return not self.models or not self.models.isdisjoint(names)
