from __future__ import annotations

import pytest

from factories.requests import make_request
from longscroll.protocols.dashscope.headers import wants_stream


@pytest.mark.item(27)
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"accept": "*/*"}, False),
        ({"accept": "application/json, Text/Event-Stream"}, True),
        ({"x-dashscope-sse": " Enable "}, True),
        ({"x-dashscope-sse": "disable"}, False),
    ],
)
def test_either_header_asks_for_events(headers: dict[str, str], *, expected: bool) -> None:
    assert wants_stream(make_request(headers=headers)) is expected
