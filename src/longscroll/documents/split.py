"""The plan by which a long document is parsed: which ranges of its pages become parts.

Owns the sizes. The plan depends on the number of pages alone, never on how many parse: the same file always becomes the
same artifact. Pure; knows no process and no format.
"""

from __future__ import annotations

FIRST_PAGES = 48
"""In the first part: few, so that the beginning can be read at once."""

MAX_PAGES = 512
"""In a part of any but huge documents: who waits for a turn waits so long, and the last part is parsed alone."""

_MIN_PARTS = 6
_MAX_PARTS = 64  # their files travel to the merge in one message


def page_ranges(n_pages: int, *, part_pages: int) -> list[range]:
    """Cut a document into ranges of page indexes, each twice the one before up to a limit.

    A document of at most ``part_pages`` pages is one part.
    """
    if n_pages <= part_pages:
        return [range(n_pages)]
    most = max(FIRST_PAGES, n_pages // _MAX_PARTS, min(MAX_PAGES, n_pages // _MIN_PARTS))
    ranges, start, size = [], 0, FIRST_PAGES
    while start < n_pages:
        left = n_pages - start
        stop = n_pages if left < size + size // 2 else start + size
        ranges.append(range(start, stop))
        start, size = stop, min(2 * size, most)
    return ranges
