"""How often the embedded engine answers with the right sentence, and knows when there is none.

    python -m benchmarks.reading.answers [--questions 600] [--artifacts DIR] [--fit]

Prints, for the pools of ten million tokens that ``pool.py`` describes: the share of questions whose first sentence, or
one of whose first three, lies in the gold paragraph and has a gold answer; the same for the quotes as they are sent;
how well coverage tells answered questions from those whose document was taken away; how often the short answer is
right; CPU milliseconds. ``--fit`` fits the weights of the sentence features anew, on half of the questions.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.reading.pool import Question as PoolQuestion
from benchmarks.reading.pool import build_pool, load_pool
from numpy.typing import NDArray

from longscroll.documents.artifact import Artifact
from longscroll.engines.base import Evidence, Mark, Prompt
from longscroll.engines.extractive import Composition, compose
from longscroll.engines.scoring import CJK_WEIGHTS, LATIN_WEIGHTS, Features, Question, Scored, score_sentences
from longscroll.reading.evidence import OpenDocument, ReadingOptions, find_evidence
from longscroll.reading.messages import ReadTask, Source
from longscroll.reading.reader import language_of

FLOORS = {"en": (66, 80, 0.91), "zh": (68, 81, 0.95)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=600)
    parser.add_argument("--artifacts", type=Path, default=Path(tempfile.gettempdir()) / "longscroll-pools")
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    for language in ("en", "zh"):
        pool = load_pool(language)
        artifacts = build_pool(pool.documents, options.artifacts / language)
        questions = [question for question in pool.questions if question.text.strip()]
        random.Random(7).shuffle(questions)
        measure(language, artifacts, questions[: options.questions])
        if options.fit:
            fit_weights(language, artifacts, questions[: options.questions])


def measure(language: str, artifacts: Sequence[Artifact], questions: Sequence[PoolQuestion]) -> None:
    documents = [open_document(i, artifact) for i, artifact in enumerate(artifacts)]
    sentence_hits, quote_hits, shorts, ms = [], [], [], []
    covered, uncovered, kept, wrongly_kept = [], [], 0, 0
    for question in questions:
        began = time.process_time()
        prompt = ask(question.text, documents)
        composition = compose(prompt)
        ms.append(1000 * (time.process_time() - began))
        ranked = ranking_of(prompt.evidence, question.text)
        sentence_hits.append(first_hit([(s.passage.document, s.span, s.text) for s in ranked[:3]], question))
        quotes = quotes_of(composition, prompt.evidence)
        quote_hits.append(first_hit(quotes, question))
        shorts += short_hits(composition, question)
        covered.append(prompt.evidence.coverage)
        kept += prompt.evidence.is_covered
        without = ask(question.text, [d for d in documents if d.source.document != question.document])
        uncovered.append(without.evidence.coverage)
        wrongly_kept += without.evidence.is_covered
    at_1, at_3, auc_floor = FLOORS[language]
    n = len(questions)
    low, auc = auc_with_lower_bound(covered, uncovered)
    print(f"{language}: {n} questions, {len(artifacts)} documents, {sum(a.meta.n_tokens for a in artifacts):,} tokens")
    print(
        f"  answer sentence @1 / @3   {share(sentence_hits, 1)} / {share(sentence_hits, 3)} %   (floor {at_1} / {at_3})"
    )
    print(f"  answer quoted   @1 / @3   {share(quote_hits, 1)} / {share(quote_hits, 3)} %")
    print(f"  abstention AUC            {auc:.3f}, lower bound {low:.3f}   (floor {auc_floor})")
    print(f"  answered: {100 * kept / n:.1f} % with the document, {100 * wrongly_kept / n:.1f} % without it")
    print(f"  short answer              given {len(shorts)}, right {100 * sum(shorts) / max(1, len(shorts)):.1f} %")
    print(f"  CPU per question          p50 {np.percentile(ms, 50):.1f}, p99 {np.percentile(ms, 99):.1f} ms")


def open_document(number: int, artifact: Artifact) -> OpenDocument:
    return OpenDocument(Source(document=number, workspace="benchmark", filename=f"{number}.txt"), artifact)


def ask(question: str, documents: Sequence[OpenDocument]) -> Prompt:
    sources = tuple(document.source for document in documents)
    task = ReadTask(task=1, question=question, sources=sources, context_window=None)
    evidence = find_evidence(task, documents, ReadingOptions())
    return Prompt(model="", question=question, language=language_of(question), evidence=evidence, messages=())


def ranking_of(evidence: Evidence, question: str) -> list[Scored]:
    passages = sorted(evidence.passages, key=lambda passage: -passage.score)[:16]
    return score_sentences(Question(question, evidence.term_weights), passages)


def quotes_of(composition: Composition, evidence: Evidence) -> list[tuple[int, tuple[int, int], str]]:
    """The distinct spans that an answer cites, in order, with their text."""
    passages = {passage.number: passage for passage in evidence.passages}
    quotes = {}
    for part in composition.parts:
        if isinstance(part, Mark) and part.span:
            passage = passages[part.number]
            text = passage.text[part.span[0] - passage.span[0] : part.span[1] - passage.span[0]]
            quotes[passage.document, part.span] = text
    return [(document, span, text) for (document, span), text in quotes.items()]


def first_hit(found: Sequence[tuple[int, tuple[int, int], str]], question: PoolQuestion) -> int:
    """The rank, from 1, of the first that lies in the gold paragraph and has an answer; 0 for none."""
    for rank, (document, span, text) in enumerate(found, 1):
        is_in_gold = document == question.document and span[0] < question.span[1] and question.span[0] < span[1]
        if is_in_gold and any(answer in text for answer in question.answers):
            return rank
    return 0


def short_hits(composition: Composition, question: PoolQuestion) -> list[bool]:
    if len(composition.parts) < 3 or getattr(composition.parts[2], "text", "") != "\n\n":
        return []
    given = getattr(composition.parts[0], "text", "").strip()
    return [any(given in answer or answer in given for answer in question.answers)]


def share(hits: Sequence[int], within: int) -> str:
    return f"{100 * sum(0 < hit <= within for hit in hits) / len(hits):.1f}"


def auc_with_lower_bound(positive: Sequence[float], negative: Sequence[float]) -> tuple[float, float]:
    """The area under the curve, and its lower 95 % bound by Hanley and McNeil."""
    p, n = np.array(positive)[:, None], np.array(negative)[None, :]
    auc = float((p > n).mean() + 0.5 * (p == n).mean())
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (len(positive) - 1) * (q1 - auc**2) + (len(negative) - 1) * (q2 - auc**2)
    return auc - 1.96 * math.sqrt(spread / (len(positive) * len(negative))), auc


def fit_weights(language: str, artifacts: Sequence[Artifact], questions: Sequence[PoolQuestion]) -> None:
    """Fit by gradient ascent on the chance that a softmax over the sentences gives to the right ones."""
    documents = [open_document(i, artifact) for i, artifact in enumerate(artifacts)]
    data = [features_of(question, documents) for question in questions]
    half = len(data) // 2
    start = np.array(CJK_WEIGHTS if language == "zh" else LATIN_WEIGHTS)
    for name, train, test in (("first half", data[:half], data[half:]), ("second half", data[half:], data[:half])):
        weights = ascend(start, train)
        print(
            f"  fitted on the {name}: {precision(weights, test):.1f} % on the other, now {precision(start, test):.1f} %"
        )
    weights = ascend(start, data)
    for feature, weight in zip(Features._fields, weights / weights[weights > 0].sum(), strict=True):
        print(f"    {feature}={weight:.3f},")


def features_of(
    question: PoolQuestion, documents: Sequence[OpenDocument]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    ranked = ranking_of(ask(question.text, documents).evidence, question.text)
    hits = [first_hit([(s.passage.document, s.span, s.text)], question) == 1 for s in ranked]
    return np.array([s.features for s in ranked]).reshape(len(ranked), len(Features._fields)), np.array(
        hits, dtype=bool
    )


def ascend(
    start: NDArray[np.float64], data: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]]
) -> NDArray[np.float64]:
    weights, is_used = start * 40, start != 0
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    useful = [(x, y) for x, y in data if y.any() and not y.all()]
    for step in range(1, 301):
        gradient = sum((pull(x, y, weights) for x, y in useful), np.zeros_like(weights)) / len(useful)
        gradient = (gradient - 2e-3 * weights) * is_used
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        weights = weights + 0.1 * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return weights


def pull(x: NDArray[np.float64], y: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    chances = np.exp(x @ weights - (x @ weights).max())
    chances /= chances.sum()
    right = chances * y / max(1e-12, float((chances * y).sum()))
    pulled: NDArray[np.float64] = (right - chances) @ x
    return pulled


def precision(weights: NDArray[np.float64], data: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> float:
    return 100 * sum(bool(y[np.argmax(x @ weights)]) for x, y in data if len(y)) / len(data)


if __name__ == "__main__":
    main()
