"""Ablations: one part as it is, and with one thing left out or put in its place, on the same queries.

What an ablation changes is asked for as ``PART`` (what the scorer itself declares, :attr:`Scorer.ablations`), as
``PART.KEY`` (every value of a hyperparameter that has a list of them) or as ``PART.KEY=V,V`` (these values).
"""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fuserec.config import RecommenderConfig, create_parts, default_parts
from fuserec.errors import ConfigError, nearest
from fuserec.evaluation import wording
from fuserec.evaluation.candidates import EVERYTHING, Candidates
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.runner import evaluate
from fuserec.evaluation.statistics import Estimate
from fuserec.scorers import SCORERS, scorer_class
from fuserec.tuning.space import Choices, derived

if TYPE_CHECKING:
    from rich.table import Table

    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import SplitConfig
    from fuserec.evaluation.audit import AuditConfig
    from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

FULL = "full"
"""Name of the part as it is configured: what all variants are compared with."""

WIDE = 96
"""Columns of a screen from which a figure and its interval stand in one line of the table."""


def ablate(
    dataset: Dataset,
    what: str,
    config: RecommenderConfig | None = None,
    *,
    split: SplitConfig,
    ks: Sequence[int] = (5, 10, 20),
    run: RunOptions,
    audit: AuditConfig | None = None,
    candidates: Candidates = EVERYTHING,
) -> EvaluationResults:
    """Measure a part and its variants on held-out data, each compared with the part as it is.

    Parameters
    ----------
    dataset : Dataset
    what : str
        ``PART``, ``PART.KEY`` or ``PART.KEY=V,V``; a PART that the configuration does not have is a scorer with its
        defaults.
    config : RecommenderConfig, optional
        Where the part's hyperparameters and the features come from.
    split, ks, run, audit, candidates
        As in :func:`fuserec.evaluation.runner.evaluate`.

    Returns
    -------
    EvaluationResults
        The models are :data:`FULL` and the variants, alone and not fused; the comparisons are paired differences from
        :data:`FULL`.

    Raises
    ------
    ConfigError
        For a part, a key or a value that is not there, or a part that declares no ablation.
    """
    config = config or RecommenderConfig()
    parts = variants(config.parts or default_parts(dataset), what)
    chosen = config.model_copy(update={"parts": parts})
    return evaluate(
        dataset,
        chosen,
        split=split,
        models=list(parts),
        ks=ks,
        run=run,
        reference=FULL,
        audit=audit,
        candidates=candidates,
    )


def variants(parts: Mapping[str, Mapping[str, Any]], what: str) -> dict[str, dict[str, Any]]:
    """Return the tables of the parts that are compared, by the names of what they change; :data:`FULL` comes first.

    A variant that changes nothing is left out.
    """
    place, given, values = what.partition("=")
    name, table, key = _part(parts, place.strip())
    base = {"scorer": name, **table}
    cls = scorer_class(str(base["scorer"]))
    known = cls.Config.model_fields
    if key and key not in known:
        raise ConfigError(
            f"ablation {what!r}: unknown key {key!r}{nearest(key, known)} (known: {', '.join(known)})"
        )
    if given and not key:
        raise ConfigError(f"ablation {what!r}: name the key that takes these values, as in PART.KEY=V,V")
    if key:
        present = base.get(key, known[key].get_default())
        tried = (
            [_value(text) for text in values.split(",")]
            if given
            else _choices(cls.Config, key, present, what)
        )
        changes = {f"{key}={value}": {key: value} for value in tried}
    else:
        changes = {title: dict(change) for title, change in cls.ablations.items()}
        if not changes:
            raise ConfigError(
                f"ablation {what!r}: the scorer {cls.name!r} declares none; name a key, as in {place}.KEY=V,V"
            )
    found = {FULL: base}
    made = create_parts({FULL: base})[FULL].config
    for title, change in changes.items():
        changed = {**base, **change}
        label = re.sub(r"[^\w.-]+", "-", title).strip("-")[:64]
        try:
            other = create_parts({label: changed})[label].config
        except ConfigError as error:
            if given:
                raise
            log.warning("%s: left out, it cannot be made of this configuration (%s)", title, error)
            continue
        if other != made:
            found[label] = changed
    if len(found) == 1:
        raise ConfigError(f"ablation {what!r}: nothing is changed by it; name other values")
    return found


def _part(parts: Mapping[str, Mapping[str, Any]], place: str) -> tuple[str, Mapping[str, Any], str]:
    """Return (name, table, key) of ``PART`` or ``PART.KEY``: the names of parts may hold dots themselves."""
    head, dot, key = place.rpartition(".")
    for name, asked in ((place, ""), *([(head, key)] if dot else [])):
        if name in parts:
            return name, parts[name], asked
        if name in SCORERS:
            return name, {}, asked
    wanted = head if dot else place
    known = [*parts, *(name for name in SCORERS if name not in parts)]
    raise ConfigError(
        f"ablation {place!r}: unknown part {wanted!r}{nearest(wanted, known)} (known: {', '.join(known)})"
    )


def _choices(config: Any, key: str, present: Any, what: str) -> list[Any]:
    """Return the values that a declaration lists."""
    axis = derived(config.model_fields[key], present)
    if not isinstance(axis, Choices):
        raise ConfigError(f"ablation {what!r}: {key} has no list of values; name some, as in {what}=V,V")
    return list(axis.values)


def _value(text: str) -> Any:
    """Return a value as TOML reads it; a bare word is a text."""
    try:
        return tomllib.loads(f"v = {text.strip()}")["v"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def ablation_table(results: EvaluationResults, width: int = WIDE) -> Table:
    """Return the table that the command line prints: the part first, each variant with its paired difference.

    Parameters
    ----------
    results : EvaluationResults
    width : int
        Columns of the screen; on a narrow one intervals stand below their figures.
    """
    from rich.table import Table
    from rich.text import Text

    metric = wording.primary_of(results)
    title, level = wording.metric_title(metric), f"{100 * results.level:g} % interval"
    made = Table(title=Text(f"{results.dataset.name or 'dataset'}: ablation"), title_justify="left")
    made.add_column("variant", overflow="fold")
    between = " " if width >= WIDE else "\n"
    for heading in (f"{title}{between}{level}", f"less {FULL},{between}paired interval", "p", "fit"):
        made.add_column(heading, justify="right", no_wrap=True)
    for name, model in results.models.items():
        estimate = model.metrics.get(metric, Estimate(None))
        gap = None if name == FULL else wording.versus(results, name, FULL)
        *less, p = wording.compared(metric, gap)
        made.add_row(
            Text(name, style="bold" if name == FULL else ""),
            f"{wording.figure(metric, estimate.value)}{between}{wording.interval(metric, estimate)}".rstrip(),
            between.join(less).rstrip(),
            p,
            wording.duration(model.fit_s),
        )
    return made
