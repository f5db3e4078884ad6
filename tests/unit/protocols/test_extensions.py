from __future__ import annotations

import msgspec
import pytest

from longscroll.protocols.extensions import render_annotations
from longscroll.types import Annotation, Citation


def citation(file_id: str | None, pages: tuple[int, ...] | None) -> Citation:
    return Citation(
        number=1,
        file_id=file_id,
        document=0,
        filename=None if file_id is None else "年报.pdf",
        pages=pages,
        page_label=None,
        section=None,
        span=(10, 12),
        quote="原文",
    )


@pytest.mark.item(120)
def test_an_annotation_says_where_a_statement_stands() -> None:
    annotation = Annotation(start_index=4, end_index=7, citation=citation("file-fe-1", (3, 4)))
    assert msgspec.to_builtins(render_annotations([annotation])) == (
        {
            "type": "file_citation",
            "start_index": 4,
            "end_index": 7,
            "file_citation": msgspec.to_builtins(annotation.citation),
        },
    )


@pytest.mark.parametrize(
    ("file_id", "pages", "link"),
    [
        ("file-fe-1", (3, 4), ("年报.pdf", "fileid://file-fe-1#page=3")),
        ("file-fe-1", None, ("年报.pdf", "fileid://file-fe-1")),
        (None, None, ("document 1", "about:blank")),
    ],
)
def test_an_annotation_told_as_a_link_has_ours_beside(
    file_id: str | None, pages: tuple[int, ...] | None, link: tuple[str, str]
) -> None:
    annotation = Annotation(start_index=4, end_index=7, citation=citation(file_id, pages), is_url=True)
    [sent] = msgspec.to_builtins(render_annotations([annotation]))
    url_citation = {"start_index": 4, "end_index": 7, "title": link[0], "url": link[1]}
    assert (sent["type"], sent["url_citation"]) == ("url_citation", url_citation)
    assert sent["file_citation"] == msgspec.to_builtins(annotation.citation)
