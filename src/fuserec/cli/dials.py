"""``fuserec evaluate --dial``: what dials do and what they cost."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuserec.cli.screen import one_line
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.cli.screen import Screen
    from fuserec.config import RecommenderConfig
    from fuserec.data.splits import SplitConfig
    from fuserec.evaluation.dials import DialCurve


def refuse_beside_dial(
    dial: Sequence[str] | None, asked: Mapping[str, object], configs: Sequence[Path], report: Path | None
) -> None:
    """Refuse options that ask for something else beside --dial.

    Parameters
    ----------
    dial : sequence of str, optional
    asked : mapping
        Other options with what was given for them.
    configs : sequence of Path
    report : Path, optional

    Raises
    ------
    RequestError
        For a comparison of variants, a choice of models, several configurations, or a report.
    """
    others = [option for option, value in asked.items() if value]
    if dial and (others or len(configs) > 1 or report is not None):
        raise RequestError(
            "--dial: measures the fusion of one configuration; leave out --ablate, --curve, --model, --replay, --report"
        )


def evaluate_dials(
    screen: Screen,
    folder: Path,
    dials: Sequence[str],
    config: RecommenderConfig | dict[str, RecommenderConfig],
    *,
    format: str,
    split: SplitConfig,
    ks: Sequence[int],
    json: Path | None,
    device: str,
    seed: int,
    threads: int | None,
) -> None:
    """Measure, print a table a dial, and write the JSON file."""
    from fuserec.data.readers import read
    from fuserec.evaluation.dials import measure_dials, parse_dials
    from fuserec.evaluation.results import write_text

    parse_dials(dials)  # before hours of work
    if isinstance(config, dict):
        config = next(iter(config.values()))
    k = 10 if 10 in ks else max(ks)
    with screen.working("measured", seed=seed, threads=threads, device=device) as run:
        dataset, _ = read(folder, format)
        facts, curves = measure_dials(dataset, dials, config, split=split, k=k, run=run)
    text = json_format.dumps({**facts, "dials": [c.as_json() for c in curves]}, ensure_ascii=False, indent=1)
    if json is not None and str(json) == "-":
        sys.stdout.write(text + "\n")
        return
    for curve in curves:
        screen.show(one_line(f"{curve.name}: {curve.means}"), table(curve, k), one_line(verdict(curve)), "")
    if json is not None:
        write_text(json, text + "\n")
        screen.remark(f"written: {json}")


def table(curve: DialCurve, k: int) -> Any:
    """Return the table of a dial."""
    from fuserec.cli.show import plain_table

    found = plain_table("strength", "effect", "95 %", f"NDCG@{k}", "95 %", "cost of NDCG, paired")
    for step in curve.steps:
        cost = "" if step.cost is None else _signed(step.cost)
        found.add_row(
            f"{step.strength:g}",
            f"{step.effect.value:.4f}",
            _range(step.effect),
            f"{step.ndcg.value:.4f}",
            _range(step.ndcg),
            cost,
        )
    return found


def _range(estimate: Any) -> str:
    """Return an interval."""
    return "" if estimate.low is None else f"{estimate.low:.4f} to {estimate.high:.4f}"


def _signed(difference: Any) -> str:
    """Return a paired difference with its interval."""
    return f"{difference.difference:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def verdict(curve: DialCurve) -> str:
    """Return in words whether a dial does what it says."""
    said = (
        "monotone: the effect never falls"
        if curve.monotone
        else "NOT monotone: the mean effect falls at some step"
    )
    if curve.falling:
        return f"{said}; single lists fall at some step: {curve.falling:.1%}"
    return f"{said}, in no single list"
