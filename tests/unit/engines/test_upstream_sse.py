"""Bytes become events, whatever the chunk edges and line ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longscroll.engines.upstream_sse import EventParser
from longscroll.errors import EngineFailed

LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
ONE_LINE = st.characters(codec="utf-8", exclude_characters="\r\n")
LINES = st.sampled_from(
    ["data: a", "data:b", "data:  春 ", "data", "", ": comment", "id: 7", "event: x", "retry: 1", "x"]
)


def parsed(*blocks: bytes) -> list[bytes]:
    parser = EventParser()
    events = [data for block in blocks for data in parser.feed(block)]
    return events + list(parser.close())


def cut_at(stream: bytes, edges: set[int]) -> list[bytes]:
    places = [0, *sorted(edge for edge in edges if edge < len(stream)), len(stream)]
    return [stream[start:stop] for start, stop in pairwise(places)]


@given(st.lists(st.tuples(LINES, LINE_ENDS)), st.sets(st.integers(1, 200)))
def test_any_chunking_of_the_bytes_yields_the_same_events(lines: list[tuple[str, str]], edges: set[int]) -> None:
    stream = "".join(line + end for line, end in lines).encode()
    assert parsed(*cut_at(stream, edges)) == parsed(stream)


@given(st.binary(max_size=300), st.sets(st.integers(1, 300)))
def test_any_chunking_of_noise_yields_the_same_events(noise: bytes, edges: set[int]) -> None:
    assert parsed(*cut_at(noise, edges)) == parsed(noise)


@given(st.lists(st.text(ONE_LINE, min_size=1), max_size=5), LINE_ENDS)
def test_what_is_framed_comes_out_again(texts: list[str], end: str) -> None:
    stream = "".join(f"data: {text}{end}{end}" for text in texts).encode()
    assert parsed(stream) == [text.encode() for text in texts]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data:a\r\n\r\n", [b"a"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data\n\n", [b""]),
        (b": keep-alive\n\n", []),
        (b"event: error\nid: 1\ndata: a\n\n", [b"a"]),
        (b"\n\n\ndata: a\n\n\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a", [b"a"]),
        (b"data: a\n", [b"a"]),
        ("data: \u2028\u0085\n\n".encode(), ["\u2028\u0085".encode()]),
        (b"", []),
    ],
)
def test_the_rules_of_the_standard_hold(stream: bytes, events: list[bytes]) -> None:
    assert parsed(stream) == events
    assert parsed(*(stream[i : i + 1] for i in range(len(stream)))) == events


def test_an_event_is_there_with_the_carriage_return_that_ends_it() -> None:
    parser = EventParser()
    assert list(parser.feed(b"data: a\r\n\r")) == [b"a"]
    assert list(parser.feed(b"\ndata: b\r\n\r")) == [b"b"]


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 30, b"data: xxxx\n" * 6, b": " + b"x" * 30])
def test_an_endless_event_ends_in_an_error(stream: bytes) -> None:
    parser = EventParser(max_event_bytes=20)
    with pytest.raises(EngineFailed, match="more than 20 bytes"):
        list(parser.feed(stream))


def test_many_small_events_are_no_endless_one() -> None:
    parser = EventParser(max_event_bytes=20)
    assert list(parser.feed(b"data: xxxx\n\n: comment\n\n" * 50)) == [b"xxxx"] * 50
