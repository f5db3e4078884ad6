"""Values to JSON bytes that every client can read, and the bytes of request bodies back to values.

Knows JSON and UTF-8 only; frames, fields and surfaces are others' work. Source: PROTOCOL.md §2.4.
"""

from __future__ import annotations

import json
from typing import TypeVar

import msgspec

from longscroll.errors import InvalidBody

T = TypeVar("T")

_encoder = msgspec.json.Encoder()

_BOM = b"\xef\xbb\xbf"
_LINE_SEPARATORS = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
"""U+0085, U+2028 and U+2029 in UTF-8; openai 1.0.0 splits lines at them and fails (§2.4.1, tests/wire)."""

INVALID_BODY = "Required body invalid, please check the request body format."


def encode(value: object) -> bytes:
    """Return ``value`` as one line of JSON; lone surrogates become U+FFFD."""
    try:
        line = _encoder.encode(value)
    except UnicodeEncodeError:
        line = _encoder.encode(_without_surrogates(msgspec.to_builtins(value)))
    return line if line.isascii() else _escape_separators(line)


def escape(text: str) -> bytes:
    """Return the inside of ``text`` as a JSON string, without the quotes, for a template."""
    try:
        line = _encoder.encode(text)
    except UnicodeEncodeError:
        line = _encoder.encode(replace_surrogates(text))
    return line[1:-1] if line.isascii() else _escape_separators(line)[1:-1]


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return the value of a request body: UTF-8, a byte order mark allowed, lone surrogates as U+FFFD.

    Raises:
        InvalidBody: not JSON, or no object.
        msgspec.ValidationError: a field has the wrong type, and the message ends in its path; or the type takes no
            unknown field.
    """
    body = body.removeprefix(_BOM)
    try:
        return _decode_object(body, decoder)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if b"\\ud" not in body and b"\\uD" not in body:
            raise InvalidBody(INVALID_BODY) from error
    return _decode_object(_with_paired_surrogates(body), decoder)


def replace_surrogates(text: str) -> str:
    """Return ``text`` with each lone surrogate as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decode_object(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode JSON; a value of a wrong type at the top, which has no path, is no object."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if "`$" in str(error) or "unknown field" in str(error):  # else the value as a whole is no object
            raise
        raise InvalidBody(INVALID_BODY) from error


def _with_paired_surrogates(body: bytes) -> bytes:
    """Return a body that msgspec refuses for the escape of a lone surrogate, which JSON allows, in a form it takes."""
    try:
        return _encoder.encode(_without_surrogates(json.loads(body)))
    except (ValueError, RecursionError) as error:
        raise InvalidBody(INVALID_BODY) from error


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value


def _escape_separators(line: bytes) -> bytes:
    for raw, escaped in _LINE_SEPARATORS:
        if raw in line:
            line = line.replace(raw, escaped)
    return line
