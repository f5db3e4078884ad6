"""Routes of a service that programs are tested against: its script, and the chats that came.

They are there only where the configuration says so, and for the operator only: the chats are those of every workspace.
Knows no rule's meaning.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from longscroll.errors import AccessDenied, InvalidParameter
from longscroll.protocols.exchange import Answer, Request, json_reply
from longscroll.services.script import Chat, Director, Script

_decoder = msgspec.json.Decoder(Script)


class ChatList(Struct, frozen=True):
    """The chats that came, oldest first."""

    data: tuple[Chat, ...]


class Testing:
    """The handlers."""

    def __init__(self, director: Director) -> None:
        self._director = director

    async def script(self, request: Request) -> Answer:
        """Return the script."""
        _check_operator(request)
        return json_reply(self._director.script)

    async def replace_script(self, request: Request) -> Answer:
        """Replace the script; all rules may answer as often as they say again."""
        _check_operator(request)
        try:
            self._director.replace(await request.decode(_decoder))
        except msgspec.ValidationError as error:
            raise InvalidParameter(f"The script cannot be used: {error}.") from error
        return json_reply(self._director.script)

    async def chats(self, request: Request) -> Answer:
        """Return the chats that came."""
        _check_operator(request)
        return json_reply(ChatList(self._director.chats()))

    async def forget_chats(self, request: Request) -> Answer:
        """Forget the chats that came."""
        _check_operator(request)
        self._director.forget()
        return json_reply(ChatList(()))


def _check_operator(request: Request) -> None:
    if not request.principal.is_operator:
        raise AccessDenied("Access denied.")
