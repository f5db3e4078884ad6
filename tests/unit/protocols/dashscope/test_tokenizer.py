"""Long texts take their turns, and are refused where too many wait."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from factories.requests import make_request
from factories.wire import make_catalog
from longscroll.access.limits import LimitOptions, Limits
from longscroll.errors import ModelUnavailable, Overloaded
from longscroll.protocols.admission import Gate
from longscroll.protocols.dashscope.tokenizer import MAX_AT_ONCE, MAX_WAITING, Tokenizer
from longscroll.protocols.exchange import Reply, Request
from longscroll.tokens import EstimatedCounter

LONG = "x" * 5_000


class HeldCounter(EstimatedCounter):
    """Encodes each character as its number, when it may; knows how many texts it had at once."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.n_running = 0

    def encode_special(self, text: str) -> list[int]:
        self.n_running += 1
        assert self.gate.wait(10)
        return [ord(char) for char in text]

    def decode_tokens(self, ids: object) -> list[str]:
        return [chr(i) for i in ids]  # type: ignore[attr-defined]


def asked(text: str) -> Request:
    return make_request(json.dumps({"model": "qwen-long", "input": {"prompt": text}}).encode())


def tokenizer(counter: EstimatedCounter, *limits: LimitOptions) -> Tokenizer:
    return Tokenizer(counter, Gate(make_catalog(), Limits(limits)))


async def test_a_few_long_texts_are_encoded_at_once_and_a_crowd_is_refused() -> None:
    counter = HeldCounter()
    tokens = tokenizer(counter)
    tasks = [asyncio.create_task(tokens.tokenize(asked(LONG))) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0.1)
    assert counter.n_running == MAX_AT_ONCE
    with pytest.raises(Overloaded):
        await tokens.tokenize(asked(LONG))
    counter.gate.set()
    replies = await asyncio.gather(*tasks)
    assert {len(json.loads(reply.body)["output"]["token_ids"]) for reply in replies} == {5_000}


async def test_whoever_leaves_makes_room_when_the_text_is_done() -> None:
    counter = HeldCounter()
    tokens = tokenizer(counter)
    task = asyncio.create_task(tokens.tokenize(asked(LONG)))
    await asyncio.sleep(0.05)
    task.cancel()
    counter.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await tokens.tokenize(asked(LONG)), Reply)


@pytest.mark.item(88)
async def test_it_is_free_of_limits() -> None:
    counter = HeldCounter()
    counter.gate.set()
    tokens = tokenizer(counter, LimitOptions(requests_per_minute=1, tokens_per_minute=1))
    replies = [await tokens.tokenize(asked("ab")) for _ in range(3)]
    assert [json.loads(reply.body)["output"]["tokens"] for reply in replies] == [["a", "b"]] * 3


async def test_without_the_vocabulary_it_says_how_to_get_it() -> None:
    with pytest.raises(ModelUnavailable, match="`make setup` installs it"):
        await tokenizer(EstimatedCounter()).tokenize(asked("ab"))
