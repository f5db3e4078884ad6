"""The encoding of a text is told by its bytes."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import BinaryIO

import pytest

from longscroll.parsing.charset import Encoding, find_encoding

Opened = Callable[[bytes], BinaryIO]

CHINESE = "长卷把很长的文件读给模型听，一页也不丢。\n第二行说的是另一件事情，比如数据库和缓存。\n"
TRADITIONAL = "長卷把很長的檔案讀給模型聽，一頁也不會遺失。\n第二行說的是另一件事情，例如資料庫。\n"
JAPANESE = "長い巻物はとても長い文書をモデルに読んで聞かせます。一頁も失いません。\n"
KOREAN = "긴 두루마리는 아주 긴 문서를 모델에게 읽어 줍니다. 한 쪽도 잃지 않습니다.\n"
FRENCH = "Dès Noël, où un zéphyr haï me vêt de glaçons würmiens, je dîne d'exquis rôtis de bœuf, d'âge mûr.\n"
RUSSIAN = "Свиток читает модели очень длинные документы и не теряет ни одной страницы.\n"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"plain", Encoding("utf-8", is_valid=True)),
        (CHINESE.encode(), Encoding("utf-8", is_valid=True)),
        (codecs.BOM_UTF8 + b"marked", Encoding("utf-8", 3)),
        (codecs.BOM_UTF16_LE + CHINESE.encode("utf-16-le"), Encoding("utf-16-le", 2)),
        (codecs.BOM_UTF16_BE + CHINESE.encode("utf-16-be"), Encoding("utf-16-be", 2)),
        (codecs.BOM_UTF32_LE + CHINESE.encode("utf-32-le"), Encoding("utf-32-le", 4)),
        ("unmarked".encode("utf-16-be"), Encoding("utf-16-be")),
        ("unmarked".encode("utf-16-le"), Encoding("utf-16-le")),
        (CHINESE.encode("gbk") * 20, Encoding("gb18030")),
        (TRADITIONAL.encode("big5") * 20, Encoding("big5hkscs")),
        (JAPANESE.encode("shift_jis"), Encoding("cp932")),
        (JAPANESE.encode("euc_jp"), Encoding("euc_jp")),
        (KOREAN.encode("euc_kr"), Encoding("cp949")),
        (FRENCH.encode("cp1252"), Encoding("cp1252")),
        (RUSSIAN.encode("cp1251") * 3, Encoding("cp1251")),
    ],
)
@pytest.mark.item(104)
def test_the_encoding_is_found(opened: Opened, content: bytes, encoding: Encoding) -> None:
    assert find_encoding(opened(content)) == encoding


@pytest.mark.parametrize("start", range(0, 36, 5))
def test_a_few_characters_of_chinese_are_enough(opened: Opened, start: int) -> None:
    assert find_encoding(opened(CHINESE[start : start + 12].encode("gbk"))) == Encoding("gb18030")
    assert find_encoding(opened(TRADITIONAL[start : start + 12].encode("big5"))) == Encoding("big5hkscs")


def test_code_with_a_little_chinese_is_told_by_the_chinese(opened: Opened) -> None:
    content = "def f(x):  # 返回数据库里的第一行\n    return x\n" * 40
    assert find_encoding(opened(content.encode("gbk"))) == Encoding("gb18030")
