"""What kind of answer a question waits for (a number, a date, a person, a place, a reason), and where a text has one.

Owns the patterns for English and Chinese. Pure; knows no document and no score.
"""

from __future__ import annotations

import re
from typing import Literal

from longscroll.types import Span

AnswerType = Literal["number", "date", "person", "place", "reason", "definition", "other"]

_MEASURE = "[级個个次人年月天岁歲种種部位名座章集场場条條架所届屆支款艘只张張件]"
_HAN_NUMBER = "[一二三四五六七八九十百千万萬亿億零〇两\\d]"
_WHICH = r"\b(?:what|which|in what|in which) (?:\w+ )?"

_ASKS: tuple[tuple[AnswerType, re.Pattern[str]], ...] = (
    (
        "number",
        re.compile(
            r"\bhow (?:many|much|old|long|far|tall|high|large|big|fast|often|wide|deep|heavy)\b"
            r"|\bhow \w+ (?:is|was|are)\b"
            r"|\bwhat (?:percent|percentage|number|share|proportion|amount|size|age|price|score|rate)\b"
            rf"|多少|几(?={_MEASURE})|幾|多[大高长長远遠重久深宽寬]|第[几幾]|比例|百分之"
        ),
    ),
    (
        "date",
        re.compile(
            r"^\W*(?:since |until |by )?when\b(?!.*, (?:what|who|which|how|where)\b)"
            r"|(?<!^)\bwhen (?:did|was|were|is|does|will|has|had)\b"
            rf"|{_WHICH}(?:year|date|day|month|decade|century|time period|era)\b"
            r"|何时|何時|什[么麼](?:[时時][候间間]|年)|[哪何几那幾]一?[年月日天]|哪个(?:年代|世纪|时期|朝代)|年份|日期"
        ),
    ),
    ("person", re.compile(r"\bwho(?:se|m)?\b|谁|誰|哪一?位|何人|哪[个些個]人|姓名|名字叫")),
    (
        "place",
        re.compile(
            rf"\bwhere\b|{_WHICH}(?:country|city|state|town|place|region|continent|county|province|area|location)\b"
            r"|哪[里裡儿]|何[地处處]|哪[一个個]*(?:国家|國家|城市|地区|地區|省|市|县|地方|洲|国|國)|位[于於]|在哪"
        ),
    ),
    (
        "reason",
        re.compile(r"\bwhy\b|\bwhat (?:\w+ )?(?:reason|cause|caused)\b|为什么|为何|為什麼|為何|原因|为啥|怎么会"),
    ),
    (
        "definition",
        re.compile(
            r"^\W*what (?:is|are) (?:an? |the )?(?:[\w-]+ ){0,2}[\w-]+\W*$"
            r"|\bmeaning of\b|\bdefin(?:e|ition)\b|\bwhat does .+ mean\b"
            r"|^什[么麼]是|是什[么麼](?:意思|东西)?[？?]?$|的定义|含义|何谓"
        ),
    ),
)
_WORD = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion"
    r"|dozen|half|once|twice)"
)
_NUMBER_EN = (
    r"(?<![\w.,])(?!(?:1[5-9]|20)\d\d\b)(?:US)?[$€£¥]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s?%|\s(?:percent|million|billion|thousand)\b|(?![\w]))"
    rf"|\b{_WORD}(?:[- ]{_WORD})*\b"
)
_UNIT_ZH = (
    r"(?:个[月多小]?时?|小时|分钟|平方(?:公里|千米|米)|[公英海]里|千米|公[斤尺分顷]|[万亿]?[元美人]|厘米|毫米"
    r"|[個次人年月天岁歲种種部位名座章集场場条條架所届屆支款艘只张張件米吨里%级級])"
)
_NUMBER_ZH = (
    rf"百分之{_HAN_NUMBER}+"
    rf"|(?<![第\d一二三四五六七八九十]){_HAN_NUMBER}[\d,.点百千万萬亿億一二三四五六七八九十零〇两多余]*{_UNIT_ZH}"
)
_SIZE_EN = (
    r"(?:square |cubic |working |business |calendar |light[- ])?"
    r"(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|decades?|centur(?:y|ies)"
    r"|inch(?:es)?|feet|foot|ft|yards?|miles?|(?:kilo|centi|milli|nano)?met(?:er|re)s?|[kcmn]m|km/h|mph|knots?"
    r"|(?:kilo|milli)?grams?|k?g|mg|pounds?|lbs?|ounces?|oz|ton(?:ne)?s?"
    r"|(?:milli)?lit(?:er|re)s?|ml|l|gallons?|barrels?|acres?|hectares?|degrees?|°\s?[cf]?"
    r"|(?:kilo|mega|giga)?(?:watts?|volts?|hertz|bytes?|bits?)|[kmg]?(?:v|w|hz|b)|[kmg]?wh|amps?|db"
    r"|dollars?|euros?|pounds|yuan|yen|rubles?|rupees?|cents?|usd|eur|gbp|rmb|cny"
    r"|people|persons?|inhabitants|residents|members|employees|students|points?|pages?|times|percent|%)"
)
_SIZE_AFTER = rf"[\s-]?{_SIZE_EN}(?![\w/])"
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Jan\.?|Feb\.?|Aug\.?|Sept?\.?|Oct\.?|Nov\.?|Dec\.?)"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"(?<![\d.,$€£])(?:1\d|20)\d\d(?:s|[–-]\d\d(?:\d\d)?)?(?![\d%])(?!,\d)"
_DATE_EN = (
    rf"\b(?:{_DAY} (?:of )?)?{_MONTH}(?: {_DAY})?,? \d{{3,4}}\b|\b{_MONTH} {_DAY}\b|{_YEAR}"
    r"|\b\d{1,4} (?:BCE?|AD|CE)\b"
    r"|\b\d{1,2}(?:st|nd|rd|th) century\b|\b\d{4}-\d\d-\d\d\b"
)
_HAN_DATE = "[一二三四五六七八九十〇零\\d]"
_DATE_ZH = (
    rf"(?:公元前?|西元前?|前)?{_HAN_DATE}{{2,5}}\s?年代?(?:\s?{_HAN_DATE}{{1,3}}\s?月(?:\s?{_HAN_DATE}{{1,3}}\s?[日号號])?)?"
    rf"|{_HAN_DATE}{{1,3}}\s?月\s?{_HAN_DATE}{{1,3}}\s?[日号號]|{_HAN_DATE}{{1,3}}世[纪紀]"
)
_NAME = r"[A-Z][a-zà-ɏ]+(?: (?:[A-Z]\.|[A-Z][a-zà-ɏ]+|de|van|von|of))*"
_ANSWERS: dict[AnswerType, re.Pattern[str]] = {
    "number": re.compile(f"{_NUMBER_ZH}|{_NUMBER_EN}", re.IGNORECASE),
    "date": re.compile(f"{_DATE_ZH}|{_DATE_EN}"),
    "person": re.compile(
        rf"(?<![.!?] )(?<!^)\b{_NAME}|[一-鿿]{{1,6}}[·・][一-鿿]{{1,8}}"
        r"|[由是为为與与和、，][一-鿿]{2,4}(?=[、，。等（(和与與主执执饰演编导创])"
        r"|[一-鿿]{1,3}(?:先生|女士|教授|博士|将军|皇帝|总统|主席|导演)"
    ),
    "place": re.compile(
        r"\b(?:in|at|from|near|to|of|on|outside|around) (?:the )?[A-Z][\w'’]+(?:,? [A-Z][\w'’]+)*"
        r"|[一-鿿]{1,6}[省市县區区国國镇乡村州洲岛島路街山河湖海]|[一-鿿]{1,6}大[学學]|位[于於]|在[一-鿿]{2,8}"
    ),
    "reason": re.compile(
        r"\b(?:because|due to|since|as a result|in order to|so that|caused by|owing to|thanks to|therefore|reason"
        r"|to avoid|to prevent)\b|因[为為此]|由[于於]|所以|为了|為了|原因|以致|导致|導致|使得|鉴于"
    ),
    "definition": re.compile(
        r"\b(?:is|are) (?:an?|the|one of|any)\b|\b(?:refers? to|means?|defined as|known as|called)\b"
        r"|[是指][一种個个]|又称|称为|指的是|即|为一"
    ),
}
_DEFINED = re.compile(
    r"^\W*what (?:is|are|was|were) (?:an? |the )?(.+?)\W*$"
    r"|^什[么麼]是(.+?)[？?。]*$|^(.+?)是什[么麼](?:意思|东西)?[？?]*$",
    re.IGNORECASE,
)
_UNIT_AFTER = re.compile(rf"{_SIZE_AFTER}|\s?{_UNIT_ZH}", re.IGNORECASE)
_SAYS_WHAT = re.compile(r"[$€£¥%]|percent\b|[一-鿿]")
_ASKED_UNIT = re.compile(r"(?:多少|几|幾)[个個名位]?([一-鿿]{1,6})|how many (?:\w+ ){0,2}?(\w+)", re.IGNORECASE)


def answer_type(question: str) -> AnswerType:
    """Tell what kind of answer a question waits for; the first pattern that fits wins."""
    text = question.lower()
    for kind, pattern in _ASKS:
        if pattern.search(text):
            return kind
    return "other"


def candidates(kind: AnswerType, text: str, question: str) -> list[Span]:
    """Return where a text has answers of a kind that the question does not say itself."""
    pattern = (_definition_of(question) if kind == "definition" else None) or _ANSWERS.get(kind)
    if pattern is None:
        return []
    return [match.span() for match in pattern.finditer(text) if match.group().strip() not in question]


def _definition_of(question: str) -> re.Pattern[str] | None:
    """Make the pattern of a sentence that defines what a question asks about."""
    asked = _DEFINED.search(question)
    if not asked:
        return None
    subject = re.escape(next(filter(None, asked.groups())).strip())
    return re.compile(
        rf"{subject}s?(?: ?[(（][^)）]*[)）])? ?(?:is|are|was|were|means|refers|stands|是|指|即|又称|为)"
        rf"|[(（]{subject}[)）]",
        re.IGNORECASE,
    )


def has_unit(question: str, text: str) -> bool:
    """Tell whether a text has a number of what "how many X" or 多少 X counts."""
    counted = _counted(question)
    return counted is not None and counted.search(text) is not None


def short_answer(question: str, text: str) -> str | None:
    """Return the one number or date of a sentence that can be the answer; None where there is not exactly one.

    A number comes with its unit or what it counts, as the sentence has it; a bare number says too little.
    """
    kind = answer_type(question)
    if kind not in ("number", "date"):
        return None
    counted = _counted(question) if kind == "number" else None
    if counted is not None:
        found = {match.group().strip() for match in counted.finditer(text)}
        return found.pop() if len(found) == 1 else None
    spans = candidates(kind, text, question)
    if kind == "date":
        found = {text[a:b].strip() for a, b in spans}
        return found.pop() if len(found) == 1 else None
    numbers = {text[a:b].strip(): b for a, b in spans if any(map(str.isdigit, text[a:b]))}
    return _with_unit(*numbers.popitem(), text) if len(numbers) == 1 else None


def _with_unit(number: str, stop: int, text: str) -> str | None:
    """Add the unit that follows a number; None where there is none, unless its own sign says what it counts."""
    unit = _UNIT_AFTER.match(text, stop)
    if unit:
        return number + unit.group().rstrip()
    return number if _SAYS_WHAT.search(number) else None


def _counted(question: str) -> re.Pattern[str] | None:
    """Make the pattern of a number with what the question counts, where it counts something."""
    asked = _ASKED_UNIT.search(question)
    if not asked:
        return None
    if asked[1]:
        digits = rf"(?<!第)(?!一[个個]?\D)(?:\d[\d,.]*[至到~–-])?(?:\d[\d,.]*\s?|{_HAN_NUMBER}){_HAN_NUMBER}*?"
        return re.compile(rf"{digits}\s?[多余]?[個个名位]?{_as_far_as_it_goes(asked[1])}")
    noun = re.escape(asked[2].lower().removesuffix("s"))
    return re.compile(rf"(?:{_NUMBER_EN})(?: [\w-]+){{0,2}} {noun}\w{{0,2}}\b", re.IGNORECASE)


def _as_far_as_it_goes(noun: str) -> str:
    """Make a pattern of a Chinese noun, of which a text may have only the beginning: where it ends nobody says."""
    unit = re.match(r"(?:平方|立方)?[公英千毫厘]?[一-鿿]", noun)
    first = unit.group() if unit else noun[0]
    rest = noun[len(first) :]
    return first + "".join(f"(?:{letter}" for letter in rest) + ")?" * len(rest)
