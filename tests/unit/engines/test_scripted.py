"""A script decides every delta, pause, count and fault."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from factories.prompts import prompt
from longscroll.engines.base import EngineEvent, EngineFinish, EngineUsage, Text
from longscroll.engines.scripted import Fault, Rule, Scripted, load_rules
from longscroll.errors import (
    ConfigError,
    EngineError,
    EngineFailed,
    EngineOverloaded,
    EngineRefused,
    EngineTimeout,
    ModelUnavailable,
)

TOML = """
[[rule]]
model = "qwen-*"
message = "(?i)weather|天气"
deltas = ["晴", "天。"]
pace_s = 0.5
usage = { n_input_tokens = 12, n_output_tokens = 2 }

[[rule]]
deltas = ["?"]
finish = "length"
fault = { kind = "overloaded", after = 1, retry_after_s = 9 }
"""
JSONL = """
{"model": "qwen-*", "message": "(?i)weather|天气", "deltas": ["晴", "天。"], "pace_s": 0.5, \
"usage": {"n_input_tokens": 12, "n_output_tokens": 2}}

{"deltas": ["?"], "finish": "length", "fault": {"kind": "overloaded", "after": 1, "retry_after_s": 9}}
"""
RULES = (
    Rule(
        model="qwen-*",
        message="(?i)weather|天气",
        deltas=("晴", "天。"),
        pace_s=0.5,
        usage=EngineUsage(n_input_tokens=12, n_output_tokens=2),
    ),
    Rule(deltas=("?",), finish="length", fault=Fault(kind="overloaded", after=1, retry_after_s=9)),
)


async def answer_of(engine: Scripted, question: str = "hi", *, model: str = "qwen-long") -> list[EngineEvent]:
    return [event async for event in engine.generate(prompt(question, model=model))]


async def test_the_deltas_keep_their_boundaries_and_end_in_the_rules_finish() -> None:
    usage = EngineUsage(n_input_tokens=3, n_output_tokens=2)
    engine = Scripted([Rule(deltas=("春", "", "天 [1]"), usage=usage, finish="length", abstained=True)])
    finish = EngineFinish(reason="length", usage=usage, abstained=True)
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


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("unavailable", ModelUnavailable),
        ("failed", EngineFailed),
        ("timeout", EngineTimeout),
        ("refused", EngineRefused),
        ("overloaded", EngineOverloaded),
        ("cut", EngineFailed),
    ],
)
@pytest.mark.parametrize("after", [0, 1, 2])
async def test_a_fault_comes_after_so_many_deltas(kind: Any, error: type[EngineError], after: int) -> None:
    engine = Scripted([Rule(deltas=("a", "b"), fault=Fault(kind=kind, after=after, message="words"))])
    events = engine.generate(prompt())
    assert [await anext(events) for _ in range(after)] == [Text("a"), Text("b")][:after]
    with pytest.raises(error, match="words") as raised:
        await anext(events)
    assert type(raised.value) is error


async def test_silence_lasts_until_the_reader_leaves() -> None:
    engine = Scripted([Rule(deltas=("a", "b"), fault=Fault(kind="silence", after=1))])
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


@pytest.mark.parametrize(("name", "text"), [("script.toml", TOML), ("script.jsonl", JSONL)])
def test_both_file_formats_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert load_rules(path) == RULES


async def test_an_engine_is_made_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.toml"
    path.write_text('[[rule]]\ndeltas = ["ok"]', encoding="utf-8")
    engine = Scripted.from_file(path, context_window=100)
    assert (engine.context_window, await answer_of(engine)) == (100, [Text("ok"), EngineFinish()])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "[[rule", "a.toml"),
        ("a.toml", "[[rule]]\nanswer = 'x'", "unknown field `answer`"),
        ("a.toml", "[[rule]]\nmessage = '('", "no regular expression"),
        ("a.toml", "[[rule]]\nfault = {kind = 'fire'}", "'fire'"),
        ("a.jsonl", '{"deltas": []}\n{"deltas": 5}', "line 2"),
        ("a.jsonl", "{", "line 1"),
    ],
)
def test_a_script_that_is_wrong_says_where(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_rules(path)
    assert words in str(raised.value)


def test_a_script_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read"):
        load_rules(tmp_path / "missing.toml")


async def test_the_script_of_the_how_to_does_what_it_says(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs/how-to/scripted-answers.md"
    path = tmp_path / "answers.toml"
    path.write_text(page.read_text(encoding="utf-8").split("```toml")[2].partition("```")[0], encoding="utf-8")
    engine = Scripted(load_rules(path), sleep=no_wait)
    assert len(await answer_of(engine, "The weather?")) == 4
    for _ in range(2):
        with pytest.raises(EngineOverloaded):
            await answer_of(engine, "busy")
    assert (await answer_of(engine, "busy"))[:2] == [Text("I have "), Text("no script for that.")]


async def no_wait(seconds: float) -> None:
    return None
