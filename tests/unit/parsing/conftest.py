"""Bytes as the real, seekable files that parsers read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import BinaryIO

import pytest


@pytest.fixture
def opened() -> Iterator[Callable[[bytes], BinaryIO]]:
    """Return a function that puts bytes into a temporary file."""
    with ExitStack() as files:

        def write(content: bytes) -> BinaryIO:
            file = files.enter_context(tempfile.TemporaryFile())
            file.write(content)
            file.seek(0)
            return file

        yield write
