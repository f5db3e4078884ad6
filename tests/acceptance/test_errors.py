"""Every error that a request can cause, by a real request to a real service; and which of two comes first."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from factories.http import Client, Reply
from factories.raw_server import free_port
from factories.running import RunningService

CHAT = "/compatible-mode/v1/chat/completions"
GENERATION = "/api/v1/services/aigc/text-generation/generation"
SECRET = "gpu-7.internal"

CONFIG = """
[server]
max_body_bytes = 30000
[compat]
parse_wait_s = 0
inline_limit_tokens = 50
workspace_header = "enforce"
[files]
max_files = 6
max_file_bytes = 4000
[[upstream]]
name = "broken"
urls = ["{url}"]
silence_timeout_s = 0.5
[[upstream]]
name = "away"
urls = ["{away}"]
{models}
[[model]]
name = "away"
engine = "upstream"
upstream = "away"
context_window = 4096
[[model]]
name = "scripted"
aliases = ["once", "other"]
engine = "scripted"
script = "{script}"
[[model]]
name = "busy"
engine = "scripted"
script = "{script}"
[[model]]
name = "thrifty"
engine = "scripted"
script = "{script}"
[[model]]
name = "rare"
engine = "scripted"
script = "{script}"
[[limit]]
model = "busy"
concurrent_requests = 1
[[limit]]
model = "thrifty"
tokens_per_minute = 1
[[limit]]
model = "rare"
requests_per_minute = 1
"""
MODEL = """
[[model]]
name = "{name}"
engine = "upstream"
upstream = "broken"
context_window = 4096
"""
SCRIPT = """
[[rule]]
message = "slowly"
deltas = ["done"]
first_delay_s = 2
[[rule]]
message = "break"
fault = { error = "InternalError.Algo" }
[[rule]]
deltas = ["done"]
"""
STATUSES = {"refuses": 400, "fails": 500, "overloaded": 429, "unready": 503, "silent": 0}
SAYS = {"error": {"message": "<400> InternalError.Algo.InvalidParameter: Range of something on it"}}


class Broken(BaseHTTPRequestHandler):
    """A model server that fails as the model's name says."""

    def do_GET(self) -> None:
        self._reply(404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = STATUSES[body["model"]]
        if not status:
            time.sleep(1.5)
            return
        self._reply(status, SAYS if status == 400 else {"error": {"message": f"worker 3 of {SECRET} died"}})

    def _reply(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("errors")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "script.toml").write_text(SCRIPT)
    config = CONFIG.format(
        url=f"http://127.0.0.1:{server.server_port}/v1",
        away=f"http://127.0.0.1:{free_port()}/v1",
        models="".join(MODEL.format(name=name) for name in STATUSES),
        script=folder / "script.toml",
    )
    (folder / "longscroll.toml").write_text(config)
    with RunningService(folder / "data", arguments=["--config", str(folder / "longscroll.toml")]) as running:
        yield running
    server.shutdown()
    server.server_close()


class World:
    """The service with what its errors need: keys and files."""

    def __init__(self, service: RunningService) -> None:
        self.client = Client(service)
        self._service = service
        self.blank = self.client.upload("blank.txt", b"   ")
        self.corrupt = self.client.upload("broken.pdf", b"%PDF-1.7 and no more")
        self.unknown = self.client.upload("program.exe", b"MZ\x90\x00" + bytes(range(256)))
        self.client.parsed(self.blank)
        self.client.parsed(self.corrupt)
        self.client.parsed(self.unknown)
        self.narrow = self.key(scopes=["chat"], models=["other"])
        self.reader = self.key(scopes=["files:read"])

    def key(self, **wanted: Any) -> str:
        """Make a key."""
        value: str = self.client.request("POST", "/admin/v1/keys", wanted).json["value"]
        return value

    def by(self, key: str) -> Client:
        """Return a client with another key."""
        return Client(self._service, key=key)


@pytest.fixture(scope="module")
def world(service: RunningService) -> World:
    return World(service)


def ask(
    client: Client, surface: str, question: str = "hi", *, model: str = "scripted", system: str = "", **fields: Any
) -> Reply:
    """Ask on one surface; ``fields`` are parameters, or headers where they begin with ``X_``."""
    headers = {name: value for name, value in fields.items() if name.startswith("X_")}
    parameters = {name: value for name, value in fields.items() if name not in headers}
    turns = [{"role": "system", "content": "Be brief."}, {"role": "system", "content": system}] if system else []
    turns.append({"role": "user", "content": question})
    if surface == "openai":
        return client.request("POST", CHAT, {"model": model, "messages": turns, **parameters}, **headers)
    body = {"model": model, "input": {"messages": turns}, "parameters": parameters}
    return client.request("POST", GENERATION, body, **headers)


def post(client: Client, surface: str, body: bytes) -> Reply:
    return client.request("POST", CHAT if surface == "openai" else GENERATION, body)


def crowded(client: Client, surface: str) -> Reply:
    """Ask while another question of the same model runs."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(ask, client, surface, "slowly", model="busy")
        time.sleep(0.7)
        reply = ask(client, surface, model="busy")
        assert running.result().status == 200
    return reply


def exhausted(client: Client, surface: str, model: str) -> Reply:
    """Ask until there is a refusal."""
    replies = [ask(client, surface, model=model) for _ in range(2)]
    return replies[-1]


class Case(NamedTuple):
    """One error: how it comes about, its status, the native code and the compat one."""

    cause: Callable[[World, str], Reply]
    status: int
    native: str
    compat: str
    words: str = ""  # where both surfaces say the same


PARAMETER = ("InvalidParameter", "invalid_parameter_error")

CASES = {
    "no key": Case(lambda w, s: ask(w.by("sk-x"), s), 401, "InvalidApiKey", "invalid_api_key"),
    "wrong scope": Case(lambda w, s: ask(w.by(w.reader), s), 403, "AccessDenied", "access_denied", "Access denied."),
    "no workspace": Case(
        lambda w, s: ask(w.client, s, X_DashScope_WorkSpace="elsewhere"),
        404,
        "WorkSpaceNotFound",
        "WorkSpaceNotFound",
        "WorkSpace can not be found.",
    ),
    "no path": Case(
        lambda w, s: w.client.request("GET", "/v1/x" if s == "openai" else "/api/v1/x"),
        404,
        "NotFound",
        "not_found",
        "Not found!",
    ),
    "method": Case(
        lambda w, s: w.client.request("PUT", CHAT if s == "openai" else GENERATION),
        400,
        *PARAMETER,
        "Request method 'PUT' is not supported.",
    ),
    "large body": Case(
        lambda w, s: post(w.client, s, b" " * 40_000),
        413,
        "BadRequest.TooLarge",
        "BadRequest.TooLarge",
        "Payload Too Large.",
    ),
    "no JSON": Case(
        lambda w, s: post(w.client, s, b"{"),
        400,
        "InvalidParameter",
        "invalid_request_error",
        "Required body invalid, please check the request body format.",
    ),
    "no model": Case(lambda w, s: post(w.client, s, b"{}"), 400, "BadRequest.EmptyModel", "invalid_request_error"),
    "unknown model": Case(lambda w, s: ask(w.client, s, model="x"), 404, "ModelNotFound", "model_not_found"),
    "forbidden model": Case(
        lambda w, s: ask(w.by(w.narrow), s, model="rare"),
        403,
        "Model.AccessDenied",
        "Model.AccessDenied",
        "Model access denied.",
    ),
    "range": Case(lambda w, s: ask(w.client, s, temperature=2), 400, *PARAMETER, "Temperature should be in [0.0, 2.0)"),
    "no content": Case(
        lambda w, s: post(
            w.client,
            s,
            json.dumps(
                {"model": "scripted", "messages": [{"role": "user"}], "input": {"messages": [{"role": "user"}]}}
            ).encode(),
        ),
        400,
        *PARAMETER,
        "The content field is a required field.",
    ),
    "unknown file": Case(
        lambda w, s: ask(w.client, s, system="fileid://file-fe-0123456789abcdef01234567"),
        400,
        *PARAMETER,
        "Invalid file [id:file-fe-0123456789abcdef01234567].",
    ),
    "too many files": Case(
        lambda w, s: ask(w.client, s, system=",".join(f"fileid://file-fe-{n:024x}" for n in range(101))),
        400,
        *PARAMETER,
        "Too many files provided.",
    ),
    "inline text": Case(
        lambda w, s: ask(w.client, s, system="word " * 200), 400, *PARAMETER, "Range of input length should be [1, 50]"
    ),
    "no weights": Case(
        lambda w, s: ask(w.client, s, model="chatyuan-large-v2"), 503, "ModelUnavailable", "model_unavailable"
    ),
    "requests a minute": Case(
        lambda w, s: exhausted(w.client, s, "rare"), 429, "Throttling.RateQuota", "limit_requests"
    ),
    "tokens a minute": Case(
        lambda w, s: exhausted(w.client, s, "thrifty"), 429, "Throttling.AllocationQuota", "insufficient_quota"
    ),
    "requests at once": Case(
        lambda w, s: crowded(w.client, s), 429, "Throttling", "Throttling", "Requests throttling triggered."
    ),
    "engine breaks": Case(lambda w, s: ask(w.client, s, model="fails"), 500, "InternalError.Algo", "internal_error"),
    "engine is silent": Case(
        lambda w, s: ask(w.client, s, model="silent"),
        500,
        "RequestTimeOut",
        "request_timeout",
        "Request timed out, please try again later.",
    ),
    "engine refuses": Case(lambda w, s: ask(w.client, s, model="refuses"), 400, *PARAMETER, "Range of something on it"),
    "engine is overloaded": Case(
        lambda w, s: ask(w.client, s, model="overloaded"), 503, "ModelServingError", "model_serving_error"
    ),
    "engine is not ready": Case(
        lambda w, s: ask(w.client, s, model="unready"), 503, "ModelUnavailable", "model_unavailable"
    ),
    "engine is away": Case(lambda w, s: ask(w.client, s, model="away"), 503, "ModelUnavailable", "model_unavailable"),
}


@pytest.mark.item(77, 78, 109)
@pytest.mark.parametrize("surface", ["openai", "dashscope"])
@pytest.mark.parametrize("name", CASES)
def test_an_error_has_its_row(world: World, surface: str, name: str) -> None:
    case = CASES[name]
    reply = case.cause(world, surface)
    error = reply.json["error"] if surface == "openai" else reply.json
    code = case.compat if surface == "openai" else case.native
    assert (reply.status, error["code"]) == (case.status, code), reply.body
    assert case.words in ("", error["message"])
    assert (reply.headers["content-type"], reply.json["request_id"]) == (
        "application/json",
        reply.headers["x-request-id"],
    )
    assert ("retry-after" in reply.headers) == (case.status in (429, 503))


@pytest.mark.item(83)
@pytest.mark.parametrize("surface", ["openai", "dashscope"])
@pytest.mark.parametrize("model", STATUSES)
def test_nothing_that_a_model_server_says_of_itself_is_handed_on(world: World, surface: str, model: str) -> None:
    assert SECRET.encode() not in ask(world.client, surface, model=model).body


@pytest.mark.item(72, 77)
@pytest.mark.parametrize("surface", ["openai", "dashscope"])
@pytest.mark.parametrize(
    ("file", "words"),
    [("blank", "content blank."), ("corrupt", "parsing error."), ("unknown", "format is not supported.")],
)
def test_a_file_that_cannot_be_read_says_why(world: World, surface: str, file: str, words: str) -> None:
    file_id = getattr(world, file)
    reply = ask(world.client, surface, system=f"fileid://{file_id}")
    error = reply.json["error"] if surface == "openai" else reply.json
    assert (reply.status, error["message"]) == (400, f"File [id:{file_id}] {words}")


@pytest.mark.item(76, 77, 102)
def test_uploads_are_refused_by_size_and_by_number(world: World) -> None:
    too_large = world.client.send_file("a.txt", b"x" * 5000)
    assert (too_large.status, too_large.json["error"]["code"]) == (400, "BadRequest.TooLarge")
    made = [world.client.send_file("a.txt", b"x") for _ in range(7)]
    full = made[-1].json["error"]
    assert (made[-1].status, full["code"], full["message"]) == (400, *PARAMETER[1:], "Upload file number exceed limit.")
    for reply in made:
        if reply.status == 200:
            world.client.request("DELETE", f"/v1/files/{reply.json['id']}")


UNKNOWN_FILE = "fileid://file-fe-0123456789abcdef01234567"


PAIRS: dict[str, tuple[Callable[[World, str], Reply], int, str, str]] = {
    "path, then key": (
        lambda w, s: w.by("sk-x").request("POST", "/v1/x" if s == "openai" else "/api/v1/x", b"{"),
        404,
        "NotFound",
        "not_found",
    ),
    "key, then size": (lambda w, s: post(w.by("sk-x"), s, b"{" * 40_000), 401, "InvalidApiKey", "invalid_api_key"),
    "size, then JSON": (
        lambda w, s: post(w.client, s, b"{" * 40_000),
        413,
        "BadRequest.TooLarge",
        "BadRequest.TooLarge",
    ),
    "JSON, then model": (
        lambda w, s: post(w.client, s, b'{"model":"x"'),
        400,
        "InvalidParameter",
        "invalid_request_error",
    ),
    "known, then allowed": (
        lambda w, s: ask(w.by(w.narrow), s, model="x"),
        404,
        "ModelNotFound",
        "model_not_found",
    ),
    "allowed, then requests a minute": (
        lambda w, s: (exhausted(w.client, s, "rare"), ask(w.by(w.narrow), s, model="rare"))[1],
        403,
        "Model.AccessDenied",
        "Model.AccessDenied",
    ),
    "requests a minute, then parameters": (
        lambda w, s: (exhausted(w.client, s, "rare"), ask(w.client, s, model="rare", temperature=9))[1],
        429,
        "Throttling.RateQuota",
        "limit_requests",
    ),
    "parameters, then files": (
        lambda w, s: ask(w.client, s, system=UNKNOWN_FILE, top_p=9),
        400,
        *PARAMETER,
    ),
    "files, then tokens a minute": (
        lambda w, s: (exhausted(w.client, s, "thrifty"), ask(w.client, s, model="thrifty", system=UNKNOWN_FILE))[1],
        400,
        *PARAMETER,
    ),
    "tokens a minute, then engine": (
        lambda w, s: (exhausted(w.client, s, "thrifty"), ask(w.client, s, "break", model="thrifty"))[1],
        429,
        "Throttling.AllocationQuota",
        "insufficient_quota",
    ),
}


@pytest.mark.item(4, 77)
@pytest.mark.parametrize("surface", ["openai", "dashscope"])
@pytest.mark.parametrize("pair", PAIRS)
def test_of_two_errors_the_documented_one_comes_first(world: World, surface: str, pair: str) -> None:
    cause, status, native, compat = PAIRS[pair]
    reply = cause(world, surface)
    error = reply.json["error"] if surface == "openai" else reply.json
    assert (reply.status, error["code"]) == (status, compat if surface == "openai" else native), reply.body
    if pair == "parameters, then files":
        assert error["message"] == "Range of top_p should be (0.0, 1.0]"
    if pair == "files, then tokens a minute":
        assert error["message"].startswith("Invalid file")
