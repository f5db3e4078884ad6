"""What is billed for a question: its ChatML, as the hosted service was recorded to count it (PROTOCOL.md §6.5)."""

from __future__ import annotations

import pytest

from factories.service import local_service
from longscroll.engines.scripted import Rule, Scripted
from longscroll.tokens import load_counter
from longscroll.types import Finish

pytestmark = pytest.mark.skipif(not load_counter().is_exact, reason="the vocabulary is not installed")


@pytest.mark.item(89)
@pytest.mark.parametrize(
    ("turns", "n_input"),
    [
        ([("user", "请问 1+1 是多少？")], 16),
        ([("system", "You are a helpful assistant."), ("user", "请问 1+1 是多少？")], 16 + 4 + 1 + 6),
        ([("user", "请问 1+1 是多少？"), ("assistant", "2"), ("user", "请问 1+1 是多少？")], 16 + 4 + 1 + 1 + 13),
    ],
)
async def test_every_message_counts_with_its_role_and_marks(turns: list[tuple[str, str]], n_input: int) -> None:
    async with local_service(engine=Scripted([Rule(deltas=("2",))])) as service:
        finish = (await service.ask(*turns, model="scripted"))[-1]
    assert isinstance(finish, Finish)
    assert (finish.usage.n_input_tokens, finish.usage.n_output_tokens) == (n_input, 1)
