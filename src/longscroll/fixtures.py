"""Fixtures that pytest finds by itself where Longscroll is installed; see ``longscroll.testing``.

Loads nothing of the service until a test asks for it, so that every other test run starts as fast as before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from longscroll.testing import Service, ServiceOptions


@pytest.fixture(scope="session")
def longscroll_options() -> ServiceOptions:
    """Return what the service of the test run serves; define your own to change it."""
    from longscroll.testing import ServiceOptions  # noqa: PLC0415 - see the module's first lines

    return ServiceOptions()


@pytest.fixture(scope="session")
def longscroll_process(longscroll_options: ServiceOptions) -> Iterator[Service]:
    """Return the one service of the test run, as the test before has left it."""
    from longscroll.testing import running_service  # noqa: PLC0415 - see the module's first lines

    with running_service(options=longscroll_options) as service:
        yield service


@pytest.fixture
def longscroll(longscroll_process: Service) -> Service:
    """Return a service without rules, files and chats."""
    longscroll_process.reset()
    return longscroll_process


@pytest.fixture
def longscroll_environment(longscroll: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Return the same, with every OpenAI and DashScope client that the test makes pointed at it by the environment."""
    for name, value in longscroll.environment().items():
        monkeypatch.setenv(name, value)
    if (dashscope := sys.modules.get("dashscope")) is not None:  # it has read the variables when it was imported
        monkeypatch.setattr(dashscope, "base_http_api_url", longscroll.native_url)
        monkeypatch.setattr(
            dashscope, "base_compatible_api_url", longscroll.base_url, raising=False
        )  # old ones have none
        monkeypatch.setattr(dashscope, "api_key", longscroll.api_key)
    return longscroll
