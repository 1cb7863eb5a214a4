"""What are 0, 4, 16, 64 labelled examples worth beside all of them? ``python -m bench.few_labels --data FOLDER``.

    python -m bench.few_labels --data ../shared/data --dataset ml-100k [--labels 0,4,16,64,all] [--seeds 5]
        [--what pair,encoder] [--stage test] [--queries 1000] [--steps 60] [--most 1500] [--out F.json] [key=value ...]

``pair`` is the scorer ``language_pair`` (bi), ``encoder`` the encoder that ``models tune`` tunes, as a content scorer.
Labels are drawn anew with each seed. From 20 labels on a fifth of them is kept to judge by; nothing else is chosen, so
no figure has seen more labels than it says: batches, rates and steps (``--steps``, at least) are the same for all
sizes. ``all`` is one pass over all of them, or over ``--most``, drawn by seed, where there are more. Histories are the
words of who asks and are given in full. ``key=value`` are settings of the pair scorer.

Figures are NDCG@10 over the whole catalogue on held-out last items: the mean over seeds, with an interval of 95 % from
resamples of seeds and of people, and its difference to no labels on the same resamples. They go to
bench/results/few_labels.json; what is there of other datasets and models is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import datasets, page, records
from bench.language_pairs import columns, hyperparameters
from fuserec.data.splits import Split, SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.cache import CacheConfig
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.encoders.sentence import SentenceConfig
from fuserec.fusion.base import held_with_words
from fuserec.neural.language.few import FEWEST_LABELS
from fuserec.run import RunOptions
from fuserec.scorers import create

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout
    from fuserec.scorers.base import Scorer

DRAWS = 2000
RESULT = records.RESULTS / "few_labels.json"
TITLES = {"pair": "scorer of pairs", "encoder": "encoder, content alone"}
BASE = "minilm"
ALONE = {"sentence_share": 1.0, "text_sentence_share": 1.0}
"""A content scorer that reads meanings alone."""

PAIR = {"form": "bi", "batch_size": 16, "negative_popularity": 0.0, "epochs": 1}
"""Negatives are drawn uniformly: how popular an item is would be told by labels that are not given."""


@dataclass
class Curve:
    """Figures of one model by number of labels: NDCG@10 of each seed and query, and seconds of each fit."""

    gains: dict[str, list[np.ndarray]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, labels: str, gains: np.ndarray, seconds: float) -> None:
        """Take in one fit."""
        self.gains.setdefault(labels, []).append(gains)
        self.seconds.setdefault(labels, []).append(seconds)

    def told(self, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
        """Return mean, interval and difference to no labels of every number of labels.

        ``moved`` is the share of people whose figure is another one than without labels: where it is near nothing, two
        seeds can well give one and the same mean.
        """
        tables = {name: np.stack(rows) for name, rows in self.gains.items()}
        drawn = {
            name: resampled(table, np.random.default_rng(rng.integers(2**63)))
            for name, table in tables.items()
        }
        seed = int(rng.integers(2**63))
        found = {}
        for name, table in tables.items():
            told: dict[str, Any] = {"ndcg@10": float(table.mean()), **ends(drawn[name])}
            told |= {
                "seeds": len(table),
                "spread": float(table.mean(axis=1).std()),
                "fit_s": float(np.mean(self.seconds[name])),
            }
            if "0" in tables and name != "0":
                base = np.broadcast_to(tables["0"].mean(axis=0), table.shape)
                told["moved"] = float((table != base).mean())
                told["gain"] = {
                    "difference": float((table - base).mean()),
                    **ends(resampled(table - base, np.random.default_rng(seed))),
                }
            found[name] = told
        return found


def resampled(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return float64 (DRAWS,): means of a table (seeds, people) whose rows and columns are drawn with replacement."""
    seeds, people = table.shape
    found = np.empty(DRAWS)
    for draw in range(DRAWS):
        rows = np.bincount(rng.integers(seeds, size=seeds), minlength=seeds) / seeds
        found[draw] = (
            (rows @ table) @ np.bincount(rng.integers(people, size=people), minlength=people) / people
        )
    return found


def ends(values: np.ndarray) -> dict[str, float]:
    """Return the ends of the interval of 95 %."""
    low, high = np.quantile(values, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


@dataclass(frozen=True)
class Work:
    """How long is trained.

    Parameters
    ----------
    steps : int
        Of a training on few labels, at least.
    most : int
        Examples of a training on all labels.
    """

    steps: int = 60
    most: int = 1500


def pair_scorer(
    labels: str, table: dict[str, Any], work: Work, train: Dataset, features: ItemFeatures, run: RunOptions
) -> Scorer:
    """Return the model of pairs after so many labels; short sets are passed over until the steps are made."""
    told = {**PAIR, "examples": work.most, **table}
    if labels != "all":
        count = int(labels)
        kept = count - count // 5 if count >= FEWEST_LABELS else count
        batches = max(1, -(-kept // told["batch_size"]))
        told |= {
            "labels": count,
            "examples": 0,
            "epochs": max(told["epochs"], -(-work.steps // batches)) if count else 1,
        }
        if count < FEWEST_LABELS:
            told.pop("self_training", None)  # nothing could tell what is sure
    return create("language_pair", told).fit(train, features, run)


def encoder_scorer(
    labels: str, work: Work, data: Dataset, split: SplitConfig, held: Split, run: RunOptions, base: str = BASE
) -> Scorer:
    """Return the content scorer of an encoder that was tuned on so many labels."""
    from fuserec.neural.language.adapt import AdaptConfig, adapt

    with tempfile.TemporaryDirectory() as place:
        model = base
        if labels != "0":
            told: dict[str, Any] = {"batch_size": 32, "temperature": 0.05}
            if labels == "all":
                told |= {"epochs": 1, "max_pairs": work.most}
            else:
                batches = max(1, int(labels) // told["batch_size"])
                told |= {"labels": int(labels), "epochs": max(1, -(-work.steps // batches))}
            adapted = adapt(data, AdaptConfig.parse(told, "the bench"), run, base=base, split=split)
            model = str(adapted.save(Path(place) / "tuned"))
        config = FeatureConfig(
            sentence=SentenceConfig(model=model, compute_type="float32"), cache=CacheConfig(enabled=False)
        )
        features = ItemFeatures.build(held.train, config, run)
        return create("content", ALONE).fit(held.train, features, run)


def main(arguments: list[str] | None = None) -> int:
    """Fit, ask, print and keep the figures; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the public datasets")
    parser.add_argument("--dataset", default="ml-100k", help="a name of bench/datasets.py")
    parser.add_argument("--labels", default="0,4,16,64,all")
    parser.add_argument("--what", default="pair,encoder")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--stage", choices=("validation", "test"), default="validation")
    parser.add_argument("--queries", type=int, default=1000, help="drawn from those that are held out")
    parser.add_argument("--steps", type=int, default=Work.steps, help="of a training on few labels, at least")
    parser.add_argument("--most", type=int, default=Work.most, help="examples of a training on all labels")
    parser.add_argument("--threads", type=int, default=RunOptions().threads)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("values", nargs="*", metavar="key=value")
    asked = parser.parse_args(arguments)
    if (wrong := mistake(asked)) is not None:
        print(f"error: {wrong}", file=sys.stderr)
        return 1
    data = datasets.load(asked.dataset, asked.data)
    found = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.is_file() else {}
    rows = found.setdefault(asked.dataset, {})
    for what, told in curves(data, asked, hyperparameters(asked.values)):
        rows[what] = told  # written after each model: they take long
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(section({asked.dataset: rows}))
    return 0


def mistake(asked: argparse.Namespace) -> str | None:
    """Return what is wrong with what was asked for, in a line."""
    unknown = [what for what in asked.what.split(",") if what not in TITLES]
    unknown += [each for each in asked.labels.split(",") if each != "all" and not each.isdigit()]
    if unknown:
        return f"--what, --labels: no such {', '.join(unknown)} (models: {', '.join(TITLES)}; labels: numbers and all)"
    if asked.dataset not in datasets.DATASETS:
        return f"--dataset {asked.dataset}: choose one of {', '.join(datasets.DATASETS)}"
    if min(asked.seeds, asked.queries, asked.steps, asked.most) < 1:
        return "--seeds, --queries, --steps and --most have to be 1 at least"
    return None


def curves(
    data: Dataset, asked: argparse.Namespace, table: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, figures and what they are of) of every model asked for."""
    split, run, work = (
        SplitConfig(),
        RunOptions(threads=asked.threads, device="auto"),
        Work(asked.steps, asked.most),
    )
    held = split_data(data, split, run.seed)
    words = ItemFeatures.build(held.train, FeatureConfig(use_sentence="never"), run)
    some: Holdout = held.test if asked.stage == "test" else held.validation
    drawn = np.sort(np.random.default_rng(0).permutation(len(some))[: asked.queries])
    some = held_with_words(some.take(drawn), data, words, run)
    for what in asked.what.split(","):
        curve = Curve()
        for labels in asked.labels.split(","):
            for seed in range(1 if labels == "0" else asked.seeds):
                began, own = time.perf_counter(), run.with_seed(seed)
                if what == "pair":
                    scorer = pair_scorer(labels, table, work, held.train, words, own)
                else:
                    scorer = encoder_scorer(labels, work, data, split, held, own)
                took = time.perf_counter() - began
                gains = columns(scorer, some, run)["ndcg@10"]
                curve.add(labels, gains, took)
                print(
                    f"{what} {labels} labels, seed {seed}: {gains.mean():.4f}, {took:.0f} s", file=sys.stderr
                )
        yield (
            what,
            {
                "stage": asked.stage,
                "queries": len(some),
                **asdict(work),
                "settings": table if what == "pair" else {},
                "threads": asked.threads,
                **records.provenance(),
                "rows": curve.told(run.rng("bootstrap")),
            },
        )


def section(found: dict[str, Any]) -> str:
    """Return the section of the page."""
    lines = [
        "## Few labels\n",
        "`python -m bench.few_labels`: NDCG@10 over the whole catalogue after so many labelled events, drawn anew with "
        "each seed; mean, and interval over seeds and people. Without labels MiniLM is as it came. The gain is over "
        "that, on the same people; moved are people whose figure is another one than without labels; the spread is "
        "the standard deviation of the seeds' means. *all* is one pass over all labels, or over as many as stand "
        "there. See [few labels](docs/few-labels.md).\n",
    ]
    for key, models in found.items():
        for what, told in models.items():
            lines += [
                f"### {datasets.DATASETS[key].title}, {TITLES[what]}\n",
                f"{told['queries']:,} held-out people of the {told['stage']} part, {told['steps']} steps at least; "
                f"made at {told['commit']}.\n",
                "| labels | NDCG@10 | gain | of all's | moved | spread | seeds | fit s |",
                "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
                *(_row(name, told) for name in told["rows"]),
                "",
            ]
    return "\n".join(lines)


def _row(name: str, told: dict[str, Any]) -> str:
    """Return the line of one number of labels."""
    row, full = told["rows"][name], told["rows"].get("all", {}).get("gain")
    gain, shown = row.get("gain"), f"all (at most {told['most']:,})" if name == "all" else name
    cells = [shown, page.cell({**row, "value": row["ndcg@10"]}), "", "", "", ""]
    if gain is not None:
        cells[2] = f"{gain['difference']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"
        cells[3] = f"{gain['difference'] / full['difference']:.0%}" if full and full["low"] > 0 else "–"
        cells[4], cells[5] = f"{row['moved']:.0%}", f"{row['spread']:.4f}"
    return f"| {' | '.join(cells)} | {row['seeds']} | {row['fit_s']:,.0f} |"


if __name__ == "__main__":
    sys.exit(main())
