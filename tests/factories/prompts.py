"""Prompts for engines, with everything a test does not care about filled in."""

from __future__ import annotations

from longscroll.engines.base import Evidence, Prompt
from longscroll.types import Message, Sampling


def prompt(
    question: str = "春天来了吗？", *, model: str = "qwen-long", sampling: Sampling | None = None, affinity: str = ""
) -> Prompt:
    """Return a prompt of one user turn without evidence."""
    return Prompt(
        model=model,
        question=question,
        language="zh",
        evidence=Evidence(plan="none", plan_reason="no documents"),
        messages=(Message(role="user", content=question),),
        sampling=sampling or Sampling(),
        affinity=affinity,
    )
