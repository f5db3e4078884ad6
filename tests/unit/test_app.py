"""What the composition root refuses before anything starts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longscroll.app import build_catalog
from longscroll.config import Config
from longscroll.errors import ConfigError

UPSTREAM = {"name": "gpu", "urls": ["http://127.0.0.1:8000/v1"]}


def catalog(**model: Any) -> Any:
    config = msgspec.convert({"upstream": [UPSTREAM], "model": [model]}, Config)
    engine: Any = None
    return build_catalog(config, extractive=engine)


@pytest.mark.parametrize("task", ["embedding", "rerank"])
def test_a_model_that_measures_is_bound_to_its_server(task: str) -> None:
    model = catalog(name="m", aliases=["n"], engine="upstream", upstream="gpu", task=task, served_name="bge").get("n")
    assert (model.task, model.served_name, model.worker is not None) == (task, "bge", True)


@pytest.mark.parametrize("engine", ["extractive", "chatyuan"])
def test_only_a_model_server_can_measure(engine: str) -> None:
    with pytest.raises(ConfigError, match='task = "embedding" needs engine = "upstream"'):
        catalog(name="m", engine=engine, task="embedding")


def test_a_model_server_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"there is no .* named 'other'"):
        catalog(name="m", engine="upstream", upstream="other", task="rerank")
