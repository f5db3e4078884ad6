"""Does the passage with the answer come first, over ten million tokens? And what does a question cost?

    python -m benchmarks.reading.ranking en|zh [--questions N] [--seed N] [--folder DIR]

The pool is 98 English books (or 54 Chinese novels) with the articles of SQuAD 1.1 (or CMRC 2018) among them. A hit is a
passage of the right document that overlaps the right paragraph and has an answer in it. Floors: @1 80 / 92 % and inside
16k tokens 97.5 / 99 % as lower 95 % bounds, needles @1 100 %, CPU p50 10 ms and p99 50 ms.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from math import sqrt
from pathlib import Path

from benchmarks.reading.pool import Question, build_pool, load_pool

from longscroll.documents.artifact import Artifact
from longscroll.reading.rank import Hit, Ranking, rank

IN_BUDGET = 16_000
N_NEEDLES = 110
ADJECTIVES = ("amber", "bold", "calm", "dusty", "eager", "faint", "gentle", "hollow", "ivory", "jolly", "keen", "lucid")
NOUNS = ("anvil", "beacon", "candle", "dagger", "ember", "falcon", "goblet", "hammer", "island", "jacket", "kettle")
ZH_ADJECTIVES = ("青铜", "翡翠", "琥珀", "白玉", "赤金", "玄铁", "紫檀", "碧水", "寒霜", "烈火")
ZH_NOUNS = ("宝剑", "古镜", "灯笼", "罗盘", "酒壶", "棋盘", "屏风", "折扇", "铜钟", "马鞍", "玉佩")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("language", choices=["en", "zh"])
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the artifacts there for the next run")
    arguments = parser.parse_args()
    pool = load_pool(arguments.language)
    with tempfile.TemporaryDirectory() as temporary:
        artifacts = build_pool(pool.documents, arguments.folder or Path(temporary))
        n_tokens = sum(artifact.meta.n_tokens for artifact in artifacts)
        n_passages = sum(artifact.n_passages for artifact in artifacts)
        print(f"{arguments.language}: {len(artifacts)} documents, {n_tokens:,} tokens, {n_passages:,} passages")
        questions = random.Random(arguments.seed).sample(pool.questions, min(arguments.questions, len(pool.questions)))
        report_questions(artifacts, questions)
        report_removed(artifacts, questions[:1000])
        folder = Path(temporary) / "needles"
        report_needles(arguments.language, pool.documents, folder)


def report_questions(artifacts: Sequence[Artifact], questions: Sequence[Question]) -> None:
    rank(artifacts, questions[0].text)  # maps and checks the segments
    first: list[int | None] = []
    in_budget, cpu_ms = 0, []
    for question in questions:
        ranking, elapsed = timed(artifacts, question.text)
        place = next((i for i, hit in enumerate(ranking.hits) if is_hit(artifacts, question, hit)), None)
        first.append(place)
        cpu_ms.append(elapsed)
        if place is not None:
            read = ranking.hits[: place + 1]
            in_budget += sum(artifacts[hit.document].passage_tokens(hit.passage) for hit in read) <= IN_BUDGET
    for name, n_found in (
        *((f"@{k}", sum(place is not None and place < k for place in first)) for k in (1, 5, 20)),
        ("in 16k tokens", in_budget),
    ):
        share, bound = n_found / len(first), lower_bound(n_found, len(first))
        print(f"{name:>14} {share:7.1%}   lower 95 % bound {bound:6.1%}   ({len(first)} questions)")
    print_times("question", cpu_ms)


def report_removed(artifacts: Sequence[Artifact], questions: Sequence[Question]) -> None:
    """Ask again with the document taken away: does coverage tell?"""
    present = [rank(artifacts, question.text).coverage for question in questions]
    absent = []
    for question in questions:
        others = [artifact for i, artifact in enumerate(artifacts) if i != question.document]
        absent.append(rank(others, question.text).coverage)
    wins = sum((p > a) + 0.5 * (p == a) for p in present for a in absent)
    auc = wins / (len(present) * len(absent))
    print(f"coverage tells a removed document: AUC {auc:.3f}")
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7):
        kept = sum(p >= threshold for p in present) / len(present)
        wrong = sum(a >= threshold for a in absent) / len(absent)
        print(f"    threshold {threshold}: answers {kept:.1%} of what is there, {wrong:.1%} of what is not")


def report_needles(language: str, documents: list[str], folder: Path) -> None:
    """Hide keys that share their halves with each other, and ask for each."""
    keys = needle_keys(language)[:N_NEEDLES]
    generator = random.Random(7)
    hidden = [list[str]() for _ in documents]
    for i, key in enumerate(keys):
        hidden[i * len(documents) // len(keys)].append(needle(language, key, generator.randrange(10**6, 10**7)))
    salted = [salt(text, lines, generator) for text, lines in zip(documents, hidden, strict=True)]
    artifacts = build_pool(salted, folder)
    n_first, cpu_ms = 0, []
    for key in keys:
        ranking, elapsed = timed(artifacts, needle_question(language, key))
        cpu_ms.append(elapsed)
        best = ranking.hits[0]
        n_first += needle(language, key, None) in artifacts[best.document].passage_text(best.passage)
    print(f"needles @1: {n_first} of {len(keys)}")
    print_times("needle", cpu_ms)


def needle_keys(language: str) -> list[str]:
    if language == "en":
        return [f"{adjective}-{noun}" for noun in NOUNS for adjective in ADJECTIVES]
    return [f"{adjective}{noun}" for noun in ZH_NOUNS for adjective in ZH_ADJECTIVES]


def needle(language: str, key: str, value: int | None) -> str:
    if language == "en":
        return f"One of the special magic numbers for {key} is: " + (f"{value}." if value else "")
    return f"关于{key}的一个特别的魔法数字是：" + (f"{value}。" if value else "")


def needle_question(language: str, key: str) -> str:
    if language == "en":
        return f"What is the special magic number for {key} mentioned in the provided text?"
    return f"文中提到的关于{key}的特别的魔法数字是多少？"


def salt(text: str, lines: Sequence[str], generator: random.Random) -> str:
    for line in lines:
        at = text.find("\n", generator.randrange(len(text))) + 1
        text = f"{text[:at]}{line}\n{text[at:]}"
    return text


def timed(artifacts: Sequence[Artifact], question: str) -> tuple[Ranking, float]:
    start = time.thread_time()
    ranking = rank(artifacts, question)
    return ranking, (time.thread_time() - start) * 1000


def is_hit(artifacts: Sequence[Artifact], question: Question, hit: Hit) -> bool:
    if hit.document != question.document:
        return False
    start, stop = artifacts[hit.document].passage_span(hit.passage)
    if stop <= question.span[0] or start >= question.span[1]:
        return False
    text = artifacts[hit.document].passage_text(hit.passage)
    return any(answer in text for answer in question.answers)


def lower_bound(n_found: int, n: int, z: float = 1.96) -> float:
    """Wilson's lower bound of a share."""
    share = n_found / n
    center, spread = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (center - spread) / (1 + z * z / n)


def print_times(name: str, cpu_ms: list[float]) -> None:
    cuts = statistics.quantiles(cpu_ms, n=100)
    print(f"CPU ms for a {name}: p50 {cuts[49]:.1f}, p99 {cuts[98]:.1f}")


if __name__ == "__main__":
    main()
