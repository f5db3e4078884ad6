from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories.answers import annotation
from longscroll.reading.trim import Trimmer
from longscroll.types import Delta, ToolCallPiece


def trimmed(*deltas: Delta | str, stops: tuple[str, ...] = (), prefix: str = "") -> list[Delta]:
    trimmer = Trimmer(stops, prefix=prefix)
    events = [Delta(text=delta) if isinstance(delta, str) else delta for delta in deltas]
    sent = [trimmer.feed(delta) for delta in events] + [trimmer.close()]
    return [delta for delta in sent if delta is not None]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


@pytest.mark.item(95)
@given(st.text("ab.", max_size=20), st.lists(st.text("ab.", min_size=1, max_size=3), max_size=3), st.integers(1, 4))
def test_an_answer_ends_before_the_first_stop_however_it_was_cut(text: str, stops: list[str], size: int) -> None:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    written = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    _, end = min(written, default=(0, len(text)))
    assert text_of(trimmed(*pieces, stops=tuple(stops))) == text[:end]


def test_of_two_stops_the_one_that_is_written_first_ends_the_answer() -> None:
    assert [text_of(trimmed(*pieces, stops=("aba", "b"))) for pieces in (["aba"], ["a", "b", "a"])] == ["a", "a"]


def test_only_what_may_begin_a_stop_is_held_back() -> None:
    assert [delta.text for delta in trimmed("one t", "en tw", "o", stops=("two",))] == ["one ", "ten "]


def test_what_was_held_back_in_vain_is_sent_at_the_end() -> None:
    assert text_of(trimmed("one tw", stops=("two",))) == "one tw"


@pytest.mark.item(98)
@given(st.text("ab", max_size=4), st.text("ab", max_size=6), st.integers(1, 3))
def test_a_beginning_said_again_is_dropped_once(prefix: str, text: str, size: int) -> None:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert text_of(trimmed(*pieces, prefix=prefix)) == text.removeprefix(prefix)


def test_annotations_move_with_the_text_that_was_dropped() -> None:
    cited = Delta(text="He said so [1].", annotations=(annotation(11, 1),))
    [sent] = trimmed(cited, prefix="He said")
    assert (sent.text, sent.annotations[0].start_index, sent.annotations[0].end_index) == (" so [1].", 4, 7)


def test_an_annotation_of_what_nobody_sees_is_dropped() -> None:
    cited = Delta(text="One [1]. Two", annotations=(annotation(4, 1),))
    assert [delta.annotations for delta in trimmed(cited, stops=("[1]",))] == [()]


def test_an_annotation_waits_for_its_text() -> None:
    cited = Delta(text="One [1]", annotations=(annotation(4, 1),))
    first, second = trimmed(cited, " and", stops=("]!",))
    assert (first.text, first.annotations) == ("One [1", ())
    assert (second.text, second.annotations) == ("] and", (annotation(4, 1),))


def test_calls_of_tools_pass_at_once() -> None:
    call = Delta(text="", tool_calls=(ToolCallPiece(id="c", name="f"),))
    assert trimmed("tw", call, stops=("two",)) == [call, Delta(text="tw")]
