"""What a question says of the answer it wants and not of its subject: the language, and politeness.

Owns these words, in English and Chinese. Pure; what is searched and compared with documents is a question without them.
"""

from __future__ import annotations

import re
from typing import Literal

_CLAUSE = r"(?:^|(?<=[\n,.;:!?，。；：！？、（(]))\s*"
_VERB_EN = (
    r"(?:(?:can|could) you )?(?:please,? |always |and )*(?:answer|reply|respond|write)(?: (?:me|it|this|briefly|only))*"
)
_VERB_ZH = "(?:回答|回复|回覆|答复|作答)(?:我|一下|(?:这个|以下|下列)?问题)?"
_ALWAYS_ZH = "(?:始终|总是|一律|必须|只能|只|都)?"
_TASK_ZH = "总结|概括|概述|归纳|介绍|说明|解释|描述|告诉"
_END = r"[\s,.;:!，。；：！]*"


def _instruction(english: str, chinese: str) -> re.Pattern[str]:
    """Make the pattern of asking for a language by its names; only a clause of its own asks, 用英文写的书 does not."""
    language = f"[{chinese}][文语語]"
    return re.compile(
        rf"{_CLAUSE}{_VERB_EN} in {english}\b(?:,? please\b)?{_END}"
        rf"|(?:(?<=[.!?,;])\s*in {english}\b(?:,? please\b)?|\bin {english},? please\b){_END}"
        rf"|(?:{_CLAUSE}|(?=[请請]))(?:[请請]|麻烦)?[你您]?{_ALWAYS_ZH}(?:使?用|以)?{language}[来來]?{_VERB_ZH}{_END}"
        rf"|(?:{_CLAUSE}|(?=[请請]))(?:[请請]|麻烦)?[你您]?{_ALWAYS_ZH}使?用{language}"
        rf"(?:[来來]?(?={_TASK_ZH})|(?=[\s,.;:!，。；：！？]|$){_END})",
        re.IGNORECASE,
    )


_ASKS_ENGLISH = _instruction("english", "英")
_ASKS_CHINESE = _instruction("chinese", "中汉漢")
_POLITE = re.compile(r"^\W*please,? |,? please(?=\W*$)", re.IGNORECASE)


def language_asked_for(text: str) -> Literal["zh", "en"] | None:
    """Return the language that a text wants the answer in; None where it does not say."""
    if _ASKS_ENGLISH.search(text):
        return "en"
    return "zh" if _ASKS_CHINESE.search(text) else None


def without_instructions(question: str) -> str:
    """Return what a question asks, without words on its answer; all of it where nothing else is left."""
    subject = question
    for pattern in (_ASKS_ENGLISH, _ASKS_CHINESE, _POLITE):
        subject = pattern.sub(" ", subject)
    return subject.strip() if any(map(str.isalnum, subject)) else question
