"""Who answers at an address, with which models and windows; and what the engine makes of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from factories.prompts import prompt
from factories.raw_server import DONE, Connection, RawServer, chunk, free_port, raw_server
from longscroll.engines.upstream import ProbeResult, Upstream, UpstreamOptions, probe
from longscroll.errors import ModelUnavailable

VLLM = {"/v1/models": {"data": [{"id": "big", "owned_by": "vllm", "max_model_len": 131072}, {"id": "small"}]}}
LLAMA_NEW = {"/v1/models": {"data": [{"id": "tiny", "owned_by": "llamacpp", "meta": {"n_ctx": 2048, "n_vocab": 9}}]}}
LLAMA_OLD = {
    "/v1/models": {"data": [{"id": "tiny", "owned_by": "llamacpp", "meta": {"n_ctx_train": 32768}}]},
    "/props": {"default_generation_settings": {"n_ctx": 1024, "params": {}}},
}
OLLAMA_IDLE = {"/v1/models": {"data": [{"id": "qwen3:latest", "owned_by": "library"}]}, "/api/ps": {"models": []}}
OLLAMA_BUSY = OLLAMA_IDLE | {"/api/ps": {"models": [{"name": "qwen3:latest", "context_length": 40960}]}}
SILENT_ONES = {"/v1/models": {"object": "list", "data": [{"id": "a"}, {"id": "b", "owned_by": "me"}]}}


@contextlib.asynccontextmanager
async def serving(*pages: dict[str, Any], port: int = 0) -> AsyncIterator[RawServer]:
    """Serve JSON pages by path; the last set of pages stays. A chat gets a short answer and moves to the next set."""
    states = list(pages)

    async def answer(connection: Connection) -> None:
        path = server.requests[-1].line.split()[1]
        if path.endswith("/chat/completions"):
            await connection.begin_stream()
            await connection.send(chunk("a", finish_reason="stop"), DONE)
            if len(states) > 1:
                del states[0]
        elif path in states[0]:
            await connection.reply(json.dumps(states[0][path]).encode())
        else:
            await connection.reply(b"not here", status=404)

    async with raw_server(answer, port=port) as server:
        yield server


@pytest.mark.parametrize(
    ("pages", "kind", "models", "windows"),
    [
        (VLLM, "vllm", ("big", "small"), {"big": 131072}),
        (LLAMA_NEW, "llama-server", ("tiny",), {"tiny": 2048}),
        (LLAMA_OLD, "llama-server", ("tiny",), {"tiny": 1024}),
        (OLLAMA_IDLE, "ollama", ("qwen3:latest",), {}),
        (OLLAMA_BUSY, "ollama", ("qwen3:latest",), {"qwen3:latest": 40960}),
        (SILENT_ONES, "openai", ("a", "b"), {}),
    ],
)
async def test_each_server_is_known_by_its_list(pages: Any, kind: Any, models: Any, windows: Any) -> None:
    async with serving(pages) as server:
        found = await probe(server.url + "/")
        assert found == ProbeResult(url=server.url, kind=kind, models=models, context_windows=windows)


async def test_ollamas_latest_tag_may_be_left_out() -> None:
    async with serving(OLLAMA_BUSY) as server:
        assert (await probe(server.url)).context_window("qwen3") == 40960


async def test_the_key_goes_with_the_question() -> None:
    async with serving(VLLM) as server:
        await probe(server.url, api_key="sk-1")
        assert server.requests[0].headers["authorization"] == "Bearer sk-1"


@pytest.mark.parametrize("pages", [{}, {"/v1/models": []}, {"/v1/models": {"error": "no"}}, {"/v1/models": "hello"}])
async def test_what_lists_no_models_is_no_model_server(pages: dict[str, Any]) -> None:
    async with serving(pages) as server:
        with pytest.raises(ModelUnavailable, match="No model server answers at http"):
            await probe(server.url)


async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    async def silent(connection: Connection) -> None:
        await connection.wait_until_left()

    async with raw_server(silent) as server:
        with pytest.raises(ModelUnavailable):
            await probe(server.url, timeout_s=0.1)


async def test_nothing_there_is_no_model_server() -> None:
    with pytest.raises(ModelUnavailable):
        await probe(f"http://127.0.0.1:{free_port()}/v1")


@pytest.mark.parametrize(
    ("pages", "changes", "window"),
    [
        (VLLM, {"served_name": "big"}, 131072),
        (VLLM, {"served_name": "small"}, 8192),
        (VLLM, {"served_name": "big", "context_window": 1000}, 1000),
        (LLAMA_OLD, {"served_name": "tiny"}, 1024),
        (OLLAMA_IDLE, {"served_name": "qwen3"}, 4096),
        (SILENT_ONES, {"served_name": "a"}, 8192),
        (SILENT_ONES, {"served_name": "a", "kind": "ollama"}, 4096),
        ({}, {"served_name": "a"}, 8192),
    ],
)
async def test_the_engine_starts_with_the_window_it_can_know(pages: Any, changes: Any, window: int) -> None:
    async with serving(pages) as server:
        options = UpstreamOptions(name="gpu", urls=(server.url,), **changes)
        async with Upstream(options) as engine:
            assert engine.context_window == window


async def test_a_server_that_comes_later_is_asked_then() -> None:
    async with contextlib.AsyncExitStack() as stack:
        port = free_port()
        url = f"http://127.0.0.1:{port}/v1"
        engine = Upstream(UpstreamOptions(name="gpu", urls=(url,), served_name="big"))
        await stack.enter_async_context(engine)
        before = engine.context_window
        await stack.enter_async_context(serving(VLLM, port=port))
        assert (before, await _window_after_answer(engine)) == (8192, 131072)


async def test_a_server_that_answers_without_a_list_is_asked_twice_at_most() -> None:
    async with serving({}) as server, engine_at(server) as engine:
        for _ in range(3):
            await _window_after_answer(engine)
        assert [request.line.split()[0] for request in server.requests] == ["GET", "GET", "POST", "POST", "POST"]


async def test_ollama_is_asked_again_until_the_model_is_loaded() -> None:
    async with serving(OLLAMA_IDLE, OLLAMA_BUSY) as server, engine_at(server, "qwen3") as engine:
        windows = [engine.context_window, await _window_after_answer(engine), await _window_after_answer(engine)]
        assert windows == [4096, 4096, 40960]


async def test_a_window_that_is_known_is_not_asked_for_again() -> None:
    async with serving(VLLM) as server, engine_at(server) as engine:
        await _window_after_answer(engine)
        await _window_after_answer(engine)
        assert [request.line.split()[0] for request in server.requests] == ["GET", "POST", "POST"]


def engine_at(server: RawServer, served_name: str = "big") -> Upstream:
    return Upstream(UpstreamOptions(name="gpu", urls=(server.url,), served_name=served_name))


async def _window_after_answer(engine: Upstream) -> int | None:
    async for _ in engine.generate(prompt()):
        pass
    return engine.context_window
