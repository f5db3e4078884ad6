"""One real service for all client tests of a worker, and the sets of clients that talk to it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from factories.client_programs import DOCUMENTS, curl
from factories.running import RunningService


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Return a service on its embedded defaults, as the first `longscroll serve` starts it."""
    with RunningService(tmp_path_factory.mktemp("clients") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def handbook_id(service: RunningService) -> str:
    """Return the id of the English handbook, uploaded with curl."""
    form = ("-F", "purpose=file-extract", "-F", f"file=@{DOCUMENTS / 'handbook.pdf'}")
    key = ("-H", f"Authorization: Bearer {service.key}")
    return str(json.loads(curl(*form, *key, f"{service.url}/compatible-mode/v1/files"))["id"])


@pytest.fixture(scope="session", params=("2023", "latest"))
def client_set(request: pytest.FixtureRequest) -> str:
    """Return each set of clients in turn: openai 1.0.0 with dashscope 1.13.6, then the newest of both."""
    return str(request.param)
