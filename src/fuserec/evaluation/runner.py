"""Evaluation: hold out, fit, learn the fusion, score every test query once, and measure.

The protocol is the published one: models fit on the training part, the fusion learns on validation, and
nothing is refitted before the test, whose histories hold the validation items.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.tuned import leak
from fuserec.errors import RequestError
from fuserec.evaluation import provenance
from fuserec.evaluation.contenders import Choice, LineUp, Trial, assemble, entries
from fuserec.evaluation.figures import RatingErrors, comparisons, estimates, rating_errors
from fuserec.evaluation.following import tell, tracked_evaluation
from fuserec.evaluation.ranking_pass import Outcome, ranking_pass
from fuserec.evaluation.results import EvaluationResults, ModelResult
from fuserec.evaluation.yardstick import Columns, Yardstick

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig
    from fuserec.data.dataset import Dataset
    from fuserec.run import RunOptions

__all__ = ["evaluate"]

log = logging.getLogger("fuserec")

PRIMARY_K = 10


def evaluate(
    dataset: Dataset,
    configs: Mapping[str, RecommenderConfig] | RecommenderConfig | None = None,
    *,
    split: SplitConfig,
    models: Sequence[str] = (),
    ks: Sequence[int] = (5, 10, 20),
    run: RunOptions,
    reference: str | None = None,
    trials: Sequence[Trial] = (),
) -> EvaluationResults:
    """Measure fusions and their parts on held-out data.

    Parameters
    ----------
    dataset : Dataset
    configs : mapping of RecommenderConfig, RecommenderConfig, or None
        One or more configurations; None chooses the parts by the data. The fusion of a single one is called
        ``fused``, those of several have the names of the mapping.
    split : SplitConfig
        What is held out.
    models : sequence of str
        What to report: names of parts, of fusions (``fused`` stands for all of them), or of scorers that no
        configuration has, which are fitted with their defaults and not fused. By default every fusion and
        every part.
    ks : sequence of int
        Where lists are cut.
    run : RunOptions
        Equal seeds give equal figures.
    reference : str, optional
        A reported model that all others are compared with, beside every fusion.
    trials : sequence of Trial
        Other settings of a reranker, whose lists are measured too, and all of these by its aim; one fit serves
        them all (:mod:`fuserec.evaluation.cost_curve`).

    Returns
    -------
    EvaluationResults
        Times are seconds on the clock; ``peak_mb`` is how far memory rose while fitting.

    Raises
    ------
    RequestError
        Where a k is not a whole number of at least 1.
    ConfigError
        For an unknown model, or where no part can take the catalogue.
    DataError
        Where nothing can be held out.
    """
    cuts = _checked(ks)
    with tracked_evaluation(dataset, configs, split, run) as told:
        results = _measured(dataset, configs, split, models, cuts, told, reference, trials)
        tell(results, told)
    return results


def _measured(
    dataset: Dataset,
    configs: Mapping[str, RecommenderConfig] | RecommenderConfig | None,
    split: SplitConfig,
    models: Sequence[str],
    cuts: tuple[int, ...],
    run: RunOptions,
    reference: str | None,
    trials: Sequence[Trial],
) -> EvaluationResults:
    """Do what :func:`evaluate` says."""
    found = entries(dataset, configs)
    choice = Choice.of(models, found)
    held = split_data(dataset, split, run.seed)
    warned = [leak(entry.config.features, dataset, held.train) for entry in found]
    leaks = tuple(dict.fromkeys(warning for warning in warned if warning))
    for warning in leaks:
        log.warning("%s", warning)
    line_up = assemble(dataset, found, choice, held, run, trials)
    outcomes = ranking_pass(line_up, max(cuts), run)
    yardstick = Yardstick.of(held, cuts, line_up.grounds[0].features, run)
    primary = f"ndcg@{PRIMARY_K if PRIMARY_K in cuts else max(cuts)}"
    ratings = _ratings(line_up, yardstick)
    results: dict[str, ModelResult] = {}
    columns: dict[str, Columns] = {}
    for done, (name, outcome) in enumerate(outcomes.items()):
        run.check()
        run.progress("figures and intervals", done, len(outcomes))
        results[name], columns[name] = _result(name, outcome, line_up, yardstick, ratings.get(name))
    references = tuple(name for name in outcomes if name == reference or line_up.refers(name))
    compared = comparisons(columns, ratings, references, yardstick, primary)
    run.progress("figures and intervals", len(outcomes), len(outcomes))
    return EvaluationResults(
        dataset=provenance.dataset_facts(dataset),
        split=provenance.split_facts(held, run.seed),
        models=results,
        primary=primary,
        comparisons=compared,
        weights=provenance.weights(line_up),
        sample=provenance.examples(dataset, held.test, outcomes, run),
        configuration=provenance.configuration(found, line_up, cuts, run),
        environment=provenance.environment(run),
        notes=[*provenance.notes(held, dataset), *leaks, *line_up.notes],
    )


def _checked(ks: Sequence[int]) -> tuple[int, ...]:
    """Return the cuts, ascending and once each, or refuse them before hours of work."""
    for k in ks:
        if isinstance(k, bool) or int(k) != k or k < 1:
            raise RequestError(
                f"evaluate: k = {k!r}: lists are cut at whole numbers of at least 1, such as 10"
            )
    if not ks:
        raise RequestError("evaluate: no k is given: name where lists are cut, such as 5, 10, 20")
    return tuple(sorted({int(k) for k in ks}))


def _ratings(line_up: LineUp, yardstick: Yardstick) -> dict[str, RatingErrors]:
    """Return the errors of every reported model that predicts ratings, where the data have them."""
    found: dict[str, RatingErrors] = {}
    if not yardstick.train.has_ratings:
        return found
    for name in line_up.reported:
        fused = line_up.fusions.get(name)
        if fused is not None and fused.variant_of:
            continue  # ratings do not hang on the order of a list
        if fused is not None:
            able, ground, model = fused.blend.predicts, fused.ground, fused.blend
            errors = rating_errors(model, ground.test, yardstick.run) if able else None
        else:
            one = line_up.contenders[name]
            able = one.scorer.capabilities.predicts
            errors = rating_errors(one.scorer, one.ground.test, yardstick.run) if able else None
        if errors is not None:
            found[name] = errors
    return found


def _result(
    name: str, outcome: Outcome, line_up: LineUp, yardstick: Yardstick, ratings: RatingErrors | None
) -> tuple[ModelResult, Columns]:
    """Return one model's figures, and its values per query."""
    metrics, segments, columns = estimates(outcome, yardstick)
    if ratings is not None:
        metrics |= ratings.estimates(yardstick)
    cost = (line_up.fusions.get(name) or line_up.contenders[name]).cost
    result = ModelResult(
        metrics=metrics,
        segments=segments,
        fit_s=cost.seconds,
        score_s=outcome.score_s,
        peak_mb=cost.peak_mb,
        users=len(yardstick.test),
    )
    return result, columns
