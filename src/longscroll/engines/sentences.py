"""Where sentences begin and end, in English and Chinese text as documents really hold it.

Owns the cutting of text into quotable sentences and how a quote is shown on one line. Knows no document, no question
and no score: text goes in, spans of that text come out. It stands here because engines quote and reading digests, and
data flows from reading to engines.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from longscroll.types import Span

MAX_SENTENCE = 900
"""Longer stretches without an end (tables, lists of names) are cut at the last comma or space before this length."""
PROSE_SHARE = 0.45
"""Share of a line's visible characters that are small letters, or Chinese: less is no running text."""
WIDEST_WRAPPED_LINE = 180
"""A line wider than this was not wrapped by a page: its end is the end of a paragraph."""
MIN_HAN_SHARE = 0.3
"""Share of a Chinese document's letters that are Han characters, at least: names and terms of others stand between."""
MAX_KANA_SHARE = 0.1
"""Kana or Hangul for each Han character of a Chinese document, at most; Japanese has more kana than Han."""

_CLOSERS = "”’」』）》】)\\]\"'"
_END = re.compile(
    rf"(?P<cjk>[。！？]+[{_CLOSERS}]*|…{{2,}}[{_CLOSERS}]*)"
    rf"|(?P<latin>[.!?]+[{_CLOSERS}]*(?=\s|[{_CLOSERS}]|[⺀-鿿]|\Z))"
    r"|(?P<line>[^\S\n\f]*[\n\f]\s*)"
)
_CJK = re.compile(r"[⺀-〿぀-ヿ㐀-鿿가-힣\uf900-\ufaff\uff00-\uffef]")
_HAN = re.compile(r"[㐀-鿿\uf900-\ufaff]")
_KANA_OR_HANGUL = re.compile(r"[ぁ-ヿㄱ-ㆎ가-힣]")
_ONLY_CHINESE = re.compile("[么麼吗嗎呢谁哪这這们們怎请几说讲它她你吧]")
_OTHER_WORD = re.compile(r"[^\W\d_㐀-鿿\uf900-\ufaff]+")
_LETTER = re.compile(r"[^\W\d_]")
_HYPHENATED = re.compile(r"(?<=[a-z])(?:-|\u00ad)\s*\n\s*(?=[a-z])")
_WRAPPED_CJK = re.compile(r"(?<=[⺀-鿿\uff00-\uffef])\s*\n\s*(?=[⺀-鿿\uff00-\uffef])")
_LIST_ITEM = re.compile(
    r"(?:[-*•·●○▪■◆◇‣–—]\s|\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]\s|[（(]?[一二三四五六七八九十]{1,3}[）)、.]"
    r"|第[一二三四五六七八九十百零〇\d]{1,5}[章节条回卷部篇]|#{1,6}\s|\||>\s|```)"
)
_LABELED = re.compile(r"\s*[A-Z㐀-鿿][^\n.,;:!?，。；：！？]{0,30}[:：][ \t]*[^\s.。][^\n.。！？]{0,60}(?:\.\d+)?\s*$")
_WORD_BEFORE = re.compile(r"([\w.&’'-]+)$")
_ABBREVIATIONS = """
mr mrs ms dr prof rev hon st sr jr gen col capt lt sgt maj gov sen rep pres messrs mme mlle vs etc e.g i.e eg ie cf viz
al fig figs eq eqs sec ch chap vol vols no nos pp p ed eds art arts para ref refs tab app approx ca c est inc ltd co
corp dept univ assn bros jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun u.s u.k u.n a.m
p.m ph.d b.a m.a b.c a.d op cit ibid resp max min avg
"""
_TITLES = "mr mrs ms dr prof rev hon gen col capt lt sgt maj gov sen rep messrs e.g i.e eg ie cf vs fig figs eq no"
_MAY_END = frozenset(_ABBREVIATIONS.split())  # a capital letter after these begins a sentence
_NEVER_END = frozenset(_TITLES.split())  # a name or a number follows these


def sentence_spans(text: str) -> list[Span]:
    """Return the sentences of ``text`` in order, each without the white space around it.

    A line break inside a wrapped sentence does not end it; one after a heading, a list item or a table row does.
    Decimals, initials, abbreviations and ellipses do not end a sentence. Linear in the text.
    """
    lines = _Lines(text)
    spans: list[Span] = []
    start = 0
    for match in _END.finditer(text):
        if _is_end(text, match, lines):
            start = _add(spans, text, start, match.end())
    _add(spans, text, start, len(text))
    return spans


def one_line(text: str) -> str:
    """Show a quote on one line: line breaks become a space, or nothing between Chinese characters or after a hyphen."""
    if "\n" in text:
        text = _HYPHENATED.sub("", text)
        text = _WRAPPED_CJK.sub("", text)
    return " ".join(text.split())


def is_chinese(text: str) -> bool:
    """Tell whether a question is written in Chinese: it has Han characters, at least one for every two words.

    Japanese and Korean have Han characters, too: beside kana or Hangul only a character of Chinese alone counts.
    """
    if _KANA_OR_HANGUL.search(text) and not _ONLY_CHINESE.search(text):
        return False
    han = len(_HAN.findall(text))
    return han > 0 and han >= len(_OTHER_WORD.findall(text)) * 0.5


def is_chinese_text(text: str) -> bool:
    """Tell whether a stretch of a document is Chinese: Han characters among other letters, and hardly any kana."""
    han = len(_HAN.findall(text))
    letters = len(_LETTER.findall(text))
    return han > MIN_HAN_SHARE * letters and len(_KANA_OR_HANGUL.findall(text)) < MAX_KANA_SHARE * han


def cjk_share(text: str) -> float:
    """Share of Chinese, Japanese and Korean characters among all letters of a text."""
    if text.isascii():
        return 0.0
    cjk = len(_HAN.findall(text)) + len(_KANA_OR_HANGUL.findall(text))
    letters = len(_LETTER.findall(text))
    return cjk / letters if letters else 0.0


class _Lines:
    """How wide lines are (a Chinese character counts two): a wrapped line is nearly as wide as its neighbors."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._edges = [-1, *(match.start() for match in re.finditer(r"[\n\f]", text)), len(text)]
        self._widths: dict[int, int] = {}

    def around(self, position: int) -> tuple[int, int]:
        """Widths of the line that a break at ``position`` ends, and of the widest among it and its near neighbors."""
        line = bisect_left(self._edges, position) - 1
        near = range(max(0, line - 2), min(len(self._edges) - 1, line + 3))
        return self._width(line), max(self._width(number) for number in near)

    def _width(self, line: int) -> int:
        if line not in self._widths:
            row = self._text[self._edges[line] + 1 : self._edges[line + 1]].strip()
            self._widths[line] = len(row) + len(_CJK.findall(row))
        return self._widths[line]


def _is_end(text: str, match: re.Match[str], lines: _Lines) -> bool:
    if match.lastgroup == "line":
        return _is_hard_break(text, match, lines)
    if match.lastgroup == "cjk":
        return True
    return not _is_inner_period(text, match)


def _is_inner_period(text: str, match: re.Match[str]) -> bool:
    """Tell whether ``.`` (or ``...``) belongs to an abbreviation, an initial, a number or a list mark."""
    after = text[match.end() : match.end() + 40].lstrip()
    if match.group()[0] != ".":
        return bool(after) and after[0].islower()
    if after and after[0].islower():
        return True
    found = _WORD_BEFORE.search(text, max(0, match.start() - 20), match.start())
    if not found:
        return False
    word = found.group(1)
    lower = word.lower().strip("'’")
    if lower in _NEVER_END or (len(word) == 1 and word.isalpha() and word.isupper()):
        return bool(after)
    if lower in _MAY_END:
        return not after[:1].isupper() or lower in {"st", "jan", "feb", "u.s"}
    line_start = max(text.rfind("\n", 0, match.start()), 0)
    return word.isdigit() and len(word) <= 3 and not text[line_start : found.start()].strip()


def _is_hard_break(text: str, match: re.Match[str], lines: _Lines) -> bool:
    gap = match.group()
    if gap.count("\n") > 1 or "\f" in gap:
        return True
    before = text[max(0, match.start() - 1) : match.start()]
    after = text[match.end() : match.end() + 12]
    if not before or not after or _LIST_ITEM.match(after):
        return True
    position = text.index("\n", match.start(), match.end())
    row = text[text.rfind("\n", 0, position) + 1 : position]
    following = text[match.end() :].split("\n", 1)[0]
    if "\t" in row or row.count("|") > 1 or _is_entry(row) or _is_entry(following):
        return True
    if _LABELED.match(row) and _LABELED.match(following):
        return True
    width, widest = lines.around(position)
    if width > WIDEST_WRAPPED_LINE:
        return True
    if before in ",;，、；-" or (after[0].islower() and width > 20):
        return False
    return width < widest * 0.65


def _is_entry(line: str) -> bool:
    """Tell whether a line is no part of a sentence: of a form, a receipt, a rule between two parts."""
    visible = "".join(line.split())
    n_prose = sum(letter.islower() or letter >= "⺀" for letter in visible)
    return n_prose < PROSE_SHARE * len(visible)


def _add(spans: list[Span], text: str, start: int, stop: int) -> int:
    """Append the trimmed span, in pieces when it is endless; returns where the next sentence starts."""
    first, last = _trim(text, start, stop)
    while last - first > MAX_SENTENCE:
        cuts = (
            text.rfind(mark, first + MAX_SENTENCE // 2, first + MAX_SENTENCE)
            for mark in ("，", "；", ";", ", ", "\n", " ")
        )
        cut = max(cuts) + 1 or first + MAX_SENTENCE
        spans.append(_trim(text, first, cut))
        first, last = _trim(text, cut, last)
    if last > first:
        spans.append((first, last))
    return stop


def _trim(text: str, start: int, stop: int) -> Span:
    while start < stop and text[start].isspace():
        start += 1
    while stop > start and text[stop - 1].isspace():
        stop -= 1
    return start, stop
