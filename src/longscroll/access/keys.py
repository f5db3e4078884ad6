"""API keys: who a caller is, and how keys come and go.

Owns the pepper, the digests and the memory of recent callers. Knows no surface and no concrete store, and not who may
ask for what: that is ``services.admin``. A key's plaintext is returned once, by ``create`` or ``rotate``; it is never
stored, logged or put into a message.
"""

from __future__ import annotations

import asyncio
import builtins
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from longscroll.access import secret_files
from longscroll.access.base import DEFAULT_SCOPES, SCOPES, Principal, Scope
from longscroll.access.plaintext import bearer, is_well_formed, new_plaintext, shown
from longscroll.access.recent import RecentKeys
from longscroll.errors import InvalidParameter, KeyNotFound, StartupError, Unauthenticated
from longscroll.storage.base import Key, KeyStore

N_PEPPER_BYTES = 32
PEPPER_FILE = "pepper"
WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
MAX_NAME = 100
MAX_MODELS = 100
MAX_LIFE = timedelta(days=36_500)


class KeyOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an answer of the store is believed: the time until a revocation reaches every process.

    Those are promised five seconds; a look-up that is under way when a key is revoked takes the rest.
    """

    cache_s: float = 4.0
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
        self._n_ended = 0

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
        scopes: tuple[Scope, ...] = DEFAULT_SCOPES,
        models: tuple[str, ...] = (),
        expires_at: datetime | None = None,
    ) -> tuple[str, Key]:
        """Make a key and return its plaintext, which cannot be had again.

        Raises:
            InvalidParameter: the workspace, the name, a scope, a model or the end cannot be used.
        """
        plaintext = new_plaintext()
        key = self._key(plaintext, workspace, name=name, scopes=scopes)
        _check_models(models)
        _check_end(expires_at, now=key.created_at)
        key = replace(key, models=models, expires_at=expires_at)
        await self._add(key)
        return plaintext, key

    async def rotate(self, key_id: str, *, overlap: timedelta) -> tuple[str, Key]:
        """Make the successor of a key and return its plaintext, which cannot be had again.

        It may do what the old one may, for as long as that one was made for. The old one ends after ``overlap``, or
        before as it was to; with none it ends at once here, and within the cache's seconds in other processes.

        Raises:
            KeyNotFound: there is no such key.
            InvalidParameter: it is revoked or expired, or the overlap is negative or too long.
        """
        if not timedelta(0) <= overlap <= MAX_LIFE:
            raise InvalidParameter(f"The overlap should be 0 to {MAX_LIFE.days} days.", param="overlap_s")
        key = await self.get(None, key_id)
        now = self._clock()
        plaintext = new_plaintext()
        successor = replace(
            key,
            id=_new_id(),
            display=shown(plaintext),
            digest=self._digest(plaintext),
            created_at=now,
            expires_at=None if key.expires_at is None else now + (key.expires_at - key.created_at),
        )
        if not await self._store.replace_key(key_id, successor, until=now + overlap, now=now):
            raise InvalidParameter(f"The key {key_id} is revoked or expired; create a new one instead.", param="id")
        self._forget(key_id)
        return plaintext, successor

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
        if known.workspace != workspace or not known.is_valid(self._clock()):
            raise StartupError(f"The given API key is the revoked, expired or foreign key {known.id}; choose another.")
        return known

    async def find(self, plaintext: str) -> Key | None:
        """Return the stored key of a plaintext, a revoked or expired one too."""
        return await self._store.find_key(self._digest(plaintext))

    async def get(self, workspace: str | None, key_id: str) -> Key:
        """Return a key of a workspace, or of any, a revoked or expired one too.

        Raises:
            KeyNotFound: there is none of that id, or it is another workspace's.
        """
        key = await self._store.get_key(workspace, key_id)
        if key is None:
            raise KeyNotFound(key_id)
        return key

    async def caller(self, workspace: str, key_id: str) -> Principal:
        """Return who a key stands for now that began what goes on without it; asks the store each time.

        Raises:
            Unauthenticated: it is revoked or expired by now.
        """
        key = await self._store.get_key(workspace, key_id)
        if key is None or not key.is_valid(self._clock()):
            raise _unauthenticated()
        return _principal(key)

    async def is_any_valid(self) -> bool:
        """Whether anybody can call."""
        now = self._clock()
        return any(key.is_valid(now) for key in await self.list(None))

    async def list(self, workspace: str | None) -> builtins.list[Key]:
        """Return the keys of a workspace, or of all, oldest first."""
        return await self._store.list_keys(workspace)

    async def revoke(self, key_id: str) -> bool:
        """Revoke a key: at once here, within the cache's seconds in other processes; False when none was active."""
        is_revoked = await self._store.revoke_key(key_id, now=self._clock())
        self._forget(key_id)
        return is_revoked

    def _forget(self, key_id: str) -> None:
        self._n_ended += 1
        self._recent.forget_key(key_id)

    def _digest(self, plaintext: str) -> bytes:
        return hmac.digest(self._pepper, plaintext.encode(), "sha256")

    async def _look_up(self, digest: bytes) -> Principal | None:
        lookup = self._lookups.get(digest)
        if lookup is None:
            lookup = self._lookups[digest] = asyncio.create_task(self._fetch(digest))
            lookup.add_done_callback(lambda _: self._lookups.pop(digest, None))
        return await asyncio.shield(lookup)

    async def _fetch(self, digest: bytes) -> Principal | None:
        n_ended = self._n_ended
        key = await self._store.find_key(digest)
        now = self._clock()
        principal = _principal(key) if key is not None and key.is_valid(now) else None
        if n_ended == self._n_ended:  # else the row may be older than a revocation that forgot it
            self._recent.remember(digest, principal, now=now, until=key.expires_at if key and principal else None)
        return principal

    def _key(self, plaintext: str, workspace: str, *, name: str, scopes: tuple[Scope, ...]) -> Key:
        if WORKSPACE.fullmatch(workspace) is None:
            raise InvalidParameter(
                f"The workspace {workspace!r} cannot be used: expected up to 64 letters, digits, - and _.",
                param="workspace",
            )
        if len(name) > MAX_NAME or not name.isprintable():
            raise InvalidParameter(f"A key's name has up to {MAX_NAME} printable characters.", param="name")
        if not scopes:
            raise InvalidParameter(f"A key needs a scope: {', '.join(SCOPES)}.", param="scopes")
        if unknown := set(scopes) - set(SCOPES):
            raise InvalidParameter(f"Unknown scope {min(unknown)!r}: expected {', '.join(SCOPES)}.", param="scopes")
        return Key(
            id=_new_id(),
            workspace=workspace,
            name=name,
            display=shown(plaintext),
            digest=self._digest(plaintext),
            scopes=tuple(scope for scope in SCOPES if scope in scopes),
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


@lru_cache(maxsize=1024)
def cache_salt(pepper: bytes, workspace: str) -> str:
    """Return what keeps the prefix caches of a model server apart: constant within a workspace, and not to be guessed.

    No key has this digest: a key has no NUL in it.
    """
    return hmac.digest(pepper, b"cache salt\0" + workspace.encode(), "sha256").hex()


def _new_id() -> str:
    return f"key-{secrets.token_hex(8)}"


def _check_models(models: tuple[str, ...]) -> None:
    if len(models) > MAX_MODELS or not all(0 < len(name) <= MAX_NAME and name.isprintable() for name in models):
        raise InvalidParameter(
            f"A key is for up to {MAX_MODELS} models, each named by 1 to {MAX_NAME} printable characters.",
            param="models",
        )


def _check_end(expires_at: datetime | None, *, now: datetime) -> None:
    if expires_at is not None and not now < expires_at <= now + MAX_LIFE:
        raise InvalidParameter(f"A key expires in the future, within {MAX_LIFE.days} days.", param="expires_at")


def _principal(key: Key) -> Principal:
    return Principal(workspace=key.workspace, key_id=key.id, scopes=frozenset(key.scopes), models=frozenset(key.models))


def _unauthenticated() -> Unauthenticated:
    return Unauthenticated("No API key was given, or it is unknown, revoked or expired.")
