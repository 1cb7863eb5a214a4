"""Rolling replay: know everything until a moment, recommend until the next, move on.

The Recommender that is measured is the one that is served: ``fit`` learns its fusion on validation within what is
known and
refits its parts on all of that. From window to window it is refitted, updated, or left as it is, and where several of
these are asked for, they answer the same questions, so that what an update loses is seen as a paired difference.

Time: a fit for each window (refit) or one fit and an update for each (update). Memory: one Recommender for each way,
and
chunks of scores of memory_mb.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from fuserec.config import RecommenderConfig
from fuserec.data.splits import Split, SplitConfig, Targets
from fuserec.data.splits.windows import Window, known_before, news_of, questions_of, windows
from fuserec.errors import ConfigError, DataError, RequestError, nearest
from fuserec.evaluation import provenance
from fuserec.evaluation.candidates import EVERYTHING, Candidates
from fuserec.evaluation.contenders import Contender, Ground, LineUp
from fuserec.evaluation.examples import examples
from fuserec.evaluation.figures import ratings_of
from fuserec.evaluation.folds import labelled, noted
from fuserec.evaluation.following import tell, tracked_evaluation
from fuserec.evaluation.kept import KeptRounds
from fuserec.evaluation.leakage.notes import leak_notes, told
from fuserec.evaluation.measure import Cost, Meter
from fuserec.evaluation.ranking_pass import ranking_pass
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.rounds import Pool, Round, round_of
from fuserec.evaluation.yardstick import Yardstick, deciding
from fuserec.fusion.base import held_with_words
from fuserec.recommender import Recommender

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout
    from fuserec.run import RunOptions

Way = Literal["refit", "update", "nothing"]
WAYS: tuple[Way, ...] = get_args(Way)

RERANKED = (
    "A replay measures lists in the order of scores: the rerankers of the configuration do not act in it.",
)
"""The note where a configuration has rerankers."""


@dataclass(frozen=True)
class Replay:
    """What is replayed.

    Parameters
    ----------
    windows : int
        How many; each has equally many interactions.
    share : float
        The newest share of the interactions that they are cut of; what is older is known at the start.
    between : tuple of {"refit", "update", "nothing"}
        What happens to the model between two windows; each way is a model of the results, by that name.
    targets : {"all", "next"}
        What is to be guessed of a user in a window.
    """

    windows: int = 4
    share: float = 0.5
    between: tuple[Way, ...] = ("update",)
    targets: Targets = "all"

    def __post_init__(self) -> None:
        if not 1 <= self.windows <= 1000:
            raise RequestError(f"replay: {self.windows} windows: name 1 to 1000")
        if not 0 < self.share < 1:
            raise RequestError(f"replay: share {self.share:g}: has to lie between 0 and 1")
        for way in self.between:
            if way not in WAYS:
                raise ConfigError(f"replay: between {way!r}{nearest(way, WAYS)}: name {', '.join(WAYS)}")
        if not self.between or len(set(self.between)) < len(self.between):
            raise ConfigError(
                f"replay: between: name each of {', '.join(WAYS)} at most once, and one of them at least"
            )
        if self.targets not in get_args(Targets):
            raise ConfigError(f"replay: targets {self.targets!r}: name all or next")


def replay(
    dataset: Dataset,
    config: RecommenderConfig | None = None,
    *,
    plan: Replay,
    ks: Sequence[int] = (5, 10, 20),
    run: RunOptions,
    candidates: Candidates = EVERYTHING,
) -> EvaluationResults:
    """Replay the newest part of the data, window by window.

    Parameters
    ----------
    dataset : Dataset
        Every interaction has a time.
    config : RecommenderConfig, optional
        None chooses the parts by the data.
    plan : Replay
    ks : sequence of int
        Where lists are cut.
    run : RunOptions
        With ``checkpoints`` windows that are done are kept there, and a stopped replay goes on after them.
    candidates : Candidates

    Returns
    -------
    EvaluationResults
        ``rounds`` has the windows, ``models`` the pooled figures of each way, with intervals over people.

    Raises
    ------
    DataError
        Where rows have no time, or a window has nobody to ask.
    """
    cuts, _ = deciding(ks)
    config = config or RecommenderConfig()
    with tracked_evaluation(dataset, config, SplitConfig(protocol="temporal", share=plan.share), run) as on:
        results = _replayed(dataset, config, plan, cuts, candidates, on)
        tell(results, on)
    return results


def _replayed(
    dataset: Dataset,
    config: RecommenderConfig,
    plan: Replay,
    cuts: tuple[int, ...],
    candidates: Candidates,
    run: RunOptions,
) -> EvaluationResults:
    """Do what :func:`replay` says."""
    _, primary = deciding(cuts)
    spans = windows(dataset, plan.windows, plan.share)
    told([candidates.warning])
    kept = KeptRounds(
        run.checkpoints,
        data=dataset.fingerprint,
        config=config.model_dump(mode="json"),
        replay=[plan.windows, plan.share, plan.between, plan.targets],
        seed=run.seed,
        cuts=cuts,
        candidates=str(candidates),
    )
    work = Replaying(dataset, config, plan, cuts, primary, candidates)
    pool = Pool(dataset.n_users, primary, run)
    about: dict[str, Any] = {}
    notes: dict[str, list[str]] = {}
    for number in range(len(spans)):
        run.check()
        one = kept.load(number)
        if one is None:
            inner = replace(run, progress=labelled(run, f"window {number + 1}/{len(spans)}"))
            one = work.window(number, spans, inner)
            kept.save(number, one)
        pool.add(one)
        about = one.about
        for note in one.about["notes"]:
            notes.setdefault(note, []).append(one.name)
        run.progress("replaying", number + 1, len(spans))
    return EvaluationResults(
        dataset=provenance.dataset_facts(dataset),
        split=_facts(plan, spans, pool, run, candidates),
        models=pool.results(),
        primary=primary,
        comparisons=pool.comparisons(plan.between[:1]),
        rounds=pool.rounds,
        sample=about["sample"],
        made=provenance.today(),
        configuration=about["configuration"],
        environment=provenance.environment(run),
        notes=[
            *([candidates.warning] if candidates.sampled else []),
            *_said(plan),
            *noted(notes, len(spans)),
        ],
    )


def _facts(
    plan: Replay, spans: Sequence[Window], pool: Pool, run: RunOptions, candidates: Candidates
) -> dict[str, Any]:
    """Return how the data were split."""
    facts: dict[str, Any] = {
        "kind": "replay",
        "windows": len(spans),
        "share": plan.share,
        "between": ", ".join(plan.between),
        "targets": plan.targets,
        "seed": run.seed,
        "from": day_of(spans[0].start),
        "to": day_of(spans[-1].end),
        "train": pool.rounds[0].train,
        "test": sum(one.targets for one in pool.rounds),
        "test_users": sum(one.users for one in pool.rounds),
    }
    return facts | ({"candidates": str(candidates)} if candidates.sampled else {})


def _said(plan: Replay) -> list[str]:
    """Return what a reader has to be told."""
    ways = {
        "refit": "refit fits anew before every window",
        "update": "update fits once and then adds what each window brings, the weights of the fusion left",
        "nothing": "nothing keeps the model of the first window, while histories in the questions grow all the same",
    }
    return [
        "Figures are over the questions of all windows, intervals over people with all that they were asked.",
        f"Between windows: {'; '.join(ways[way] for way in plan.between)}.",
    ]


def day_of(moment: float) -> str:
    """Return the day of a moment, as far as the calendar reaches."""
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return f"{moment:g}"


@dataclass
class Replaying:
    """A Recommender for each way, and how far it has come."""

    dataset: Dataset
    config: RecommenderConfig
    plan: Replay
    cuts: tuple[int, ...]
    primary: str
    candidates: Candidates
    _models: dict[Way, Recommender] = field(default_factory=dict)
    _reached: dict[Way, int] = field(default_factory=dict)

    def window(self, number: int, spans: Sequence[Window], run: RunOptions) -> Round:
        """Bring every model to the start of a window, and measure it."""
        span = spans[number]
        held = questions_of(self.dataset, span, self.plan.targets)
        name = f"{day_of(span.start)} to {day_of(span.end)}"
        if not len(held):
            raise DataError(f"replay: nobody takes anything new from {name}: take fewer windows")
        nothing = held.take(np.empty(0, np.int64))  # the validation is inside of what each model knows
        split = Split(
            SplitConfig(protocol="temporal", share=self.plan.share, targets=self.plan.targets), nothing, held
        )
        leaked = leak_notes(self.dataset, split, [self.config])
        costs: dict[str, Cost] = {
            way: self._brought_to(way, number, spans, held, run) for way in self.plan.between
        }
        line_up = self._line_up(held, costs, run)
        outcomes = ranking_pass(line_up, max(self.cuts), self._within(run), self.candidates)
        yardstick = Yardstick(held, held.train, self.cuts, line_up.grounds[0].features, run)
        one = round_of(name, outcomes, ratings_of(line_up, yardstick), costs, yardstick, self.primary)
        parts = self._models[self.plan.between[0]].fitted.fused.parts
        about = {
            "notes": [*leaked, *(RERANKED if self.config.rerank.tables else ())],
            "sample": [
                u.model_dump()
                for u in examples(self.dataset, line_up, outcomes, one.columns, self.primary, run)
            ],
            "configuration": {
                "seed": run.seed,
                "k": list(self.cuts),
                "memory_mb": run.memory_mb,
                "features": self.config.features.model_dump(mode="json", exclude={"cache"}),
                "fusion": self.config.fusion.model_dump(mode="json"),
                "parts": {
                    n: {"scorer": p.name, **p.config.model_dump(mode="json")} for n, p in parts.items()
                },
            },
        }
        return replace(one, about=one.about | about)

    def _brought_to(
        self, way: Way, number: int, spans: Sequence[Window], held: Holdout, run: RunOptions
    ) -> Cost:
        """Fit or update the model of one way so that it knows what it may at the start of a window."""
        with Meter() as meter:
            if way == "refit":
                self._models[way] = Recommender(self.config).fit(held.train, run)
            elif way not in self._models:
                first = known_before(self.dataset, spans[0].start)
                self._models[way], self._reached[way] = Recommender(self.config).fit(first, run), 0
            while way == "update" and self._reached[way] < number:
                run.check()
                self._models[way].update(news_of(self.dataset, spans[self._reached[way]]), run=run)
                self._reached[way] += 1
        return meter.cost

    def _line_up(self, held: Holdout, costs: Mapping[str, Cost], run: RunOptions) -> LineUp:
        """Return the models of all ways, each with the questions as its own features read them."""
        contenders: dict[str, Contender] = {}
        for way in self.plan.between:
            model = self._models[way].fitted
            worded = held_with_words(held, self.dataset, model.features, run)
            ground = Ground(model.features, worded, worded)
            contenders[way] = Contender(way, model.fused, costs[way], ground)
        return LineUp(contenders, {}, tuple(contenders))

    def _within(self, run: RunOptions) -> RunOptions:
        """Return options whose chunks leave room for the scores of all parts of a fusion."""
        parts = max(len(model.fitted.fused.parts) for model in self._models.values())
        return replace(run, memory_mb=max(1, run.memory_mb * 3 // (parts + 2)))
