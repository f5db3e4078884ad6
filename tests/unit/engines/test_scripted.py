"""A script decides every delta, pause, count and fault."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from factories.evidences import evidence
from factories.prompts import prompt
from longscroll.engines.base import EngineEvent, EngineFinish, EngineUsage, Prompt, Text
from longscroll.engines.faults import Fault
from longscroll.engines.scripted import Rule, Scripted
from longscroll.errors import EngineOverloaded, EngineRefused, ModelNotFound
from longscroll.types import Message


def with_messages(asked: Prompt, *messages: Message) -> Prompt:
    return msgspec.structs.replace(asked, messages=(*messages, *asked.messages))


async def answer_of(engine: Scripted, question: str = "hi", *, model: str = "qwen-long") -> list[EngineEvent]:
    return [event async for event in engine.generate(prompt(question, model=model))]


async def test_the_deltas_keep_their_boundaries_and_end_in_the_rules_finish() -> None:
    usage = EngineUsage(n_input_tokens=3, n_output_tokens=2)
    engine = Scripted([Rule(deltas=("春", "", "天 [1]"), usage=usage, finish="length", abstained=True)])
    finish = EngineFinish(reason="length", usage=usage, is_usage_told=True, abstained=True)
    assert await answer_of(engine) == [Text("春"), Text(""), Text("天 [1]"), finish]


async def test_the_first_rule_that_matches_model_and_question_answers() -> None:
    rules = [
        Rule(model="chatyuan-*", deltas=("one",)),
        Rule(message="(?i)WEATHER", deltas=("two",)),
        Rule(deltas=("three",)),
    ]
    engine = Scripted(rules)
    asked = [("hi", "chatyuan-large-v2"), ("the weather?", "qwen-long"), ("hi", "qwen-long")]
    answers = [await answer_of(engine, question, model=model) for question, model in asked]
    assert [answer[0] for answer in answers] == [Text("one"), Text("two"), Text("three")]


async def test_a_rule_with_times_gives_way_to_the_next() -> None:
    engine = Scripted([Rule(deltas=("first",), times=2), Rule(deltas=("then",))])
    assert [(await answer_of(engine))[0] for _ in range(4)] == [Text("first")] * 2 + [Text("then")] * 2


async def test_a_question_without_a_rule_is_refused() -> None:
    with pytest.raises(EngineRefused, match="No rule of the script answers this question for the model qwen-long"):
        await answer_of(Scripted([Rule(message="never")]))


async def test_the_pace_is_kept_by_the_given_clock() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    engine = Scripted([Rule(deltas=("a", "b", "c"), first_delay_s=2.0, pace_s=0.5)], sleep=sleep)
    await answer_of(engine)
    assert pauses == [2.0, 0.5, 0.5]


@pytest.mark.parametrize("after", [0, 1, 2, 7])
async def test_a_fault_comes_after_so_many_deltas_or_at_the_end(after: int) -> None:
    fault = Fault(error="ModelServingError", after=after, message="words", retry_after_s=9)
    events = Scripted([Rule(deltas=("a", "b"), fault=fault)]).generate(prompt())
    n_before = min(after, 2)
    assert [await anext(events) for _ in range(n_before)] == [Text("a"), Text("b")][:n_before]
    with pytest.raises(EngineOverloaded) as raised:
        await anext(events)
    assert (raised.value.words, raised.value.retry_after_s) == ("words", 9)


async def test_an_answer_that_is_only_slow_comes_whole() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    fault = Fault(error="slow", after=1, delay_s=7.0)
    engine = Scripted([Rule(deltas=("a", "b"), pace_s=0.5, fault=fault)], sleep=sleep)
    assert await answer_of(engine) == [Text("a"), Text("b"), EngineFinish()]
    assert pauses == [7.0, 0.5]


async def test_an_error_names_the_model_that_was_asked() -> None:
    engine = Scripted([Rule(fault=Fault(error="ModelNotFound"))])
    with pytest.raises(ModelNotFound, match="`qwen-plus` does not exist"):
        await answer_of(engine, model="qwen-plus")


async def test_a_rule_may_look_for_words_of_the_system_messages() -> None:
    engine = Scripted([Rule(system="(?i)pirate", deltas=("Arr.",)), Rule(deltas=("Hello.",))])
    asked = prompt("hi")
    pirate = Message(role="system", content="Speak like a pirate.")
    answers = [[event async for event in engine.generate(one)] for one in (asked, with_messages(asked, pirate))]
    assert [answer[0] for answer in answers] == [Text("Hello."), Text("Arr.")]


async def test_a_rule_may_look_for_the_name_of_a_file() -> None:
    engine = Scripted([Rule(filename="*.pdf", deltas=("A report.",)), Rule(deltas=("No file.",))])
    asked = msgspec.structs.replace(prompt("hi"), evidence=evidence("The text."))
    answers = [[event async for event in engine.generate(one)] for one in (prompt("hi"), asked)]
    assert [answer[0] for answer in answers] == [Text("No file."), Text("A report.")]


async def test_other_rules_begin_anew() -> None:
    once = Rule(deltas=("once",), times=1)
    engine = Scripted([once, Rule(deltas=("then",))])
    before = [(await answer_of(engine))[0] for _ in range(2)]
    engine.replace([once, Rule(deltas=("later",))])
    after = [(await answer_of(engine))[0] for _ in range(2)]
    assert (before, after) == ([Text("once"), Text("then")], [Text("once"), Text("later")])


async def test_silence_lasts_until_the_reader_leaves() -> None:
    engine = Scripted([Rule(deltas=("a", "b"), fault=Fault(error="silence", after=1))])
    events = engine.generate(prompt())
    assert await anext(events) == Text("a")
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.02)
    assert (waiting.done(), engine.n_running, engine.n_stopped) == (False, 1, 0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (engine.n_running, engine.n_stopped) == (0, 1)


async def test_tests_can_read_what_was_asked_and_what_was_closed() -> None:
    engine = Scripted([Rule(deltas=("a", "b"))])
    events = engine.generate(prompt("left early"))
    await anext(events)
    await events.aclose()
    await answer_of(engine, "read whole")
    assert [asked.question for asked in engine.prompts] == ["left early", "read whole"]
    assert (engine.n_running, engine.n_stopped) == (0, 1)
