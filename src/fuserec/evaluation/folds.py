"""k-fold: everything is test once, models are fitted anew for every fold, and the figures are pooled over people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fuserec.data.splits import splits
from fuserec.evaluation import provenance
from fuserec.evaluation.contenders import Choice, Entry, LineUp, assemble
from fuserec.evaluation.examples import examples
from fuserec.evaluation.figures import ratings_of
from fuserec.evaluation.kept import KeptRounds
from fuserec.evaluation.leakage.alarms import certain, too_good
from fuserec.evaluation.leakage.notes import leak_notes, notes_of, told
from fuserec.evaluation.ranking_pass import ranking_pass
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.rounds import Pool, Round, round_of, spread
from fuserec.evaluation.yardstick import Yardstick

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Split, SplitConfig
    from fuserec.evaluation.candidates import Candidates
    from fuserec.run import RunOptions


def folded(
    dataset: Dataset,
    found: Sequence[Entry],
    choice: Choice,
    split: SplitConfig,
    *,
    cuts: tuple[int, ...],
    primary: str,
    reference: str | None,
    candidates: Candidates,
    run: RunOptions,
) -> EvaluationResults:
    """Measure every fold and pool them; folds that a stopped call has done are taken from ``run.checkpoints``.

    The intervals are over people with all their folds. They do not say how much other training data would change:
    the trainings of folds share most of their rows, and no unbiased estimate of that variance exists (Bengio,
    Grandvalet, 2004, "No unbiased estimator of the variance of k-fold cross-validation"); the range over folds is
    noted.
    """
    kept = KeptRounds(
        run.checkpoints,
        data=dataset.fingerprint,
        configs={entry.name: entry.config.model_dump(mode="json") for entry in found},
        models=sorted(choice.names),
        split=split.model_dump(),
        seed=run.seed,
        cuts=cuts,
        candidates=str(candidates),
    )
    pool = Pool(dataset.n_users, primary, run)
    about: dict[str, Any] = {}
    notes: dict[str, list[str]] = {}
    for number, held in enumerate(splits(dataset, split, run.seed)):
        run.check()
        one = kept.load(number)
        if one is None:
            inner = replace(run, progress=labelled(run, f"fold {number + 1}/{split.folds}"))
            one = _fold(
                dataset, found, choice, held, f"fold {number + 1}", (cuts, primary, candidates), inner
            )
            kept.save(number, one)
        pool.add(one)
        about = one.about
        for note in one.about["notes"]:
            notes.setdefault(note, []).append(one.name)
    models = pool.results()
    suspicious: list[str] = []
    if not candidates.sampled:
        asked = sum(one.users for one in pool.rounds)
        suspicious = told(notes_of(certain(models, asked, dataset.n_items)))
    references = [name for name in models if name in about["fusions"] or name == reference]
    return EvaluationResults(
        dataset=provenance.dataset_facts(dataset),
        split=about["split"] | {"test": sum(one.targets for one in pool.rounds)},
        models=models,
        primary=primary,
        comparisons=pool.comparisons(references),
        rounds=pool.rounds,
        weights=about["weights"],
        sample=about["sample"],
        made=provenance.today(),
        configuration=about["configuration"],
        environment=provenance.environment(run),
        notes=[*_said(pool, split, primary, next(iter(models))), *suspicious, *noted(notes, split.folds)],
    )


def noted(notes: Mapping[str, Sequence[str]], rounds: int) -> list[str]:
    """Return the notes of all rounds, each once; what is not said of all of them has the names of its rounds."""
    return [note if len(names) == rounds else f"{', '.join(names)}: {note}" for note, names in notes.items()]


def labelled(run: RunOptions, label: str) -> Callable[[str, int, int], None]:
    """Return a progress that says which round it is of."""
    return lambda what, done, total: run.progress(f"{label}: {what}", done, total)


def _said(pool: Pool, split: SplitConfig, primary: str, model: str) -> list[str]:
    """Say what the pooled intervals hold and what they do not."""
    found = [
        f"Figures are over the queries of all {split.folds} folds, intervals over people with all that they were "
        "asked; what other training data would change is not in them."
    ]
    ends = spread(pool.rounds, model, primary)
    if ends is not None:
        found.append(f"{primary} of {model} runs from {ends[0]:.4f} to {ends[1]:.4f} over folds.")
    return found


def _fold(
    dataset: Dataset,
    found: Sequence[Entry],
    choice: Choice,
    held: Split,
    name: str,
    measured_by: tuple[tuple[int, ...], str, Candidates],
    run: RunOptions,
) -> Round:
    """Fit and measure one fold."""
    cuts, primary, candidates = measured_by
    leaked = leak_notes(dataset, held, [entry.config for entry in found])
    line_up: LineUp = assemble(dataset, found, choice, held, run)
    outcomes = ranking_pass(line_up, max(cuts), run, candidates)
    yardstick = Yardstick.of(held, cuts, line_up.grounds[0].features, run)
    costs = {name: (line_up.fusions.get(name) or line_up.contenders[name]).cost for name in outcomes}
    one = round_of(name, outcomes, ratings_of(line_up, yardstick), costs, yardstick, primary)
    suspicious = [] if candidates.sampled else told(notes_of(too_good(outcomes, {}, line_up, yardstick)))
    warned = [*leaked, *suspicious, candidates.warning]
    about = {
        "fusions": list(line_up.fusions),
        "split": provenance.split_facts(held, run.seed, candidates),
        "weights": provenance.weights(line_up),
        "sample": [u.model_dump() for u in examples(dataset, line_up, outcomes, one.columns, primary, run)],
        "configuration": provenance.configuration(found, line_up, cuts, run),
        "notes": [note for note in (*warned, *provenance.notes(held, dataset), *line_up.notes) if note],
    }
    return replace(one, about=one.about | about)
