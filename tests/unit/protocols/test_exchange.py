from __future__ import annotations

import threading

import msgspec
import pytest

from factories.requests import make_request
from longscroll.errors import BodyTooLarge, RequestTimeout, UploadAborted
from longscroll.protocols.options import ProtocolOptions

SMALL = ProtocolOptions(max_body_bytes=10, body_silence_s=0.02)


async def test_a_body_is_joined_from_its_pieces_and_can_be_read_again() -> None:
    request = make_request(b"a", b"", b"bc")
    assert [await request.body(), await request.body()] == [b"abc", b"abc"]


@pytest.mark.item(14)
async def test_a_body_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert await make_request(b"x" * 5, b"x" * 5, options=SMALL).body() == b"x" * 10
    with pytest.raises(BodyTooLarge):
        await make_request(b"x" * 5, b"x" * 6, options=SMALL).body()


@pytest.mark.item(14)
async def test_a_body_that_says_it_is_too_long_is_not_read() -> None:
    request = make_request(b"x", headers={"content-length": "11"}, options=SMALL)
    with pytest.raises(BodyTooLarge):
        await request.body()
    assert await request.next_piece() == b"x"


class Name(str):
    """A type that msgspec asks us to make."""

    __slots__ = ()


@pytest.mark.parametrize(("n_bytes", "on_loop"), [(10, True), (3 << 20, False)])
async def test_a_large_body_is_decoded_in_a_thread(*, n_bytes: int, on_loop: bool) -> None:
    threads: list[int] = []

    def make(_kind: type, value: str) -> Name:
        threads.append(threading.get_ident())
        return Name(value)

    decoder = msgspec.json.Decoder(dict[str, Name], dec_hook=make)
    await make_request(b'{"a":"' + b"x" * n_bytes + b'"}').decode(decoder)
    assert [thread == threading.get_ident() for thread in threads] == [on_loop]


async def test_a_client_that_leaves_inside_a_body_aborts_it() -> None:
    with pytest.raises(UploadAborted):
        await make_request(b"x", leaves=True).body()


async def test_a_silent_client_is_not_waited_for_long() -> None:
    request = make_request(b"x", options=SMALL)
    request._has_more = True
    await request.next_piece()
    request._has_more = True
    with pytest.raises(RequestTimeout):
        await request.next_piece()


async def test_the_end_of_a_body_is_told_once() -> None:
    ends: list[str] = []
    request = make_request(b"a", b"b")
    request.on_body_end = lambda: ends.append("end")
    await request.body()
    assert (ends, await request.next_piece()) == (["end"], None)


def test_a_header_is_found_by_its_lower_case_name() -> None:
    request = make_request(headers={"accept": "a", "x-more": "é"})
    assert [request.header(b"accept"), request.header(b"x-more"), request.header(b"none")] == ["a", "é", None]
