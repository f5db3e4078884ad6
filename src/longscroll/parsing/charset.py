"""Which encoding a text is in, told by its bytes.

Owns the order of the guesses. Of the old East Asian encodings each reads most texts of the others as nonsense without
an error, so they are told apart by how many of the characters are everyday ones; for all others there is a detector.
"""

from __future__ import annotations

import codecs
import re
from typing import BinaryIO, NamedTuple

from charset_normalizer import from_bytes

from longscroll.errors import DocumentError, DocumentErrorKind

SAMPLE_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 20
_MAX_CHAR_BYTES = 4
_MAX_DAMAGED_SHARE = 0.1  # of what is not ASCII: with more, the text is not damaged UTF-8 but another encoding
_MIN_EVERYDAY_SHARE = 0.15
_MAX_LONE_SHARE = 0.6  # of the bytes above ASCII: letters with accents stand alone, two-byte characters do not
_FEW_ACCENTS = 64
_LONE_BYTE = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])")
_ASCII = bytes(range(128))
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHINESE = frozenset(
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然"
    "没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二"
    "理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信"
    "北少关并内加化由却代军产入先山五太水万市眼体别处总才场师书比住员性通目报立马命张活难神数件安表原应路期常提感金何更反合放"
    "這來國個說們為時會著過學對裡後麼沒於起還發當無開見經頭從動兩長樣現將與進實點種聲話兒問機給幾業間電門東聽氣關並內軍產萬"
    "體別處總場師書員報馬難數應，。、：；！？“”「」（）《》"
)
_JAPANESE = frozenset("のにはをたがでてとしれさあいるんなすまらもかくこりきそうよせだけみえお、。「」ー")
_KOREAN = frozenset("이다는에의을가하고지로사어기리자도대한아시인나정일서해그전수만보부있를은들것")
_EVERYDAY = (
    ("gb18030", _CHINESE),
    ("big5hkscs", _CHINESE),
    ("cp932", _JAPANESE),
    ("euc_jp", _JAPANESE),
    ("cp949", _KOREAN),
)
_NOT_GUESSED = ["utf_7", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be", "johab", "hz"]
_WIDER = {  # a detector names the narrowest charset that fits a sample; this one reads the rest of the file too
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}


class Encoding(NamedTuple):
    """How to read a text: the codec, how many bytes of a mark come before it, whether it is known to fit all of it."""

    codec: str
    n_mark_bytes: int = 0
    is_valid: bool = False


def find_encoding(stream: BinaryIO) -> Encoding:
    """Choose the encoding: a byte order mark, else UTF-8 where all of it is valid, else the likeliest old one.

    Reads the whole stream where it is UTF-8, the blocks up to the first byte that is not where it is none.

    Raises:
        DocumentError: nothing fits.
    """
    stream.seek(0)
    head = stream.read(SAMPLE_BYTES)
    for mark, codec in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return Encoding(codec, len(mark))
    unmarked = unmarked_utf16(head)
    if unmarked is not None:
        return Encoding(unmarked)
    invalid = _first_invalid_utf8(stream)
    if invalid is None:
        return Encoding("utf-8", is_valid=True)
    start = max(0, invalid - SAMPLE_BYTES // 2)
    stream.seek(start)
    sample = stream.read(SAMPLE_BYTES)
    if start:  # it begins anywhere, even inside a character: begin at a line
        sample = sample[sample.find(b"\n") + 1 :]
    return Encoding(_detect(sample))


def unmarked_utf16(head: bytes) -> str | None:
    """Return the codec of UTF-16 without a mark, which every other byte of ASCII in it gives away; None else."""
    n_pairs = len(head) // 2
    n_even, n_odd = head[::2].count(0), head[1::2].count(0)
    if n_pairs < 4 or max(n_even, n_odd) < 0.2 * n_pairs or min(n_even, n_odd) > 0.01 * n_pairs:
        return None
    return "utf-16-le" if n_odd > n_even else "utf-16-be"


def unknown_encoding() -> DocumentError:
    """Return the error for a text that no encoding fits."""
    return DocumentError(
        DocumentErrorKind.CORRUPT, "The encoding of this text cannot be told; save it as UTF-8 and upload it again."
    )


def _first_invalid_utf8(stream: BinaryIO) -> int | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = stream.seek(0)
    try:
        while data := stream.read(_BLOCK_BYTES):
            decoder.decode(data)
            position += len(data)
    except UnicodeDecodeError as error:
        return position + error.start
    return None


def _detect(sample: bytes) -> str:
    """Name the codec of a sample that is not valid UTF-8; it may end inside a character."""
    if _is_damaged_utf8(sample):
        return "utf-8"
    n_special = len(sample.translate(None, _ASCII))
    if len(_LONE_BYTE.findall(sample)) > _MAX_LONE_SHARE * n_special:
        if n_special < _FEW_ACCENTS and _is_valid(sample, "cp1252"):
            return "cp1252"  # a detector is as good as blind for a handful of accents
    else:
        shares = {codec: _everyday_share(sample, codec, everyday) for codec, everyday in _EVERYDAY}
        likeliest = max(shares, key=shares.__getitem__)
        if shares[likeliest] >= _MIN_EVERYDAY_SHARE:
            return likeliest
    for n_cut in range(_MAX_CHAR_BYTES):  # a detector takes no cut character
        best = from_bytes(sample[: len(sample) - n_cut], cp_exclusion=_NOT_GUESSED).best()
        if best is not None:
            return _WIDER.get(best.encoding, best.encoding)
    raise unknown_encoding()


def _is_valid(sample: bytes, codec: str) -> bool:
    try:
        sample.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _is_damaged_utf8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    return text.count("\ufffd") <= _MAX_DAMAGED_SHARE * len(_special(text))


def _everyday_share(sample: bytes, codec: str, everyday: frozenset[str]) -> float:
    special = _special(sample.decode(codec, "replace"))
    if special.count("\ufffd") > max(1, 0.01 * len(special)):
        return 0.0
    return sum(char in everyday for char in special) / max(1, len(special))


def _special(text: str) -> str:
    """Return what is not ASCII; the rest tells nothing."""
    return "".join(re.findall(r"[^\x00-\x7f]+", text))
