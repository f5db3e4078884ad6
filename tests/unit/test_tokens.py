from __future__ import annotations

from pathlib import Path

import pytest

from longscroll.errors import ModelUnavailable
from longscroll.tokens import (
    EstimatedCounter,
    RunningCount,
    TokenCounter,
    count_chat,
    is_stable_cut,
    load_counter,
    settled_length,
)

PROSE = "The captain's log, 12 May 1888: we don't know.\n\n  船长的日志：\n我们不知道 42 号船在哪里。 Über café!\n"


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    counter = load_counter()
    if not counter.is_exact:
        pytest.skip("the vocabulary is not installed")
    return counter


def test_the_recorded_ids_of_the_hosted_tokenizer_come_out(counter: TokenCounter) -> None:
    assert counter.encode("代码改变世界") == [46100, 101933, 99489]


def test_a_recorded_conversation_is_billed_as_recorded(counter: TokenCounter) -> None:
    n_tokens = counter.count("请问 1+1 是多少？")

    assert count_chat(counter, [("user", n_tokens)]) == 16


def test_special_tokens_in_a_text_are_counted_as_text(counter: TokenCounter) -> None:
    assert counter.count("<|im_start|>") > 1


@pytest.mark.item(88)
def test_special_tokens_are_honored_where_that_is_asked_for(counter: TokenCounter) -> None:
    ids = counter.encode_special("a<|im_start|>b<|extra_204|>")
    assert ids == [*counter.encode("a"), 151644, *counter.encode("b"), 151850]
    assert counter.decode_tokens(ids) == ["a", "<|im_start|>", "b", "<|extra_204|>"]


@pytest.mark.parametrize("text", ["<|extra_205|>!", "x<|extra_00|>!", "<|im_middle|>\n", "<|im_start|", "< |im_end|>"])
def test_what_only_looks_like_a_special_token_is_text(counter: TokenCounter, text: str) -> None:
    assert counter.encode_special(text) == counter.encode(text)


def test_text_is_composed_before_it_is_counted(counter: TokenCounter) -> None:
    assert counter.encode("cafe\u0301") == counter.encode("café")


def test_tokens_are_decoded_one_by_one(counter: TokenCounter) -> None:
    assert counter.decode_tokens(counter.encode("代码改变世界")) == ["代码", "改变", "世界"]


def test_token_ids_are_decoded_together(counter: TokenCounter) -> None:
    assert counter.decode(counter.encode("𓀀 café")) == "𓀀 café"


@pytest.mark.parametrize("ids", [[-1], [151_643], [1 << 40]])
def test_an_id_beyond_the_vocabulary_has_no_text(counter: TokenCounter, ids: list[int]) -> None:
    with pytest.raises(ValueError, match="expected ids from 0 to"):
        counter.decode(ids)


def test_part_of_a_character_has_no_text(counter: TokenCounter) -> None:
    with pytest.raises(UnicodeDecodeError):
        counter.decode(counter.encode("𓀀")[:1])


def test_a_conversation_that_is_open_ends_five_tokens_earlier(counter: TokenCounter) -> None:
    said = [("user", 3), ("assistant", 4)]
    assert count_chat(counter, said, is_open=True) == count_chat(counter, said) - 5


def test_part_of_a_character_is_decoded_as_a_replacement(counter: TokenCounter) -> None:
    assert set(counter.decode_tokens(counter.encode("𓀀"))) == {"\ufffd"}


@pytest.mark.parametrize("text", [" " * 1_000_000, " \t" * 500_000, "\n" * 1_000_000, "!" * 1_000_000])
def test_a_million_equal_characters_are_counted(counter: TokenCounter, text: str) -> None:
    assert 0 < counter.count(text) <= len(text)


def test_a_long_text_is_counted_in_pieces_as_if_it_were_one(counter: TokenCounter) -> None:
    n_repeats = 20_000

    assert counter.count(PROSE * n_repeats) == len(counter._encoding.encode_ordinary(PROSE * n_repeats))  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", [PROSE, "e\u0301te\u0301 " + PROSE, "", "字" * 50])
def test_counts_of_pieces_add_up_wherever_a_text_is_cut(counter: TokenCounter, text: str) -> None:
    stops = [len(text) * part // 7 for part in range(1, 8)]

    assert sum(counter.count_pieces(text, stops)) == counter.count(text)


def test_a_token_belongs_to_the_piece_in_which_it_begins(counter: TokenCounter) -> None:
    text = "Hello world again"  # Hello| world| again

    assert counter.count_pieces(text, [3, 8, 17]) == [1, 1, 1]


def test_counts_of_several_texts_come_in_their_order(counter: TokenCounter) -> None:
    assert counter.count_many(["", "世界", "代码改变世界"]) == [0, 1, 3]


@pytest.mark.parametrize(
    ("text", "at"),
    [("word, next", 4), ("line.\nNext", 6), ("5.", 1), ("字，字", 1)],
)  # fmt: skip
def test_a_text_may_be_cut_where_no_token_can_cross(text: str, at: int) -> None:
    assert is_stable_cut(text, at)


@pytest.mark.parametrize(
    ("text", "at"),
    [("word", 2), ("e\u0301", 1), ("line\n next", 5), (". next", 1), ("a b", 2), ("字。字", 2)],
)  # fmt: skip
def test_elsewhere_it_may_not(text: str, at: int) -> None:
    assert not is_stable_cut(text, at)


def test_a_text_is_settled_up_to_its_last_stable_place() -> None:
    assert [settled_length(text) for text in ("One two, thr", "One", "", "7 7")] == [7, 0, 0, 1]


def test_a_running_count_never_falls_and_ends_exactly(counter: TokenCounter) -> None:
    running = RunningCount(counter)

    counts = [running.add(character) for character in PROSE]

    assert counts == sorted(counts)
    assert counts[-1] <= running.total() == counter.count(PROSE)


def test_a_running_count_of_nothing_is_nothing(counter: TokenCounter) -> None:
    running = RunningCount(counter)

    assert (running.add(""), running.total()) == (0, 0)


def test_without_a_vocabulary_counts_are_an_estimate(tmp_path: Path) -> None:
    counter = load_counter(tmp_path / "missing.tiktoken")

    assert (counter.is_exact, counter.count(""), counter.count("word " * 90)) == (False, 0, 100)


def test_an_estimate_has_no_tokens() -> None:
    with pytest.raises(ModelUnavailable, match="vocabulary is not installed"):
        EstimatedCounter().encode("word")


def test_estimated_pieces_add_up() -> None:
    counter = EstimatedCounter()

    assert sum(counter.count_pieces(PROSE, [10, 20, len(PROSE)])) == counter.count(PROSE)


def test_an_estimate_is_near_the_exact_count(counter: TokenCounter) -> None:
    english = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 20

    assert EstimatedCounter().count(english) == pytest.approx(counter.count(english), rel=0.25)
