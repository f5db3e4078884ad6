"""The option that plays one history again, by the seed that a failure has printed."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "play this history only: pytest tests/simulation --history SEED"
    parser.addoption("--history", type=int, metavar="SEED", help=told)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        seed = metafunc.config.getoption("--history", None)
        metafunc.parametrize("seed", [] if seed is None else [seed])
