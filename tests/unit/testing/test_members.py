"""Secret members of JSON are found where they stand, in whole documents, streams and what is left of them."""

from __future__ import annotations

import pytest

from longscroll.testing.members import secret_members


def found(data: str) -> list[str]:
    return [data.encode()[start:stop].decode() for start, stop in secret_members(data.encode())]


@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "token", "access_token", "secret", "client_secret", "AccessKeySecret", "password",
     "Authorization", "signature", "x-oss-security-token"],
)  # fmt: skip
def test_a_name_tells_that_its_string_is_a_secret(name: str) -> None:
    assert found(f'{{"a": "b", "{name}" : "s1", "c": [{{"{name}":"s2"}}]}}') == ["s1", "s2"]


@pytest.mark.parametrize(
    "member",
    ['"eos_token": "</s>"', '"max_tokens": 3', '"api_key_id": "key-1"', '"object": "api_key"', '"key": "v"',
     '"token": null, "a": "b"', '"token": {"type": "string"}', '"value": "v"', '"next_page_token": "p"'],
)  # fmt: skip
def test_other_members_are_left(member: str) -> None:
    assert found(f"{{{member}}}") == []


def test_the_value_of_a_new_key_is_a_secret() -> None:
    assert found('{"redacted_value": "sk-...x", "scopes": ["chat"], "limit": {}, "value": "new"}') == ["new"]


def test_the_tokens_of_an_answer_are_none() -> None:
    logprobs = '[{"token": "li", "logprob": -1, "top_logprobs": [{"logprob": -1, "token": "li"}]}]'
    assert found(f'{{"logprobs": {{"content": {logprobs}}}, "token": "s"}}') == ["s"]


def test_a_stream_is_looked_through_from_any_place_to_any_other() -> None:
    stream = '"a": 1, "secret": "s1"}\n\nid:1\ndata: {"a": "} {", "token": "s\\"2"}\n\n: "\n\ndata: {"token": "s3'
    assert found(stream) == ["s1", 's\\"2', "s3"]
