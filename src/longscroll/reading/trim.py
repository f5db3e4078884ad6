"""What of an answer is for the client to see: it ends before the first stop string, and says no beginning twice.

Owns both, for every engine alike: a model server is asked to stop too, and need not. Knows no engine and no surface.
The same text is trimmed to the same answer however it was cut into deltas.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from longscroll.types import Annotation, Delta


class Trimmer:
    """Trim the deltas of one choice; feed it in order, then close it once.

    Text that may be the beginning of a stop string, or of ``prefix`` said again, is held back until the next tells.
    """

    def __init__(self, stops: Sequence[str], *, prefix: str = "") -> None:
        self.is_stopped = False  # a stop string came: what follows is nobody's
        self._stops = tuple(stop for stop in stops if stop)
        self._prefix = prefix  # that may still be said again
        self._held = ""
        self._annotations: tuple[Annotation, ...] = ()  # of text that is held
        self._n_dropped = 0  # code points of the prefix
        self._n_sent = 0

    def feed(self, delta: Delta) -> Delta | None:
        """Take the next delta; returns what can be sent now."""
        self._held += delta.text
        self._annotations += delta.annotations
        return self._passed(delta, self._take(is_last=False))

    def close(self) -> Delta | None:
        """Send what is still held back: the engine has ended."""
        return self._passed(Delta(text=""), self._take(is_last=True))

    def _take(self, *, is_last: bool) -> str:
        """Return the text that can be sent, and hold the rest."""
        if self.is_stopped or self._waits_for_prefix(is_last=is_last):
            return ""
        text = self._held
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:  # the one that was written first: a model would not have gone on to the end of another
            self.is_stopped = True
            _, n_sent = min(found)
        else:
            n_sent = len(text) - (0 if is_last else self._n_unsure(text))
        self._held = "" if found else text[n_sent:]
        return text[:n_sent]

    def _waits_for_prefix(self, *, is_last: bool) -> bool:
        """Drop the prefix where it was said again; True while that cannot be known."""
        prefix, held = self._prefix, self._held
        if not prefix:
            return False
        if not is_last and len(held) < len(prefix) and prefix.startswith(held):
            return True
        self._prefix = ""
        if held.startswith(prefix):
            self._held = held[len(prefix) :]
            self._n_dropped = len(prefix)
        return False

    def _n_unsure(self, text: str) -> int:
        """Count the code points at the end that may be the beginning of a stop string."""
        lengths = (
            n for stop in self._stops for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])
        )
        return max(lengths, default=0)

    def _passed(self, delta: Delta, text: str) -> Delta | None:
        """Return the delta with the text that was let through and the annotations that stand in it."""
        self._n_sent += len(text)
        annotations = self._annotations_until(self._n_sent)
        if not (text or delta.tool_calls or delta.logprobs):
            return None
        return structs.replace(delta, text=text, annotations=annotations)

    def _annotations_until(self, stop: int) -> tuple[Annotation, ...]:
        n_dropped = self._n_dropped
        shown = tuple(note for note in self._annotations if note.end_index - n_dropped <= stop)
        self._annotations = self._annotations[len(shown) :]
        return tuple(
            structs.replace(note, start_index=note.start_index - n_dropped, end_index=note.end_index - n_dropped)
            for note in shown
            if note.start_index >= n_dropped
        )
