"""What does it cost to make ten million tokens ready to be asked? CPU seconds by step, beside named peers.

    python -m benchmarks.reading.ingest en|zh [--peers]

Reads the books of the pool, builds one artifact for each in memory, and times the steps apart on the same text. Peers
(bm25s, tantivy) index the same passages where they are installed; they count no tokens and keep no text. Floor: the
whole way from acknowledged to processed, all processes, at most 9 CPU seconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import resource
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import pairwise
from typing import TypeVar

from benchmarks.reading.pool import books

from longscroll.documents.build import build_artifact
from longscroll.documents.passages import cut_passages
from longscroll.documents.segment import Segment, build_segment
from longscroll.documents.terms import Lexer
from longscroll.parsing.base import Page
from longscroll.tokens import load_counter

T = TypeVar("T")

MAX_SEGMENT = 1500  # passages, as large as those of an artifact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("language", choices=["en", "zh"])
    parser.add_argument("--peers", action="store_true", help="time other indexes on the same passages")
    arguments = parser.parse_args()
    texts = list(books(arguments.language))
    n_bytes = sum(len(text.encode()) for text in texts)
    print(f"{arguments.language}: {len(texts)} documents, {n_bytes / 1e6:.1f} MB of UTF-8")
    report_steps(texts)
    if arguments.peers:
        report_peers(arguments.language, [passage for text in texts for passage in passages_of(text)])


def report_steps(texts: Sequence[str]) -> None:
    counter = timed("load the vocabulary", load_counter)
    before_mb = peak_mb()
    sizes, n_tokens = [], 0

    def build() -> None:
        nonlocal n_tokens
        for text in texts:
            out = BytesIO()
            n_tokens += build_artifact([Page(number=None, text=text)], out, counter).n_tokens
            sizes.append(out.tell())

    timed("build all artifacts", build)
    print(f"    {n_tokens:,} tokens; {sum(sizes) / 1e6:.1f} MB stored; peak memory {before_mb} → {peak_mb()} MB")
    passages = [timed_quietly(passages_of, text) for text in texts]
    print_time("of that: cut passages", sum(elapsed for _, elapsed in passages))
    timed("of that: count tokens", lambda: [counter.count(text) for text in texts])
    timed("of that: index", lambda: [index_of(cut) for cut, _ in passages])


def passages_of(text: str) -> list[str]:
    return [text[start:stop] for start, stop in pairwise((0, *cut_passages(text)))]


def index_of(passages: Sequence[str]) -> list[Segment]:
    lexer = Lexer()
    stops = range(0, len(passages), MAX_SEGMENT)
    return [build_segment(passages[start : start + MAX_SEGMENT], lexer) for start in stops]


def report_peers(language: str, passages: list[str]) -> None:
    for name, build in (("bm25s", build_bm25s), ("tantivy", build_tantivy)):
        if importlib.util.find_spec(name) is None:
            print(f"{name:>32}   skipped: not installed")
            continue
        start = time.process_time()
        build(passages if language == "en" else [with_pairs(passage) for passage in passages])
        print_time(f"{name}, index alone", time.process_time() - start)


def build_bm25s(passages: list[str]) -> None:
    import bm25s  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - a peer, only where it is installed
    import Stemmer  # noqa: PLC0415

    tokens = bm25s.tokenize(passages, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False)
    bm25s.BM25().index(tokens, show_progress=False)


def build_tantivy(passages: list[str]) -> None:
    import tantivy  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - a peer, only where it is installed

    schema = tantivy.SchemaBuilder().add_text_field("text", tokenizer_name="en_stem").build()
    writer = tantivy.Index(schema).writer(num_threads=1)
    for passage in passages:
        writer.add_document(tantivy.Document(text=passage))
    writer.commit()
    writer.wait_merging_threads()


def with_pairs(text: str) -> str:
    """Write pairs of Chinese characters as words, as those peers need it."""
    return re.sub(r"[㐀-鿿]+", lambda run: " ".join(a + b for a, b in pairwise(run[0])), text)


def timed(name: str, work: Callable[[], T]) -> T:
    result, elapsed = timed_quietly(work)
    print_time(name, elapsed)
    return result


def timed_quietly(work: Callable[..., T], *arguments: str) -> tuple[T, float]:
    start = time.process_time()
    result = work(*arguments)
    return result, time.process_time() - start


def print_time(name: str, elapsed: float) -> None:
    print(f"{name:>32}   {elapsed:6.2f} CPU s")


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
