"""The keys, for those who administer them: make, list, show, rotate, revoke.

Errors have the OpenAI shape. Who may do what is decided in ``services.admin``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
from msgspec.structs import asdict

from longscroll.access.keys import MAX_LIFE
from longscroll.errors import InvalidParameter
from longscroll.protocols.admin.schema import KeyList, KeyObject, KeyRequest, NewKeyObject, RotationRequest
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.told import text
from longscroll.services.admin import KeyAdministration, NewKey
from longscroll.storage.base import Key

T = TypeVar("T")

LIST_PARAMETERS = (text("workspace", "Only keys of this workspace."),)

MAX_EXPLANATION = 200
"""Characters; what is wrong with a field repeats its value."""

_key_decoder = msgspec.json.Decoder(KeyRequest)
_rotation_decoder = msgspec.json.Decoder(RotationRequest)


class KeyEndpoints:
    """The handlers of ``/admin/v1/keys``."""

    def __init__(self, keys: KeyAdministration) -> None:
        self._keys = keys

    async def create(self, request: Request) -> Reply:
        """Make a key; the reply is the only one that has its plaintext."""
        wanted = await _body(request, _key_decoder)
        plaintext, key = await self._keys.create(
            request.principal,
            NewKey(
                workspace=wanted.workspace,
                name=wanted.name,
                scopes=wanted.scopes,
                models=wanted.models,
                expires_at=_end(wanted, request.received_at),
            ),
        )
        return _shown_once(plaintext, key, request)

    async def list(self, request: Request) -> Reply:
        """Return the keys that the caller manages, or those of them that belong to ``workspace``."""
        keys = await self._keys.list(request.principal, request.query.get("workspace"))
        return json_reply(KeyList(data=tuple(_render(key, request) for key in keys)))

    async def get(self, request: Request) -> Reply:
        """Return one key."""
        return json_reply(_render(await self._keys.get(request.principal, request.arguments["id"]), request))

    async def rotate(self, request: Request) -> Reply:
        """Make the successor of a key; the reply is the only one that has its plaintext."""
        wanted = await _body(request, _rotation_decoder)
        if not 0 <= wanted.overlap_s <= MAX_LIFE.total_seconds():
            raise InvalidParameter(
                f"Range of overlap_s should be [0, {int(MAX_LIFE.total_seconds())}]", param="overlap_s"
            )
        overlap = timedelta(seconds=wanted.overlap_s)
        plaintext, key = await self._keys.rotate(request.principal, request.arguments["id"], overlap=overlap)
        return _shown_once(plaintext, key, request)

    async def revoke(self, request: Request) -> Reply:
        """Revoke a key and return it."""
        return json_reply(_render(await self._keys.revoke(request.principal, request.arguments["id"]), request))


async def _body(request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    """Return the body of a request; no body at all is an empty object.

    Raises:
        InvalidBody: not JSON, or no object.
        InvalidParameter: a field is not known, or has a value of the wrong type.
    """
    try:
        return await request.decode(decoder) if await request.body() else decoder.decode(b"{}")
    except msgspec.ValidationError as error:
        raise InvalidParameter(f"{str(error)[:MAX_EXPLANATION]}.") from error


def _end(wanted: KeyRequest, now: datetime) -> datetime | None:
    """Return when a key is to end.

    Raises:
        InvalidParameter: it is said twice, or is out of all calendars.
    """
    if wanted.expires_at is not None and wanted.expires_in_s is not None:
        raise InvalidParameter("Give one of expires_at and expires_in_s.", param="expires_at")
    try:
        if wanted.expires_at is not None:
            return datetime.fromtimestamp(wanted.expires_at, UTC)
        return None if wanted.expires_in_s is None else now + timedelta(seconds=wanted.expires_in_s)
    except (OverflowError, OSError, ValueError) as error:
        raise InvalidParameter("The end of the key is no date.", param="expires_at") from error


def _shown_once(plaintext: str, key: Key, request: Request) -> Reply:
    shown = NewKeyObject(**asdict(_render(key, request)), value=plaintext)
    return json_reply(shown, headers=((b"cache-control", b"no-store"),))


def _render(key: Key, request: Request) -> KeyObject:
    return KeyObject(
        id=key.id,
        workspace=key.workspace,
        name=key.name,
        redacted_value=key.display,
        scopes=key.scopes,
        models=key.models,
        state="active" if key.is_valid(request.received_at) else "expired" if key.revoked_at is None else "revoked",
        created_at=int(key.created_at.timestamp()),
        expires_at=_seconds(key.expires_at),
        revoked_at=_seconds(key.revoked_at),
    )


def _seconds(when: datetime | None) -> int | None:
    return None if when is None else int(when.timestamp())
