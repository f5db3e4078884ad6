"""Rows for people: columns aligned as a terminal shows them, never wrapped or cut: an id can always be copied."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.cells import cell_len


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a header and rows; control characters in a cell are shown as escapes."""
    lines = [tuple(columns), *(tuple(_shown(cell) for cell in row) for row in rows)]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _shown(cell: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in cell)
