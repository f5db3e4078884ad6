"""The composition root: options in, a running service out. Read top to bottom, it is the architecture.

The only module that names concrete stores and engines. ``running_core`` is everything below HTTP, as ``longscroll ask``
uses it; ``build_application`` puts the wire surfaces on top; ``running_worker`` is the part of it that parses files.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
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
from longscroll.services.in_use import FilesInUse
from longscroll.services.models import Model, ModelCatalog, ModelOptions
from longscroll.services.verify import Verification
from longscroll.storage.blobs import LocalBlobs
from longscroll.storage.database import Database
from longscroll.storage.lock import FolderLock
from longscroll.storage.presence import LocalPresence
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


class Archive(Struct, frozen=True, kw_only=True):
    """The stores of a data folder, and the ingestion over them, which is not started yet."""

    database: Database
    blobs: LocalBlobs
    parsers: Parsers
    ingest: Ingest


def now() -> datetime:
    """Return the time; the clock that every part is given."""
    return datetime.now(UTC)


@asynccontextmanager
async def running_core(config: Config) -> AsyncIterator[Core]:
    """Start stores, processes and engines; stop them in the opposite order.

    What takes long begins first and side by side: readers in processes, the vocabulary and the database in threads.

    Raises:
        StartupError: the folder is in use, the database is newer, an option cannot be used.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(FolderLock(_made(config.data_dir)))
        readers = Readers(PoolOptions(n_readers=_n_workers(config)), ReadingOptions())
        stack.push_async_callback(readers.stop)
        await readers.start()
        loading = asyncio.create_task(asyncio.to_thread(load_counter))
        archive = await stack.enter_async_context(_archive(config))
        keys = Keys(archive.database.keys, load_pepper(config.data_dir), clock=now)

        in_use = FilesInUse()
        files = FileService(archive.database.files, archive.blobs, archive.ingest, config.files, now=now, in_use=in_use)
        stack.callback(files.close)
        await files.recover()
        await stack.enter_async_context(archive.ingest)

        counter = await loading
        catalog = build_catalog(config, extractive=Extractive(readers.compose, counter))
        for model in catalog.models():
            engine: object = model.engine
            if isinstance(engine, Running):
                stack.push_async_callback(engine.stop)
                await engine.start()
        chat = ChatService(
            catalog=catalog,
            files=archive.database.files,
            blobs=archive.blobs,
            ingest=archive.ingest,
            reader=Reader(readers, counter),
            counter=counter,
            options=ChatOptions(
                parse_wait_s=config.compat.parse_wait_s, inline_limit_tokens=config.compat.inline_limit_tokens
            ),
            in_use=in_use,
        )
        await archive.parsers.start()  # last: a question waits for the readers, an upload for nobody
        yield Core(keys=keys, files=files, chat=chat, catalog=catalog, ingest=archive.ingest, readers=readers)


@asynccontextmanager
async def running_worker(config: Config) -> AsyncIterator[Ingest]:
    """Parse files of a data folder beside the service that has it, or will have it; any number of processes may.

    Raises:
        StartupError: there is no such folder, or its database is newer.
    """
    if not config.data_dir.is_dir():
        raise StartupError(
            f"There is no data folder {config.data_dir}; name with --data-dir the one that `longscroll serve` uses."
        )
    async with _archive(config) as archive, archive.ingest:
        await archive.parsers.start()
        yield archive.ingest


@asynccontextmanager
async def _archive(config: Config) -> AsyncIterator[Archive]:
    """Open the stores of a data folder and say that this process is there; no file is taken before ingestion starts.

    The parsers are not started either: what is claimed before waits for them.
    """
    async with AsyncExitStack() as stack:
        parsers = Parsers(n_children=_n_workers(config) + 1)
        stack.push_async_callback(parsers.stop)
        database = await stack.enter_async_context(Database(config.data_dir / "longscroll.db"))
        blobs = await stack.enter_async_context(LocalBlobs(config.data_dir / "blobs"))
        presence = await stack.enter_async_context(LocalPresence(config.data_dir / "processes"))
        ingest = Ingest(database.files, blobs, parsers, presence=presence, clock=now)
        yield Archive(database=database, blobs=blobs, parsers=parsers, ingest=ingest)


def _n_workers(config: Config) -> int:
    return config.server.workers or max(1, (os.cpu_count() or 2) - 1)


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
            with suppress(StartupError):  # that none can live is said at /readyz, and they are tried again
                await core.readers.wait_until_ready()
            yield Services(
                authenticate=core.keys.authenticate,
                answer=core.chat.answer,
                files=core.files,
                catalog=core.catalog,
                is_healthy=lambda: core.readers.is_healthy,
                drain=core.ingest.drain,
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
async def verification(config: Config) -> AsyncIterator[Verification]:
    """Open what is stored in a data folder, to check it; whether a service runs on it or not."""
    async with (
        Database(config.data_dir / "longscroll.db") as database,
        LocalBlobs(config.data_dir / "blobs") as blobs,
    ):
        yield Verification(database.files, blobs)


@asynccontextmanager
async def key_room(config: Config) -> AsyncIterator[Keys]:
    """Open the keys of a data folder, whether a service runs on it or not."""
    async with Database(_made(config.data_dir) / "longscroll.db") as database:
        yield Keys(database.keys, load_pepper(config.data_dir), clock=now)


async def found_model_servers() -> list[tuple[str, tuple[str, ...]]]:
    """Look for model servers on the usual loopback ports; returns base URLs with the models they list."""
    listening = await asyncio.gather(*(_is_listening(port) for port in MODEL_SERVER_PORTS))
    urls = [
        f"http://127.0.0.1:{port}/v1" for port, is_there in zip(MODEL_SERVER_PORTS, listening, strict=True) if is_there
    ]
    results = await asyncio.gather(*(probe(url, timeout_s=0.3) for url in urls), return_exceptions=True)
    return [(result.url, result.models) for result in results if isinstance(result, ProbeResult)]


async def _is_listening(port: int) -> bool:
    """Whether anything takes connections there; the client that asks what it is is not loaded for nothing."""
    try:
        async with asyncio.timeout(0.3):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    return True


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
