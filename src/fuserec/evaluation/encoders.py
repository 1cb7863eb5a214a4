"""Text encoders side by side, each as a content scorer alone: accuracy, what it cost, how fast, what it keeps.

Every encoder is used at its best: how far its vectors are whitened, and how fast a history fades, are chosen for each
of them on validation. The test is looked at once, afterwards. Under a shift the catalogue's texts get faults (typing
errors, lost words), and nothing is chosen anew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.cache import CachedEncoder
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.encoders.kept import Probe
from fuserec.encoders.noise import Shift, faulty
from fuserec.encoders.recent import RecentVectors
from fuserec.encoders.sentence import SentenceConfig, SentenceEncoder
from fuserec.encoders.text import TextConfig, item_text
from fuserec.encoders.tuned import leak
from fuserec.encoders.whitening import Whitening, WhiteningConfig
from fuserec.errors import DataError, RequestError
from fuserec.evaluation.contenders import Contender, Ground, LineUp
from fuserec.evaluation.figures import accuracy, span_of
from fuserec.evaluation.measure import Cost
from fuserec.evaluation.provenance import dataset_facts, split_facts
from fuserec.evaluation.ranking_pass import ranking_pass
from fuserec.evaluation.statistics import Difference, Estimate, intervals, paired_differences
from fuserec.evaluation.yardstick import Columns, Yardstick
from fuserec.scorers.content import Content

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout, Split
    from fuserec.run import RunOptions

EXPONENTS: tuple[float | None, ...] = (None, 0.35, 0.0)
"""How far vectors are whitened: as without configuration, less, only centred."""

RECENCIES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CHOSEN_ON = 10_000
"""Validation queries by which both are chosen, at most."""

TIMED_TEXTS, TIMED_REQUESTS = 256, 30
PRIMARY = "ndcg@10"
PRECISIONS = ("float32", "int8", "int8_float32")
_Choice = tuple[float | None, ItemFeatures, Content]


@dataclass(frozen=True)
class ShiftedResult:
    """What is left where the catalogue's texts have faults.

    Parameters
    ----------
    ndcg : Estimate
        NDCG@10 on the same test queries.
    lost : Difference
        Less that of the same encoder on the texts as they are; ``relative`` as a share of it.
    gain : Difference or None
        Less that of the first encoder under the same faults.
    """

    ndcg: Estimate
    lost: Difference
    relative: float
    gain: Difference | None


@dataclass(frozen=True)
class EncoderResult:
    """One encoder's figures.

    Parameters
    ----------
    model, fingerprint : str
    metrics : dict of Estimate
        On the test queries, with intervals.
    gain : Difference or None
        NDCG@10 less that of the first encoder, on the same queries.
    relative : float
        The same as a share of the first one's.
    exponent, recency
        Chosen on some of the validation queries, and ``validation`` the NDCG@10 on all ``validated`` of them.
    trained, parameters : int or None
        Parameters that its tuning moved, and all; None where it was not tuned by FuseRec.
    training_s : float or None
    megabytes : float
        Of the weights that are run.
    ms_text, ms_request : float
        Milliseconds a catalogue text in bulk, and for one request: its words read, and all items scored.
    gain_per_ms : float
        ``relative`` by milliseconds of a request.
    kept : dict
        See :meth:`fuserec.encoders.kept.Probe.figures`; of the first encoder's cosines.
    shifted : dict of ShiftedResult
        By shift, e.g. ``typos:0.1``.
    """

    model: str
    fingerprint: str
    metrics: dict[str, Estimate]
    gain: Difference | None
    relative: float
    exponent: float | None
    recency: float
    validation: float
    validated: int
    trained: int | None
    parameters: int | None
    training_s: float | None
    megabytes: float
    ms_text: float
    ms_request: float
    gain_per_ms: float
    kept: dict[str, float]
    shifted: dict[str, ShiftedResult]


@dataclass(frozen=True)
class EncoderComparison:
    """All encoders, the first being what the others are compared with."""

    dataset: dict[str, Any]
    split: dict[str, Any]
    seed: int
    encoders: dict[str, EncoderResult]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def encoder_named(name: str) -> SentenceConfig:
    """Return the configuration of ``minilm``, a folder or a hub's name, with ``:float32`` for its precision.

    Raises
    ------
    RequestError
        For another precision.
    """
    model, mark, precision = name.rpartition(":")
    if not mark or "/" in precision:
        return SentenceConfig(model=name)
    if precision not in PRECISIONS or not model:
        raise RequestError(f"--model {name}: after : stands one of {', '.join(PRECISIONS)}")
    return SentenceConfig.model_validate({"model": model, "compute_type": precision})


def compare_encoders(
    dataset: Dataset,
    encoders: Mapping[str, SentenceConfig | SentenceEncoder],
    *,
    split: SplitConfig,
    text: TextConfig | None = None,
    ks: Sequence[int] = (5, 10, 20),
    shifts: Sequence[Shift] = (),
    run: RunOptions,
) -> EncoderComparison:
    """Measure text encoders as content scorers: sentence vectors alone, no words, no behaviour of others.

    Parameters
    ----------
    dataset : Dataset
    encoders : mapping of SentenceConfig or SentenceEncoder
        By name; the first is what the others are compared with. An encoder that is given itself (such as a
        :class:`~fuserec.neural.language.adapt.LiveEncoder`) is run as it is, past the cache.
    split : SplitConfig
    text : TextConfig, optional
        Which columns of an item are read.
    ks : sequence of int
    shifts : sequence of Shift
        Faults of the catalogue's texts under which the test is repeated; all encoders read the same ones.
    run : RunOptions

    Raises
    ------
    RequestError
        Without an encoder.
    DataError
        Where no item has text, or nothing can be held out.
    """
    if not encoders:
        raise RequestError(
            "no encoder is named: name at least one, the first is what others are compared with"
        )
    held = split_data(dataset, split, run.seed)
    texts = item_text(dataset.item_table, text)
    if not any(texts):
        raise DataError(f"{dataset.info.name}: no item has text, so encoders have nothing to read")
    bench = _Bench(dataset, held, texts, text or TextConfig(), tuple(sorted({*ks, 10})), run)
    bench.shifts = {shift.name: shifted_texts(texts, shift, run) for shift in shifts}
    tried = {name: bench.tried(name, config) for name, config in encoders.items()}
    return EncoderComparison(
        dataset=dataset_facts(dataset).model_dump(),
        split=split_facts(held, run.seed),
        seed=run.seed,
        encoders=_results(tried, run),
        notes=bench.notes,
    )


@dataclass(frozen=True)
class _Tried:
    """What one encoder did."""

    columns: Columns
    cosines: tuple[np.ndarray, np.ndarray]
    facts: dict[str, Any]
    probe: Probe
    shifted: dict[str, np.ndarray]


class _Bench:
    """What all encoders have in common, and the trial of one."""

    def __init__(
        self,
        dataset: Dataset,
        held: Split,
        texts: list[str],
        text: TextConfig,
        ks: tuple[int, ...],
        run: RunOptions,
    ) -> None:
        self.dataset, self.held, self.texts, self.ks, self.run = dataset, held, texts, ks, run
        self.notes: list[str] = []
        self.shifts: dict[str, list[str]] = {}
        self._config = FeatureConfig(text=text, use_sentence="never")
        self._features = ItemFeatures.build(held.train, self._config, run)  # words; vectors are put in below
        self._probe = Probe.of(held.train, texts, run.rng("similarity"))
        drawn = run.rng("encoders").permutation(len(held.validation))[:CHOSEN_ON]
        self._some = held.validation.take(np.sort(drawn))

    def tried(self, name: str, given: SentenceConfig | SentenceEncoder) -> _Tried:
        """Encode the catalogue, choose on validation, measure on test."""
        run = self.run
        named = isinstance(given, SentenceConfig)
        encoder = (SentenceEncoder(given) if isinstance(given, SentenceConfig) else given).load(run)
        config = encoder.config
        warned = leak(FeatureConfig(sentence=config), self.dataset, self.held.train)
        self.notes += [warned] if warned and warned not in self.notes else []
        reader = CachedEncoder(encoder, self._config.cache) if named else encoder
        raw = reader.encode(self.texts, run)
        run.progress(f"choosing for {name}", 0, 0)
        exponent, features, scorer = self._chosen(raw, encoder)
        figure = self._on(self.held.validation, features, scorer)
        columns = self._accuracy(name, features, scorer, self.held.test)
        tuning = (encoder.tuning or {}).get("figures", {})
        facts: dict[str, Any] = {
            "model": config.model,
            "fingerprint": encoder.fingerprint,
            "exponent": exponent,
            "recency": scorer.config.recency,
            "validation": figure,
            "validated": len(self.held.validation),
            "trained": tuning.get("parameters_trained"),
            "parameters": tuning.get("parameters"),
            "training_s": tuning.get("seconds"),
            "megabytes": encoder.megabytes,
            **self._times(encoder, features, scorer),
        }
        cosines = self._probe.cosines(lambda t: encoder.encode(t, run))
        shifted = {
            shift: self._shifted(reader.encode(texts, run), features, scorer)
            for shift, texts in self.shifts.items()
        }
        return _Tried(columns, cosines, facts, self._probe, shifted)

    def _shifted(self, raw: np.ndarray, features: ItemFeatures, scorer: Content) -> np.ndarray:
        """Return the NDCG@10 of test queries where the catalogue reads so; whitening and recency stay."""
        assert features.whitening is not None
        noisy = replace(features, sentence=features.whitening.apply(raw))
        again = type(scorer)(scorer.config).fit(self.held.train, noisy, self.run)
        return np.asarray(self._accuracy("content", noisy, again, self.held.test)[PRIMARY])

    def _chosen(self, raw: np.ndarray, encoder: SentenceEncoder) -> _Choice:
        """Return the whitening and the scorer with the recency that are best together on some of validation."""
        found: list[tuple[float, float | None, ItemFeatures, Content]] = []
        for exponent in EXPONENTS:
            whitening = Whitening.fit(raw, WhiteningConfig(exponent=exponent))
            features = replace(
                self._features,
                sentence=whitening.apply(raw),
                whitening=whitening,
                sentence_encoder=encoder,
                recent=RecentVectors(),  # those kept are of another encoder
            )
            scorer = Content(Content.Config(sentence_share=1.0, text_sentence_share=1.0))
            fitted = scorer.fit(self.held.train, features, self.run)
            for recency in RECENCIES:
                other = fitted.retuned(recency=recency)
                found.append((self._on(self._some, features, other), exponent, features, other))
        _, exponent, features, best = max(found, key=lambda each: each[0])
        return exponent, features, best

    def _on(self, queries: Holdout, features: ItemFeatures, scorer: Content) -> float:
        """Return the mean NDCG@10 of queries."""
        self.run.check()
        return float(np.nanmean(self._accuracy("content", features, scorer, queries)[PRIMARY]))

    def _accuracy(self, name: str, features: ItemFeatures, scorer: Content, queries: Holdout) -> Columns:
        """Return one value a query of every ranking metric."""
        ground = Ground(features, queries, queries)
        line_up = LineUp({name: Contender(name, scorer, Cost(0.0, None), ground)}, {}, (name,))
        outcome = ranking_pass(line_up, max(self.ks), replace(self.run, progress=lambda *told: None))[name]
        return accuracy(outcome, Yardstick(queries, self.held.train, self.ks, features, self.run))

    def _times(self, encoder: SentenceEncoder, features: ItemFeatures, scorer: Content) -> dict[str, float]:
        """Return milliseconds a text in bulk and a request, nothing of it from the cache."""
        texts = [text for text in self.texts if text][:TIMED_TEXTS]
        bulk = min(_seconds(lambda: encoder.encode(texts, self.run)) for _ in range(3)) / len(texts)
        q = self.held.test.queries

        def request(at: int) -> None:
            words = features.read([f"{texts[at % len(texts)]} {at}"], self.run)
            scorer.score(replace(q.take(np.array([at % len(q)])), text=words))

        request(0)
        single = median(_seconds(lambda at=at: request(at)) for at in range(1, TIMED_REQUESTS))
        return {"ms_text": 1e3 * bulk, "ms_request": 1e3 * single}


def _seconds(work: Any) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _results(tried: Mapping[str, _Tried], run: RunOptions) -> dict[str, EncoderResult]:
    """Return figures with intervals, and differences to the first encoder on the same resamples."""
    first = next(iter(tried.values()))
    base = float(np.nanmean(first.columns[PRIMARY]))
    others = {name: each.columns[PRIMARY] for name, each in tried.items() if each is not first}
    spans = {metric: span for metric in first.columns if (span := span_of(metric)) is not None}
    start = first.columns[PRIMARY]
    gains = paired_differences(others, start, rng=run.rng("bootstrap"), within=spans[PRIMARY])
    found = {}
    for name, each in tried.items():
        relative = (float(np.nanmean(each.columns[PRIMARY])) - base) / base if base > 0 else 0.0
        found[name] = EncoderResult(
            metrics=intervals(
                each.columns,
                rng=run.rng("bootstrap"),
                within={m: s for m in each.columns if (s := span_of(m)) is not None},
            ),
            gain=gains.get(name),
            relative=relative,
            gain_per_ms=relative / each.facts["ms_request"],
            kept=each.probe.figures(first.cosines, each.cosines),
            shifted={
                shift: _shifted_result(column, each, None if each is first else first.shifted[shift], run)
                for shift, column in each.shifted.items()
            },
            **each.facts,
        )
    return found


def _shifted_result(
    column: np.ndarray, own: _Tried, first: np.ndarray | None, run: RunOptions
) -> ShiftedResult:
    """Return what is left of an encoder under a shift, beside itself and the first one."""
    clean = own.columns[PRIMARY]
    against = {"lost": clean} if first is None else {"lost": clean, "gain": first}
    found = {
        name: paired_differences({name: column}, other, rng=run.rng("bootstrap"))[name]
        for name, other in against.items()
    }
    whole = float(np.nanmean(clean))
    relative = float(np.nanmean(column)) / whole - 1.0 if whole > 0 else 0.0
    ndcg = intervals({PRIMARY: column}, rng=run.rng("bootstrap"))[PRIMARY]
    return ShiftedResult(ndcg, found["lost"], relative, found.get("gain"))


def shifted_texts(texts: Sequence[str], shift: Shift, run: RunOptions) -> list[str]:
    """Return the texts with faults: the same ones for equal seeds, whoever reads them."""
    rng = run.rng(f"shift {shift.name}")
    return [faulty(text, shift, rng) for text in texts]


def model_name(config: SentenceConfig) -> str:
    """Return how an encoder is called in tables: its folder, and its precision where that is not the default."""
    name = Path(config.model).name
    default = SentenceConfig.model_fields["compute_type"].default
    return name if config.compute_type == default else f"{name}:{config.compute_type}"
