"""A few users for people to look at: a gain, a loss, one with little history and a typical one, with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from fuserec.evaluation.results import SampleItem, SampleUser
from fuserec.fusion.cohorts import SHORT
from fuserec.reasons import Language, reason

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.evaluation.contenders import LineUp
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Columns
    from fuserec.fusion.base import Fusion
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer

LIST_LENGTH = 5
LANGUAGES: tuple[Language, ...] = get_args(Language)


def examples(
    dataset: Dataset,
    line_up: LineUp,
    outcomes: Mapping[str, Outcome],
    columns: Mapping[str, Columns],
    metric: str,
    run: RunOptions,
) -> list[SampleUser]:
    """Return a few users with the end of their history, what came next, and each model's list.

    Parameters
    ----------
    dataset : Dataset
    line_up : LineUp
    outcomes, columns : mapping
        What each model made of the test queries, and its figures per query.
    metric : str
        The metric that decides.
    run : RunOptions
        Equal seeds choose the same users.
    """
    lead = next((name for name in outcomes if name in line_up.fusions), next(iter(outcomes), None))
    if lead is None:
        return []
    values = {name: own[metric] for name, own in columns.items()}
    chosen = _chosen(line_up, outcomes, values, lead, run.rng("examples"))
    show = _Showing(dataset, line_up, outcomes, lead)
    return [show.user(row, why) for why, row in chosen.items()]


def _chosen(
    line_up: LineUp,
    outcomes: Mapping[str, Outcome],
    values: Mapping[str, np.ndarray],
    lead: str,
    rng: np.random.Generator,
) -> dict[str, int]:
    """Return the row of each example by what it is an example of; among equals chance decides."""
    test = line_up.grounds[0].test
    drawn = rng.permutation(len(test))
    lengths = test.queries.lengths
    best = _best_other(values, lead)
    wishes: list[tuple[str, np.ndarray]] = []
    if best is not None:
        here, there = (_found(outcomes[name], test.rows, test.items) for name in (lead, best))
        wishes += [("gain", here & ~there), ("loss", there & ~here)]
    fewest = int(lengths.min())
    wishes.append(("short" if fewest else "cold", (lengths == fewest) & (fewest <= SHORT)))
    wishes.append(("typical", _middling(values[lead], lengths)))
    found: dict[str, int] = {}
    for why, wished in wishes:
        row = next((int(row) for row in drawn if wished[row] and int(row) not in found.values()), None)
        if row is not None:
            found[why] = row
    return found or {"": int(drawn[0])}


def _middling(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return bool (n,): of the queries with a history of about median length, those with about the median figure."""
    near: np.ndarray = (np.abs(lengths - np.median(lengths)) <= 1) & np.isfinite(values)
    if not near.any():
        return near
    away = np.where(near, np.abs(values - np.nanmedian(values)), np.inf)
    middling: np.ndarray = away <= away.min() + 1e-9
    return middling


def _best_other(values: Mapping[str, np.ndarray], lead: str) -> str | None:
    """Return the model with the best mean but the leading one."""
    means = {name: float(np.nansum(column)) for name, column in values.items() if name != lead}
    return max(means, key=means.__getitem__, default=None)


def _found(outcome: Outcome, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return bool (n,): whether what is shown of a list holds a target."""
    shown = (outcome.lists[rows, :LIST_LENGTH] == items[:, None]).any(axis=1)
    found: np.ndarray = np.bincount(rows, weights=shown, minlength=len(outcome.lists)) > 0
    return found


@dataclass
class _Showing:
    """Shows users and items by their titles."""

    dataset: Dataset
    line_up: LineUp
    outcomes: Mapping[str, Outcome]
    lead: str

    def __post_init__(self) -> None:
        columns, ids = self.dataset.item_table.columns, self.dataset.items
        told = self.dataset.item_table["title"].to_list() if "title" in columns else [None] * len(ids)
        self._titles: Sequence[str] = [
            str(title) if title else ids[index] for index, title in enumerate(told)
        ]

    def user(self, row: int, why: str) -> SampleUser:
        """Return one query as an example."""
        test = self.line_up.grounds[0].test
        q, who = test.queries, int(test.queries.users[row])
        history = q.items[q.indptr[row] : q.indptr[row + 1]][-LIST_LENGTH:]
        targets = test.items[test.indptr[row] : test.indptr[row + 1]]
        return SampleUser(
            user_id=self.dataset.users[who] if who >= 0 else "",
            history=[self._titles[int(item)] for item in history],
            targets=[self._titles[int(item)] for item in targets[:LIST_LENGTH]],
            lists={name: self._list(name, row, targets) for name in self.outcomes},
            why=why,
        )

    def _list(self, name: str, row: int, targets: np.ndarray) -> list[SampleItem]:
        """Return the list of one model; those of fusions and of the leading model with reasons."""
        shown = self.outcomes[name].lists[row, :LIST_LENGTH]
        shown = shown[shown >= 0]
        told = self._reasons(name, row, shown) if name == self.lead or name in self.line_up.fusions else []
        return [
            SampleItem(
                item_id=self.dataset.items[int(item)],
                title=self._titles[int(item)],
                hit=bool(np.isin(item, targets)),
                reason=told[place]["en"] if told else "",
                reasons=told[place] if told else {},
            )
            for place, item in enumerate(shown)
        ]

    def _reasons(self, name: str, row: int, items: np.ndarray) -> list[dict[str, str]]:
        """Return why each item is shown, in every language that reasons are given in."""
        if not items.size:
            return []
        fused = self.line_up.fusions.get(name)
        model: Scorer | Fusion
        if fused is not None:
            model, ground = fused.blend, fused.ground
        else:
            model, ground = self.line_up.contenders[name].scorer, self.line_up.contenders[name].ground
        one = ground.test.queries.take(np.array([row]))
        rows = model.evidence(one, items[None, :])[0]
        return [{language: reason(found, self._titles, language) for language in LANGUAGES} for found in rows]
