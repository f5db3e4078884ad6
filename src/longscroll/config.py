"""One frozen tree of options; the only reader of TOML and of the environment.

Each part declares its own options where it lives; here they are composed under their public names. Values come, later
over earlier, from the defaults, the TOML file, ``LONGSCROLL_SECTION__NAME`` variables and the command line.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from longscroll.access.limits import LimitOptions
from longscroll.access.retention import UsageOptions
from longscroll.engines.upstream import UpstreamKind, UpstreamOptions
from longscroll.errors import ConfigError
from longscroll.protocols.options import WorkspaceHeader
from longscroll.services.batches.base import BatchOptions
from longscroll.services.files import FileOptions
from longscroll.services.models import ModelOptions

PREFIX = "LONGSCROLL_"
QWEN_LONG = "qwen-long"
QWEN_LONG_ALIASES = ("qwen-long-latest", "qwen-long-2025-01-25", "qwen-long-0125", "qwen-doc-turbo")
CHATYUAN = "chatyuan-large-v2"


_ORIGIN = re.compile(r"https?://[^/\s?#@]+")


class ServerOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[server]`` section: where to listen and how much to use."""

    host: str = "127.0.0.1"
    port: int = 7300  # 0: any free port
    data_dir: str = ""  # empty: $XDG_DATA_HOME/longscroll
    workers: int = 0  # reader processes, one less than files parsed at once; 0: by the number of cores
    drain_s: float = 30.0  # how long SIGTERM lets running streams finish
    max_body_bytes: int = 16 << 20  # of a JSON body
    cors_origins: tuple[str, ...] = ()  # of pages whose scripts may use the service
    log_level: str = "info"
    access_log: bool = True  # a line for each request that has ended, at info

    def __post_init__(self) -> None:
        for origin in self.cors_origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"cors_origins: expected https://host[:port] or *, got {origin!r}")


class CompatOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[compat]`` section: switches between what the hosted service does and what serves users better."""

    legacy_null_string: bool = False  # "null" instead of null in running chunks
    parse_wait_s: float = 240.0  # 0: the documented 400 at once
    inline_limit_tokens: int = 1_000_000  # 9000: as the hosted service since 2025
    content_of_files: bool = True  # False: the hosted service's 400
    chatyuan_usage: bool = True
    workspace_header: WorkspaceHeader = "ignore"  # "enforce": X-DashScope-WorkSpace must name the key's workspace


class UpstreamEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[upstream]]``: a model server, or several that serve the same models."""

    name: str
    urls: tuple[str, ...]
    kind: UpstreamKind = "openai"  # vllm | sglang | llama-server | ollama | openai
    api_key_env: str | None = None  # the variable that holds its key
    connect_timeout_s: float = 5.0
    silence_timeout_s: float = 300.0  # without one byte, before the first as well as between two
    extra_body: dict[str, Any] = {}  # added to every request, such as chat_template_kwargs


class TestingOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[testing]`` section: for a service that programs are tested against, and no other."""

    fault_header: bool = False  # whoever has a key may ask for faults with X-Longscroll-Fault
    control: bool = False  # whoever has the right `admin` may replace the script and read the chats that came


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All options of one process."""

    server: ServerOptions = ServerOptions()
    compat: CompatOptions = CompatOptions()
    files: FileOptions = FileOptions()
    batch: BatchOptions = BatchOptions()
    upstream: tuple[UpstreamEntry, ...] = ()
    model: tuple[ModelOptions, ...] = ()
    limit: tuple[LimitOptions, ...] = ()
    usage: UsageOptions = UsageOptions()
    testing: TestingOptions = TestingOptions()
    api_key: str | None = None  # from LONGSCROLL_API_KEY only

    @property
    def data_dir(self) -> Path:
        """The folder that everything is kept in."""
        return Path(self.server.data_dir).expanduser().absolute()

    def upstream_options(self) -> dict[str, UpstreamOptions]:
        """Return the engines' own options by upstream name, keys resolved from the environment.

        Raises:
            ConfigError: an address cannot be used, or the variable that holds a key is not set.
        """
        return {entry.name: _resolve(entry, os.environ) for entry in self.upstream}


def load_config(
    path: Path | None, *, overrides: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Config:
    """Compose the options of this process.

    Args:
        path: a TOML file, or None.
        overrides: ``{"section": {"name": value}}`` from the command line; None values are left out.
        environment: variables; the process's own by default.

    Raises:
        ConfigError: an option is unknown or has a value that cannot be used; the message names it.
    """
    environment = os.environ if environment is None else environment
    tree = _read_toml(path) if path else {}
    if "api_key" in tree:
        raise ConfigError("api_key does not belong in a configuration file; set LONGSCROLL_API_KEY instead.")
    _merge(tree, _from_environment(environment))
    _merge(tree, overrides or {})
    server = tree.setdefault("server", {})
    server.setdefault("data_dir", _default_data_dir(environment))
    try:
        config = msgspec.convert(tree, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"Configuration: {error}") from error
    return msgspec.structs.replace(config, api_key=environment.get("LONGSCROLL_API_KEY") or None)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Configuration file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"Configuration file {path} is not TOML: {error}.") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for variable, value in environment.items():
        section, separator, name = variable.removeprefix(PREFIX).lower().partition("__")
        if variable.startswith(PREFIX) and separator:
            tree.setdefault(section, {})[name] = value
    return tree


def _merge(tree: dict[str, Any], other: Mapping[str, Any]) -> None:
    for name, value in other.items():
        if isinstance(value, Mapping):
            _merge(tree.setdefault(name, {}), value)
        elif value is not None:
            tree[name] = value


def _default_data_dir(environment: Mapping[str, str]) -> str:
    base = environment.get("XDG_DATA_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".local" / "share")
    return str(Path(base) / "longscroll")


def _resolve(entry: UpstreamEntry, environment: Mapping[str, str]) -> UpstreamOptions:
    """Return the engine's options: the entry's own, with the key in place of the variable that holds it."""
    options = msgspec.structs.asdict(entry)
    variable = options.pop("api_key_env")
    key = environment.get(variable) if variable is not None else None
    if variable is not None and not key:
        raise ConfigError(f"Upstream {entry.name}: the variable {variable} is not set.")
    try:
        return UpstreamOptions(**options, api_key=key)
    except ValueError as error:
        raise ConfigError(f"Configuration: {error}.") from error
