"""What Longscroll adds to both protocols: request options, annotations, the report, progress.

The shapes are fixed by DESIGN.md, "Citation". Clients that do not know these keys ignore them; nothing documented is
renamed or taken away.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from longscroll.services.references import SCHEME
from longscroll.types import Annotation, CitationMode, Progress, Report


class Options(Struct, frozen=True, kw_only=True):
    """The ``longscroll`` object of a request."""

    citations: CitationMode | None = None
    report: bool = False
    partial: bool = False


class FileCitation(Struct, frozen=True, kw_only=True):
    """Where a statement stands; ``span`` in the text that ``GET /files/{id}/content`` returns."""

    number: int
    file_id: str | None
    document: int
    filename: str | None
    pages: tuple[int, ...] | None
    page_label: str | None
    section: str | None
    span: tuple[int, int]
    quote: str


class UrlCitation(Struct, frozen=True, kw_only=True):
    """The same as a link, as OpenAI's chat surface has it: clients with strict types read no other kind."""

    start_index: int
    end_index: int
    title: str
    url: str


class WireAnnotation(Struct, frozen=True, kw_only=True):
    """One visible mark of an answer; indexes are code points of ``content``, half-open."""

    type: Literal["file_citation", "url_citation"]
    start_index: int
    end_index: int
    file_citation: FileCitation
    url_citation: UrlCitation | UnsetType = UNSET


class WireParsed(Struct, frozen=True, kw_only=True):
    """How much of a document there was to read, while the rest was still being parsed."""

    done: int
    total: int | None
    unit: str


class WireSource(Struct, frozen=True, kw_only=True):
    """One document of a report; ``parsed`` only where it was not whole yet."""

    document: int
    file_id: str | None
    filename: str | None
    tokens: int
    tokens_read: int
    pages: int | None
    unreadable_pages: tuple[int, ...]
    parsed: WireParsed | UnsetType = UNSET


class WireReport(Struct, frozen=True, kw_only=True):
    """The ``longscroll`` object of a reply whose request asked for a report, or that read the beginning of a file."""

    plan: str
    plan_reason: str
    abstained: bool
    coverage: float
    tokens_read: int
    tokens_not_read: int
    model_served: str
    sources: tuple[WireSource, ...]
    engine_usage: dict[str, int] | None


class WireReadable(Struct, frozen=True, kw_only=True):
    """The beginning of a file that a chat may be answered from already."""

    done: int
    tokens: int


class WireProgress(Struct, frozen=True, kw_only=True):
    """How far the parse of a file is; ``rate`` in units a second. What is not known yet is null."""

    stage: str
    done: int
    total: int | None
    unit: str
    rate: float | None = None
    seconds_left: float | None = None
    readable: WireReadable | None = None


class FileExtension(Struct, frozen=True, kw_only=True):
    """The ``longscroll`` object of a file that is being parsed."""

    progress: WireProgress


def render_annotations(annotations: Iterable[Annotation]) -> tuple[WireAnnotation, ...] | UnsetType:
    """Return the annotations as sent, or UNSET, which sends nothing, when there are none."""
    return tuple(_render_annotation(annotation) for annotation in annotations) or UNSET


def render_report(report: Report | None) -> WireReport | UnsetType:
    """Return the report as sent, or UNSET."""
    if report is None:
        return UNSET
    return WireReport(
        plan=report.plan,
        plan_reason=report.plan_reason,
        abstained=report.abstained,
        coverage=report.coverage,
        tokens_read=report.n_tokens_read,
        tokens_not_read=report.n_tokens_not_read,
        model_served=report.model_served,
        sources=tuple(
            WireSource(
                document=source.document,
                file_id=source.file_id,
                filename=source.filename,
                tokens=source.n_tokens,
                tokens_read=source.n_tokens_read,
                pages=source.n_pages,
                unreadable_pages=source.unreadable_pages,
                parsed=_render_parsed(source.parsed),
            )
            for source in report.sources
        ),
        engine_usage=report.engine_usage,
    )


def render_progress(progress: Progress | None) -> FileExtension | UnsetType:
    """Return a file's ``longscroll`` object, or UNSET when nothing is known."""
    if progress is None:
        return UNSET
    readable = progress.readable
    return FileExtension(
        progress=WireProgress(
            stage=progress.stage,
            done=progress.n_done,
            total=progress.n_total,
            unit=progress.unit,
            rate=None if progress.per_s is None else round(progress.per_s, 1),
            seconds_left=None if progress.left_s is None else round(progress.left_s, 1),
            readable=None if readable is None else WireReadable(done=readable.n_done, tokens=readable.n_tokens),
        )
    )


def _render_parsed(parsed: Progress | None) -> WireParsed | UnsetType:
    """Return what there was to read, which may be less than what was parsed by then."""
    if parsed is None:
        return UNSET
    n_done = 0 if parsed.readable is None else parsed.readable.n_done
    return WireParsed(done=n_done, total=parsed.n_total, unit=parsed.unit)


def _render_annotation(annotation: Annotation) -> WireAnnotation:
    citation = annotation.citation
    return WireAnnotation(
        type="url_citation" if annotation.is_url else "file_citation",
        start_index=annotation.start_index,
        end_index=annotation.end_index,
        file_citation=FileCitation(
            number=citation.number,
            file_id=citation.file_id,
            document=citation.document,
            filename=citation.filename,
            pages=citation.pages,
            page_label=citation.page_label,
            section=citation.section,
            span=citation.span,
            quote=citation.quote,
        ),
        url_citation=_as_url(annotation) if annotation.is_url else UNSET,
    )


def _as_url(annotation: Annotation) -> UrlCitation:
    citation = annotation.citation
    page = f"#page={citation.pages[0]}" if citation.pages else ""
    return UrlCitation(
        start_index=annotation.start_index,
        end_index=annotation.end_index,
        title=citation.filename or f"document {citation.document + 1}",
        url=f"{SCHEME}{citation.file_id}{page}" if citation.file_id else "about:blank",
    )
