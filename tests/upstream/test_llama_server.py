"""The upstream engine against a real llama-server on a tiny random model."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from msgspec import structs

from factories.llama_server import VOCABULARY, LlamaServer, llama_server
from factories.prompts import prompt
from longscroll.engines.base import EngineEvent, EngineFinish, EngineUsage, Prompt, Text
from longscroll.engines.upstream import ProbeResult, Upstream, UpstreamOptions, probe
from longscroll.errors import EngineRefused
from longscroll.types import AnswerForm, Message, Sampling

MISSING = [name for name in ("gguf", "xllamacpp") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(not VOCABULARY.exists(), reason="no Qwen vocabulary: run `make setup`"),
]

DOCUMENT = "The harbour light was built in 1868 and is forty metres high. " * 80
GREEDY = Sampling(temperature=0.0, max_tokens=6)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    with llama_server(tmp_path_factory.mktemp("llama")) as running:
        yield running


@pytest_asyncio.fixture
async def engine(server: LlamaServer) -> AsyncIterator[Upstream]:
    options = UpstreamOptions(name="llama", urls=(server.url,), kind="llama-server", served_name=server.model)
    async with Upstream(options) as running:
        yield running


async def answer_of(engine: Upstream, asked: Prompt) -> tuple[list[Text], EngineFinish]:
    events: list[EngineEvent] = [event async for event in engine.generate(asked)]
    texts = [event for event in events if isinstance(event, Text)]
    assert isinstance(events[-1], EngineFinish)
    return texts, events[-1]


async def n_busy_slots(server: LlamaServer) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url.removesuffix('/v1')}/slots") as reply:
        return sum(slot["is_processing"] for slot in await reply.json())


async def test_the_probe_finds_model_kind_and_the_window_of_one_slot(server: LlamaServer, engine: Upstream) -> None:
    windows = {server.model: server.context_window}
    found = ProbeResult(url=server.url, kind="llama-server", models=(server.model,), context_windows=windows)
    assert await probe(server.url) == found
    assert engine.context_window == server.context_window


async def test_text_is_streamed_and_counted(engine: Upstream) -> None:
    texts, finish = await answer_of(engine, prompt("hello", sampling=GREEDY))
    assert finish.usage is not None
    assert (finish.reason, finish.usage.n_output_tokens) == ("length", 6)
    assert finish.usage.n_input_tokens > 0
    assert 1 < len(texts) <= 6


async def test_every_sampling_field_is_accepted(engine: Upstream) -> None:
    sampling = Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        max_tokens=4,
        stop=("no such words",),
        seed=3,
        presence_penalty=0.1,
        frequency_penalty=0.1,
        repetition_penalty=1.1,
    )
    first, second = [await answer_of(engine, prompt("hello", sampling=sampling)) for _ in range(2)]
    assert first[0] == second[0]


async def test_the_second_question_on_a_document_is_read_from_the_cache(engine: Upstream) -> None:
    usages = []
    for question in ("How high is the light?", "When was it built?"):
        messages = (Message(role="system", content=DOCUMENT), Message(role="user", content=question))
        _, finish = await answer_of(engine, msgspec.structs.replace(prompt(sampling=GREEDY), messages=messages))
        usages.append(finish.usage or EngineUsage())
    assert usages[1].n_input_tokens > 1000
    assert usages[1].n_input_tokens - usages[1].n_cached_tokens < 40


async def test_a_prompt_over_the_window_is_refused_in_the_servers_words(server: LlamaServer, engine: Upstream) -> None:
    with pytest.raises(EngineRefused, match=rf"exceeds the available context size \({server.context_window} tokens\)"):
        await answer_of(engine, prompt("long " * server.context_window))


async def test_closing_the_answer_frees_the_slot(server: LlamaServer, engine: Upstream) -> None:
    events = engine.generate(prompt("hello", sampling=Sampling(max_tokens=8000)))
    assert isinstance(await anext(events), Text)
    assert await n_busy_slots(server) == 1
    began = time.monotonic()
    await events.aclose()
    while await n_busy_slots(server):  # the server is asked, it tells nobody
        assert time.monotonic() - began < 0.25
        await asyncio.sleep(0.005)


@pytest.mark.item(98)
async def test_a_partial_answer_is_continued_where_it_broke_off(engine: Upstream) -> None:
    asked = prompt("hello", sampling=GREEDY)
    whole, _ = await answer_of(engine, asked)
    begun = Message(role="assistant", content="".join(text.text for text in whole[:3]), is_partial=True)
    rest, _ = await answer_of(engine, structs.replace(asked, messages=(*asked.messages, begun)))
    assert [text.text for text in rest[:2]] == [text.text for text in whole[3:5]]


async def test_every_token_comes_with_its_log_probability(engine: Upstream) -> None:
    sampling = structs.replace(GREEDY, wants_logprobs=True, n_top_logprobs=2)
    texts, _ = await answer_of(engine, prompt("hello", sampling=sampling))
    tokens = [msgspec.json.decode(token) for text in texts for token in text.logprobs]
    assert "".join(token["token"] for token in tokens) == "".join(text.text for text in texts)
    assert [len(token["top_logprobs"]) for token in tokens] == [2] * 6


@pytest.mark.item(97)
async def test_json_mode_writes_an_object(engine: Upstream) -> None:
    form = AnswerForm(format="json_object", response_format=b'{"type":"json_object"}')
    asked = prompt("hello", sampling=structs.replace(GREEDY, max_tokens=40))
    texts, _ = await answer_of(engine, structs.replace(asked, form=form))
    assert "".join(text.text for text in texts).startswith("{")
