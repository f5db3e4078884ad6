from __future__ import annotations

import pytest
from msgspec.structs import replace

from factories.evidences import evidence
from longscroll.engines.base import Mark, Passage, Place, Text
from longscroll.reading.cite import Citer, citation_of
from longscroll.types import Annotation, CitationMode

TESLA = "Tesla was born in 1856. He died in New York on 7 January 1943."
NOBEL = "The Nobel prize of 1915 went to somebody else. 诺贝尔奖颁给了别人。"


def answer(
    *events: str | Mark, mode: CitationMode = "annotations", reads_marks: bool = True
) -> tuple[str, list[Annotation]]:
    citer = Citer(evidence(TESLA, NOBEL), mode, reads_marks=reads_marks)
    deltas = [citer.feed(Text(event) if isinstance(event, str) else event) for event in events]
    deltas.append(citer.close())
    sent = [delta for delta in deltas if delta]
    return "".join(delta.text for delta in sent), [a for delta in sent for a in delta.annotations]


def quotes(annotations: list[Annotation]) -> list[str]:
    return [annotation.citation.quote for annotation in annotations]


def test_a_mark_becomes_a_citation_of_the_sentence_that_supports_the_claim() -> None:
    text, annotations = answer("Tesla died in New York [1].")
    assert text == "Tesla died in New York [1]."
    assert (annotations[0].start_index, annotations[0].end_index) == (23, 26)
    assert quotes(annotations) == ["He died in New York on 7 January 1943."]
    assert annotations[0].citation.span == (124, 162)


def test_citations_that_are_told_as_links_are_the_same_citations() -> None:
    text, annotations = answer("Tesla died in New York [1].")
    text_with_links, links = answer("Tesla died in New York [1].", mode="urls")
    assert (text_with_links, [replace(link, is_url=False) for link in links]) == (text, annotations)
    assert all(link.is_url for link in links)


def test_a_verbatim_quote_wins_over_the_sentence_around_it() -> None:
    _, annotations = answer("The text says “died in\n new  York”. [1]")
    assert quotes(annotations) == ["died in New York"]


def test_each_sentence_of_a_passage_that_is_cited_gets_its_own_number_in_order() -> None:
    text, annotations = answer("He died on 7 January [1]. He was born in 1856 [1]. Died 7 January [1].")
    assert text == "He died on 7 January [1]. He was born in 1856 [2]. Died 7 January [1]."
    assert [a.citation.number for a in annotations] == [1, 2, 1]


@pytest.mark.parametrize("mark", ["[2]", "【2】", "［２］", "[ 2 ]", "【２】"])
def test_every_way_to_write_a_mark_is_shown_as_one(mark: str) -> None:
    text, annotations = answer(f"The prize of 1915 went elsewhere {mark}")
    assert text == "The prize of 1915 went elsewhere [1]"
    assert quotes(annotations) == ["The Nobel prize of 1915 went to somebody else."]


@pytest.mark.parametrize("marks", ["[1][2]", "[1, 2]", "[1，2]", "[1-2]", "[1] [2]", "[1][1][2]"])
def test_several_marks_in_one_place_become_one_each(marks: str) -> None:
    text, annotations = answer(f"A claim {marks}.")
    assert text.replace(" [2]", "[2]") == "A claim [1][2]."
    assert len(annotations) == 2


@pytest.mark.parametrize("mark", ["[7]", " [7]", "[0]", "【99】", "[7, 8]"])
def test_a_mark_of_no_passage_is_taken_out_with_the_space_before_it(mark: str) -> None:
    assert answer(f"A claim{mark}.") == ("A claim.", [])


@pytest.mark.parametrize(
    "text", ["year [2024]", "list[i]", "`a[1]`", "```\na[1]\n```", "[text](1)", "[]", "[1", "x [1a]"]
)
def test_brackets_that_are_no_mark_stay_as_they_are(text: str) -> None:
    assert answer(text) == (text, [])


def test_code_ends_where_its_fence_does() -> None:
    assert answer("`a[1]` is it [1]")[0] == "`a[1]` is it [1]"
    assert len(answer("`a[1]` is it [1]")[1]) == 1


def test_with_citations_off_marks_vanish_and_nothing_is_annotated() -> None:
    assert answer("Tesla died [1], they say [2] .", mode="off") == ("Tesla died, they say .", [])


def test_with_marks_only_the_marks_stay_and_nothing_is_annotated() -> None:
    assert answer("Tesla died [2].", mode="marks") == ("Tesla died [1].", [])


def test_an_engine_that_sends_marks_keeps_its_text_untouched() -> None:
    text, annotations = answer("See [2] there ", Mark(1, (100, 123)), ".", reads_marks=False)
    assert text == "See [2] there [1]."
    assert quotes(annotations) == ["Tesla was born in 1856."]


def test_a_mark_whose_span_is_not_in_its_passage_falls_back_to_the_passage() -> None:
    _, annotations = answer("Tesla died in New York ", Mark(1, (5, 9)), reads_marks=False)
    assert quotes(annotations) == ["He died in New York on 7 January 1943."]


def test_half_a_mark_waits_for_the_rest_and_is_text_if_none_comes() -> None:
    citer = Citer(evidence(TESLA), "annotations", reads_marks=True)
    first = citer.feed(Text("Tesla died [1"))
    assert first is not None
    assert first.text == "Tesla died"
    last = citer.close()
    assert last is not None
    assert last.text == " [1"


def test_an_annotation_travels_with_the_text_of_its_mark() -> None:
    citer = Citer(evidence(TESLA), "annotations", reads_marks=True)
    delta = citer.feed(Text("Tesla died [1] in"))
    assert delta is not None
    assert delta.text == "Tesla died [1] in"
    assert delta.annotations[0].end_index == 14


def test_a_citation_names_the_pages_of_its_span_only() -> None:
    places = (
        Place(offset=0, page=4, page_label="iv", section="A"),
        Place(offset=5, page=5, page_label="v", section="B"),
    )
    whole = Passage(
        number=1, document=0, file_id=None, filename=None, text="0123456789", span=(0, 10), pages=(4, 5),
        page_label="iv", section="A", places=places,
    )  # fmt: skip
    late, across = citation_of(whole, (6, 8), 1), citation_of(whole, (3, 8), 2)
    assert (late.pages, late.page_label, late.section) == ((5,), "v", "B")
    assert (across.pages, across.page_label, across.section) == ((4, 5), "iv", "A")


def test_without_evidence_text_passes_in_the_pieces_in_which_it_came() -> None:
    citer = Citer(evidence(), "annotations", reads_marks=True)
    pieces = ["One, ", "[1] ", "`", " two\n"]
    fed = [citer.feed(Text(piece)) for piece in pieces]
    assert [delta.text for delta in fed if delta is not None] == pieces
    assert citer.close() is None


@pytest.mark.parametrize(("span", "pages"), [((0, 5), (4,)), ((5, 10), (5,)), ((4, 5), (4,)), ((4, 6), (4, 5))])
def test_a_span_that_starts_or_ends_with_its_page_is_on_no_other(span: tuple[int, int], pages: tuple[int, ...]) -> None:
    places = (Place(offset=0, page=4), Place(offset=5, page=5), Place(offset=10, page=6))
    whole = Passage(
        number=1, document=0, file_id=None, filename=None, text="0123456789ab", span=(0, 12), pages=(4, 5, 6),
        page_label=None, section=None, places=places,
    )  # fmt: skip
    assert citation_of(whole, span, 1).pages == pages
