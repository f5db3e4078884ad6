"""Factories for evidence: a passage stands somewhere in an imagined document."""

from __future__ import annotations

from longscroll.engines.base import Evidence, Passage, Place, PlanKind


def passage(text: str, *, number: int = 1, start: int = 100, score: float = 1.0, section: str | None = None) -> Passage:
    return Passage(
        number=number,
        document=0,
        file_id="file-fe-1",
        filename="report.pdf",
        text=text,
        span=(start, start + len(text)),
        pages=(3,),
        page_label="iii",
        section=section,
        places=(Place(offset=start, page=3, page_label="iii", section=section),),
        score=score,
    )


def evidence(*texts: str, plan: PlanKind = "lookup") -> Evidence:
    passages: list[Passage] = []
    start = 100
    for number, text in enumerate(texts, 1):
        passages.append(passage(text, number=number, start=start, score=1.0 / number))
        start += len(text)
    return Evidence(plan=plan, plan_reason="", passages=tuple(passages))
