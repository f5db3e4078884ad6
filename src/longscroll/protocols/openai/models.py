"""The models of the OpenAI-compatible surface: what would answer now (PROTOCOL.md §8.2)."""

from __future__ import annotations

from longscroll.errors import ModelNotFound
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.openai.schema import ModelList, ModelObject
from longscroll.services.models import ModelCatalog


class Models:
    """The handlers of the compat surface's model endpoints."""

    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog

    async def list(self, request: Request) -> Reply:
        """Return every name that would answer to this key."""
        names = self._catalog.names(request.principal)
        return json_reply(ModelList(data=tuple(self._render(name) for name in names)))

    async def retrieve(self, request: Request) -> Reply:
        """Return one name.

        Raises:
            ModelNotFound: nothing would answer under it to this key.
        """
        name = request.arguments["name"]
        if name not in self._catalog.names(request.principal):
            raise ModelNotFound(name)
        return json_reply(self._render(name))

    def _render(self, name: str) -> ModelObject:
        return ModelObject(id=name, created=self._catalog.created)
