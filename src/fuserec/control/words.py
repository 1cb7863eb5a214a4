"""What dials did, in words: one clause for each move."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "zh"]

_UP: dict[Language, dict[str, str]] = {
    "en": {
        "more": "more of “{}” is wanted",
        "less": "what less of “{}” is wanted of made room",
        "novelty": "little known",
        "freshness": "new in time",
        "fatigue": "what was shown before made room",
        "diversity": "unlike what stands above it",
        "new": "a place kept for new items",
        "room": "what stood above it went down",
    },
    "zh": {
        "more": "希望多看“{}”",
        "less": "希望少看的“{}”让出了位置",
        "novelty": "较少为人所知",
        "freshness": "时间较新",
        "fatigue": "此前展示过的条目让出了位置",
        "diversity": "与前面的条目不同",
        "new": "为新条目保留的位置",
        "room": "原本排在前面的条目下移了",
    },
}
_DOWN: dict[Language, dict[str, str]] = {
    "en": {
        "more": "other items fit “{}” better",
        "less": "less of “{}” is wanted",
        "novelty": "well known",
        "freshness": "older than others",
        "fatigue": "shown before and not taken",
        "diversity": "like what stands above it",
        "new": "places are kept for new items",
        "room": "others went up",
    },
    "zh": {
        "more": "其他条目更符合“{}”",
        "less": "希望少看“{}”",
        "novelty": "已广为人知",
        "freshness": "比其他条目旧",
        "fatigue": "曾展示但未被选择",
        "diversity": "与前面的条目相似",
        "new": "位置留给了新条目",
        "room": "其他条目上移了",
    },
}


def clause(kind: str, topic: str, up: bool, language: Language) -> str:
    """Return why an item went up or down: a kind of dial, ``diversity``, ``new``, or ``room`` where others moved."""
    return (_UP if up else _DOWN)[language][kind].format(topic)
