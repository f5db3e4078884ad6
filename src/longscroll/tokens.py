"""Token counts on the Qwen vocabulary: exact where the vocabulary is installed, a stated estimate elsewhere.

Owns the pre-token pattern, the places where a text can be cut without changing its count, and ChatML's overhead. Knows
no message format beyond that overhead, no model and no document. Special tokens inside a text are counted as text, and
so reach no engine as control tokens; only ``encode_special`` honours them, for who asks what a text would be.
Source: PROTOCOL.md §6.5 (the recorded counts of the hosted service).
"""

from __future__ import annotations

import re
import unicodedata
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from string import ascii_letters
from typing import Protocol

import numpy as np
import tiktoken

from longscroll.errors import ModelUnavailable

QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PIECE_CHARS = 1 << 20  # a long text is encoded in pieces of about this size: bounds memory, not the result
RUN_CHARS = 1 << 14  # of white space that the encoder is given at once
SEARCHED_CHARS = 1 << 12  # from the end, for a place where a text can be cut
CHATML_MESSAGE = 4  # <|im_start|>, the newline after the role, <|im_end|>, the newline after it
CHATML_TAIL = 3  # <|im_start|>assistant and its newline
CHATML_END = 2  # <|im_end|> and the newline after it
JSON_MODE_TOKENS = 2  # what the hosted service adds where the answer is to be JSON


SPECIAL_TOKENS = {
    form: 151_643 + n
    for n, form in enumerate(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{number}|>" for number in range(205)))
    )
}
"""The vocabulary's special tokens, by how they are written (dashscope 2.0.2, tokenizers/qwen_tokenizer.py)."""

_SPECIAL_FORMS = {token: form for form, token in SPECIAL_TOKENS.items()}
_SPECIAL = re.compile(r"(<\|(?:endoftext|im_start|im_end|extra_(?:[1-9]?\d|1\d\d|20[0-4]))\|>)")
"""Begins with what is rare, so that a long text without them is passed over quickly."""


NO_VOCABULARY = "The tokenizer's vocabulary is not installed; `make setup` installs it."


class TokenCounter(Protocol):
    """Counts tokens of text. Safe to share between threads; no call fails for any ``str``."""

    is_exact: bool

    def count(self, text: str) -> int:
        """Count one text; O(n), the memory of one piece."""

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Count each of several texts."""

    def count_pieces(self, text: str, stops: Sequence[int]) -> list[int]:
        """Count a text piece by piece: a token belongs to the piece in which it begins.

        ``stops`` are the ends of the pieces in code points, ascending, the last one the length of the text. The counts
        add up to the count of the whole text wherever the pieces are cut.
        """

    def encode(self, text: str) -> list[int]:
        """Encode to token ids.

        Raises:
            ModelUnavailable: the vocabulary is not installed.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """Decode ids together.

        Raises:
            ModelUnavailable: the vocabulary is not installed.
            ValueError: an id is not in the vocabulary, or their bytes are no whole characters.
        """

    def encode_special(self, text: str) -> list[int]:
        """Encode to token ids, the written form of a special token as that token (PROTOCOL.md §8.1).

        Raises:
            ModelUnavailable: the vocabulary is not installed.
        """

    def decode_tokens(self, ids: Sequence[int]) -> list[str]:
        """Decode each id by itself; bytes that are no whole character become U+FFFD.

        Raises:
            ModelUnavailable: the vocabulary is not installed.
        """


class VocabularyCounter:
    """Exact counts by byte-pair encoding; text is brought to NFC first, as the hosted tokenizer does."""

    is_exact = True

    def __init__(self, ranks: dict[bytes, int]) -> None:
        self._encoding = tiktoken.Encoding("qwen", pat_str=QWEN_PATTERN, mergeable_ranks=ranks, special_tokens={})
        self._sizes = np.zeros(len(ranks), dtype=np.int64)
        self._sizes[list(ranks.values())] = [len(token) for token in ranks]

    def count(self, text: str) -> int:
        """Count one text."""
        text = _nfc(text)
        if len(text) < RUN_CHARS:  # it has one piece; most texts are a word of an answer
            return len(self._encoding.encode_ordinary(text))
        return sum(len(self._encoding.encode_ordinary(piece)) for piece in _pieces(text))

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Count each of several texts."""
        return [self.count(text) for text in texts]

    def count_pieces(self, text: str, stops: Sequence[int]) -> list[int]:
        """Count a text piece by piece; see TokenCounter."""
        normal = _nfc(text)
        ids = [np.array(self._encoding.encode_ordinary(piece), dtype=np.intp) for piece in _pieces(normal)]
        sizes = self._sizes[np.concatenate(ids)]
        pieces = [text[start:stop] for start, stop in pairwise((0, *stops))]
        if normal is not text:  # each piece is as long as it is composed by itself: off by a mark at the most
            pieces = [_nfc(piece) for piece in pieces]
        ends_of_pieces = np.cumsum([len(piece.encode("utf-8", "surrogatepass")) for piece in pieces])
        starts_of_tokens = np.cumsum(sizes) - sizes
        n_begun = np.searchsorted(starts_of_tokens, ends_of_pieces, side="left")
        n_begun[-1:] = len(sizes)
        return np.diff(n_begun, prepend=0).tolist()  # type: ignore[no-any-return]

    def encode(self, text: str) -> list[int]:
        """Encode to token ids."""
        return [token for piece in _pieces(_nfc(text)) for token in self._encoding.encode_ordinary(piece)]

    def decode(self, ids: Sequence[int]) -> str:
        """Decode ids together; see TokenCounter."""
        if not all(0 <= i < len(self._sizes) for i in ids):
            raise ValueError(f"expected ids from 0 to {len(self._sizes) - 1}, got {list(ids)}")
        return self._encoding.decode_bytes(ids).decode("utf-8")

    def encode_special(self, text: str) -> list[int]:
        """Encode to token ids, special tokens as themselves."""
        ids: list[int] = []
        for part in _SPECIAL.split(_nfc(text)):
            ids += [SPECIAL_TOKENS[part]] if part in SPECIAL_TOKENS else self.encode(part)
        return ids

    def decode_tokens(self, ids: Sequence[int]) -> list[str]:
        """Decode each id by itself."""
        decode = self._encoding.decode_single_token_bytes
        return [_SPECIAL_FORMS.get(i) or decode(i).decode("utf-8", "replace") for i in ids]


class EstimatedCounter:
    """Counts by a rule of thumb, for an installation without the vocabulary: within about 15 % on prose."""

    is_exact = False

    def count(self, text: str) -> int:
        """Estimate one text: 4.5 characters of one byte, or 1.25 of three, make a token."""
        n_bytes = len(text.encode("utf-8", "surrogatepass"))
        n_wide = (n_bytes - len(text)) / 2
        return max(1, round((len(text) - n_wide) / 4.5 + n_wide / 1.25)) if text else 0

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Estimate each of several texts."""
        return [self.count(text) for text in texts]

    def count_pieces(self, text: str, stops: Sequence[int]) -> list[int]:
        """Share the estimate of the whole text out to its pieces."""
        total, weights = self.count(text), [self.count(text[a:b]) for a, b in pairwise((0, *stops))]
        shares = np.cumsum(weights) * (total / max(1, sum(weights)))
        return np.diff(np.rint(shares).astype(np.int64), prepend=0).tolist()  # type: ignore[no-any-return]

    def encode(self, text: str) -> list[int]:
        """Raise ModelUnavailable: an estimate has no tokens."""
        raise ModelUnavailable(f"{NO_VOCABULARY} {len(text)} characters stay unencoded.")

    def encode_special(self, text: str) -> list[int]:
        """Raise ModelUnavailable: an estimate has no tokens."""
        return self.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Raise ModelUnavailable: an estimate has no tokens."""
        raise ModelUnavailable(f"{NO_VOCABULARY} {len(ids)} ids stay undecoded.")

    def decode_tokens(self, ids: Sequence[int]) -> list[str]:
        """Raise ModelUnavailable: an estimate has no tokens."""
        raise ModelUnavailable(f"{NO_VOCABULARY} {len(ids)} ids stay undecoded.")


def load_counter(vocabulary: Path | None = None) -> TokenCounter:
    """Load the vocabulary, by default the package's own; without one, the counter that estimates.

    Takes about a quarter of a second and 40 MB; the caller keeps the result. Not for the event loop.
    """
    path = vocabulary or Path(str(files("longscroll"))) / "data" / "qwen.tiktoken"
    if not path.is_file():
        return EstimatedCounter()
    words = path.read_bytes().split()  # a token and its rank by turns; half the time of a loop over the lines
    return VocabularyCounter(dict(zip(map(a2b_base64, words[::2]), map(int, words[1::2]), strict=True)))


class RunningCount:
    """The count of a text that grows: never falls, never above the count of the whole, O(n) over all pieces.

    What stands before the last stable boundary is counted once; a tail that is not empty is at least one token.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._n_settled = 0
        self._tail: list[str] = []
        self.n_open_chars = 0  # of the tail, which ``total`` counts again
        self._last = ""  # the last character of the tail, to find a boundary between two pieces

    def add(self, text: str) -> int:
        """Add the next piece; return the cumulative count that is certain so far."""
        if text:
            probe = self._last + text
            cut = settled_length(probe)
            if cut:
                self._settle(probe[len(self._last) : cut])
                text = probe[cut:]
            self._tail.append(text)
            self.n_open_chars += len(text)
            self._last = probe[-1]
        return self._n_settled + bool(self._last)

    def total(self, more: str = "") -> int:
        """Count the whole text exactly, with ``more`` at its end; it may still grow afterwards."""
        return self._n_settled + self._counter.count("".join((*self._tail, more)))

    def _settle(self, text: str) -> None:
        self._n_settled += self._counter.count("".join(self._tail) + text)
        self._tail.clear()
        self.n_open_chars = 0


def count_chat(counter: TokenCounter, messages: Iterable[tuple[str, int]], *, is_open: bool = False) -> int:
    """Count the ChatML rendering of a conversation from ``(role, tokens of the content)``, PROTOCOL.md §6.5.

    One that ``is_open`` ends inside its last message, which the answer goes on from.
    """
    end = -CHATML_END if is_open else CHATML_TAIL
    return end + sum(CHATML_MESSAGE + counter.count(role) + n_tokens for role, n_tokens in messages)


def settled_length(text: str) -> int:
    """Find the last place where ``text`` can be cut so that the counts of both parts add up, whatever follows; else 0.

    Such places are: after a letter before a non-letter; after a digit; after a newline before anything but white space.
    Combining marks never begin the second part, because NFC could join them to the first. Only the last few thousand
    characters are looked at: text without such a place among them is not language.
    """
    last = min(len(text) - 1, len(text.rstrip(ascii_letters)))  # the usual piece is a word: nothing is inside it
    for i in range(last, max(0, len(text) - SEARCHED_CHARS), -1):
        if is_stable_cut(text, i):
            return i
    return 0


def is_stable_cut(text: str, at: int) -> bool:
    """Say whether ``text`` can be cut there so that the counts of both parts add up."""
    before, after = text[at - 1], text[at]
    if before.isalpha():
        return after.isspace() or unicodedata.category(after)[0] in "NPSZ"
    if before == "\n":
        return not after.isspace() and unicodedata.category(after)[0] in "LNPS"
    return "0" <= before <= "9" and (after.isspace() or unicodedata.category(after)[0] in "LNPSZ")


def _pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces that the encoder can take; their counts add up, except in text that is no language."""
    start = 0
    for at in range(RUN_CHARS, len(text), RUN_CHARS):
        # tiktoken's regular expression overflows its stack on a long run of white space, and that error is a panic.
        if text[at - RUN_CHARS : at].isspace():
            yield text[start:at]
            start = at
        elif at - start >= PIECE_CHARS:
            stop = start + (settled_length(text[start:at]) or at - start)
            yield text[start:stop]
            start = stop
    yield text[start:] if start else text


def _nfc(text: str) -> str:
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)
