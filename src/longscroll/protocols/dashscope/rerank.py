"""POST …/text-rerank/text-rerank: documents in, the best of them out (PROTOCOL.md §8.4). Knows no engine."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from longscroll.errors import MissingInput
from longscroll.protocols.admission import Gate
from longscroll.protocols.dashscope.embeddings import VectorUsage
from longscroll.protocols.dashscope.headers import refuse_encryption, refuse_tasks
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.vectors import RankingResult, WireDocuments, check_number, to_caller, to_documents, to_results
from longscroll.services.vectors import MAX_DOCUMENTS, RankingRequest, VectorService


class RankingInput(Struct, kw_only=True):
    """``input`` of a request."""

    query: str | None = None
    documents: WireDocuments = None


class RankingParameters(Struct, kw_only=True):
    """``parameters`` of a request."""

    top_n: int | None = None
    return_documents: bool | None = None


class NativeRankingRequest(Struct, kw_only=True):
    """The body."""

    model: str | None = None
    input: RankingInput | None = None
    parameters: RankingParameters | None = None


class RankingOutput(Struct, frozen=True):
    """The best documents, best first."""

    results: tuple[RankingResult, ...]


class NativeRankingReply(Struct, frozen=True, kw_only=True):
    """The reply."""

    output: RankingOutput
    usage: VectorUsage
    request_id: str


_decoder = msgspec.json.Decoder(NativeRankingRequest)


class NativeRanking:
    """The handler."""

    def __init__(self, vectors: VectorService, gate: Gate) -> None:
        self._vectors = vectors
        self._gate = gate

    async def rank(self, request: Request) -> Reply:
        """Return the best documents; raises as ``VectorService.rank``."""
        refuse_tasks(request)
        refuse_encryption(request)
        model, body = await self._gate.admit(request, _decoder, task="rerank")
        if body.input is None:
            raise MissingInput
        parameters = body.parameters or RankingParameters()
        check_number(parameters.top_n, "top_n", high=MAX_DOCUMENTS)
        documents = to_documents(body.input.documents)
        asked = RankingRequest(
            caller=to_caller(request),
            model=model,
            query=body.input.query or "",
            documents=documents,
            n_best=parameters.top_n,
        )
        ranked = await self._vectors.rank(asked)
        results = to_results(ranked, documents if parameters.return_documents else None)
        return json_reply(
            NativeRankingReply(
                output=RankingOutput(results), usage=VectorUsage(ranked.usage.n_input_tokens), request_id=request.id
            )
        )
