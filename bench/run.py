"""Regenerate BENCHMARKS.md: quality on public datasets, and speed beside other libraries in one run.

    python -m bench.run --data ../shared/data [--only TASK] [--render] [--out BENCHMARKS.md]

Datasets are read from the folder given; what is absent is left out and named. Raw figures go to bench/results, from
where ``--render`` writes the page without running anything. Quality takes hours and can be made in pieces beforehand:
see ``bench/quality.py``; only what is missing or no longer holds is made here.
"""

from __future__ import annotations

import argparse
import json
import lzma
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fuserec
from bench import (
    choices,
    coverage,
    few_labels,
    goals,
    information,
    last_stage,
    latency,
    metric_speed,
    page,
    quality,
    ratings,
    records,
    sequence_speed,
    speed,
    text_encoders,
    tuning_methods,
)

RESULTS = records.RESULTS
TASKS = (
    "quality",
    "speed",
    "training",
    "latency",
    "metric_speed",
    "text_encoders",
    "coverage",
    "information",
)


def ml1m_sequences(folder: Path) -> list[list[int]]:
    """Return the histories of ML-1M as dense item numbers."""
    numbers: dict[str, int] = {}
    rows = []
    with lzma.open(folder / "ml-1m" / "sequences.txt.xz", "rt", encoding="utf-8") as file:
        for line in file:
            rows.append([numbers.setdefault(item, len(numbers)) for item in line.split()[1:]])
    return rows


def titles(folder: Path) -> list[str]:
    """Return title and categories of 3,000 Beauty items, as the encoder reads them by default."""
    from fuserec.data.readers import read
    from fuserec.encoders.text import item_text

    dataset, _ = read(folder / "amazon-beauty", "sequences")
    return [" ".join(text.split()) for text in item_text(dataset.item_table) if text][:3000]


def run_speed(folder: Path) -> dict[str, Any]:
    """Run every comparison and return the rows and facts."""
    RESULTS.mkdir(exist_ok=True)
    pairs, texts = RESULTS / "ml1m.npz", RESULTS / "titles.txt"
    sequences = ml1m_sequences(folder)
    users = speed.write_pairs(sequences, pairs)
    texts.write_text("\n".join(titles(folder)), encoding="utf-8")
    rows, facts = speed.recommenders(pairs, users)
    rows.append(speed.encoders(texts))
    n = sum(len(row) - 1 for row in sequences)
    facts["interaction matrix, MB"] = (n * 8 + users * 4) / 2**20
    facts["peak above imports, ALS, MB"] = speed.memory(pairs, "als_scorer")
    facts["peak above imports, item kNN, MB"] = speed.memory(pairs, "knn")
    return {"rows": [row.__dict__ for row in rows], "facts": facts}


def speed_section(found: dict[str, Any]) -> str:
    """Return the section on speed."""
    lines = [
        "## Speed\n",
        f"ML-1M, each user's last item left out; medians of {speed.PAIRS} interleaved pairs in one run, compiled code "
        "warm; a ratio above 1 means that FuseRec is faster.\n",
        "| task | FuseRec | peer | | ratio (lowest to highest) |",
        "| --- | ---: | ---: | --- | ---: |",
    ]
    for r in found["rows"]:
        lines.append(
            f"| {r['name']} | {r['ours_s']:.3f} s | {r['peer_s']:.3f} s | {r['peer']} | "
            f"**{r['ratio']:.2f}** ({r['lowest']:.2f} to {r['highest']:.2f}) |"
        )
    lines += ["", "| beside it | |", "| --- | ---: |"]
    lines += [f"| {name} | {value:,.1f} |" for name, value in found["facts"].items()]
    return "\n".join(lines) + "\n"


SECTIONS: dict[str, Callable[[Any], str]] = {
    "ratings": lambda rated: page.ratings_section(rated, ["random", *ratings.FOLDS, "folds", "fit_s"]),
    "text_encoders": text_encoders.section,
    "tuning_methods": tuning_methods.section,
    "few_labels": few_labels.section,
    "last_stage": last_stage.section,
    "coverage": coverage.section,
    "information": information.section,
    "speed": speed_section,
    "training": sequence_speed.section,
    "latency": latency.section,
    "metric_speed": metric_speed.section,
}
"""What stands behind the tables of quality, in this order, each where its raw figures are there."""


def stored(name: str) -> Any:
    """Return the raw figures of a name, None where there are none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def store(name: str, found: dict[str, Any]) -> None:
    """Keep raw figures."""
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def render(found: list[records.Record]) -> str:
    """Return the page, made of what is there."""
    boards, training, requests = page.boards(found), stored("training"), stored("latency")
    parts = [
        "# Benchmarks\n",
        "Made by `make bench`; never edited by hand. Each figure is of the source that its table names.\n",
        f"FuseRec {fuserec.__version__}, Python {platform.python_version()}, {speed.cores()} cores.\n",
        goals.section(goals.checks(found, training, requests)),
        page.section(found),
        choices.budget_section(boards),
        choices.absent_section(boards),
    ]
    parts += [section(kept) for name, section in SECTIONS.items() if (kept := stored(name)) is not None]
    return "\n".join(parts)


def measure(task: str, data: Path) -> int:
    """Do one of the tasks; return how many of its results failed."""
    if task == "quality":
        return quality.run(data, [], list(quality.STANDARD), "stale")
    makers = {
        "speed": run_speed,
        "training": sequence_speed.run,
        "latency": latency.run,
        "metric_speed": metric_speed.run,
        "text_encoders": text_encoders.run,
        "coverage": lambda folder: coverage.run(),
        "information": lambda folder: information.run(),
    }
    store(task, makers[task](data))
    return 0


def main() -> int:
    """Run what is asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=TASKS)
    parser.add_argument("--render", action="store_true", help="write the page from what is there")
    parser.add_argument("--out", type=Path, default=Path("BENCHMARKS.md"))
    a = parser.parse_args()
    if not a.render and not a.data.is_dir():
        print(f"error: {a.data} is not there: name the folder of datasets with --data", file=sys.stderr)
        return 1
    RESULTS.mkdir(exist_ok=True)
    tasks = () if a.render else (a.only,) if a.only else TASKS
    failed = sum(measure(task, a.data) for task in tasks)
    found = records.read_all()
    a.out.write_text(render(found), encoding="utf-8")
    print(goals.section(goals.checks(found, stored("training"), stored("latency"))))
    print(f"written: {a.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
