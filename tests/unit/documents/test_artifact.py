from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from factories.artifacts import artifact, artifact_bytes, page, sections_of, with_section
from longscroll.documents.artifact import Artifact, OriginSpan, OutlineEntry
from longscroll.errors import ArtifactError
from longscroll.parsing.base import Heading, OriginRun

THREE_PAGES = (
    page("Ahoy, 船长！", 1, label="i", headings=(Heading(0, 1, "Ahoy"),)),
    page("", 2, quality="unreadable"),
    page("The log.\nThe end.", 3, label="1", headings=(Heading(9, 2, "The end"),), quality="ocr"),
)


def test_the_text_comes_back_by_code_points() -> None:
    document = artifact(*THREE_PAGES)

    assert (document.text((0, 99)), document.text((6, 8)), document.text((5, 5))) == (
        "Ahoy, 船长！\nThe log.\nThe end.",
        "船长",
        "",
    )


def test_any_slice_of_a_long_text_is_exact() -> None:
    text = "".join(f"Line {i}: 第{i}行，𝄞 done.\n" for i in range(3000))
    document = artifact(text)

    spans = [(0, 1), (17, 40_000), (33_333, 33_339), (len(text) - 5, len(text) + 5)]

    assert [document.text(span) for span in spans] == [text[a:b] for a, b in spans]


def test_the_bytes_of_the_text_come_in_blocks() -> None:
    document = artifact("船长的日志")

    assert list(document.iter_text(4)) == [
        b"\xe8\x88\xb9\xe9",
        b"\x95\xbf\xe7\x9a",
        b"\x84\xe6\x97\xa5",
        b"\xe5\xbf\x97",
    ]


def test_passages_say_their_span_text_and_tokens() -> None:
    document = artifact("Sentence number one is here. " * 300)

    spans = [document.passage_span(i) for i in range(document.n_passages)]

    assert spans[0][0] == 0
    assert [stop for _, stop in spans[:-1]] == [start for start, _ in spans[1:]]
    assert [document.passage_text(i) for i in range(document.n_passages)] == [document.text(span) for span in spans]
    assert sum(document.passage_tokens(i) for i in range(document.n_passages)) == document.meta.n_tokens


def test_a_position_is_found_in_its_passage() -> None:
    document = artifact("Sentence number one is here. " * 300)
    start, stop = document.passage_span(1)

    assert [document.passage_at(at) for at in (0, start - 1, start, stop - 1, document.meta.n_chars)] == [
        0,
        0,
        1,
        1,
        document.n_passages - 1,
    ]


def test_a_span_knows_the_pages_it_touches() -> None:
    document = artifact(*THREE_PAGES)

    assert [document.pages_of(span) for span in ((0, 3), (0, 99), (9, 10), (10, 11))] == [(1,), (1, 3), (1,), (3,)]


def test_a_format_without_pages_has_none() -> None:
    document = artifact("Just text.")

    assert (document.meta.n_pages, document.pages_of((0, 4)), document.page_label_of(0)) == (None, None, None)


def test_the_printed_label_of_a_page_is_kept() -> None:
    document = artifact(*THREE_PAGES)

    assert [document.page_label_of(at) for at in (0, 8, 12)] == ["i", "i", "1"]


def test_the_section_of_a_position_is_the_last_heading_before_it() -> None:
    document = artifact("Front.\n", page("Body.\n", headings=(Heading(0, 1, "Body"),)))

    assert [document.section_of(at) for at in (0, 6, 7, 12)] == [None, None, "Body", "Body"]


def test_the_outline_counts_from_the_beginning_of_the_document() -> None:
    assert artifact(*THREE_PAGES).outline == [OutlineEntry(1, "Ahoy", 0), OutlineEntry(2, "The end", 19)]


def test_pages_that_could_not_be_read_are_named() -> None:
    document = artifact(*THREE_PAGES)

    assert document.unreadable_pages == (2,)
    assert document.meta.details == "1 of 3 pages could not be read: 2."


def test_the_origin_of_a_span_is_clipped_to_it() -> None:
    runs = (OriginRun(0, 100, 5), OriginRun(6, 200, 5))
    document = artifact(page("first", 1), page("hello world", 2, origin=runs))

    assert document.origin_of((8, 13)) == [OriginSpan(8, 3, 2, 102), OriginSpan(12, 1, 2, 200)]


def test_a_document_without_origin_says_so() -> None:
    assert artifact("text").origin_of((0, 4)) == []


def test_a_file_is_mapped_and_may_be_deleted_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.write_bytes(artifact_bytes("Still here."))

    document = Artifact.open(path)
    path.unlink()

    assert document.text((0, 5)) == "Still"


def test_an_empty_file_is_no_document(tmp_path: Path) -> None:
    path = tmp_path / "document"
    path.touch()

    with pytest.raises(ArtifactError, match="the file is empty"):
        Artifact.open(path)


def test_damaged_text_is_an_error_of_ours_not_of_the_codec() -> None:
    data = bytearray(artifact_bytes("船长的日志"))
    data[data.index("长".encode())] = 0xFF
    document = Artifact.from_buffer(data)

    with pytest.raises(ArtifactError, match="not UTF-8"):
        document.text((0, 3))
    with pytest.raises(ArtifactError, match="section text"):
        document.verify()


def test_a_whole_document_verifies() -> None:
    artifact(*THREE_PAGES).verify()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text", b"One word after the oth\xc3\xa9."),
        ("pages", struct.pack("<3I", 99, 0, 0)),
        ("pages", struct.pack("<3I", 0, 0, 3)),
        ("pages", struct.pack("<3I", 0, 1, 0)),
        ("pages.labels", b'{"7": "vii"}'),
        ("outline", b'[[1, "Beyond", 999]]'),
        ("origin", struct.pack("<4I", 20, 2**32 - 8, 1, 0)),
        ("passages.starts", struct.pack("<2I", 5, 30)),
        ("passages.bytes", struct.pack("<2Q", 0, 24)),
        ("passages.tokens", struct.pack("<I", 7)),
        ("segment.0.keys", struct.pack("<5Q", 1, 2, 2, 3, 4)),
        ("segment.0.indptr", struct.pack("<6I", 0, 1, 2, 3, 4, 6)),
        ("segment.0.indptr", struct.pack("<6I", 0, 2, 1, 3, 4, 5)),
        ("segment.0.doc", struct.pack("<5H", 0, 0, 0, 0, 1)),
    ],
)
def test_a_section_that_contradicts_the_others_does_not_verify(name: str, content: bytes) -> None:
    stored = artifact_bytes("One word after the other.")
    Artifact.from_buffer(stored).verify()

    with pytest.raises(ArtifactError, match=r"does not fit the rest of it|not UTF-8"):
        Artifact.from_buffer(with_section(stored, name, content)).verify()


@pytest.mark.parametrize(
    ("facts", "sections"),
    [
        ({"n_bytes": 26}, {"text": b"One word after the other.!"}),
        ({"n_tokens": 2**32 - 1}, {"passages.tokens": struct.pack("<I", 2**32 - 1)}),
        (
            {"n_passages": 2},
            {
                "passages.starts": struct.pack("<3I", 0, 0, 25),
                "passages.bytes": struct.pack("<3Q", 0, 0, 25),
                "passages.tokens": struct.pack("<2I", 0, 6),
                "segment.0.len": struct.pack("<2H", 0, 5),
            },
        ),
    ],
)
def test_a_lie_told_in_several_sections_does_not_verify(facts: dict[str, int], sections: dict[str, bytes]) -> None:
    stored = artifact_bytes("One word after the other.")
    meta = json.loads(sections_of(stored)["meta"])
    for name, content in {"meta": json.dumps(meta | facts).encode(), **sections}.items():
        stored = with_section(stored, name, content)

    with pytest.raises(ArtifactError, match=r"passages\.\w+ does not fit the rest of it"):
        Artifact.from_buffer(stored).verify()


@pytest.mark.parametrize("content", [b"{", b'{"0": "\x80"}', b'["list"]'])
def test_facts_that_are_no_json_are_an_error_of_ours(content: bytes) -> None:
    document = Artifact.from_buffer(with_section(artifact_bytes(*THREE_PAGES), "pages.labels", content))

    with pytest.raises(ArtifactError, match=r"pages\.labels cannot be read"):
        document.page_label_of(0)


def test_an_index_of_other_rules_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    document = artifact("text")
    monkeypatch.setattr("longscroll.documents.artifact.TERMS_VERSION", 99)

    with pytest.raises(ArtifactError, match="indexed by term rules 1; this program has 99"):
        _ = document.segments
