"""FuseRec's side of the benchmark of metrics: one set for each peer, all metrics from scores, and a million users."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import protocol as p

from fuserec.evaluation.statistics import intervals
from fuserec.metrics import beyond, concentration, serendipity
from fuserec.metrics.families import Known, Lists, list_columns
from fuserec.metrics.graded import GRADED
from fuserec.metrics.lists import measure_lists
from fuserec.metrics.ranking import AT_K, WHOLE
from fuserec.metrics.shown import Space
from fuserec.metrics.targets import target_ranks
from fuserec.numerics.hashing import reseed
from fuserec.numerics.lists import target_places
from fuserec.numerics.ranks import tied_ranks
from fuserec.numerics.topk import top_k

KS = (5, 10, 20)
THREADS = len(os.sched_getaffinity(0))

SETS = {
    "rectools": "precision recall f1 hit_rate map ndcg mrr novelty average_popularity serendipity coverage "
    "ild_category user_coverage",
    "recbole": "precision recall hit_rate map ndcg mrr coverage average_popularity exposure_entropy gini tail_share",
    "lenskit": "precision recall hit_rate map ndcg mrr average_popularity gini",
}


def facts(z: dict[str, np.ndarray]) -> Known:
    """Return what is known of items and users, as an evaluation has it."""
    import scipy.sparse as sp

    n_users, n_items = len(z["train_starts"]) - 1, len(z["categories"])
    ones = np.ones(len(z["train"]), np.float32)
    met = sp.csr_array((ones, z["train"], z["train_starts"]), shape=(n_users, n_items))
    return Known(
        n_items,
        targets=(z["test_starts"], z["test"]),
        seen=(z["train_starts"], z["train"]),
        item_users=np.bincount(z["train"], minlength=n_items),
        n_users=n_users,
        space=Space.of(z["vectors"]),
        users_space=Space.of(met.T.tocsr()),
        categories=sp.csr_array(z["categories"]),
    )


def tasks(path: str) -> dict[str, object]:
    """Return the tasks on ML-1M."""
    z = dict(np.load(path))
    known, lists = facts(z), z["lists"]
    counts = np.full(len(lists), lists.shape[1])
    shown = (lists, counts)
    ties = reseed(np.arange(known.n_items, dtype=np.uint64), 0)

    def others(k: int, wanted: set[str]) -> dict[str, float]:
        exposure = beyond.exposure(*shown, k, known.n_items)
        users = known.item_users
        means = {
            "novelty": lambda: beyond.novelty(*shown, k, users, known.n_users),
            "average_popularity": lambda: concentration.average_popularity(*shown, k, users),
            "serendipity": lambda: serendipity.serendipity(*shown, k, known.targets, known.seen, users),
            "user_coverage": lambda: beyond.user_coverage(counts, k),
            "tail_share": lambda: concentration.tail_share(*shown, k, known.tail),
            "coverage": lambda: beyond.coverage(*shown, k, known.n_items),
            "gini": lambda: concentration.gini(exposure),
            "exposure_entropy": lambda: concentration.exposure_entropy(exposure),
        }
        return {f"{name}@{k}": float(np.nanmean(means[name]())) for name in wanted & set(means)}

    def some(peer: str) -> dict[str, float]:
        wanted = set(SETS[peer].split())
        places = np.empty(len(z["test"]))
        target_places(lists, counts, z["test_starts"], z["test"], places)
        ranks = target_ranks(z["test_starts"], places, known.n_items)
        found = {
            f"{name}@{k}": float(np.nanmean(AT_K[name](ranks, k))) for name in wanted & set(AT_K) for k in KS
        }
        for k in KS:
            found |= others(k, wanted)
        if "ild_category" in wanted:
            values = beyond.intra_list_diversities(*shown, KS, known.category_space, THREADS)
            found |= {f"ild_category@{k}": float(np.nanmean(values[:, at])) for at, k in enumerate(KS)}
        return found

    def everything() -> dict[str, np.ndarray]:
        scores, seen, wanted = z["scores"], (z["train_starts"], z["train"]), (z["test_starts"], z["test"])
        ranks, tied, candidates = tied_ranks(scores, seen, wanted, THREADS)
        items, values, found = top_k(scores, max(KS), exclude=seen, ties=ties, threads=THREADS)
        targets = target_ranks(z["test_starts"], ranks, candidates, tied, z["grades"])
        at_k = AT_K | GRADED
        columns = {f"{name}@{k}": metric(targets, k) for name, metric in at_k.items() for k in KS}
        columns |= {name: metric(targets) for name, metric in WHOLE.items()}
        chances = 1 / (1 + np.exp(3 - values))
        return columns | list_columns(Lists(items, found, chances), KS, known, THREADS)[0]

    def with_intervals() -> None:
        intervals(everything(), rng=np.random.default_rng(0))

    return {
        **{peer: (lambda peer=peer: some(peer)) for peer in SETS},
        "all": lambda: {"metrics": float(len(everything()))},
        "all_with_intervals": with_intervals,
    }


def peak_mb() -> float:
    """Return the peak of resident memory since it was last reset, in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 1024


def simulated(n_users: int = 1_000_000, width: int = 100, n_items: int = 100_000) -> dict[str, float]:
    """Measure ranked candidates of many users by all that truth, history and categories give."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, n_items, n_users)
    steps = rng.integers(1, n_items // width, (n_users, width)).cumsum(axis=1)
    lists = ((first[:, None] + steps) % n_items).astype(np.int32)
    del steps
    starts = np.arange(n_users + 1, dtype=np.int64)
    truth = lists[np.arange(n_users), rng.integers(0, width, n_users)]
    history = rng.integers(0, n_items, 10 * n_users).astype(np.int32)
    categories = (np.arange(n_items)[:, None] % 20 == np.arange(20)).astype(np.float32)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew: making the lists took more
    before, cpu = peak_mb(), os.times()
    found = measure_lists(
        lists, (starts, truth), KS, history=(10 * starts, history), catalogue=n_items, categories=categories,
        threads=THREADS,
    )  # fmt: skip
    used = os.times()
    columns = 8 * n_users * len(found.columns) / 2**20
    return {
        "users": float(n_users),
        "metrics": float(len(found.columns) + len(found.whole)),
        "work_s": used.elapsed - cpu.elapsed,
        "work_cpu_s": used.user + used.system - cpu.user - cpu.system,
        "given_mb": (lists.nbytes + truth.nbytes + history.nbytes) / 2**20,
        "columns_mb": columns,
        "rise_mb": peak_mb() - before,
    }


if __name__ == "__main__":
    source = p.argument()
    p.serve({"simulated": simulated} if source.endswith(".none") else tasks(source))
