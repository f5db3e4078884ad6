"""Several conversations of one request, answered one after the other as one answer with more choices.

Owns how their choices are numbered and their ends are added up. Knows no limit and no row.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec import structs

from longscroll.engines.base import Engine, EngineUsage
from longscroll.reading.reader import EvidenceFound, Reader, ReadingFinish, ReadingRequest
from longscroll.types import Delta, Progress


async def answer_in_turn(
    reader: Reader, readings: Sequence[ReadingRequest], engine: Engine
) -> AsyncGenerator[Progress | EvidenceFound | Delta | ReadingFinish, None]:
    """Answer as ``Reader.answer`` does; EvidenceFound, plan and coverage are those of the last conversation."""
    finishes: list[ReadingFinish] = []
    for number, reading in enumerate(readings):
        first = number * reading.sampling.n_choices
        async with aclosing(reader.answer(reading, engine)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    yield structs.replace(event, choice=first + event.choice)
                elif isinstance(event, ReadingFinish):
                    finishes.append(event)
                elif isinstance(event, Progress) or number == len(readings) - 1:
                    yield event
    yield _finish_of_all(finishes)


def _finish_of_all(finishes: Sequence[ReadingFinish]) -> ReadingFinish:
    evidences = [finish.evidence for finish in finishes]
    return ReadingFinish(
        reasons=tuple(reason for finish in finishes for reason in finish.reasons),
        evidence=structs.replace(
            evidences[-1],
            n_tokens_read=sum(evidence.n_tokens_read for evidence in evidences),
            n_tokens_total=sum(evidence.n_tokens_total for evidence in evidences),
        ),
        sources=tuple(source for finish in finishes for source in finish.sources),
        abstained=all(finish.abstained for finish in finishes),
        engine_usage=_sum([finish.engine_usage for finish in finishes if finish.engine_usage is not None]),
        is_usage_told=all(finish.is_usage_told for finish in finishes),
    )


def _sum(usages: Sequence[EngineUsage]) -> EngineUsage | None:
    if not usages:
        return None
    return EngineUsage(
        n_input_tokens=sum(usage.n_input_tokens for usage in usages),
        n_output_tokens=sum(usage.n_output_tokens for usage in usages),
        n_cached_tokens=sum(usage.n_cached_tokens for usage in usages),
    )
