"""The composition root: options in, a running service out. Read top to bottom, it is the architecture.

The only module that names concrete stores and engines. ``running_core`` is everything below HTTP, as ``longscroll ask``
uses it; ``build_application`` puts the wire surfaces on top.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from longscroll.access.bootstrap import first_key
from longscroll.access.keys import Keys, load_pepper
from longscroll.config import CHATYUAN, QWEN_LONG, QWEN_LONG_ALIASES, Config
from longscroll.documents.ingest import Ingest
from longscroll.documents.parsers import Parsers
from longscroll.engines.base import Engine, Running
from longscroll.engines.extractive import Extractive
from longscroll.engines.scripted import Scripted
from longscroll.engines.upstream import ProbeResult, Upstream, UpstreamOptions, probe
from longscroll.errors import ConfigError, ModelUnavailable, StartupError
from longscroll.protocols.asgi import Application
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.routes import Services
from longscroll.reading.evidence import ReadingOptions
from longscroll.reading.pool import PoolOptions, Readers
from longscroll.reading.reader import Reader
from longscroll.services.chat import ChatOptions, ChatService
from longscroll.services.files import FileService
from longscroll.services.models import Model, ModelCatalog, ModelOptions
from longscroll.storage.blobs import LocalBlobs
from longscroll.storage.database import Database
from longscroll.storage.lock import FolderLock
from longscroll.tokens import load_counter

MODEL_SERVER_PORTS = (11434, 8000, 8080, 1234, 30000)
"""Where model servers listen by default: Ollama, vLLM, llama-server, LM Studio, SGLang."""

MISSING_WEIGHTS = (
    "The weights of {model} are not installed. `longscroll models pull {model}` will install them in a version that "
    "can run them; until then bind the name to a model server with a [[model]] entry."
)


class Core(Struct, frozen=True, kw_only=True):
    """The service without its wire surfaces."""

    keys: Keys
    files: FileService
    chat: ChatService
    catalog: ModelCatalog
    ingest: Ingest
    readers: Readers


def now() -> datetime:
    """Return the time; the clock that every part is given."""
    return datetime.now(UTC)


@asynccontextmanager
async def running_core(config: Config) -> AsyncIterator[Core]:
    """Start stores, processes and engines; stop them in the opposite order.

    Raises:
        StartupError: the folder is in use, the database is newer, an option cannot be used.
    """
    n_workers = config.server.workers or max(1, (os.cpu_count() or 2) - 1)
    async with AsyncExitStack() as stack:
        stack.enter_context(FolderLock(_made(config.data_dir)))
        readers = Readers(PoolOptions(n_readers=n_workers), ReadingOptions())
        stack.push_async_callback(readers.stop)
        await readers.start()
        parsers = await stack.enter_async_context(Parsers(n_children=n_workers + 1))
        database = await stack.enter_async_context(Database(config.data_dir / "longscroll.db"))
        blobs = await stack.enter_async_context(LocalBlobs(config.data_dir / "blobs"))
        keys = Keys(database.keys, load_pepper(config.data_dir), clock=now)

        counter = load_counter()
        ingest = Ingest(database.files, blobs, parsers, clock=now)
        files = FileService(database.files, blobs, ingest, config.files, now=now)
        stack.callback(files.close)
        await files.recover()
        await stack.enter_async_context(ingest)

        catalog = build_catalog(config, extractive=Extractive(readers.compose, counter))
        for model in catalog.models():
            engine: object = model.engine
            if isinstance(engine, Running):
                stack.push_async_callback(engine.stop)
                await engine.start()
        chat = ChatService(
            catalog=catalog,
            files=database.files,
            blobs=blobs,
            ingest=ingest,
            reader=Reader(readers, counter),
            counter=counter,
            options=ChatOptions(
                parse_wait_s=config.compat.parse_wait_s, inline_limit_tokens=config.compat.inline_limit_tokens
            ),
        )
        yield Core(keys=keys, files=files, chat=chat, catalog=catalog, ingest=ingest, readers=readers)


def _made(data_dir: Path) -> Path:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StartupError(f"The data folder {data_dir} cannot be made: {error.strerror}.") from error
    return data_dir


def build_application(config: Config) -> Application:
    """Put the wire surfaces on the core; nothing starts before the server does."""
    options = ProtocolOptions(
        max_body_bytes=config.server.max_body_bytes,
        legacy_null_string=config.compat.legacy_null_string,
        chatyuan_usage=config.compat.chatyuan_usage,
        content_of_files=config.compat.content_of_files,
    )

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        async with running_core(config) as core:
            first = await first_key(config.data_dir, core.keys, config.api_key)
            if first.is_new and first.plaintext and sys.stderr.isatty():
                sys.stderr.write(f"Your API key, kept in {first.path}: {first.plaintext}\n")
            yield Services(
                authenticate=core.keys.authenticate,
                answer=core.chat.answer,
                files=core.files,
                catalog=core.catalog,
                is_healthy=lambda: core.readers.is_healthy,
            )

    return Application(services, options=options, clock=now)


def build_catalog(config: Config, *, extractive: Engine) -> ModelCatalog:
    """Bind every model name to its engine: the configured ones, then the defaults for names that nobody bound.

    Raises:
        ConfigError: a model names an upstream or a script that is not there.
    """
    upstreams = config.upstream_options()
    models = [_bind(model, upstreams, extractive) for model in model_options(config)]
    return ModelCatalog(models, created=int(now().timestamp()))


def model_options(config: Config) -> list[ModelOptions]:
    """Return the configured models, then the defaults for names that nobody bound, with their documented aliases."""
    bound = {model.name for model in config.model}
    defaults = (ModelOptions(name=QWEN_LONG), ModelOptions(name=CHATYUAN, engine="chatyuan"))
    options = (*config.model, *(model for model in defaults if model.name not in bound))
    aliases = {QWEN_LONG: QWEN_LONG_ALIASES}
    return [msgspec.structs.replace(model, aliases=model.aliases or aliases.get(model.name, ())) for model in options]


def _bind(model: ModelOptions, upstreams: Mapping[str, UpstreamOptions], extractive: Engine) -> Model:
    engine: Engine | None = None
    served_name = model.served_name or model.name
    if model.engine == "extractive":
        engine, served_name = extractive, "extractive"
    elif model.engine == "upstream":
        engine = Upstream(_upstream_of(model, upstreams))
    elif model.engine == "scripted":
        engine = Scripted.from_file(_script_of(model))
    else:
        assert model.engine == "chatyuan", model.engine
    return Model(
        name=model.name,
        aliases=model.aliases,
        engine=engine,
        served_name=served_name,
        citations=model.citations,
        is_substitute=model.name == CHATYUAN and model.engine != "chatyuan",
        hint="" if engine else MISSING_WEIGHTS.format(model=model.name),
    )


def _upstream_of(model: ModelOptions, upstreams: Mapping[str, UpstreamOptions]) -> UpstreamOptions:
    options = upstreams.get(model.upstream or "")
    if options is None:
        raise ConfigError(f"Model {model.name}: there is no [[upstream]] named {model.upstream!r}.")
    served_name = model.served_name or model.name
    return msgspec.structs.replace(options, served_name=served_name, context_window=model.context_window)


def _script_of(model: ModelOptions) -> Path:
    if model.script is None:
        raise ConfigError(f'Model {model.name}: engine = "scripted" needs script = "FILE".')
    return Path(model.script)


@asynccontextmanager
async def key_room(config: Config) -> AsyncIterator[Keys]:
    """Open the keys of a data folder, whether a service runs on it or not."""
    async with Database(_made(config.data_dir) / "longscroll.db") as database:
        yield Keys(database.keys, load_pepper(config.data_dir), clock=now)


async def found_model_servers() -> list[tuple[str, tuple[str, ...]]]:
    """Look for model servers on the usual loopback ports; returns base URLs with the models they list."""
    urls = [f"http://127.0.0.1:{port}/v1" for port in MODEL_SERVER_PORTS]
    results = await asyncio.gather(*(probe(url, timeout_s=0.3) for url in urls), return_exceptions=True)
    return [(result.url, result.models) for result in results if isinstance(result, ProbeResult)]


async def probe_upstreams(config: Config) -> list[tuple[str, str, str]]:
    """Ask every configured model server who it is; returns (name, url, what is wrong or nothing)."""
    found = []
    for options in config.upstream_options().values():
        for url in options.urls:
            try:
                await probe(url, api_key=options.api_key)
            except ModelUnavailable as error:
                found.append((options.name, url, str(error)))
            else:
                found.append((options.name, url, ""))
    return found
