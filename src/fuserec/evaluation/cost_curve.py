"""The curve of cost of a reranker: accuracy against the measure it serves, over the values of one of its settings.

Models are fitted once and every query is scored once; only the lists are made again for each value.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fuserec.config import RecommenderConfig
from fuserec.errors import ConfigError, RequestError, nearest
from fuserec.evaluation import wording
from fuserec.evaluation.contenders import FUSED, Trial
from fuserec.evaluation.results import WITHOUT_RERANK, EvaluationResults
from fuserec.evaluation.runner import evaluate
from fuserec.evaluation.statistics import Estimate

if TYPE_CHECKING:
    from rich.table import Table

    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import SplitConfig
    from fuserec.rerank.base import Reranker
    from fuserec.rerank.chain import Chain
    from fuserec.run import RunOptions

ROOM = "rerank."
PLAIN = f"{FUSED}{WITHOUT_RERANK}"
BESIDE = "coverage"
"""The metric that stands in the table beside the aim."""


@dataclass(frozen=True)
class CurveSpec:
    """What ``rerank.mmr.strength=0,0.5,1`` asks for."""

    reranker: str
    key: str
    values: tuple[Any, ...]

    @classmethod
    def parse(cls, text: str) -> CurveSpec:
        """Read the form of the command line.

        Raises
        ------
        RequestError
            Where it has another form, or names no values.
        """
        place, _, given = text.partition("=")
        name, _, key = place.strip().removeprefix(ROOM).rpartition(".")
        values = tuple(dict.fromkeys(_value(part) for part in given.split(",") if part.strip()))
        if not name or not key or not values:
            raise RequestError(
                f"--curve {text!r}: write rerank.NAME.KEY=V,V,..., e.g. rerank.mmr.strength=0,0.25,0.5,0.75,1"
            )
        return cls(name, key, values)

    def trials(self) -> tuple[Trial, ...]:
        """Return a trial a value."""
        return tuple(
            Trial(f"{self.reranker}.{self.key}={value}", self.reranker, self.key, value)
            for value in self.values
        )


def _value(text: str) -> Any:
    """Return a value as TOML reads it; a bare word is a text."""
    try:
        return tomllib.loads(f"v = {text.strip()}")["v"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def cost_curve(
    dataset: Dataset,
    what: str | CurveSpec,
    config: RecommenderConfig | None = None,
    *,
    split: SplitConfig,
    ks: Sequence[int] = (5, 10, 20),
    run: RunOptions,
) -> EvaluationResults:
    """Measure the fusion with each value of a reranker's setting, on the same queries and after one fit.

    Parameters
    ----------
    dataset : Dataset
    what : str or CurveSpec
        ``rerank.NAME.KEY=V,V``; a reranker that the configuration does not have is added at the end of its chain.
    config : RecommenderConfig, optional
        Where the parts, the fusion and the other rerankers come from.
    split, ks, run
        As in :func:`fuserec.evaluation.runner.evaluate`.

    Returns
    -------
    EvaluationResults
        The models are ``fused`` as it is configured, the same without any reranker, and one for each value, named
        ``NAME.KEY=VALUE``. The metric ``aim@k`` is what the reranker serves, and the notes say what that is. Each is
        compared with the lists without rerankers.

    Raises
    ------
    RequestError
        Where ``what`` has another form.
    ConfigError
        For a reranker, a key or a value that is not there, or a key that only another fit can change.
    """
    spec = what if isinstance(what, CurveSpec) else CurveSpec.parse(what)
    config = config or RecommenderConfig()
    chosen = config
    if spec.reranker not in config.rerank.tables:
        chosen = config.model_copy(update={"rerank": config.rerank.with_table(spec.reranker, {})})
    aim = _checked(chosen.rerank.chain(), spec).aim
    results = evaluate(
        dataset, chosen, split=split, models=[FUSED], ks=ks, run=run, reference=PLAIN, trials=spec.trials()
    )
    said = f"Aim of {spec.reranker}: {aim.title}. {aim.meaning} What is better: {aim.better}."
    about = {"reranker": spec.reranker, "key": spec.key, "values": list(spec.values), "aim": aim.title}
    return results.model_copy(
        update={
            "notes": [*results.notes, said],
            "configuration": {**results.configuration, "curve": {**about, "better": aim.better}},
        }
    )


def _checked(chain: Chain, spec: CurveSpec) -> Reranker:
    """Return the reranker whose curve is asked for; a wrong key or value fails here, and not after the fit."""
    reranker = chain.rerankers[spec.reranker]
    fields = type(reranker.config).model_fields
    if spec.key not in fields:
        raise ConfigError(
            f"[rerank.{spec.reranker}]: unknown key {spec.key!r}{nearest(spec.key, fields)} "
            f"(known: {', '.join(fields)})"
        )
    if spec.key in reranker.at_fit:
        raise ConfigError(
            f"--curve: [rerank.{spec.reranker}] {spec.key} is read by fit, so that one fit cannot serve a curve of it"
        )
    for trial in spec.trials():
        chain.retuned(trial.reranker, **{trial.key: trial.value})
    return reranker


def curve_table(results: EvaluationResults) -> Table:
    """Return the table that the command line prints: a row a value, the lists without rerankers first."""
    from rich.table import Table
    from rich.text import Text

    about, metric = results.configuration["curve"], wording.primary_of(results)
    k = metric.partition("@")[2]
    title = f"{results.dataset.name or 'dataset'}: cost of {about['reranker']}.{about['key']}"
    made = Table(title=Text(title), title_justify="left")
    made.add_column(str(about["key"]), no_wrap=True)
    aim = f"aim@{k}"
    judged = any(
        one.metric == aim for one in results.comparisons
    )  # where it is a figure of groups, not of lists
    made.add_column(f"{about['aim']}@{k}", justify="right")
    for heading in ("less without", "paired interval") if judged else ():
        made.add_column(heading, justify="right", no_wrap=True)
    for heading in (wording.metric_title(metric), "less without", "paired interval", "p"):
        made.add_column(heading, justify="right", no_wrap=True)
    coverage = f"{BESIDE}@{k}"
    made.add_column(wording.metric_title(coverage), justify="right")
    rows = {PLAIN: "without"}
    rows |= {f"{about['reranker']}.{about['key']}={value}": f"{value}" for value in about["values"]}
    for name, shown in rows.items():
        model = results.models[name]
        gap = None if name == PLAIN else wording.versus(results, name, PLAIN)
        reached = model.metrics.get(aim, Estimate(None)).value
        lifted = None if name == PLAIN else wording.versus_on(results, aim, name, PLAIN)
        made.add_row(
            shown,
            "" if reached is None else f"{reached:.4f}",
            *(wording.compared(aim, lifted)[:2] if judged else ()),
            wording.figure(metric, model.metrics[metric].value),
            *wording.compared(metric, gap),
            wording.figure(coverage, model.metrics[coverage].value),
        )
    return made
