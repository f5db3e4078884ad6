"""The one route table: every path that is served, with its right, its types and its handler.

The dispatcher, the tests of isolation and the description of the interface are all made from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypedDict, Unpack

from msgspec import Struct

from longscroll.access.base import Principal, Scope
from longscroll.access.limits import Limits
from longscroll.protocols.admin.keys import LIST_PARAMETERS as KEY_PARAMETERS
from longscroll.protocols.admin.keys import KeyEndpoints
from longscroll.protocols.admin.schema import KeyList, KeyObject, KeyRequest, NewKeyObject, RotationRequest
from longscroll.protocols.admin.usage import (
    REQUEST_PARAMETERS,
    SUM_PARAMETERS,
    UsageEndpoints,
    UsageReply,
    UsageRequestList,
)
from longscroll.protocols.admission import Gate
from longscroll.protocols.answers import Answering
from longscroll.protocols.dashscope import embeddings as native_embeddings
from longscroll.protocols.dashscope import errors as native_errors
from longscroll.protocols.dashscope import files as native_files
from longscroll.protocols.dashscope import models as native_models
from longscroll.protocols.dashscope import rerank as native_rerank
from longscroll.protocols.dashscope import schema as native
from longscroll.protocols.dashscope.generation import TextGeneration
from longscroll.protocols.dashscope.headers import STREAMING
from longscroll.protocols.dashscope.tasks import LIST_PARAMETERS as TASK_PARAMETERS
from longscroll.protocols.dashscope.tasks import TaskList, TaskReply, Tasks
from longscroll.protocols.dashscope.tokenizer import Tokenizer, TokenizerReply, TokenizerRequest
from longscroll.protocols.exchange import Form, Handler, RequestParameter, Route, Surface
from longscroll.protocols.faults import fallible
from longscroll.protocols.openai import batches as compat_batches
from longscroll.protocols.openai import embeddings as compat_embeddings
from longscroll.protocols.openai import errors as compat_errors
from longscroll.protocols.openai import files as compat_files
from longscroll.protocols.openai import models as compat_models
from longscroll.protocols.openai import rerank as compat_rerank
from longscroll.protocols.openai import schema as compat
from longscroll.protocols.openai.batch_lines import ENDPOINTS
from longscroll.protocols.openai.chat import Chat
from longscroll.protocols.openai.completions import Completions
from longscroll.protocols.openapi import Tag, description_route
from longscroll.protocols.operations import Exposing, nothing_to_expose, operation_routes
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.paths import Segments
from longscroll.protocols.testing import ChatList, Testing
from longscroll.services.admin import KeyAdministration
from longscroll.services.batches.service import BatchService
from longscroll.services.files import FileService
from longscroll.services.models import ModelCatalog
from longscroll.services.script import Director, Script
from longscroll.services.usage import UsageReports
from longscroll.services.vectors import VectorService
from longscroll.tokens import TokenCounter

COMPAT = "/compatible-mode/v1"
COMPAT_ALIAS = "/v1"
NATIVE = "/api/v1"
ADMIN = "/admin/v1"

SURFACES = (
    Surface(name="dashscope", roots=("api", "api-ws"), refuse=native_errors.refuse),
    Surface(name="openai", roots=(), refuse=compat_errors.refuse),
)
"""By the first segment of the path; the last one speaks for every path that is nobody's."""


TAGS = (
    Tag(name="DashScope", base=f"{NATIVE}/", error=native.ErrorBody),
    Tag(name="Administration", base=f"{ADMIN}/", error=compat.ErrorBody),
    Tag(name="OpenAI-compatible", base=f"{COMPAT}/", error=compat.ErrorBody),
    Tag(name="OpenAI-compatible, short", base=f"{COMPAT_ALIAS}/", error=compat.ErrorBody),
    Tag(name="Operation", base="/", error=compat.ErrorBody),
)
"""The groups of the description, by the beginning of their paths."""

TEXT, JSON_LINES = "text/plain", "application/jsonl"


class Description(TypedDict, total=False):
    """What a row may say beyond its handler, for the description of the interface."""

    parameters: tuple[RequestParameter, ...]
    requires: tuple[str, ...]
    form: type
    events: type
    content_types: tuple[str, ...]


class Services(Struct, frozen=True, kw_only=True):
    """What the surfaces call."""

    authenticate: Callable[[str | None], Awaitable[Principal]]  # the Authorization header; raises Unauthenticated
    answer: Answering
    files: FileService
    batches: BatchService
    catalog: ModelCatalog
    keys: KeyAdministration
    usage: UsageReports
    vectors: VectorService
    counter: TokenCounter
    limits: Limits = Limits()
    director: Director | None = None  # of a service that programs are tested against
    is_healthy: Callable[[], bool] = lambda: True  # False: questions would fail now
    drain: Callable[[], None] = lambda: None  # begin nothing new of one's own
    expose: Exposing = nothing_to_expose  # what /metrics says


def surface_of(segments: Segments) -> Surface:
    """Return the surface that speaks for a path."""
    root = segments[0] if segments else ""
    return next(surface for surface in SURFACES if root in surface.roots or not surface.roots)


def build_routes(services: Services, options: ProtocolOptions, *, is_ready: Callable[[], bool]) -> tuple[Route, ...]:
    """Return the whole table."""
    rows = (
        *operation_routes(is_ready, services.expose),
        *_compat(services, options, COMPAT),
        *_compat(services, options, COMPAT_ALIAS),
        *_native(services, options, NATIVE),
        *_admin(services, ADMIN),
        *_testing(services.director),
    )
    routes = (*rows, description_route(rows, TAGS))
    return tuple(route if route.is_open else fallible(route) for route in routes) if options.fault_header else routes


def line_routes(services: Services, options: ProtocolOptions) -> dict[str, Route]:
    """Return by path the rows that a line of a batch may ask for."""
    rows = {row.path: row for row in _compat(services, options, COMPAT_ALIAS) if row.method == "POST"}
    return {path: rows[path] for path in ENDPOINTS if path in rows}


def _compat(services: Services, options: ProtocolOptions, base: str) -> Iterable[Route]:
    models = compat_models.Models(services.catalog)
    return (
        *_compat_chats(services, options, base),
        *_compat_files(services, options, base),
        *_compat_batches(services, options, base),
        *_compat_vectors(services, base),
        _row("GET", f"{base}/models", None, models.list, (None, compat.ModelList)),
        _row("GET", f"{base}/models/{{name...}}", None, models.retrieve, (None, compat.ModelObject)),
    )


def _compat_chats(services: Services, options: ProtocolOptions, base: str) -> Iterable[Route]:
    gate = Gate(services.catalog, services.limits)
    yield _row(
        "POST",
        f"{base}/chat/completions",
        "chat",
        Chat(services.answer, gate, options).complete,
        (compat.ChatCompletionRequest, compat.ChatCompletion),
        requires=("model", "messages"),
        events=compat.ChatCompletionChunk,
    )
    yield _row(
        "POST",
        f"{base}/completions",
        "chat",
        Completions(services.answer, gate).complete,
        (compat.CompletionRequest, compat.TextCompletion),
        requires=("model", "prompt"),
        events=compat.TextCompletion,
    )


def _compat_files(services: Services, options: ProtocolOptions, base: str) -> Iterable[Route]:
    files = compat_files.Files(services.files, options)
    yield _row(
        "POST",
        f"{base}/files",
        "files:write",
        files.upload,
        (Form, compat.FileObject),
        form=compat_files.UploadForm,
        parameters=compat_files.UPLOAD_PARAMETERS,
    )
    pages = compat_files.LIST_PARAMETERS
    yield _row("GET", f"{base}/files", "files:read", files.list, (None, compat.FileList), parameters=pages)
    yield _row("GET", f"{base}/files/{{id}}", "files:read", files.retrieve, (None, compat.FileObject))
    yield _row("DELETE", f"{base}/files/{{id}}", "files:write", files.delete, (None, compat.FileDeleted))
    content = f"{base}/files/{{id}}/content"
    yield _row("GET", content, "files:read", files.content, (None, str), content_types=(TEXT, JSON_LINES))


def _compat_batches(services: Services, options: ProtocolOptions, base: str) -> Iterable[Route]:
    batches = compat_batches.Batches(services.batches, options, endpoints=ENDPOINTS)
    batch = compat_batches.BatchObject
    yield _row(
        "POST",
        f"{base}/batches",
        "chat",
        batches.create,
        (compat_batches.CreateBatch, batch),
        requires=("input_file_id", "endpoint", "completion_window"),
    )
    listed = (None, compat_batches.BatchList)
    parameters = compat_batches.LIST_PARAMETERS
    yield _row("GET", f"{base}/batches", "chat", batches.list, listed, parameters=parameters)
    yield _row("GET", f"{base}/batches/{{id}}", "chat", batches.retrieve, (None, batch))
    yield _row("POST", f"{base}/batches/{{id}}/cancel", "chat", batches.cancel, (None, batch))


def _compat_vectors(services: Services, base: str) -> Iterable[Route]:
    gate = Gate(services.catalog, services.limits)
    embedding = (compat_embeddings.CreateEmbeddings, compat_embeddings.EmbeddingList)
    ranking = (compat_rerank.CreateRanking, compat_rerank.Ranking)
    embeddings = compat_embeddings.Embeddings(services.vectors, gate)
    rank = compat_rerank.Rerank(services.vectors, gate).rank
    yield _row("POST", f"{base}/embeddings", "chat", embeddings.create, embedding, requires=("model", "input"))
    yield _row("POST", f"{base}/rerank", "chat", rank, ranking, requires=("model", "query", "documents"))


def _native(services: Services, options: ProtocolOptions, base: str) -> Iterable[Route]:
    text = TextGeneration(services.answer, Gate(services.catalog, services.limits), options)
    files = native_files.Files(services.files, options)
    models = native_models.Models(services.catalog)
    pages = native_files.LIST_PARAMETERS
    return (
        *_generation(text, f"{base}/services/aigc"),
        _row(
            "POST",
            f"{base}/files",
            "files:write",
            files.upload,
            (Form, native.UploadReply),
            form=native_files.UploadForm,
        ),
        _row("GET", f"{base}/files", "files:read", files.list, (None, native.FileListReply), parameters=pages),
        _row("GET", f"{base}/files/{{id}}", "files:read", files.get, (None, native.FileReply)),
        _row("DELETE", f"{base}/files/{{id}}", "files:write", files.delete, (None, native.EmptyReply)),
        *_native_vectors(services, base),
        *_tasks(base),
        _row(
            "GET",
            f"{base}/models",
            None,
            models.list,
            (None, native.ModelListReply),
            parameters=native_models.LIST_PARAMETERS,
        ),
        _row("GET", f"{base}/models/{{name...}}", None, models.get, (None, native.ModelReply)),
    )


def _generation(text: TextGeneration, base: str) -> Iterable[Route]:
    for service, handler in (("text-generation", text.generate), ("multimodal-generation", text.converse)):
        yield _row(
            "POST",
            f"{base}/{service}/generation",
            "chat",
            handler,
            (native.GenerationRequest, native.Generation),
            requires=("model", "input"),
            events=native.Generation,
            parameters=STREAMING,
        )


def _native_vectors(services: Services, base: str) -> Iterable[Route]:
    gate = Gate(services.catalog, services.limits)
    tokens = (TokenizerRequest, TokenizerReply)
    embedding = (native_embeddings.NativeEmbeddingRequest, native_embeddings.NativeEmbeddingReply)
    ranking = (native_rerank.NativeRankingRequest, native_rerank.NativeRankingReply)
    named = {
        "tokenizer": (Tokenizer(services.counter, gate).tokenize, tokens),
        "services/embeddings/text-embedding/text-embedding": (
            native_embeddings.NativeEmbeddings(services.vectors, gate).embed,
            embedding,
        ),
        "services/rerank/text-rerank/text-rerank": (native_rerank.NativeRanking(services.vectors, gate).rank, ranking),
    }
    for name, (handler, types) in named.items():
        yield _row("POST", f"{base}/{name}", "chat", handler, types, requires=("model", "input"))


def _tasks(base: str) -> Iterable[Route]:
    tasks = Tasks()
    yield _row("GET", f"{base}/tasks", "chat", tasks.list, (None, TaskList), parameters=TASK_PARAMETERS)
    yield _row("GET", f"{base}/tasks/{{id}}", "chat", tasks.get, (None, TaskReply))
    yield _row("POST", f"{base}/tasks/{{id}}/cancel", "chat", tasks.cancel, (None, None))


def _admin(services: Services, base: str) -> Iterable[Route]:
    keys = KeyEndpoints(services.keys)
    usage = UsageEndpoints(services.usage)
    return (
        _row("POST", f"{base}/keys", "admin", keys.create, (KeyRequest, NewKeyObject)),
        _row("GET", f"{base}/keys", "admin", keys.list, (None, KeyList), parameters=KEY_PARAMETERS),
        _row("GET", f"{base}/keys/{{id}}", "admin", keys.get, (None, KeyObject)),
        _row("POST", f"{base}/keys/{{id}}/rotate", "admin", keys.rotate, (RotationRequest, NewKeyObject)),
        _row("DELETE", f"{base}/keys/{{id}}", "admin", keys.revoke, (None, KeyObject)),
        _row("GET", f"{base}/usage", "admin", usage.sums, (None, UsageReply), parameters=SUM_PARAMETERS),
        _row(
            "GET",
            f"{base}/usage/requests",
            "admin",
            usage.requests,
            (None, UsageRequestList),
            parameters=REQUEST_PARAMETERS,
        ),
    )


def _testing(director: Director | None) -> Iterable[Route]:
    if director is not None:
        testing = Testing(director)
        yield _row("GET", "/testing/script", "admin", testing.script, (None, Script))
        yield _row("PUT", "/testing/script", "admin", testing.replace_script, (Script, Script))
        yield _row("GET", "/testing/chats", "admin", testing.chats, (None, ChatList))
        yield _row("DELETE", "/testing/chats", "admin", testing.forget_chats, (None, ChatList))


def _row(
    method: str,
    path: str,
    scope: Scope | None,
    handler: Handler,
    types: tuple[type | None, type | None],
    **described: Unpack[Description],
) -> Route:
    return Route(
        method=method, path=path, scope=scope, handler=handler, request=types[0], response=types[1], **described
    )
