from __future__ import annotations

from factories.conversation_documents import open_document
from longscroll.engines.base import Evidence, Mark, Prompt
from longscroll.engines.extractive import Composition, compose
from longscroll.parsing.base import Heading
from longscroll.reading.cite import citation_of
from longscroll.reading.evidence import OpenDocument, ReadingOptions, find_evidence, n_tokens_read
from longscroll.reading.messages import ReadTask

TESLA = "Nikola Tesla was born in Smiljan. He died in New York in 1943."
PUMP = "The pump weighs 41 kilograms. Two people should carry it."
RIVER = [
    "The river rises among the glaciers of the northern range.",
    "Three old bridges carry the railway and the roads of the valley.",
    "Fishermen of the harbour sell their catch before sunrise.",
    "A dam was planned in 1920 but never built by the province.",
    "Every spring the meadows below the castle are flooded again.",
]
FILLER = "\n\n".join(f"Paragraph {i} speaks of gardens, cellars and farms in the usual way." for i in range(120))


def read(
    question: str, *documents: OpenDocument, window: int | None = None, history: tuple[str, ...] = (), reserved: int = 0
) -> Evidence:
    sources = tuple(document.source for document in documents)
    task = ReadTask(
        task=1, question=question, history=history, sources=sources, context_window=window, n_reserved_tokens=reserved
    )
    return find_evidence(task, documents, ReadingOptions())


def test_no_document_needs_no_reading() -> None:
    assert read("Who?").plan == "none"


def test_a_lookup_finds_the_passage_and_where_it_stands() -> None:
    found = read("How heavy is the pump?", open_document(TESLA, PUMP, FILLER))
    best = found.passages[found.ranking[0] - 1]
    assert (found.plan, found.is_covered) == ("lookup", True)
    assert PUMP in best.text
    assert [(place.page, place.offset) for place in best.places][:2] == [(1, 0), (2, len(TESLA) + 1)]


def test_evidence_is_numbered_in_document_order_and_ranked_by_score() -> None:
    found = read(
        "When did Tesla die in New York?", open_document(FILLER + "\n\n" + TESLA), open_document(TESLA, document=1)
    )
    assert [passage.number for passage in found.passages] == list(range(1, len(found.passages) + 1))
    starts = [(passage.document, passage.span) for passage in found.passages]
    assert starts == sorted(starts)
    scores = [found.passages[number - 1].score for number in found.ranking]
    assert scores == sorted(scores, reverse=True)


def test_every_passage_is_the_text_at_its_span() -> None:
    document = open_document(FILLER, TESLA, PUMP)
    for question, window in (("Tesla?", None), ("What is this about?", None), ("Tesla?", 100_000)):
        for passage in read(question, document, window=window).passages:
            assert passage.text == document.artifact.text(passage.span) != ""


def test_a_question_without_any_word_in_the_documents_is_not_covered() -> None:
    found = read("Quel vin boire?", open_document(TESLA))
    assert (found.plan, found.is_covered, found.passages, found.coverage) == ("lookup", False, (), 0.0)


def test_a_model_still_gets_passages_when_no_word_is_found() -> None:
    found = read("特斯拉何时去世？", open_document(*[FILLER] * 40), window=4000)
    assert (found.plan, found.is_covered) == ("lookup", False)
    assert found.passages


def test_a_text_that_came_before_is_not_read_again() -> None:
    found = read("Where was Tesla born?", open_document(TESLA), open_document(TESLA, document=1))
    assert [passage.document for passage in found.passages] == [0]


def test_documents_that_fit_are_read_whole_by_a_model() -> None:
    document = open_document(TESLA, FILLER)
    found = read("Where was Tesla born?", document, window=100_000)
    assert found.plan == "whole"
    assert "".join(passage.text for passage in found.passages) == f"{TESLA}\n{FILLER}"
    assert found.n_tokens_read == found.n_tokens_total == document.artifact.meta.n_tokens


def test_a_window_with_hardly_any_room_gets_the_best_sentences() -> None:
    long = " ".join(f"Sentence number {i} about the pump and its weight." for i in range(60))
    found = read("What is the weight of the pump?", open_document(long, long[::-1]), window=300, reserved=150)
    assert [passage.number for passage in found.passages] == [1]
    assert 0 < found.n_tokens_read <= 150


def test_a_digest_spans_the_pages_of_a_short_document() -> None:
    pages = [f"{sentence} {'And so on, and on. ' * 24}" for sentence in RIVER]
    found = read("What is this about?", open_document(*pages))
    assert found.plan == "digest"
    assert {passage.pages for passage in found.passages} == {(1,), (2,), (3,), (4,), (5,)}
    assert {passage.text for passage in found.passages} >= set(RIVER)


def test_a_digest_knows_what_the_documents_are() -> None:
    text = "A History of Rivers\nRivers have been dammed and crossed since people settled at their banks."
    headings = (Heading(0, 1, "A History of Rivers"), Heading(20, 2, "Dams"), Heading(40, 2, "Banks"))
    facts = read("What is this about?", open_document(text, headings=headings)).documents[0]
    assert (facts.title, facts.headings, facts.n_pages) == ("A History of Rivers", ("Dams", "Banks"), None)


def test_a_follow_up_is_read_with_the_subject_of_the_turn_before() -> None:
    document = open_document(FILLER + "\n\n" + TESLA + "\n\n" + FILLER)
    alone = read("Where did he die?", document)
    asked = read("Where did he die?", document, history=("Who was Nikola Tesla?",))
    assert "tesla" in asked.term_weights
    assert "tesla" not in alone.term_weights


def test_tokens_read_are_told_by_document() -> None:
    documents = [open_document(TESLA), open_document(FILLER, document=1)]
    found = read("Where was Tesla born?", *documents)
    counts = n_tokens_read(found, documents)
    assert counts[0] == documents[0].artifact.meta.n_tokens
    assert sum(counts) == found.n_tokens_read < found.n_tokens_total


def answer(question: str, *documents: OpenDocument) -> Composition:
    return compose(
        Prompt(model="quote", question=question, language="en", evidence=read(question, *documents), messages=())
    )


def test_a_question_that_the_documents_hardly_touch_is_answered_by_not_found() -> None:
    document = open_document(FILLER, TESLA, PUMP)
    found = read("What does the treaty of Trondheim say about farms?", document)
    assert (found.plan, found.is_covered, bool(found.passages)) == ("lookup", False, True)
    assert answer("What does the treaty of Trondheim say about farms?", document).abstained
    assert not answer("How heavy is the pump?", document).abstained


def test_a_quote_that_is_a_whole_page_is_cited_with_that_page_only() -> None:
    document = open_document("The lid is red.", "The pump weighs 41 kilograms.", "The hose is blue.")
    [passage] = read("How heavy is the pump?", document).passages
    [mark] = {part for part in answer("How heavy is the pump?", document).parts if isinstance(part, Mark)}
    assert mark.span is not None
    citation = citation_of(passage, mark.span, 1)
    assert (citation.quote, citation.pages) == ("The pump weighs 41 kilograms.", (2,))


def test_a_greeting_is_not_read_for_by_an_engine_that_quotes() -> None:
    found = read("你好", open_document(TESLA))
    assert (found.plan, found.passages, found.n_tokens_read) == ("none", (), 0)
    assert [document.filename for document in found.documents] == ["report.txt"]


def test_words_on_the_answer_are_not_looked_up() -> None:
    document = open_document(f"{TESLA} They answer in English there.", FILLER)
    asked, plain = read("Where was Tesla born? Answer in English.", document), read("Where was Tesla born?", document)
    assert asked.term_weights == plain.term_weights


def test_a_chinese_document_behind_an_english_cover_is_chinese() -> None:
    cover = "Annual report of the library, printed for the members of its society. " * 20
    document = open_document(cover, "图书馆每天上午九点开门，周一闭馆。读者凭证借书。" * 100)
    assert read("怎样修理水泵？", document).documents[0].language == "zh"
