"""Regenerate BENCHMARKS.md: speed beside other libraries in one run, and quality on public datasets.

    python -m bench.run --data ../shared/data [--only speed|quality] [--out BENCHMARKS.md]

Datasets are read from the folder given; what is absent is left out and named. Raw figures go to bench/results.
"""

from __future__ import annotations

import argparse
import json
import lzma
import platform
import sys
import time
from pathlib import Path

import fuserec
from bench import quality, speed

RESULTS = Path(__file__).resolve().parent / "results"


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


def run_speed(folder: Path) -> dict[str, object]:
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


def speed_section(found: dict[str, object]) -> str:
    """Return the section on speed."""
    lines = [
        "## Speed\n",
        f"ML-1M, each user's last item left out; medians of {speed.PAIRS} interleaved pairs in one run, compiled code "
        "warm; a ratio above 1 means that FuseRec is faster.\n",
        "| task | FuseRec | peer | | ratio (lowest to highest) |",
        "| --- | ---: | ---: | --- | ---: |",
    ]
    for r in found["rows"]:  # type: ignore[attr-defined]
        lines.append(
            f"| {r['name']} | {r['ours_s']:.3f} s | {r['peer_s']:.3f} s | {r['peer']} | "
            f"**{r['ratio']:.2f}** ({r['lowest']:.2f} to {r['highest']:.2f}) |"
        )
    lines += ["", "| beside it | |", "| --- | ---: |"]
    lines += [f"| {name} | {value:,.1f} |" for name, value in found["facts"].items()]  # type: ignore[attr-defined]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run what is asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=["speed", "quality"])
    parser.add_argument("--out", type=Path, default=Path("BENCHMARKS.md"))
    a = parser.parse_args()
    if not a.data.is_dir():
        print(f"error: {a.data} is not there: name the folder of datasets with --data", file=sys.stderr)
        return 1
    RESULTS.mkdir(exist_ok=True)
    for name, make in (("speed", run_speed), ("quality", quality.run)):
        if a.only in (None, name):
            (RESULTS / f"{name}.json").write_text(json.dumps(make(a.data), indent=1), encoding="utf-8")
    page = [
        "# Benchmarks\n",
        "Made by `make bench`; never edited by hand.\n",
        f"FuseRec {fuserec.__version__}, Python {platform.python_version()}, {speed.cores()} cores, "
        f"{time.strftime('%Y-%m-%d')}.\n",
    ]
    for name, section in (("quality", quality.section), ("speed", speed_section)):
        if (RESULTS / f"{name}.json").is_file():
            page.append(section(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))))
    a.out.write_text("\n".join(page), encoding="utf-8")
    print(f"written: {a.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
