"""Documents that come as text inside a message: artifacts in memory, shared by text within a workspace.

Owns the bounded cache. Knows no message and no file.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from io import BytesIO

from longscroll.documents.artifact import Artifact
from longscroll.documents.build import build_artifact
from longscroll.parsing.base import Page
from longscroll.tokens import TokenCounter


class InlineDocuments:
    """The least recently used artifacts of inline text, up to ``max_bytes`` of them; one too large is never kept."""

    def __init__(self, max_bytes: int, counter: TokenCounter) -> None:
        self._max_bytes = max_bytes
        self._counter = counter
        self._artifacts: OrderedDict[tuple[str, bytes], tuple[Artifact, int]] = OrderedDict()
        self._n_bytes = 0

    def get(self, workspace: str, text: str) -> Artifact:
        """Return the artifact of a text, built now if it is not held: half a CPU second for a million tokens.

        Raises:
            DocumentError: the text is blank.
        """
        key = workspace, hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        if key in self._artifacts:
            self._artifacts.move_to_end(key)
            return self._artifacts[key][0]
        out = BytesIO()
        build_artifact([Page(number=None, text=_clean(text))], out, self._counter)
        artifact = Artifact.from_buffer(out.getvalue())
        self._keep(key, artifact, out.tell())
        return artifact

    def _keep(self, key: tuple[str, bytes], artifact: Artifact, n_bytes: int) -> None:
        self._artifacts[key] = artifact, n_bytes
        self._n_bytes += n_bytes
        while self._n_bytes > self._max_bytes:
            _, (_, n_dropped) = self._artifacts.popitem(last=False)
            self._n_bytes -= n_dropped


def _clean(text: str) -> str:
    """Give a text the form that parsers give: line ends, no NUL and no byte order mark, no half characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").replace("\ufeff", "")
    return lines.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
