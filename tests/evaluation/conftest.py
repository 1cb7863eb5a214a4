from __future__ import annotations

import numpy as np
import pytest

from fuserec.evaluation.results import (
    Comparison,
    DatasetFacts,
    EvaluationResults,
    ModelResult,
    SampleItem,
    SampleUser,
    Segment,
)
from fuserec.evaluation.statistics import Difference, Estimate

PARTS = {
    # name: (ndcg@10, coverage@10, novelty@10, ild@10, fit seconds, score seconds, peak MB)
    "fused": (0.0636, 0.612, 12.41, 0.78, 96.0, 14.2, 1460.0),
    "cooccurrence": (0.0512, 0.548, 12.9, 0.81, 1.9, 6.1, 212.0),
    "content-lexical": (0.0449, 0.884, 13.6, 0.55, 4.2, 8.8, 340.0),
    "content-sentence": (0.0391, 0.861, 13.4, 0.51, 61.0, 7.9, 655.0),
    "item-knn": (0.0408, 0.592, 12.7, 0.79, 0.8, 5.7, 188.0),
    "ease": (0.0397, 0.641, 12.2, 0.8, 31.0, 9.4, 1460.0),
    "als": (0.0274, 0.231, 10.8, 0.83, 7.4, 5.2, 96.0),
    "popularity": (0.0068, 0.003, 7.6, 0.9, 0.02, 3.9, 21.0),
}
SEGMENTS = {
    "query:none": (0, 0.0),
    "query:short": (15342, 0.93),
    "query:long": (7021, 1.18),
    "target:cold": (138, 0.3),
    "target:tail": (9310, 0.7),
    "target:head": (12915, 1.31),
}


def estimate(value: float, width: float = 0.04) -> Estimate:
    return Estimate(round(value, 6), round(value * (1 - width), 6), round(value * (1 + width), 6))


def model(name: str) -> ModelResult:
    ndcg, coverage, novelty, ild, fit, score, peak = PARTS[name]
    metrics = {}
    for k, factor in ((5, 0.8), (10, 1.0), (20, 1.24)):
        at = ndcg * factor
        metrics |= {
            f"ndcg@{k}": estimate(at),
            f"recall@{k}": estimate(at * 1.65),
            f"hit_rate@{k}": estimate(at * 1.65),
            f"precision@{k}": estimate(at * 1.65 / k),
            f"mrr@{k}": estimate(at * 0.8),
            f"map@{k}": estimate(at * 0.8),
            f"coverage@{k}": Estimate(min(1.0, coverage * factor)),
            f"ild@{k}": estimate(ild, 0.004),
            f"novelty@{k}": estimate(novelty, 0.003),
        }
    metrics |= {"mrr": estimate(ndcg * 0.9), "auc": estimate(0.5 + 5 * ndcg, 0.01)}
    segments = {}
    for segment, (users, factor) in SEGMENTS.items():
        if not users:
            continue
        if segment == "target:cold" and not name.startswith(("content", "fused")):
            figures = {"ndcg@10": Estimate(0.0, 0.0, 0.0), "recall@10": Estimate(0.0, 0.0, 0.0)}
        else:
            figures = {"ndcg@10": estimate(ndcg * factor, 0.07), "recall@10": estimate(ndcg * factor * 1.6)}
        segments[segment] = Segment(users=users, metrics=figures)
    return ModelResult(
        metrics=metrics, segments=segments, fit_s=fit, score_s=score, peak_mb=peak, users=22363
    )


def difference(name: str) -> Difference:
    gap = PARTS[name][0] - PARTS["fused"][0]
    return Difference(gap, gap - 0.0016, gap + 0.0016, 1 / 1001, 22363)


@pytest.fixture
def results() -> EvaluationResults:
    """An evaluation as the command makes it: eight models, segments, comparisons, weights, two users."""
    rng = np.random.default_rng(0)
    titles = [
        "Argan Oil Hair Mask",
        "Lavender Hand Cream",
        "Mineral Sunscreen SPF 30",
        "Rose Water Toner",
        "Lip Balm",
    ]
    places = [SampleItem(item_id=f"B{at}", title=title, hit=at == 2) for at, title in enumerate(titles)]
    reason = "like Aloe Vera Gel, which you chose last"
    fused = [item.model_copy(update={"reason": reason}) for item in places]
    users = [
        SampleUser(
            user_id=f"A{at}",
            history=["Aloe Vera Gel", "Vitamin C Serum", "Micellar Water 400 ml"],
            targets=["Mineral Sunscreen SPF 30"],
            lists={"fused": fused, "popularity": [places[at] for at in rng.permutation(5)]},
        )
        for at in range(2)
    ]
    parts = [name for name in PARTS if name not in ("fused", "popularity")]
    cohorts = (
        "no history, text",
        "short history",
        "short history, text",
        "long history",
        "long history, text",
    )
    weights = {
        cohort: dict(zip(parts, map(float, rng.dirichlet(np.ones(len(parts)))), strict=True))
        for cohort in cohorts
    }
    return EvaluationResults(
        dataset=DatasetFacts(
            users=22363,
            items=12101,
            interactions=198502,
            fingerprint="9c1f40aa77d2e815",
            name="amazon-beauty",
        ),
        split={"kind": "last-out", "test users": 22363, "seed": 0},
        models={name: model(name) for name in PARTS},
        comparisons=[
            Comparison(
                metric="ndcg@10",
                reference="fused",
                models={name: difference(name) for name in PARTS if name != "fused"},
            )
        ],
        weights=weights,
        sample=users,
        configuration={"seed": 0, "k": [5, 10, 20], "scorers": {"ease": {"regularization": 250.0}}},
        environment={"fuserec": "0.1.0", "python": "3.11.9", "numpy": "2.2.0", "processor": "2 cores"},
        notes=["138 of the items to find were never seen in training: a segment of their own."],
    )
