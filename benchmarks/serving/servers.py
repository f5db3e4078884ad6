"""The servers that are compared, each as a process: the product, its peers, and the source of answers.

The source is a model server that says one word over and over: at once, in time, or once and then nothing. The
pass-through is the least that a gateway can be: aiohttp on both sides, bytes through, no key, no limit, no count.
LiteLLM's proxy is found where ``LITELLM`` says (default: the ``litellm`` on the path); it wants an environment of its
own:

    python3 -m venv DIR && DIR/bin/pip install 'litellm[proxy]' prometheus-client && export LITELLM=DIR/bin/litellm

What is on. Product: its defaults, so a stored key checked, a log line, metrics and a durable usage record for each
request; and limits on requests and tokens a minute and on requests at once. LiteLLM, without a database: its master
key checked, limits on requests and tokens a minute enforced in memory, its Prometheus metrics, the cost of each
request computed; no log line, and nothing is stored.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvicorn
import uvloop
from aiohttp import web

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from benchmarks.serving.loads import WORD, Target

KEY = "sk-benchmark"
N_PIECES = 200
PACE_S = 0.1
N_PACED_PIECES = 30
READY_WITHIN_S = 120.0
STREAMS = {"brief": (1, 0.0), "fast": (N_PIECES, 0.0), "paced": (N_PACED_PIECES, PACE_S), "silent": (2, 3600.0)}
"""The source's models: how many pieces, and what is between two of them."""

CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764500000,"model":"fast","choices":'
    b'[{"index":0,"delta":{"content":"' + WORD + b' "},"finish_reason":null}]}\n\n'
)
LAST = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764500000,"model":"fast","choices":'
    b'[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764500000,"model":"fast","choices":[],'
    b'"usage":{"prompt_tokens":12,"completion_tokens":200,"total_tokens":212}}\n\ndata: [DONE]\n\n'
)
WHOLE = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1764500000,"model":"fast","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"' + WORD + b'"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":12,"completion_tokens":1,"total_tokens":13}}'
)
MODELS = tuple(STREAMS)

PRODUCT = """
[[upstream]]
name = "source"
urls = ["http://127.0.0.1:{port}/v1"]
{models}
[[model]]
name = "local-paced"
engine = "scripted"
script = "{folder}/paced.jsonl"

[[model]]
name = "local-silent"
engine = "scripted"
script = "{folder}/silent.jsonl"

[[limit]]
requests_per_minute = 100000000
tokens_per_minute = 100000000000
concurrent_requests = 100000
"""
PRODUCT_MODEL = """
[[model]]
name = "{name}"
engine = "upstream"
upstream = "source"
context_window = 32768
"""
LITELLM = """
model_list:
{models}
litellm_settings:
  callbacks: ["prometheus"]
general_settings:
  master_key: {key}
router_settings:
  optional_pre_call_checks: ["enforce_model_rate_limits"]
"""
LITELLM_MODEL = """
- model_name: {name}
  litellm_params:
    model: "openai/{name}"
    api_base: "http://127.0.0.1:{port}/v1"
    api_key: "none"
    rpm: 100000000
    tpm: 100000000000
"""


@contextmanager
def source() -> Iterator[Target]:
    """Run the model server."""
    with _own("source") as target:
        yield target


@contextmanager
def pass_through(upstream: Target) -> Iterator[Target]:
    """Run the least of gateways."""
    with _own("pass-through", "--upstream", f"http://127.0.0.1:{upstream.port}") as target:
        yield target


@contextmanager
def product(folder: Path, upstream: Target) -> Iterator[Target]:
    """Run the service with limits and metering on, its data in ``folder``."""
    word = WORD.decode() + " "
    (folder / "paced.jsonl").write_bytes(msgspec.json.encode({"deltas": [word] * N_PACED_PIECES, "pace_s": PACE_S}))
    (folder / "silent.jsonl").write_bytes(msgspec.json.encode({"deltas": [word, word], "pace_s": 3600.0}))
    models = "".join(PRODUCT_MODEL.format(name=name) for name in MODELS)
    config = folder / "longscroll.toml"
    config.write_text(PRODUCT.format(port=upstream.port, models=models, folder=folder))
    command = [sys.executable, "-m", "longscroll", "serve", "--port", "0"]
    command += ["--config", str(config), "--data-dir", str(folder / "data")]
    with _running(command, folder / "longscroll.log", LONGSCROLL_API_KEY=KEY) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line, (folder / "longscroll.log").read_text()
        yield Target(name="longscroll", pid=process.pid, port=int(line.rpartition(":")[2]), key=KEY)


@contextmanager
def litellm(folder: Path, upstream: Target) -> Iterator[Target | None]:
    """Run LiteLLM's proxy, one worker; None where it is not installed."""
    program = shutil.which(os.environ.get("LITELLM", "litellm"))
    if program is None:
        print("LiteLLM is not installed: see benchmarks/serving/servers.py. Its rows are left out.")
        yield None
        return
    port = _free_port()
    config = folder / "litellm.yaml"
    models = "".join(LITELLM_MODEL.format(name=name, port=upstream.port) for name in MODELS)
    config.write_text(LITELLM.format(models=models, key=KEY))
    command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
    with _running(command, folder / "litellm.log", **quiet) as process:
        _await_answer(process, f"http://127.0.0.1:{port}/health/liveliness", folder / "litellm.log")
        yield Target(name="LiteLLM", pid=process.pid, port=port, key=KEY)


@contextmanager
def _own(kind: str, *arguments: str) -> Iterator[Target]:
    command = [sys.executable, "-m", "benchmarks.serving.servers", kind, *arguments]
    with _running(command, None) as process:
        assert process.stdout is not None
        yield Target(name=kind, pid=process.pid, port=int(process.stdout.readline()), key=KEY)


@contextmanager
def _running(command: list[str], log: Path | None, **environment: str) -> Iterator[subprocess.Popen[str]]:
    errors = None if log is None else log.open("wb")
    variables = {**os.environ, "NO_PROXY": "*", **environment}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=errors, text=True, env=variables, cwd=ROOT, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if errors is not None:
            errors.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _await_answer(process: subprocess.Popen[str], url: str, log: Path) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < until, f"not ready after {READY_WITHIN_S} s:\n{log.read_text()[-3000:]}"
            time.sleep(0.3)
        else:
            return


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    """Be the model server, as an ASGI application."""
    body = b""
    while (message := await receive()).get("more_body"):
        body += message["body"]
    if scope["method"] == "GET":
        await _send_whole(send, msgspec.json.encode({"object": "list", "data": [{"id": name} for name in MODELS]}))
        return
    asked = msgspec.json.decode(body + message["body"])
    if not asked.get("stream"):
        n_words = 1 if asked["model"] == "brief" else N_PIECES
        await _send_whole(send, WHOLE.replace(WORD, b" ".join([WORD] * n_words)))
        return
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    n_pieces, pace_s = STREAMS[asked["model"]]
    for number in range(n_pieces):
        if number:
            await asyncio.sleep(pace_s)
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": LAST, "more_body": False})


async def _send_whole(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _run_source() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(_answer, loop="uvloop", lifespan="off", log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


async def _pass_on(request: web.Request) -> web.StreamResponse:
    session: aiohttp.ClientSession = request.app["session"]
    url = request.app["upstream"] + request.path
    body = await request.read()
    async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as reply:
        if "event-stream" not in reply.headers["Content-Type"]:
            return web.Response(body=await reply.read(), content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for piece in reply.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response


async def _run_pass_through(upstream: str) -> None:
    application = web.Application()
    application["upstream"] = upstream
    application.router.add_post("/v1/chat/completions", _pass_on)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        application["session"] = session
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        await web.SockSite(runner, listener).start()
        print(listener.getsockname()[1], flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("source", "pass-through"))
    parser.add_argument("--upstream", default="")
    arguments = parser.parse_args()
    if arguments.kind == "source":
        _run_source()
    else:
        uvloop.run(_run_pass_through(arguments.upstream))


def versions() -> str:
    """Return the versions of what is compared, LiteLLM's where it is."""
    names = ("uvicorn", "uvloop", "aiohttp", "msgspec")
    return ", ".join(f"{name} {version(name)}" for name in names)


if __name__ == "__main__":
    main()
