from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories.requests import make_request
from longscroll.errors import InvalidBody, UploadAborted
from longscroll.protocols.multipart import FormReader

FIELD = b'--XX\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfile-extract\r\n'
FILE = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: x/y\r\n\r\n'
END = b"\r\n--XX--\r\n"


def reader(*pieces: bytes, content_type: str = "multipart/form-data; boundary=XX") -> FormReader:
    return FormReader(make_request(*pieces, headers={"content-type": content_type}))


async def read(form: FormReader) -> list[tuple[str, str | None, bytes]]:
    return [
        (part.name, part.filename, b"".join([piece async for piece in part.pieces()])) async for part in form.parts()
    ]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


@pytest.mark.item(9)
@given(
    st.binary(max_size=200) | st.sampled_from([b"\r\n--X", b"\r\n--XX", b"\r\n-", b"--XX--", b"\r"]),
    st.lists(st.integers(0, 500)),
)
async def test_any_bytes_pass_through_any_cuts_of_the_wire(data: bytes, places: list[int]) -> None:
    if b"\r\n--XX" in b"\r\n" + data + b"\r\n--":
        data = data.replace(b"XX", b"YY")
    body = FIELD + FILE + data + END
    expected = [("purpose", None, b"file-extract"), ("file", "a.txt", data)]
    assert await read(reader(*cut(body, places))) == expected


async def test_a_part_that_nobody_takes_is_dropped() -> None:
    form = reader(FILE + b"x" * 1000 + b"\r\n" + FIELD + b"--XX--\r\n")
    assert [part.name async for part in form.parts()] == ["file", "purpose"]


async def test_what_follows_the_last_boundary_is_dropped() -> None:
    assert await read(reader(FIELD[:-2] + END, b"epilogue")) == [("purpose", None, b"file-extract")]


@pytest.mark.item(75)
@pytest.mark.parametrize("body", [FILE, FILE + b"half", FILE + b"half\r\n--XX", b""])
async def test_a_form_that_breaks_off_is_told_apart_from_a_whole_one(body: bytes) -> None:
    with pytest.raises(UploadAborted):
        await read(reader(body))


@pytest.mark.parametrize(
    "body",
    [
        b"--YY\r\n",
        b"--XX\r\nno colon\r\n\r\n",
        b"--XX\r\n" + b"x" * 9000 + b": y\r\n\r\n" + END,
        b"--XX\r\n" + b"a: b\r\n" * 17 + b"\r\n" + END,
        FIELD * 1001,
    ],
)
async def test_a_form_that_is_malformed_or_over_a_cap_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidBody):
        await read(reader(body))


async def test_a_field_may_not_be_a_file() -> None:
    form = reader(FIELD[:-2] + b"x" * (1 << 20) + END)
    with pytest.raises(InvalidBody, match="longer than"):
        [await part.text() async for part in form.parts()]


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 300]
)
def test_a_body_without_a_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(InvalidBody):
        reader(content_type=content_type)


@pytest.mark.item(12, 65)
@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('filename="年报.pdf"'.encode(), "年报.pdf"),
        ('filename="café.txt"'.encode("latin-1"), "café.txt"),
        (b"filename*=utf-8''%E5%B9%B4.txt; filename=x", "年.txt"),
        (b"filename*=iso-8859-1''caf%E9.txt", "café.txt"),
        (b'filename*=broken; filename="x.txt"', "x.txt"),
        (b'filename="a%22b.txt"', 'a"b.txt'),
        (b'filename="a\\"b;c.txt"', 'a"b;c.txt'),
        (b'filename="100%25.txt"', "100%25.txt"),
        (b'filename="/etc/passwd"', "passwd"),
        (b'filename="C:\\dir\\a.txt"', "a.txt"),
        (b'filename="dir/"', "file"),
        (b'filename=""', "file"),
        (b"filename*=utf-8''%1B%5B31mred%0AIgnore.txt", "[31mredIgnore.txt"),
        ('filename="\x9b\u202egpj.\u2069exe"'.encode(), "gpj.exe"),
        (b'filename="%0D%0A"', "file"),
        ('filename="年 报 👩‍👩‍👧 a.pdf"'.encode(), "年 报 👩‍👩‍👧 a.pdf"),
    ],
)
async def test_a_file_has_the_name_its_client_gave(disposition: bytes, filename: str) -> None:
    body = b'--XX\r\nContent-Disposition: form-data; name="file"; ' + disposition + b"\r\n\r\nx" + END
    assert await read(reader(body)) == [("file", filename, b"x")]
