from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from longscroll.errors import InvalidBody
from longscroll.protocols.encoding import decode, encode, escape

ANYTHING: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


class Named(Struct):
    name: str


@pytest.mark.item(54)
def test_line_separators_are_escaped() -> None:
    assert encode({"a": "x\u0085\u2028\u2029é"}) == '{"a":"x\\u0085\\u2028\\u2029é"}'.encode()


@pytest.mark.item(54)
@given(st.text(st.characters()) | st.text(st.sampled_from('a\\"\n\u0085\u2028\u2029\ud83d\ude00')))
def test_any_text_becomes_one_line_that_reads_back(text: str) -> None:
    line = encode(text)
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_lone_surrogates_inside_structs_are_replaced() -> None:
    assert encode([Named("a\ud800")]) == '[{"name":"a\ufffd"}]'.encode()


def test_an_escaped_text_fits_between_quotes() -> None:
    assert json.loads(b'"' + escape('a"\\\n') + b'"') == 'a"\\\n'


@pytest.mark.item(11)
def test_a_byte_order_mark_is_skipped() -> None:
    assert decode(b'\xef\xbb\xbf{"a":1}', ANYTHING) == {"a": 1}


@pytest.mark.item(12)
@pytest.mark.parametrize("escaped", ["\\ud83d", "\\uDe00"])
def test_an_escaped_lone_surrogate_is_replaced(escaped: str) -> None:
    assert decode(f'{{"a":"x{escaped}y"}}'.encode(), ANYTHING) == {"a": "x\ufffdy"}


@pytest.mark.item(13)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff\xfe", b'{"a":"\xff"}', b'{"a":' * 50_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidBody, match="Required body invalid"):
        decode(body, ANYTHING)


def test_a_field_of_the_wrong_type_is_told_apart() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.name"):
        decode(b'{"name":1}', msgspec.json.Decoder(Named))
