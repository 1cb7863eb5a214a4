"""How often 95 % intervals hold the truth, and how often paired tests cry wolf, on data whose truth is known.

    python -m bench.coverage [--replicates 4000] [--users 50,500,5000] [--seed 0] [--out bench/results/coverage.json]

Each replicate is an evaluation with a truth of its own: rates are drawn anew, because at one rate the number of hits
among few users can only take a few values, and coverage jumps with it. The percentile bootstrap stands beside the
intervals that FuseRec uses; beside that of a gap stands the interval of the two groups that look best and worst. Exit
status 1 where a coverage lies outside 93 to 97 %, or a test rejects more than 6 % of true nulls at 5 %. The rows "few
hits" hold so little that intervals can only be cautious, and those of gaps hold for all pairs of groups at once: there
only the lower bound counts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import records
from fuserec.evaluation.statistics import (
    intervals,
    paired_differences,
    paired_ratio_difference,
    ratio_interval,
    resampled_sums,
    sign_flip_p,
    spread_of_groups,
)

USERS = (50, 500, 5000)
REPLICATES = 4000
BATCH = 200
FEWEST = 2000
"""Replicates of ratios, which share no resamples and take longer: half, but no fewer than these."""
LEAST, MOST, FALSE_ALARMS = 0.93, 0.97, 0.06
LEVEL = 0.95
UNIT = (0.0, 1.0)
DISCOUNTS = 1 / np.log2(1 + np.arange(1, 11))
PLACES = np.arange(1, 11) ** -0.7 / (np.arange(1, 11) ** -0.7).sum()
"""Where a hit stands among the first ten: rather near the top."""

Rng = np.random.Generator
Draw = Callable[[Rng, int, int], tuple[np.ndarray, np.ndarray]]


def ndcg(rng: Rng, rates: np.ndarray, n: int) -> np.ndarray:
    """Return NDCG@10 of one target: 0 for most, else by its place. float64 (n, n_replicates)."""
    gains = DISCOUNTS[rng.choice(10, (n, rates.size), p=PLACES)]
    return np.where(rng.random((n, rates.size)) < rates, gains, 0.0)


def hits(low: float, high: float) -> Draw:
    """Return a draw of hit rates."""

    def draw(rng: Rng, n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        rates = rng.uniform(low, high, count)
        return (rng.random((n, count)) < rates).astype(float), rates

    return draw


def gains(low: float, high: float) -> Draw:
    """Return a draw of NDCG."""

    def draw(rng: Rng, n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        rates = rng.uniform(low, high, count)
        return ndcg(rng, rates, n), rates * (PLACES @ DISCOUNTS)

    return draw


def several(rng: Rng, n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw recall of eight targets each: half of the users are hard, and have none found."""
    rates = rng.uniform(0.1, 0.5, count)
    easy = rng.random((n, count)) < 0.5
    return np.where(easy, rng.binomial(8, np.broadcast_to(rates, (n, count))) / 8, 0.0), rates / 2


def areas(rng: Rng, n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw AUC: high, skewed to the left."""
    high = rng.uniform(4, 12, count)
    return rng.beta(high, 2.0, (n, count)), high / (high + 2)


def rarity(rng: Rng, n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw novelty in bits: no upper bound, skewed to the right."""
    scale = rng.uniform(1, 4, count)
    return rng.gamma(2.0, scale, (n, count)), 2 * scale


def twins(rng: Rng, rates: np.ndarray, lift: float, n: int) -> np.ndarray:
    """Return NDCG of one model less that of another, which agree on 60 % of the users."""
    apart = rng.random((n, rates.size)) < 0.4
    return np.where(apart, ndcg(rng, rates * lift, n) - ndcg(rng, rates, n), 0.0)


def pairs(low: float, high: float, lift: float) -> Draw:
    """Return a draw of paired differences of NDCG; with a lift of 1 there is none."""

    def draw(rng: Rng, n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        rates = rng.uniform(low, high, count)
        truth = 0.4 * (lift - 1) * rates * (PLACES @ DISCOUNTS)
        return twins(rng, rates, lift, n), truth

    return draw


def coins(rng: Rng, n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw differences of hits, -1, 0 or 1, without a difference on average."""
    rates = rng.uniform(0.1, 0.3, count)
    return np.sign(rates - rng.random((n, count))).clip(0) - np.sign(rates - rng.random((n, count))).clip(
        0
    ), np.zeros(count)


def unlike(rng: Rng, n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a model with many hits far down less one with few on top: equal means, unequal shapes."""
    rates = rng.uniform(0.2, 0.4, count)
    often = np.where(rng.random((n, count)) < rates, 0.5, 0.0)
    return often - (rng.random((n, count)) < rates / 2), np.zeros(count)


@dataclass(frozen=True)
class Mean:
    """A mean over users, or a paired difference of two."""

    title: str
    draw: Draw
    paired: bool = False
    within: tuple[float, float] | None = UNIT
    cautious: bool = False


MEANS = (
    Mean("hit rate, 5 to 30 %", hits(0.05, 0.3)),
    Mean("recall of eight targets, half of the users without a hit", several),
    Mean("NDCG@10, hits 10 to 40 %", gains(0.1, 0.4)),
    Mean("AUC", areas),
    Mean("novelty in bits (no upper bound)", rarity, within=None),
    Mean("difference of NDCG@10, hits 20 to 50 %", pairs(0.2, 0.5, 1.3), paired=True),
    Mean("few hits: NDCG@10, hits 2 to 6 %", gains(0.02, 0.06), cautious=True),
    Mean(
        "few hits: difference of NDCG@10, hits 5 to 15 %", pairs(0.05, 0.15, 1.3), paired=True, cautious=True
    ),
)

NULLS: dict[str, Draw] = {
    "NDCG@10, hits 20 to 50 %": pairs(0.2, 0.5, 1.0),
    "NDCG@10, hits 5 to 15 %": pairs(0.05, 0.15, 1.0),
    "hits": coins,
    "equal means, unequal shapes": unlike,
}


@dataclass(frozen=True)
class Row:
    """One line of the table: a share of replicates beside the band that it has to lie in."""

    table: str
    title: str
    users: int
    share: float
    least: float
    most: float
    beside: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the share lies in its band, and of false alarms that of the other test too."""
        beside = self.table != "false alarms" or self.beside is None or self.beside <= self.most
        return beside and self.least <= self.share <= self.most


def held(ends: tuple[np.ndarray, np.ndarray], truth: np.ndarray) -> np.ndarray:
    """Return whether intervals hold the truth, bool (n_replicates,)."""
    return (ends[0] <= truth + 1e-12) & (truth - 1e-12 <= ends[1])


def percentiles(values: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Return percentile bootstrap intervals of the means of columns."""
    means = resampled_sums(values, rng) / len(values)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def batches(replicates: int) -> Iterator[int]:
    """Yield the sizes of batches: resamples are shared within one."""
    for start in range(0, replicates, BATCH):
        yield min(BATCH, replicates - start)


def mean_row(shape: Mean, n: int, replicates: int, rng: Rng) -> Row:
    """Return the coverage of the intervals of a mean."""
    ours, theirs = [], []
    for count in batches(replicates):
        values, truth = shape.draw(rng, n, count)
        columns = dict(enumerate(values.T))
        ranges = None if shape.within is None else dict.fromkeys(columns, shape.within)
        if shape.paired:
            made = list(paired_differences(columns, np.zeros(n), rng=rng, within=shape.within).values())
        else:
            made = list(intervals(columns, rng=rng, within=ranges).values())
        ours.append(held(_ends(made), truth))
        theirs.append(held(percentiles(values, rng), truth))
    most = 1.0 if shape.cautious else MOST
    share, beside = (float(np.concatenate(one).mean()) for one in (ours, theirs))
    return Row("coverage", shape.title, n, share, LEAST, most, beside)


def _ends(made: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of intervals."""
    return np.array([one.low for one in made]), np.array([one.high for one in made])


def errors(rng: Rng, n: int, spread: float, users: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return sums of squared and of absolute errors of users whose ratings are between 1 and many."""
    counts = rng.geometric(0.1, n) if users is None else users
    owner = np.repeat(np.arange(n), counts)
    careful = np.exp(rng.normal(0, 0.3, n))[owner]  # some users are harder to guess than others
    wrong = rng.normal(0, spread, owner.size) * careful
    squared, absolute = (np.bincount(owner, weights, n) for weights in (wrong**2, np.abs(wrong)))
    return np.column_stack([squared, absolute]), counts.astype(float)


HARD = float(np.exp(2 * 0.3**2))
"""Mean square of how hard users are to guess."""


def ratio_rows(n: int, replicates: int, rng: Rng) -> list[Row]:
    """Return the coverage of RMSE, MAE and a difference of RMSE, and the false alarms of its tests."""
    inside: dict[str, list[bool]] = {"RMSE": [], "MAE": [], "difference of RMSE": []}
    alarms: dict[str, list[bool]] = {"permutation": [], "bootstrap": []}
    for _ in range(replicates):
        sums, counts = errors(rng, n, 0.9)
        other = errors(rng, n, 1.0, counts.astype(int))[0]
        equal = errors(rng, n, 0.9, counts.astype(int))[0]
        truths = {
            "RMSE": (ratio_interval(sums[:, 0], counts, rng=rng, root=True), 0.9 * np.sqrt(HARD)),
            "MAE": (
                ratio_interval(sums[:, 1], counts, rng=rng),
                0.9 * np.sqrt(2 / np.pi) * np.exp(0.3**2 / 2),
            ),
            "difference of RMSE": (
                paired_ratio_difference(sums[:, 0], other[:, 0], counts, rng=rng, root=True),
                -0.1 * np.sqrt(HARD),
            ),
        }
        for name, (found, truth) in truths.items():
            inside[name].append(found.low <= truth <= found.high)
        null = paired_ratio_difference(sums[:, 0], equal[:, 0], counts, rng=rng, root=True)
        alarms["permutation"].append(null.p <= 0.05)
        alarms["bootstrap"].append(null.p_bootstrap <= 0.05)
    rows = [Row("coverage", name, n, float(np.mean(own)), LEAST, MOST) for name, own in inside.items()]
    permutation, bootstrap = (float(np.mean(own)) for own in alarms.values())
    return [*rows, Row("false alarms", "RMSE", n, permutation, 0, FALSE_ALARMS, bootstrap)]


APART: dict[str, tuple[float, ...]] = {
    "equal": (1.0, 1.0, 1.0, 1.0),
    "unequal": (0.6, 1.0, 1.0, 1.4),
}
"""How often users of four groups find something, as a share of the average."""


def gap_rows(n: int, replicates: int, seed: int) -> list[Row]:
    """Return the coverage of the gap between the best and the worst served of four groups.

    Beside it that of the usual interval of the two groups which look best and worst.
    """
    found = []
    codes = np.arange(n) % 4
    for at, (title, lifts) in enumerate(APART.items()):
        rng = np.random.default_rng([seed, n, at])
        ours, naive = [], []
        for rate in rng.uniform(0.1, 0.4, replicates):
            rates = rate * np.array(lifts)
            x = ndcg(rng, rates[codes], 1)[0]
            truth = float(np.ptp(rates) * (PLACES @ DISCOUNTS))
            made = spread_of_groups(x, codes, 4)
            assert made is not None
            ours.append(held(_ends([made.gap]), np.array([truth]))[0])
            groups = [x[codes == group] for group in range(4)]
            best, least = (pick(groups, key=np.mean) for pick in (max, min))
            half = 1.96 * np.sqrt(best.var(ddof=1) / best.size + least.var(ddof=1) / least.size)
            naive.append(abs(best.mean() - least.mean() - truth) <= half)
        ours_held, naive_held = (float(np.mean(each)) for each in (ours, naive))
        found.append(
            Row("coverage", f"NDCG@10, gap of four {title} groups", n, ours_held, LEAST, 1.0, naive_held)
        )
    return found


def null_row(title: str, draw: Draw, n: int, replicates: int, rng: Rng) -> Row:
    """Return how often the paired tests reject a true null at 5 %."""
    permutation, bootstrap = [], []
    for count in batches(replicates):
        values, _ = draw(rng, n, count)
        found = paired_differences(dict(enumerate(values.T)), np.zeros(n), rng=rng, within=UNIT)
        permutation += [one.p <= 0.05 for one in found.values()]
        bootstrap += [one.p_bootstrap <= 0.05 for one in found.values()]
    return Row(
        "false alarms", title, n, float(np.mean(permutation)), 0, FALSE_ALARMS, float(np.mean(bootstrap))
    )


def power_row(n: int, replicates: int, rng: Rng) -> Row:
    """Return how often a difference as large as the detectable one is found: four times in five."""
    seen = 0
    width = float(twins(rng, np.full(1, 0.4), 1.0, 200_000).std())
    gap = (1.959964 + 0.841621) * width / np.sqrt(n)
    for count in batches(replicates):
        values = twins(rng, np.full(count, 0.4), 1.0, n) + gap
        seen += sum(sign_flip_p(d) <= 0.05 for d in values.T)
    return Row("power", "NDCG@10, a true difference of the detectable size", n, seen / replicates, 0.77, 0.83)


def run(users: tuple[int, ...] = USERS, replicates: int = REPLICATES, seed: int = 0) -> dict[str, Any]:
    """Return all rows, and what they are of."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for n in users:
        rows += [mean_row(shape, n, replicates, rng) for shape in MEANS]
        rows += ratio_rows(n, max(min(replicates, FEWEST), replicates // 2), rng)
        rows += gap_rows(n, replicates, seed)
        rows += [null_row(title, draw, n, replicates, rng) for title, draw in NULLS.items()]
        rows.append(power_row(n, replicates, rng))
    return {
        "rows": [{**asdict(row), "holds": row.holds} for row in rows],
        "replicates": replicates,
        "seed": seed,
        **records.provenance(),
    }


HEADINGS = {
    "coverage": ("Share of 95 % intervals that hold the truth", "percentile bootstrap"),
    "false alarms": ("Share of true nulls that a paired test rejects at 5 %: permutation", "bootstrap"),
    "power": ("Share of replicates that find the detectable difference", ""),
}


def section(found: dict[str, Any]) -> str:
    """Return the section of the page."""
    lines = [
        "## Statistics\n",
        f"`python -m bench.coverage`: {found['replicates']:,} replicates a figure, the truth known. "
        "Rows marked ! lie outside their band.\n",
    ]
    for table, (heading, beside) in HEADINGS.items():
        rows = [row for row in found["rows"] if row["table"] == table]
        lines += [f"| {heading} | users | share | {beside} |", "| --- | ---: | ---: | ---: |"]
        for row in rows:
            other = "" if row["beside"] is None else f"{100 * row['beside']:.1f} %"
            mark = "" if row["holds"] else " !"
            lines.append(
                f"| {row['title']} | {row['users']:,} | **{100 * row['share']:.1f} %**{mark} | {other} |"
            )
        lines.append("")
    return "\n".join(lines)


def main() -> int:
    """Run, print the table, keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=REPLICATES)
    parser.add_argument("--users", default=",".join(map(str, USERS)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=records.RESULTS / "coverage.json")
    a = parser.parse_args()
    users = tuple(int(part) for part in a.users.split(","))
    if a.replicates < 1 or min(users) < 2:
        print("error: --replicates of at least 1 and --users of at least 2 each, please", file=sys.stderr)
        return 1
    found = run(users, a.replicates, a.seed)
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(section(found))
    return 0 if all(row["holds"] for row in found["rows"]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
