"""Dates as the file endpoints write them, without a zone, in the zone of the options (PROTOCOL.md §5)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from longscroll.errors import InvalidParameter

_FORMATS = ("%Y%m%d%H%M%S", "%Y%m%d", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S")
_LENGTHS = (14, 8, 10, 19)


def zone(utc_offset_hours: int) -> timezone:
    """Return the zone that dates without one are in."""
    return timezone(timedelta(hours=utc_offset_hours))


def parse_date(text: str | None, name: str, *, where: timezone) -> datetime | None:
    """Return a date of the query string, or None where there is none.

    Raises:
        InvalidParameter: it is in none of the four documented forms.
    """
    if not text:
        return None
    for form, length in zip(_FORMATS, _LENGTHS, strict=True):
        if len(text) == length:
            try:
                return datetime.strptime(text, form).replace(tzinfo=where)
            except ValueError:
                break
    raise InvalidParameter(
        f"{name} must look like 20251112, 20251112101010, 2025-11-12 or 2025-11-12 10:10:10", param=name
    )
