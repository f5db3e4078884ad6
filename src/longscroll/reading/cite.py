"""From what an engine writes to an answer with citations that cannot lie.

Owns the visible marks: finding ``[n]`` in streamed text, renumbering, removing what cites nothing, and the annotation
that goes out with each mark. Knows no engine and no surface. The same text gives the same answer however it was cut
into pieces, and every citation's quote is the document's own text at its span.
"""

from __future__ import annotations

import re

from longscroll.engines.base import Evidence, Mark, Passage, Text
from longscroll.engines.sentences import sentence_spans
from longscroll.reading.support import Support
from longscroll.types import Annotation, Citation, CitationMode, Delta, Span

_NUMBERS = r"[ ]?\d{1,3}(?:[ ]?[,，、;；–-][ ]?\d{1,3}){0,9}[ ]?"
_TOKEN = re.compile(rf"(?P<code>`+)|(?P<line>\n)|(?P<mark>[ \t]{{0,3}}[\[［【]({_NUMBERS})[\]］】])")
_UNFINISHED = re.compile(r"(?:`+|[ \t]{0,3}[\[［【][\d ,，、;；–-]{0,60}|[ \t]{1,3})\Z")
_WRITTEN_RANGE = re.compile(r"(\d+)\s*[–-]\s*(\d+)")
_SAYS_SOMETHING = re.compile(r"[^\s.,;:。，；：、]")
MAX_CLAIM = 600
"""Characters before a mark that can be its claim."""


class Citer:
    """Turn one engine's events into deltas; feed it in order, then close it once.

    ``reads_marks`` says that citations stand in the text as ``[n]``; otherwise text is never touched and only Mark
    events cite. Half a mark, and white space that may belong to one, are held back until the next event tells; where
    nothing can be cited, text goes out in the pieces in which it came.
    """

    def __init__(self, evidence: Evidence, mode: CitationMode, *, reads_marks: bool) -> None:
        self._passages = {passage.number: passage for passage in evidence.passages}
        self._mode = mode
        self._reads_marks = reads_marks and bool(self._passages)
        self._is_plain = reads_marks and not self._passages
        self._support: dict[int, Support] = {}
        self._numbers: dict[tuple[int, Span], int] = {}
        self._held = ""
        self._fence = ""  # the back-ticks that opened the code we are in: marks are not read there
        self._n_written = 0
        self._claim = ""  # the text of the present paragraph since the last mark that text followed
        self._cited: set[int] = set()  # numbers that stand at the present spot already
        self._out: list[str] = []
        self._annotations: list[Annotation] = []

    def feed(self, event: Text | Mark) -> Delta | None:
        """Take the next event; returns what can be sent now."""
        if isinstance(event, Mark):
            self._take_mark(event)
        elif self._reads_marks:
            self._read(self._held + event.text, is_last=False)
        elif self._is_plain:
            return Delta(text=event.text) if event.text else None
        else:
            self._copy(self._held + event.text)
        return self._flush()

    def close(self) -> Delta | None:
        """Send what is still held back: the engine has ended."""
        held, self._held = self._held, ""
        if self._reads_marks:
            self._read(held, is_last=True)
        else:
            self._write(held)
        return self._flush()

    def _copy(self, text: str) -> None:
        """Write text of an engine that sends Marks; spaces at its end wait, a removed mark takes them along."""
        kept = text.rstrip(" \t")
        self._write(kept)
        self._held = text[len(kept) :]

    def _take_mark(self, mark: Mark) -> None:
        spaces, self._held = self._held, ""
        passage = self._passages.get(mark.number)
        if passage is None:
            return
        span = mark.span
        if span is None or not passage.span[0] <= span[0] < span[1] <= passage.span[1]:
            span = self._supported(passage)
        self._cite(spaces, [(passage, span)])

    def _read(self, text: str, *, is_last: bool) -> None:
        unfinished = None if is_last else _UNFINISHED.search(text)
        stop = unfinished.start() if unfinished else len(text)
        done = 0
        for token in _TOKEN.finditer(text, 0, stop):
            self._write(text[done : token.start()])
            done = token.end()
            self._take_token(token)
        self._write(text[done:stop])
        self._held = text[stop:]

    def _take_token(self, token: re.Match[str]) -> None:
        written = token.group()
        if token.lastgroup == "line":
            if len(self._fence) < 3:
                self._fence = ""
            self._write(written)
        elif token["code"]:
            if not self._fence:
                self._fence = written
            elif self._fence == written:
                self._fence = ""
            self._write(written)
        elif self._fence:
            self._write(written)
        else:
            self._read_mark(written)

    def _read_mark(self, written: str) -> None:
        body = written.lstrip(" \t")
        passages = [self._passages[n] for n in _numbers(body) if n in self._passages]
        self._cite(written[: len(written) - len(body)], [(passage, self._supported(passage)) for passage in passages])

    def _supported(self, passage: Passage) -> Span:
        support = self._support.setdefault(passage.number, Support(passage))
        return support.span_for(_last_claim(self._claim))

    def _cite(self, spaces: str, found: list[tuple[Passage, Span]]) -> None:
        """Write the marks of what was found; nothing at all, not even the spaces before, when nothing was."""
        for passage, span in found:
            number = self._numbers.setdefault((passage.document, span), len(self._numbers) + 1)
            if self._mode == "off" or number in self._cited:
                continue
            self._out.append(spaces)
            self._n_written += len(spaces)
            self._write_mark(number, passage, span)
            self._cited.add(number)
            spaces = ""

    def _write_mark(self, number: int, passage: Passage, span: Span) -> None:
        shown = f"[{number}]"
        start = self._n_written
        self._out.append(shown)
        self._n_written += len(shown)
        if self._mode != "marks":
            citation, is_url = citation_of(passage, span, number), self._mode == "urls"
            annotation = Annotation(start_index=start, end_index=self._n_written, citation=citation, is_url=is_url)
            self._annotations.append(annotation)

    def _write(self, text: str) -> None:
        if not text:
            return
        self._out.append(text)
        self._n_written += len(text)
        said = _SAYS_SOMETHING.search(text)
        if self._cited and said:
            self._claim, self._cited = "", set()
            text = text[said.start() :]
        self._claim = (self._claim + text)[-MAX_CLAIM:]

    def _flush(self) -> Delta | None:
        text, annotations = "".join(self._out), tuple(self._annotations)
        self._out, self._annotations = [], []
        return Delta(text=text, annotations=annotations) if text else None


def citation_of(passage: Passage, span: Span, number: int) -> Citation:
    """Make the citation of a span inside a passage; pages and section are those of the span, not of the passage."""
    first = span[0] - passage.span[0]
    quote = passage.text[first : first + span[1] - span[0]]
    assert len(quote) == span[1] - span[0], "a citation lies inside its passage"
    places = passage.places_in(span)
    return Citation(
        number=number,
        file_id=passage.file_id,
        document=passage.document,
        filename=passage.filename,
        pages=passage.pages_in(span),
        page_label=places[0].page_label if places else passage.page_label,
        section=places[0].section if places else passage.section,
        span=span,
        quote=quote,
    )


def _numbers(body: str) -> list[int]:
    """Read ``[1, 2]``, ``【1】``, ``[2-4]`` into the numbers meant, each once."""
    spread = _WRITTEN_RANGE.sub(_spread, body.strip("[]［］【】"))
    return list(dict.fromkeys(int(number) for number in re.findall(r"\d+", spread)))


def _spread(written: re.Match[str]) -> str:
    first, last = int(written[1]), int(written[2])
    return ",".join(str(n) for n in range(first, last + 1)) if first <= last < first + 10 else written[0]


def _last_claim(text: str) -> str:
    """Return the last sentence of what stands before a mark."""
    spans = sentence_spans(text)
    return text[slice(*spans[-1])] if spans else ""
