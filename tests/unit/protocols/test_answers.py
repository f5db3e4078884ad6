from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from factories.answers import finish
from longscroll.protocols.answers import collect, render_logprobs, render_tool_calls
from longscroll.protocols.encoding import encode
from longscroll.types import ChatEvent, Delta, ToolCallPiece

CALLS = (
    ToolCallPiece(index=0, id="c1", name="f", arguments='{"a'),
    ToolCallPiece(index=1, id="c2", name="g"),
    ToolCallPiece(index=0, arguments='":1}'),
    ToolCallPiece(index=1, arguments="{}"),
)


async def play(events: Sequence[ChatEvent]) -> AsyncGenerator[ChatEvent, None]:
    for event in events:
        yield event


async def test_an_answer_is_collected_by_choice() -> None:
    deltas = [Delta(text="a"), Delta(text="x", choice=2), Delta(text="b", logprobs=(b"{}",))]
    answer = await collect(play([*deltas, finish(3, other_reasons=("length", "stop"))]))
    assert [choice.text for choice in answer.choices] == ["ab", "", "x"]
    assert [choice.logprobs for choice in answer.choices] == [(b"{}",), (), ()]
    assert answer.finish.reasons == ("stop", "length", "stop")


async def test_pieces_of_calls_are_joined() -> None:
    answer = await collect(play([*(Delta(text="", tool_calls=(call,)) for call in CALLS), finish(1)]))
    assert answer.choices[0].tool_calls == (
        ToolCallPiece(index=0, id="c1", name="f", arguments='{"a":1}'),
        ToolCallPiece(index=1, id="c2", name="g", arguments="{}"),
    )


def test_every_piece_of_a_call_has_its_type_and_only_the_first_its_name() -> None:
    assert encode(render_tool_calls((CALLS[0], CALLS[2]))) == (
        b'[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\\"a"}},'
        b'{"index":0,"id":"","type":"function","function":{"arguments":"\\":1}"}}]'
    )


def test_log_probabilities_are_sent_as_they_came() -> None:
    assert encode(render_logprobs((b'{"token": "a"}', b"{}"))) == b'{"content":[{"token": "a"},{}]}'
    assert render_logprobs(()) is None
