"""Other forms of training texts: words left out as they are read, or texts that a language model has rewritten.

Sennrich, Haddow, Birch 2016, "Improving neural machine translation models with monolingual data" (back-translation);
Xie et al. 2020, "Unsupervised data augmentation for consistency training". What is judged is never varied.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.encoders.kept import cosines
from fuserec.encoders.lexical import fold
from fuserec.encoders.noise import WORD, Fault, Shift, faulty
from fuserec.llm.answers import usable
from fuserec.llm.client import LanguageModel
from fuserec.llm.prompts import Prompt, about
from fuserec.neural.language.augmentation_config import WRITTEN, AugmentationConfig

if TYPE_CHECKING:
    from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

PARAPHRASE = (
    "You rewrite short texts about things that people choose, such as films, books and goods. Say the same in other "
    "words, in the language of the text, about as long as it is. Keep names, titles and numbers; add no facts."
)
TRANSLATE = (
    "You translate short texts about things that people choose into {language}. Keep names and titles."
)

Encode = Callable[[Sequence[str]], np.ndarray]
"""Texts to float32 (n, dim)."""


@dataclass(frozen=True)
class Augmentation:
    """How training texts are varied.

    Parameters
    ----------
    config : AugmentationConfig
    copies : mapping
        Text to its rewritten forms; empty for kinds that leave words out.
    facts : mapping
        What was rewritten and what was left out, in numbers.
    """

    config: AugmentationConfig
    copies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def varied(self, texts: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Return the texts, each in another form with a chance of ``replaced``, where it has one."""
        other = rng.random(len(texts)) < self.config.replaced
        return [self._other(text, rng) if now else text for text, now in zip(texts, other, strict=True)]

    def extended(self, texts: Sequence[str], rng: np.random.Generator) -> list[str]:
        """Return the texts and behind them ``copies`` other forms of each, where it has one."""
        if self.config.kind in WRITTEN:
            return [*texts, *(copy for text in texts for copy in self.copies.get(text, ()))]
        others = [self._other(text, rng) for text in texts for _ in range(self.config.copies)]
        known = set(texts)
        return [*texts, *(text for text in others if text not in known)]

    def _other(self, text: str, rng: np.random.Generator) -> str:
        """Return another form of a text."""
        if self.config.kind in WRITTEN:
            copies = self.copies.get(text, ())
            return copies[int(rng.integers(len(copies)))] if copies else text
        fault: Fault = "words" if self.config.kind == "word_dropout" else "span"
        return faulty(text, Shift(fault=fault, share=self.config.share), rng)


def augmentation_of(
    config: AugmentationConfig, items: Sequence[str], people: Sequence[str], encode: Encode, run: RunOptions
) -> Augmentation | None:
    """Return how training texts are varied; None where they are not.

    Parameters
    ----------
    config : AugmentationConfig
    items, people : sequence of str
        Training texts alone, one an event: those that come most often are rewritten first.
    encode : callable
        Untuned; tells which copies have drifted.
    run : RunOptions

    Raises
    ------
    LanguageModelError
        Where the language model cannot be asked.
    """
    if config.kind == "none":
        return None
    if config.kind not in WRITTEN:
        return Augmentation(config)
    often = [text for texts in (items, people) for text, _ in _commonest(texts).most_common(config.max_items)]
    texts = list(dict.fromkeys(often))
    with LanguageModel(config.llm) as model:
        written, told = _rewritten(model, texts, config, run)
        usage = model.usage
    copies, sieved = _sieved(texts, written, config, encode)
    facts = {"texts": len(texts), **sieved, **told, "calls": usage.calls, "tokens": usage.tokens}
    facts |= {"cached": usage.cached}
    if told["stopped"]:
        log.warning("augmentation: %s", told["stopped"])
    log.info("augmentation: %s", ", ".join(f"{key} {value}" for key, value in facts.items()))
    return Augmentation(config, copies, facts)


def _commonest(texts: Sequence[str]) -> Counter[str]:
    """Return how often each text is there; equal counts keep the order of their first coming."""
    return Counter(text for text in texts if text)


def _rewritten(
    model: LanguageModel, texts: Sequence[str], config: AugmentationConfig, run: RunOptions
) -> tuple[list[list[str | None]], dict[str, Any]]:
    """Return ``copies`` answers of each text, and what could not be answered."""
    asked = [(text, copy) for text in texts for copy in range(config.copies)]
    if config.kind == "paraphrase":
        done = model.ask_all([_paraphrase(t, copy) for t, copy in asked], run, "paraphrasing")
        failed, stopped, answers = done.failed, done.stopped, done.answers
    else:
        out = model.ask_all(
            [_translation(t, _through(config, copy), copy) for t, copy in asked], run, "translating"
        )
        there = [at for at, answer in enumerate(out.answers) if answer is not None]
        back = [_translation(out.answers[at] or "", config.language, asked[at][1]) for at in there]
        done = model.ask_all(back, run, "translating back")
        failed, stopped = out.failed + done.failed, out.stopped or done.stopped
        place = dict(zip(there, done.answers, strict=True))
        answers = tuple(place.get(at) for at in range(len(asked)))
    n = config.copies
    rows = [list(answers[at * n : (at + 1) * n]) for at in range(len(texts))]
    return rows, {"failed": failed, "stopped": stopped}


def _paraphrase(text: str, copy: int) -> Prompt:
    """Return the question for one other form of a text."""
    return about(PARAPHRASE, text, seed=copy)


def _translation(text: str, language: str, copy: int) -> Prompt:
    """Return the question for a translation."""
    return about(TRANSLATE.format(language=language), text, seed=copy)


def _through(config: AugmentationConfig, copy: int) -> str:
    """Return the language that a copy goes through."""
    return config.through[copy % len(config.through)]


def _sieved(
    texts: Sequence[str], written: Sequence[Sequence[str | None]], config: AugmentationConfig, encode: Encode
) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    """Return the copies that are another text of the same sense, and how many were left out for what."""
    told = {"unusable": 0, "copied": 0, "drifted": 0}
    left: list[tuple[str, str]] = []
    for text, copies in zip(texts, written, strict=True):
        met = {_words(text)}
        for copy in copies:
            if copy is None:
                continue
            if not usable(copy, text):
                told["unusable"] += 1
            elif _words(copy) in met:
                told["copied"] += 1
            else:
                met.add(_words(copy))
                left.append((text, copy))
    near = cosines(encode, [a for a, _ in left], [b for _, b in left]) if left else np.empty(0)
    told["drifted"] = int((near < config.min_similarity).sum())
    kept: dict[str, tuple[str, ...]] = {}
    for (text, copy), similarity in zip(left, near.tolist(), strict=True):
        if similarity >= config.min_similarity:
            kept[text] = (*kept.get(text, ()), copy)
    return kept, {"kept": sum(map(len, kept.values())), **told}


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a text as they are compared: another order, case or punctuation is no other text."""
    return tuple(sorted(WORD.findall(fold(text))))
