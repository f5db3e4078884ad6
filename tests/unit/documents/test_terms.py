from __future__ import annotations

import pytest

from longscroll.documents.terms import Lexer


def keys_of(text: str) -> set[int]:
    return set(Lexer().terms([text]).keys.tolist())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ships SAILING", "ship sails"),
        ("ﬁnd", "find"),
        ("ＡＢＣ１２３", "abc123"),
        ("Céloron", "Celoron"),
        ("re\u0301sume\u0301", "resume"),
        ("soft\u00adhyphen", "softhyphen"),
        ("Longscroll™", "longscroll"),
        ("ｶﾞｷﾞ", "ガギ"),
        ("\u1112\u1161\u11ab\u1100\u116e\u11a8", "한국"),
        ("中\n国", "中国"),
        ("well\u2010known", "well-known"),
    ],
)
def test_spellings_of_the_same_words_have_the_same_terms(one: str, other: str) -> None:
    assert keys_of(one) == keys_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ship", "shop"),
        ("中国", "国中"),
        ("中\n\n国", "中国"),
        ("台湾", "臺灣"),
        ("a b", "ab"),
        ("amber-anvil", "amber anvil"),
    ],
)
def test_different_words_have_different_terms(one: str, other: str) -> None:
    assert keys_of(one) != keys_of(other)


@pytest.mark.parametrize(
    ("compound", "n_words"),
    [("amber-anvil", 2), ("v7.1.0", 3), ("2024-05-01", 3), ("bob.smith@example.com", 4), ("file-fe-3f0c", 3)],
)
def test_a_compound_is_one_term_beside_its_words(compound: str, n_words: int) -> None:
    parts = keys_of(compound.translate(dict.fromkeys(map(ord, "-.@"), " ")))

    assert len(keys_of(compound)) == n_words + 1
    assert parts < keys_of(compound)


def test_the_full_stop_of_a_sentence_joins_nothing() -> None:
    assert keys_of("The end. The start.") == keys_of("the end start")


def test_lengths_count_words_and_pairs_but_no_compounds() -> None:
    assert Lexer().terms(["v7.1 is out", "", "船长的日志", "A"]).lengths.tolist() == [4, 0, 4, 1]


def test_a_single_character_between_words_is_a_term() -> None:
    assert len(keys_of("2024 年 5")) == 3


def test_terms_know_the_text_they_are_in() -> None:
    terms = Lexer().terms(["ship", "船长", "ship"])

    assert sorted(terms.texts.tolist()) == [0, 1, 2]


def test_no_term_crosses_from_one_text_into_the_next() -> None:
    lexer = Lexer()

    assert set(lexer.terms(["amber", "-anvil", "中", "国"]).keys.tolist()) == keys_of("amber | anvil | 中 | 国")


def test_a_small_cache_of_stems_changes_nothing() -> None:
    text = " ".join(f"sailing{i} ships{i} word" for i in range(200))

    assert Lexer(cache_bits=2).terms([text, text]).keys.tolist() == Lexer().terms([text, text]).keys.tolist()


def test_a_word_as_long_as_a_passage_is_a_term() -> None:
    assert len(keys_of("x" * 4096)) == 1
