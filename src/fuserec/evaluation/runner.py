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
from fuserec.evaluation.contenders import Choice, Entry, LineUp, Trial, assemble, entries
from fuserec.evaluation.curves import Plotter
from fuserec.evaluation.examples import examples
from fuserec.evaluation.explanations import explanations
from fuserec.evaluation.figures import Narrow, RatingErrors, comparisons, corrected, estimates, ratings_of
from fuserec.evaluation.folds import folded
from fuserec.evaluation.following import tell, tracked_evaluation
from fuserec.evaluation.further import further
from fuserec.evaluation.leakage.alarms import too_good
from fuserec.evaluation.leakage.notes import leak_notes, notes_of, told
from fuserec.evaluation.measures.aims import served_groups
from fuserec.evaluation.measures.fairness import group_comparisons
from fuserec.evaluation.queries import kept
from fuserec.evaluation.ranking_pass import Outcome, ranking_pass
from fuserec.evaluation.results import Comparison, EvaluationResults, ModelResult
from fuserec.evaluation.stability import stability
from fuserec.evaluation.yardstick import Columns, Yardstick, deciding

if TYPE_CHECKING:
    import numpy.typing as npt

    from fuserec.config import RecommenderConfig
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Split
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
    choice = Choice.of(asked.models, found)
    told([asked.candidates.warning])
    if asked.split.folds == 1:
        return _Evaluating(dataset, found, choice, asked, run).results()
    if asked.audit != AuditConfig():
        raise RequestError("an audit (groups, seeds, reasons, ...) is of one split: leave folds or it out")
    return folded(
        dataset,
        found,
        choice,
        asked.split,
        cuts=asked.cuts,
        primary=deciding(asked.cuts)[1],
        reference=asked.reference,
        candidates=asked.candidates,
        run=run,
    )


@dataclass(frozen=True)
class _Figures:
    """What all models have to show, by name: figures, values per query of accuracy and of lists, errors of ratings."""

    models: dict[str, ModelResult]
    columns: dict[str, Columns]
    lists: dict[str, Narrow]
    ratings: dict[str, RatingErrors]


@dataclass
class _Evaluating:
    """The evaluation of one split, step by step."""

    dataset: Dataset
    entries: Sequence[Entry]
    choice: Choice
    asked: _Asked
    run: RunOptions

    def results(self) -> EvaluationResults:
        """Hold out, fit, score, measure."""
        asked, run, dataset = self.asked, self.run, self.dataset
        held = split_data(dataset, asked.split, run.seed)
        facts = Audit.of(dataset, held, asked.audit)
        leaked = leak_notes(dataset, held, [entry.config for entry in self.entries])
        line_up = assemble(dataset, self.entries, self.choice, held, run, asked.trials)
        outcomes = ranking_pass(line_up, max(asked.cuts), run, asked.candidates)
        yardstick = Yardstick.of(held, asked.cuts, line_up.grounds[0].features, run, facts)
        plotter = Plotter(yardstick, yardstick.main_k)
        figures = self._figures(line_up, outcomes, yardstick, plotter)
        suspicious: list[str] = []
        if not asked.candidates.sampled:
            suspicious = told(notes_of(too_good(outcomes, figures.models, line_up, yardstick)))
        warned = [*([asked.candidates.warning] if asked.candidates.sampled else []), *leaked, *suspicious]
        beside = (self._stability(held, outcomes, yardstick), explanations(line_up, outcomes, yardstick))
        primary = deciding(asked.cuts)[1]
        run.progress("figures and intervals", len(outcomes), len(outcomes))
        results = EvaluationResults(
            dataset=provenance.dataset_facts(dataset),
            split=provenance.split_facts(held, run.seed, asked.candidates),
            models=_with(figures.models, beside),
            primary=primary,
            comparisons=self._comparisons(line_up, outcomes, figures, yardstick),
            weights=provenance.weights(line_up),
            sample=examples(dataset, line_up, outcomes, figures.columns, primary, run),
            curves=plotter.of_people(),
            made=provenance.today(),
            configuration=provenance.configuration(self.entries, line_up, asked.cuts, run),
            environment=provenance.environment(run),
            notes=[*warned, *provenance.notes(held, dataset), *line_up.notes],
            queries=kept(yardstick, figures.columns, figures.ratings, primary, user_ids=asked.user_ids),
        )
        by_query: dict[str, dict[str, npt.ArrayLike]] = {
            name: {**figures.columns[name], **figures.lists[name]} for name in figures.models
        }
        return results.model_copy(update={"further": further(results, by_query)})

    def _figures(
        self, line_up: LineUp, outcomes: Mapping[str, Outcome], yardstick: Yardstick, plotter: Plotter
    ) -> _Figures:
        """Measure one model after the other."""
        found = _Figures({}, {}, {}, ratings_of(line_up, yardstick))
        for done, (name, outcome) in enumerate(outcomes.items()):
            self.run.check()
            self.run.progress("figures and intervals", done, len(outcomes))
            ratings = found.ratings.get(name)
            result, found.columns[name], found.lists[name] = _result(
                name, outcome, line_up, yardstick, ratings
            )
            found.models[name] = result.model_copy(update={"curves": plotter.of_model(outcome)})
        return found

    def _stability(
        self, held: Split, outcomes: Mapping[str, Outcome], yardstick: Yardstick
    ) -> dict[str, dict[str, Estimate]]:
        """Fit and score again with other seeds, where that is asked for."""

        def again(other: RunOptions) -> dict[str, Outcome]:
            line_up = assemble(self.dataset, self.entries, self.choice, held, other, self.asked.trials)
            return ranking_pass(line_up, max(self.asked.cuts), other, self.asked.candidates)

        return stability(outcomes, again, yardstick)

    def _comparisons(
        self, line_up: LineUp, outcomes: Mapping[str, Outcome], figures: _Figures, yardstick: Yardstick
    ) -> list[Comparison]:
        """Compare all models with every fusion, and with the reference that was named."""
        names = figures.models
        references = tuple(name for name in names if name == self.asked.reference or line_up.refers(name))
        primary = deciding(self.asked.cuts)[1]
        found = comparisons(figures.columns, figures.ratings, references, yardstick, primary)
        served = served_groups(outcomes, yardstick)
        return found + corrected(group_comparisons(figures.columns, references, yardstick, served))


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
) -> tuple[ModelResult, Columns, Narrow]:
    """Return one model's figures, and its values per query: of accuracy, of whole lists."""
    metrics, segments, columns, lists = estimates(outcome, yardstick)
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
    return result, columns, lists
