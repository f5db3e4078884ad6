"""A script is read from two formats, replaced while models and parsers run, and what came to them is remembered."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from factories.answers import finish, pieces
from factories.ingestion import ScriptedParsers as Pool
from longscroll.documents.scripted import FileRule, ScriptedParsers
from longscroll.engines.base import EngineUsage
from longscroll.engines.faults import Fault
from longscroll.engines.scripted import Rule, Scripted
from longscroll.errors import ConfigError, DocumentErrorKind, EngineFailed
from longscroll.services.script import Chat, Director, Script, load_script, render_lines
from longscroll.types import ChatEvent, ChatRequest, Finish, Message

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
fault = { error = "ModelServingError", after = 1, retry_after_s = 9 }

[[file]]
name = "*.pdf"
error = "encrypted"
"""
JSONL = """
{"model": "qwen-*", "message": "(?i)weather|天气", "deltas": ["晴", "天。"], "pace_s": 0.5, \
"usage": {"n_input_tokens": 12, "n_output_tokens": 2}}
{"file": {"name": "*.pdf", "error": "encrypted"}}

{"deltas": ["?"], "finish": "length", "fault": {"error": "ModelServingError", "after": 1, "retry_after_s": 9}}
"""
SCRIPT = Script(
    rule=(
        Rule(
            model="qwen-*",
            message="(?i)weather|天气",
            deltas=("晴", "天。"),
            pace_s=0.5,
            usage=EngineUsage(n_input_tokens=12, n_output_tokens=2),
        ),
        Rule(deltas=("?",), finish="length", fault=Fault(error="ModelServingError", after=1, retry_after_s=9)),
    ),
    file=(FileRule(name="*.pdf", error=DocumentErrorKind.ENCRYPTED),),
)
REQUEST = ChatRequest(
    workspace="acme", request_id="r", model="qwen-long", messages=(Message(role="user", content="hi"),)
)


def director() -> Director:
    return Director([Scripted([Rule(deltas=("first",))])], ScriptedParsers(Pool()))


@pytest.mark.parametrize(("name", "text"), [("script.toml", TOML), ("script.jsonl", JSONL)])
def test_both_formats_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert load_script(path) == SCRIPT


def test_a_script_that_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text(render_lines(SCRIPT), encoding="utf-8")
    assert load_script(path) == SCRIPT


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "[[rule", "a.toml"),
        ("a.toml", "[[rule]]\nanswer = 'x'", "unknown field `answer`"),
        ("a.toml", "[[rule]]\nmessage = '('", "no regular expression"),
        ("a.toml", "[[rule]]\nfault = {error = 'fire'}", "'fire'"),
        ("a.toml", "[[file]]\nerror = 'fire'", "'fire'"),
        ("a.toml", "[[file]]\ndelay_s = -1", "must not be negative"),
        ("a.jsonl", '{"deltas": []}\n{"deltas": 5}', "line 2"),
        ("a.jsonl", "[]", "line 1"),
        ("a.jsonl", "{", "line 1"),
    ],
)
def test_a_script_that_is_wrong_says_where(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_script(path)
    assert words in str(raised.value)


def test_a_script_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read"):
        load_script(tmp_path / "missing.toml")


def test_the_first_script_is_what_models_and_parsers_obey() -> None:
    engines = [Scripted(SCRIPT.rule[:1]), Scripted(SCRIPT.rule[1:])]
    assert Director([*engines, engines[0]], ScriptedParsers(Pool(), SCRIPT.file)).script == SCRIPT


def test_a_new_script_reaches_every_model_and_the_parsers() -> None:
    engines = [Scripted([]), Scripted([])]
    parsers = ScriptedParsers(Pool())
    Director(engines, parsers).replace(SCRIPT)
    assert [engine.rules for engine in engines] == [SCRIPT.rule, SCRIPT.rule]
    assert parsers.rules == SCRIPT.file


async def test_a_chat_is_remembered_with_the_usage_that_was_told() -> None:
    async def answer(request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        for step in (*pieces("a", "b"), finish(2)):
            assert not isinstance(step, Exception | float)
            yield step

    directed = director()
    events = [event async for event in directed.observed(answer)(REQUEST)]
    assert isinstance(events[-1], Finish)
    assert directed.chats() == (Chat(request=REQUEST, usage=events[-1].usage),)


async def test_a_chat_that_failed_is_remembered_with_its_error() -> None:
    async def answer(request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        if request == REQUEST:
            raise EngineFailed("no")
        yield finish(0)

    directed = director()
    with pytest.raises(EngineFailed):
        await anext(directed.observed(answer)(REQUEST))
    assert directed.chats() == (Chat(request=REQUEST, error="EngineFailed"),)
    directed.forget()
    assert directed.chats() == ()
