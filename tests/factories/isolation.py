"""Two workspaces of one service, everything that belongs to the first, and where a request can name it.

What a path or a body may name is declared here, once; a route that is not foreseen fails the tests of isolation until
it is.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from factories.http import Client, Reply
from factories.model_server import ModelServer
from factories.routes import all_routes
from factories.running import RunningService
from longscroll.access.base import SCOPES
from longscroll.protocols.exchange import Form, Route
from longscroll.protocols.routes import ADMIN, COMPAT, COMPAT_ALIAS, NATIVE

BASES = (COMPAT, COMPAT_ALIAS, NATIVE, ADMIN)
CANARY = "canary"
"""Stands in every name that the first workspace gives, and in its own; nobody else may ever read it."""
HOME = f"home-{CANARY}"
ABROAD = "abroad"
MODEL = "qwen-long"
OTHER_MODEL = f"model-{CANARY}"
SERVED_MODEL = "written-elsewhere"
CONFIG = f"""
[[model]]
name = "{OTHER_MODEL}"
[[upstream]]
name = "elsewhere"
urls = ["{{url}}"]
kind = "vllm"
[[model]]
name = "{SERVED_MODEL}"
engine = "upstream"
upstream = "elsewhere"
"""
UNSAID = ("date", "x-request-id", "req-cost-time")
"""Headers that differ between any two replies."""
BATCH = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
PARAMETER = re.compile(r"/([^/{}]+)/\{[^}]+\}")


class Kind(NamedTuple):
    """A kind of thing that has an id; ``missing`` is as long as a real one, so that replies are too.

    ``make`` makes one that belongs to the caller and bears a name; None: nobody can have any.
    """

    missing: str
    make: Callable[[Client, str], str] | None


def _posted(client: Client, path: str, body: dict[str, Any]) -> str:
    reply = client.request("POST", path, body)
    assert reply.status == 200, reply.body
    made: str = reply.json["id"]
    return made


def _file(client: Client, name: str) -> str:
    file_id = client.upload(f"{name}.txt", f"The {name} sings at noon.".encode())
    assert client.parsed(file_id)["status"] == "processed"
    return file_id


def _batch_file(client: Client, name: str) -> str:
    line = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": chat(MODEL, None)}
    return client.upload(f"{name}.jsonl", json.dumps(line).encode() + b"\n", purpose="batch")


def _batch(client: Client, name: str) -> str:
    batch_id = _posted(client, f"{COMPAT}/batches", {**BATCH, "input_file_id": _batch_file(client, name)})
    until = time.monotonic() + 20
    while client.request("GET", f"{COMPAT}/batches/{batch_id}").json["status"] != "completed":
        assert time.monotonic() < until
        time.sleep(0.05)
    return batch_id


def _key(client: Client, name: str) -> str:
    return _posted(client, f"{ADMIN}/keys", {"name": name, "scopes": ["files:read"]})


KINDS = {
    "files": Kind("file-fe-00000000deadbeef00000000", _file),
    "batches": Kind("batch_00000000-dead-4bee-8f00-000000000000", _batch),
    "keys": Kind("key-00000000deadbeef", _key),
    "models": Kind("model-absent", lambda *_: OTHER_MODEL),
    "tasks": Kind("00000000-dead-4bee-8f00-000000000000", None),
    "batch files": Kind("file-batch-00000000deadbeef00000000", _batch_file),
    "workspaces": Kind("home-absent", lambda *_: HOME),
}
"""By the segment of a path in front of its parameter; the last ones are named by bodies and queries only."""

QUERIES = (
    ("after", "files"),
    ("after", "batches"),
    ("after", "keys"),
    ("input_file_ids", "batch files"),
    ("model", "models"),
    ("workspace", "workspaces"),
)
"""What a query string may name; a route that does not know the name ignores it, for every id alike."""

NAMING_NOTHING = {
    *("by", "create_after", "create_before", "ds_name", "limit", "order", "page_no", "page_size", "purpose", "since"),
    *("status", "until", "Idempotency-Key", "X-DashScope-Async", "X-DashScope-SSE"),
}
"""Other parameters of routes. The key of a repeated request is the caller's own: one that others sent means nothing."""


def chat(model: str, file_id: str | None, *, part: bool = False) -> dict[str, Any]:
    """Return a conversation over a file, named in a system message or as a part of the question."""
    system = [{"role": "system", "content": f"fileid://{file_id}"}] if file_id and not part else []
    parts: list[dict[str, Any]] = [{"type": "text", "text": "When does it sing?"}]
    if file_id and part:
        parts.append({"type": "file", "file": {"file_id": file_id}})
    return {"model": model, "messages": [*system, {"role": "user", "content": parts}]}


def _native(model: str, file_id: str | None, *, part: bool = False) -> dict[str, Any]:
    return {"model": model, "input": {"messages": chat(model, file_id, part=part)["messages"]}}


class Body(NamedTuple):
    """What a route's body may name: make one of a model and an id, where it has any."""

    make: Callable[[str, str | None], dict[str, Any]]
    kind: str | None = None  # of the id
    names_model: bool = True


CHATS = (Body(chat, "files"), Body(lambda model, file_id: chat(model, file_id, part=True), "files"))
NATIVE_CHATS = (Body(_native, "files"), Body(lambda model, file_id: _native(model, file_id, part=True), "files"))
NOTHING = Body(lambda *_: {}, names_model=False)
ITSELF = (Body(lambda model, _: {"model": model}),)
BODIES: Mapping[str, tuple[Body, ...]] = {
    "/chat/completions": CHATS,
    "/completions": (Body(lambda model, _: {"model": model, "prompt": "Who sings?"}),),
    "/services/aigc/text-generation/generation": NATIVE_CHATS,
    "/services/aigc/multimodal-generation/generation": NATIVE_CHATS,
    "/embeddings": (Body(lambda model, _: {"model": model, "input": "Who sings?"}),),
    "/services/embeddings/text-embedding/text-embedding": ITSELF,
    "/rerank": ITSELF,
    "/services/rerank/text-rerank/text-rerank": ITSELF,
    "/tokenizer": (Body(lambda model, _: {"model": model, "input": {"prompt": "Who sings?"}}),),
    "/batches": (Body(lambda _, file_id: {**BATCH, "input_file_id": file_id}, "batch files", names_model=False),),
    "/keys": (
        NOTHING,
        Body(lambda _, workspace: {"workspace": workspace}, "workspaces", names_model=False),
    ),
    "/keys/{id}/rotate": (NOTHING,),
}
"""By the path behind its base. Forms name nothing."""


def kind_of(route: Route) -> str | None:
    """Return the kind of the id in a route's path, if it has one."""
    if "{" not in route.path:
        return None
    kinds = PARAMETER.findall(route.path)
    assert len(kinds) == route.path.count("{") == 1, (
        f"{route.path}: one parameter is foreseen, behind the kind it is of"
    )
    assert kinds[0] in KINDS, f"{route.path}: declare the kind {kinds[0]!r} in {__name__}.KINDS"
    kind: str = kinds[0]
    return kind


def bodies_of(route: Route) -> tuple[Body, ...]:
    """Return what a route's body may name."""
    if route.request is None or route.request is Form:
        return ()
    path = next((route.path.removeprefix(base) for base in BASES if route.path.startswith(f"{base}/")), route.path)
    assert path in BODIES, f"{route.path}: declare what its body may name in {__name__}.BODIES"
    return BODIES[path]


def check_parameters(route: Route) -> None:
    """Fail where it is not said whether a parameter of a query or header names anything."""
    said = NAMING_NOTHING.union(name for name, _ in QUERIES)
    unsaid = {parameter.name for parameter in route.parameters} - said
    assert not unsaid, f"{route.path}: declare {min(unsaid)!r} in {__name__}.QUERIES or NAMING_NOTHING"


def guarded_routes() -> list[Route]:
    """Return every route that asks for a key."""
    return [route for route in all_routes() if not route.is_open]


class Worlds:
    """The two workspaces: callers by name, and what belongs to the first."""

    def __init__(self, service: RunningService, model_server: ModelServer) -> None:
        """Make the keys."""
        self.model_server = model_server
        self._operator = Client(service)
        self.owner, self.neighbor = self._caller(HOME), self._caller(HOME)
        self.stranger = self._caller(ABROAD, models=[MODEL, SERVED_MODEL])
        self.only = {scope: self._caller(HOME, scopes=[scope]) for scope in SCOPES}
        self.without = {scope: self._caller(HOME, scopes=[one for one in SCOPES if one != scope]) for scope in SCOPES}
        self.refused = {
            "no key": Client(service, key=""),
            "unknown": Client(service, key="sk-nobody"),
            "malformed": Client(service, key="sk-ls-short"),
            "revoked": self._revoked(),
            "expired": self._expired(),
        }
        self.foreign = cache(self._foreign)
        for make in (_file, _batch, _key):  # before the others: a cursor that is theirs would show some of these
            make(self.stranger, "finch")

    def fresh(self, kind: str) -> str | None:
        """Return the id of a new thing of the first workspace; None where nobody can have any."""
        make = KINDS[kind].make
        return None if make is None else make(self.owner, CANARY)

    def _foreign(self, kind: str) -> str:
        return self.fresh(kind) or str(uuid.UUID(int=7))

    def _caller(self, workspace: str, **wanted: Any) -> Client:
        name = CANARY if workspace == HOME else "a laptop"
        body = {"workspace": workspace, "name": name, "scopes": list(SCOPES), **wanted}
        reply = self._operator.request("POST", f"{ADMIN}/keys", body)
        assert reply.status == 200, reply.body
        return Client(self._operator.service, key=reply.json["value"])

    def _revoked(self) -> Client:
        client = self._caller(HOME)
        keys = self._operator.request("GET", f"{ADMIN}/keys?workspace={HOME}").json["data"]
        self._operator.request("DELETE", f"{ADMIN}/keys/{keys[-1]['id']}")
        return client

    def _expired(self) -> Client:
        client = self._caller(HOME, expires_in_s=1)
        time.sleep(1)
        return client


@contextmanager
def two_worlds(folder: Path) -> Iterator[Worlds]:
    """Start a service with the two workspaces on it, and a model server behind one of its models."""
    config = folder / "longscroll.toml"
    with ModelServer() as model_server:
        config.write_text(CONFIG.format(url=model_server.url))
        with RunningService(folder / "data", arguments=("--config", str(config))) as service:
            yield Worlds(service, model_server)


def at(route: Route, parameter: str) -> str:
    """Return the path of a route with its parameter filled in."""
    return re.sub(r"\{[^}]+\}", parameter, route.path)


def shown(reply: Reply, named: str) -> tuple[int, dict[str, str], bytes]:
    """Return a reply as it is to be for every id: what differs by nature, and the id itself, left out."""
    body = reply.body.replace(named.encode(), b"<id>").replace(reply.headers["x-request-id"].encode(), b"<request>")
    headers = {name: value for name, value in reply.headers.items() if name not in UNSAID}
    return reply.status, headers, body
