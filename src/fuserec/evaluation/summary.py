"""What an evaluation found, in a few plain sentences: nobody is called best who was not shown to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fuserec.evaluation.results import WITHOUT_RERANK, EvaluationResults, ModelResult, RoundResult
from fuserec.evaluation.statistics import Estimate
from fuserec.evaluation.texts import ENGLISH, Texts
from fuserec.evaluation.wording import (
    SEGMENTS,
    clear,
    figure,
    interval,
    leading,
    lower_is_better,
    metric_title,
    primary_of,
    segment_title,
    verdict,
    versus,
)
from fuserec.metrics import definition, name_and_k


def summary(results: EvaluationResults, texts: Texts = ENGLISH) -> list[str]:
    """Return what the evaluation found as a few plain sentences."""
    name = leading(results)
    if name is None:
        return [texts("nothing_found")]
    model, metric = results.models[name], primary_of(results)
    lines = [_headline(results, name, metric, texts), _against_next(results, name, metric, texts)]
    lines.append(_reranked(results, name, metric, texts))
    lines += [
        _reached(model, texts, results.rounds),
        _weakest(model, metric, texts),
        _catalogue(model, texts),
    ]
    return [texts.percent(line) for line in lines if line]


MOST_NAMED = 4
"""So many of the models that lead together are named."""


def _headline(results: EvaluationResults, name: str, metric: str, texts: Texts) -> str:
    """Say how good the leading model is, and who cannot be told apart from it."""
    model = results.models[name]
    estimate = model.metrics.get(metric, Estimate(None))
    if estimate.value is None:
        return texts("no_figure", model=name, metric=metric_title(metric, texts))
    ends = interval(metric, estimate, texts)
    told: dict[str, str] = {
        "model": name,
        "metric": metric_title(metric, texts),
        "value": figure(metric, estimate.value),
        "sure": texts("sure", level=f"{100 * results.level:g} %", ends=ends) if ends else "",
        "users": f"{model.users:,}",
    }
    rest = _others(results, name, metric)
    if results.best(metric) != name or not rest:
        return texts("reaches", **told)
    gaps = {other: versus(results, other, name) for other in rest}
    level = [other for other, gap in gaps.items() if gap is not None and not clear(gap)]
    if rest and rest[0] in level:
        return _together(results, [name, *level], metric, texts, told)
    if rest and gaps[rest[0]] is None:
        return texts("highest", other=rest[0], **told)
    return texts("best", **told)


def _together(
    results: EvaluationResults, names: Sequence[str], metric: str, texts: Texts, told: Mapping[str, str]
) -> str:
    """Say that several models lead: nothing tells the first of them from any other."""
    shown = names[:MOST_NAMED]
    figures = [figure(metric, _value(results, name, metric)) for name in shown]
    figures[0] += told["sure"]
    if (rest := len(names) - len(shown)) > 0:
        shown = [*shown, texts("more", n=rest)]
    values = _listed(figures, texts).replace("） ", "）")  # a wide bracket brings its own room
    fields = {**told, "models": _listed(shown, texts), "values": values}
    return texts("lead" if len(names) == 2 else "lead_many", **fields)


def _listed(parts: Sequence[str], texts: Texts) -> str:
    """Write several things one after the other, with a word before the last."""
    return texts("and").join([texts("join").join(parts[:-1]), parts[-1]])


def _others(results: EvaluationResults, name: str, metric: str) -> list[str]:
    """Return the other models that have a value, best first, less the same lists without their rerankers."""
    sign = 1 if lower_is_better(metric) else -1
    found = {
        other: value
        for other in results.models
        if other not in (name, f"{name}{WITHOUT_RERANK}")
        and (value := _value(results, other, metric)) is not None
    }
    return sorted(found, key=lambda other: sign * found[other])


def _value(results: EvaluationResults, model: str, metric: str) -> float | None:
    """Return a model's figure."""
    return results.models[model].metrics.get(metric, Estimate(None)).value


def _against_next(results: EvaluationResults, name: str, metric: str, texts: Texts) -> str:
    """Say how the leading model compares with the best of the others."""
    other = next(iter(_others(results, name, metric)), None)
    found = versus(results, name, other) if other else None
    if other is None or found is None or found.difference is None:
        return ""
    replayed = results.split.get("kind") == "replay"
    rival = other if replayed else texts("said.rival", other=other)
    return texts("said.against", rival=rival, verdict=verdict(metric, found, texts))


def _reranked(results: EvaluationResults, name: str, metric: str, texts: Texts) -> str:
    """Say what the rerankers of a model cost, where it has any."""
    found = versus(results, name, f"{name}{WITHOUT_RERANK}")
    if found is None or found.difference is None:
        return ""
    return texts("said.reranked", metric=metric_title(metric, texts), verdict=verdict(metric, found, texts))


def _reached(model: ModelResult, texts: Texts, rounds: Sequence[RoundResult] = ()) -> str:
    """Say what the hit rate means: of people, or of questions where people are asked in several rounds."""
    asked = sum(one.users for one in rounds) if rounds else model.users
    for name in ("hit_rate@10", *model.metrics):
        estimate = model.metrics.get(name)
        if name.startswith("hit_rate@") and estimate is not None and estimate.value is not None:
            # a small count is not blown up, a large one is made easy to grasp
            many = asked > 1000
            n, of = f"{estimate.value * (1000 if many else asked):,.0f}", f"{1000 if many else asked:,}"
            kind = "questions" if rounds else "people"
            told = texts(f"{kind}_per" if many else kind, n=n, of=of)
            return texts(f"reached_{kind}", told=told, k=name_and_k(name)[1])
    return ""


FEWEST = 30
"""A segment of fewer users says nothing that could be generalised."""


def _weakest(model: ModelResult, metric: str, texts: Texts) -> str:
    """Say for whom the model does least well; nothing where no segment of enough users is below the whole."""
    values = {
        name: estimate.value
        for name, segment in model.segments.items()
        if FEWEST <= segment.users < model.users  # a segment of everybody tells nothing apart
        and (estimate := segment.metrics.get(metric)) is not None
        and estimate.value is not None
    }
    if len(values) < 2:
        return ""
    lower = definition(metric).better == "lower"
    name = max(values, key=values.__getitem__) if lower else min(values, key=values.__getitem__)
    whole = model.metrics[metric].value if metric in model.metrics else None
    if whole is not None and (values[name] <= whole if lower else values[name] >= whole):
        return ""
    title = segment_title(name, texts)
    return texts(
        "weakest",
        segment=title.lower() if name in SEGMENTS else title,
        metric=metric_title(metric, texts),
        value=figure(metric, values[name]),
        users=f"{model.segments[name].users:,}",
    )


def _catalogue(model: ModelResult, texts: Texts) -> str:
    """Say how much of the catalogue is shown."""
    for metric in ("coverage@10", *model.metrics):
        estimate = model.metrics.get(metric)
        if metric.startswith("coverage@") and estimate is not None and estimate.value is not None:
            share = figure(metric, estimate.value)
            return texts("catalogue", k=name_and_k(metric)[1], share=share)
    return ""
