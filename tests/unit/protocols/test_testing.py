"""Who may see the chats of a service that programs are tested against."""

from __future__ import annotations

from typing import cast

import pytest

from factories.requests import make_request
from longscroll.errors import AccessDenied
from longscroll.protocols import testing
from longscroll.services.script import Director


async def test_an_administrator_of_one_workspace_neither_sees_nor_changes_what_is_everyones() -> None:
    routes = testing.Testing(cast("Director", object()))
    for handler in (routes.script, routes.replace_script, routes.chats, routes.forget_chats):
        with pytest.raises(AccessDenied):
            await handler(make_request())
