"""API keys: who a caller is, and how keys come and go.

Owns the pepper, the digests and the memory of recent callers. Knows no surface and no concrete store. A key's plaintext
is returned once, by ``create``; it is never stored, logged or put into a message.
"""

from __future__ import annotations

import asyncio
import builtins
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from longscroll.access import secret_files
from longscroll.access.base import SCOPES, Principal, Scope
from longscroll.access.plaintext import bearer, is_well_formed, new_plaintext, shown
from longscroll.access.recent import RecentKeys
from longscroll.errors import InvalidParameter, StartupError, Unauthenticated
from longscroll.storage.base import Key, KeyStore

N_PEPPER_BYTES = 32
PEPPER_FILE = "pepper"
WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class KeyOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an answer of the store is believed: the time until a revocation reaches every process."""

    cache_s: float = 5.0
    unknown_cache_s: float = 1.0
    max_cached: int = 10_000


class Keys:
    """The keys of all workspaces. Used on the event loop; no digest leaves a process without the pepper in it."""

    def __init__(
        self,
        store: KeyStore,
        pepper: bytes,
        *,
        clock: Callable[[], datetime],
        options: KeyOptions | None = None,
    ) -> None:
        options = options or KeyOptions()
        self._store = store
        self._pepper = pepper
        self._clock = clock
        self._recent = RecentKeys(
            max_entries=options.max_cached,
            ttl=timedelta(seconds=options.cache_s),
            unknown_ttl=timedelta(seconds=options.unknown_cache_s),
        )
        self._lookups: dict[bytes, asyncio.Task[Principal | None]] = {}
        self._n_revoked = 0

    async def authenticate(self, authorization: str | None) -> Principal:
        """Return the caller that an ``Authorization`` header stands for.

        Microseconds for a key seen in the last seconds; else one look-up, shared by all that wait for the same key.

        Raises:
            Unauthenticated: no key, a malformed one, or one that is unknown, revoked or expired: always the same words.
        """
        plaintext = bearer(authorization)
        if plaintext is None or not is_well_formed(plaintext):
            raise _unauthenticated()
        digest = self._digest(plaintext)
        entry = self._recent.find(digest, now=self._clock())
        principal = await self._look_up(digest) if entry is None else entry.principal
        if principal is None:
            raise _unauthenticated()
        return principal

    async def create(
        self,
        workspace: str,
        *,
        name: str,
        scopes: tuple[Scope, ...] = SCOPES,
        models: tuple[str, ...] = (),
        expires_at: datetime | None = None,
    ) -> tuple[str, Key]:
        """Make a key and return its plaintext, which cannot be had again.

        Raises:
            InvalidParameter: the workspace or a scope cannot be used.
        """
        plaintext = new_plaintext()
        key = replace(self._key(plaintext, workspace, name=name, scopes=scopes), models=models, expires_at=expires_at)
        await self._add(key)
        return plaintext, key

    async def adopt(self, plaintext: str, workspace: str, *, name: str, scopes: tuple[Scope, ...] = SCOPES) -> Key:
        """Make a key of a string that the operator chose; the same one again changes nothing.

        Raises:
            InvalidParameter: the workspace or a scope cannot be used.
            StartupError: the string cannot be sent as a key, or is a revoked, expired or another workspace's one.
        """
        if not is_well_formed(plaintext):
            raise StartupError(
                "The given API key cannot be used: expected 1 to 512 printable ASCII characters without spaces "
                "(one that begins with sk-ls- must be complete)."
            )
        key = self._key(plaintext, workspace, name=name, scopes=scopes)
        known = await self._store.find_key(key.digest)
        if known is None:
            await self._add(key)
            return key
        if known.workspace != workspace or not _is_valid(known, self._clock()):
            raise StartupError(f"The given API key is the revoked, expired or foreign key {known.id}; choose another.")
        return known

    async def find(self, plaintext: str) -> Key | None:
        """Return the stored key of a plaintext, a revoked or expired one too."""
        return await self._store.find_key(self._digest(plaintext))

    async def list(self, workspace: str | None) -> builtins.list[Key]:
        """Return the keys of a workspace, or of all, oldest first."""
        return await self._store.list_keys(workspace)

    async def revoke(self, key_id: str) -> bool:
        """Revoke a key: at once here, within the cache's seconds in other processes; False when none was active."""
        is_revoked = await self._store.revoke_key(key_id, now=self._clock())
        self._n_revoked += 1
        self._recent.forget_key(key_id)
        return is_revoked

    def _digest(self, plaintext: str) -> bytes:
        return hmac.digest(self._pepper, plaintext.encode(), "sha256")

    async def _look_up(self, digest: bytes) -> Principal | None:
        lookup = self._lookups.get(digest)
        if lookup is None:
            lookup = self._lookups[digest] = asyncio.create_task(self._fetch(digest))
            lookup.add_done_callback(lambda _: self._lookups.pop(digest, None))
        return await asyncio.shield(lookup)

    async def _fetch(self, digest: bytes) -> Principal | None:
        n_revoked = self._n_revoked
        key = await self._store.find_key(digest)
        now = self._clock()
        principal = _principal(key) if key is not None and _is_valid(key, now) else None
        if n_revoked == self._n_revoked:  # else the row may be older than a revocation that forgot it
            self._recent.remember(digest, principal, now=now, until=key.expires_at if key and principal else None)
        return principal

    def _key(self, plaintext: str, workspace: str, *, name: str, scopes: tuple[Scope, ...]) -> Key:
        if WORKSPACE.fullmatch(workspace) is None:
            raise InvalidParameter(
                f"The workspace {workspace!r} cannot be used: expected up to 64 letters, digits, - and _.",
                param="workspace",
            )
        unknown = set(scopes) - set(SCOPES)
        if unknown:
            raise InvalidParameter(f"Unknown scope {min(unknown)!r}: expected {', '.join(SCOPES)}.", param="scope")
        return Key(
            id=f"key-{secrets.token_hex(8)}",
            workspace=workspace,
            name=name,
            display=shown(plaintext),
            digest=self._digest(plaintext),
            scopes=scopes,
            created_at=self._clock(),
        )

    async def _add(self, key: Key) -> None:
        await self._store.add_key(key)
        self._recent.forget(key.digest)


def load_pepper(data_dir: Path) -> bytes:
    """Return the secret that digests are made with, drawn at the first start; without it no stored key can be tried.

    Raises:
        StartupError: the file does not hold a pepper.
    """
    path = data_dir / PEPPER_FILE
    pepper = secret_files.read(path) or secret_files.write_once(path, secrets.token_bytes(N_PEPPER_BYTES))
    if len(pepper) != N_PEPPER_BYTES:
        raise StartupError(f"{path} is damaged: expected {N_PEPPER_BYTES} bytes, found {len(pepper)}; restore it.")
    return pepper


def _principal(key: Key) -> Principal:
    return Principal(workspace=key.workspace, key_id=key.id, scopes=frozenset(key.scopes), models=frozenset(key.models))


def _is_valid(key: Key, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


def _unauthenticated() -> Unauthenticated:
    return Unauthenticated("No API key was given, or it is unknown, revoked or expired.")
