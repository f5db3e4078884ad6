"""What kind of answer a question waits for (a number, a date, a person, a place, a reason), and where a text has one.

Owns the patterns for English and Chinese. Pure; knows no document and no score.
"""

from __future__ import annotations

import re
from typing import Literal

from longscroll.types import Span

AnswerType = Literal["number", "date", "person", "place", "reason", "other"]

_ASKS: tuple[tuple[AnswerType, re.Pattern[str]], ...] = (
    (
        "number",
        re.compile(
            r"\bhow (?:many|much|old|long|far|tall|high|large|big|fast|often|wide|deep|heavy|large)\b"
            r"|\bwhat (?:percent|percentage|number|share|proportion|amount|size|age|price|score|rate)\b|\bhow \w+ (?:is|was|are)\b"
            r"|多少|几(?=[级個个次人年月天岁种部位名座章集场条架所届支款艘只张件])|幾|多[大高长远重久深宽]|第几|第幾|比例|百分之"
        ),
    ),
    (
        "date",
        re.compile(
            r"^\W*(?:since |until |by )?when\b|\bwhen (?:did|was|were|is|does|will|has|had)\b|\b(?:what|which|in what|in which) (?:\w+ )?(?:year|date|day|month|decade|century|time period|era)\b"
            r"|何时|何時|什么[时年]|什麼[時年]|[哪何几那幾](?:一)?[年月日天]|什么时[候间]|什麼時[候間]|哪个(?:年代|世纪|时期|朝代)|年份|日期"
        ),
    ),
    ("person", re.compile(r"\bwho(?:se|m)?\b|谁|誰|哪[一]?位|何人|哪个人|哪些人|哪個人|姓名|名字叫")),
    (
        "place",
        re.compile(
            r"\bwhere\b|\b(?:what|which|in what|in which) (?:\w+ )?(?:country|city|state|town|place|region|continent|county|province|area|location)\b"
            r"|哪里|哪裡|哪儿|何地|何处|何處|哪[一个個]*(?:国家|國家|城市|地区|地區|省|市|县|地方|洲|国|國)|位于|位於|在哪"
        ),
    ),
    (
        "reason",
        re.compile(r"\bwhy\b|\bwhat (?:\w+ )?(?:reason|cause|caused)\b|为什么|为何|為什麼|為何|原因|为啥|怎么会"),
    ),
)
_HAN_DIGITS = "一二三四五六七八九十百千万亿零〇两"
_ASKED_UNIT = re.compile(r"(?:多少|几)[个名位]?([一-鿿])|how many (?:\w+ ){0,2}?(\w+)", re.IGNORECASE)
_WORD_NUMBER = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
    r"|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|dozen|half|once|twice)"
)
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December|Jan\.?|Feb\.?|Aug\.?|Sept?\.?|Oct\.?|Nov\.?|Dec\.?)"
_ANSWERS: dict[AnswerType, re.Pattern[str]] = {
    "number": re.compile(
        rf"(?:US)?[$€£¥]?\d[\d,]*(?:\.\d+)?(?:\s?%|\s?(?:percent|million|billion|thousand)\b)?|\b{_WORD_NUMBER}(?:[- ]{_WORD_NUMBER})*\b"
        r"|百分之[一二三四五六七八九十百零〇点\d]+|(?:约|近|超过)?[一二三四五六七八九十百千万亿零〇两\d][一二三四五六七八九十百千万亿零〇两\d,.]*(?=[个次人年月天岁种部位名座章集场条架所届支款艘只张件公米元吨平里千万亿%])",
        re.IGNORECASE,
    ),
    "date": re.compile(
        rf"(?:\b\d{{1,2}}(?:st|nd|rd|th)? (?:of )?)?\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{3,4}}\b|\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH},? \d{{3,4}}\b"
        rf"|\b{_MONTH},? \d{{3,4}}\b|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b|\b(?:1[0-9]|20)\d\d(?:s|–\d\d(?:\d\d)?|-\d\d(?:\d\d)?)?\b|\b\d{{1,4}} (?:BC|AD|BCE|CE)\b"
        r"|\b\d{1,2}(?:st|nd|rd|th) century\b|\b\d{4}-\d\d-\d\d\b"
        r"|(?:公元前?|前)?[\d〇零一二三四五六七八九十]{2,5}\s?年代?(?:\s?[\d一二三四五六七八九十]{1,3}\s?月(?:\s?[\d一二三四五六七八九十]{1,3}\s?[日号號])?)?|\d{1,2}月\d{1,2}[日号]|\d{1,2}月|[\d一二三四五六七八九十]+世[纪紀]"
    ),
    "person": re.compile(
        r"(?<![.!?] )(?<!^)\b[A-Z][a-zà-ɏ]+(?: (?:[A-Z]\.|[A-Z][a-zà-ɏ]+|de|van|von|of))*|[一-鿿]{1,6}[·・][一-鿿]{1,8}"
        r"|(?:由|是|为|与|和|、|，)[一-鿿]{2,4}(?=[、，。等（(和与主执饰演编导创])|[一-鿿]{1,3}(?:先生|女士|教授|博士|将军|皇帝|总统|主席|导演)"
    ),
    "place": re.compile(
        r"\b(?:in|at|from|near|to|of|on|outside|around) (?:the )?[A-Z][\w'’]+(?:,? [A-Z][\w'’]+)*"
        r"|[一-鿿]{1,6}(?:省|市|县|區|区|国|國|镇|乡|村|州|洲|岛|島|路|街|山|河|湖|海|大学|大學)|位[于於]|在[一-鿿]{2,8}"
    ),
    "reason": re.compile(
        r"\b(?:because|due to|since|as a result|in order to|so that|caused by|owing to|thanks to|therefore|reason|to avoid|to prevent)\b"
        r"|因为|因為|由于|由於|因此|所以|为了|為了|原因|以致|导致|導致|使得|鉴于"
    ),
}


def answer_type(question: str) -> AnswerType:
    """Tell what kind of answer a question waits for; the first pattern that fits wins."""
    text = question.lower()
    for kind, pattern in _ASKS:
        if pattern.search(text):
            return kind
    return "other"


def candidates(kind: AnswerType, text: str, question: str) -> list[Span]:
    """Return where a text has answers of a kind that the question does not say itself."""
    pattern = _ANSWERS.get(kind)
    if pattern is None:
        return []
    return [match.span() for match in pattern.finditer(text) if match.group().strip() not in question]


def has_unit(question: str, text: str) -> bool:
    """Tell whether a text has a number of what "how many X" or 多少 X counts."""
    asked = _ASKED_UNIT.search(question)
    if not asked:
        return False
    if asked[1]:
        return bool(re.search(rf"[{_HAN_DIGITS}\d]\s?[多余个名位]?{asked[1]}", text))
    noun = asked[2].lower().removesuffix("s")
    return bool(re.search(rf"(?:\d|\b{_WORD_NUMBER}\b)\S*\s(?:\S+\s){{0,3}}{re.escape(noun)}", text, re.IGNORECASE))


def short_answer(question: str, text: str) -> str | None:
    """Return the one number or date of a sentence that can be the answer; None where there is not exactly one."""
    kind = answer_type(question)
    if kind not in ("number", "date"):
        return None
    found = {text[a:b].strip() for a, b in candidates(kind, text, question)}
    return found.pop() if len(found) == 1 else None
