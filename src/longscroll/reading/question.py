"""What a question asks of its documents: everything, one part, or what an earlier turn was about.

Owns the words and patterns that tell, in English and Chinese. Pure; knows no document, no size and no plan.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from longscroll.engines.terms import STOP_WORDS, content_terms

END_CHARS = 500
"""Of a long question, so much of its beginning and its end is looked at."""
MAX_SUMMARY_WORDS = 8
"""A question in a language whose words for documents are not known here asks for a summary when it is no longer."""
MAX_BORROWED = 24
"""Terms a follow-up takes over from earlier turns at most."""


def is_about_everything(question: str) -> bool:
    """Tell whether a question asks about its documents as a whole, so that no passage can answer it.

    It does when it asks for a summary (or overview, gist, main idea, outline …) and names little of its own, or when
    nothing at all is left of it without stop words and words for documents.
    """
    text = _ends_of(question).lower()
    if any(pattern.search(text) for pattern in _ABOUT_ALL):
        return True
    if _ASKS_SUMMARY_ELSEWHERE.search(text) and len(text.split()) <= MAX_SUMMARY_WORDS:
        return True
    return _size_of_subject(text) <= (1 if _ASKS_SUMMARY.search(text) else 0)


def asks_nothing(message: str) -> bool:
    """Tell whether a message is a greeting, thanks, or has no word at all: there is nothing to look for."""
    return len(message) <= END_CHARS and not any(map(str.isalnum, _GREETING.sub("", message.lower())))


def subject_terms(question: str, history: Sequence[str]) -> tuple[str, ...]:
    """Return what a follow-up borrows from earlier user turns (oldest first): their content terms, newest turn first.

    A follow-up points back ("it", 它) or is too short to stand alone; a question with a subject of its own borrows
    nothing. The turns looked at end with the first that does not point back itself.
    """
    if not history or not _points_back(question):
        return ()
    terms: dict[str, None] = {}
    for turn in reversed(history[-3:]):
        terms.update(dict.fromkeys(_own_terms(turn)))
        if not _points_back(turn):
            break
    own = set(content_terms(question))
    return tuple(term for term in terms if term not in own)[:MAX_BORROWED]


def implied_words(question: str) -> str:
    """Return the words that a question of measure implies: "how heavy" asks for a weight."""
    text = _ends_of(question).lower()
    return " ".join(words for pattern, words in _IMPLIED if pattern.search(text))


def _ends_of(question: str) -> str:
    """Return a question without the middle of what was pasted into it: what is asked stands first or last."""
    if len(question) <= 2 * END_CHARS:
        return question
    return f"{question[:END_CHARS]}\n{question[-END_CHARS:]}"


def _points_back(question: str) -> bool:
    text = _ends_of(question).lower()
    size = _size_of_subject(text)
    return size <= 1 or (size <= 4 and bool(_BACKWARD.search(text)))


def _size_of_subject(text: str) -> int:
    """Count what a question names of its own: a word of any script is one, so are two Chinese characters."""
    bare = _GENERIC_ZH.sub(" ", text)
    words = re.findall(r"[a-zà-ɏ0-9]+", bare)
    n_words = sum(word not in STOP_WORDS and word not in _GENERIC_EN for word in words)
    n_words += len(_OTHER_WORD.findall(bare))
    return n_words + (len(re.findall(r"[㐀-鿿]", bare)) + 1) // 2


def _own_terms(turn: str) -> list[str]:
    bare = " ".join(
        word for word in _GENERIC_ZH.sub(" ", turn.lower()).split() if word.strip("?.,!'") not in _GENERIC_EN
    )
    return content_terms(bare)


def _any_of(words: str) -> str:
    """Make one alternative of a text of words, the longest first."""
    return "(?:" + "|".join(sorted(words.split(), key=len, reverse=True)) + ")"


_ENGLISH = """
document documents doc docs file files pdf article articles paper papers book books text texts report reports story
novel essay manual contract page pages attachment attachments content contents material materials upload uploaded
attached provided given following above summary summarize summarise summarized summarizing summaries overview
outline abstract synopsis gist tldr tl dr main idea ideas point points key takeaway takeaways theme themes topic topics
central general brief briefly short quick quickly concise detailed detail details description describe explain whole
entire full overall write create make generate produce provide want need help hello hi hey thanks thank read
reading word words sentence sentences paragraph paragraphs bullet bullets list english chinese know
talk talks talking cover covers covered discuss discusses deal deals
"""
_GENERIC_EN = frozenset(_ENGLISH.split())

_OTHER_WORD = re.compile(r"[^\W\d_a-zà-ɏ㐀-鿿]+")
_GREETING = re.compile(
    r"\b(?:hello|hi|hey|good (?:morning|afternoon|evening|day)|how are you|thanks|thank you|ok(?:ay)?|there|everyone)\b"
    r"|[你您]好|大家好|嗨|哈[喽啰]|早上好|上午好|下午好|晚上好|在吗|谢谢[你您]?|多谢|好的|[呀啊吗吧]"
)
_DOCUMENT_ZH = _any_of(
    """
    文章 文档 文件 文本 论文 全文 全书 本文 本书 此书 此文 该书 该文 书 报告 小说 故事 合同 材料 资料 手册 课文 附件
    正文 原文 内容 作品
    """
)
_SUMMARY_ZH = _any_of(
    """
    总结 概括 概述 归纳 摘要 综述 梳理 介绍 简介 大纲 提纲 梗概 主旨 大意 要点 重点 主题 中心思想 核心观点 主要观点
    主要内容 核心内容
    """
)
_FILLER_ZH = _any_of(
    """
    讲述 描述 讲了 讲的 说了 说的 写了 写的 谈了 谈的 涉及 关于 一下 下面 以下 上面 以上 上述 这篇 那篇 这本 这份
    这个 这些 那些 那个 请问 请 帮我 帮忙 给我 给出 列出 列举 简要 简单 简短 详细 用一句话 一句话 用中文 用英文 中文
    英文 字以内 分别 主要 核心 整体 总体 全部 所有 整个 什么 哪些 怎样 怎么 如何 为何 多少 是否 可以 能否 能 吗 呢
    吧 啊 的 了 是 在 和 与 及 或 都 有 把 对 从 到 我 你 您 它 他 她 们 其 这 那 此 该 讲 说 写 谈 读 看 想 要 知道
    告诉 篇 本 份 部 你好 您好 谢谢 内 中 里 进行 做 个 并 就 啥 呀 嘛 麻烦 下
    """
)
_GENERIC_ZH = re.compile(rf"{_SUMMARY_ZH}|{_DOCUMENT_ZH}|\d+字|{_FILLER_ZH}")
_ASKS_SUMMARY = re.compile(
    r"summar|overview|outline|abstract|synopsis|\bgist\b|tl;?dr|takeaways|\babout\b"
    r"|main (?:idea|point|theme|topic|content|argument)|key (?:point|idea|takeaway|finding)"
    rf"|{_SUMMARY_ZH}|[讲说写]了?什么|讲的是"
)
_ASKS_SUMMARY_ELSEWHERE = re.compile(
    r"요약|줄거리|무엇에 관한|要約|まとめて|何について|ملخص|لخص|резюм|кратк"
    r"|\brésum|\bresum(?:e|en|ir)\b|zusammenfass|\briassu"
)
_DOCUMENT_EN = _any_of(
    """
    documents? docs? files? pdfs? articles? papers? books? texts? reports? story stories novels? essays? manuals?
    contracts? attachments? contents? materials?
    """
)
_WHICH_EN = _any_of(
    "the this that these those my our all both each of whole entire attached uploaded following above given provided"
)
_THE_EN = rf"(?:{_WHICH_EN} )*"
_THIS_ZH = r"(?:这|本|该|此|上述|以上|上面)(?:两|几|些|三)?(?:篇|份|个|本|部)?"
_ABOUT_ALL = (
    re.compile(
        r"(?:summari[sz]e|(?:overview|summary|outline|synopsis|gist|abstract) of|outline"
        r"|(?:main|key|central|core) \w+ (?:of|in|from)|takeaways (?:of|from|in)) "
        rf"{_THE_EN}(?:\w+ ){{0,2}}{_DOCUMENT_EN}(?: (?:in|for|as|with|to|using|into|please|briefly)\b.*)?\W*$"
    ),
    re.compile(
        r"what(?:'s|’s| is| are|s)? "
        rf"(?:it|this|that|these|those|they|{_THE_EN}(?:\w+ )?{_DOCUMENT_EN}) (?:all )?about\W*$"
    ),
    re.compile(
        rf"what (?:do|does|did) {_THE_EN}(?:it|this|they|{_DOCUMENT_EN}) "
        r"(?:say|cover|talk about|discuss|describe|contain|deal with)\W*$"
    ),
    re.compile(rf"tell me about {_THE_EN}{_DOCUMENT_EN}\W*$"),
    re.compile(
        rf"{_SUMMARY_ZH}(?:一下|下|出)?(?:{_THIS_ZH}|整[篇本份部])?{_DOCUMENT_ZH}"
        rf"(?:的?(?:{_SUMMARY_ZH}|内容))?[^㐀-鿿]*$"
    ),
    re.compile(
        rf"^[^㐀-鿿]*(?:请问)?{_THIS_ZH}{_DOCUMENT_ZH}?(?:主要|都|大概|究竟|到底)?是?"
        r"(?:讲|说|写|谈|介绍|描述|关于|涉及|讲述)(?:了|的|述)?是?些?(?:什么|啥|哪些)(?:内容|东西|事|的)?[^㐀-鿿]*$"
    ),
)
_IMPLIED = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"\bhow heavy\b", "weight weighs"),
        (r"\bhow (?:tall|high)\b", "height"),
        (r"\bhow long\b", "length"),
        (r"\bhow wide\b", "width"),
        (r"\bhow deep\b", "depth"),
        (r"\bhow old\b", "age"),
        (r"\bhow fast\b", "speed"),
        (r"\bhow much .*\b(?:cost|pay)", "price"),
        (r"\bwho (?:wrote|is the author)", "author by"),
        ("多重", "重量"),
        ("多高", "高度"),
        ("多长|多長", "长度"),
        ("多宽|多寬", "宽度"),
        ("多深", "深度"),
        ("多快", "速度"),
        ("多大年[纪紀]|几岁|幾歲", "年龄"),
        ("多少钱|多少錢", "价格 费用 金额"),
    )
)
_BACKWARD = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this|that|these|those|there|former|latter|same)\b"
    r"|^(?:and|but|so|then|also|why|how come|what else|what about|how about)\b"
    r"|它|他|她|其(?!中|他|它|实|次|余)|这|那|此|该|上述|前者|后者|同样"
)
