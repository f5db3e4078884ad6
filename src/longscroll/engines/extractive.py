"""The engine without weights: it answers with the sentences of the evidence, each with the exact span it stands at.

Owns the shape of such an answer. Knows no document and no file, only the evidence of its prompt; choosing sentences is
CPU work, so ``compose`` is pure and runs wherever the caller's ``run`` takes it. The same prompt gives the same answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from itertools import groupby
from typing import Literal

from msgspec import Struct

from longscroll.engines.answer_types import short_answer
from longscroll.engines.base import (
    Ability,
    DocumentFacts,
    EngineEvent,
    EngineFinish,
    EngineUsage,
    Evidence,
    Mark,
    Passage,
    Prompt,
    Text,
)
from longscroll.engines.instructions import without_instructions
from longscroll.engines.phrases import (
    PHRASES,
    SPACE,
    Language,
    Phrases,
    attached,
    contents,
    in_brackets,
    opening,
    page_place,
)
from longscroll.engines.quotes import choose_quotes
from longscroll.engines.scoring import Question, Scored, score_sentences
from longscroll.engines.sentences import cjk_share, is_chinese, one_line
from longscroll.tokens import TokenCounter
from longscroll.types import Span

Part = Text | Mark

N_PASSAGES_READ = 16
"""Best passages whose sentences are scored."""
SURE_COVERAGE = 0.7
"""Share of the question that a sentence, with the one before, must have for its one number to be the answer."""


class Composition(Struct, frozen=True, kw_only=True):
    """A whole answer: text and marks in order."""

    parts: tuple[Part, ...]
    abstained: bool = False


class Extractive:
    """Answers by quoting; ``run`` composes in another process, ``counter`` keeps answers within max_tokens."""

    context_window: int | None = None
    writes_marks = False
    abilities: frozenset[Ability] = frozenset()

    def __init__(self, run: Callable[[Prompt], Awaitable[Composition]], counter: TokenCounter) -> None:
        self._run = run
        self._counter = counter

    async def generate(self, prompt: Prompt) -> AsyncIterator[EngineEvent]:
        """Write the answer part by part; see Engine."""
        composition = await self._run(prompt)
        max_tokens = prompt.sampling.max_tokens
        parts, reason = limit(composition.parts, max_tokens, self._counter, shows_marks=prompt.shows_marks)
        for part in parts:
            yield part
        n_output = self._counter.count("".join(part.text for part in parts if isinstance(part, Text)))
        usage = EngineUsage(n_input_tokens=prompt.evidence.n_tokens_read, n_output_tokens=n_output)
        yield EngineFinish(reason=reason, usage=usage, abstained=composition.abstained)


def compose(prompt: Prompt) -> Composition:
    """Write the whole answer to a prompt; 2–15 ms of CPU."""
    words, evidence = PHRASES[prompt.language], prompt.evidence
    if evidence.plan == "none":
        return Composition(parts=(Text(attached(evidence.documents, prompt.language) or words.no_documents),))
    if evidence.plan == "digest":
        return Composition(parts=tuple(_summary(evidence, prompt.language)))
    question = Question(without_instructions(prompt.question), evidence.term_weights)
    ranked = score_sentences(question, _best_first(evidence)[:N_PASSAGES_READ])
    if not ranked or not evidence.is_covered:
        return Composition(parts=tuple(_abstention(prompt, ranked)), abstained=True)
    return Composition(parts=tuple(_answer(prompt, ranked, words)))


def limit(
    parts: Sequence[Part], max_tokens: int | None, counter: TokenCounter, *, shows_marks: bool = True
) -> tuple[list[Part], Literal["stop", "length"]]:
    """Cut an answer at ``max_tokens`` tokens, visible marks included; says whether that ended it."""
    if max_tokens is None:
        return list(parts), "stop"
    kept: list[Part] = []
    written, numbers = "", dict[tuple[int, Span | None], int]()
    for part in parts:
        if isinstance(part, Text):
            more = part.text
        else:
            number = numbers.setdefault((part.number, part.span), len(numbers) + 1)
            more = f"[{number}]" if shows_marks else ""
        if counter.count(written + more) > max_tokens:
            if isinstance(part, Text):
                kept.append(Text(_longest_prefix(written, more, max_tokens, counter)))
            return [part for part in kept if part != Text("")], "length"
        kept.append(part)
        written += more
    return kept, "stop"


def _longest_prefix(written: str, more: str, n_tokens: int, counter: TokenCounter) -> str:
    low, high = 0, len(more)
    while low < high:
        middle = (low + high + 1) // 2
        if counter.count(written + more[:middle]) <= n_tokens:
            low = middle
        else:
            high = middle - 1
    return more[:low]


def _best_first(evidence: Evidence) -> list[Passage]:
    if not evidence.ranking:
        return sorted(evidence.passages, key=lambda passage: -passage.score)
    by_number = {passage.number: passage for passage in evidence.passages}
    return [by_number[number] for number in evidence.ranking]


def _answer(prompt: Prompt, ranked: Sequence[Scored], words: Phrases) -> Iterable[Part]:
    """The short answer where there is one, the best sentence, then what else is worth reading."""
    asked = without_instructions(prompt.question)
    (passage, span), *others = choose_quotes(ranked, asked)
    is_sure = ranked[0].features.coverage + ranked[0].features.before >= SURE_COVERAGE
    short = short_answer(asked, one_line(_text_at(passage, span))) if is_sure else None
    if short:
        yield Text(short + SPACE[prompt.language])
        yield Mark(passage.number, span)
        yield Text("\n\n")
    yield from _quote(passage, span, prompt)
    if others:
        yield Text(f"\n\n{words.also}\n")
        yield from _bullets(others, prompt)


def _abstention(prompt: Prompt, ranked: Sequence[Scored]) -> Iterable[Part]:
    words = PHRASES[prompt.language]
    yield Text(words.not_found)
    if _is_other_language(prompt):
        yield Text(f" {words.other_language}" if prompt.language == "en" else words.other_language)
    if ranked:
        yield Text(f"\n\n{words.closest}\n")
        yield from _bullets(choose_quotes(ranked, without_instructions(prompt.question)), prompt)


def _summary(evidence: Evidence, language: Language) -> Iterable[Part]:
    """One line on what each document is, then its sections with quotes."""
    words = PHRASES[language]
    if not evidence.passages:
        yield Text(words.no_text)
        return
    facts = {document.document: document for document in evidence.documents}
    many = len(facts) > 1
    quoted = 0
    for document, passages in groupby(evidence.passages, key=lambda passage: passage.document):
        if quoted:
            yield Text("\n\n")
        if document in facts:
            yield Text(_headline(facts[document], language, is_one=not many))
        yield from _sections(list(passages), language, is_nested=many)
        quoted += 1
    if len(facts) > quoted:
        yield Text("\n\n" + words.not_shown.format(n=len(facts) - quoted))


def _headline(facts: DocumentFacts, language: Language, *, is_one: bool) -> str:
    """Say what a document is, and list its main headings where it has them."""
    shown, listed, words = opening(facts, language), contents(facts, language), PHRASES[language]
    if not is_one:
        return f"**{shown}**\n\n" + (f"{listed}\n\n" if listed else "")
    stop = "。" if language == "zh" else "."
    first = f"{shown}{stop}\n\n{listed}\n\n" if listed else shown + stop + (SPACE["en"] if language == "en" else "")
    return f"{first}{words.spans_whole}\n\n"


def _sections(passages: Sequence[Passage], language: Language, *, is_nested: bool) -> Iterable[Part]:
    is_first = True
    for section, members in groupby(passages, key=lambda passage: passage.section):
        if not is_first:
            yield Text("\n" if is_nested else "\n\n")
        is_first = False
        if section:
            title = one_line(section)
            yield Text(f"*{title}*\n" if is_nested else f"**{title}**\n")
        for i, passage in enumerate(members):
            yield Text("\n- " if i else "- ")
            yield from _quoted(passage, passage.span, _pages_of(passage, passage.span, language), language)


def _bullets(quotes: Iterable[tuple[Passage, Span]], prompt: Prompt) -> Iterable[Part]:
    for passage, span in quotes:
        yield Text("\n- ")
        yield from _quote(passage, span, prompt)


def _quote(passage: Passage, span: Span, prompt: Prompt) -> Iterable[Part]:
    """Quote a span with its place: the file's name where there are several, and pages or else the section."""
    language = prompt.language
    many = len({document.document for document in prompt.evidence.documents} | {passage.document}) > 1
    pages = _pages_of(passage, span, language)
    parts = (passage.filename if many and passage.filename else "", pages or one_line(passage.section or ""))
    place = ("，" if language == "zh" else ", ").join(part for part in parts if part)
    yield from _quoted(passage, span, place, language)


def _quoted(passage: Passage, span: Span, place: str, language: Language) -> Iterable[Part]:
    text = one_line(_text_at(passage, span))
    yield Text(_in_quotes(text) + in_brackets(place, language) + SPACE[language])
    yield Mark(passage.number, span)


def _text_at(passage: Passage, span: Span) -> str:
    base = passage.span[0]
    return passage.text[span[0] - base : span[1] - base]


def _in_quotes(text: str) -> str:
    inner = text[1:-1]
    if text[0] in "“「『" and text[-1] in "”」』" and not any(mark in inner for mark in "“”「」『』"):
        return text
    return f"「{text}」" if cjk_share(text) > 0 and ("“" in text or "”" in text) else f"“{text}”"


def _pages_of(passage: Passage, span: Span, language: Language) -> str:
    pages = passage.pages_in(span)
    return page_place(pages, language) if pages else ""


def _is_other_language(prompt: Prompt) -> bool:
    """Tell whether no document is in the script of the question itself, whatever language it wants the answer in."""
    documents = prompt.evidence.documents
    language = "zh" if is_chinese(without_instructions(prompt.question)) else "en"
    return bool(documents) and all(document.language != language for document in documents)
