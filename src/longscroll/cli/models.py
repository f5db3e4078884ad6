"""``longscroll models``: which names a configuration serves, and by which engine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from longscroll.app import model_options
from longscroll.cli.configured import configured
from longscroll.cli.table import print_table
from longscroll.errors import LongscrollError
from longscroll.services.models import ModelOptions


class WeightsNotSupported(LongscrollError):
    """The model's weights cannot be run by this version."""


def list_models(config_file: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Print every name, its aliases, and who answers."""
    models = model_options(configured(config_file, data_dir))
    if as_json:
        sys.stdout.writelines(json.dumps(_row(model), ensure_ascii=False) + "\n" for model in models)
        return
    rows = [(model.name, " ".join(model.aliases), _answered_by(model)) for model in models]
    print_table(("name", "aliases", "answered by"), rows)


def pull(name: str) -> None:
    """Say that this version has no weights to install, and what to do instead."""
    raise WeightsNotSupported(
        f"This version cannot run the weights of {name} yet. Until it can, bind the name to a model server with a "
        "[[model]] entry; see docs/how-to/model-server.md."
    )


def _row(model: ModelOptions) -> dict[str, object]:
    answered_by = _answered_by(model)
    return {"name": model.name, "aliases": model.aliases, "engine": model.engine, "answered_by": answered_by}


def _answered_by(model: ModelOptions) -> str:
    return {
        "extractive": "quotations from the documents",
        "upstream": f"{model.served_name or model.name} on the model server {model.upstream}",
        "scripted": f"the script {model.script}",
        "chatyuan": "nothing: its weights are not installed",
    }[model.engine]
