"""Results as an evaluation writes them, made up, for tests of what is read out of them."""

from __future__ import annotations

from typing import Any

from bench import configurations, records
from fuserec.config import RecommenderConfig

PARTS: dict[str, dict[str, Any]] = {"popularity": {}, "cooccurrence": {}}


def estimate(value: float, half: float = 0.005) -> dict[str, float | None]:
    return {"value": value, "low": value - half, "high": value + half}


def model(ndcg: float, recall: float = 0.1, fit_s: float = 1.0) -> dict[str, Any]:
    metrics = {"recall@10": estimate(recall), "ndcg@10": estimate(ndcg), "precision@5": estimate(0.5)}
    segment = {"users": 7, "ndcg@10": estimate(ndcg), "precision@5": estimate(0.5)}
    return {
        "metrics": metrics,
        "segments": {"target:cold": segment},
        "fit_s": fit_s,
        "score_s": 0.123456,
        "peak_mb": 12.3456,
        "users": 100,
    }


def evaluation(
    values: dict[str, float],
    reference: str = "fused",
    half: float = 0.002,
    fit_s: float = 1.0,
    scorers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """What ``EvaluationResults.to_json`` holds: NDCG@10 by model, each compared with the reference."""
    base = values.get(reference)
    compared = {}
    if base is not None:
        for name, value in values.items():
            if name != reference:
                gap = value - base
                ends = {"low": gap - half, "high": gap + half}
                compared[name] = {"difference": gap, **ends, "p": 0.01, "users": 100}
    behind = scorers or {name: name for name in values if name != reference}
    return {
        "dataset": {"users": 22363, "items": 12101, "interactions": 198502, "name": "made up"},
        "split": {"kind": "last-out", "seed": 0, "test": 22363, "test_users": 22363},
        "primary": "ndcg@10",
        "level": 0.95,
        "weights": {"short": dict.fromkeys(behind, 0.25), "long": dict.fromkeys(behind, 0.5)},
        "environment": {"python": "3.11.7"},
        "notes": ["A note."],
        "models": {name: model(value, fit_s=fit_s) for name, value in values.items()},
        "comparisons": [{"metric": "ndcg@10", "reference": reference, "models": compared}]
        if compared
        else [],
        "sample": [{"user_id": "SECRET-USER", "history": ["SECRET TITLE"], "targets": [], "lists": {}}],
        "configuration": {"parts": {name: {"scorer": scorer} for name, scorer in behind.items()}},
    }


def record(
    results: dict[str, Any],
    dataset: str = "beauty",
    split: str = "last-out",
    configuration: str = "default",
    parts: dict[str, dict[str, Any]] | None = None,
    source: dict[str, str] | None = None,
) -> records.Record:
    asked = configurations.Asked({"fused": RecommenderConfig(parts=PARTS if parts is None else parts)})
    source = source or {
        "version": "0.1.0",
        "commit": "abc",
        "code": records.source_digest(),
        "budget_fit_s": 299.0,
    }
    return records.of(dataset, split, configuration, asked, results, 12.34, source)
