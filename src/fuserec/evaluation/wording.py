"""How the report says it: figures, names of segments and splits, and verdicts."""

from __future__ import annotations

from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.statistics import ALPHA, Difference, Estimate
from fuserec.evaluation.texts import ENGLISH, Texts
from fuserec.metrics import base_name, definition, name_and_k

SPLITS = {
    "last-out": "Each user's last item is the one to find, the one before it chose the settings, and models "
    "learnt from the rest.",
    "temporal": "One moment cuts training from test for everybody: nothing later was known to a model.",
    "random": "A random share of each user's interactions was held out, whatever its time.",
    "users": "Some users were held out altogether; part of their history is given, the rest is to be found.",
    "cold-users": "Some users were held out altogether, as if they came now: at most their first events are given.",
    "cold-items": "Some items were held out of training altogether: only what they are, such as their "
    "text, can find them.",
    "replay": "Everything until a moment was known, what came until the next was to be found, window by window.",
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


SHARES = frozenset({"coverage", "distributional_coverage", "user_coverage", "tail_share"})
"""Metrics that are written as percentages."""

COARSE = frozenset(
    {"novelty", "category_entropy", "exposure_entropy", "average_popularity", "popularity_lift"}
)
"""Metrics whose first two decimals say enough."""


def segment_title(name: str, texts: Texts = ENGLISH) -> str:
    """Return a segment's name for readers; one that is not known keeps its own."""
    told = texts.name("segment", name)
    if told != name:
        return told
    return texts.group(name.removeprefix("group:")) if name.startswith("group:") else SEGMENTS.get(name, name)


def metric_title(metric: str, texts: Texts = ENGLISH) -> str:
    """Return a metric's name for readers, such as ``NDCG@10``."""
    _, k = name_and_k(metric)
    title = texts.title(metric)
    return title if k is None else f"{title}@{k}"


def meaning(metric: str, texts: Texts = ENGLISH) -> str:
    """Return one sentence that says what a metric is, and which way is better."""
    return texts.meaning(metric)


def figure(metric: str, value: float | None) -> str:
    """Write a metric's figure, with a minus that cannot be taken for a dash; a dash where there is none."""
    if value is None:
        return "–"
    name, _ = name_and_k(metric)
    if base_name(metric).endswith("_p"):
        return p_value(value)
    if name in SHARES:
        text = f"{100 * value:.1f} %"
    elif name in COARSE:
        text = f"{value:.2f}"
    else:
        text = f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
    return text.replace("-", "−" if _tells(text) else "")


def _tells(text: str) -> bool:
    """Return whether a figure did not round to nothing."""
    return any(digit in text for digit in "123456789")


def tick(metric: str, value: float) -> str:
    """Write a figure below an axis, as short as it can be."""
    value += 0.0  # -0.0 is 0
    text = f"{100 * value:g} %" if name_and_k(metric)[0] in SHARES else f"{value:g}"
    return text.replace("-", "−")


def interval(metric: str, estimate: Estimate, texts: Texts = ENGLISH) -> str:
    """Write the ends of an interval, with a word between them where a minus could be misread; nothing without one."""
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = figure(metric, estimate.low), figure(metric, estimate.high)
    return texts("range_below" if "−" in low else "range", low=low, high=high)


def duration(seconds: float | None, texts: Texts = ENGLISH) -> str:
    """Write a time that reads at a glance."""
    if seconds is None:
        return "–"
    if seconds < 0.001:
        return texts("seconds", value="< 0.001")
    if seconds < 10:
        return texts("seconds", value=f"{seconds:.2g}")
    if seconds < 120:
        return texts("seconds", value=f"{seconds:.0f}")
    return texts("minutes", minutes=int(seconds // 60), seconds=int(seconds % 60))


def probability(p: float, texts: Texts = ENGLISH) -> str:
    """Write a p-value with its name."""
    return texts("p_least", p="0.001") if p < 0.001 else texts("p", p=p_value(p))


def p_value(p: float | None) -> str:
    """Write a p-value for a column of them: one that would round to nothing is below 0.001; none is nothing."""
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def signed(metric: str, difference: Difference) -> str:
    """Write a difference with its sign and what it means."""
    if difference.difference is None:
        return ""
    return plus(metric, difference.difference)


def plus(metric: str, value: float) -> str:
    """Write a figure with its sign, plus too; one that rounds to nothing has none."""
    text = figure(metric, abs(value))
    return ("+" if value > 0 else "−") + text if _tells(text) else text


def clear(difference: Difference) -> bool:
    """Return whether a difference is more than chance: after correction for the number of comparisons, too."""
    if not _beyond_zero(difference):
        return False
    p = difference.p if difference.p_holm is None else difference.p_holm
    return p is None or p <= ALPHA


def _beyond_zero(difference: Difference) -> bool:
    """Return whether the interval of a difference leaves out zero."""
    low, high = difference.low, difference.high
    return low is not None and high is not None and (low > 0 or high < 0)


def verdict(metric: str, difference: Difference, texts: Texts = ENGLISH) -> str:
    """Say whether the first model is better than the second, by how much, and how sure that is.

    Examples
    --------
    >>> verdict("ndcg@10", Difference(0.004, 0.002, 0.006, 1e-4, 22363))
    'better by 0.0040 [0.0020, 0.0060] on 22,363 users (p < 0.001)'
    >>> verdict("ndcg@10", Difference(0.0003, -0.001, 0.0016, 0.65, 943, detectable=0.0019))
    'no difference found: +0.0003 [−0.0010, +0.0016] on 943 users (p = 0.650); one of 0.0019 would have been seen'
    """
    gap, low, high, n = difference.difference, difference.low, difference.high, f"{difference.users:,}"
    if gap is None:
        return texts("said.none")
    on = texts("said.on_one" if difference.users == 1 else "said.on", n=n)
    if low is None or high is None:
        return texts("said.few", gap=_with_sign(metric, gap), on=on)
    p = difference.p if difference.p_holm is None else difference.p_holm
    corrected = "said.sure" if difference.p_holm is None else "said.corrected"
    sure = "" if p is None else texts(corrected, p=probability(p, texts))
    if not clear(difference):
        ends = f"[{_with_sign(metric, low)}, {_with_sign(metric, high)}]"
        told = texts("said.figures", gap=_with_sign(metric, gap), ends=ends, on=on, sure=sure)
        return _nothing_found(metric, difference, told, texts)
    if gap < 0:
        low, high = -high, -low
    ends = f"[{amount(metric, low)}, {amount(metric, high)}]"
    way = f"said.{_better(metric, gap)}"
    return texts(way, gap=amount(metric, abs(gap)), ends=ends, on=on, sure=sure)


def _nothing_found(metric: str, difference: Difference, figures: str, texts: Texts) -> str:
    """Say that two models cannot be told apart, and how far apart they could have been told."""
    if difference.above == difference.below == 0:
        return texts("said.equal", n=f"{difference.users:,}")
    if _beyond_zero(difference):
        return texts("said.uncorrected", figures=figures)
    if difference.detectable is None:
        return texts("said.nothing", figures=figures)
    return texts("said.detectable", figures=figures, amount=amount(metric, difference.detectable))


def lower_is_better(metric: str) -> bool:
    """Return whether less of a metric is better."""
    return definition(metric).better == "lower"


def _better(metric: str, gap: float) -> str:
    """Return which way a difference goes."""
    way = definition(metric).better
    if way == "neither":
        return "higher" if gap > 0 else "lower"
    return "better" if (gap > 0) == (way == "higher") else "worse"


def amount(metric: str, value: float) -> str:
    """Write a difference without its sign; one that would round to nothing gets two digits."""
    text = figure(metric, value)
    return text if value == 0 or _tells(text) else f"{value:.2g}"


def _with_sign(metric: str, value: float) -> str:
    """Write a difference with its sign."""
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{amount(metric, abs(value))}"


def primary_of(results: EvaluationResults) -> str:
    """Return the metric that decides: the stated one, else the first that any model has."""
    present = [name for model in results.models.values() for name in model.metrics]
    return results.primary if results.primary in present or not present else present[0]


def leading(results: EvaluationResults) -> str | None:
    """Return the model that the report puts forward: ``fused`` where it is, else the best."""
    return "fused" if "fused" in results.models else results.best(primary_of(results))


def versus(results: EvaluationResults, model: str, reference: str) -> Difference | None:
    """Return model less reference on the primary metric, from whichever way round it was compared."""
    return versus_on(results, primary_of(results), model, reference)


def versus_on(results: EvaluationResults, metric: str, model: str, reference: str) -> Difference | None:
    """Return model less reference on a metric, from whichever way round it was compared."""
    for comparison in (*results.comparisons, *results.further):
        if comparison.metric != metric:
            continue
        if comparison.reference == reference and model in comparison.models:
            return comparison.models[model]
        if comparison.reference == model and reference in comparison.models:
            return comparison.models[reference].turned()
    return None


def compared(metric: str, gap: Difference | None) -> tuple[str, str, str]:
    """Return a difference, its interval and its p-value in words; nothing where there is none."""
    if gap is None or gap.difference is None or gap.low is None or gap.high is None:
        return "", "", ""
    return signed(metric, gap), f"{plus(metric, gap.low)} to {plus(metric, gap.high)}", p_value(gap.p)
