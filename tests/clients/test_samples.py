"""Real PDF files by the program of the documented page: every citation is looked up in what pdfium itself reads."""

from __future__ import annotations

import re
import unicodedata
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pypdfium2
import pytest

from factories.client_programs import PROGRAMS, ROOT, run_program
from factories.running import RunningService

PDFS = sorted((ROOT.parent / "shared" / "samples" / "pdf").glob("*.pdf"))
WITH_PROSE = ("en_octave_1158p", "en_two-column_tracemonkey", "zh_debian-reference", "zh_lshort")
N_SENTENCES, N_RIGHT = 5, 4
HYPHENATED = "\ufffe"  # pdfium's mark of a word that was cut at the end of a line
ABOUT = ("这篇文章讲了什么？", "What is this about?")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PDFS, reason="the samples lie beside the project, not in it"),
]


class Answer(NamedTuple):
    """One streamed answer: its chunks, its text, and its annotations."""

    chunks: list[Any]
    text: str
    annotations: list[Any]


def ask(service: RunningService, path: Path, *questions: str) -> list[Answer]:
    url = f"{service.url}/compatible-mode/v1"
    lines = run_program(service, "latest", PROGRAMS / "page_a_questions.py", url, service.key, path, *questions)
    return [answer_of(line["chunks"]) for line in lines]


def answer_of(chunks: list[Any]) -> Answer:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    text = "".join(delta["content"] or "" for delta in deltas)
    return Answer(chunks, text, [one for delta in deltas for one in delta.get("annotations") or ()])


class Pdf:
    """A file as bare pdfium reads it; pages count from 1."""

    def __init__(self, path: Path) -> None:
        self._document = pypdfium2.PdfDocument(path)
        self.n_pages = len(self._document)

    def text(self, number: int) -> str:
        return str(self._document[number - 1].get_textpage().get_text_range()).replace(HYPHENATED, "")

    def close(self) -> None:
        self._document.close()


def bare(text: str) -> str:
    """Bring a text to what must be equal: NFKC, no white space, no hyphen: at a line end it may belong to no word."""
    return re.sub(r"[\s\-\xad]", "", unicodedata.normalize("NFKC", text))


def sentences(pdf: Pdf) -> dict[int, str]:
    """Choose the longest sentence, of those that are prose, of pages spread evenly over the file."""
    chosen: dict[int, str] = {}
    for i in range(1, N_SENTENCES + 1):
        numbers = range(1 + i * pdf.n_pages // (N_SENTENCES + 1), pdf.n_pages + 1)
        number = next(number for number in numbers if number not in chosen and prose_of(pdf.text(number)))
        chosen[number] = max(prose_of(pdf.text(number)), key=len)
    return chosen


def prose_of(page: str) -> list[str]:
    """Return the sentences of a page that are no code, no table and no heading."""
    found = [" ".join(sentence.split()) for sentence in re.split(r"(?<=[.!?])\s|[。！？]", page)]
    return [
        sentence
        for sentence in found
        if 30 <= len(sentence) <= 240 and len(re.findall(r"[^\W\d_]| ", sentence)) > 0.92 * len(sentence)
    ]


def question_about(sentence: str) -> str:
    """Quote the first four fifths of a sentence."""
    if re.search("[\u4e00-\u9fff]", sentence):
        return f"关于“{sentence[: len(sentence) * 4 // 5]}”，文中怎么说？"
    words = sentence.split()
    return f"What does it say on this: {' '.join(words[: len(words) * 4 // 5])}?"


@pytest.mark.item(48, 49)
@pytest.mark.parametrize("path", PDFS, ids=lambda path: path.stem)
def test_a_real_file_is_summed_up_with_quotations_of_the_pages_they_name(service: RunningService, path: Path) -> None:
    answers = ask(service, path, *ABOUT)
    with closing(Pdf(path)) as pdf:
        for answer in answers:
            ends = [chunk["choices"][0]["finish_reason"] for chunk in answer.chunks]
            assert (answer.text.strip() != "", ends) == (True, [None] * (len(ends) - 1) + ["stop"])
            assert answer.annotations
            for annotation in answer.annotations:
                citation = annotation["file_citation"]
                mark = answer.text[annotation["start_index"] : annotation["end_index"]]
                assert mark == f"[{citation['number']}]"
                assert bare(citation["quote"]) in bare("".join(pdf.text(number) for number in citation["pages"]))


@pytest.mark.item(48)
@pytest.mark.parametrize("name", WITH_PROSE)
@pytest.mark.client("openai-latest")
@pytest.mark.shows("documents")
def test_a_question_in_the_words_of_a_page_is_answered_from_that_page(service: RunningService, name: str) -> None:
    [path] = [path for path in PDFS if path.stem == name]
    with closing(Pdf(path)) as pdf:
        asked = sentences(pdf)
    answers = ask(service, path, *(question_about(sentence) for sentence in asked.values()))
    misses = [
        (number, sentence, answer.text)
        for (number, sentence), answer in zip(asked.items(), answers, strict=True)
        if not answer.annotations or number not in answer.annotations[0]["file_citation"]["pages"]
    ]
    assert len(asked) - len(misses) >= N_RIGHT, misses
