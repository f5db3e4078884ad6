"""The options of a command: defaults, file, environment and command line, in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longscroll.config import Config, load_config
from longscroll.errors import ConfigError

COMMAND_LINE_UPSTREAM = "command-line"


def configured(
    config_file: Path | None,
    data_dir: Path | None,
    server: dict[str, Any] | None = None,
    *,
    upstream: str | None = None,
    upstream_model: str | None = None,
) -> Config:
    """Compose the configuration of a command; ``upstream`` binds ``qwen-long`` to a model server.

    Raises:
        ConfigError: an option is unknown, or one of ``--upstream`` and ``--upstream-model`` is missing.
    """
    if (upstream is None) != (upstream_model is None):
        raise ConfigError("--upstream URL and --upstream-model NAME belong together.")
    overrides: dict[str, Any] = {"server": {**(server or {}), "data_dir": data_dir and str(data_dir)}}
    if upstream is not None:
        overrides["upstream"] = [{"name": COMMAND_LINE_UPSTREAM, "urls": [upstream]}]
        model = {"name": "qwen-long", "engine": "upstream", "upstream": COMMAND_LINE_UPSTREAM}
        overrides["model"] = [{**model, "served_name": upstream_model}]
    return load_config(config_file, overrides=overrides)
