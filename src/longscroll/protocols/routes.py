"""The one route table: every path that is served, with its right, its types and its handler.

The dispatcher, the tests of isolation and the description of the interface are all made from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from msgspec import Struct

from longscroll.access.base import Principal, Scope
from longscroll.protocols.answers import Answering
from longscroll.protocols.dashscope import errors as native_errors
from longscroll.protocols.dashscope import files as native_files
from longscroll.protocols.dashscope import models as native_models
from longscroll.protocols.dashscope import schema as native
from longscroll.protocols.dashscope.generation import TextGeneration
from longscroll.protocols.exchange import Form, Handler, Reply, Request, Route, Surface, json_reply
from longscroll.protocols.openai import errors as compat_errors
from longscroll.protocols.openai import files as compat_files
from longscroll.protocols.openai import models as compat_models
from longscroll.protocols.openai import schema as compat
from longscroll.protocols.openai.chat import Chat
from longscroll.protocols.options import ProtocolOptions
from longscroll.services.files import FileService
from longscroll.services.models import ModelCatalog

COMPAT = "/compatible-mode/v1"
COMPAT_ALIAS = "/v1"
NATIVE = "/api/v1"

SURFACES = (
    Surface(roots=("api",), refuse=native_errors.refuse),
    Surface(roots=(), refuse=compat_errors.refuse),
)
"""By the first segment of the path; the last one speaks for every path that is nobody's."""


class Services(Struct, frozen=True, kw_only=True):
    """What the surfaces call."""

    authenticate: Callable[[str | None], Awaitable[Principal]]  # the Authorization header; raises Unauthenticated
    answer: Answering
    files: FileService
    catalog: ModelCatalog
    is_healthy: Callable[[], bool] = lambda: True  # False: questions would fail now
    drain: Callable[[], None] = lambda: None  # begin nothing new of one's own


class Status(Struct, frozen=True):
    """The reply of the two endpoints for operations."""

    status: str


def build_routes(services: Services, options: ProtocolOptions, *, is_ready: Callable[[], bool]) -> tuple[Route, ...]:
    """Return the whole table."""
    return (
        *_operations(is_ready),
        *_compat(services, options, COMPAT),
        *_compat(services, options, COMPAT_ALIAS),
        *_native(services, options, NATIVE),
    )


def _operations(is_ready: Callable[[], bool]) -> Iterable[Route]:
    async def health(_request: Request) -> Reply:
        return json_reply(Status("ok"))

    async def readiness(_request: Request) -> Reply:
        return json_reply(Status("ready")) if is_ready() else json_reply(Status("not ready"), status=503)

    yield Route(method="GET", path="/healthz", scope=None, handler=health, response=Status, is_open=True)
    yield Route(method="GET", path="/readyz", scope=None, handler=readiness, response=Status, is_open=True)


def _compat(services: Services, options: ProtocolOptions, base: str) -> Iterable[Route]:
    chat = Chat(services.answer, services.catalog, options)
    files = compat_files.Files(services.files, options)
    models = compat_models.Models(services.catalog)
    completion = (compat.ChatCompletionRequest, compat.ChatCompletion)
    return (
        _row("POST", f"{base}/chat/completions", "chat", chat.complete, completion),
        _row("POST", f"{base}/files", "files:write", files.upload, (Form, compat.FileObject)),
        _row("GET", f"{base}/files", "files:read", files.list, (None, compat.FileList)),
        _row("GET", f"{base}/files/{{id}}", "files:read", files.retrieve, (None, compat.FileObject)),
        _row("DELETE", f"{base}/files/{{id}}", "files:write", files.delete, (None, compat.FileDeleted)),
        _row("GET", f"{base}/files/{{id}}/content", "files:read", files.content, (None, None)),
        _row("GET", f"{base}/models", None, models.list, (None, compat.ModelList)),
        _row("GET", f"{base}/models/{{name...}}", None, models.retrieve, (None, compat.ModelObject)),
    )


def _native(services: Services, options: ProtocolOptions, base: str) -> Iterable[Route]:
    text = TextGeneration(services.answer, services.catalog, options)
    files = native_files.Files(services.files, options)
    models = native_models.Models(services.catalog)
    generation = (native.GenerationRequest, native.Generation)
    aigc = f"{base}/services/aigc"
    return (
        _row("POST", f"{aigc}/text-generation/generation", "chat", text.generate, generation),
        _row("POST", f"{aigc}/multimodal-generation/generation", "chat", text.generate, generation),
        _row("POST", f"{base}/files", "files:write", files.upload, (Form, native.UploadReply)),
        _row("GET", f"{base}/files", "files:read", files.list, (None, native.FileListReply)),
        _row("GET", f"{base}/files/{{id}}", "files:read", files.get, (None, native.FileReply)),
        _row("DELETE", f"{base}/files/{{id}}", "files:write", files.delete, (None, native.EmptyReply)),
        _row("GET", f"{base}/models", None, models.list, (None, native.ModelListReply)),
        _row("GET", f"{base}/models/{{name...}}", None, models.get, (None, native.ModelReply)),
    )


def _row(
    method: str, path: str, scope: Scope | None, handler: Handler, types: tuple[type | None, type | None]
) -> Route:
    return Route(method=method, path=path, scope=scope, handler=handler, request=types[0], response=types[1])
