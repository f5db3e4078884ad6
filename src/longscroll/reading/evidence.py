"""From a question and open documents to the evidence for it: plan, rank or digest, pack.

Owns the order of these steps and the making of numbered passages. Pure; reads mapped artifacts; knows no process, no
prompt and no engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from longscroll.documents.artifact import Artifact, OutlineEntry
from longscroll.engines.base import DocumentFacts, Evidence, Passage, Place
from longscroll.engines.instructions import without_instructions
from longscroll.engines.sentences import is_chinese_text, one_line, sentence_spans
from longscroll.engines.terms import is_cjk
from longscroll.reading.digest import pick_passages, pick_sentences
from longscroll.reading.messages import ReadTask, Source
from longscroll.reading.pack import BudgetTooSmall, Choice, PackOptions, everything, pack
from longscroll.reading.plan import Plan, PlanOptions, Room, choose
from longscroll.reading.question import asks_nothing, implied_words, subject_terms
from longscroll.reading.rank import Hit, Ranking, rank
from longscroll.types import Span

MAX_TITLE = 120
MIN_TITLE_BYTES = 12
MAX_HEADINGS = 24
_GENERIC = "cover titlepage contents tableofcontents halftitle frontmatter 封面 标题页 目录 扉页 书名页 版权页 目次"
_NO_TITLES = frozenset(_GENERIC.split())
FRONT_CHARS = 1000
"""A title stands within so many characters of the beginning."""


class ReadingOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How documents are read for a question."""

    plan: PlanOptions = PlanOptions()
    pack: PackOptions = PackOptions()
    n_ranked: int = 60
    full_strength: float = 2.5  # score of the best passage, by the sum of the question's idf, that leaves no doubt
    # Coverage below which the documents count as having no answer: at one passage, and more for each tenfold of them,
    # because among more passages more is found by chance.
    needed_latin: tuple[float, float] = (0.1, 0.092)
    needed_cjk: tuple[float, float] = (0.1, 0.064)


class OpenDocument(NamedTuple):
    """A source of the conversation with its artifact."""

    source: Source
    artifact: Artifact


def find_evidence(task: ReadTask, documents: Sequence[OpenDocument], options: ReadingOptions) -> Evidence:
    """Find what an engine reads for a question; CPU work, about 10 ms for a lookup over ten million tokens."""
    if task.context_window is None and documents and asks_nothing(task.question):
        return _only_facts(documents)
    task = structs.replace(task, question=without_instructions(task.question))
    room = Room(
        context_window=task.context_window,
        n_reserved=task.n_reserved_tokens,
        n_wanted=task.n_budget_tokens,
        prefill_tokens_per_s=task.prefill_tokens_per_s,
    )
    sizes = [document.artifact.meta.n_tokens for document in documents]
    plan = choose(task.question, sizes, room=room, options=options.plan)
    if plan.kind == "none":
        return Evidence(plan="none", plan_reason=plan.reason)
    if plan.kind == "lookup":
        found = _look_up(task, documents, plan, options)
    elif plan.kind == "whole":
        choices = everything([_token_counts(document.artifact) for document in documents])
        passages = _passages(documents, choices)
        found = Evidence(plan="whole", plan_reason=plan.reason, passages=passages, coverage=1.0)
    else:
        found = _digest(documents, plan, options, is_quoting=task.context_window is None)
    facts = tuple(_facts(document, found) for document in documents)
    n_read = sum(n_tokens_read(found, documents))
    return structs.replace(found, documents=facts, n_tokens_read=n_read, n_tokens_total=sum(sizes))


def _only_facts(documents: Sequence[OpenDocument]) -> Evidence:
    """Read nothing: an engine that quotes has only to say what is there."""
    found = Evidence(plan="none", plan_reason="the message asks nothing")
    facts = tuple(_facts(document, found) for document in documents)
    n_total = sum(document.artifact.meta.n_tokens for document in documents)
    return structs.replace(found, documents=facts, n_tokens_total=n_total)


def n_tokens_read(evidence: Evidence, documents: Sequence[OpenDocument]) -> list[int]:
    """Count, for each document, the tokens that stand in the evidence; a part of a passage counts by its length."""
    by_position = {document.source.document: i for i, document in enumerate(documents)}
    counts = [0] * len(documents)
    for passage in evidence.passages:
        i = by_position[passage.document]
        counts[i] += _tokens_in(documents[i].artifact, passage.span)
    return counts


def _tokens_in(artifact: Artifact, span: Span) -> int:
    n_tokens = 0.0
    for passage in range(artifact.passage_at(span[0]), artifact.passage_at(span[1] - 1) + 1):
        start, stop = artifact.passage_span(passage)
        share = (min(stop, span[1]) - max(start, span[0])) / (stop - start)
        n_tokens += share * artifact.passage_tokens(passage)
    return round(n_tokens)


def _look_up(task: ReadTask, documents: Sequence[OpenDocument], plan: Plan, options: ReadingOptions) -> Evidence:
    artifacts = [document.artifact for document in documents]
    borrowed = (*subject_terms(task.question, task.history), implied_words(task.question))
    ranking = rank(artifacts, task.question, limit=options.n_ranked, extra_terms=borrowed)
    is_quoting = task.context_window is None
    if not ranking.hits:
        return _nothing_found(documents, plan, options, is_quoting=is_quoting)
    packing = structs.replace(options.pack, n_fronts=0, n_neighbored=0, max_joined=1) if is_quoting else options.pack
    hits = _distinct(ranking.hits, artifacts)
    sizes = [_token_counts(artifact) for artifact in artifacts]
    named = _named(task.question, documents)
    try:
        choices = pack(hits, sizes, budget=plan.budget, named=named, options=packing)
        passages = _passages(documents, choices)
    except BudgetTooSmall:
        passages = _cut(documents, hits[0], plan.budget - packing.header_tokens)
    found = Evidence(plan="lookup", plan_reason=plan.reason, passages=passages)
    return _judge(found, ranking, task.question, n_passages=sum(map(len, sizes)), options=options)


def _judge(found: Evidence, ranking: Ranking, question: str, *, n_passages: int, options: ReadingOptions) -> Evidence:
    """Add how the passages rank and how well they cover the question itself, without what it borrows."""
    own = question.lower()
    total = sum(w for term, w in ranking.term_weights.items() if term in own or term[:-1] in own) or 1.0
    strength = min(1.0, ranking.hits[0].score / (options.full_strength * total))
    coverage = 0.25 * ranking.coverage + 0.75 * strength
    is_cjk_question = sum(map(is_cjk, ranking.term_weights)) * 2 > len(ranking.term_weights)
    needed = options.needed_cjk if is_cjk_question else options.needed_latin
    return structs.replace(
        found,
        ranking=tuple(passage.number for passage in sorted(found.passages, key=lambda passage: -passage.score)),
        coverage=round(coverage, 3),
        is_covered=coverage >= needed[0] + needed[1] * math.log10(max(1, n_passages)),
        term_weights=ranking.term_weights,
    )


def _nothing_found(
    documents: Sequence[OpenDocument], plan: Plan, options: ReadingOptions, *, is_quoting: bool
) -> Evidence:
    """No word of the question stands anywhere: a model still gets passages that span the documents."""
    if is_quoting:
        return Evidence(plan="lookup", plan_reason=f"{plan.reason}; none of its words stands there", is_covered=False)
    reason = f"{plan.reason}; none of its words stands there, so passages that span the documents are read"
    found = _digest(documents, structs.replace(plan, reason=reason), options, is_quoting=False)
    return structs.replace(found, plan="lookup", is_covered=False)


def _digest(documents: Sequence[OpenDocument], plan: Plan, options: ReadingOptions, *, is_quoting: bool) -> Evidence:
    artifacts = [document.artifact for document in documents]
    if is_quoting:
        picks = pick_sentences(artifacts)
        passages = tuple(
            _passage(n, documents[pick.document], pick.span, pick.score) for n, pick in enumerate(picks, 1)
        )
    else:
        places = pick_passages(artifacts, plan.budget, options.pack.header_tokens)
        passages = _passages(documents, [Choice(d, p, p + 1, artifacts[d].passage_tokens(p), 0.0) for d, p in places])
    coverage = 1.0 if passages else 0.0
    return Evidence(plan="digest", plan_reason=plan.reason, passages=passages, coverage=coverage)


def _distinct(hits: Sequence[Hit], artifacts: Sequence[Artifact]) -> list[Hit]:
    """Leave out a passage whose text came before: the same file twice, or boilerplate."""
    kept, seen = list[Hit](), set[str]()
    for hit in hits:
        text = "".join(artifacts[hit.document].passage_text(hit.passage).split())
        if text not in seen:
            seen.add(text)
            kept.append(hit)
    return kept


def _named(question: str, documents: Sequence[OpenDocument]) -> list[int]:
    """Find the documents whose file name, without its ending, stands in the question."""
    asked = question.lower()
    stems = ((d, (document.source.filename or "").lower().rsplit(".", 1)[0]) for d, document in enumerate(documents))
    return [d for d, stem in stems if len(stem) >= 2 and stem in asked]


def _token_counts(artifact: Artifact) -> NDArray[np.uint32]:
    return artifact.passage_n_tokens


def _cut(documents: Sequence[OpenDocument], hit: Hit, n_tokens: int) -> tuple[Passage, ...]:
    """Take as many whole sentences of one passage as a small window leaves room for, by their share of its tokens."""
    document = documents[hit.document]
    start, _ = document.artifact.passage_span(hit.passage)
    text = document.artifact.passage_text(hit.passage)
    room = int(len(text) * 0.8 * n_tokens / max(1, document.artifact.passage_tokens(hit.passage)))
    stops = [stop for _, stop in sentence_spans(text) if stop <= room]
    return (_passage(1, document, (start, start + stops[-1]), hit.score),) if stops else ()


def _passages(documents: Sequence[OpenDocument], choices: Iterable[Choice]) -> tuple[Passage, ...]:
    made = []
    for number, choice in enumerate(choices, 1):
        document = documents[choice.document]
        start, _ = document.artifact.passage_span(choice.first)
        _, stop = document.artifact.passage_span(choice.stop - 1)
        made.append(_passage(number, document, (start, stop), choice.score))
    return tuple(made)


def _passage(number: int, document: OpenDocument, span: Span, score: float) -> Passage:
    source, artifact = document
    places = _places(artifact, span)
    return Passage(
        number=number,
        document=source.document,
        file_id=source.file_id,
        filename=source.filename,
        text=artifact.text(span),
        span=span,
        pages=artifact.pages_of(span),
        page_label=places[0].page_label,
        section=places[0].section,
        places=places,
        score=score,
    )


def _places(artifact: Artifact, span: Span) -> tuple[Place, ...]:
    """Return where page or section change inside a span, its start first."""
    places = []
    for offset in (span[0], *artifact.breaks_in(span)):
        pages = artifact.pages_of((offset, offset + 1))
        places.append(
            Place(
                offset=offset,
                page=pages[0] if pages else None,
                page_label=artifact.page_label_of(offset),
                section=artifact.section_of(offset),
            )
        )
    return tuple(places)


def _facts(document: OpenDocument, found: Evidence) -> DocumentFacts:
    """Say what a document is; what only a summary, or a question without an answer, needs is found for these only."""
    source, artifact = document
    facts = DocumentFacts(
        document=source.document,
        filename=source.filename,
        title=None,
        n_pages=artifact.meta.n_pages,
        n_tokens=artifact.meta.n_tokens,
    )
    if found.plan == "lookup" and found.is_covered:
        return facts
    language: Literal["zh", "en"] = "zh" if is_chinese_text(_sample(artifact)) else "en"
    if found.plan == "lookup":
        return structs.replace(facts, language=language)
    headings = _main_headings(artifact.outline)
    return structs.replace(facts, language=language, title=_title(artifact), headings=headings)


def _sample(artifact: Artifact) -> str:
    """Return text by which a document's script is told: a cover may be in another than the rest."""
    n = artifact.meta.n_chars
    return artifact.text((0, min(n, FRONT_CHARS))) + artifact.text((n // 2, min(n, n // 2 + 2 * FRONT_CHARS)))


def _main_headings(outline: Sequence[OutlineEntry]) -> tuple[str, ...]:
    """Return the headings of the highest level that has several; none where only deep ones repeat."""
    for level in sorted({entry.level for entry in outline})[:2]:
        titles = [one_line(entry.title)[:MAX_TITLE] for entry in outline if entry.level == level]
        if len(titles) > 1:
            return (*filter(None, titles[:MAX_HEADINGS]), *(["…"] if len(titles) > MAX_HEADINGS else []))
    return ()


def _title(artifact: Artifact) -> str | None:
    """Return the first heading where it opens the document, else a first line that looks like a title."""
    if artifact.outline and artifact.outline[0].offset < FRONT_CHARS and artifact.outline[0].level == 1:
        heading = one_line(artifact.outline[0].title)[:MAX_TITLE]
        if "".join(heading.lower().split()) not in _NO_TITLES:
            return heading or None
    first = next((line.strip() for line in artifact.text((0, FRONT_CHARS)).splitlines() if line.strip()), "")
    is_sentence = first[-1:] in ".。!！?？;；:：,，、-" or first[:1].islower()
    width = len(first.encode("utf-8", "replace"))
    says_something = width >= MIN_TITLE_BYTES and sum(map(str.isalpha, first)) > 3
    return first if says_something and len(first) <= 80 and not is_sentence else None
