"""POST /embeddings: texts in, vectors out, as numbers or as base64 (PROTOCOL.md §8.3). Knows no engine and no limit."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from longscroll.errors import InvalidParameter
from longscroll.protocols.admission import Gate
from longscroll.protocols.exchange import Reply, Request, json_reply
from longscroll.protocols.vectors import WireTexts, check_number, to_caller, to_texts
from longscroll.services.vectors import MAX_DIMENSIONS, Embedded, EmbeddingRequest, VectorService

BAD_FORMAT = 'encoding_format should be "float" or "base64".'


class CreateEmbeddings(Struct, kw_only=True):
    """The body."""

    model: str | None = None
    input: WireTexts = None
    dimensions: int | None = None
    encoding_format: str | None = None


class EmbeddingObject(Struct, frozen=True):
    """One vector; base64 holds little-endian float32."""

    embedding: list[float] | str
    index: int
    object: Literal["embedding"] = "embedding"


class VectorUsage(Struct, frozen=True):
    """What is billed."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Struct, frozen=True, kw_only=True):
    """The reply: the vectors, in the order of the texts."""

    data: tuple[EmbeddingObject, ...]
    model: str
    object: Literal["list"] = "list"
    usage: VectorUsage
    id: str


_decoder = msgspec.json.Decoder(CreateEmbeddings)


class Embeddings:
    """The handler."""

    def __init__(self, vectors: VectorService, gate: Gate) -> None:
        self._vectors = vectors
        self._gate = gate

    async def create(self, request: Request) -> Reply:
        """Return a vector of each text; raises as ``VectorService.embed``."""
        model, body = await self._gate.admit(request, _decoder, task="embedding")
        if body.encoding_format not in (None, "float", "base64"):
            raise InvalidParameter(BAD_FORMAT, param="encoding_format")
        check_number(body.dimensions, "dimensions", high=MAX_DIMENSIONS)
        asked = EmbeddingRequest(
            caller=to_caller(request),
            model=model,
            texts=to_texts(body.input, param="input"),
            n_dimensions=body.dimensions,
        )
        embedded = await self._vectors.embed(asked)
        return await asyncio.to_thread(_reply, embedded, asked, is_base64=body.encoding_format == "base64")


def _reply(embedded: Embedded, asked: EmbeddingRequest, *, is_base64: bool) -> Reply:
    """Render vectors; not for the event loop: ten of them are a millisecond."""
    render = _base64 if is_base64 else _plain
    n_tokens = embedded.usage.n_input_tokens
    reply = EmbeddingList(
        data=tuple(EmbeddingObject(render(vector), number) for number, vector in enumerate(embedded.vectors)),
        model=asked.model,
        usage=VectorUsage(n_tokens, n_tokens),
        id=asked.caller.request_id,
    )
    return json_reply(reply)


def _plain(vector: list[float]) -> list[float]:
    return vector


def _base64(vector: list[float]) -> str:
    return b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
