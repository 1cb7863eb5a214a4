"""One pass over the test queries: every contender scores each chunk once, and ranks and lists are kept.

A chunk has memory_mb / (4 · n_items · (parts + 2)) queries: room for the scores of every part, the fused
ones, and one buffer in which abstentions are masked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from fuserec.control.lists import Maker
from fuserec.evaluation.candidates import EVERYTHING, Candidates, Sampler, sampled_ranks
from fuserec.numerics.hashing import reseed
from fuserec.numerics.ranks import tied_ranks
from fuserec.rerank.chain import Chain, lists_of

if TYPE_CHECKING:
    from fuserec.control.board import Board
    from fuserec.data.splits import Holdout
    from fuserec.evaluation.contenders import Contender, Fused, Ground, LineUp
    from fuserec.rerank.base import Reranker
    from fuserec.rerank.chain import Lists
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scores

_NONE = Chain()


@dataclass(frozen=True)
class Outcome:
    """What one model made of the test queries.

    Parameters
    ----------
    ranks : float64 (n_targets,)
        Mean rank of each target among all items but the history; items that the model abstains on share the
        last ranks. Where candidates are sampled: among those.
    answered : bool (n_targets,)
        Whether the model has a score for the target at all: without one it is in no list.
    n_candidates : int64 (n,)
    lists : int32 (n, max k)
        The items shown, best first, -1 after the end.
    counts : int32 (n,)
    score_s : float
        Seconds of scoring all queries; for a fusion those of its parts, of combining them and of reranking.
    tied : int64 (n_targets,)
        Candidates that have the target's score, itself among them.
    probabilities : float32 (n, max k) or None
        Of each item shown, that it is the one taken, 0 after the end; None for a model that gives none.
    served : Reranker or None
        Whose aim the lists are measured by, on a curve of cost.
    """

    ranks: np.ndarray
    answered: np.ndarray
    n_candidates: np.ndarray
    lists: np.ndarray
    counts: np.ndarray
    score_s: float
    tied: np.ndarray
    probabilities: np.ndarray | None = None
    served: Reranker | None = None


def ranking_pass(
    line_up: LineUp, depth: int, run: RunOptions, candidates: Candidates = EVERYTHING
) -> dict[str, Outcome]:
    """Return the outcome of every reported model, by name, in their order.

    Parameters
    ----------
    line_up : LineUp
    depth : int
        Length of the lists.
    run : RunOptions
    candidates : Candidates
        What targets are ranked among; lists are always of the whole catalogue.
    """
    records: dict[str, _Record] = {}
    for ground in line_up.grounds:
        contenders = {n: c for n, c in line_up.contenders.items() if c.ground is ground}
        fusions = {n: f for n, f in line_up.fusions.items() if f.ground is ground}
        reported = frozenset(line_up.reported)
        records |= _Pass(ground, contenders, fusions, reported, depth, run, candidates).records()
    found = {name: records[name].outcome() for name in line_up.reported}
    aims = {name: fused.served for name, fused in line_up.fusions.items()}
    return {name: replace(outcome, served=aims.get(name)) for name, outcome in found.items()}


@dataclass
class _Record:
    """Outcomes of the chunks so far."""

    pieces: list[tuple[np.ndarray, ...]] = field(default_factory=list)
    score_s: float = 0.0

    def outcome(self) -> Outcome:
        """Join the chunks."""
        joined = [np.concatenate(column) for column in zip(*self.pieces, strict=True)]
        ranks, tied, answered, n_candidates, lists, counts = joined[:6]
        chances = joined[6] if len(joined) > 6 else None
        return Outcome(ranks, answered, n_candidates, lists, counts, self.score_s, tied, chances)


@dataclass
class _Pass:
    """The pass over the queries of one ground."""

    ground: Ground
    contenders: dict[str, Contender]
    fusions: dict[str, Fused]
    reported: frozenset[str]
    depth: int
    run: RunOptions
    candidates: Candidates = EVERYTHING

    def records(self) -> dict[str, _Record]:
        """Score all chunks."""
        test, run = self.ground.test, self.run
        n_items = test.train.n_items
        shared = {name for fused in self.fusions.values() for name in fused.members.values()}
        chunk = run.memory_mb * 2**20 // (4 * max(1, n_items) * (max(1, len(shared)) + 2))
        chunk = min(max(1, chunk), len(test))
        self._ties = reseed(test.train.items.hashes, run.seed)
        self._buffer = np.empty((chunk, n_items), np.float32)
        self._records = {name: _Record() for name in (*self.contenders, *self.fusions)}
        sampler = (
            Sampler(self.candidates, test.train.item_counts, run.rng("candidates"))
            if self.candidates.sampled
            else None
        )
        alone = [name for name in self.contenders if name not in shared]
        for lo in range(0, len(test), chunk):
            run.progress("scoring test queries", lo, len(test))
            piece = test.take(np.arange(lo, min(lo + chunk, len(test))))
            self._drawn = None if sampler is None else sampler.draw(piece)
            self._together(piece, [name for name in self.contenders if name in shared])
            for name in alone:
                self._keep(name, self._scores(name, piece), piece)
        run.progress("scoring test queries", len(test), len(test))
        return self._records

    def _together(self, piece: Holdout, names: list[str]) -> None:
        """Score a chunk by the parts of fusions, then combine: each part's scores are made once."""
        spent = {name: -self._records[name].score_s for name in names}
        scores = {name: self._scores(name, piece) for name in names}
        spent = {name: before + self._records[name].score_s for name, before in spent.items()}
        combined: dict[int, tuple[Scores, float]] = {}
        for name, fused in self.fusions.items():
            if id(fused.blend) not in combined:  # its variants show the same scores in other orders
                began = time.perf_counter()
                members = {part: scores[member] for part, member in fused.members.items()}
                made = fused.blend.combine(members, piece.queries)
                combined[id(fused.blend)] = made, time.perf_counter() - began
            made, own = combined[id(fused.blend)]
            self._records[name].score_s += own + sum(spent[m] for m in set(fused.members.values()))
            self._keep(name, made, piece, fused.chain, fused.board)
        for name in names:
            self._keep(name, scores[name], piece)

    def _scores(self, name: str, piece: Holdout) -> Scores:
        """Score a chunk by one contender, on the clock."""
        self.run.check()
        began = time.perf_counter()
        scores = self.contenders[name].scorer.score(piece.queries)
        self._records[name].score_s += time.perf_counter() - began
        return scores

    def _keep(
        self, name: str, scores: Scores, piece: Holdout, chain: Chain = _NONE, board: Board | None = None
    ) -> None:
        """Keep ranks and lists of a chunk where the model is reported."""
        if name not in self.reported:
            return
        self.run.check()
        threads, q, exclude = self.run.threads, piece.queries, piece.queries.seen()
        began = time.perf_counter()
        visible = chain.permitted(self._visible(scores), q)
        if board is not None and board.hidden is not None:
            visible = np.where(board.hidden, np.float32(-np.inf), visible)
        self._records[name].score_s += time.perf_counter() - began
        if self._drawn is None:
            plain, tied, candidates = tied_ranks(visible, exclude, (piece.indptr, piece.items), threads)
        else:
            plain, tied, candidates = sampled_ranks(visible, self._drawn, piece, threads)
        began = time.perf_counter()
        width = max(self.depth, chain.depth) if chain else self.depth
        if board is None:
            shown = lists_of(
                visible, width, chain, q, exclude=exclude, ties=self._ties, threads=threads, places=self.depth
            )
            ranks = moved_ranks(plain, shown, piece)
        else:
            maker = Maker(board, chain, self._ties, threads)
            pool = maker.pool(visible, self.depth, q, exclude)
            dialled = maker.chosen(pool, self.depth, whole=True)
            shown, ranks = dialled, dialled.ranks(moved_ranks(plain, pool.base, piece), piece)
        self._records[name].score_s += time.perf_counter() - began if chain or board is not None else 0.0
        if self._drawn is not None:
            ranks = plain  # a sample is ranked by scores: what rerankers move has no place in it
        tied = np.where(ranks == plain, tied, 1)  # what was moved stands in one place
        answered = np.isfinite(visible[piece.rows, piece.items])
        lists, counts = shown.items[:, : self.depth], np.minimum(shown.counts, self.depth)
        kept: tuple[np.ndarray, ...] = (ranks, tied, answered, candidates, lists, counts)
        if name in self.fusions:
            values = self.fusions[name].blend.probability(shown.scores[:, : self.depth])
            kept = (*kept, np.where(lists >= 0, values, 0).astype(np.float32))
        self._records[name].pieces.append(kept)

    def _visible(self, scores: Scores) -> np.ndarray:
        """Return the scores, minus infinity where the model abstains; the scorer's array stays as it is."""
        if scores.items.all() and scores.queries.all():
            return scores.values
        visible = self._buffer[: len(scores.values)]
        visible.fill(-np.inf)
        np.copyto(visible, scores.values, where=scores.answered)
        return visible


def moved_ranks(ranks: np.ndarray, shown: Lists, piece: Holdout) -> np.ndarray:
    """Return the ranks of targets float64 (n_targets,) in the lists that are shown.

    Where rerankers leave an item where it was it keeps its mean rank, and so does what stands below their pool; an
    item that was moved has the rank of its place.
    """
    if not shown.trail:
        return ranks
    m = shown.trail[0][1].shape[1]
    came_from = np.broadcast_to(np.arange(m, dtype=np.int32), shown.trail[0][1].shape)
    for _, order in shown.trail:
        came_from = np.take_along_axis(came_from, order.astype(np.int64), axis=1)
    found = shown.items[piece.rows, :m] == piece.items[:, None]
    target, place = np.nonzero(found)
    moved = came_from[piece.rows[target], place] != place
    out = ranks.copy()
    out[target[moved]] = place[moved] + 1.0
    return out
