from __future__ import annotations

from datetime import UTC, datetime

import pytest

from longscroll.errors import InvalidParameter
from longscroll.protocols.dates import parse_date, zone


@pytest.mark.item(101)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20250306123000", datetime(2025, 3, 6, 4, 30, tzinfo=UTC)),
        ("20251112", datetime(2025, 11, 11, 16, tzinfo=UTC)),
        ("2025-11-12", datetime(2025, 11, 11, 16, tzinfo=UTC)),
        ("2025-11-12 10:10:10", datetime(2025, 11, 12, 2, 10, 10, tzinfo=UTC)),
    ],
)
def test_each_documented_form_is_read_in_the_zone_of_the_service(text: str, expected: datetime) -> None:
    assert parse_date(text, "create_after", where=zone(8)) == expected


@pytest.mark.parametrize("text", ["yesterday", "2025", "20251340", "2025-11-12T10:10:10"])
def test_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="create_after must look like"):
        parse_date(text, "create_after", where=zone(8))


def test_no_date_is_no_bound() -> None:
    assert [parse_date(text, "create_after", where=zone(8)) for text in (None, "")] == [None, None]
