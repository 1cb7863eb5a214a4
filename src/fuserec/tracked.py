"""What is told of a piece of work to its trackers: parameters before, figures after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fuserec import __version__
from fuserec.tracking.session import tracked

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig
    from fuserec.data.dataset import Dataset
    from fuserec.recommender import Recommender
    from fuserec.run import RunOptions


def parameters(config: RecommenderConfig, dataset: Dataset, run: RunOptions) -> dict[str, Any]:
    """Return what a run is told with: the configuration with the parts that the data chose, the data, the seed."""
    return {
        **config.model_dump(mode="json", exclude={"tracking", "parts", "tune"}),
        "parts": {
            name: {"scorer": part.name, **part.config.model_dump(mode="json")}
            for name, part in config.scorers(dataset).items()
        },
        "dataset": {
            "name": dataset.info.name,
            "fingerprint": dataset.fingerprint,
            "users": dataset.n_users,
            "items": dataset.n_items,
            "interactions": dataset.n_interactions,
        },
        "run": {"seed": run.seed, "threads": run.threads, "device": run.device},
        "fuserec": __version__,
    }


@contextmanager
def tracked_fit(model: Recommender, dataset: Dataset, run: RunOptions) -> Iterator[RunOptions]:
    """Give run options for a fit that the model's configuration wants tracked.

    Afterwards NDCG on validation of the fusion and of every part is told, and the seconds the fit took.
    """
    config = model.config
    if not config.tracking.to:
        yield run
        return
    with tracked(
        config.tracking, f"fit-{dataset.info.name}", parameters(config, dataset, run), run
    ) as following:
        yield following
        facts = model.fitted.facts
        depth = config.fusion.depth
        following.track(
            "validation", 0, {f"ndcg@{depth}/{name}": value for name, value in facts["validation"].items()}
        )
        following.track("fit", 0, {"seconds": facts["fit_s"]})
