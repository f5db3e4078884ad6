from __future__ import annotations

import pytest

from factories.access import Clock, CountingKeys
from longscroll.access.keys import Keys


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store() -> CountingKeys:
    return CountingKeys()


@pytest.fixture
def keys(store: CountingKeys, clock: Clock) -> Keys:
    return Keys(store, b"p" * 32, clock=clock)
