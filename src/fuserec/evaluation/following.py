"""What an evaluation tells its trackers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fuserec.config import RecommenderConfig
from fuserec.evaluation.contenders import FUSED
from fuserec.tracked import parameters
from fuserec.tracking.config import TrackingConfig
from fuserec.tracking.session import tracked

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import SplitConfig
    from fuserec.evaluation.results import EvaluationResults
    from fuserec.run import RunOptions


@contextmanager
def tracked_evaluation(
    dataset: Dataset,
    configs: Mapping[str, RecommenderConfig] | RecommenderConfig | None,
    split: SplitConfig,
    run: RunOptions,
) -> Iterator[RunOptions]:
    """Give run options whose figures go to the trackers of the first configuration that names any."""
    if configs is None or isinstance(configs, RecommenderConfig):
        configs = {FUSED: configs or RecommenderConfig()}
    where = next((config.tracking for config in configs.values() if config.tracking.to), TrackingConfig())
    if not where.to:
        yield run
        return
    params = {name: parameters(config, dataset, run) for name, config in configs.items()}
    told = next(iter(params.values())) if len(params) == 1 else params
    with tracked(where, f"evaluate-{dataset.info.name}", {**told, "split": split.model_dump()}, run) as on:
        yield on


def tell(results: EvaluationResults, run: RunOptions) -> None:
    """Give the figures of every model, and the seconds of its fit and of scoring, to the trackers."""
    for name, model in results.models.items():
        values = {f"{metric}/{name}": estimate.value for metric, estimate in model.metrics.items()}
        seconds = {f"fit/{name}": model.fit_s, f"score/{name}": model.score_s}
        run.track("test", 0, {key: value for key, value in values.items() if value is not None})
        run.track("seconds", 0, {key: value for key, value in seconds.items() if value is not None})
