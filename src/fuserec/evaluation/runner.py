"""Evaluation: hold out, fit, learn the fusion, score every test query once, and measure.

The protocol is the published one: models fit on the training part, the fusion learns on validation, and
nothing is refitted before the test, whose histories hold the validation items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.errors import RequestError
from fuserec.evaluation import provenance
from fuserec.evaluation.audit import Audit, AuditConfig
from fuserec.evaluation.candidates import EVERYTHING, Candidates
from fuserec.evaluation.contenders import Choice, LineUp, Trial, assemble, entries
from fuserec.evaluation.curves import Plotter
from fuserec.evaluation.examples import examples
from fuserec.evaluation.explanations import explanations
from fuserec.evaluation.figures import RatingErrors, comparisons, estimates, ratings_of
from fuserec.evaluation.folds import folded
from fuserec.evaluation.following import tell, tracked_evaluation
from fuserec.evaluation.leakage.alarms import too_good
from fuserec.evaluation.leakage.notes import leak_notes, notes_of, told
from fuserec.evaluation.measures.fairness import gap_comparisons
from fuserec.evaluation.queries import kept
from fuserec.evaluation.ranking_pass import Outcome, ranking_pass
from fuserec.evaluation.results import EvaluationResults, ModelResult
from fuserec.evaluation.stability import stability
from fuserec.evaluation.yardstick import Columns, Yardstick, deciding

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig
    from fuserec.data.dataset import Dataset
    from fuserec.evaluation.statistics import Estimate
    from fuserec.run import RunOptions

__all__ = ["evaluate"]


def evaluate(
    dataset: Dataset,
    configs: Mapping[str, RecommenderConfig] | RecommenderConfig | None = None,
    *,
    split: SplitConfig,
    models: Sequence[str] = (),
    ks: Sequence[int] = (5, 10, 20),
    run: RunOptions,
    reference: str | None = None,
    audit: AuditConfig | None = None,
    user_ids: bool = False,
    candidates: Candidates = EVERYTHING,
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
    audit : AuditConfig, optional
        Groups of users and items, flagged content, worth, propensities, further seeds, reasons to be checked.
    user_ids : bool
        Keep the ids of the users beside the values per query, so that a comparison can name them.
    candidates : Candidates
        What targets are ranked among: everything, or a sample with a warning in the notes.
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
    cuts, _ = deciding(ks)
    with tracked_evaluation(dataset, configs, split, run) as told:
        asked = _Asked(
            split, tuple(models), cuts, reference, audit or AuditConfig(), user_ids, candidates, tuple(trials)
        )
        results = _measured(dataset, configs, asked, told)
        tell(results, told)
    return results


@dataclass(frozen=True)
class _Asked:
    """The arguments of :func:`evaluate` that say what is measured, and how."""

    split: SplitConfig
    models: tuple[str, ...]
    cuts: tuple[int, ...]
    reference: str | None
    audit: AuditConfig
    user_ids: bool
    candidates: Candidates
    trials: tuple[Trial, ...]


def _measured(
    dataset: Dataset,
    configs: Mapping[str, RecommenderConfig] | RecommenderConfig | None,
    asked: _Asked,
    run: RunOptions,
) -> EvaluationResults:
    """Do what :func:`evaluate` says."""
    found = entries(dataset, configs)
    cuts, choice, candidates = asked.cuts, Choice.of(asked.models, found), asked.candidates
    _, primary = deciding(cuts)
    told([candidates.warning])
    if asked.split.folds > 1:
        if asked.audit != AuditConfig():
            raise RequestError(
                "an audit (groups, seeds, reasons, ...) is of one split: leave folds or it out"
            )
        return folded(
            dataset,
            found,
            choice,
            asked.split,
            cuts=cuts,
            primary=primary,
            reference=asked.reference,
            candidates=candidates,
            run=run,
        )
    held = split_data(dataset, asked.split, run.seed)
    facts = Audit.of(dataset, held, asked.audit)
    warned = [candidates.warning] if candidates.sampled else []
    warned += leak_notes(dataset, held, [entry.config.features for entry in found])
    line_up = assemble(dataset, found, choice, held, run, asked.trials)
    outcomes = ranking_pass(line_up, max(cuts), run, candidates)
    yardstick = Yardstick.of(held, cuts, line_up.grounds[0].features, run, facts)
    ratings = ratings_of(line_up, yardstick)
    plotter = Plotter(yardstick, yardstick.main_k)
    results: dict[str, ModelResult] = {}
    columns: dict[str, Columns] = {}
    for done, (name, outcome) in enumerate(outcomes.items()):
        run.check()
        run.progress("figures and intervals", done, len(outcomes))
        results[name], columns[name] = _result(name, outcome, line_up, yardstick, ratings.get(name))
        results[name] = results[name].model_copy(update={"curves": plotter.of_model(outcome)})
    if not candidates.sampled:
        warned += told(notes_of(too_good(outcomes, results, line_up, yardstick)))
    beside = (
        stability(
            outcomes,
            lambda other: ranking_pass(
                assemble(dataset, found, choice, held, other), max(cuts), other, candidates
            ),
            yardstick,
        ),
        explanations(line_up, outcomes, yardstick),
    )
    results = _with(results, beside)
    references = tuple(name for name in outcomes if name == asked.reference or line_up.refers(name))
    compared = comparisons(columns, ratings, references, yardstick, primary)
    compared += gap_comparisons(columns, references, yardstick)
    run.progress("figures and intervals", len(outcomes), len(outcomes))
    return EvaluationResults(
        dataset=provenance.dataset_facts(dataset),
        split=provenance.split_facts(held, run.seed, candidates),
        models=results,
        primary=primary,
        comparisons=compared,
        weights=provenance.weights(line_up),
        sample=examples(dataset, line_up, outcomes, columns, primary, run),
        curves=plotter.of_people(),
        made=provenance.today(),
        configuration=provenance.configuration(found, line_up, cuts, run),
        environment=provenance.environment(run),
        notes=[*warned, *provenance.notes(held, dataset), *line_up.notes],
        queries=kept(yardstick, columns, ratings, primary, user_ids=asked.user_ids),
    )


def _with(
    results: Mapping[str, ModelResult], more: Sequence[Mapping[str, Mapping[str, Estimate]]]
) -> dict[str, ModelResult]:
    """Return the results with further figures of the models."""
    added = {name: {key: it for one in more for key, it in one.get(name, {}).items()} for name in results}
    return {
        name: result.model_copy(update={"metrics": {**result.metrics, **added[name]}})
        for name, result in results.items()
    }


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
