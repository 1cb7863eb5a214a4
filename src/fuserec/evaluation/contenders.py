"""Who takes part in an evaluation: parts of configurations, their fusions, and scorers beside them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fuserec.config import RecommenderConfig
from fuserec.control.board import Board, newest
from fuserec.encoders.reading import stored_words, with_words
from fuserec.errors import ConfigError, nearest
from fuserec.evaluation.measure import Cost, Meter
from fuserec.evaluation.results import WITHOUT_RERANK
from fuserec.features import item_features
from fuserec.fusion import fusion_of
from fuserec.fusion.base import Fusion, fit_parts
from fuserec.fusion.blend import Blend
from fuserec.rerank.chain import Chain
from fuserec.rerank.learning import taught_chain
from fuserec.scorers import SCORERS, create

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout, Split
    from fuserec.encoders.features import FeatureConfig, ItemFeatures
    from fuserec.rerank.base import Reranker
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer

log = logging.getLogger("fuserec")

FUSED = "fused"
"""Name of the fusion where one configuration is evaluated."""


@dataclass(frozen=True)
class Ground:
    """What all contenders of one feature configuration share.

    Parameters
    ----------
    features : ItemFeatures
        Content of all items, those held out included: text is known the moment an item is added.
    validation, test : Holdout
        The held-out queries, with the words that were known at their moment.
    """

    features: ItemFeatures
    validation: Holdout
    test: Holdout


@dataclass(frozen=True)
class Contender:
    """A fitted scorer that is measured on its own, as a part of fusions or beside them."""

    name: str
    scorer: Scorer
    cost: Cost
    ground: Ground


@dataclass(frozen=True)
class Fused:
    """A learnt fusion.

    Parameters
    ----------
    name : str
    blend : Fusion
    members : dict
        Name of the part in the fusion to name of the contender.
    cost : Cost
        Of its parts and of learning.
    ground : Ground
    chain : Chain
        The rerankers that make its lists.
    board : Board or None
        The operator's dials, which act after them.
    variant_of : str
        Name of the fusion whose scores these are, where only the lists differ; empty for the fusion itself.
    served : Reranker or None
        Whose aim the lists are measured by.
    """

    name: str
    blend: Fusion
    members: dict[str, str]
    cost: Cost
    ground: Ground
    chain: Chain = field(default_factory=Chain)
    board: Board | None = None
    variant_of: str = ""
    served: Reranker | None = None


@dataclass(frozen=True)
class Trial:
    """Another value of a setting of a reranker, whose lists are measured beside a fusion's own.

    Parameters
    ----------
    name : str
        Of the lists in the results.
    reranker, key : str
    value : number, text or truth value
    """

    name: str
    reranker: str
    key: str
    value: Any


@dataclass(frozen=True)
class LineUp:
    """Everything that is scored, and what of it is reported, in the order of the tables."""

    contenders: dict[str, Contender]
    fusions: dict[str, Fused]
    reported: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def refers(self, name: str) -> bool:
        """Return whether all others are compared with a model: a fusion, or its lists without rerankers."""
        fused = self.fusions.get(name)
        return fused is not None and (not fused.variant_of or not fused.chain)

    @property
    def grounds(self) -> list[Ground]:
        """Distinct grounds, in the order of the configurations."""
        grounds = [fused.ground for fused in self.fusions.values()]
        grounds += [contender.ground for contender in self.contenders.values()]
        return list({id(ground): ground for ground in grounds}.values())


@dataclass(frozen=True)
class Entry:
    """One configuration with its unfitted parts."""

    name: str
    config: RecommenderConfig
    parts: dict[str, Scorer]


def entries(
    dataset: Dataset, configs: Mapping[str, RecommenderConfig] | RecommenderConfig | None
) -> list[Entry]:
    """Return the configurations with their parts; a single one is called ``fused``.

    Raises
    ------
    ConfigError
        Where the name of a configuration is that of a part too.
    """
    if configs is None or isinstance(configs, RecommenderConfig):
        configs = {FUSED: configs or RecommenderConfig()}
    if len(configs) <= 1:
        configs = {FUSED: next(iter(configs.values()), RecommenderConfig())}
    found = [Entry(name, config, config.scorers(dataset)) for name, config in configs.items()]
    taken = {part for entry in found for part in entry.parts}
    for entry in found:
        if entry.name in taken:
            raise ConfigError(
                f"{entry.name!r} is the name of a fusion and of a part: rename the configuration or the part"
            )
    return found


@dataclass(frozen=True)
class Choice:
    """Which models are wanted; without names, every fusion and every part."""

    names: frozenset[str]
    fusions: frozenset[str]
    extras: tuple[str, ...]

    @classmethod
    def of(cls, models: Sequence[str], found: Sequence[Entry]) -> Choice:
        """Check the names and sort them into fusions, parts, and scorers that no configuration has.

        Raises
        ------
        ConfigError
            For a name that is none of these, with the nearest that is.
        """
        own = {FUSED, *(entry.name for entry in found)}
        parts = {part for entry in found for part in entry.parts}
        long = (
            {f"{entry.name}.{part}" for entry in found for part in entry.parts} if len(found) > 1 else set()
        )
        for name in models:
            if name not in own | parts | long and name not in SCORERS:
                known = [*sorted(own), *sorted(parts | set(SCORERS))]
                raise ConfigError(f"unknown model {name!r}{nearest(name, known)} (known: {', '.join(known)})")
        fusions = {entry.name for entry in found if not models or FUSED in models or entry.name in models}
        extras = dict.fromkeys(name for name in models if name not in own | parts | long)
        return cls(frozenset(models), frozenset(fusions), tuple(extras))

    def has(self, entry: str, part: str) -> bool:
        """Return whether a part of a configuration is wanted for itself."""
        return not self.names or part in self.names or f"{entry}.{part}" in self.names


def variants_of(fused: Fused, trials: Sequence[Trial]) -> list[Fused]:
    """Return a fusion, what it would show without its rerankers, and with other settings of one of them."""
    found = [fused]
    if fused.chain:
        plain = f"{fused.name}{WITHOUT_RERANK}"
        found.append(replace(fused, name=plain, chain=Chain(), variant_of=fused.name))
    for trial in trials:
        chain = fused.chain.retuned(trial.reranker, **{trial.key: trial.value})
        found.append(replace(fused, name=trial.name, chain=chain, variant_of=fused.name))
    served = trials[0].reranker if trials else None
    return [replace(one, served=fused.chain.rerankers[served] if served else None) for one in found]


def assemble(
    dataset: Dataset,
    found: Sequence[Entry],
    choice: Choice,
    held: Split,
    run: RunOptions,
    trials: Sequence[Trial] = (),
) -> LineUp:
    """Fit every part that is needed once, teach every fusion that is wanted, and give all of them names.

    Parts are the tuned ones that the fusion uses, so that a part and its fusion are the same objects. A part
    that two configurations have alike is fitted and scored once; one that differs is called ``NAME.part``.
    ``trials`` are further lists of each fusion; see :func:`variants_of`.
    """
    work = _Workshop(dataset, held, run)
    teams = [team for entry in found if (team := work.team(entry, choice)) is not None]
    keys: dict[str, set[str]] = {}
    for team in teams:
        for part, member in team.members.items():
            keys.setdefault(part, set()).add(member.key)
    contenders: dict[str, Contender] = {}
    fusions: dict[str, Fused] = {}
    reported: list[str] = []
    for team in teams:
        names = {part: part if len(keys[part]) == 1 else f"{team.entry.name}.{part}" for part in team.members}
        for part, member in team.members.items():
            name = names[part]
            contenders.setdefault(name, Contender(name, member.scorer, member.cost, team.ground))
            reported += [name] if choice.has(team.entry.name, part) else []
        if team.blend is not None and team.entry.name in choice.fusions:
            own = Fused(team.entry.name, team.blend, names, team.cost, team.ground, team.chain, team.board)
            fusions |= {fused.name: fused for fused in variants_of(own, trials)}
    for name in choice.extras:
        contenders[name] = work.alone(name, found[0].config.features)
    order = dict.fromkeys([*fusions, *reported, *choice.extras])
    needed = {name for fused in fusions.values() for name in fused.members.values()} | set(order)
    kept = {name: contender for name, contender in contenders.items() if name in needed}
    return LineUp(kept, fusions, tuple(order), tuple(dict.fromkeys(work.notes)))


@dataclass(frozen=True)
class _Member:
    """A fitted part; ``key`` is equal where another configuration has the very same one."""

    scorer: Scorer
    cost: Cost
    key: str


@dataclass(frozen=True)
class _Team:
    """The fitted parts of one configuration, and what was learnt over them."""

    entry: Entry
    members: dict[str, _Member]
    blend: Fusion | None
    cost: Cost
    ground: Ground
    chain: Chain
    board: Board | None


@dataclass
class _Workshop:
    """Prepares grounds and fits parts, each distinct one once."""

    dataset: Dataset
    held: Split
    run: RunOptions
    notes: list[str] = field(default_factory=list)
    _grounds: dict[str, Ground] = field(default_factory=dict)
    _fitted: dict[str, _Member] = field(default_factory=dict)

    def ground(self, config: FeatureConfig) -> Ground:
        """Read the items and the words of the queries."""
        key = config.model_dump_json()
        if key not in self._grounds:
            features = item_features(self.held.train, config, self.run)  # rarity by what may be known
            if features.sentence is None and config.use_sentence == "auto" and features.has_text.any():
                self.notes.append("No language model read the text: words alone stand for content.")
            validation = self._worded(self.held.validation, features)
            self._grounds[key] = Ground(features, validation, self._worded(self.held.test, features))
        return self._grounds[key]

    def _worded(self, held: Holdout, features: ItemFeatures) -> Holdout:
        """Give queries the words that were known at their moment."""
        q = held.queries
        words = stored_words(self.dataset, q.users, q.at, past_only=True)
        return replace(held, queries=with_words(q, words, features, self.run))

    def team(self, entry: Entry, choice: Choice) -> _Team | None:
        """Fit the parts of a configuration that are needed, and learn over them."""
        fused = entry.name in choice.fusions
        parts = {name: part for name, part in entry.parts.items() if fused or choice.has(entry.name, name)}
        if not parts:
            return None
        ground = self.ground(entry.config.features)
        with Meter() as whole:
            members = self._fit(parts, ground, entry.config.features)
            blend, learning, chain = None, Cost(0.0, None), Chain()
            # Tuning belongs to learning, so parts alone go through it too: their figures do not depend on
            # which other models were asked for.
            if fused or (entry.config.fusion.tune and any(m.scorer.tunable for m in members.values())):
                with Meter() as meter:
                    form = fusion_of if fused else Blend  # any form tunes alike; the blend costs least
                    blend = form(entry.config.fusion, {name: m.scorer for name, m in members.items()})
                    blend = blend.taught(ground.validation, self.run, ground.features)
                    if fused:
                        chain = entry.config.rerank.chain()
                        chain = taught_chain(chain, blend, ground.validation, ground.features, self.run)
                learning = meter.cost
                members = {name: _tuned(m, blend.parts[name]) for name, m in members.items()}
        board, train = None, ground.validation.train
        if fused:
            at = newest(ground.test.queries.at)
            board = Board.standing(entry.config.control, train, ground.features, self.run, at)
        return _Team(entry, members, blend, _total(members, learning, whole.cost), ground, chain, board)

    def alone(self, name: str, config: FeatureConfig) -> Contender:
        """Fit a scorer that no configuration has, with its defaults."""
        ground = self.ground(config)
        member = self._fit({name: create(name)}, ground, config)[name]
        return Contender(name, member.scorer, member.cost, ground)

    def _fit(self, parts: dict[str, Scorer], ground: Ground, config: FeatureConfig) -> dict[str, _Member]:
        """Fit parts one by one; those that cannot take the catalogue are left out with a line and a note."""
        train = self.held.train
        allowed = {n: p for n, p in parts.items() if train.n_items <= (p.capabilities.max_items or math.inf)}
        if not allowed:
            fit_parts(parts, train, ground.features, self.run)  # says that there is nothing left to fit
        for name in (n for n in parts if n not in allowed):
            self._leave_out(name, parts[name], train.n_items)
        members: dict[str, _Member] = {}
        for done, (name, part) in enumerate(allowed.items()):
            self.run.check()
            self.run.progress(f"fitting {name}", done, len(allowed))
            key = f"{type(part).__name__} {part.config.model_dump_json()} {config.model_dump_json()}"
            if key not in self._fitted:
                with Meter() as meter:
                    fitted = fit_parts({name: part}, train, ground.features, _quiet(self.run))[name]
                self._fitted[key] = _Member(fitted, meter.cost, key)
            members[name] = self._fitted[key]
        self.run.progress("fitting", len(allowed), len(allowed))
        return members

    def _leave_out(self, name: str, part: Scorer, n_items: int) -> None:
        """Say that the catalogue is too large for a part."""
        limit = part.capabilities.max_items
        log.warning("%s is left out: %s items, it takes %s", name, f"{n_items:,}", f"{limit:,}")
        self.notes.append(
            f"{name} was left out: it takes at most {limit:,} items, the data have {n_items:,}."
        )


def _quiet(run: RunOptions) -> RunOptions:
    """Return the options without progress: the caller counts the parts."""
    return replace(run, progress=lambda label, done, total: None)


def _tuned(member: _Member, scorer: Scorer) -> _Member:
    """Return the member with the values that learning chose."""
    return replace(member, scorer=scorer, key=f"{member.key} {scorer.config.model_dump_json()}")


def _total(members: Mapping[str, _Member], learning: Cost, whole: Cost) -> Cost:
    """Return what a fusion costs: all its parts and learning, parts that were shared included."""
    peaks = [
        cost.peak_mb for cost in (whole, *(m.cost for m in members.values())) if cost.peak_mb is not None
    ]
    seconds = learning.seconds + sum(m.cost.seconds for m in members.values())
    return Cost(seconds, max(peaks, default=None))
