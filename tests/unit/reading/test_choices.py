from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest
from msgspec import structs

from factories.evidences import evidence
from factories.prompts import prompt
from longscroll.engines.base import Ability, EngineEvent, EngineFinish, Prompt, Text
from longscroll.errors import EngineFailed
from longscroll.reading.choices import Choice, side_by_side
from longscroll.types import AnswerForm, Delta, Sampling, ToolCallPiece


class Says:
    """An engine that says some events, then waits or ends; it knows who stopped it."""

    context_window: int | None = 8000
    writes_marks = True

    def __init__(
        self, *events: EngineEvent | Exception, waits: bool = False, abilities: Sequence[Ability] = ()
    ) -> None:
        self.abilities = frozenset(abilities)
        self.n_running = 0
        self._events = events
        self._waits = waits

    async def generate(self, _prompt: Prompt) -> AsyncGenerator[EngineEvent]:
        self.n_running += 1
        try:
            for event in self._events:
                await asyncio.sleep(0)
                if isinstance(event, Exception):
                    raise event
                yield event
            if self._waits:
                await asyncio.Event().wait()
        finally:
            self.n_running -= 1


def choice(engine: Says, *, number: int = 0, prefix: str = "", asked: Prompt | None = None) -> Choice:
    return Choice(number, asked or prompt(), engine, citations="annotations", prefix=prefix)


async def written(one: Choice) -> list[Delta]:
    return [delta async for delta in one.write()]


async def test_several_choices_come_as_they_are_written() -> None:
    engine = Says(Text("a"), Text("b"), EngineFinish(reason="length"))
    choices = [choice(engine, number=number) for number in range(3)]
    deltas = [(delta.choice, delta.text) async for delta in side_by_side(choices)]
    assert deltas == [(0, "a"), (1, "a"), (2, "a"), (0, "b"), (1, "b"), (2, "b")]
    assert [one.reason for one in choices] == ["length"] * 3


async def test_leaving_several_choices_stops_all_engines() -> None:
    engine = Says(Text("a"), waits=True)
    async with aclosing(side_by_side([choice(engine, number=n) for n in range(4)])) as deltas:
        await anext(deltas)
        assert engine.n_running == 4
    assert engine.n_running == 0


async def test_cancelling_several_choices_stops_all_engines() -> None:
    engine = Says(waits=True)
    whole = asyncio.create_task(anext(side_by_side([choice(engine, number=n) for n in range(2)])))
    while engine.n_running < 2:
        await asyncio.sleep(0)
    whole.cancel()
    with pytest.raises(asyncio.CancelledError):
        await whole
    assert engine.n_running == 0


async def test_the_error_of_one_choice_ends_the_answer_and_stops_the_others() -> None:
    waiting, broken = Says(Text("a"), waits=True), Says(Text("b"), EngineFailed("x"))
    with pytest.raises(EngineFailed):
        _ = [delta async for delta in side_by_side([choice(waiting), choice(broken, number=1)])]
    assert waiting.n_running == 0


@pytest.mark.item(95)
async def test_a_stop_string_across_deltas_ends_the_answer_and_the_engine() -> None:
    engine = Says(Text("one tw"), Text("o three"), waits=True)
    one = choice(engine, asked=prompt(sampling=Sampling(stop=("two",))))
    assert "".join(delta.text for delta in await written(one)) == "one "
    assert (one.reason, engine.n_running) == ("stop", 0)


@pytest.mark.item(98)
@pytest.mark.parametrize(("abilities", "expected"), [((), " 42"), ((Ability.CONTINUES,), "It is 42")])
async def test_an_engine_that_goes_on_by_itself_may_say_the_same_words(
    abilities: Sequence[Ability], expected: str
) -> None:
    engine = Says(Text("It is 42"), EngineFinish(), abilities=abilities)
    assert "".join(delta.text for delta in await written(choice(engine, prefix="It is"))) == expected


async def test_calls_of_tools_pass_citations_untouched_and_are_the_reason_of_the_end() -> None:
    call = ToolCallPiece(id="c1", name="f", arguments='{"page":[1]}')
    one = choice(Says(Text("So [1]"), call, EngineFinish()), asked=structs.replace(prompt(), evidence=evidence("So.")))
    deltas = await written(one)
    assert [delta.tool_calls for delta in deltas if delta.tool_calls] == [(call,)]
    assert one.reason == "tool_calls"


async def test_brackets_of_json_are_no_citations() -> None:
    form = AnswerForm(format="json_object", response_format=b"{}")
    asked = structs.replace(prompt(), evidence=evidence("One."), form=form)
    deltas = await written(choice(Says(Text('{"pages": '), Text("[1], "), Text('"x": [9]}')), asked=asked))
    assert [(delta.text, delta.annotations) for delta in deltas] == [
        ('{"pages": ', ()),
        ("[1], ", ()),
        ('"x": [9]}', ()),
    ]


async def test_log_probabilities_go_out_even_while_their_text_is_held_back() -> None:
    asked = structs.replace(prompt(), evidence=evidence("One."))
    deltas = await written(choice(Says(Text("So"), Text(" [", (b"1",)), Text("2]", (b"2",))), asked=asked))
    assert [(delta.text, delta.logprobs) for delta in deltas] == [("So", ()), ("", (b"1",)), ("", (b"2",))]
