"""Scripted answers: a chat service that does what the question's script says and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from longscroll.errors import EngineOverloaded, FileNotParsed, InvalidFile, ModelUnavailable
from longscroll.types import (
    Annotation,
    ChatEvent,
    ChatRequest,
    Citation,
    Delta,
    Finish,
    Progress,
    Readable,
    Report,
    SourceReport,
    ToolCallPiece,
    Usage,
)

Step = ChatEvent | Exception | float
"""An event to yield, an error to raise, or seconds to be silent."""

SILENCE = 60.0


def pieces(*texts: str, n_input: int = 5) -> list[Step]:
    """Return one Delta per text; every text counts as one token."""
    return [Delta(text=text, n_input_tokens=n_input, n_output_tokens=n) for n, text in enumerate(texts, 1)]


def finish(n_output: int, *, n_input: int = 5, **fields: Any) -> Finish:
    """Return the end of an answer by the model that was asked, unless ``model_served`` says another."""
    usage = Usage(n_input_tokens=n_input, n_output_tokens=n_output, n_read_tokens=n_input)
    standard: dict[str, Any] = {"reason": "stop", "usage": usage, "model_served": "qwen-long"}
    return Finish(**(standard | fields))


def annotation(start: int, number: int) -> Annotation:
    """Return a mark ``[n]`` at ``start`` that cites the second page of a report."""
    citation = Citation(
        number=number,
        file_id="file-fe-3f0c9a4be1d24c7ea58b90d1",
        document=0,
        filename="年报.pdf",
        pages=(2,),
        page_label="ii",
        section=None,
        span=(10, 14),
        quote="三十天内",
    )
    return Annotation(start_index=start, end_index=start + 3, citation=citation)


REPORT = Report(
    plan="lookup",
    plan_reason="the documents are longer than the window",
    abstained=False,
    coverage=0.75,
    n_tokens_read=900,
    n_tokens_not_read=100,
    sources=(SourceReport(document=0, file_id=None, filename=None, n_tokens=1000, n_tokens_read=900),),
    model_served="qwen-long",
)

PARSING = Progress(
    stage="parsing",
    file_id="file-fe-3f0c9a4be1d24c7ea58b90d1",
    n_done=120,
    n_total=2415,
    per_s=301.97,
    left_s=7.6,
    readable=Readable(n_done=100, n_tokens=41_230),
)

BEGINNING = replace(REPORT, sources=(replace(REPORT.sources[0], parsed=PARSING),))
"""The report of an answer from the first hundred pages."""

CITED: list[Step] = [
    *pieces("付款期限是三十天", n_input=9),
    Delta(text="[1]", annotations=(annotation(8, 1),), n_input_tokens=9, n_output_tokens=2),
    Delta(text="。", n_input_tokens=9, n_output_tokens=3),
    finish(3, n_input=9, report=REPORT),
]

SCRIPTS: Mapping[str, Sequence[Step]] = {
    "你好": [*pieces("你", "好"), finish(2)],
    "reports": [*pieces("报告", "讨论"), finish(2)],
    "cited": CITED,
    "separators": [*pieces("a\u0085b\u2028c\u2029d\ud800e"), finish(1)],
    "nothing": [finish(0)],
    "cut": [*pieces("a"), finish(1, reason="length")],
    "substitute": [*pieces("a"), finish(1, model_served="other-model")],
    "estimated": [
        *pieces("a"),
        finish(1, usage=Usage(n_input_tokens=5, n_output_tokens=1, is_estimated=True)),
    ],
    "slow": [Progress(stage="parsing"), 0.3, *pieces("a"), 0.25, *pieces("b"), finish(2)],
    "parsing": [PARSING, 0.3, *pieces("a"), finish(1)],
    "queued": [Progress(stage="queued"), 0.3, *pieces("a"), finish(1)],
    "partial": [*pieces("a"), finish(1, report=BEGINNING)],
    "hang": [Progress(stage="reading"), SILENCE],
    "hang later": [*pieces("a"), SILENCE],
    "bad file": [InvalidFile("file-fe-XXX")],
    "pending": [FileNotParsed("file-fe-XXX")],
    "overloaded later": [*pieces("a"), EngineOverloaded("busy", retry_after_s=3)],
    "bug": [RuntimeError("a secret of ours")],
    "bug later": [*pieces("a"), RuntimeError("a secret of ours")],
    "late refusal": [0.3, InvalidFile("file-fe-XXX")],
    "no weights": [ModelUnavailable("Run `longscroll models pull chatyuan-large-v2`.")],
    "long": [*pieces(*(f"word{n} " for n in range(2000))), finish(2000)],
    "calls": [
        Delta(
            text="",
            tool_calls=(ToolCallPiece(id="call_1", name="weather", arguments='{"city": '),),
            n_input_tokens=5,
            n_output_tokens=4,
        ),
        Delta(text="", tool_calls=(ToolCallPiece(arguments='"Paris"}'),), n_input_tokens=5, n_output_tokens=6),
        finish(6, reason="tool_calls"),
    ],
    "choices": [
        Delta(text="你", n_input_tokens=5, n_output_tokens=1),
        Delta(text="早", n_input_tokens=5, n_output_tokens=2, choice=1),
        Delta(text="好", n_input_tokens=5, n_output_tokens=3),
        finish(3, other_reasons=("length",)),
    ],
    "odds": [
        Delta(
            text="2",
            n_input_tokens=5,
            n_output_tokens=1,
            logprobs=(b'{"token":"2","bytes":[50],"logprob":0.0,"top_logprobs":[]}',),
        ),
        finish(1),
    ],
    "flood": [*pieces(*["x" * 65536] * 500), finish(500)],
}


class ScriptedAnswers:
    """``ChatService.answer`` by script; the last user turn names it. Any other question is answered with itself."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self.n_cancelled = 0  # given up before their end

    async def answer(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Play the script."""
        self.requests.append(request)
        try:
            for step in _steps(request):
                if isinstance(step, float):
                    await asyncio.sleep(step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        except (asyncio.CancelledError, GeneratorExit):
            self.n_cancelled += 1
            raise


def _steps(request: ChatRequest) -> list[Step]:
    """Return the scripts of all conversations in turn, with one end."""
    steps: list[Step] = []
    ends: list[Finish] = []
    for number, messages in enumerate((request.messages, *request.further)):
        question = next(message.content for message in reversed(messages) if message.role == "user")
        for step in SCRIPTS.get(question, [*pieces(question), finish(1)]):
            if isinstance(step, Finish):
                ends.append(step)
            elif isinstance(step, Delta):
                steps.append(replace(step, choice=number * request.sampling.n_choices + step.choice))
            else:
                steps.append(step)
    return [*steps, *([_one_end(ends)] if ends else [])]


def _one_end(ends: Sequence[Finish]) -> Finish:
    reason, *others = (reason for end in ends for reason in end.reasons)
    usage = ends[0].usage
    if len(ends) > 1:
        usage = Usage(
            n_input_tokens=sum(end.usage.n_input_tokens for end in ends),
            n_output_tokens=sum(end.usage.n_output_tokens for end in ends),
            n_read_tokens=sum(end.usage.n_read_tokens for end in ends),
        )
    return replace(ends[0], reason=reason, other_reasons=tuple(others), usage=usage)
