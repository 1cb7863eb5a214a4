"""Going on with what is new while old examples are replayed, and what is forgotten by it.

Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"; Rolnick et al. 2019, "Experience replay for
continual learning". Old and new are parts of the training interactions by time; replayed are examples of the old part,
drawn anew each epoch. Both parts hold out the last example of some people, read before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fuserec.errors import DataError
from fuserec.neural.language.adapt.examples import Examples, Trial, batches_of, held_apart
from fuserec.neural.language.adapt.tasks import PairsTask

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.neural.language.adapt_config import AdaptConfig, ContinualConfig
    from fuserec.neural.language.augmentation import Augmentation
    from fuserec.neural.language.backbone import Backbone
    from fuserec.run import RunOptions

FEWEST = 10
"""Examples that each part has to have."""

DRAWS = 2000


@dataclass(frozen=True)
class Periods:
    """Examples before and after a moment.

    Parameters
    ----------
    examples : Examples
        To learn from, of both parts.
    new : bool (n,)
        Which of them are new.
    held_old, held_new : Examples
    moment : float
        Unix seconds.
    """

    examples: Examples
    new: np.ndarray
    held_old: Examples
    held_new: Examples
    moment: float

    def replayed(self, share: float) -> int:
        """Return how many old examples an epoch reads so that they are ``share`` of it."""
        old = int((~self.new).sum())
        return min(old, round(share / (1.0 - share) * int(self.new.sum())))

    @classmethod
    def of(
        cls, data: Dataset, examples: Examples, config: ContinualConfig, most: int, run: RunOptions
    ) -> Periods:
        """Part examples by the time at which their target was met.

        Raises
        ------
        DataError
            Without times, or where one part is too small.
        """
        data.require_time("newest")
        assert config.newest is not None
        times = met_at(data, examples)
        moment = float(np.quantile(times, 1.0 - config.newest))
        late = times >= moment
        old, new = examples.take(~late), examples.take(late)
        if min(len(old), len(new)) < FEWEST:
            raise DataError(
                f"{data.info.name}: newest = {config.newest:g} leaves {len(old):,} old and {len(new):,} new examples, "
                f"{FEWEST} of each are needed: choose another share"
            )
        (kept_old, held_old), (kept_new, held_new) = (
            held_apart(part, most, data, run) for part in (old, new)
        )
        users = np.concatenate([kept_old.users, kept_new.users])
        order = np.argsort(users, kind="stable")  # of one person the old ones first
        both = Examples(
            np.concatenate([kept_old.targets, kept_new.targets])[order],
            np.concatenate([kept_old.history, kept_new.history])[order],
            users[order],
        )
        return cls(both, (np.arange(users.size) >= len(kept_old))[order], held_old, held_new, moment)


def met_at(data: Dataset, examples: Examples) -> np.ndarray:
    """Return float64 (n,): when the person of each example first took its target."""
    rows = data.interactions
    liked = np.flatnonzero(rows.weight > 0)
    pair = rows.user[liked].astype(np.int64) * data.n_items + rows.item[liked]
    known, first = np.unique(pair, return_index=True)
    wanted = examples.users.astype(np.int64) * data.n_items + examples.targets
    return np.asarray(rows.time[liked[first[np.searchsorted(known, wanted)]]], np.float64)


class ReplayTask(PairsTask):
    """New examples, and a share of old ones that is drawn anew each epoch; judged on what is new.

    Parameters
    ----------
    backbone, texts, config, seed, fast, augmentation
        As of :class:`PairsTask`.
    periods : Periods
    """

    def __init__(
        self,
        backbone: Backbone,
        periods: Periods,
        texts: Sequence[str],
        config: AdaptConfig,
        seed: int,
        fast: torch.dtype,
        augmentation: Augmentation | None,
    ) -> None:
        super().__init__(
            backbone, periods.examples, periods.held_new, texts, config, seed, fast, augmentation=augmentation
        )
        self.periods = periods
        readable = np.array([bool(text) for text in texts])
        rng = np.random.default_rng([seed, 23])
        held = {"old": periods.held_old, "new": periods.held_new}
        self._trials = {part: Trial.of(each, readable, 2000, rng) for part, each in held.items() if len(each)}

    def batches(self, epoch: int) -> Sequence[np.ndarray]:
        """Return positions of the examples of each batch."""
        rng = np.random.default_rng([self.seed, 5, epoch])
        told = self.periods
        old = rng.permutation(np.flatnonzero(~told.new))[: told.replayed(self.config.continual.replay)]
        chosen = np.sort(np.concatenate([np.flatnonzero(told.new), old]))
        part = self.examples.take(chosen)
        return [chosen[at] for at in batches_of(part, self.config.batch_size, self.config.max_pairs, rng)]

    @torch.inference_mode()
    def figures(self) -> dict[str, np.ndarray]:
        """Return the NDCG@10 of each held-out example of the old and of the new part, by content alone."""
        self.backbone.eval()
        return {part: self._figures(trial) for part, trial in self._trials.items()}

    def report(
        self, before: dict[str, np.ndarray], after: dict[str, np.ndarray], run: RunOptions
    ) -> dict[str, Any]:
        """Return what was replayed, and NDCG@10 before and after with the interval of the paired difference."""
        told = self.periods
        found: dict[str, Any] = {
            "since": datetime.fromtimestamp(told.moment, UTC).isoformat(),
            "new": int(told.new.sum()),
            "old": int((~told.new).sum()),
            "replayed": told.replayed(self.config.continual.replay),
        }
        for part, values in after.items():
            change = values - before[part]
            low, high = _ends(change, run.rng(f"forgotten {part}"))
            found[f"on_{part}"] = {
                "people": int(change.size),
                "before": round(float(before[part].mean()), 5),
                "after": round(float(values.mean()), 5),
                "change": round(float(change.mean()), 5),
                "low": round(low, 5),
                "high": round(high, 5),
            }
        return found


def _ends(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Return the ends of the bootstrap interval of 95 % of a mean."""
    means = [values[rng.integers(values.size, size=values.size)].mean() for _ in range(DRAWS)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
