from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from factories.artifacts import artifact, artifact_bytes, page
from longscroll.documents.artifact import Artifact
from longscroll.documents.build import INVISIBLE
from longscroll.errors import ArtifactError

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff")
TEXTS = st.text(CHARACTERS, max_size=400)
PAGES = st.lists(TEXTS, min_size=1, max_size=6).filter(lambda texts: any(text.strip(INVISIBLE) for text in texts))
STORED = artifact_bytes(page("The captain's log.", 1, label="i"), page("船长的日志。", 2))


@given(PAGES, st.integers(0, 3000), st.integers(0, 3000))
def test_any_span_of_any_document_comes_back_exactly(pages: list[str], start: int, stop: int) -> None:
    document = artifact(*pages)
    text = "".join(pages)

    assert document.text((start, stop)) == text[start:stop]
    assert b"".join(document.iter_text(7)).decode() == text


@given(PAGES)
def test_every_character_of_a_numbered_page_is_on_that_page(pages: list[str]) -> None:
    document = artifact(*(page(text, number) for number, text in enumerate(pages, 1)))

    at = 0
    for number, text in enumerate(pages, 1):
        at += bool(at) and document.text((at - 1, at)) != "\n"
        assert document.text((at, at + len(text))) == text
        assert document.pages_of((at, at + len(text))) == ((number,) if text else ()) or not text
        at += len(text)


@given(st.lists(st.tuples(st.integers(0, len(STORED) - 1), st.integers(1, 255)), min_size=1, max_size=4), st.data())
@settings(max_examples=300)
def test_a_damaged_file_reads_right_or_is_refused(damage: list[tuple[int, int]], data: st.DataObject) -> None:
    stored = bytearray(STORED)
    for at, mask in damage:
        stored[at] ^= mask
    length = data.draw(st.sampled_from([len(stored)] * 4 + [len(stored) // 2, len(stored) - 1]))

    try:
        document = Artifact.from_buffer(stored[:length])
        document.verify()
        content = (document.text((0, 99)), document.pages_of((0, 5)), document.segments[0].keys.tolist())
    except ArtifactError:
        return
    whole = Artifact.from_buffer(STORED)
    assert content == (whole.text((0, 99)), whole.pages_of((0, 5)), whole.segments[0].keys.tolist())
