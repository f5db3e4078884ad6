"""What the embedded engine says in its own words, in English and Chinese: data, and how places are named.

Knows no evidence and no layout; every word that is not a quote stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from longscroll.engines.base import DocumentFacts

Language = Literal["zh", "en"]


MAX_NAMES = 5
"""Documents that are named where one line tells what is attached."""
SPACE: dict[Language, str] = {"zh": "", "en": " "}
"""What stands between a quote and its mark."""


class Phrases(Struct, frozen=True, kw_only=True):
    """One language's words."""

    no_documents: str
    not_found: str
    closest: str
    other_language: str
    also: str
    spans_whole: str
    contents: str
    not_shown: str  # {n}
    no_text: str
    how_to_ask: str  # {names}
    unnamed: str
    and_more: str  # {n}


PHRASES: dict[Language, Phrases] = {
    "en": Phrases(
        no_documents=(
            "There is no document in this conversation, and no language model is connected: on its own this service "
            "answers by quoting documents.\n\n"
            "- To ask about a document, upload it (`POST /v1/files`, purpose `file-extract`) and put its id into a "
            "system message: `fileid://<id>`. Plain text may stand in a system message itself.\n"
            "- To chat with a model, start the service with `longscroll serve --upstream URL --upstream-model NAME`, "
            "where URL is any OpenAI-compatible server."
        ),
        not_found="The answer was not found in the documents.",
        closest="The closest passages:",
        other_language=(
            "The documents are not in the language of the question, and without a model only words that stand in "
            "them can be found: try asking in their language."
        ),
        also="Also in the documents:",
        spans_whole="What it says, in its own words and order:",
        contents="Its sections: ",
        not_shown="Documents that are not quoted here: {n}.",
        no_text="The documents have no sentences to quote.",
        how_to_ask="Attached: {names}. Ask a question about it, or “What is this about?” for a summary.",
        unnamed="a text without a name",
        and_more="and {n} more",
    ),
    "zh": Phrases(
        no_documents=(
            "当前对话中没有文档，也没有连接语言模型；本服务在没有模型时通过引用文档原文来回答。\n\n"
            "- 要就文档提问：先上传文件（`POST /v1/files`，purpose 为 `file-extract`），再把文件 id 写进一条 system "
            "消息：`fileid://<id>`；纯文本也可以直接放在 system 消息里。\n"
            "- 要与模型对话：用 `longscroll serve --upstream URL --upstream-model NAME` 启动服务，"
            "URL 可以是任何兼容 OpenAI 接口的模型服务。"
        ),
        not_found="在文档中没有找到这个问题的答案。",
        closest="最接近的内容：",
        other_language="文档与问题使用的语言不同；没有连接模型时只能查找文档中出现的词语，请改用文档的语言提问。",
        also="文档中的相关内容：",
        spans_whole="以下按原文顺序摘录各部分的要点：",
        contents="章节：",
        not_shown="另有 {n} 份文档未在此摘录。",
        no_text="文档中没有可以引用的句子。",
        how_to_ask="已附上：{names}。可以直接提问想了解的内容，或者问“这篇文章讲了什么？”来获取摘要。",
        unnamed="一段没有名称的文本",
        and_more="另有 {n} 份",
    ),
}


def attached(documents: Sequence[DocumentFacts], language: Language) -> str:
    """Say in one line which documents there are and how to ask; nothing where there is none."""
    if not documents:
        return ""
    words = PHRASES[language]
    names = [document.filename or document.title or words.unnamed for document in documents[:MAX_NAMES]]
    if len(documents) > MAX_NAMES:
        names.append(words.and_more.format(n=len(documents) - MAX_NAMES))
    return words.how_to_ask.format(names=("、" if language == "zh" else ", ").join(names))


def page_place(pages: tuple[int, ...], language: Language) -> str:
    """Name the pages of a quote."""
    first, last = pages[0], pages[-1]
    if language == "zh":
        return f"第 {first} 页" if first == last else f"第 {first}–{last} 页"
    return f"p. {first}" if first == last else f"pp. {first}–{last}"


def in_brackets(place: str, language: Language) -> str:
    """Put a place behind a quote."""
    if not place:
        return ""
    return f"（{place}）" if language == "zh" else f" ({place})"


def opening(facts: DocumentFacts, language: Language) -> str:
    """Say in one line what a document is: its title, name and size."""
    title, name = facts.title, facts.filename
    if language == "zh":
        shown = f"《{title or name or '这份文档'}》" if title or name else "这份文档"
        parts = [
            name if title and name else "",
            f"{facts.n_pages} 页" if facts.n_pages else "",
            _tokens_zh(facts.n_tokens),
        ]
        return f"{shown}（{'，'.join(part for part in parts if part)}）"
    shown = f"“{title}”" if title else name or "The document"
    pages = "" if not facts.n_pages else "1 page" if facts.n_pages == 1 else f"{facts.n_pages:,} pages"
    parts = [name if title and name else "", pages, _tokens_en(facts.n_tokens)]
    return f"{shown} ({', '.join(part for part in parts if part)})"


def contents(facts: DocumentFacts, language: Language) -> str:
    """List the main headings of a document on one line, or nothing."""
    if not facts.headings:
        return ""
    return PHRASES[language].contents + ("；" if language == "zh" else "; ").join(facts.headings)


def _tokens_en(n: int) -> str:
    return f"about {_rounded(n):,} tokens"


def _tokens_zh(n: int) -> str:
    shown = _rounded(n)
    return f"约 {shown / 10000:g} 万 token" if shown >= 10000 else f"约 {shown} token"


def _rounded(n: int) -> int:
    """Round to two digits: nobody reads the others."""
    digits = max(0, len(str(n)) - 2)
    return round(n, -digits)
