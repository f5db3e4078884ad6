from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longscroll.access.plaintext import bearer, is_well_formed, new_plaintext, shown

KEY = "sk-ls-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE24qYr6"


def test_a_new_key_has_the_documented_form() -> None:
    plaintext = new_plaintext()
    assert (plaintext[:6], len(plaintext), is_well_formed(plaintext)) == ("sk-ls-", 6 + 43 + 6, True)
    assert new_plaintext() != plaintext


@given(st.integers(6, 54), st.sampled_from("abcXYZ019-_"))
def test_any_one_wrong_character_is_noticed(position: int, character: str) -> None:
    changed = KEY[:position] + character + KEY[position + 1 :]
    assert is_well_formed(changed) is (changed == KEY)


@given(st.text(max_size=60))
def test_any_text_at_all_is_judged_without_an_error(text: str) -> None:
    assert is_well_formed(f"sk-ls-{text}") is False
    assert is_well_formed(text) in (True, False)


@pytest.mark.parametrize("cut", ["sk-ls-", KEY[:-1], KEY + "0", KEY[:30]])
def test_a_key_of_another_length_is_not_ours(cut: str) -> None:
    assert not is_well_formed(cut)


@pytest.mark.parametrize(
    ("plaintext", "display"),
    [(KEY, "sk-ls-AbCd…qYr6"), ("an-opaque-key-of-some-length", "…ngth"), ("short", "…")],
)
def test_little_is_shown_of_a_key(plaintext: str, display: str) -> None:
    assert shown(plaintext) == display


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer k", "k"),
        ("bEaReR  k ", "k"),
        ("Bearer", ""),
        ("Basic k", None),
        ("k", None),
        ("", None),
        (None, None),
    ],
)
def test_the_key_is_taken_out_of_the_header(header: str | None, key: str | None) -> None:
    assert bearer(header) == key
