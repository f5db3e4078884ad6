"""From an error to a refusal by a surface's table. Knows no shape of any surface, and only words that both say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from longscroll.errors import LongscrollError
from longscroll.protocols.encoding import encode
from longscroll.protocols.exchange import Headers, Reply

THROTTLED = "Requests throttling triggered."
REJECTED = "Input or output data may contain inappropriate content."
FREE_TIER = (
    "The free tier of the model has been exhausted. If you wish to continue access the model on a paid basis, please "
    'disable the "use free tier only" mode.'
)
BURST = (
    "Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests "
    "more smoothly over time."
)
"""What both surfaces say in the same words."""

Row = TypeVar("Row")


def find_row(rows: Mapping[type[Exception], Row], error: Exception) -> Row:
    """Return the row of the nearest class that has one; what is not of our tree has the row of its root."""
    return next((rows[kind] for kind in type(error).__mro__ if kind in rows), rows[LongscrollError])


def words_of(error: Exception, words: str | None) -> str:
    """Return what is said of an error: its own words where it has some, then the ``words`` of its row."""
    return getattr(error, "words", None) or words or str(error)


def refusal(error: Exception, body: object, *, status: int, retry_after_s: int | None) -> Reply:
    """Return the response before the first byte of an answer; an error that says when to try again is believed."""
    headers: Headers = ()
    if (wait_s := getattr(error, "retry_after_s", None) or retry_after_s) is not None:
        headers = ((b"retry-after", str(wait_s).encode()),)
    return Reply(status=status, body=encode(body), headers=headers)
