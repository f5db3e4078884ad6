"""A recorded exchange answers the request that it was recorded for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from longscroll.protocols.exchange import AsgiMessage
from longscroll.testing.exchanges import Asked, Exchange, Piece
from longscroll.testing.replayer import Replayer

PATH = "/v1/chat/completions"


def exchange(reply: str, *, at_s: float = 0.0, **fields: Any) -> Exchange:
    asked = Asked(method="POST", path=PATH, json={"model": "m", "n": 1})
    return Exchange(asked=asked, status=200, pieces=(Piece(at_s=at_s, text=reply),), **fields)


async def sent(replayer: Replayer, body: Any = None, *, path: str = PATH) -> list[AsgiMessage]:
    messages: list[AsgiMessage] = []
    data = json.dumps(body or {"n": 1, "model": "m"}).encode()

    async def receive() -> AsgiMessage:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: AsgiMessage) -> None:
        messages.append(message)

    scope = {"method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": []}
    await replayer(scope, receive, send)
    return messages


async def words(replayer: Replayer, body: Any = None, *, path: str = PATH) -> str:
    head, reply, *_ = await sent(replayer, body, path=path)
    assert head["status"] == 404
    return str(json.loads(reply["body"])["error"]["message"])


async def test_a_reply_has_its_status_headers_and_pieces() -> None:
    recorded = exchange("a", headers=(("x-request-id", "r"),))
    recorded = msgspec.structs.replace(recorded, status=429, pieces=(*recorded.pieces, Piece(at_s=0.0, data=b"\xe6")))
    assert await sent(Replayer([recorded])) == [
        {"type": "http.response.start", "status": 429, "headers": [(b"x-request-id", b"r")]},
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b"\xe6", "more_body": True},
        {"type": "http.response.body", "body": b"", "more_body": False},
    ]


async def test_equal_requests_get_their_replies_in_order_and_then_the_last() -> None:
    replayer = Replayer([exchange("first"), exchange("second")])
    assert [(await sent(replayer))[1]["body"] for _ in range(4)] == [b"first", *[b"second"] * 3]


async def test_a_reply_that_was_cut_has_no_end() -> None:
    assert (await sent(Replayer([exchange("a", is_cut=True)])))[-1]["more_body"] is True


async def test_pauses_are_kept() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await sent(Replayer([exchange("a", at_s=0.1)]))
    assert loop.time() - began >= 0.1


async def test_pauses_are_left_out_when_nobody_wants_them() -> None:
    async with asyncio.timeout(10):
        await sent(Replayer([exchange("a", at_s=60.0)], pace="none"))


async def test_a_request_that_was_not_recorded_says_what_is_nearest() -> None:
    replayer = Replayer([exchange("a")])
    told = f"No exchange is recorded for POST {PATH} with this content; the nearest differs in "
    assert await words(replayer, {"model": "other", "n": 1}) == f"{told}json.model."
    many = await words(replayer, {"a": 1, "b": 2, "c": 3})
    assert many == f"{told}json.a, json.b, json.c and 2 more."


async def test_a_path_that_was_not_recorded_says_which_were() -> None:
    assert await words(Replayer([exchange("a")]), path="/v1/other") == (
        f"No exchange is recorded for POST /v1/other; recorded is POST {PATH}."
    )
    assert (
        await words(Replayer([]), path="/v1/other")
        == "No exchange is recorded for POST /v1/other; recorded is nothing."
    )
