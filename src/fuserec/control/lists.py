"""From scores and dials to the lists that are shown: rerankers act first, then dials; scores stay with their items.

A list is chosen from a pool: the best ``depth`` items as the rerankers leave them, and below them the best of what more
is wanted of. With w(s) = s / (1 - s), each place takes the item with the largest

    relevance + Σ w(s_dial) · effect + w(s_diversity) · mean distance from what stands above

where relevance is the score of the place, scaled to the range within the pool. Without diversity that is a sort, and
the first k have the largest sum of relevance + w · effect: so the summed effect of a list never falls when its own dial
is turned up (of two maximisers of f + w·g the one for the larger w has the larger g), whatever the other dials are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fuserec.control.words import Language, clause
from fuserec.numerics.dialled import dialled_order
from fuserec.numerics.diverse import space_of
from fuserec.numerics.hashing import reseed
from fuserec.numerics.topk import top_k
from fuserec.rerank.chain import Chain, Lists, Move, lists_of

if TYPE_CHECKING:
    from fuserec.control.board import Board
    from fuserec.data.query import QueryBatch
    from fuserec.data.splits import Holdout

NAME = "control"
"""What the moves of dials are called."""

MORE = 100
"""Items below the pool that are added to it where more is wanted of them, or twice as many as are shown."""

SLIGHT = 1e-9


@dataclass(frozen=True, kw_only=True)
class Dialled(Lists):
    """Lists as dials leave them.

    Parameters
    ----------
    base : Lists
        As they were before.
    order : int64 (n, k)
        For each place the place in the pool that its item comes from.
    before : int64 (n, k)
        The place, from 0, that each shown item had before.
    parts : tuple of float64 (n, m)
        What each pull of the board adds to the items of the pool.
    worth : float64 (n, m)
        Relevance and all pulls.
    board : Board
    listed : int32 (n,)
        How many items dials have placed; what stands behind only fills up the list.
    """

    base: Lists
    order: np.ndarray
    before: np.ndarray
    parts: tuple[np.ndarray, ...]
    worth: np.ndarray
    board: Board
    listed: np.ndarray

    def moves(self, row: int, language: Language = "en") -> list[tuple[Move, ...]]:
        """Return what happened to each shown item of a row: what rerankers did, then what dials did."""
        earlier = self.base.moves(row, language)
        found: list[tuple[Move, ...]] = []
        for place in range(int(self.counts[row])):
            if place >= self.listed[row]:
                found.append(())
                continue
            own, before = int(self.order[row, place]), int(self.before[row, place])
            moved = list(earlier[own]) if own < len(earlier) else []
            if before != place:
                because = clause(*self._cause(row, own, place, before > place), before > place, language)
                moved.append(Move(NAME, before + 1, place + 1, because))
            found.append(tuple(moved))
        return found

    def ranks(self, ranks: np.ndarray, held: Holdout) -> np.ndarray:
        """Return the ranks of targets float64 (n_targets,) in whole lists: that of its place for what was moved.

        What stands below the pool, or was added to it and not lifted among the best, keeps its mean rank.
        """
        deep = self.base.items.shape[1]
        target, place = np.nonzero(self.items[held.rows] == held.items[:, None])
        came_from = self.order[held.rows[target], place]
        moved = (came_from != place) & ((came_from < deep) | (place < deep))
        out = ranks.copy()
        out[target[moved]] = place[moved] + 1.0
        return out

    def _cause(self, row: int, own: int, place: int, up: bool) -> tuple[str, str]:
        """Return which dial moved an item most, compared with the items that stood on top: kind and topic."""
        top = min(self.items.shape[1], int(self.base.counts[row]))
        gains = [float(part[row, own] - part[row, :top].mean()) for part in self.parts]
        side = 1 if up else -1
        best = max(range(len(gains)), key=lambda d: side * gains[d], default=None)
        new = self.board.new
        kept = new is not None and bool(new[self._item(row, place)])
        if up and kept and int(np.sum(self.worth[row] > self.worth[row, own])) > place:
            return "new", ""
        if best is not None and side * gains[best] > SLIGHT:
            return self.board.pulls[best].kind, self.board.pulls[best].topic
        if self.board.spread:
            return "diversity", ""
        return ("room" if up or new is None or kept else "new"), ""

    def _item(self, row: int, place: int) -> int:
        """Return the item of a place."""
        return int(self.items[row, place])


@dataclass(frozen=True)
class Maker:
    """Makes lists for one board.

    Parameters
    ----------
    board : Board
    chain : Chain
        Rerankers that act before.
    ties : uint64 (n_items,)
    threads : int
    """

    board: Board
    chain: Chain
    ties: np.ndarray
    threads: int = 1

    def lists(
        self,
        visible: np.ndarray,
        k: int,
        q: QueryBatch,
        exclude: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Dialled:
        """Return the lists of ``n`` queries; arguments as of :func:`fuserec.rerank.chain.lists_of`."""
        return self.chosen(self.pool(visible, k, q, exclude), k)

    def pool(
        self,
        visible: np.ndarray,
        k: int,
        q: QueryBatch,
        exclude: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> DialPool:
        """Return what lists are chosen from; one pool serves every strength of the same dials."""
        board = self.board
        if board.hidden is not None:
            visible = np.where(board.hidden, np.float32(-np.inf), visible)
        deep = min(max(k, board.controls.depth), visible.shape[1])
        limits: dict[str, Any] = {"exclude": exclude, "ties": self.ties, "threads": self.threads}
        base = lists_of(visible, deep, self.chain, q, places=k, **limits)
        items, scores, counts = _Found(base.items, base.scores, base.counts)
        if board.wanted.any() and deep < visible.shape[1]:
            extra = np.where(board.wanted, visible, np.float32(-np.inf))
            np.put_along_axis(
                extra, np.where(items >= 0, items, items[:, :1]).astype(np.int64), -np.inf, axis=1
            )
            more = _Found(*top_k(extra, min(max(MORE, 2 * k), visible.shape[1]), **limits))
            items, scores, counts = _behind(_Found(items, scores, counts), more)
        return DialPool(base, items, scores, counts, draws_of(q, self.ties), visible if len(q) == 1 else None)

    def chosen(self, pool: DialPool, k: int, *, whole: bool = False) -> Dialled:
        """Return the lists of k items that the board's dials choose from a pool, or the whole pool in its new order."""
        board, there = self.board, np.arange(pool.items.shape[1]) < pool.counts[:, None]
        parts = tuple(pull.on(pool.items, there) for pull in board.pulls)
        worth = sum(parts, pool.relevance if pool.tired is None else pool.relevance - pool.tired)
        places = min(k, pool.items.shape[1])
        due = np.zeros(pool.items.shape, dtype=bool) if board.new is None else board.new[pool.items] & there
        share = board.controls.new_share if board.new is not None else 0.0
        quota = np.floor(share * np.arange(1, places + 1) + pool.draws[:, None] + 1e-9).astype(np.int32)
        space = board.space if board.spread else EMPTY
        if board.spread or board.new is not None:
            ready = pool.items, pool.counts, worth, space, board.spread, due, quota, places, self.threads
            order = dialled_order(*ready).astype(np.int64)
        else:
            order = np.argsort(np.where(there, -worth, np.inf), axis=1, kind="stable")
        order = order if whole else order[:, :places]
        shown = np.minimum(pool.counts, order.shape[1])
        real = np.arange(order.shape[1]) < shown[:, None]
        items = np.where(real, np.take_along_axis(pool.items, order, axis=1), -1).astype(np.int32)
        scores = np.where(real, np.take_along_axis(pool.scores, order, axis=1), -np.inf).astype(np.float32)
        before = pool.places_of(order)
        base = pool.base
        return Dialled(
            items,
            scores,
            shown,
            base.chain,
            base.trail,
            base=base,
            order=order,
            before=before,
            parts=parts,
            worth=worth,
            board=board,
            listed=shown,
        )


@dataclass(frozen=True)
class DialPool:
    """The items that lists are chosen from.

    Parameters
    ----------
    base : Lists
        The best of all, as rerankers leave them: the first columns.
    items, scores : (n, m)
        With what more is wanted of behind; -1 after the end of a row.
    counts : int32 (n,)
    draws : float64 (n,)
        From 0 to 1, by the history: which lists get the fraction of a place.
    visible : float32 (n_items,) or None
        All scores, where one query alone is asked: they tell the places of items below the pool.
    tired : float64 (n, m) or None
        What each item loses for having been shown, where lists of many queries are made at once.
    """

    base: Lists
    items: np.ndarray
    scores: np.ndarray
    counts: np.ndarray
    draws: np.ndarray
    visible: np.ndarray | None
    tired: np.ndarray | None = None

    @cached_property
    def relevance(self) -> np.ndarray:
        """float64 (n, m): 1 for the first place down to 0 for the last of the best, below 0 for what stands below.

        It belongs to places, as in rerankers: what they put first is the most relevant.
        """
        deep = self.base.items.shape[1]
        there = np.arange(self.items.shape[1]) < self.counts[:, None]
        values = np.where(there, self.scores, 0).astype(np.float64)
        best = np.where(there[:, :deep], values[:, :deep], -np.inf)
        values[:, :deep] = -np.sort(-best, axis=1)
        values = np.where(there, values, 0)
        high = values[:, :1]
        low = np.where(there[:, :deep], values[:, :deep], np.inf).min(axis=1, keepdims=True, initial=np.inf)
        low = np.where(np.isfinite(low), low, high)
        span = np.where(high > low, high - low, 1.0)
        return np.where(there, (values - low) / span, 0.0)

    def places_of(self, order: np.ndarray) -> np.ndarray:
        """Return int64: the place, from 0, that items of the pool had in the whole ranking."""
        deep = self.base.items.shape[1]
        if self.visible is None or not (order >= deep).any():
            return order
        found = order.copy()
        for place in np.flatnonzero(order[0] >= deep):
            found[0, place] = int(np.sum(self.visible[0] > self.scores[0, order[0, place]]))
        return found


EMPTY = space_of(np.zeros((0, 0), np.float32))
"""Vectors of nothing, where distance does not matter."""


class _Found(NamedTuple):
    """The result of a top-k."""

    items: np.ndarray
    scores: np.ndarray
    counts: np.ndarray


def _behind(first: _Found, second: _Found) -> _Found:
    """Return two results of a top-k as one, the second behind the first, without gaps."""
    items, scores = (np.concatenate([a, b], axis=1) for a, b in zip(first[:2], second[:2], strict=True))
    gaps = np.argsort(items < 0, axis=1, kind="stable")
    items, scores = np.take_along_axis(items, gaps, axis=1), np.take_along_axis(scores, gaps, axis=1)
    counts = first.counts + second.counts
    widest = max(int(counts.max(initial=0)), first.items.shape[1])
    return _Found(items[:, :widest], scores[:, :widest], counts)


def draws_of(q: QueryBatch, ties: np.ndarray) -> np.ndarray:
    """Return float64 (n,), 0 to 1, of each history: equal histories draw alike, and it changes with every event."""
    mixed = np.zeros(len(q), np.uint64)
    np.add.at(mixed, q.rows, ties[q.items])
    return np.asarray(reseed(mixed, len(NAME)) >> np.uint64(11), np.float64) * 2.0**-53
