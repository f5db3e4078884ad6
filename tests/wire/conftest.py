"""One server for all tests of the wire; tests that need other options start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from factories.wire import WireService, wire_service


@pytest.fixture(scope="session")
def service() -> Iterator[WireService]:
    with wire_service() as running:
        yield running
