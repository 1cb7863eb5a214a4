"""Ways to tune the text encoder, side by side: what each trains, costs and gains as a content scorer.

    python -m bench.tuning_methods --data ../shared/data --dataset beauty [--only "full|biases"] [--config F.toml]
        [--keep FOLDER] [--checkpoints FOLDER] [--device cuda] [--seed 1] [--out F.json]

The untouched MiniLM (float32), every method of the file after it, and the smaller forms of what was tuned, each in a
process of its own; bench/tuning_methods.toml has the settings. Whitening and recency are chosen for each on
validation, the test is looked at once. What can be written as a folder is kept under ``--keep``. Figures go to
bench/results/tuning_methods.json; what is there of other rows and datasets is kept, and a row of another seed than 0
bears it in its name.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from bench import datasets, records
from fuserec.data.splits import SplitConfig
from fuserec.evaluation.encoders import compare_encoders, encoder_named
from fuserec.evaluation.measure import Meter
from fuserec.run import RunOptions

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.neural.language.adapt import Adapted

BASE = "minilm:float32"
UNTOUCHED = "untouched"
TEACHER = "full"
SETTINGS = Path(__file__).with_suffix(".toml")
RESULT = records.RESULTS / "tuning_methods.json"
SEED = re.compile(r", seed (\d+)$")

Table = dict[str, Any]


def run(
    data: Dataset, table: Table, options: RunOptions, keep: Path, only: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the comparison of the untouched encoder and of every method, with what each training took.

    Parameters
    ----------
    data : Dataset
    table : dict
        Of the dataset, as it stands in bench/tuning_methods.toml.
    options : RunOptions
    keep : Path
        Where tuned encoders are written.
    only : tuple of str
        Names of methods and smaller forms; empty for all of them.
    """
    from fuserec.neural.language.adapt import LiveEncoder

    shared = {name: value for name, value in table.items() if name not in ("methods", "smaller")}
    methods, smaller = table.get("methods", {}), table.get("smaller", {})
    for name in only:
        if name not in methods and name not in smaller:
            raise SystemExit(f"error: no row {name!r}: there are {', '.join((*methods, *smaller))}")
    needed = {own.get("of", TEACHER) for name, own in smaller.items() if not only or name in only}
    encoders: dict[str, Any] = {UNTOUCHED: encoder_named(BASE)}
    costs: dict[str, dict[str, float | None]] = {}
    settings: dict[str, Table] = {}
    for name, own in methods.items():
        if only and name not in only and (name not in needed or (keep / _folder(name)).is_dir()):
            continue
        settings[name] = {**shared, **own}
        adapted, costs[name] = tuned(data, name, settings[name], options, keep)
        encoders[name] = LiveEncoder(adapted)
        _say(name, costs[name], adapted.facts["figures"])
    for name, own in smaller.items():
        if only and name not in only:
            continue
        settings[name] = own
        out, costs[name] = made_smaller(data, name, own, options, keep)
        encoders[name] = encoder_named(f"{out}:float32")
        _say(name, costs[name])
    found = compare_encoders(data, encoders, split=SplitConfig(), run=options).to_json()
    for row in found["encoders"].values():
        row["model"] = Path(row["model"]).name  # where it was kept says nothing
    told = {**found, "settings": settings, "costs": costs, "device": _device(options)}
    return told if options.seed == 0 else _of_seed(told, options.seed)


def _of_seed(found: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the figures with the seed in the names of the rows, without the untouched encoder."""
    rows = {name: row for name, row in found["encoders"].items() if name != UNTOUCHED}
    named = {
        part: {f"{name}, seed {seed}": value for name, value in told.items()}
        for part, told in (("encoders", rows), ("settings", found["settings"]), ("costs", found["costs"]))
    }
    return {**found, **named}


def tuned(
    data: Dataset, name: str, table: Table, options: RunOptions, keep: Path
) -> tuple[Adapted, dict[str, float | None]]:
    """Tune by one method; return the encoder, and the seconds, processor seconds and megabytes it took."""
    from fuserec.neural.language.adapt import AdaptConfig, adapt
    from fuserec.neural.language.tuning_config import MERGED

    config = AdaptConfig.parse(table, "bench.tuning_methods")
    own = options
    if options.checkpoints is not None:
        own = replace(options, checkpoints=options.checkpoints / _folder(name))
    began = time.process_time()
    with Meter() as meter:
        adapted = adapt(data, config, own, base=BASE.rpartition(":")[0], split=SplitConfig())
    cost = {**asdict(meter.cost), "cpu_seconds": time.process_time() - began}
    if config.tuning.method in MERGED:
        adapted.save(keep / _folder(name))
    return adapted, cost


def made_smaller(
    data: Dataset, name: str, table: Table, options: RunOptions, keep: Path
) -> tuple[Path, dict[str, float | None]]:
    """Write a smaller form of a tuned encoder; return its folder and what that took."""
    from fuserec.neural.language.adapt import CompressConfig, compress

    config = CompressConfig.parse(
        {key: value for key, value in table.items() if key != "of"}, "bench.tuning_methods"
    )
    teacher, out = keep / _folder(table.get("of", TEACHER)), keep / _folder(name)
    began = time.process_time()
    with Meter() as meter:
        compress(str(teacher), out, config, options, data=data, split=SplitConfig())
    return out, {**asdict(meter.cost), "cpu_seconds": time.process_time() - began}


def _folder(name: str) -> str:
    """Return the name of a row as a folder's."""
    return name.replace(", ", "-").replace(" ", "-")


def _say(name: str, *told: Any) -> None:
    """Tell how far it is."""
    print(f"{name}:", *told, file=sys.stderr, flush=True)


def _device(options: RunOptions) -> str:
    """Return what was trained on."""
    import torch

    from fuserec.neural.device import device_of

    if device_of(options).type == "cuda":
        return torch.cuda.get_device_name()
    return f"{options.threads} thread{'s' if options.threads > 1 else ''} of a CPU"


def joined(old: dict[str, Any] | None, new: dict[str, Any], order: Sequence[str] = ()) -> dict[str, Any]:
    """Return the rows of a dataset with those measured now in place of older ones of the same name, in an order."""
    for part in (old or {}, new):
        part.setdefault("devices", dict.fromkeys(part.get("costs", {}), part.get("device")))
    if old is None:
        return new
    merged = {key: {**old[key], **new[key]} for key in ("encoders", "settings", "costs", "devices")}
    place = {name: at for at, name in enumerate((UNTOUCHED, *order))}
    names = sorted(merged["encoders"], key=lambda name: (place.get(_seedless(name), len(place)), _seed(name)))
    merged["encoders"] = {name: merged["encoders"][name] for name in names}
    return {**new, **merged}


def _seedless(name: str) -> str:
    """Return the name of a row as the file of settings has it."""
    return SEED.sub("", name)


def _seed(name: str) -> int:
    """Return the seed of a row."""
    found = SEED.search(name)
    return int(found[1]) if found else 0


def section(found: dict[str, Any]) -> str:
    """Return the tables of the benchmarks page."""
    lines = [
        "## Tuning the text encoder",
        "",
        "`python -m bench.tuning_methods`: the encoder adapted to the catalogue by each method, as a content scorer "
        "alone (sentence vectors, no words, no behaviour of others); settings in bench/tuning_methods.toml. NDCG@10 "
        "on validation and on test; the gain over the untouched encoder on the same people; its share of "
        "full tuning's at the same temperature: of those settings of it that validate best, the mean over the seeds. "
        "The temperature is 0.05 where the name says no other. Choose a variant by its validation column; "
        "where a number of people stands in it, it was measured on so many of them, and is no more than a hint. Kept: "
        "of the general sense of "
        "similarity, on bundled sentence pairs; empty where the run held the catalogue's words alone.",
        "",
    ]
    for key, told in found.items():
        lines += [f"### {datasets.DATASETS[key].title}", "", *_table(told), ""]
    return "\n".join(lines)


def _table(told: dict[str, Any]) -> list[str]:
    """Return the table of one dataset."""
    rows = told["encoders"]
    full = _gains_of_full(told)
    everybody = max(row["validated"] for row in rows.values())
    lines = [
        "| method | trained | validation | test | gain | of full's | on | s | CPU s | peak MB | kept |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        cost, figure, gain = told["costs"].get(name, {}), row["metrics"]["ndcg@10"], row["gain"]
        share = (
            f"{row['trained'] / row['parameters']:.2%}" if row["trained"] and name in told["costs"] else ""
        )
        if "form" in told["settings"].get(name, {}):
            share = f"of {told['settings'][name].get('of', TEACHER)}"
        gained = (
            f"{gain['difference']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}] ({row['relative']:+.1%})"
            if gain
            else ""
        )
        whole = full.get(_temperature(told["settings"], name))
        part = f"{gain['difference'] / whole:.0%}" if gain and whole else ""
        took = [
            f"{cost[each]:,.0f}" if cost.get(each) else "" for each in ("seconds", "cpu_seconds", "peak_mb")
        ]
        shown = f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]"
        where = told["devices"].get(name, "")
        judged = f"{row['validation']:.4f}"
        judged += f" ({row['validated']:,})" if row["validated"] < everybody else ""
        cells = (name, share, judged, shown, gained, part, where, *took)
        kept = f"{row['kept']['general']:.3f}" if row["kept"] else ""
        lines.append(f"| {' | '.join((*cells, kept))} |")
    return lines


def _gains_of_full(told: dict[str, Any]) -> dict[float | None, float]:
    """Return the gain of full tuning by temperature: of the settings that validate best, the mean over their seeds."""
    groups: dict[tuple[float | None, str], list[Table]] = {}
    for name, own in told["settings"].items():
        row = told["encoders"][name]
        if own.get("tuning", {}).get("method") == TEACHER and row["gain"]:
            groups.setdefault((_temperature(told["settings"], name), _seedless(name)), []).append(row)
    found: dict[float | None, tuple[float, float]] = {}
    for (temperature, _), rows in groups.items():
        most = max(row["validated"] for row in rows)
        judged = fmean(row["validation"] for row in rows if row["validated"] == most)
        gain = fmean(row["gain"]["difference"] for row in rows)
        found[temperature] = max(found.get(temperature, (judged, gain)), (judged, gain))
    return {temperature: gain for temperature, (_, gain) in found.items()}


def _temperature(settings: dict[str, Table], name: str) -> float | None:
    """Return the temperature of a row, of a smaller form that of its teacher; None as without configuration."""
    own = settings.get(name, {})
    found: float | None = (settings.get(own.get("of", TEACHER), {}) if "form" in own else own).get(
        "temperature"
    )
    return found


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description="Ways to tune the text encoder, side by side")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public datasets")
    parser.add_argument("--dataset", default="beauty", help="a name of bench/datasets.py")
    parser.add_argument("--only", default="", help="rows, with | between them; left out: all")
    parser.add_argument("--config", type=Path, default=SETTINGS, help="the settings of every row (TOML)")
    parser.add_argument("--keep", type=Path, help="folder for the tuned encoders")
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=RunOptions().threads)
    parser.add_argument("--out", type=Path, default=RESULT)
    told = parser.parse_args()
    table = tomllib.loads(told.config.read_text(encoding="utf-8"))[told.dataset]
    rows = (*table.get("methods", {}), *table.get("smaller", {}))
    only = tuple(name.strip() for name in told.only.split("|") if name.strip()) or rows
    if len(only) > 1:
        with tempfile.TemporaryDirectory() as place:
            each_alone(only, told, told.keep or Path(place))
        return
    options = RunOptions(
        seed=told.seed, threads=told.threads, checkpoints=told.checkpoints, device=told.device
    )
    data = datasets.load(told.dataset, told.data)
    with tempfile.TemporaryDirectory() as place:
        # Rows of two datasets may bear one name.
        measured = run(data, table, options, (told.keep or Path(place)) / told.dataset, only)
    found = json.loads(told.out.read_text(encoding="utf-8")) if told.out.is_file() else {}
    found[told.dataset] = joined(found.get(told.dataset), measured, rows)
    told.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(section({told.dataset: found[told.dataset]}))


def each_alone(rows: Iterable[str], told: argparse.Namespace, keep: Path) -> None:
    """Measure every row in a process of its own, so that memory is told from a clean start."""
    for name in rows:
        words: list[Any] = [sys.executable, "-m", "bench.tuning_methods", "--only", name, "--keep", keep]
        for option in ("data", "dataset", "config", "checkpoints", "device", "seed", "threads", "out"):
            if (value := getattr(told, option)) is not None:
                words += [f"--{option}", value]
        subprocess.run([str(word) for word in words], check=True)


if __name__ == "__main__":
    main()
