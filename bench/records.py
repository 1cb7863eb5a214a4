"""Results on disk: one small JSON file for each dataset, protocol and configuration, and whether it still holds.

``<dataset>-<split>.json`` is the default, ``<dataset>-<split>.<configuration>.json`` any other. No user, item or
title of the data is in them.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fuserec
from bench.configurations import DEFAULT, SEED, Asked, digest_again

RESULTS = Path(__file__).resolve().parent / "results"
QUALITY = RESULTS / "quality"
ROOT = RESULTS.parents[1]

METRICS = (
    "recall@5",
    "ndcg@5",
    "recall@10",
    "ndcg@10",
    "recall@20",
    "ndcg@20",
    "mrr",
    "coverage@10",
    "rmse",
    "mae",
)
"""Metrics that are kept."""

SEGMENT_METRICS = ("recall@10", "ndcg@10")

CURRENT, OLDER, STALE = "current", "older code", "stale"

NOT_MEASURED = {"cli", "testing", "server", "store", "agent"}
"""Rooms of the source that no figure depends on."""


@dataclass(frozen=True)
class Record:
    """One result.

    Parameters
    ----------
    dataset, split, configuration : str
    asked : dict
        What was asked, see :meth:`bench.configurations.Asked.to_json`.
    made : dict
        ``digest`` of configuration and version; ``version``, ``commit``, ``code`` (digest of the source), ``date``,
        ``python``, ``cores``, ``seed``, ``seconds`` of the whole run, reading and scoring included;
        ``budget_fit_s``, the seconds of the fit that chose within a budget.
    results : dict
        What of :class:`fuserec.evaluation.results.EvaluationResults` is kept.
    """

    dataset: str
    split: str
    configuration: str
    asked: dict[str, Any]
    made: dict[str, Any]
    results: dict[str, Any]

    @property
    def place(self) -> str:
        """Name of its file."""
        return file_name(self.dataset, self.split, self.configuration)

    @property
    def models(self) -> dict[str, Any]:
        """Figures by model."""
        models: dict[str, Any] = self.results["models"]
        return models

    @property
    def scorers(self) -> dict[str, str]:
        """Scorer behind each model that is a part."""
        return {part: table["scorer"] for part, table in self.results["parts"].items()}

    def status(self, code: str | None = None) -> str:
        """Return whether the result still holds.

        It is ``stale`` where configuration or version are others by now, ``older code`` where only the source has
        changed since.
        """
        if self.made["digest"] != digest_again(self.asked, self.split):
            return STALE
        return CURRENT if self.made["code"] == (code or source_digest()) else OLDER

    def write(self, folder: Path) -> Path:
        """Write the file, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / self.place
        beside = path.with_suffix(".json.tmp")
        beside.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(beside, path)
        return path


def file_name(dataset: str, split: str, configuration: str) -> str:
    """Return the name of a result's file."""
    return f"{dataset}-{split}{'' if configuration == DEFAULT else '.' + configuration}.json"


def read_all(folder: Path = QUALITY) -> list[Record]:
    """Return every result of a folder, in the order of the files' names."""
    return [Record(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]


def provenance() -> dict[str, Any]:
    """Return what the source is at this moment."""
    return {"version": fuserec.__version__, "commit": commit(), "code": source_digest()}


def of(
    dataset: str,
    split: str,
    configuration: str,
    asked: Asked,
    results: Mapping[str, Any],
    seconds: float,
    source: Mapping[str, Any],
) -> Record:
    """Return the record of an evaluation, given as the object that its JSON holds, and of its source."""
    made = {
        "digest": asked.digest(split),
        **source,
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "seed": SEED,
        "seconds": round(seconds, 1),
    }
    return Record(dataset, split, configuration, asked.to_json(), made, kept(results))


def kept(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures alone: no examples (they name users and items), few metrics, rounded."""
    models = {
        name: {
            "metrics": _some(model["metrics"], METRICS),
            "segments": {
                segment: {"users": own["users"], **_some(own, SEGMENT_METRICS)}
                for segment, own in model["segments"].items()
            },
            **{key: _rounded(model[key], 2) for key in ("fit_s", "score_s", "peak_mb", "users")},
        }
        for name, model in results["models"].items()
    }
    same = ("dataset", "split", "primary", "level", "weights", "environment", "notes")
    compared = [{**one, "models": _floats(one["models"], 6)} for one in results["comparisons"]]
    return {
        **{key: results[key] for key in same},
        "models": models,
        "comparisons": compared,
        "parts": _parts(results["configuration"]),
    }


def _parts(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return every part that took part, as it was in the end, tuned values included."""
    tables = configuration.get("configurations", {"": configuration}).values()
    beside: dict[str, Any] = configuration.get("beside the fusion", {})
    return {name: part for table in tables for name, part in table.get("parts", {}).items()} | beside


def _some(metrics: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return some metrics with their intervals."""
    return {name: _floats(metrics[name], 5) for name in names if name in metrics}


def _floats(values: Any, digits: int) -> Any:
    """Return nested values with their floats rounded."""
    if isinstance(values, Mapping):
        return {key: _floats(value, digits) for key, value in values.items()}
    return _rounded(values, digits)


def _rounded(value: Any, digits: int) -> Any:
    """Return a float rounded, anything else as it is."""
    return round(value, digits) if isinstance(value, float) else value


def commit() -> str:
    """Return the commit of the working tree, with ``+`` where source or bench have changed since."""
    try:
        head = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", "--", "src", "bench/*.py", "bench/workers")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}{'+' if changed else ''}"


def _git(*words: str) -> str:
    """Return what git answers."""
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@cache
def source_digest(folder: Path = Path(fuserec.__file__).parent) -> str:
    """Return a digest of the source that figures depend on: the same for the same text, whatever the commit."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(folder)
        if place.parts[0] not in NOT_MEASURED:
            total.update(f"{place.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]
