from __future__ import annotations

import pytest

from longscroll.protocols.exchange import Answer, Request, Route
from longscroll.protocols.paths import RouteTable, path_segments


async def handler(_request: Request) -> Answer:
    raise NotImplementedError


def route(path: str, method: str = "GET") -> Route:
    return Route(method=method, path=path, scope=None, handler=handler)


TABLE = RouteTable(
    [
        route("/files"),
        route("/files", "POST"),
        route("/files/{id}"),
        route("/files/{id}/content"),
        route("/m/{name...}"),
    ]
)


@pytest.mark.item(7)
@pytest.mark.parametrize("raw", [b"/v1/files", b"/v1/files/", b"//v1///files//", b"v1/files"])
def test_slashes_too_many_count_for_nothing(raw: bytes) -> None:
    assert path_segments({"raw_path": raw, "path": ""}) == ("v1", "files")


def test_a_segment_is_decoded_after_the_split() -> None:
    assert path_segments({"raw_path": b"/m/a%2Fb/%E5%B9%B4%FF", "path": ""}) == ("m", "a/b", "年\ufffd")


def test_the_decoded_path_serves_where_there_is_no_raw_one() -> None:
    assert path_segments({"path": "/年"}) == ("年",)


@pytest.mark.parametrize(
    ("segments", "path", "arguments"),
    [
        (("files",), "/files", {}),
        (("files", "x"), "/files/{id}", {"id": "x"}),
        (("files", "x", "content"), "/files/{id}/content", {"id": "x"}),
        (("m", "a", "b"), "/m/{name...}", {"name": "a/b"}),
    ],
)
def test_a_path_finds_its_row_and_arguments(segments: tuple[str, ...], path: str, arguments: dict[str, str]) -> None:
    found = TABLE.find(segments)
    assert found is not None
    assert (found[0]["GET"].path, found[1]) == (path, arguments)


@pytest.mark.parametrize(
    "segments", [(), ("file",), ("files", "x", "contents"), ("files", "x", "content", "y"), ("m",)]
)
def test_an_unknown_path_finds_nothing(segments: tuple[str, ...]) -> None:
    assert TABLE.find(segments) is None
