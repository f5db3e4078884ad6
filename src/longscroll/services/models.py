"""Which model names are served, and by which engine. A name without an engine says how to get one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

from msgspec import Struct

from longscroll.access.base import Principal
from longscroll.engines.base import Engine
from longscroll.engines.vectors import Embedder, Ranker
from longscroll.errors import InvalidParameter, ModelNotFound, ModelUnavailable
from longscroll.types import CitationMode

T = TypeVar("T")

EngineName = Literal["extractive", "upstream", "scripted", "chatyuan"]
Task = Literal["chat", "embedding", "rerank"]


DEFAULT_MAX_OUTPUT_TOKENS = 32_768
"""The most that one answer may be asked for where nothing is configured (PROTOCOL.md §6.2)."""


class ModelOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[model]]`` of the configuration."""

    name: str
    aliases: tuple[str, ...] = ()
    engine: EngineName = "extractive"
    task: Task = "chat"  # embedding and rerank: engine = "upstream" only
    upstream: str | None = None  # engine = "upstream": the name of an [[upstream]]
    served_name: str | None = None  # the name the engine knows; None: the same
    context_window: int | None = None  # tokens; None: ask the upstream
    script: str | None = None  # engine = "scripted": path of the answers
    citations: CitationMode = "annotations"
    max_output_tokens: int | None = (
        None  # the most of one answer, and what is asked of the engine unless a request says
    )


class Model(Struct, frozen=True, kw_only=True):
    """A name, bound to what its task needs. Where that is None it cannot answer; ``hint`` then says what to do."""

    name: str
    aliases: tuple[str, ...]
    task: Task = "chat"
    engine: Engine | None = None
    embedder: Embedder | None = None
    ranker: Ranker | None = None
    served_name: str
    citations: CitationMode = "annotations"
    max_output_tokens: int | None = None  # None: DEFAULT_MAX_OUTPUT_TOKENS may be asked for, and the engine decides
    is_substitute: bool = False  # another model answers under this name, and every reply says which
    hint: str = ""

    @property
    def worker(self) -> Engine | Embedder | Ranker | None:
        """Who does the model's task."""
        return {"chat": self.engine, "embedding": self.embedder, "rerank": self.ranker}[self.task]

    def check_task(self, task: Task) -> None:
        """Refuse a task that is not the model's.

        Raises:
            InvalidParameter: it says what the model is for.
        """
        if self.task != task:
            raise InvalidParameter(f"The model {self.name} is for {self.task}, not for {task}.", param="model")


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

    def names(self, caller: Principal | None = None) -> list[str]:
        """Return the names that would answer now, to a caller or to somebody, in the order of configuration."""
        return [
            name
            for name, model in self._by_name.items()
            if model.worker is not None and (caller is None or caller.may_use(model.name, name))
        ]

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
            InvalidParameter: the model is for another task.
            ModelUnavailable: the name is known and nothing stands behind it.
        """
        model = self._for(name, "chat")
        return model, _there(model.engine, model)

    def embedding(self, name: str) -> tuple[Model, Embedder]:
        """Return the model of that name with its embedder; raises as ``answering``."""
        model = self._for(name, "embedding")
        return model, _there(model.embedder, model)

    def ranking(self, name: str) -> tuple[Model, Ranker]:
        """Return the model of that name with its ranker; raises as ``answering``."""
        model = self._for(name, "rerank")
        return model, _there(model.ranker, model)

    def _for(self, name: str, task: Task) -> Model:
        model = self.get(name)
        model.check_task(task)
        return model


def _there(worker: T | None, model: Model) -> T:
    if worker is None:
        raise ModelUnavailable(model.hint)
    return worker
