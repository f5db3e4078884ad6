"""POST /rerank: documents in, the best of them out, in the shape of Jina, Cohere and vLLM. Knows no engine."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from longscroll.protocols.admission import Gate
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.openai.embeddings import VectorUsage
from longscroll.protocols.vectors import RankingResult, WireDocuments, check_number, to_caller, to_documents, to_results
from longscroll.services.vectors import MAX_DOCUMENTS, RankingRequest, VectorService


class CreateRanking(Struct, kw_only=True):
    """The body."""

    model: str | None = None
    query: str | None = None
    documents: WireDocuments = None
    top_n: int | None = None
    return_documents: bool | None = None


class Ranking(Struct, frozen=True, kw_only=True):
    """The reply: the best documents, best first."""

    results: tuple[RankingResult, ...]
    model: str
    object: Literal["list"] = "list"
    usage: VectorUsage
    id: str


_decoder = msgspec.json.Decoder(CreateRanking)


class Rerank:
    """The handler."""

    def __init__(self, vectors: VectorService, gate: Gate) -> None:
        self._vectors = vectors
        self._gate = gate

    async def rank(self, request: Request) -> Reply:
        """Return the best documents; raises as ``VectorService.rank``."""
        model, body = await self._gate.admit(request, _decoder, task="rerank")
        check_number(body.top_n, "top_n", high=MAX_DOCUMENTS)
        documents = to_documents(body.documents)
        asked = RankingRequest(
            caller=to_caller(request), model=model, query=body.query or "", documents=documents, n_best=body.top_n
        )
        ranked = await self._vectors.rank(asked)
        n_tokens = ranked.usage.n_input_tokens
        results = to_results(ranked, documents if body.return_documents else None)
        return json_reply(Ranking(results=results, model=model, usage=VectorUsage(n_tokens, n_tokens), id=request.id))
