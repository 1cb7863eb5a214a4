"""Quality on public datasets: the evaluation that a user runs, dataset by dataset, resumable and divisible.

    python -m bench.quality --data ../shared/data [--only beauty,sports-last-out,ratings]
        [--configurations default,5m,alone,with-user_knn] [--redo stale|older|all] [--list] [--results FOLDER]

Each result is a file under ``bench/results/quality``; what is there and still holds is not made again. Every result
comes from a process of its own, so that memory is measured from a clean start and one failure stops no other.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench import configurations, datasets, ratings, records

RATINGS = "ratings"
STANDARD = (configurations.DEFAULT, configurations.BUDGET, "alone")
REDO = {
    "stale": {records.STALE},
    "older": {records.STALE, records.OLDER},
    "all": {records.STALE, records.OLDER, records.CURRENT},
}
"""What of the results that are there is made again."""


@dataclass(frozen=True)
class Job:
    """One result that is wanted: its place, and the digest that it has to bear."""

    dataset: str
    split: str
    configuration: str
    digest: str

    @property
    def name(self) -> str:
        """As it is shown and given to the process that does it."""
        return f"{self.dataset}:{self.split}:{self.configuration}"

    def state(self, folder: Path) -> str:
        """Return ``missing``, or whether what is there still holds."""
        path = folder / records.file_name(self.dataset, self.split, self.configuration)
        if not path.is_file():
            return "missing"
        found = records.Record(**json.loads(path.read_text(encoding="utf-8")))
        return records.STALE if found.made["digest"] != self.digest else found.status()


def selected(only: list[str]) -> list[tuple[str, str]]:
    """Return (dataset, split) of what ``--only`` names: datasets, or ``dataset-split``; all without it.

    Raises
    ------
    ValueError
        For a name that is neither.
    """
    every = [(key, split) for key, source in datasets.DATASETS.items() for split in source.splits]
    for name in only:
        if name != RATINGS and not any(name in (key, f"{key}-{split}") for key, split in every):
            known = ", ".join([*datasets.DATASETS, RATINGS])
            raise ValueError(f"--only: unknown dataset {name!r} (known: {known}, or dataset-split)")
    if not only:
        return every
    return [(key, split) for key, split in every if key in only or f"{key}-{split}" in only]


def plan(data: Path, only: list[str], wanted: list[str]) -> list[Job]:
    """Return the results that are wanted on the datasets that are there: the default of all, then what comes beside."""
    jobs: list[Job] = []
    for key, split in selected(only):
        source = datasets.DATASETS[key]
        if not (data / source.folder).is_dir():
            print(f"left out: {source.title} ({source.folder} is not in {data})", file=sys.stderr)
            continue
        dataset = datasets.load(key, data)
        for name in configurations.expanded(wanted, dataset, split == source.splits[0]):
            jobs.append(Job(key, split, name, configurations.asked(name, dataset).digest(split)))
    order = [configurations.DEFAULT, configurations.BUDGET]
    return sorted(
        jobs, key=lambda job: order.index(job.configuration) if job.configuration in order else len(order)
    )


def make(job: str, data: Path, folder: Path) -> None:
    """Evaluate and write one result; runs in a process of its own."""
    from fuserec import RunOptions, evaluate
    from fuserec.data.splits import SplitConfig

    key, split, name = job.split(":")
    started = time.perf_counter()
    provenance = records.provenance()  # before the run: the source may change meanwhile
    dataset = datasets.load(key, data)
    asked = configurations.asked(name, dataset)
    protocol = SplitConfig(protocol=split)  # type: ignore[arg-type]
    run = RunOptions(seed=configurations.SEED)
    configs = asked.configs
    if asked.budget_s is not None:
        chosen, took = configurations.within(dataset, asked, protocol, run)
        configs, provenance["budget_fit_s"] = {"fused": chosen}, round(took, 1)
    results = evaluate(dataset, configs, split=protocol, models=asked.models, run=run)
    seconds = time.perf_counter() - started
    record = records.of(key, split, name, asked, json.loads(results.to_json()), seconds, provenance)
    record.write(folder)


def run(data: Path, only: list[str], wanted: list[str], redo: str, folder: Path = records.QUALITY) -> int:
    """Make what is missing or no longer holds; return how many failed."""
    jobs = plan(data, only, wanted)
    states = {job: job.state(folder) for job in jobs}
    due = [job for job, state in states.items() if state == "missing" or state in REDO[redo]]
    print(f"{len(jobs) - len(due)} of {len(jobs)} results are there; {len(due)} to make", file=sys.stderr)
    failed = 0
    for at, job in enumerate(due, 1):
        started = time.perf_counter()
        words = ["--job", job.name, "--data", str(data), "--results", str(folder)]
        done = subprocess.run([sys.executable, "-m", "bench.quality", *words], check=False)
        failed += done.returncode != 0
        told = "made" if done.returncode == 0 else "FAILED"
        print(
            f"[{at}/{len(due)}] {job.name}: {told} in {time.perf_counter() - started:.0f} s", file=sys.stderr
        )
    if (not only or RATINGS in only) and (data / "ml-100k").is_dir():
        make_ratings(data, redo == "all")
    return failed


def make_ratings(data: Path, again: bool) -> None:
    """Measure rating prediction on MovieLens 100K, unless it is there with this source."""
    from fuserec import RunOptions

    records.RESULTS.mkdir(exist_ok=True)
    path = records.RESULTS / f"{RATINGS}.json"
    code = records.source_digest()
    if not again and path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("code") == code:
        return
    figures = ratings.page_figures(data / "ml-100k", RunOptions())
    found = {"commit": records.commit(), "code": code, **figures}
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("ratings: made", file=sys.stderr)


def listed(jobs: list[Job], folder: Path) -> str:
    """Return a line a result: its name and its state."""
    return "\n".join(f"{job.state(folder):<10}  {job.name}" for job in jobs)


def main() -> int:
    """Make or list results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="", help="datasets, or dataset-split, separated by commas")
    parser.add_argument("--configurations", default=",".join(STANDARD), help="default, 5m, alone, ...")
    parser.add_argument(
        "--redo", choices=list(REDO), default="stale", help="which results there are made again"
    )
    parser.add_argument("--results", type=Path, default=records.QUALITY, help="folder of the results")
    parser.add_argument("--list", action="store_true", help="say what is there and what is not")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if not a.data.is_dir():
        print(f"error: {a.data} is not there: name the folder of datasets with --data", file=sys.stderr)
        return 1
    if a.job:
        make(a.job, a.data, a.results)
        return 0
    only, wanted = ([word for word in text.split(",") if word] for text in (a.only, a.configurations))
    try:
        if a.list:
            print(listed(plan(a.data, only, wanted), a.results))
            return 0
        return 1 if run(a.data, only, wanted, a.redo, a.results) else 0
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
