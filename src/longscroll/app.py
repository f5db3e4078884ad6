"""The composition root: options in, a running service out. Read top to bottom, it is the architecture.

The only module that names concrete stores and engines. ``running_core`` is everything below HTTP, as ``longscroll ask``
uses it; ``build_application`` puts the wire surfaces on top; ``running_worker`` is the part of it that parses files.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from longscroll import __version__
from longscroll.access.bootstrap import first_key, require_key
from longscroll.access.keys import Keys, cache_salt, load_pepper
from longscroll.access.limits import Limits
from longscroll.access.metering import Metering
from longscroll.access.retention import kept_for
from longscroll.config import CHATYUAN, QWEN_LONG, QWEN_LONG_ALIASES, Config
from longscroll.documents.ingest import Ingest
from longscroll.documents.parsers import Parsers
from longscroll.documents.scripted import ScriptedParsers
from longscroll.engines.base import Engine, Running
from longscroll.engines.extractive import Extractive
from longscroll.engines.scripted import Scripted
from longscroll.engines.upstream import ProbeResult, Upstream, UpstreamOptions, probe
from longscroll.engines.upstream_vectors import UpstreamVectors
from longscroll.errors import ConfigError, ModelUnavailable, StartupError
from longscroll.protocols.asgi import Application
from longscroll.protocols.exchange import Route
from longscroll.protocols.openai.batch_lines import BatchLines
from longscroll.protocols.options import ProtocolOptions
from longscroll.protocols.routes import Services, line_routes
from longscroll.reading.evidence import ReadingOptions
from longscroll.reading.pool import PoolOptions, Readers
from longscroll.reading.reader import Reader
from longscroll.services.admin import KeyAdministration
from longscroll.services.batches.base import Rooms, RunOptions
from longscroll.services.batches.runner import BatchRunner
from longscroll.services.batches.service import BatchService
from longscroll.services.chat import ChatOptions, ChatService
from longscroll.services.files import FileService
from longscroll.services.in_use import FilesInUse
from longscroll.services.models import Model, ModelCatalog, ModelOptions
from longscroll.services.observation import Observation
from longscroll.services.script import Director, Script, load_script
from longscroll.services.usage import UsageReports
from longscroll.services.vectors import VectorService
from longscroll.services.verify import Verification
from longscroll.storage.base import UsageRecord
from longscroll.storage.blobs import LocalBlobs
from longscroll.storage.database import Database
from longscroll.storage.lock import FolderLock
from longscroll.storage.presence import LocalPresence
from longscroll.telemetry.journal import Journal
from longscroll.telemetry.loop_delay import watched_loop
from longscroll.telemetry.metrics import Metrics
from longscroll.tokens import TokenCounter, load_counter

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
    batches: BatchService
    batches_wake: asyncio.Event  # there is something for the runner of batches to do
    chat: ChatService
    catalog: ModelCatalog
    director: Director | None
    vectors: VectorService
    counter: TokenCounter
    limits: Limits
    metering: Metering
    archive: Archive
    ingest: Ingest
    readers: Readers


class Archive(Struct, frozen=True, kw_only=True):
    """The stores of a data folder, and the ingestion over them, which is not started yet."""

    database: Database
    blobs: LocalBlobs
    presence: LocalPresence
    parsers: Parsers
    scripted_parsers: ScriptedParsers | None  # in front of them, where a script may have a say
    ingest: Ingest


def now() -> datetime:
    """Return the time; the clock that every part is given."""
    return datetime.now(UTC)


@asynccontextmanager
async def running_core(
    config: Config, *, observers: Sequence[Callable[[UsageRecord], None]] = ()
) -> AsyncIterator[Core]:
    """Start stores, processes and engines; stop them in the opposite order.

    What takes long begins first and side by side: readers in processes, the vocabulary and the database in threads.
    Every row of usage is shown to ``observers``.

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
        pepper = load_pepper(config.data_dir)
        keys = Keys(archive.database.keys, pepper, clock=now)

        in_use = FilesInUse()
        files = FileService(archive.database.files, archive.blobs, archive.ingest, config.files, now=now, in_use=in_use)
        stack.callback(files.close)
        await files.recover()
        await stack.enter_async_context(archive.ingest)

        counter = await loading
        limits = Limits(config.limit)
        metering = Metering(archive.database.usage, limits, observers=observers, clock=now)
        stack.push_async_callback(metering.close)
        await stack.enter_async_context(kept_for(config.usage, archive.database.usage, clock=now))
        catalog = build_catalog(config, extractive=Extractive(readers.compose, counter))
        for model in catalog.models():
            worker: object = model.worker
            if isinstance(worker, Running):
                stack.push_async_callback(worker.stop)
                await worker.start()
        chat = ChatService(
            catalog=catalog,
            files=archive.database.files,
            blobs=archive.blobs,
            ingest=archive.ingest,
            reader=Reader(readers, counter, salt=partial(cache_salt, pepper)),
            counter=counter,
            options=ChatOptions(
                parse_wait_s=config.compat.parse_wait_s, inline_limit_tokens=config.compat.inline_limit_tokens
            ),
            in_use=in_use,
            metering=metering,
        )
        wake = asyncio.Event()
        await archive.parsers.start()  # last: a question waits for the readers, an upload for nobody
        yield Core(
            keys=keys,
            files=files,
            batches=BatchService(archive.database.batches, files, clock=now, wake=wake.set),
            batches_wake=wake,
            chat=chat,
            catalog=catalog,
            director=_director(config, catalog, archive.scripted_parsers),
            vectors=VectorService(catalog, metering, counter),
            counter=counter,
            limits=limits,
            metering=metering,
            archive=archive,
            ingest=archive.ingest,
            readers=readers,
        )


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
        scripted = _scripted_parsers(config, parsers)
        ingest = Ingest(database.files, blobs, scripted or parsers, presence=presence, clock=now)
        yield Archive(
            database=database,
            blobs=blobs,
            presence=presence,
            parsers=parsers,
            scripted_parsers=scripted,
            ingest=ingest,
        )


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
        cors_origins=config.server.cors_origins,
        legacy_null_string=config.compat.legacy_null_string,
        chatyuan_usage=config.compat.chatyuan_usage,
        content_of_files=config.compat.content_of_files,
        workspace_header=config.compat.workspace_header,
        fault_header=config.testing.fault_header,
    )

    metrics = Metrics(version=__version__)
    journal = Journal(metrics, is_logged=config.server.access_log)

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        async with running_core(config, observers=(journal.answered,)) as core, watched_loop(metrics.loop_delayed):
            first = await first_key(config.data_dir, core.keys, config.api_key)
            await require_key(core.keys, host=config.server.host, given=config.api_key)
            if first.is_new and first.plaintext and sys.stderr.isatty():
                sys.stderr.write(f"Your API key, kept in {first.path}: {first.plaintext}\n")
            with suppress(StartupError):  # that none can live is said at /readyz, and they are tried again
                await core.readers.wait_until_ready()
            served = Services(
                authenticate=core.keys.authenticate,
                answer=core.chat.answer if core.director is None else core.director.observed(core.chat.answer),
                files=core.files,
                batches=core.batches,
                catalog=core.catalog,
                keys=KeyAdministration(core.keys),
                usage=UsageReports(core.archive.database.usage, clock=now),
                director=core.director,
                vectors=core.vectors,
                counter=core.counter,
                limits=core.limits,
                is_healthy=lambda: core.readers.is_healthy,
                expose=Observation(
                    metrics,
                    journal,
                    core.archive.database.files,
                    ingest=core.ingest,
                    parsers=core.archive.parsers,
                    readers=core.readers,
                ).expose,
            )
            async with _batch_runner(config, core, line_routes(served, options), options) as runner:
                yield msgspec.structs.replace(served, drain=partial(_drain, core.ingest, runner))

    return Application(services, options=options, clock=now, journal=journal)


def _batch_runner(config: Config, core: Core, routes: Mapping[str, Route], options: ProtocolOptions) -> BatchRunner:
    """Return the runner of batches; the handlers of the wire answer their lines."""
    archive = core.archive
    lines = BatchLines(routes, core.catalog, core.keys.caller, options=options, clock=now)
    return BatchRunner(
        Rooms(batches=archive.database.batches, files=core.files, blobs=archive.blobs, lines=lines, clock=now),
        archive.presence,
        limits=config.batch,
        options=RunOptions(max_line_bytes=options.max_body_bytes),
        wake=core.batches_wake,
    )


def _drain(ingest: Ingest, runner: BatchRunner) -> None:
    """Begin nothing new."""
    ingest.drain()
    runner.drain()


def build_catalog(config: Config, *, extractive: Engine) -> ModelCatalog:
    """Bind every model name to its engine: the configured ones, then the defaults for names that nobody bound.

    Raises:
        ConfigError: a model names an upstream or a script that is not there.
    """
    upstreams = config.upstream_options()
    scripted = {path: Scripted(script.rule) for path, script in _scripts(config).items()}
    models = [_bind(model, upstreams, extractive, scripted) for model in model_options(config)]
    return ModelCatalog(models, created=int(now().timestamp()))


def model_options(config: Config) -> list[ModelOptions]:
    """Return the configured models, then the defaults for names that nobody bound, with their documented aliases."""
    bound = {model.name for model in config.model}
    defaults = (ModelOptions(name=QWEN_LONG), ModelOptions(name=CHATYUAN, engine="chatyuan"))
    options = (*config.model, *(model for model in defaults if model.name not in bound))
    aliases = {QWEN_LONG: QWEN_LONG_ALIASES}
    return [msgspec.structs.replace(model, aliases=model.aliases or aliases.get(model.name, ())) for model in options]


def _scripts(config: Config) -> dict[Path, Script]:
    """Read every script that a model names; models that name the same one share it."""
    paths = {_script_of(model) for model in config.model if model.engine == "scripted"}
    return {path: load_script(path) for path in paths}


def _scripted_parsers(config: Config, parsers: Parsers) -> ScriptedParsers | None:
    rules = [rule for script in _scripts(config).values() for rule in script.file]
    return ScriptedParsers(parsers, rules) if rules or config.testing.control else None


def _director(config: Config, catalog: ModelCatalog, parsers: ScriptedParsers | None) -> Director | None:
    if not config.testing.control or parsers is None:
        return None
    return Director((model.engine for model in catalog.models() if isinstance(model.engine, Scripted)), parsers)


def _bind(
    model: ModelOptions,
    upstreams: Mapping[str, UpstreamOptions],
    extractive: Engine,
    scripted: Mapping[Path, Scripted],
) -> Model:
    if model.task != "chat":
        return _bind_vectors(model, upstreams)
    engine: Engine | None = None
    served_name = model.served_name or model.name
    if model.engine == "extractive":
        engine, served_name = extractive, "extractive"
    elif model.engine == "upstream":
        engine = Upstream(_upstream_of(model, upstreams))
    elif model.engine == "scripted":
        engine = scripted[_script_of(model)]
    else:
        assert model.engine == "chatyuan", model.engine
    return Model(
        name=model.name,
        aliases=model.aliases,
        engine=engine,
        served_name=served_name,
        citations=model.citations,
        max_output_tokens=model.max_output_tokens,
        is_substitute=model.name == CHATYUAN and model.engine != "chatyuan",
        hint="" if engine else MISSING_WEIGHTS.format(model=model.name),
    )


def _bind_vectors(model: ModelOptions, upstreams: Mapping[str, UpstreamOptions]) -> Model:
    if model.engine != "upstream":
        raise ConfigError(f'Model {model.name}: task = "{model.task}" needs engine = "upstream".')
    vectors = UpstreamVectors(_upstream_of(model, upstreams))
    return Model(
        name=model.name,
        aliases=model.aliases,
        task=model.task,
        embedder=vectors if model.task == "embedding" else None,
        ranker=vectors if model.task == "rerank" else None,
        served_name=model.served_name or model.name,
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


@asynccontextmanager
async def usage_room(config: Config) -> AsyncIterator[UsageReports]:
    """Open the usage of a data folder, whether a service runs on it or not."""
    async with Database(_made(config.data_dir) / "longscroll.db") as database:
        yield UsageReports(database.usage, clock=now)


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
