"""Which passages go to the engine, within a budget of tokens.

Owns the choice and its order. Pure arithmetic on passage numbers; knows no text, no score's origin and no engine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from longscroll.reading.rank import Hit

Sizes = Sequence[int] | NDArray[np.uint32]
"""Tokens of each passage of a document."""


class BudgetTooSmall(Exception):
    """Not even the best passage fits; the caller decides whether to cut it or to go without."""


class PackOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How passages are chosen."""

    header_tokens: int = 24  # of ``[n] file · section · page`` and the blank lines around a passage
    neighbor_score: float = 0.3  # a neighbor comes along when it scores this share of the best
    n_neighbored: int = 3  # the neighbors of so many best passages come along in any case
    stop_score: float = 0.15  # once ``n_sure`` passages are in, weaker ones than this share only distract
    n_sure: int = 8
    n_fronts: int = 2  # first passages of each document, when there are few documents
    max_fronted: int = 3
    max_joined: int = 4  # adjacent passages shown as one


class Choice(NamedTuple):
    """Adjacent passages ``[first, stop)`` of one document, as one piece of evidence."""

    document: int
    first: int
    stop: int
    n_tokens: int  # header included
    score: float  # of the best of them


def pack(
    hits: Sequence[Hit],
    sizes: Sequence[Sizes],
    *,
    budget: int,
    named: Collection[int] = (),
    options: PackOptions,
) -> list[Choice]:
    """Choose the passages that go to the engine, in document order; never more than ``budget`` tokens with headers.

    ``sizes[document][passage]`` are tokens, ``hits`` best first, ``named`` the documents that the question names: each
    of these has its best passage in before the rest is filled by score. Adjacent passages are joined, up to
    ``max_joined``; every passage is counted with a header of its own, so joining only leaves room.

    Raises:
        BudgetTooSmall: the best passage does not fit.
    """
    if not hits:
        return []
    scores = {(hit.document, hit.passage): hit.score for hit in hits}
    chosen: set[tuple[int, int]] = set()
    left = budget
    for place in _wishes(hits, scores, sizes, named, options):
        if len(chosen) >= options.n_sure and scores.get(place, 0.0) < options.stop_score * hits[0].score:
            continue
        cost = int(sizes[place[0]][place[1]]) + options.header_tokens
        if place not in chosen and cost <= left:
            chosen.add(place)
            left -= cost
    if not chosen:
        raise BudgetTooSmall
    return _join(sorted(chosen), scores, sizes, options)


def everything(sizes: Sequence[Sizes]) -> list[Choice]:
    """Choose every passage of every document, each by itself: citations stay precise."""
    return [Choice(d, p, p + 1, int(n), 0.0) for d, passages in enumerate(sizes) for p, n in enumerate(passages)]


def _wishes(
    hits: Sequence[Hit],
    scores: dict[tuple[int, int], float],
    sizes: Sequence[Sizes],
    named: Collection[int],
    options: PackOptions,
) -> Iterator[tuple[int, int]]:
    """Yield places in order of how much they are wanted; repeats are the caller's."""
    best = hits[0].score
    yield hits[0].document, hits[0].passage
    for document in named:
        yield from [(document, hit.passage) for hit in hits if hit.document == document][:1]
    weakest = options.stop_score * best  # what comes along for its place, not for its words, counts as this
    if len(sizes) <= options.max_fronted:
        for document, passages in enumerate(sizes):
            for place in ((document, passage) for passage in range(min(options.n_fronts, len(passages)))):
                scores.setdefault(place, weakest)
                yield place
    for rank, hit in enumerate(hits):
        yield hit.document, hit.passage
        for neighbor in (hit.passage - 1, hit.passage + 1):
            place = (hit.document, neighbor)
            is_wanted = rank < options.n_neighbored or scores.get(place, 0.0) >= options.neighbor_score * best
            if is_wanted and 0 <= neighbor < len(sizes[hit.document]):
                scores.setdefault(place, weakest)
                yield place


def _join(
    places: Iterable[tuple[int, int]],
    scores: dict[tuple[int, int], float],
    sizes: Sequence[Sizes],
    options: PackOptions,
) -> list[Choice]:
    choices: list[Choice] = []
    runs = groupby(enumerate(places), key=lambda item: (item[1][0], item[1][1] - item[0]))
    for _, run in runs:
        members = [place for _, place in run]
        for start in range(0, len(members), options.max_joined):
            piece = members[start : start + options.max_joined]
            document, first = piece[0]
            n_tokens = sum(int(sizes[d][p]) for d, p in piece) + options.header_tokens
            best = max(scores.get(place, 0.0) for place in piece)
            choices.append(Choice(document, first, first + len(piece), n_tokens, best))
    return choices
