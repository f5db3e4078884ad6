"""Embedding and ranking below the wire: sizes, allowances and the rows of usage."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from factories.vectors import Ruler, make_vector_service, vector_models
from longscroll.access.limits import LimitOptions
from longscroll.engines.vectors import EmbeddingTask, Score
from longscroll.errors import (
    EngineFailed,
    InputTooLong,
    InvalidParameter,
    LongscrollError,
    ModelNotFound,
    ModelUnavailable,
    TokenRateExceeded,
)
from longscroll.services.models import Model, ModelCatalog
from longscroll.services.vectors import Caller, Embedded, EmbeddingRequest, RankingRequest, VectorService
from longscroll.storage.memory import MemoryUsage
from longscroll.types import Usage

CALLER = Caller(workspace="acme", key_id="key-1", request_id="r-1", surface="openai")


def service(ruler: Ruler | None = None, **options: Any) -> VectorService:
    return make_vector_service(ModelCatalog(vector_models(ruler or Ruler()), created=0), **options)


def asked(*texts: str, model: str = "text-embedding-v4", **fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest(caller=CALLER, model=model, texts=texts, **fields)


def ranking(*documents: str, query: str = "春天", **fields: Any) -> RankingRequest:
    return RankingRequest(caller=CALLER, model="gte-rerank-v2", query=query, documents=documents, **fields)


async def refusal(request: EmbeddingRequest | RankingRequest) -> LongscrollError:
    vectors = service()
    with pytest.raises(LongscrollError) as raised:
        await (vectors.embed(request) if isinstance(request, EmbeddingRequest) else vectors.rank(request))
    return raised.value


async def test_the_engine_gets_the_texts_under_its_own_name_of_the_model() -> None:
    ruler = Ruler()
    embedded = await service(ruler).embed(asked("a", "bcd", n_dimensions=2))
    assert ruler.asked == [EmbeddingTask(model="bge-m3", texts=("a", "bcd"), n_dimensions=2)]
    expected = Usage(n_input_tokens=7, n_output_tokens=0)
    assert embedded == Embedded(vectors=([1.0, 0.5], [3.0, 0.5]), usage=expected)


async def test_the_best_documents_come_first() -> None:
    ranked = await service().rank(ranking("冬天", "春天", "x", n_best=2))
    assert ranked.scores == (Score(1, 1.0), Score(0, 0.5))


async def test_what_the_engine_does_not_count_is_counted_here() -> None:
    vectors = service(Ruler(n_tokens=None))
    embedded = await vectors.embed(asked("spring has come", "spring"))
    ranked = await vectors.rank(ranking("spring has come", "spring", query="spring"))
    counts = [embedded.usage.n_input_tokens, ranked.usage.n_input_tokens]
    assert counts == [4, 6]  # 3 + 1 of the texts, and 1 of the query for each document
    assert embedded.usage.is_estimated


@pytest.mark.parametrize(("model", "n_rows"), [("text-embedding-v4", 10), ("embedder", 2048)])
async def test_more_texts_than_a_model_takes_are_refused(model: str, n_rows: int) -> None:
    error = await refusal(asked(*["x"] * (n_rows + 1), model=model))
    words = f"Value error, batch size is invalid, it should not be larger than {n_rows}.: input.contents"
    assert (type(error), str(error)) == (InvalidParameter, words)


async def test_a_text_over_the_documented_length_is_refused() -> None:
    error = await refusal(asked("short", "word " * 10_000))
    assert (type(error), str(error)) == (InputTooLong, "Range of input length should be [1, 8192]")


@pytest.mark.parametrize("request_", [asked(), asked("x", ""), ranking(), ranking("x", ""), ranking("x", query="")])
async def test_nothing_to_measure_is_refused(request_: EmbeddingRequest | RankingRequest) -> None:
    assert "should not be empty" in str(await refusal(request_))


async def test_too_many_documents_are_refused() -> None:
    error = await refusal(ranking(*["x"] * 501))
    assert "should not be larger than 500.: input.documents" in str(error)


async def test_a_model_does_its_own_task_only() -> None:
    error = await refusal(asked("x", model="ranker"))
    assert str(error) == "The model gte-rerank-v2 is for rerank, not for embedding."


async def test_a_model_with_nothing_behind_it_says_so() -> None:
    missing = Model(name="m", aliases=(), task="embedding", served_name="m", hint="Start it.")
    vectors = make_vector_service(ModelCatalog([missing], created=0))
    with pytest.raises(ModelUnavailable, match=r"Start it\."):
        await vectors.embed(asked("x", model="m"))
    with pytest.raises(ModelNotFound):
        await vectors.embed(asked("x", model="other"))


@pytest.mark.item(82)
async def test_a_row_of_usage_says_what_the_client_is_told() -> None:
    usage = MemoryUsage()
    vectors = service(usage=usage)
    await vectors.embed(asked("x", model="embedder"))
    [row] = usage.rows.values()
    assert (row.operation, row.model, row.model_served) == ("embedding", "embedder", "bge-m3")
    assert (row.workspace, row.key_id, row.n_input, row.n_output, row.outcome) == ("acme", "key-1", 7, 0, "ok")


@pytest.mark.item(81)
async def test_a_failure_is_not_metered_and_costs_no_allowance() -> None:
    ruler, usage = Ruler(n_tokens=3), MemoryUsage()
    vectors = service(ruler, usage=usage, limits=(LimitOptions(tokens_per_minute=4),))
    ruler.error = EngineFailed("broken")
    with pytest.raises(EngineFailed):
        await vectors.embed(asked("spring has come"))
    ruler.error = None
    await vectors.embed(asked("spring has come"))
    assert [row.n_input for row in usage.rows.values()] == [3]


@pytest.mark.item(78)
async def test_tokens_are_taken_from_the_minutes_allowance() -> None:
    vectors = service(limits=(LimitOptions(model="text-embedding-v4", tokens_per_minute=8),))
    await vectors.embed(asked("x"))
    with pytest.raises(TokenRateExceeded):
        await vectors.embed(asked("spring has come"))


async def test_a_line_of_a_batch_passes_every_limit_and_is_recorded() -> None:
    usage, line = MemoryUsage(), replace(CALLER, is_exempt=True)
    vectors = service(usage=usage, limits=(LimitOptions(tokens_per_minute=1),))
    for number in range(3):
        caller = replace(line, request_id=f"line-{number}")
        await vectors.embed(replace(asked("spring has come"), caller=caller))
        await vectors.rank(replace(ranking("x"), caller=replace(line, request_id=f"ranking-{number}")))
    assert len(usage.rows) == 6
