"""What is run on a dataset: the default, the default within a budget, every other scorer alone, or added.

``default``
    What ``fuserec fit`` does without a configuration: the fusion and each of its parts.
``5m``
    What ``fuserec fit --budget 5m`` chooses.
``alone-NAME``
    A scorer or variant that the default has no part of, alone, tuned as the parts of the default are. ``alone`` stands
    for all of them but those in :data:`ON_REQUEST`.
``with-NAME``
    The default beside the default with that part added, compared on the same users. Only on request: it costs
    the default again.
``cheap``
    Popularity and co-occurrence alone: a check of the readers. Only on request.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import fuserec
from fuserec.config import RecommenderConfig, create_parts
from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.sentence import OTHER_KINDS
from fuserec.errors import FuseRecError
from fuserec.run import RunOptions
from fuserec.scorers import SCORERS, scorer_class
from fuserec.scorers.wrapped import Wrapper

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset

SEED = 0
BUDGET_S = 300.0
DEFAULT, BUDGET, CHEAP = "default", "5m", "cheap"
ALONE, WITH = "alone-", "with-"

VARIANTS: dict[str, dict[str, Any]] = {
    "sequence-masked": {"scorer": "sequence", "architecture": "masked"},
    "sequence-gru": {"scorer": "sequence", "architecture": "gru"},
    "sequence-cnn": {"scorer": "sequence", "architecture": "cnn"},
}
"""Tables of ``[parts.NAME]`` worth a row of their own, as far as their scorer exists."""

ON_REQUEST = frozenset({"language_pair", "trees", "meta_learned"})
"""Scorers that take hours over all test queries of a large catalogue: only run where they are named."""


@dataclass(frozen=True)
class Asked:
    """What an evaluation is asked for.

    Parameters
    ----------
    configs : dict of RecommenderConfig
        By name; their parts are written out.
    models : tuple of str
        What is reported; empty for every fusion and part.
    budget_s : float or None
        Seconds within which the parts are to be chosen anew.
    """

    configs: dict[str, RecommenderConfig]
    models: tuple[str, ...] = ()
    budget_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what was asked, without what defaults filled in, so that it can be resolved again later."""
        return {"configs": {n: _unfilled(c) for n, c in self.configs.items()}, "budget_s": self.budget_s}

    def digest(self, split: str, version: str = fuserec.__version__) -> str:
        """Return a digest of all settings, defaults filled in, and of the version."""
        return digest(self.configs, self.budget_s, split, version)


def default_config(dataset: Dataset) -> RecommenderConfig:
    """Return the configuration of a fit without one, its parts written out."""
    base = RecommenderConfig()
    parts = {
        name: {"scorer": part.name, **part.config.model_dump(mode="json", exclude_unset=True)}
        for name, part in base.scorers(dataset).items()
    }
    return base.model_copy(update={"parts": parts})


def asked(name: str, dataset: Dataset) -> Asked:
    """Return what a named configuration means on a dataset."""
    default = default_config(dataset)
    if name == DEFAULT:
        return Asked({"fused": default})
    if name == BUDGET:
        return Asked({"fused": default}, ("fused",), BUDGET_S)
    if name == CHEAP:
        return Asked({"fused": RecommenderConfig(parts={"popularity": {}, "cooccurrence": {}})})
    if name.startswith(ALONE):
        part = name.removeprefix(ALONE)
        return Asked({"fused": RecommenderConfig(parts={part: table_of(part)})}, (part,))
    if name.startswith(WITH):
        part = name.removeprefix(WITH)
        wider = default.model_copy(update={"parts": {**default.parts, part: table_of(part)}})
        return Asked({DEFAULT: default, name: wider}, (DEFAULT, name))
    raise ValueError(f"unknown configuration {name!r}: default, 5m, alone-NAME, with-NAME or cheap")


def table_of(part: str) -> dict[str, Any]:
    """Return the table of a variant, or of a scorer with its defaults."""
    if part not in VARIANTS and part not in SCORERS:
        raise ValueError(f"unknown part {part!r}: a scorer ({', '.join(SCORERS)}) or {', '.join(VARIANTS)}")
    return VARIANTS.get(part, {"scorer": part})


def candidates(dataset: Dataset) -> list[str]:
    """Return the scorers and variants that the default has not, and that the data can serve."""
    default = default_config(dataset).parts
    scorers = {table["scorer"] for table in default.values()}
    names = [name for name in SCORERS if name not in scorers and name not in ON_REQUEST and not wraps(name)]
    names += [n for n, table in VARIANTS.items() if table["scorer"] in SCORERS and n not in default]
    return [name for name in dict.fromkeys(names) if why_not(table_of(name)["scorer"], dataset) is None]


def wraps(scorer: str) -> bool:
    """Return whether a scorer is made of others, and so means nothing by itself."""
    return issubclass(scorer_class(scorer), Wrapper)


def why_not(scorer: str, dataset: Dataset) -> str | None:
    """Return why a scorer makes no sense on a dataset, None where it does."""
    able = scorer_class(scorer).capabilities
    there = {"rating": dataset.has_ratings, "time": dataset.has_time}
    lacking = [need for need in able.needs if not there.get(need, True)]
    if lacking:
        return f"the data have no {lacking[0]}"
    if able.max_items is not None and dataset.n_items > able.max_items:
        return f"it takes at most {able.max_items:,} items"
    return None


def expanded(wanted: list[str], dataset: Dataset, first: bool) -> list[str]:
    """Return the configurations that names stand for; ``alone`` is all candidates.

    A budget is tried, and scorers alone are run, on the first protocol of a dataset only: ``first``.
    """
    found: list[str] = []
    for name in wanted:
        if name == "alone":
            found += [f"{ALONE}{part}" for part in candidates(dataset)] if first else []
        elif name != BUDGET or first:
            found.append(name)
    return list(dict.fromkeys(found))


def within(
    dataset: Dataset, asked_: Asked, split: SplitConfig, run: RunOptions
) -> tuple[RecommenderConfig, float]:
    """Return the configuration that ``fuserec fit --budget`` arrives at, and the seconds that its fit took.

    It fits on everything but the test rows, and chooses on the validation rows of the same protocol. What it arrives at
    is then evaluated as any other configuration is.
    """
    from fuserec import Recommender

    assert asked_.budget_s is not None
    known = split_data(dataset, split, run.seed).test.train
    base = RecommenderConfig()
    base = base.model_copy(update={"fusion": base.fusion.model_copy(update={"validation": split})})
    began = time.monotonic()
    fused = Recommender(base).fit(known, replace(run, deadline=began + asked_.budget_s)).fitted.fused
    took = time.monotonic() - began
    parts = {
        name: {"scorer": part.name, **part.config.model_dump(mode="json")}
        for name, part in fused.parts.items()
    }
    return base.model_copy(update={"parts": parts, "fusion": fused.config}), took


def digest(configs: Mapping[str, RecommenderConfig], budget_s: float | None, split: str, version: str) -> str:
    """Return 16 hexadecimal digits over everything that is set."""
    filled = {name: _filled(config) for name, config in configs.items()}
    payload = {
        "configs": filled,
        "budget_s": budget_s,
        "split": _split(split),
        "seed": SEED,
        "version": version,
    }
    text = json.dumps(payload, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_again(stored: Mapping[str, Any], split: str) -> str | None:
    """Return the digest that a stored request would have today; None where it is no longer allowed."""
    try:
        configs = {
            name: RecommenderConfig.parse(table, f"[{name}]") for name, table in stored["configs"].items()
        }
        return digest(configs, stored["budget_s"], split, fuserec.__version__)
    except FuseRecError:
        return None


def _split(split: str) -> dict[str, Any]:
    """Return the settings of a protocol."""
    return SplitConfig(protocol=split).model_dump(mode="json")  # type: ignore[arg-type]


def _filled(config: RecommenderConfig) -> dict[str, Any]:
    """Return what of a configuration figures depend on, every default in it."""
    table = config.model_dump(mode="json", include={"features", "fusion"})
    table["features"].pop("cache", None)  # where vectors are kept says nothing of what is computed
    if table["features"]["sentence"]["kind"] == "language_model":  # nor do tables of what is not used
        for key in ("kind", *OTHER_KINDS):
            table["features"]["sentence"].pop(key)
    if not table["features"]["codes"]["levels"]:
        table["features"].pop("codes")
    if table["fusion"]["last_stage"]["scorer"] is None:
        table["fusion"].pop("last_stage")
    parts = create_parts(config.parts)
    table["parts"] = {n: {"scorer": p.name, **p.config.model_dump(mode="json")} for n, p in parts.items()}
    return table


def _unfilled(config: RecommenderConfig) -> dict[str, Any]:
    """Return what a configuration names itself."""
    return config.model_dump(mode="json", exclude_unset=True, include={"features", "fusion", "parts"})
