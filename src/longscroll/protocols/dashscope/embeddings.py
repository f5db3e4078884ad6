"""POST …/text-embedding/text-embedding: texts in, vectors out (PROTOCOL.md §8.3). Knows no engine and no limit."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from msgspec import Struct

from longscroll.errors import InvalidParameter, MissingInput
from longscroll.protocols.admission import Gate
from longscroll.protocols.dashscope.headers import refuse_encryption, refuse_tasks
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.vectors import WireTexts, check_number, to_caller, to_texts
from longscroll.services.vectors import MAX_DIMENSIONS, Embedded, EmbeddingRequest, VectorService

DENSE_ONLY = 'output_type should be "dense": this service has no sparse vectors.'


class EmbeddingInput(Struct, kw_only=True):
    """``input`` of a request."""

    texts: WireTexts = None


class EmbeddingParameters(Struct, kw_only=True):
    """``parameters`` of a request; a model server is not told the type of a text, which it has no field for."""

    text_type: Literal["query", "document"] | None = None
    dimension: int | None = None
    output_type: str | None = None


class NativeEmbeddingRequest(Struct, kw_only=True):
    """The body."""

    model: str | None = None
    input: EmbeddingInput | None = None
    parameters: EmbeddingParameters | None = None


class NativeEmbedding(Struct, frozen=True):
    """One vector."""

    text_index: int
    embedding: list[float]


class EmbeddingOutput(Struct, frozen=True):
    """The vectors, in the order of the texts."""

    embeddings: tuple[NativeEmbedding, ...]


class VectorUsage(Struct, frozen=True):
    """What is billed; nothing is written, so there is one counter."""

    total_tokens: int


class NativeEmbeddingReply(Struct, frozen=True, kw_only=True):
    """The reply."""

    output: EmbeddingOutput
    usage: VectorUsage
    request_id: str


_decoder = msgspec.json.Decoder(NativeEmbeddingRequest)


class NativeEmbeddings:
    """The handler."""

    def __init__(self, vectors: VectorService, gate: Gate) -> None:
        self._vectors = vectors
        self._gate = gate

    async def embed(self, request: Request) -> Reply:
        """Return a vector of each text; raises as ``VectorService.embed``."""
        refuse_tasks(request)
        refuse_encryption(request)
        model, body = await self._gate.admit(request, _decoder, task="embedding")
        if body.input is None:
            raise MissingInput
        parameters = body.parameters or EmbeddingParameters()
        if parameters.output_type not in (None, "dense"):
            raise InvalidParameter(DENSE_ONLY, param="output_type")
        check_number(parameters.dimension, "dimension", high=MAX_DIMENSIONS)
        asked = EmbeddingRequest(
            caller=to_caller(request),
            model=model,
            texts=to_texts(body.input.texts, param="texts"),
            n_dimensions=parameters.dimension,
        )
        return await asyncio.to_thread(_reply, await self._vectors.embed(asked), request.id)


def _reply(embedded: Embedded, request_id: str) -> Reply:
    """Render vectors; not for the event loop: ten of them are a millisecond."""
    embeddings = tuple(NativeEmbedding(number, vector) for number, vector in enumerate(embedded.vectors))
    usage = VectorUsage(embedded.usage.n_input_tokens)
    return json_reply(NativeEmbeddingReply(output=EmbeddingOutput(embeddings), usage=usage, request_id=request_id))
