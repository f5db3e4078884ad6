"""The models of the native surface, by query and by path (PROTOCOL.md §8.2)."""

from __future__ import annotations

from longscroll.errors import ModelNotFound
from longscroll.protocols.dashscope.schema import ModelListReply, ModelPage, ModelReply, NativeModel
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.parameters import integer
from longscroll.protocols.told import pages, text
from longscroll.services.models import ModelCatalog

MAX_PAGE = 1000

LIST_PARAMETERS = (*pages(MAX_PAGE), text("model", "Only the model of this name."))


class Models:
    """The handlers of the native surface's model endpoints."""

    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog

    async def list(self, request: Request) -> Reply:
        """Return a numbered page of the names that would answer to this key, or of the one that ``model`` asks for."""
        query = request.query
        number = integer(query, "page_no", 1, low=1, high=10**9)
        size = integer(query, "page_size", 10, low=1, high=MAX_PAGE)
        names = [name for name in self._catalog.names(request.principal) if name == query.get("model", name)]
        start = (number - 1) * size
        models = tuple(NativeModel(model=name, name=name) for name in names[start : start + size])
        page = ModelPage(total=len(names), page_no=number, page_size=size, models=models)
        return json_reply(ModelListReply(output=page, request_id=request.id))

    async def get(self, request: Request) -> Reply:
        """Return one name.

        Raises:
            ModelNotFound: nothing would answer under it to this key.
        """
        name = request.arguments["name"]
        if name not in self._catalog.names(request.principal):
            raise ModelNotFound(name)
        return json_reply(ModelReply(output=NativeModel(model=name, name=name), request_id=request.id))
