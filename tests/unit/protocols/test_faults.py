"""The grammar of the header that asks for a fault."""

from __future__ import annotations

import pytest

from longscroll.engines.faults import Fault
from longscroll.errors import InvalidParameter
from longscroll.protocols.faults import parse_fault


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("Throttling.RateQuota", Fault(error="Throttling.RateQuota")),
        (
            "limit_requests; after=3; retry_after_s=2",
            Fault(error="limit_requests", after=3, retry_after_s=2),
        ),
        (" cut ;after= 1 ; ", Fault(error="cut", after=1)),
        ('413 BadRequest.TooLarge; message="Too much."', Fault(error="413 BadRequest.TooLarge", message="Too much.")),
        ("slow;delay_s=0.5", Fault(error="slow", delay_s=0.5)),
    ],
)
def test_a_header_is_a_name_and_settings(value: str, fault: Fault) -> None:
    assert parse_fault(value) == fault


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(InvalidParameter, match=r"any of after, delay_s, message, retry_after_s, .*got 'fire'"):
        parse_fault("fire")
