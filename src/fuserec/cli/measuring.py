"""What ``fuserec evaluate`` calls: one split, folds, an ablation, a replay, an audit; and the table of rounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from fuserec.cli.protocol import Options
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from rich.table import Table

    from fuserec.cli.baseline import Baseline
    from fuserec.config import RecommenderConfig
    from fuserec.data.splits import Targets
    from fuserec.evaluation.audit import AuditConfig
    from fuserec.evaluation.candidates import Candidates
    from fuserec.evaluation.replay import Way
    from fuserec.evaluation.results import EvaluationResults
    from fuserec.run import RunOptions

ReplayWindows = Annotated[
    int | None,
    typer.Option(
        "--replay",
        help="Know all until a moment, recommend until the next, move on: so many windows over the newest --share "
        "(0.5 unless given).",
        metavar="WINDOWS",
    ),
]
Between = Annotated[
    str | None,
    typer.Option(
        "--between",
        help="With --replay: what happens between windows, update (unless given), refit or nothing; several, "
        "divided by commas, are compared.",
        metavar="WAYS",
    ),
]


@dataclass(frozen=True)
class Measuring:
    """What is measured: data, configurations, models, cuts and candidates, and what is told of it."""

    folder: Path
    format: str
    configs: dict[str, RecommenderConfig] | RecommenderConfig
    models: tuple[str, ...]
    ks: tuple[int, ...]
    candidates: Candidates
    audit: AuditConfig
    earlier: Baseline
    user_ids: bool

    @property
    def only(self) -> RecommenderConfig:
        """The configuration, where there is one."""
        return next(iter(self.configs.values())) if isinstance(self.configs, Mapping) else self.configs

    def measured(
        self, options: Options, ablate: str | None, curve: str | None, check_leaks: bool, run: RunOptions
    ) -> EvaluationResults:
        """Measure one split or its folds; variants of a part; the curve of a reranker; try the models for leaks."""
        from fuserec.data.readers import read

        split = options.config()
        dataset, _ = read(self.folder, self.format)
        self.earlier.check(dataset, split, self.candidates)
        if curve is not None:
            from fuserec.evaluation.cost_curve import cost_curve

            return cost_curve(dataset, curve, self.only, split=split, ks=self.ks, run=run)
        if ablate is not None:
            from fuserec.evaluation.ablation import ablate as compare

            return compare(
                dataset,
                ablate,
                self.only,
                split=split,
                ks=self.ks,
                run=run,
                audit=self.audit,
                candidates=self.candidates,
            )
        from fuserec.evaluation.runner import evaluate

        results = evaluate(
            dataset,
            self.configs,
            split=split,
            models=self.models,
            ks=self.ks,
            run=run,
            candidates=self.candidates,
            audit=self.audit,
            user_ids=self.user_ids,
        )
        if not check_leaks:
            return results
        from fuserec.evaluation.leakage.trial import audit_all, audit_notes

        found = audit_all(dataset, self.configs, split=split, models=self.models, run=run)
        return results.model_copy(update={"notes": [*audit_notes(found), *results.notes]})

    def replayed(self, options: Options, windows: int, between: str, run: RunOptions) -> EvaluationResults:
        """Replay the newest part of the data."""
        from fuserec.data.readers import read
        from fuserec.evaluation.replay import Replay, replay

        if options.split not in ("last-out", "temporal") or options.folds > 1:
            raise RequestError("--replay is a protocol of its own: leave --split and --folds out")
        from fuserec.evaluation.audit import AuditConfig

        if self.audit != AuditConfig() or self.earlier.results is not None:
            raise RequestError(
                "--replay takes no --baseline and no audit (--groups, --audit, --seeds, --reasons): leave them out"
            )
        ways = tuple(cast("Way", way.strip()) for way in between.split(",") if way.strip())
        share = 0.5 if options.share is None else options.share
        plan = Replay(windows, share, ways, cast("Targets", options.targets))
        dataset, _ = read(self.folder, self.format)
        return replay(dataset, self.only, plan=plan, ks=self.ks, run=run, candidates=self.candidates)


def together(asked: Mapping[str, object], configs: int) -> None:
    """Refuse options that do not go together.

    Parameters
    ----------
    asked : mapping
        Options with what was given for them; something false stands for one that was left out.
    configs : int
        How many configurations were given.

    Raises
    ------
    RequestError
    """
    given = {option for option, value in asked.items() if value}
    if "--ablate" in given and ("--model" in given or configs > 1):
        raise RequestError(
            "--ablate compares variants of one part: give at most one --config, and no --model"
        )
    if "--curve" in given:
        others = given & {"--ablate", "--model", "--replay", "--check-leaks", "--folds"}
        if others or configs > 1:
            raise RequestError(
                "--curve is of one fusion on one split: give at most one --config, and no --model, --ablate, --replay, "
                "--folds or --check-leaks"
            )
    if "--replay" in given and (given & {"--ablate", "--model", "--check-leaks"} or configs > 1):
        raise RequestError(
            "--replay measures one Recommender: give at most one --config, and no --model, --ablate or --check-leaks"
        )
    alone = given & {"--learning-curve", "--shift"}
    others = given & {"--ablate", "--model", "--replay", "--check-leaks", "--curve"}
    if len(alone) > 1 or (alone and (others or configs > 1)):
        raise RequestError(
            f"{min(alone)} measures one fusion: give at most one --config, and no --model, --ablate, --replay, "
            "--check-leaks or other curve"
        )
    if "--between" in given and "--replay" not in given:
        raise RequestError("--between says what happens between windows: name their number by --replay")
    if "--check-leaks" in given and given & {"--folds", "--ablate"}:
        raise RequestError("--check-leaks tries the models of one split: leave --folds and --ablate out")


def rounds_table(results: EvaluationResults) -> Table:
    """Return the metric that decides for each fold or window and model, and what fitting took."""
    from fuserec.cli.show import plain_table
    from fuserec.evaluation.wording import duration, figure, interval

    metric = results.primary
    names = list(results.models)[:4]
    table = plain_table("", "users", *names, "fit", title=f"{metric} by round")
    for one in results.rounds:
        cells = []
        for name in names:
            found = one.models[name][metric]
            cells.append(f"{figure(metric, found.value)} {interval(metric, found)}".rstrip())
        spent = sum(seconds or 0.0 for seconds in one.seconds.values())
        table.add_row(one.name, f"{one.users:,}", *cells, duration(spent))
    return table
