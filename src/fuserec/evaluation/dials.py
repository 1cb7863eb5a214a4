"""What a dial does and what it costs: its effect and NDCG at several strengths, on one set of scored queries.

The test queries are scored once; for every strength lists are chosen anew from the same pools. Effect and NDCG have
intervals over users, and their differences from the dial at its first strength are paired.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.control.board import Board, newest, weight
from fuserec.control.controls import Controls
from fuserec.control.items import Items
from fuserec.control.lists import DialPool, Maker
from fuserec.control.shown import Showings
from fuserec.control.topics import topics
from fuserec.errors import ConfigError, RequestError, nearest
from fuserec.evaluation.contenders import Choice, assemble, entries
from fuserec.evaluation.statistics import Difference, Estimate, intervals, paired_differences
from fuserec.metrics.beyond import intra_list_diversity, novelty
from fuserec.numerics.hashing import reseed
from fuserec.rerank.chain import Chain

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout, SplitConfig
    from fuserec.evaluation.contenders import Fused
    from fuserec.rerank.chain import Lists
    from fuserec.run import RunOptions

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

DIALS = ("diversity", "novelty", "freshness", "fatigue", "new_share", "more", "less")
"""Dials that can be measured; of more and less with their topic."""

MEANS = {
    "diversity": "ild@{k}: mean distance between the items of a list",
    "novelty": "novelty@{k}: mean self-information of the items, in bits",
    "freshness": "freshness@{k}: mean share of the dated catalogue that is older",
    "fatigue": "share of places without what the first strength shows, had it been shown at that moment",
    "new_share": "share of places that new items have",
    "more": "mean fit of the items to the topic",
    "less": "mean fit of the items to the topic, counted negatively",
}
"""What the effect of each dial is, in words."""

SLIGHT = 1e-9
"""A step back that is smaller is none: means of float32 in another order."""


@dataclass(frozen=True)
class Step:
    """One strength of a dial.

    Parameters
    ----------
    strength : float
    effect, ndcg : Estimate
    change, cost : Difference or None
        Of effect and NDCG, paired, from the first strength; None for that one.
    """

    strength: float
    effect: Estimate
    ndcg: Estimate
    change: Difference | None
    cost: Difference | None


@dataclass(frozen=True)
class DialCurve:
    """What one dial does.

    Parameters
    ----------
    dial, topic : str
    means : str
        What its effect is.
    steps : tuple of Step
    falling : float
        Share of the lists whose own effect falls at some step; without diversity there is none, by construction.
    """

    dial: str
    topic: str
    means: str
    steps: tuple[Step, ...]
    falling: float

    @property
    def name(self) -> str:
        """How the dial is called."""
        return f"{self.dial}:{self.topic}" if self.topic else self.dial

    @property
    def monotone(self) -> bool:
        """Whether the mean effect never falls."""
        values = [step.effect.value or 0.0 for step in self.steps]
        return all(b >= a - SLIGHT for a, b in itertools.pairwise(values))

    def as_json(self) -> dict[str, Any]:
        """Return the curve as JSON has it."""

        def of(one: Estimate | Difference | None) -> dict[str, Any] | None:
            return None if one is None else asdict(one)

        steps = [
            {
                "strength": step.strength,
                "effect": of(step.effect),
                "ndcg": of(step.ndcg),
                "effect_change": of(step.change),
                "ndcg_change": of(step.cost),
            }
            for step in self.steps
        ]
        return {
            "dial": self.name,
            "effect": self.means,
            "monotone": self.monotone,
            "lists_that_fall": self.falling,
            "steps": steps,
        }


def parse_dials(texts: Sequence[str]) -> list[tuple[str, str, tuple[float, ...]]]:
    """Return dial, topic and strengths of ``diversity=0,0.5,1`` or ``more:categories: Jazz``.

    Raises
    ------
    RequestError
        For an unknown dial, a topic that is missing or not wanted, or strengths that do not rise from 0 to 1.
    """
    found = []
    for text in texts:
        named, sign, listed = text.rpartition("=") if "=" in text else (text, "", "")
        dial, _, topic = (part.strip() for part in named.partition(":"))
        if dial not in DIALS:
            raise RequestError(
                f"--dial {text!r}: no dial {dial!r}{nearest(dial, DIALS)} (known: {', '.join(DIALS)})"
            )
        if (dial in ("more", "less")) != bool(topic):
            wanted = f"{dial}:TOPIC" if dial in ("more", "less") else f"{dial} without a topic"
            raise RequestError(f"--dial {text!r}: write {wanted}, then perhaps =0,0.5,1")
        found.append((dial, topic, _strengths(listed, text) if sign else STRENGTHS))
    return found


def _strengths(listed: str, text: str) -> tuple[float, ...]:
    """Return rising strengths."""
    try:
        values = tuple(float(part) for part in listed.split(","))
    except ValueError:
        values = ()
    rising = all(a < b for a, b in itertools.pairwise(values))
    if len(values) < 2 or not rising or not (values[0] >= 0 and values[-1] <= 1):
        raise RequestError(
            f"--dial {text!r}: write at least two strengths from 0 to 1, rising, e.g. 0,0.25,0.5,0.75,1"
        )
    return values


def measure_dials(
    dataset: Dataset,
    dials: Sequence[str],
    config: RecommenderConfig | None = None,
    *,
    split: SplitConfig,
    k: int = 10,
    run: RunOptions,
) -> tuple[dict[str, Any], list[DialCurve]]:
    """Measure what dials do to the lists of the fusion, and what that costs.

    Parameters
    ----------
    dataset : Dataset
    dials : sequence of str
        As in :func:`parse_dials`.
    config : RecommenderConfig, optional
        Its own dials (``[control]``) stay as they are beside the measured one.
    split : SplitConfig
        The fusion is fitted as an evaluation fits it, and asked for the test queries.
    k : int
        Length of the lists.
    run : RunOptions

    Returns
    -------
    facts : dict
        Dataset, split, users.
    curves : list of DialCurve

    Raises
    ------
    RequestError, ConfigError, DataError
        For a dial that cannot be measured on these data, and as an evaluation.
    """
    from fuserec.data.splits import split as split_data
    from fuserec.evaluation import provenance

    asked = parse_dials(dials)
    found = entries(dataset, config)
    held = split_data(dataset, split, run.seed)
    line_up = assemble(dataset, found, Choice.of(["fused"], found), held, run)
    if "fused" not in line_up.fusions:
        raise ConfigError("--dial: there is no fusion to measure; name parts in the configuration")
    fused = line_up.fusions["fused"]
    bench = _Bench(fused, Items(held.train, fused.ground.features), found[0].config.control, k, run)
    curves = [bench.curve(dial, topic, strengths) for dial, topic, strengths in asked]
    facts = {
        "dataset": provenance.dataset_facts(dataset).model_dump(mode="json"),
        "split": provenance.split_facts(held, run.seed),
        "users": len(held.test),
        "k": k,
    }
    return facts, curves


@dataclass(frozen=True)
class _Bench:
    """A fitted fusion whose lists are measured."""

    fused: Fused
    items: Items
    base: Controls
    k: int
    run: RunOptions

    def curve(self, dial: str, topic: str, strengths: tuple[float, ...]) -> DialCurve:
        """Measure one dial: score the queries chunk by chunk, choose lists for every strength."""
        test, items = self.fused.ground.test, self.items
        settings = [self._controls(dial, topic, strength) for strength in strengths]
        boards = [Board.of(one, items, self.run, at=newest(test.queries.at)) for one in settings]
        widest = Board.of(
            self._controls(dial, topic, max(0.5, strengths[-1])), items, self.run, at=newest(test.queries.at)
        )
        fit = topics([topic], items.dataset, items.features, self.run)[0].fit if topic else None
        effects = [list[np.ndarray]() for _ in strengths]
        gains = [list[np.ndarray]() for _ in strengths]
        n_items = test.train.n_items
        chunk = max(
            1, self.run.memory_mb * 2**20 // (4 * max(1, n_items) * (len(self.fused.blend.parts) + 4))
        )
        ties = reseed(test.train.items.hashes, self.run.seed)
        for lo in range(0, len(test), chunk):
            self.run.check()
            self.run.progress(f"measuring {dial}", lo, len(test))
            piece = test.take(np.arange(lo, min(lo + chunk, len(test))))
            pool = self._pool(piece, widest, ties)
            first: Lists | None = None
            for place, board in enumerate(boards):
                shown = self._shown(dial, strengths[place], board, pool, ties, first)
                first = shown if first is None else first
                effects[place].append(self._effect(dial, shown, first, items, widest, fit))
                gains[place].append(ndcg_of_lists(shown, piece, self.k))
        columns = [np.concatenate(one) for one in effects]
        return DialCurve(
            dial,
            topic,
            MEANS[dial].format(k=self.k),
            self._steps(strengths, columns, [np.concatenate(one) for one in gains]),
            _falling(columns),
        )

    def _controls(self, dial: str, topic: str, strength: float) -> Controls:
        """Return the operator's dials with the measured one."""
        value: Any = {topic: strength} if topic else strength
        return Controls.parse({dial: value}, f"--dial {dial}").over(self.base)

    def _pool(self, piece: Holdout, board: Board, ties: np.ndarray) -> DialPool:
        """Return what lists are chosen from, the same for every strength."""
        scores = self.fused.blend.score(piece.queries)
        visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
        visible = self.fused.chain.permitted(visible, piece.queries)
        maker = Maker(board, self.fused.chain, ties, self.run.threads)
        return maker.pool(visible, self.k, piece.queries, piece.queries.seen())

    def _shown(
        self, dial: str, strength: float, board: Board, pool: DialPool, ties: np.ndarray, first: Lists | None
    ) -> Lists:
        """Return the lists of one strength."""
        maker = Maker(board, Chain(), ties, self.run.threads)
        if dial != "fatigue" or first is None:
            return maker.chosen(pool, self.k)
        return maker.chosen(tired(pool, first, strength), self.k)

    def _effect(
        self, dial: str, shown: Lists, first: Lists, items: Items, board: Board, fit: np.ndarray | None
    ) -> np.ndarray:
        """Return float64 (n,): the effect of a dial on every list, NaN where it has none."""
        lists, counts = shown.items, shown.counts
        if dial == "diversity":
            return intra_list_diversity(lists, counts, self.k, items.vectors)
        if dial == "novelty":
            return novelty(lists, counts, self.k, items.users, items.people)
        if dial == "fatigue":
            again = (lists[:, :, None] == first.items[:, None, :]) & (lists >= 0)[:, :, None]
            return 1 - _mean(again.any(axis=2), shown)
        if dial == "freshness":
            return _mean(items.freshness(board.controls.time_column)[lists], shown)
        if dial == "new_share":
            assert board.new is not None
            return _mean(board.new[lists], shown)
        assert fit is not None
        return _mean(fit[lists], shown) * (1 if dial == "more" else -1)

    def _steps(
        self, strengths: tuple[float, ...], effects: list[np.ndarray], gains: list[np.ndarray]
    ) -> tuple[Step, ...]:
        """Return the figures of every strength; all share their resamples."""
        names = [f"{strength:g}" for strength in strengths]
        table = {("effect", name): column for name, column in zip(names, effects, strict=True)}
        table |= {("ndcg", name): column for name, column in zip(names, gains, strict=True)}
        found = intervals(table, rng=self.run.rng("bootstrap"))
        changes = {"effect": effects, "ndcg": gains}
        differences: dict[str, Mapping[str, Difference]] = {
            what: paired_differences(
                dict(zip(names[1:], columns[1:], strict=True)), columns[0], rng=self.run.rng("bootstrap")
            )
            for what, columns in changes.items()
        }
        return tuple(
            Step(
                strength,
                found["effect", name],
                found["ndcg", name],
                differences["effect"].get(name),
                differences["ndcg"].get(name),
            )
            for strength, name in zip(strengths, names, strict=True)
        )


def tired(pool: DialPool, first: Lists, strength: float) -> DialPool:
    """Return the pool as after the first lists were shown and not taken just now, weighed as the dial weighs it."""
    once = Showings(np.zeros(1, np.int64), np.zeros(1)).tiredness(0.0, 1.0, 1)[0]
    shown = (pool.items[:, :, None] == first.items[:, None, :]).any(axis=2)
    return replace(pool, tired=weight(strength) * float(once) * shown)


def ndcg_of_lists(shown: Lists, piece: Holdout, k: int) -> np.ndarray:
    """Return float64 (n,): NDCG of the lists as they stand, ties settled; NaN for a query without a target."""
    n = len(piece)
    hits = shown.items[piece.rows, :k] == piece.items[:, None]
    target, place = np.nonzero(hits)
    gains = np.bincount(piece.rows[target], 1 / np.log2(place + 2.0), minlength=n)
    relevant = np.diff(piece.indptr)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])[np.minimum(relevant, k)]
    out = np.full(n, np.nan)
    np.divide(gains, ideal, out=out, where=ideal > 0)
    return out


def _mean(values: np.ndarray, shown: Lists) -> np.ndarray:
    """Return float64 (n,): the mean over the items of each list, NaN for an empty one."""
    there = np.arange(shown.items.shape[1]) < shown.counts[:, None]
    totals = np.where(there, values, 0).sum(axis=1, dtype=np.float64)
    out = np.full(totals.size, np.nan)
    np.divide(totals, shown.counts, out=out, where=shown.counts > 0)
    return out


def _falling(columns: list[np.ndarray]) -> float:
    """Return the share of lists whose effect falls at some step."""
    falls = np.zeros(columns[0].size, dtype=bool)
    for before, after in itertools.pairwise(columns):
        falls |= after < before - 1e-6
    return float(falls.mean()) if falls.size else 0.0
