"""One real service for all client tests of a worker, and the sets of clients that talk to it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from factories.client_programs import DOCUMENTS, Served, curl
from factories.model_server import ModelServer
from factories.running import RunningService

SCRIPT = """
[[rule]]
deltas = ["晴，", "二十一", "度。"]
usage = { n_input_tokens = 12, n_output_tokens = 6, n_cached_tokens = 5 }
"""
EQUIPPED = """
[[model]]
name = "qwen-long"
[[model]]
name = "qwen-plus"
engine = "scripted"
script = "{script}"
[[model]]
name = "qwen-turbo"
engine = "scripted"
script = "{script}"
[[model]]
name = "chatyuan-large-v2"
engine = "scripted"
script = "{script}"
[[upstream]]
name = "embedder"
urls = ["{url}"]
[[upstream]]
name = "ranker"
urls = ["{url}"]
[[model]]
name = "text-embedding-v4"
engine = "upstream"
task = "embedding"
upstream = "embedder"
served_name = "tiny"
[[model]]
name = "gte-rerank-v2"
engine = "upstream"
task = "rerank"
upstream = "ranker"
served_name = "tiny"
[[limit]]
model = "qwen-turbo"
requests_per_minute = 30
"""


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Return a service on its embedded defaults, as the first `longscroll serve` starts it."""
    with RunningService(tmp_path_factory.mktemp("clients") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def equipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Return a service with further models, scripted and of a server; `qwen-turbo` takes thirty requests a minute."""
    folder = tmp_path_factory.mktemp("equipped")
    config = folder / "longscroll.toml"
    (folder / "script.toml").write_text(SCRIPT, encoding="utf-8")
    with ModelServer() as server:
        config.write_text(EQUIPPED.format(script=folder / "script.toml", url=server.url))
        with RunningService(folder / "data", arguments=["--config", str(config)]) as running:
            yield running


@pytest.fixture(scope="session")
def handbook_id(service: RunningService) -> str:
    """Return the id of the English handbook, uploaded with curl."""
    return upload(service, "handbook.pdf")


@pytest.fixture(scope="session")
def document_ids(equipped: RunningService) -> tuple[str, str]:
    """Return the ids of the English handbook and of the Chinese report at the equipped service."""
    return upload(equipped, "handbook.pdf"), upload(equipped, "年度报告.pdf")


def upload(service: Served, name: str) -> str:
    """Upload a document of the tests with curl and return its id."""
    form = ("-F", "purpose=file-extract", "-F", f"file=@{DOCUMENTS / name}")
    key = ("-H", f"Authorization: Bearer {service.key}")
    return str(json.loads(curl(*form, *key, f"{service.url}/compatible-mode/v1/files"))["id"])


@pytest.fixture(scope="session", params=("2023", "latest"))
def client_set(request: pytest.FixtureRequest) -> str:
    """Return each set of clients in turn: openai 1.0.0 with dashscope 1.13.6, then the newest of both."""
    return str(request.param)
