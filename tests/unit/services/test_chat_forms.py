"""What a chat may ask of its answer, from the request down to what the engine was given and what is billed."""

from __future__ import annotations

from typing import Any

import pytest

from factories.service import WORKSPACE, LocalService, local_service
from longscroll.engines.scripted import Rule, Scripted, ScriptedDelta
from longscroll.errors import InvalidParameter
from longscroll.tokens import count_chat, load_counter
from longscroll.types import AnswerForm, ChatEvent, ChatRequest, Delta, Finish, Message, Sampling, ToolCallPiece

BEES = "The lighthouse was lit in 1871.\n\nIts keeper, Ada Thornbury, kept bees in the lamp room.\n"
HELLO = Message(role="user", content="hello")


async def ask(service: LocalService, *messages: Message, model: str = "scripted", **fields: Any) -> list[ChatEvent]:
    asked = ChatRequest(workspace=WORKSPACE, request_id="r", model=model, messages=messages, **fields)
    return [event async for event in service.chat.answer(asked)]


def text_of(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def end_of(events: list[ChatEvent]) -> Finish:
    assert isinstance(events[-1], Finish)
    return events[-1]


def n_chat(*turns: tuple[str, str], is_open: bool = False) -> int:
    counter = load_counter()
    return count_chat(counter, [(role, counter.count(text)) for role, text in turns], is_open=is_open)


@pytest.mark.item(96)
async def test_choices_have_seeds_of_their_own_and_are_billed_together() -> None:
    engine = Scripted([Rule(deltas=("One ", "two."), times=2), Rule(deltas=("Three.",), finish="length")])
    async with local_service(engine=engine) as service:
        events = await ask(service, HELLO, sampling=Sampling(n_choices=3, seed=7))
    assert [prompt.sampling.seed for prompt in engine.prompts] == [7, 8, 9]
    assert end_of(events).reasons == ("stop", "stop", "length")
    assert end_of(events).usage.n_output_tokens == sum(load_counter().count_many(["One two."] * 2 + ["Three."]))
    assert end_of(events).usage.n_input_tokens == n_chat(("user", "hello"))


@pytest.mark.item(98)
async def test_a_partial_answer_is_continued_without_its_beginning_and_billed_as_open() -> None:
    engine = Scripted([Rule(deltas=("It was ", "lit in 1871."))])
    begun = Message(role="assistant", content="It was lit", is_partial=True)
    async with local_service(engine=engine) as service:
        events = await ask(service, HELLO, begun)
    assert text_of(events) == " in 1871."
    assert engine.prompts[0].messages[-1] == begun
    assert end_of(events).usage.n_input_tokens == n_chat(("user", "hello"), ("assistant", "It was lit"), is_open=True)


@pytest.mark.item(98)
async def test_the_embedded_engine_goes_on_where_its_own_answer_broke_off() -> None:
    system, question = Message(role="system", content=BEES), Message(role="user", content="Who kept bees?")
    async with local_service() as service:
        file = await service.parsed(BEES)
        reference = Message(role="system", content=f"fileid://{file.id}")
        whole = text_of(await ask(service, system, reference, question, model="qwen-long"))
        begun = Message(role="assistant", content=whole[:9], is_partial=True)
        rest = text_of(await ask(service, system, reference, question, begun, model="qwen-long"))
    assert whole[:9] + rest == whole


async def test_tools_and_their_results_reach_the_engine_in_order() -> None:
    call = ToolCallPiece(id="c1", name="f", arguments="{}")
    engine = Scripted([Rule(deltas=(ScriptedDelta(tool_calls=(call,)),))])
    called = Message(role="assistant", content="", tool_calls=b'[{"id":"c0"}]')
    result = Message(role="tool", content="12", tool_call_id="c0")
    form = AnswerForm(tools=b'[{"type":"function"}]')
    async with local_service(engine=engine) as service:
        events = await ask(service, HELLO, called, result, form=form)
    assert engine.prompts[0].messages == (HELLO, called, result)
    assert engine.prompts[0].form == form
    assert [event.tool_calls for event in events if isinstance(event, Delta)] == [(call,)]
    assert end_of(events).reason == "tool_calls"


async def test_tools_and_calls_of_them_are_billed_as_their_json() -> None:
    tools, calls = b'[{"type":"function","function":{"name":"weather"}}]', b'[{"id":"c0"}]'
    called = Message(role="assistant", content="So.", tool_calls=calls)
    async with local_service(engine=Scripted([Rule(deltas=("a",))])) as service:
        events = await ask(service, HELLO, called, HELLO, form=AnswerForm(tools=tools))
    said = (("user", "hello"), ("assistant", "So." + calls.decode()), ("user", "hello"))
    assert end_of(events).usage.n_input_tokens == n_chat(*said) + load_counter().count(tools.decode())


@pytest.mark.item(97)
async def test_json_is_passed_through_uncited_and_costs_two_tokens_more() -> None:
    deltas = ('{"pages": ', "[1], ", '"year": 1871}')
    engine = Scripted([Rule(deltas=deltas)])
    form = AnswerForm(format="json_object", response_format=b'{"type":"json_object"}')
    async with local_service(engine=engine) as service:
        file = await service.parsed(BEES)
        reference = Message(role="system", content=f"fileid://{file.id}")
        events = await ask(service, reference, HELLO, form=form)
        plain = await ask(service, reference, HELLO)
    assert text_of(events) == "".join(deltas)
    assert not any(event.annotations for event in events if isinstance(event, Delta))
    assert end_of(events).usage.n_input_tokens == end_of(plain).usage.n_input_tokens + 2
    assert "[1] or [2][5]" not in engine.prompts[0].messages[0].content


@pytest.mark.item(95)
async def test_the_embedded_engine_stops_where_it_is_told() -> None:
    async with local_service() as service:
        file = await service.parsed(BEES)
        messages = (
            Message(role="system", content=f"fileid://{file.id}"),
            Message(role="user", content="Who kept bees?"),
        )
        whole = text_of(await ask(service, *messages, model="qwen-long"))
        events = await ask(service, *messages, model="qwen-long", sampling=Sampling(stop=("kept", "never")))
    assert text_of(events) == whole[: whole.index("kept")]
    assert end_of(events).reason == "stop"


@pytest.mark.item(106)
@pytest.mark.parametrize("citations", ["annotations", "off"])
@pytest.mark.parametrize("n", [1, 2, 7, 400])
async def test_an_answer_never_has_more_tokens_than_asked_for(n: int, citations: str) -> None:
    async with local_service() as service:
        file = await service.parsed(BEES)
        messages = (
            Message(role="system", content=f"fileid://{file.id}"),
            Message(role="user", content="Who kept bees?"),
        )
        sampling = Sampling(max_tokens=n)
        events = await ask(service, *messages, model="qwen-long", sampling=sampling, citations=citations)
    assert end_of(events).usage.n_output_tokens <= n
    assert end_of(events).reason == ("stop" if n == 400 else "length")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"form": AnswerForm(tools=b"[{}]")}, "The tool call is not supported."),
        ({"sampling": Sampling(n_choices=2)}, "Range of n should be [1, 1]"),
        ({"sampling": Sampling(wants_logprobs=True)}, "This model does not support logprobs."),
        ({"form": AnswerForm(format="json_schema")}, "response_format of this type is not supported by this model."),
    ],
)
async def test_the_embedded_engine_refuses_before_files_are_looked_for(fields: dict[str, Any], words: str) -> None:
    unknown = Message(role="system", content="fileid://file-fe-00000000000000000000ffff")
    async with local_service() as service:
        with pytest.raises(InvalidParameter) as caught:
            await ask(service, unknown, HELLO, model="qwen-long", **fields)
    assert str(caught.value) == words
