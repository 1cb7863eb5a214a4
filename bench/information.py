"""Does the mutual information of the evaluation tell the truth? ``python -m bench.information``.

Data whose information is known exactly are drawn again and again. The mean of the estimates has to be within 2 % of it,
their own 95 % intervals have to hold it in 93 to 97 % of the draws, and on independent data the permutation null has to
be exceeded as often as it says. In ``lists`` each user sees ten items drawn from tastes of their own, so that the items
of one list go together: counted as observations of their own they would make every interval too short.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fuserec.metrics.information import mutual_information
from fuserec.metrics.information_null import permutation_null
from fuserec.metrics.masses import distributions, labels

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


def main(arguments: list[str] | None = None) -> int:
    """Draw, estimate, print; return 1 where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", default="1000,100000", help="numbers of users, divided by commas")
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--null-replicates", type=int, default=200, help="draws of independent data")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    broken = 0
    print(f"{'planted':<22}{'users':>8}  {'bits':>8}  {'mean':>8}  {'error':>7}  {'held':>6}")
    for n in map(int, asked.users.split(",")):
        for at, world in enumerate(WORLDS):
            told = planted(world, n, asked.replicates, np.random.default_rng([asked.seed, n, at]))
            fine = abs(told.error) <= 0.02 and 0.93 <= told.held <= 0.97
            broken += not fine
            line = (
                f"{world.bits:>8.4f}  {told.mean:>8.4f}  {100 * told.error:>+6.2f}%  {100 * told.held:>5.1f}%"
            )
            print(f"{world.name:<22}{n:>8}  {line}  {'' if fine else 'BROKEN'}", flush=True)
    print(f"\n{'independent':<22}{'users':>8}  {'mean':>8}  {'in null':>8}  {'p <= 5 %':>9}")
    for n in map(int, asked.users.split(",")):
        for at, world in enumerate(NOTHING):
            rng = np.random.default_rng([asked.seed, n, at, 1])
            mean, within, called = independent(world, n, asked.null_replicates, rng)
            fine = within >= 0.90 and called <= 0.09
            broken += not fine
            line = f"{mean:>+8.5f}  {100 * within:>7.1f}%  {100 * called:>8.1f}%"
            print(f"{world.name:<22}{n:>8}  {line}  {'' if fine else 'BROKEN'}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
