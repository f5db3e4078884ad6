"""Administer keys: who may make, see, replace and end which.

The only place that decides it. The operator manages every workspace, any other admin key its own; nobody hands out more
models than they may use. Knows no wire format and no store.
"""

from __future__ import annotations

import builtins
from datetime import datetime, timedelta

import structlog
from msgspec import Struct

from longscroll.access.base import DEFAULT_SCOPES, Principal, Scope
from longscroll.access.keys import Keys
from longscroll.errors import ModelAccessDenied, WorkspaceDenied
from longscroll.storage.base import Key

_log = structlog.get_logger(__name__)


class NewKey(Struct, frozen=True, kw_only=True):
    """What a key is to be."""

    workspace: str | None = None  # None: the caller's own
    name: str = ""
    scopes: tuple[Scope, ...] = DEFAULT_SCOPES
    models: tuple[str, ...] = ()  # empty: those of the caller
    expires_at: datetime | None = None


class KeyAdministration:
    """The keys as those who hold an admin key may manage them; every method takes the caller first.

    A key that the caller may not manage is as one that is not there.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def create(self, caller: Principal, wanted: NewKey) -> tuple[str, Key]:
        """Make a key and return its plaintext, which cannot be had again.

        Raises:
            WorkspaceDenied: the caller manages another workspace.
            ModelAccessDenied: the caller's own key is not for all of the models.
            InvalidParameter: the key cannot be as it is wanted.
        """
        workspace = caller.workspace if wanted.workspace is None else wanted.workspace
        if workspace != caller.workspace and not caller.is_operator:
            raise WorkspaceDenied("The key does not open this workspace.")
        models = wanted.models or tuple(sorted(caller.models))
        _check_models(caller, models)
        plaintext, key = await self._keys.create(
            workspace, name=wanted.name, scopes=wanted.scopes, models=models, expires_at=wanted.expires_at
        )
        _log.info("key created", key_id=key.id, workspace=key.workspace, by=caller.key_id)
        return plaintext, key

    async def list(self, caller: Principal, workspace: str | None) -> builtins.list[Key]:
        """Return the keys of a workspace, or all that the caller manages, oldest first."""
        keys = await self._keys.list(_managed(caller))
        return [key for key in keys if workspace in (None, key.workspace)]

    async def get(self, caller: Principal, key_id: str) -> Key:
        """Return a key.

        Raises:
            KeyNotFound: the caller manages none of that id.
        """
        return await self._keys.get(_managed(caller), key_id)

    async def rotate(self, caller: Principal, key_id: str, *, overlap: timedelta) -> tuple[str, Key]:
        """Make the successor of a key and return its plaintext; see ``Keys.rotate``.

        Raises:
            KeyNotFound: the caller manages none of that id.
            ModelAccessDenied: the caller's own key is not for all of its models.
            InvalidParameter: it is revoked or expired, or the overlap cannot be.
        """
        key = await self.get(caller, key_id)
        _check_models(caller, key.models)
        plaintext, successor = await self._keys.rotate(key_id, overlap=overlap)
        _log.info("key rotated", key_id=key_id, successor=successor.id, by=caller.key_id)
        return plaintext, successor

    async def revoke(self, caller: Principal, key_id: str) -> Key:
        """Revoke a key, the caller's own too, and return it as it is then; again changes nothing.

        Raises:
            KeyNotFound: the caller manages none of that id.
        """
        await self.get(caller, key_id)
        if await self._keys.revoke(key_id):
            _log.info("key revoked", key_id=key_id, by=caller.key_id)
        return await self.get(caller, key_id)


def _managed(caller: Principal) -> str | None:
    """Return the workspace that the caller manages; None: every one."""
    return None if caller.is_operator else caller.workspace


def _check_models(caller: Principal, models: tuple[str, ...]) -> None:
    if caller.models and not (models and caller.models.issuperset(models)):
        raise ModelAccessDenied("The key may hand out its own models only.")
