"""The audit of all models of an evaluation at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fuserec.data.splits import split as split_data
from fuserec.evaluation.contenders import Choice, LineUp, assemble, entries
from fuserec.evaluation.leakage.audit import Asking, Audit, replaced, verdict
from fuserec.evaluation.leakage.notes import told

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Split, SplitConfig
    from fuserec.run import RunOptions


def audit_all(
    dataset: Dataset,
    configs: Mapping[str, RecommenderConfig] | RecommenderConfig | None = None,
    *,
    split: SplitConfig,
    models: Sequence[str] = (),
    run: RunOptions,
) -> dict[str, Audit]:
    """Fit everything that an evaluation would report on data with other held-out rows, and compare all scores.

    Parameters
    ----------
    dataset, configs, split, models, run
        As for :func:`fuserec.evaluation.runner.evaluate`.

    Returns
    -------
    dict of Audit
        By name of the model; costs two fits of everything, three where a score differs.
    """
    found = entries(dataset, configs)
    choice = Choice.of(models, found)
    held = split_data(dataset, split, run.seed)
    other, changed = replaced(dataset, held, run)
    fits: dict[str, LineUp] = {}

    def fitted(which: str, data: Dataset, its: Split) -> LineUp:
        if which not in fits:
            fits[which] = assemble(data, found, choice, its, run)
        return fits[which]

    def asking(which: str, data: Dataset, its: Split, name: str) -> Callable[[], Asking]:
        return lambda: _asking(fitted(which, data, its), name)

    audits = {}
    for name in fitted("known", dataset, held).reported:
        audits[name] = verdict(
            asking("known", dataset, held, name),
            asking("changed", other, changed, name),
            held,
            run,
            again=asking("again", dataset, held, name),
        )
    return audits


def audit_notes(found: Mapping[str, Audit]) -> list[str]:
    """Return what the audits say, and log what is wrong: one note for all models that are clean, one for each other."""
    clean = [name for name, audit in found.items() if audit.verdict == "clean"]
    wrong = [
        f"Audit of {name}: {audit.message}." for name, audit in found.items() if audit.verdict != "clean"
    ]
    passed = [f"Audit of {', '.join(clean)}: {found[clean[0]].message}."] if clean else []
    return [*told(wrong), *passed]


def _asking(line_up: LineUp, name: str) -> Asking:
    """Return how a model of a line-up scores test queries."""
    fused = line_up.fusions.get(name)
    scorer = fused.blend if fused is not None else line_up.contenders[name].scorer
    queries = (fused or line_up.contenders[name]).ground.test.queries
    return lambda rows: scorer.score(queries.take(rows))
