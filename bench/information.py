"""Whether the mutual information of the evaluation tells the truth.

    python -m bench.information [--users 1000,100000] [--replicates 500] [--null-replicates 200] [--seed 0]
        [--out bench/results/information.json]

Data whose information is known exactly are drawn again and again. The mean of the estimates has to be within 2 % of it,
their own 95 % intervals have to hold it in 93 to 97 % of the draws, and on independent data the permutation null has to
be exceeded as often as it says. In ``lists`` each user sees ten items drawn from tastes of their own, so that the items
of one list go together: counted as observations of their own they would make every interval too short. Figures go to
bench/results/information.json; those of other numbers of users are kept. Exit status 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import records
from fuserec.metrics.information import mutual_information
from fuserec.metrics.information_null import permutation_null
from fuserec.metrics.masses import distributions, labels

USERS = (1000, 100_000)

LENGTH = 10
"""Items of a list."""

CONCENTRATION = 20.0
"""How near the tastes of one user are to those of the group (Dirichlet)."""

Draw = Callable[[np.random.Generator, int], tuple[Any, Any]]


@dataclass(frozen=True)
class World:
    """Data with a known amount of information: joint probabilities (n_x, n_y), shown as labels or as lists."""

    name: str
    joint: np.ndarray
    lists: bool = False

    @property
    def bits(self) -> float:
        """The mutual information that is planted."""
        p = self.joint
        seen = p > 0
        return float(np.sum(p[seen] * np.log2((p / np.outer(p.sum(axis=1), p.sum(axis=0)))[seen])))

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Any, Any]:
        """Return the two variables of n users."""
        n_x, n_y = self.joint.shape
        if not self.lists:
            cell = rng.choice(self.joint.size, n, p=self.joint.ravel())
            return labels(cell // n_y, n_x), labels(cell % n_y, n_y)
        group = rng.choice(n_y, n, p=self.joint.sum(axis=0))
        tastes = CONCENTRATION * (self.joint / self.joint.sum(axis=0)).T[group]
        drawn = rng.standard_gamma(tastes)
        return distributions(rng.multinomial(LENGTH, drawn / drawn.sum(axis=1, keepdims=True))), labels(
            group, n_y
        )


def joint(n_x: int, n_y: int, strength: float, seed: int) -> np.ndarray:
    """Return probabilities (n_x, n_y) in which a share of the mass follows y = x mod n_y, and the rest nothing."""
    rng = np.random.default_rng(seed)
    x, y = rng.dirichlet(np.full(n_x, 5.0)), rng.dirichlet(np.full(n_y, 5.0))
    tied = x[:, None] * (np.arange(n_x)[:, None] % n_y == np.arange(n_y))
    found: np.ndarray = (1 - strength) * np.outer(x, y) + strength * tied
    return found


WORLDS = (
    World("labels, weak", joint(8, 2, 0.5, 1)),
    World("labels, strong", joint(8, 4, 0.6, 2)),
    World("lists, weak", joint(12, 3, 0.3, 3), lists=True),
    World("lists, strong", joint(12, 3, 0.6, 4), lists=True),
)
NOTHING = (
    World("labels, independent", joint(8, 4, 0.0, 2)),
    World("lists, independent", joint(12, 3, 0.0, 3), True),
)


@dataclass(frozen=True)
class Told:
    """What the estimator said over all draws of a planted world."""

    mean: float
    error: float
    held: float


def planted(world: World, n: int, replicates: int, rng: np.random.Generator) -> Told:
    """Estimate many draws: mean, its error relative to the truth, and the share of intervals that hold it."""
    found = [mutual_information(*world.draw(rng, n)) for _ in range(replicates)]
    mean = float(np.mean([it.value for it in found]))
    held = float(np.mean([it.low <= world.bits <= it.high for it in found]))
    return Told(mean, mean / world.bits - 1, held)


def independent(
    world: World, n: int, replicates: int, rng: np.random.Generator, n_permutations: int = 99
) -> tuple[float, float, float]:
    """Return mean estimate, share of estimates within their null interval, and share of p-values up to 5 %."""
    values, within, called = [], [], []
    for _ in range(replicates):
        x, y = world.draw(rng, n)
        value, null = (
            mutual_information(x, y).value,
            permutation_null(x, y, rng=rng, n_permutations=n_permutations),
        )
        values.append(value)
        within.append(null.low <= value <= null.high)
        called.append(null.p <= 0.05)
    return float(np.mean(values)), float(np.mean(within)), float(np.mean(called))


def planted_row(at: int, n: int, replicates: int, seed: int) -> dict[str, Any]:
    """Return what the estimator said of one planted world."""
    world = WORLDS[at]
    told = planted(world, n, replicates, np.random.default_rng([seed, n, at]))
    holds = abs(told.error) <= 0.02 and 0.93 <= told.held <= 0.97
    return {
        "world": world.name,
        "users": n,
        "bits": world.bits,
        "mean": told.mean,
        "error": told.error,
        "held": told.held,
        "replicates": replicates,
        "holds": holds,
    }


def independent_row(at: int, n: int, replicates: int, seed: int) -> dict[str, Any]:
    """Return what the null said of one world without information."""
    rng = np.random.default_rng([seed, n, at, 1])
    mean, within, called = independent(NOTHING[at], n, replicates, rng)
    return {
        "world": NOTHING[at].name,
        "users": n,
        "mean": mean,
        "within": within,
        "called": called,
        "replicates": replicates,
        "holds": within >= 0.90 and called <= 0.09,
    }


def section(found: dict[str, Any]) -> str:
    """Return the section of the page."""
    lines = [
        "## Mutual information\n",
        "`python -m bench.information`: data with known information, drawn again and again. Rows marked ! break what "
        "is promised: a mean within 2 %, intervals that hold the truth 93 to 97 % of the time, a null that is left as "
        "rarely as it says.\n",
        "| planted | users | draws | bits | mean of estimates | error | 95 % intervals that hold it |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["planted"]:
        mark = "" if row["holds"] else " !"
        lines.append(
            f"| {row['world']} | {row['users']:,} | {row['replicates']} | {row['bits']:.4f} | {row['mean']:.4f} | "
            f"{row['error']:+.2%} | **{row['held']:.1%}**{mark} |"
        )
    lines += [
        "",
        "| independent | users | draws | mean of estimates | within the null's 95 % | p ≤ 5 % |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found["independent"]:
        mark = "" if row["holds"] else " !"
        lines.append(
            f"| {row['world']} | {row['users']:,} | {row['replicates']} | {row['mean']:+.5f} | **{row['within']:.1%}**"
            f"{mark} | {row['called']:.1%} |"
        )
    return "\n".join(lines) + "\n"


def run(
    users: tuple[int, ...] = USERS, replicates: int = 500, null_replicates: int = 200, seed: int = 0
) -> dict[str, Any]:
    """Return all rows."""
    found: dict[str, Any] = {"planted": [], "independent": [], "seed": seed}
    for n in users:
        found["planted"] += [planted_row(at, n, replicates, seed) for at in range(len(WORLDS))]
        found["independent"] += [independent_row(at, n, null_replicates, seed) for at in range(len(NOTHING))]
    return found


def kept(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return new rows beside the older ones of other numbers of users."""
    for table in ("planted", "independent"):
        measured = {row["users"] for row in new[table]}
        rows = [row for row in old.get(table, []) if row["users"] not in measured]
        new[table] = sorted(rows + new[table], key=lambda row: row["users"])
    return new


def main(arguments: list[str] | None = None) -> int:
    """Draw, estimate, print, keep; return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", default=",".join(map(str, USERS)), help="divided by commas")
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--null-replicates", type=int, default=200, help="draws of independent data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=records.RESULTS / "information.json")
    asked = parser.parse_args(arguments)
    users = tuple(map(int, asked.users.split(",")))
    found = run(users, asked.replicates, asked.null_replicates, asked.seed)
    old = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.is_file() else {}
    found = kept(old, found)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(section(found))
    return 0 if all(row["holds"] for table in ("planted", "independent") for row in found[table]) else 1


if __name__ == "__main__":
    sys.exit(main())
