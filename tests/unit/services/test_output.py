from __future__ import annotations

from longscroll.services.output import OutputCount
from longscroll.tokens import load_counter
from longscroll.types import Delta, ToolCallPiece


async def test_the_counts_of_all_choices_add_up_and_never_fall() -> None:
    output = OutputCount(load_counter(), 2)
    deltas = [
        Delta(text="One two"),
        Delta(text="Three", choice=1),
        Delta(text=" three"),
        Delta(text=" four.", choice=1),
    ]
    counts = []
    for delta in deltas:
        output.add(delta)
        counts.append(output.n_certain())
    assert counts == sorted(counts)
    assert await output.total() == sum(load_counter().count_many(["One two three", "Three four."]))


async def test_calls_of_tools_count_with_name_and_arguments() -> None:
    output = OutputCount(load_counter(), 1)
    output.add(Delta(text="", tool_calls=(ToolCallPiece(id="c", name="weather"),)))
    output.add(Delta(text="", tool_calls=(ToolCallPiece(arguments='{"city": "Paris"}'),)))
    assert await output.total() == load_counter().count('weather{"city": "Paris"}')
