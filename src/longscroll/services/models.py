"""Which model names are served, and by which engine. A name without an engine says how to get one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from longscroll.engines.base import Engine
from longscroll.errors import ModelNotFound, ModelUnavailable
from longscroll.types import CitationMode

EngineName = Literal["extractive", "upstream", "scripted", "chatyuan"]


class ModelOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[model]]`` of the configuration."""

    name: str
    aliases: tuple[str, ...] = ()
    engine: EngineName = "extractive"
    upstream: str | None = None  # engine = "upstream": the name of an [[upstream]]
    served_name: str | None = None  # the name the engine knows; None: the same
    context_window: int | None = None  # tokens; None: ask the upstream
    script: str | None = None  # engine = "scripted": path of the answers
    citations: CitationMode = "annotations"


class Model(Struct, frozen=True, kw_only=True):
    """A name, bound to an engine. ``engine`` is None while it cannot answer; ``hint`` then says what to do."""

    name: str
    aliases: tuple[str, ...]
    engine: Engine | None
    served_name: str
    citations: CitationMode
    is_substitute: bool = False  # another model answers under this name, and every reply says which
    hint: str = ""


class ModelCatalog:
    """The models of this service by name and alias. Names are case-sensitive and trimmed."""

    def __init__(self, models: Iterable[Model], *, created: int) -> None:
        """Bind the names; a name given twice is the later model's. ``created`` (unix seconds) is the same for all."""
        self.created = created
        self._models = tuple(models)
        self._by_name = {name: model for model in self._models for name in (model.name, *model.aliases)}

    def models(self) -> tuple[Model, ...]:
        """Return every model, in the order of configuration."""
        return self._models

    def names(self) -> list[str]:
        """Return the names that would answer now, in the order of configuration."""
        return [name for name, model in self._by_name.items() if model.engine is not None]

    def get(self, name: str) -> Model:
        """Return the model of that name, whether it can answer or not.

        Raises:
            ModelNotFound: no such name.
        """
        model = self._by_name.get(name.strip())
        if model is None:
            raise ModelNotFound(name)
        return model

    def answering(self, name: str) -> tuple[Model, Engine]:
        """Return the model of that name with its engine.

        Raises:
            ModelNotFound: no such name.
            ModelUnavailable: the name is known and nothing stands behind it.
        """
        model = self.get(name)
        if model.engine is None:
            raise ModelUnavailable(model.hint)
        return model, model.engine
