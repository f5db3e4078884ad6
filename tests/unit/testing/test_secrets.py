"""Keys, cookies and workspaces leave an exchange before it is kept."""

from __future__ import annotations

import base64

import pytest

from longscroll.testing.secrets import Secrets, is_secret_name

KEY = "sk-0123456789"
SESSION = "f00d-0123456789abcdef"


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
    ("known", "secret"),
    [
        (secrets(), KEY),
        (secrets((b"cookie", f"session={SESSION}; theme=dark".encode())), SESSION),
        (secrets((b"set-cookie", f"session={SESSION}; Path=/; HttpOnly".encode())), SESSION),
        (secrets((b"a", b"b"), query=f"key={KEY}".encode()), KEY),
    ],
)
def test_a_secret_is_known_from_headers_cookies_and_queries(known: Secrets, secret: str) -> None:
    assert known.removed_text(f"it is {secret}!") == "it is REMOVED!"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-dashscope-workspace", b"default"),
        (b"cookie", b"theme=monday"),
        (b"www-authenticate", b'Bearer error="invalid_token", error_description="expired"'),
    ],
)
def test_words_that_replies_have_too_are_no_secrets(name: bytes, value: bytes) -> None:
    said = b'{"error": "invalid_token", "error_description": "by default, on monday"}'
    assert secrets((name, value)).masked([said]) == [said]


def test_a_reply_keeps_every_byte_in_its_place_also_where_a_key_stands_across_pieces() -> None:
    pieces = [b"before sk-0123", b"456789 after", b"", b"sk-0123456789"]
    assert secrets().masked(pieces) == [b"before xxxxxxx", b"xxxxxx after", b"", b"x" * 13]


def test_a_short_value_is_not_looked_for_in_other_words() -> None:
    assert secrets((b"authorization", b"Bearer abc")).removed(b"abcdef Bearer") == b"abcdef Bearer"


def test_of_a_cookie_its_value_alone_is_a_secret() -> None:
    cookie = b"session=0123456789; Path=/; SameSite=Strict"
    assert secrets((b"set-cookie", cookie)).removed(b"session, SameSite and Strict") == b"session, SameSite and Strict"


@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
@pytest.mark.parametrize("after", ["", ":and more"])
def test_a_key_is_found_in_base64_also_among_other_bytes(before: str, after: str) -> None:
    key = "sk-0123456789~?ÿ"
    known = Secrets()
    known.learn([(b"api-key", key.encode("latin-1"))])
    text = (before + key + after).encode()
    for written in (base64.b64encode(text), base64.urlsafe_b64encode(text).rstrip(b"=")):
        left = known.removed(written)
        assert b"REMOVED" in left
        assert len(left) <= len(b"REMOVED") + len(base64.b64encode((before + after).encode())) + 4


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (b"another is sk-of_somebody-else.", b"another is REMOVED."),
        (b'"\\nsk-of_somebody-else"', b'"\\nREMOVED"'),
        (b"-H 'Authorization: Bearer abc.def-ghi_jkl~mno'", b"-H 'Authorization: Bearer REMOVED'"),
        (b"sk-short, task-management-of-mine, Bearer of news", b"sk-short, task-management-of-mine, Bearer of news"),
    ],
)
def test_what_looks_like_a_key_is_one(said: bytes, left: bytes) -> None:
    assert Secrets().removed(said) == left


def test_a_key_that_a_reply_hands_out_is_overwritten_and_known_from_then_on() -> None:
    known, token = Secrets(), b"st-0123456789abcdef"
    known.learn_body(b'{"token": "%b"}' % token)
    assert known.masked([b'{"token": "st-01', b'23456789abcdef"}']) == [b'{"token": "xxxxx', b'xxxxxxxxxxxxxx"}']
    assert known.removed(b"it is %b" % token) == b"it is REMOVED"


def test_a_key_that_was_overwritten_is_removed_from_a_request_as_the_key_was() -> None:
    [masked] = Secrets().masked([b"sk-0123456789abcdef"])
    assert Secrets().removed(b"/v1/" + masked) == b"/v1/REMOVED"


def test_a_short_member_is_overwritten_in_its_place_only() -> None:
    known = Secrets()
    known.learn_body(b'{"password": "lighthouse"}')
    assert known.masked([b'{"password": "lighthouse"} lighthouse']) == [b'{"password": "xxxxxxxxxx"} lighthouse']
