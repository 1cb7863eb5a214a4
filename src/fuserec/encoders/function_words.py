"""Words that carry grammar and no topic: two texts that share only these share nothing."""

from __future__ import annotations

from collections.abc import Sequence

FUNCTION_WORDS = frozenset(
    """
    a about after all also am an and any are as at be because been before being between both but by can could did do
    does doing down each few for from had has have having he her here hers him his how i if in into is it its itself
    just me more most my no nor not of off on once only or other our ours out over own please same she should so some
    such than that the their theirs them then there these they this those through to too under until up very was we
    were what when where which while who whom why will with would you your yours
    的 了 和 与 及 是 在 有 也 都 就 而 或 这 那 我 你 他 她 它 们 吗 呢 吧 啊 之 其 被 把 对 为 个 一个
    """.split()  # noqa: SIM905 (a list of a hundred words is read more easily this way)
)


def telling(terms: Sequence[str]) -> list[str]:
    """Return the terms without function words, or all of them where nothing else is said (the band The Who)."""
    kept = [term for term in terms if term not in FUNCTION_WORDS]
    return kept or list(terms)
