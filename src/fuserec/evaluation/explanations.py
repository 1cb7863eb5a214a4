"""Reasons put to the test: whether their claims are true, what they cite counts, and they say different things.

For a sample of test users the reasons of the first items are made as ``recommend`` makes them (less the words that
rerankers and dials add of what they moved), their claims are checked
against the record (:mod:`fuserec.explain.groundedness`), and the item that a reason cites is taken out of the history:
a reason that names what really counted makes the item fall. The same is done with another event of the history, which
shows how far an item falls for any change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fuserec.evaluation.statistics import Estimate, intervals
from fuserec.explain.groundedness import Checker, GroundednessChecker, Record, Support, grounded
from fuserec.metrics.grouping import group_means
from fuserec.metrics.text import distinct_n, lengths, self_overlap
from fuserec.reasons import reason

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.data.splits import Holdout
    from fuserec.evaluation.contenders import LineUp
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Yardstick
    from fuserec.fusion.base import Fusion
    from fuserec.scorers.base import Evidence, Scorer

PLACES = 3
"""Reasons of so many items of a list are checked."""

AT_ONCE = 32
"""Queries scored together."""


def explanations(
    line_up: LineUp, outcomes: dict[str, Outcome], yardstick: Yardstick, checker: Checker | None = None
) -> dict[str, dict[str, Estimate]]:
    """Return the figures of every reported model's reasons, for a sample of users; nothing where none is asked for.

    Parameters
    ----------
    line_up : LineUp
    outcomes : dict of Outcome
    yardstick : Yardstick
        Its audit says of how many users.
    checker : Checker, optional
        What judges claims; rules by default.
    """
    run, n = yardstick.run, yardstick.audit.config.reasons
    if not n:
        return {}
    rows = np.sort(run.rng("reasons").permutation(len(yardstick.test))[:n])
    records = _Records(yardstick.audit.dataset)
    found = {}
    for done, (name, outcome) in enumerate(outcomes.items()):
        run.check()
        run.progress("checking reasons", done, len(outcomes))
        fused = line_up.fusions.get(name)
        model = fused.blend if fused is not None else line_up.contenders[name].scorer
        ground = fused.ground if fused is not None else line_up.contenders[name].ground
        trial = _Trial(model, records, checker or GroundednessChecker(), run.rng("reasons"))
        for lo in range(0, rows.size, AT_ONCE):
            trial.take(ground.test, rows[lo : lo + AT_ONCE], outcome)
        found[name] = trial.figures(yardstick)
    return found


@dataclass(frozen=True)
class _Read:
    """One reason and what the trial saw of it."""

    query: int
    text: str
    true: float
    faithful: float = float("nan")
    control: float = float("nan")


class _Records:
    """Makes the record of a recommendation from the data."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        names = dataset.item_table["title"].to_list() if "title" in dataset.item_table.columns else []
        ids = dataset.items
        self.titles = [
            str(names[at]) if at < len(names) and names[at] else ids[at] for at in range(dataset.n_items)
        ]

    def of(self, q: QueryBatch, query: int, item: int, rows: Sequence[Evidence]) -> Record:
        """Return what is known of one item of one query's list."""
        history = [int(i) for i in q.items[q.indptr[query] : q.indptr[query + 1]]]
        user = int(q.users[query])
        profile = self._cells("user_table", user) if user >= 0 else {}
        topics = [topic for i in set(history) for topic in self._topics("item_table", i)]
        topics += self._topics("user_table", user) if user >= 0 else []
        text = q.text.words[query] if q.text is not None and q.text.words else ""
        return Record(
            item={**self._cells("item_table", item), "id": self._dataset.items[item]},
            history=[self.titles[i] for i in history],
            topics=topics,
            text=text,
            profile=profile,
            evidence=[self._support(row) for row in rows],
        )

    def _support(self, row: Evidence) -> Support:
        """Return a row of evidence in words."""
        if row.kind == "item" and isinstance(row.key, int):
            return Support("item", self.titles[row.key], row.contribution)
        return Support(row.kind, "" if row.key is None else str(row.key), row.contribution)

    def _cells(self, table: str, row: int) -> dict[str, object]:
        """Return the columns of one row of a table; a list as a list."""
        frame: Any = getattr(self._dataset, table)
        return {} if not frame.width else dict(frame.row(row, named=True))

    def _topics(self, table: str, row: int) -> list[str]:
        """Return the categories and tags of an item, or the tags of a user."""
        cells = self._cells(table, row)
        lists: list[Any] = [cells.get(name) or [] for name in ("categories", "tags")]
        return [str(topic) for topics in lists for topic in topics]


class _Trial:
    """The reasons of one model, read one batch of queries after the other."""

    def __init__(
        self, model: Scorer | Fusion, records: _Records, checker: Checker, rng: np.random.Generator
    ) -> None:
        self._model, self._records, self._checker, self._rng = model, records, checker, rng
        self._read: list[_Read] = []

    def take(self, test: Holdout, rows: npt.NDArray[np.int64], outcome: Outcome) -> None:
        """Read the reasons of some queries, and take out what they cite; those with fewer items give fewer."""
        counts = np.minimum(outcome.counts[rows], min(PLACES, outcome.lists.shape[1]))
        for width in np.unique(counts[counts > 0]):
            self._take(test, rows[counts == width], outcome.lists[:, : int(width)])

    def _take(self, test: Holdout, rows: npt.NDArray[np.int64], lists: npt.NDArray[Any]) -> None:
        """Read the reasons of the first items of queries whose lists are full: lists (n_queries, n_places)."""
        q, shown = test.queries.take(rows), lists[rows]
        evidence = self._model.evidence(q, shown)
        before = self._ranks(q, q, shown)
        for place in range(shown.shape[1]):
            said = [reason(evidence[at][place], self._records.titles) for at in range(len(q))]
            cited = np.array([self._cited(evidence[at][place], said[at]) for at in range(len(q))], np.int64)
            other = self._uncited(q, cited)
            items = shown[:, place : place + 1]
            falls = [
                self._ranks(q, _without(q, taken), items)[:, 0] > before[:, place] for taken in (cited, other)
            ]
            for at, text in enumerate(said):
                record = self._records.of(q, at, int(items[at, 0]), evidence[at][place])
                true = grounded(self._checker.check(text, record))
                tried = cited[at] >= 0 and other[at] >= 0
                marks = [float(fall[at]) if tried else float("nan") for fall in falls]
                self._read.append(_Read(int(rows[at]), text, true, *marks))

    def _cited(self, rows: Sequence[Evidence], said: str) -> int:
        """Return the history item that a reason names first, -1 where it names none."""
        weight: dict[int, float] = {}
        for row in rows:
            if row.kind == "item" and isinstance(row.key, int):
                weight[row.key] = weight.get(row.key, 0.0) + row.contribution
        best = max(weight, key=weight.__getitem__, default=-1)
        return best if best >= 0 and self._records.titles[best] in said else -1

    def _uncited(self, q: QueryBatch, cited: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return another item of each history, drawn at random, -1 where there is none."""
        found = np.full(len(q), -1, np.int64)
        for at in range(len(q)):
            rest = q.items[q.indptr[at] : q.indptr[at + 1]]
            rest = rest[rest != cited[at]]
            if rest.size:
                found[at] = self._rng.choice(rest)
        return found

    def _ranks(self, seen: QueryBatch, q: QueryBatch, items: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the rank of items (n, m) by the scores for ``q``, among all but the history of ``seen``."""
        scores = self._model.score(q)
        values = np.where(scores.answered, scores.values, np.float32(-np.inf))
        values[seen.rows, seen.items] = -np.inf
        mine = np.take_along_axis(values, items.astype(np.int64), axis=1)
        return np.stack([1 + (values > mine[:, [at]]).sum(axis=1) for at in range(items.shape[1])], axis=1)

    def figures(self, yardstick: Yardstick) -> dict[str, Estimate]:
        """Return what was seen: means over users with their intervals, and what all texts are like together."""
        if not self._read:
            return {}
        suffix = f"@{min(PLACES, max(yardstick.ks))}"
        texts = [one.text for one in self._read]
        claims = np.array([one.true for one in self._read])
        values = {
            "reasons_true": np.where(np.isnan(claims), np.nan, claims == 1),
            "claims_true": claims,
            "reason_faithful": np.array([one.faithful for one in self._read]),
            "reason_control": np.array([one.control for one in self._read]),
            "reason_overlap": self_overlap(texts, 3),
            "reason_length": lengths(texts),
        }
        users, who = np.unique([one.query for one in self._read], return_inverse=True)
        columns = {f"{name}{suffix}": _by_user(column, who, users.size) for name, column in values.items()}
        found = intervals(columns, rng=yardstick.rng())
        return found | {f"reason_distinct{suffix}": Estimate(distinct_n(texts, 2))}


def _by_user(values: npt.NDArray[np.float64], who: npt.NDArray[Any], n: int) -> npt.NDArray[np.float64]:
    """Return the mean of each user's reasons: the reasons of one list go together."""
    return group_means(values, who, n)


def _without(q: QueryBatch, items: npt.NDArray[np.int64]) -> QueryBatch:
    """Return the queries without all events of one item each; -1 takes nothing out."""
    kept = q.items != items[q.rows]
    counts = np.bincount(q.rows[kept], minlength=len(q))
    return replace(
        q,
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        items=q.items[kept],
        weights=q.weights[kept],
        ratings=q.ratings[kept],
        ages=q.ages[kept],
    )
