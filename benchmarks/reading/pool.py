"""The pool that reading is measured on: books and novels with question-and-answer articles among them.

The data is not part of the repository: it is looked for beside it, see ``EVAL``.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from longscroll.documents.artifact import Artifact
from longscroll.documents.build import build_artifact
from longscroll.parsing.base import Page
from longscroll.tokens import load_counter
from longscroll.types import Span

EVAL = Path(__file__).resolve().parents[2] / "../shared/eval"
ARTICLES = {"en": ("squad11_dev_a",), "zh": ("cmrc2018_dev_a", "cmrc2018_trial")}
PARAGRAPHS_IN_DOCUMENT = 20  # where an article is one paragraph


Paragraph = dict[str, Any]


class Question(NamedTuple):
    """A question, and where its answer stands."""

    text: str
    document: int
    span: Span  # of the gold paragraph
    answers: tuple[str, ...]


class Pool(NamedTuple):
    """Documents, and the questions that they answer."""

    documents: list[str]
    questions: list[Question]


def load_pool(language: str) -> Pool:
    """Read books first, articles after them."""
    if not EVAL.is_dir():
        sys.exit(f"The evaluation data is not at {EVAL}.")
    documents = list(books(language))
    questions: list[Question] = []
    for name in ARTICLES[language]:
        for paragraphs in _documents_of(name):
            questions += _questions_of(paragraphs, len(documents))
            documents.append("\n\n".join(paragraph["context"] for paragraph in paragraphs))
    return Pool(documents, questions)


def books(language: str) -> Iterator[str]:
    """Yield the texts of the haystack."""
    with lzma.open(EVAL / f"haystack_{language}.jsonl.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def build_pool(documents: list[str], folder: Path) -> list[Artifact]:
    """Build the artifacts of the documents in a folder, or open those that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    counter = load_counter()
    artifacts = []
    for i, text in enumerate(documents):
        path = folder / f"{i:04d}.artifact"
        if not path.exists():
            with path.open("wb") as out:
                build_artifact([Page(number=None, text=text)], out, counter)
        artifacts.append(Artifact.open(path))
    return artifacts


def _documents_of(name: str) -> Iterator[list[Paragraph]]:
    with lzma.open(EVAL / f"{name}.json.xz", "rt", encoding="utf-8") as file:
        articles = [article["paragraphs"] for article in json.load(file)["data"]]
    if max(map(len, articles)) > 2:
        yield from articles
        return
    flat = [paragraph for article in articles for paragraph in article]
    for i in range(0, len(flat), PARAGRAPHS_IN_DOCUMENT):
        yield flat[i : i + PARAGRAPHS_IN_DOCUMENT]


def _questions_of(paragraphs: list[Paragraph], document: int) -> Iterator[Question]:
    start = 0
    for paragraph in paragraphs:
        stop = start + len(paragraph["context"])
        for qa in paragraph["qas"]:
            answers = tuple({answer["text"] for answer in qa["answers"]})
            if answers:
                yield Question(qa["question"], document, (start, stop), answers)
        start = stop + 2
