"""``fuserec evaluate --learning-curve`` and ``--shift``: curves of accuracy, on less data and farther from it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from fuserec.cli.screen import Screen, one_line
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.cli.measuring import Measuring
    from fuserec.cli.protocol import Options
    from fuserec.evaluation.series import Series
    from fuserec.run import RunOptions

LearningCurveFlag = Annotated[
    bool,
    typer.Option(
        "--learning-curve",
        help="Measure on more and more of the training data, with text and without.",
    ),
]
Percent = Annotated[
    str | None,
    typer.Option(
        "--percent",
        help="With --learning-curve: percentages of the training data; 1,5,10,25,50,100 unless given.",
        metavar="SHARES",
    ),
]
ShiftAlong = Annotated[
    str | None,
    typer.Option(
        "--shift",
        help="How far accuracy falls away from training: time, time:WINDOWS, categories, categories:COLUMN or "
        "categories:COLUMN=VALUE,VALUE.",
        metavar="ALONG",
    ),
]


@dataclass(frozen=True)
class Curves:
    """Which curve is asked for; ``shift`` is None for a learning curve."""

    shares: tuple[float, ...]
    shift: str | None

    @classmethod
    def asked(cls, learning_curve: bool, percent: str | None, shift: str | None) -> Self | None:
        """Return what is asked for, or None; refuse what cannot be before hours of work.

        Raises
        ------
        RequestError
        """
        if percent is not None and not learning_curve:
            raise RequestError("--percent says which shares --learning-curve measures: give both")
        if not learning_curve and shift is None:
            return None
        from fuserec.evaluation.learning_curve import SHARES, parse_shares
        from fuserec.evaluation.shift import ShiftPlan

        if shift is not None:
            ShiftPlan.parse(shift)
        return cls(SHARES if percent is None else parse_shares(percent), shift)

    def measured(self, measuring: Measuring, options: Options, run: RunOptions) -> Series:
        """Measure the curve."""
        from fuserec.data.readers import read
        from fuserec.evaluation.audit import AuditConfig

        if measuring.audit != AuditConfig() or measuring.earlier.results is not None or measuring.user_ids:
            raise RequestError(
                "a curve takes no --baseline, no --user-ids and no audit (--groups, --audit, --seeds, --reasons): "
                "leave them out"
            )
        if self.shift is None:
            from fuserec.evaluation.learning_curve import learning_curve

            split = options.config()
            dataset, _ = read(measuring.folder, measuring.format)
            return learning_curve(
                dataset,
                measuring.only,
                split=split,
                shares=self.shares,
                ks=measuring.ks,
                run=run,
                candidates=measuring.candidates,
            )
        from fuserec.evaluation.shift import ShiftPlan, shift

        if options.split != "last-out" or options.folds > 1 or options.targets != "all":
            raise RequestError("--shift is a protocol of its own: leave --split, --folds and --targets out")
        plan = ShiftPlan.parse(self.shift, options.share)
        dataset, _ = read(measuring.folder, measuring.format)
        return shift(
            dataset, measuring.only, plan=plan, ks=measuring.ks, run=run, candidates=measuring.candidates
        )

    def told(
        self, found: Series, screen: Screen, json: Path | None, report: Path | None, language: str
    ) -> None:
        """Print or write what was found."""
        from rich.text import Text

        from fuserec.evaluation.series import write_series
        from fuserec.evaluation.series_report import write_series_html
        from fuserec.evaluation.series_wording import series_summary, series_table

        printed = json is not None and str(json) == "-"
        written = []
        if json is not None and not printed:
            write_series(found, json)
            written.append(json)
        if report is not None:
            write_series_html(found, report, language)
            written.append(report)
        if printed:
            sys.stdout.write(found.to_json())
            return
        said = "\n".join(one_line(line) for line in (*series_summary(found), *found.notes))
        screen.show(series_table(found), Text(said))
        for path in written:
            screen.remark(f"written: {path}")
