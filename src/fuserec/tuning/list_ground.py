"""Lists on validation, made again and again from scores that are made once.

The pools of a fusion are the best items of every validation query with their scores; rerankers and dials choose lists
from them, so that a trial costs no scoring. Half of the queries are searched on, the other half checks what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.control.board import Board
from fuserec.control.items import Items
from fuserec.control.lists import DialPool, Maker, draws_of
from fuserec.errors import ConfigError
from fuserec.evaluation.audit import Audit, AuditConfig
from fuserec.evaluation.figures import accuracy
from fuserec.evaluation.groups import user_groups
from fuserec.evaluation.measures import MEASURES
from fuserec.evaluation.ranking_pass import Outcome, moved_ranks
from fuserec.evaluation.yardstick import Yardstick
from fuserec.fusion import fusion_of
from fuserec.metrics import base_name, name_and_k
from fuserec.numerics.hashing import reseed
from fuserec.numerics.ranks import tied_ranks
from fuserec.numerics.topk import top_k
from fuserec.rerank.base import Pool
from fuserec.rerank.chain import Chain, Lists
from fuserec.rerank.learning import taught_chain

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig
    from fuserec.control.controls import Controls
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout
    from fuserec.evaluation.measures import Measured
    from fuserec.fusion.base import Fusion
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer
    from fuserec.tuning.ground import Ground

Figures = dict[str, float]

PLAIN_K = 10
"""Length of the lists where no metric names a k."""

BY_GROUP = ("group_gap", "group_ratio", "group_worst", "group_gap_p", "group_information")
"""Metrics of groups of users: their column is one of users."""

CHANCE, FEWEST_PERMUTATIONS = ("_p", "_null"), 19
"""Names of what permutations tell; where no metric asks for it, a trial makes few of them."""


def group_column(metric: str) -> str | None:
    """Return the column of users that a metric's groups are of.

    Examples
    --------
    >>> group_column("group_worst:gender@10"), group_column("ndcg@10")
    ('gender', None)
    """
    name, _, column = name_and_k(metric)[0].partition(":")
    return column or None if base_name(metric) in BY_GROUP and name else None


@dataclass(frozen=True)
class Setting:
    """One way to make lists.

    Parameters
    ----------
    fusion : str
        The form of the fusion.
    strengths : dict of dict
        Reranker to the settings that differ from the configured ones.
    controls : Controls
        The operator's dials.
    """

    fusion: str
    strengths: Mapping[str, Mapping[str, Any]]
    controls: Controls


@dataclass(frozen=True)
class Half:
    """One half of the validation queries and what a fusion puts first for them."""

    held: Holdout
    items: np.ndarray
    scores: np.ndarray
    counts: np.ndarray
    ranks: np.ndarray
    answered: np.ndarray
    candidates: np.ndarray
    tied: np.ndarray


def _why(metric: str) -> str:
    """Return what a metric that could not be measured may lack."""
    name, _, column = name_and_k(metric)[0].partition(":")
    if name in BY_GROUP and not column:
        return f": name a column of users, such as {name}:gender@10"
    if name.startswith("flagged"):
        return ": say what is flagged, with `flagged` or `flagged_words` of the audit (--audit FILE)"
    return " of these data: they lack what it is made of"


@dataclass
class ListGround:
    """Where lists are judged.

    Parameters
    ----------
    ground : Ground
    config : RecommenderConfig
    chain : Chain
        Unfitted: every reranker that may act.
    parts : dict of Scorer
        Unfitted.
    metrics : tuple of str
        What has to be measured.
    run : RunOptions
    audit : AuditConfig
        Flagged content, protected users, providers; groups are the columns that metrics name.
    dataset : Dataset, optional
        All of the data, where the audit asks for what held-out events were worth.
    """

    ground: Ground
    config: RecommenderConfig
    chain: Chain
    parts: Mapping[str, Scorer]
    metrics: tuple[str, ...]
    run: RunOptions
    audit: AuditConfig = field(default_factory=AuditConfig)
    dataset: Dataset | None = None
    _audits: dict[int, Audit] = field(default_factory=dict)
    _made: dict[str, tuple[Chain, tuple[Half, Half]]] = field(default_factory=dict)
    _fitted: dict[str, Scorer] = field(default_factory=dict)
    _families: tuple[Callable[[Outcome, Yardstick], Measured], ...] | None = None

    def __post_init__(self) -> None:
        ks = {k for metric in self.metrics if (k := name_and_k(metric)[1]) is not None}
        self.ks = tuple(sorted(ks or {PLAIN_K}))
        self.items = Items(self.ground.held.train, self.ground.features)
        self._ties = reseed(self.ground.held.train.items.hashes, self.run.seed)
        self._boards: dict[str, Board | None] = {}

    @property
    def depth(self) -> int:
        """How many of the best items are kept of every query."""
        return max(*self.ks, self.chain.depth, self.config.control.depth)

    def figures(self, setting: Setting, half: int) -> Figures:
        """Return the value of every metric for the lists of a setting, on one half of the queries: 0 or 1."""
        chain, halves = self._prepared(setting.fusion)
        for name, changes in setting.strengths.items():
            chain = chain.retuned(name, **changes)
        acting = {name: one for name, one in chain.rerankers.items() if one.config.strength > 0}
        chain = replace(chain, rerankers=acting)  # at 0 one leaves the order as it is, at full price
        own = halves[half]
        shown, ranks = self._lists(own, chain, setting.controls)
        width = max(self.ks)
        counts = np.minimum(shown.counts, width).astype(np.int32)
        tied = np.where(ranks == own.ranks, own.tied, 1)
        outcome = Outcome(ranks, own.answered, own.candidates, shown.items[:, :width], counts, 0.0, tied)
        train, audit = self.ground.held.train, self._audit(half, own.held)
        yardstick = Yardstick(own.held, train, self.ks, self.ground.features, self.run, audit)
        columns = accuracy(outcome, yardstick)
        found = {name: float(np.nanmean(columns[name])) for name in self.metrics if name in columns}
        return found | self._of_lists(
            outcome, yardstick, [name for name in self.metrics if name not in columns]
        )

    def _audit(self, half: int, held: Holdout) -> Audit:
        """Return what is asked beside accuracy of one half, made once."""
        if half not in self._audits:
            columns = tuple(dict.fromkeys(filter(None, map(group_column, self.metrics))))
            config = self.audit.model_copy(update={"groups": columns})
            if not any(
                metric.partition("@")[0].partition(":")[0].endswith(CHANCE) for metric in self.metrics
            ):
                config = config.model_copy(update={"permutations": FEWEST_PERMUTATIONS})
            train = held.train
            groups = user_groups(
                train.user_table, held.queries.users, columns, config.max_groups, config.smallest_group
            )
            self._audits[half] = Audit(config, self.dataset or train, held, train, groups)
        return self._audits[half]

    def _of_lists(self, outcome: Outcome, yardstick: Yardstick, names: list[str]) -> Figures:
        """Return metrics over lists; families of measures that have none of them are asked once only."""
        if not names:
            return {}
        found: dict[str, float] = {}
        useful = []
        for family in MEASURES if self._families is None else self._families:
            measured = family(outcome, yardstick)
            own = {
                name: float(np.nanmean(column)) for name, column in measured.columns.items() if name in names
            }
            own |= {
                n: float(e.value) for n, e in measured.whole.items() if n in names and e.value is not None
            }
            found |= own
            useful += [family] if own else []
        missing = [name for name in names if name not in found]
        if missing:
            raise ConfigError(
                f"objective: {missing[0]} cannot be measured on the validation lists{_why(missing[0])}"
            )
        self._families = tuple(useful)
        return found

    def _lists(self, own: Half, chain: Chain, controls: Controls) -> tuple[Lists, np.ndarray]:
        """Return the lists of one half by rerankers and dials, and the ranks of the targets in them."""
        top = min(chain.depth, own.items.shape[1])
        pool = Pool.of(own.items[:, :top], own.scores[:, :top], np.minimum(own.counts, top))
        q, places = own.held.queries, max(self.ks)
        pool, trail = chain.apply(pool, q, places, self.run.threads)
        items, scores = own.items.copy(), own.scores.copy()
        items[:, :top], scores[:, :top] = pool.items, pool.scores
        shown = Lists(items, scores, own.counts, chain, trail)
        ranks = moved_ranks(own.ranks, shown, own.held)
        board = self._board(controls)
        if board is None:
            return shown, ranks
        dialled = Maker(board, chain, self._ties, self.run.threads).chosen(
            DialPool(shown, items, scores, own.counts, draws_of(q, self._ties), None), places, whole=True
        )
        return dialled, dialled.ranks(ranks, own.held)

    def _board(self, controls: Controls) -> Board | None:
        """Return the dials resolved, those of the latest settings kept."""
        if not controls.active:
            return None
        key = controls.model_dump_json()
        if key not in self._boards:
            self._boards = {key: Board.of(controls, self.items, self.run)}
        return self._boards[key]

    def _prepared(self, kind: str) -> tuple[Chain, tuple[Half, Half]]:
        """Return fitted rerankers and the pools of a fusion, made when it is first asked for."""
        if kind not in self._made:
            held, features = self.ground.held, self.ground.features
            for done, (name, part) in enumerate(self.parts.items()):
                if name not in self._fitted:
                    self.run.progress("fitting the parts", done, len(self.parts))
                    self._fitted[name] = self.ground.fit(part, self.run)
            self.run.progress(f"learning the fusion: {kind}", 0, 0)
            form = self.config.fusion.model_copy(update={"kind": kind})
            fused = fusion_of(form, self._fitted).taught(held, self.run, features)
            chain = taught_chain(self.chain, fused, held, features, self.run)
            middle = (len(held) + 1) // 2
            rows = np.arange(len(held))  # in random order already
            halves = [self._half(fused, chain, held.take(part)) for part in (rows[:middle], rows[middle:])]
            self._made[kind] = chain, (halves[0], halves[1])
        return self._made[kind]

    def _half(self, fused: Fusion, chain: Chain, held: Holdout) -> Half:
        """Score some queries once, and keep the best items of each and the ranks of its targets."""
        run, n_items = self.run, held.train.n_items
        chunk = max(1, run.memory_mb * 2**20 // (4 * max(1, n_items) * (len(fused.parts) + 2)))
        pieces = []
        for lo in range(0, len(held), chunk):
            run.check()
            run.progress("scoring validation", lo, len(held))
            piece = held.take(np.arange(lo, min(lo + chunk, len(held))))
            scores = fused.score(piece.queries)
            visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
            visible, seen = chain.permitted(visible, piece.queries), piece.queries.seen()
            ranks, tied, candidates = tied_ranks(visible, seen, (piece.indptr, piece.items), run.threads)
            best = top_k(visible, self.depth, exclude=seen, ties=self._ties, threads=run.threads)
            answered = np.isfinite(visible[piece.rows, piece.items])
            pieces.append((*best, ranks, answered, candidates, tied))
        return Half(held, *map(np.concatenate, zip(*pieces, strict=True)))
