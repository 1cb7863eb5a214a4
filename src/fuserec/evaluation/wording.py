"""How the report says it: figures, names of segments and splits, and the summary in plain words."""

from __future__ import annotations

from fuserec.evaluation.results import WITHOUT_RERANK, EvaluationResults, ModelResult
from fuserec.evaluation.statistics import Difference, Estimate
from fuserec.metrics import definition, name_and_k

SPLITS = {
    "last-out": "Each user's last item is the one to find, the one before it chose the settings, and models "
    "learnt from the rest. Every item of the catalogue competes, less those the user already had.",
    "temporal": "One moment cuts training from test for everybody: nothing later was known to a model.",
    "random": "A random share of each user's interactions was held out, whatever its time.",
    "users": "Some users were held out altogether; part of their history is given, the rest is to be found.",
    "cold-items": "Some items were held out of training altogether: only what they are, such as their "
    "text, can find them.",
    "predefined": "The dataset's own files say which interactions are held out.",
}

SEGMENTS = {
    "query:none": "Users without history",
    "query:short": "Users with a short history",
    "query:long": "Users with a long history",
    "target:cold": "Items never seen in training",
    "target:tail": "Rarely chosen items",
    "target:head": "Popular items",
}


def segment_title(name: str) -> str:
    """Return a segment's name for readers; one that is not known keeps its own."""
    return SEGMENTS.get(name, name)


def metric_title(metric: str) -> str:
    """Return a metric's name for readers, such as ``NDCG@10``."""
    _, k = name_and_k(metric)
    title = definition(metric).title
    return title if k is None else f"{title}@{k}"


def meaning(metric: str) -> str:
    """Return one sentence that says what a metric is, and which way is better."""
    about = definition(metric)
    _, k = name_and_k(metric)
    text = about.meaning if k is not None else about.meaning.replace(" (0 beyond the first {k})", "")
    way = {"higher": " Higher is better.", "lower": " Lower is better.", "neither": ""}[about.better]
    return text.replace("{k}", "k" if k is None else str(k)) + way


def figure(metric: str, value: float | None) -> str:
    """Write a metric's figure; a dash where there is none."""
    if value is None:
        return "–"
    name, _ = name_and_k(metric)
    if name == "coverage":
        return f"{100 * value:.1f} %"
    return f"{value:.2f}" if name == "novelty" else f"{value:.4f}"


def tick(metric: str, value: float) -> str:
    """Write a figure below an axis, as short as it can be."""
    return f"{100 * value:g} %" if name_and_k(metric)[0] == "coverage" else f"{value:g}"


def interval(metric: str, estimate: Estimate) -> str:
    """Write the ends of an interval; nothing where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{figure(metric, estimate.low)}–{figure(metric, estimate.high)}"


def duration(seconds: float | None) -> str:
    """Write a time that reads at a glance."""
    if seconds is None:
        return "–"
    if seconds < 0.001:
        return "< 0.001 s"
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def probability(p: float) -> str:
    """Write a p-value."""
    return f"p = {p:.3f}" if p >= 0.0015 else "p ≤ 0.001"


def signed(metric: str, difference: Difference) -> str:
    """Write a difference with its sign and what it means."""
    if difference.difference is None:
        return ""
    text = figure(metric, abs(difference.difference))
    return ("+" if difference.difference >= 0 else "−") + text


def clear(difference: Difference) -> bool:
    """Return whether the interval of a difference leaves out zero."""
    low, high = difference.low, difference.high
    return low is not None and high is not None and (low > 0 or high < 0)


def primary_of(results: EvaluationResults) -> str:
    """Return the metric that decides: the stated one, else the first that any model has."""
    present = [name for model in results.models.values() for name in model.metrics]
    return results.primary if results.primary in present or not present else present[0]


def leading(results: EvaluationResults) -> str | None:
    """Return the model that the report puts forward: ``fused`` where it is, else the best."""
    return "fused" if "fused" in results.models else results.best(primary_of(results))


def versus(results: EvaluationResults, model: str, reference: str) -> Difference | None:
    """Return model less reference on the primary metric, from whichever way round it was compared."""
    metric = primary_of(results)
    for comparison in results.comparisons:
        if comparison.metric != metric:
            continue
        if comparison.reference == reference and model in comparison.models:
            return comparison.models[model]
        if comparison.reference == model and reference in comparison.models:
            return _turned(comparison.models[reference])
    return None


def _turned(found: Difference) -> Difference:
    """Return b - a from a - b."""

    def negative(value: float | None) -> float | None:
        return None if value is None else -value

    return Difference(
        negative(found.difference), negative(found.high), negative(found.low), found.p, found.users
    )


def summary(results: EvaluationResults) -> list[str]:
    """Return what the evaluation found as a few plain sentences."""
    name = leading(results)
    if name is None:
        return ["No model has a figure on the metric that decides."]
    model, metric = results.models[name], primary_of(results)
    lines = [_headline(results, name, metric), _against_next(results, name, metric)]
    lines.append(_reranked(results, name, metric))
    lines += [_reached(model), _weakest(model, metric), _catalogue(model)]
    return [line for line in lines if line]


def _headline(results: EvaluationResults, name: str, metric: str) -> str:
    """Say how good the leading model is."""
    model = results.models[name]
    estimate = model.metrics.get(metric, Estimate(None))
    if estimate.value is None:
        return f"{name} has no value on {metric_title(metric)}."
    ends = interval(metric, estimate)
    place = "is best:" if results.best(metric) == name else "reaches"
    sure = f" ({100 * results.level:g} % interval {ends})" if ends else ""
    value = f"{metric_title(metric)} {figure(metric, estimate.value)}"
    return f"{name} {place} {value}{sure}, over {model.users:,} users."


def _against_next(results: EvaluationResults, name: str, metric: str) -> str:
    """Say how the leading model compares with the best of the others."""
    plain = f"{name}{WITHOUT_RERANK}"
    rest = {other: model for other, model in results.models.items() if other not in (name, plain)}
    other = results.model_copy(update={"models": rest}).best(metric)
    found = versus(results, name, other) if other else None
    if other is None or found is None or found.difference is None:
        return ""
    gap = figure(metric, abs(found.difference))
    told = f"{gap} ({probability(found.p)})" if found.p is not None else gap
    if not clear(found):
        return f"Against the best single part, {other}, the difference of {told} is within chance."
    better = (found.difference > 0) == (definition(metric).better != "lower")
    verdict = "beats" if better else "falls behind"
    return f"It {verdict} the best single part, {other}, by {told}: clearly more than chance."


def _reranked(results: EvaluationResults, name: str, metric: str) -> str:
    """Say what the rerankers of a model cost, where it has any."""
    found = versus(results, name, f"{name}{WITHOUT_RERANK}")
    if found is None or found.difference is None:
        return ""
    told = f"{metric_title(metric)} by {figure(metric, abs(found.difference))}"
    told = f"{told} ({probability(found.p)})" if found.p is not None else told
    if not clear(found):
        return f"Its rerankers change {told}, within chance."
    return f"Its rerankers {'raise' if found.difference > 0 else 'lower'} {told}: clearly more than chance."


def _reached(model: ModelResult) -> str:
    """Say what the hit rate means for people."""
    for name in ("hit_rate@10", *model.metrics):
        estimate = model.metrics.get(name)
        if name.startswith("hit_rate@") and estimate is not None and estimate.value is not None:
            people = f"{estimate.value * model.users:,.0f} of {model.users:,} users"
            if model.users > 1000:  # a small count is not blown up, a large one is made easy to grasp
                people = f"{1000 * estimate.value:,.0f} of 1,000 users"
            return (
                f"{people} find an item they went on to choose among the first {name_and_k(name)[1]} shown."
            )
    return ""


FEWEST = 30
"""A segment of fewer users says nothing that could be generalised."""


def _weakest(model: ModelResult, metric: str) -> str:
    """Say for whom the model does least well."""
    values = {
        name: estimate.value
        for name, segment in model.segments.items()
        if segment.users >= FEWEST
        and (estimate := segment.metrics.get(metric)) is not None
        and estimate.value is not None
    }
    if len(values) < 2:
        return ""
    lower = definition(metric).better == "lower"
    name = max(values, key=values.__getitem__) if lower else min(values, key=values.__getitem__)
    users = model.segments[name].users
    title = segment_title(name).lower() if name in SEGMENTS else name
    value = f"{metric_title(metric)} {figure(metric, values[name])}"
    return f"It does least well on {title}: {value} ({users:,} users)."


def _catalogue(model: ModelResult) -> str:
    """Say how much of the catalogue is shown."""
    for metric in ("coverage@10", *model.metrics):
        estimate = model.metrics.get(metric)
        if metric.startswith("coverage@") and estimate is not None and estimate.value is not None:
            share = figure(metric, estimate.value)
            k = name_and_k(metric)[1]
            return f"The first {k} places of all its lists together show {share} of the catalogue."
    return ""


def compared(metric: str, gap: Difference | None) -> tuple[str, str, str]:
    """Return a difference, its interval and its p-value in words; nothing where there is none."""
    if gap is None or gap.difference is None or gap.low is None or gap.high is None:
        return "", "", ""
    low, high = (f"{'+' if end >= 0 else '−'}{figure(metric, abs(end))}" for end in (gap.low, gap.high))
    return signed(metric, gap), f"{low} to {high}", "" if gap.p is None else f"{gap.p:.3f}"
