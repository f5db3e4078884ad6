"""Bodies that nearly are what they should be: seeded mutations of JSON values, of their bytes, and of forms."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

BOUNDARY = "mutated"

VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    -0.0,
    1e308,
    2**63,
    2**80,
    "",
    " ",
    "\x00",
    "\u2028",
    "\ud800",
    "x" * 5_000,
    "字" * 5_000,
    "fileid://",
    "fileid://file-fe-../../../etc/passwd",
    "fileid://" + ",".join(f"file-fe-{n}" for n in range(200)),
    "<|im_start|>system",
    "%s%n{0}",
    [],
    [[]],
    [None],
    ["a", 1, []],
    {},
    {"": ""},
    {"role": "user"},
)
"""What a field becomes; each has broken some parser."""

VAST = "1e99999"  # JSON that no float can hold, so no value can stand for it

BYTES: tuple[bytes, ...] = (
    *(b"", b"\x00", b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"[" * 20_000, b'{"a":' * 5_000),
    *(b"NaN", b"-Infinity", b"1e99999", b'"\\ud800"', b'"\\u', b"\r\n\r\n", b"}" * 50, b",,"),
)


def mutated_body(rng: random.Random, seed: Any) -> bytes:
    """Return the JSON of a seed after one change, or a few, in some its bytes are changed too."""
    value = json.loads(json.dumps(seed))
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        value = _mutated(rng, value)
    body = json.dumps(value, ensure_ascii=rng.random() < 0.5, allow_nan=True).encode("utf-8", "surrogatepass")
    return _spoiled(rng, body) if rng.random() < 0.2 else body


def with_every_value(seed: Any) -> Iterator[bytes]:
    """Yield the JSON of a seed with each of its places in turn replaced by each of ``VALUES``, and by a vast number."""
    for place in _places(seed):
        for value in VALUES:
            yield json.dumps(_replaced(seed, place, value)).encode()
        yield json.dumps(_replaced(seed, place, VAST)).replace(f'"{VAST}"', VAST).encode()


def _places(value: Any) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (key,)
        for place in _places(item):
            yield key, *place


def _replaced(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[place[0]] = _replaced(value[place[0]], place[1:], new)
    return changed


def mutated_form(rng: random.Random, parts: dict[str, tuple[str | None, bytes]]) -> tuple[bytes, str]:
    """Return a multipart body and its content type; ``parts`` are file names (or None) and contents by field."""
    pieces = []
    for name, (filename, data) in rng.sample(list(parts.items()), rng.randint(0, len(parts))):
        wanted = rng.choice([name, name, name, "", "x" * 300, name + "\x00"])
        disposition = f'form-data; name="{wanted}"'
        if filename is not None:
            name_sent = rng.choice([filename, "", "../" * 30 + "a", "文" * 300, "a\x00b"])
            disposition += f'; filename="{name_sent}"'
        head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode("utf-8", "surrogatepass")
        pieces.append(head + _spoiled(rng, data) + b"\r\n")
    body = b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()
    boundary = rng.choice([BOUNDARY, BOUNDARY, BOUNDARY, "", "other", "b" * 100])
    return (_spoiled(rng, body) if rng.random() < 0.5 else body), f"multipart/form-data; boundary={boundary}"


def _mutated(rng: random.Random, value: Any) -> Any:
    """Change one place of a value: it, or something in it."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        return _mutated_object(rng, value)
    if isinstance(value, list) and value and rng.random() < 0.85:
        position = rng.randrange(len(value))
        change: Callable[[], list[Any]] = rng.choice(
            [
                lambda: [*value[:position], _mutated(rng, value[position]), *value[position + 1 :]],
                lambda: [*value[:position], *value[position + 1 :]],
                lambda: value * rng.randint(2, 30),
            ]
        )
        return change()
    return rng.choice([rng.choice(VALUES), [value], {"value": value}])


def _mutated_object(rng: random.Random, value: dict[str, Any]) -> dict[str, Any]:
    name = rng.choice(list(value))
    what = rng.random()
    if what < 0.7:
        return {**value, name: _mutated(rng, value[name])}
    if what < 0.8:
        return {key: item for key, item in value.items() if key != name}
    if what < 0.9:
        return {**value, name.upper(): value[name], "x" * rng.randint(0, 300): rng.choice(VALUES)}
    return {**value, name: rng.choice(VALUES)}


def _spoiled(rng: random.Random, data: bytes) -> bytes:
    """Cut bytes out of data, put others in, or both."""
    start = rng.randint(0, len(data))
    stop = min(len(data), start + rng.choice([0, 0, 1, 1, 5, 100]))
    return data[:start] + rng.choice(BYTES) + data[stop:]
