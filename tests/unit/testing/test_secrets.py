"""Keys, cookies and workspaces leave an exchange before it is kept."""

from __future__ import annotations

import pytest

from longscroll.testing.secrets import Secrets, is_secret_name

KEY = "sk-0123456789"


def secrets(*headers: tuple[bytes, bytes], query: bytes = b"") -> Secrets:
    known = Secrets()
    known.learn(headers or [(b"authorization", f"Bearer {KEY}".encode())], query)
    return known


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "cookie",
        "set-cookie",
        "X-DashScope-WorkSpace",
        "api-key",
        "x-api-key",
        "api_key",
        "key",
        "token",
    ],
)
def test_a_name_tells_that_its_value_is_a_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["content-type", "x-ratelimit-remaining-tokens", "max_tokens", "keep-alive", "x-request-id"]
)
def test_other_names_tell_nothing(name: str) -> None:
    assert not is_secret_name(name)


def test_a_key_is_removed_from_a_request_however_it_is_written() -> None:
    known = secrets((b"x-api-key", b'sk/"quoted"+key'))
    said = b'{"a": "sk/\\"quoted\\"+key"} sk%2F%22quoted%22%2Bkey sk/"quoted"+key'
    assert known.removed(said) == b'{"a": "REMOVED"} REMOVED REMOVED'


@pytest.mark.parametrize(
    "known",
    [
        secrets(),
        secrets((b"cookie", f"session={KEY}; theme=dark".encode())),
        secrets((b"a", b"b"), query=f"key={KEY}".encode()),
    ],
)
def test_a_secret_is_known_from_headers_cookies_and_queries(known: Secrets) -> None:
    assert known.removed_text(f"it is {KEY}!") == "it is REMOVED!"


def test_a_reply_keeps_every_byte_in_its_place_also_where_a_key_stands_across_pieces() -> None:
    pieces = [b"before sk-0123", b"456789 after", b"", b"sk-0123456789"]
    assert secrets().masked(pieces) == [b"before xxxxxxx", b"xxxxxx after", b"", b"x" * 13]


def test_a_short_value_is_not_looked_for_in_other_words() -> None:
    assert secrets((b"authorization", b"Bearer abc")).removed(b"abcdef Bearer") == b"abcdef Bearer"
