"""Learning curve: accuracy against the share of the training data, with text and without.

What is reduced: the interactions (and impressions) that parts learn from. The shares are nested samples of them, so
that no point knows anything that a later one does not. What stays: the catalogue; the test queries with their
histories, because who asks is data in the call and not training; the validation queries, so that a point differs from
the next one by what parts have learnt and not by how well the weights of the fusion are known.

Time: an evaluation for each share and variant. Memory: that of one evaluation, and 64 bytes · queries · shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fuserec.config import RecommenderConfig
from fuserec.data.splits import Split, SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.data.splits.shares import nested_share
from fuserec.errors import DataError, RequestError
from fuserec.evaluation import provenance
from fuserec.evaluation.candidates import EVERYTHING, Candidates
from fuserec.evaluation.contenders import FUSED, Choice, assemble, entries
from fuserec.evaluation.folds import labelled
from fuserec.evaluation.kept import KeptRounds
from fuserec.evaluation.leakage.notes import leak_notes, told
from fuserec.evaluation.measure import Cost
from fuserec.evaluation.ranking_pass import ranking_pass
from fuserec.evaluation.rounds import Round
from fuserec.evaluation.series import LearningCurve, columns_of, points_of, round_of_models
from fuserec.evaluation.textless import has_text, resolved, textless, textless_data
from fuserec.evaluation.yardstick import FloatArray, Yardstick, deciding

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.run import RunOptions

SHARES = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
TEXT, BARE = "with text", "without text"

NOTES = (
    "Shares are nested samples of the training interactions; catalogue, validation and test queries with their "
    "histories stay whole.",
    "Intervals are over users; what another sample of the same size would change is not in them.",
)


def parse_shares(text: str) -> tuple[float, ...]:
    """Return the shares that percentages such as ``1,5,10,25,50,100`` name.

    Raises
    ------
    RequestError
        For anything but different numbers above 0 and at most 100.
    """
    try:
        found = [float(part) / 100 for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < share <= 1 for share in found) or len(set(found)) < len(found):
        raise RequestError(
            f"learning curve: {text!r}: name different percentages of the training data above 0 and at most 100, "
            "divided by commas, e.g. 1,5,10,25,50,100"
        )
    return tuple(sorted(found))


def learning_curve(
    dataset: Dataset,
    config: RecommenderConfig | None = None,
    *,
    split: SplitConfig,
    shares: Sequence[float] = SHARES,
    ks: Sequence[int] = (10,),
    run: RunOptions,
    candidates: Candidates = EVERYTHING,
) -> LearningCurve:
    """Measure the fusion on more and more of the training data, with text and without.

    Parameters
    ----------
    dataset : Dataset
    config : RecommenderConfig, optional
        The fusion that is measured; None chooses the parts by the whole data. Without text, it is left without
        language model and without parts that read nothing else.
    split : SplitConfig
    shares : sequence of float
        Of the training interactions, above 0 and at most 1.
    ks : sequence of int
        The first of 10 and the largest one decides.
    run : RunOptions
        With ``checkpoints`` points that are done are kept there, and a stopped call goes on after them.
    candidates : Candidates

    Returns
    -------
    LearningCurve
        Points from the smallest share on, each with both models on the same test queries; ``difference`` is with text
        less without, ``steps`` each model less itself at the share before. Where no item has text, there is only one
        model.

    Raises
    ------
    RequestError
        For shares that are none, or a split with folds.
    ConfigError
        Where no part is left without text.
    DataError
        Where nothing can be held out, or no share can be learnt from.
    """
    cuts, primary = deciding(ks)
    shares = parse_shares(",".join(f"{100 * share:.10g}" for share in shares))
    if split.folds > 1:
        raise RequestError("learning curve: it is of one split: leave folds out")
    told([candidates.warning])
    work = _Curve.of(dataset, config or RecommenderConfig(), split, (cuts, primary, candidates), run)
    kept = KeptRounds(
        run.checkpoints,
        curve="learning",
        data=dataset.fingerprint,
        configs={name: one.config.model_dump(mode="json") for name, one in work.variants.items()},
        split=split.model_dump(),
        seed=run.seed,
        cuts=cuts,
        candidates=str(candidates),
    )
    rounds = _measured(work, shares, kept, run)
    return work.result([one for one in rounds if one.columns], rounds, run)


def _measured(work: _Curve, shares: Sequence[float], kept: KeptRounds, run: RunOptions) -> list[Round]:
    """Measure every share, or take it up where it was kept."""
    rounds = []
    for done, share in enumerate(shares):
        run.check()
        run.progress("learning curve", done, len(shares))
        number = round(share * 10**8)
        one = kept.load(number)
        if one is None:
            one = work.at(share, run)
            kept.save(number, one)
        rounds.append(one)
    run.progress("learning curve", len(shares), len(shares))
    return rounds


@dataclass(frozen=True)
class _Variant:
    """The data and the configuration of one line, and what is held out."""

    dataset: Dataset
    config: RecommenderConfig
    held: Split


@dataclass(frozen=True)
class _Curve:
    """What all points share."""

    dataset: Dataset
    variants: dict[str, _Variant]
    measured_by: tuple[tuple[int, ...], str, Candidates]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        config: RecommenderConfig,
        split: SplitConfig,
        measured_by: tuple[tuple[int, ...], str, Candidates],
        run: RunOptions,
    ) -> _Curve:
        """Hold out, with text and without: the same rows."""
        config = resolved(config, dataset)
        plain = textless(config)
        whole = split_data(dataset, split, run.seed)
        notes = [*NOTES, *leak_notes(dataset, whole, [config])]
        bare = textless_data(dataset, config)
        variants = {}
        if has_text(dataset, config):
            variants[TEXT] = _Variant(dataset, config, whole)
        else:
            notes.append("No item has any text: there is nothing to compare with.")
        variants[BARE] = _Variant(bare, plain, split_data(bare, split, run.seed))
        if TEXT in variants:
            notes.append(_said(config, plain))
        return cls(dataset, variants, measured_by, tuple(notes))

    def at(self, share: float, run: RunOptions) -> Round:
        """Measure one share: every variant on the same sample."""
        columns: dict[str, dict[str, FloatArray]] = {}
        costs: dict[str, Cost] = {}
        notes: list[str] = []
        name = f"{100 * share:g} %"
        known: dict[str, int] = {}
        for variant, one in self.variants.items():
            inner = replace(run, progress=labelled(run, f"{name} of the data, {variant}"))
            try:
                columns[variant], costs[variant], known[variant] = self._measured(one, share, inner)
            except DataError as error:
                notes.append(f"{name}, {variant}: cannot be learnt from: {error}")
        test = next(iter(self.variants.values())).held.test
        return round_of_models(
            name,
            columns,
            costs,
            test.queries.users,
            at=share,
            targets=int(test.items.size),
            train=max(known.values(), default=0),
            known=known,
            notes=notes,
        )

    def _measured(
        self, one: _Variant, share: float, run: RunOptions
    ) -> tuple[dict[str, FloatArray], Cost, int]:
        """Fit one variant on a share of its training data, and measure its fusion."""
        cuts, primary, candidates = self.measured_by
        train = nested_share(one.held.train, share, run.seed)
        held = replace(one.held, validation=replace(one.held.validation, train=train))
        found = entries(one.dataset, one.config)
        line_up = assemble(one.dataset, found, Choice.of((FUSED,), found), held, run)
        outcome = ranking_pass(line_up, max(cuts), run, candidates)[FUSED]
        yardstick = Yardstick.of(held, cuts, line_up.grounds[0].features, run)
        return columns_of(outcome, yardstick, primary), line_up.fusions[FUSED].cost, train.n_interactions

    def result(self, usable: Sequence[Round], rounds: Sequence[Round], run: RunOptions) -> LearningCurve:
        """Return the curve of the points that could be learnt from."""
        cuts, primary, candidates = self.measured_by
        notes = [note for one in rounds for note in one.about["notes"]]
        if not usable:
            raise DataError(f"learning curve: no share of the data can be learnt from: {notes[0]}")
        first = next(iter(self.variants.values()))
        return LearningCurve(
            kind="learning-curve",
            dataset=provenance.dataset_facts(self.dataset),
            split=provenance.split_facts(first.held, run.seed, candidates),
            models=tuple(self.variants),
            points=points_of(usable, list(self.variants), primary, run, steps=True),
            primary=primary,
            notes=[*([candidates.warning] if candidates.sampled else []), *self.notes, *notes],
            configuration={"seed": run.seed, "k": list(cuts), **self._configured()},
            environment=provenance.environment(run),
            made=provenance.today(),
        )

    def _configured(self) -> dict[str, Any]:
        """Return the configuration of each line."""
        return {
            name: one.config.model_dump(mode="json", exclude={"tune", "tracking"})
            for name, one in self.variants.items()
        }


def _said(config: RecommenderConfig, bare: RecommenderConfig) -> str:
    """Say what is taken away where there is no text."""
    gone = [name for name in config.parts if name not in bare.parts]
    left = f"; left out: {', '.join(gone)}" if gone else ""
    return (
        "Without text: no titles, descriptions, categories, tags, brands, profiles and searches, no language "
        f"model{left}."
    )
