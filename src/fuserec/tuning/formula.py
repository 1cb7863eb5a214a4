"""What a tuning of lists aims at: sums of metrics, limits that have to hold, several aims at once.

::

    ndcg@10 + 0.1*ild@10 subject to coverage@10 >= 0.3 and novelty@10 <= 12
    ndcg@10, ild@10

Sums and differences of metrics with numbers as factors, brackets allowed; a comma between sums makes them aims of
their own, all of them raised. Limits stand behind ``subject to``, joined by ``and`` or commas. The text is taken apart
here and never executed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, Self

from fuserec.errors import ConfigError, RequestError, nearest
from fuserec.metrics import DEFINITIONS, base_name, name_and_k

MAX_LENGTH = 2_000
MAX_DEPTH = 20
"""Brackets within brackets."""

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z_][\w:.]*(?:@\w*)?)"
    r"|(?P<sign>>=|<=|[-+*/(),])"
)

Kind = Literal["number", "word", "sign", "end"]


@dataclass(frozen=True)
class Token:
    """A number, a word or a sign, and the place where it begins."""

    kind: Kind
    text: str
    place: int


@dataclass(frozen=True)
class Linear:
    """A sum of metrics, each with its factor, and a number.

    Parameters
    ----------
    factors : tuple of (metric, factor)
        In the order in which they were named; no factor is zero.
    constant : float
    """

    factors: tuple[tuple[str, float], ...]
    constant: float = 0.0

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that it names."""
        return tuple(metric for metric, _ in self.factors)

    def value(self, figures: Mapping[str, float]) -> float:
        """Return the sum for the values of its metrics; NaN where one of them is not known."""
        return self.constant + sum(factor * figures[metric] for metric, factor in self.factors)

    def scaled(self, factor: float) -> Linear:
        """Return it times a number."""
        return _linear({metric: own * factor for metric, own in self.factors}, self.constant * factor)

    def plus(self, other: Linear) -> Linear:
        """Return the sum of both."""
        factors = dict(self.factors)
        for metric, own in other.factors:
            factors[metric] = factors.get(metric, 0.0) + own
        return _linear(factors, self.constant + other.constant)

    def __str__(self) -> str:
        terms = [(f"{abs(own):g}*{metric}" if abs(own) != 1 else metric, own) for metric, own in self.factors]
        if self.constant or not terms:
            terms.append((f"{abs(self.constant):g}", self.constant))
        text = "".join(f" {'-' if sign < 0 else '+'} {term}" for term, sign in terms)
        return text[3:] if text.startswith(" +") else f"-{text[3:]}"


def _linear(factors: Mapping[str, float], constant: float) -> Linear:
    """Return a sum without the metrics that cancel out."""
    return Linear(tuple((metric, own) for metric, own in factors.items() if own), constant)


@dataclass(frozen=True)
class Limit:
    """A sum that has to be at least, or at most, a number."""

    left: Linear
    sense: Literal[">=", "<="]
    bound: float

    def excess(self, figures: Mapping[str, float]) -> float:
        """Return by how much the limit is broken: 0 or less where it holds, as Optuna counts it."""
        gap = self.bound - self.left.value(figures)
        return gap if self.sense == ">=" else -gap

    def __str__(self) -> str:
        return f"{self.left} {self.sense} {self.bound:g}"


@dataclass(frozen=True)
class Formula:
    """One or several sums to raise, and limits that have to hold.

    Parameters
    ----------
    aims : tuple of Linear
    limits : tuple of Limit
    """

    aims: tuple[Linear, ...]
    limits: tuple[Limit, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a text says.

        Raises
        ------
        ConfigError
            With the place of the first thing that cannot be read, for an unknown metric, and for a metric of which less
            is better that would be raised.
        """
        parser = _Parser(text)
        aims = [parser.sum()]
        while parser.accepts(","):
            aims.append(parser.sum())
        limits = parser.limits() if parser.accepts_subject() else []
        parser.expect_end()
        for aim in aims:
            _check_aim(aim, text)
        return cls(tuple(aims), tuple(limits))

    @property
    def single(self) -> str | None:
        """The metric, where one alone is raised and nothing else is said; else None."""
        if len(self.aims) != 1 or self.limits:
            return None
        aim = self.aims[0]
        return aim.metrics[0] if aim.constant == 0 and [own for _, own in aim.factors] == [1.0] else None

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics that are named, once each."""
        sums = [*self.aims, *(limit.left for limit in self.limits)]
        return tuple(dict.fromkeys(metric for one in sums for metric in one.metrics))

    def values(self, figures: Mapping[str, float]) -> list[float]:
        """Return the value of every aim."""
        return [aim.value(figures) for aim in self.aims]

    def excesses(self, figures: Mapping[str, float]) -> list[float]:
        """Return by how much each limit is broken: 0 or less where it holds."""
        return [limit.excess(figures) for limit in self.limits]

    def holds(self, figures: Mapping[str, float]) -> bool:
        """Return whether all limits hold."""
        return all(excess <= 0 for excess in self.excesses(figures))

    def __str__(self) -> str:
        text = ", ".join(map(str, self.aims))
        return f"{text} subject to {' and '.join(map(str, self.limits))}" if self.limits else text


def _check_aim(aim: Linear, text: str) -> None:
    """Refuse an aim that would raise what is better low, and one without a metric."""
    if not aim.factors:
        raise ConfigError(f"objective {_cut(text)!r}: {aim} names no metric: there is nothing to raise")
    for metric, own in aim.factors:
        if own > 0 and DEFINITIONS[base_name(metric)].better == "lower":
            raise ConfigError(
                f"objective {_cut(text)!r}: every sum is raised, and of {metric} less is better: "
                f"write - {metric}, or a limit such as `subject to {metric} <= 0.5`"
            )


def _cut(text: str) -> str:
    """Return a text as an error repeats it."""
    text = " ".join(text.split())
    return text if len(text) <= 100 else f"{text[:99]}…"


class _Parser:
    """Reads one objective from left to right."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ConfigError(f"objective: {len(text):,} characters, at most {MAX_LENGTH:,} are read")
        self.text, self.at, self.depth = text, 0, 0
        self.tokens = self._tokens()

    def _tokens(self) -> list[Token]:
        """Return all tokens and one that marks the end."""
        found: list[Token] = []
        place = 0
        while place < len(self.text):
            match = _TOKEN.match(self.text, place)
            if match is None:
                self._fail(
                    place, f"{self.text[place]!r} is no number, metric or sign (signs: + - * / ( ) , >= <=)"
                )
            kind = match.lastgroup
            if kind in ("number", "word", "sign"):
                found.append(Token(kind, match.group(), place))  # type: ignore[arg-type]
            place = match.end()
        return [*found, Token("end", "", len(self.text))]

    def _fail(self, place: int, fault: str) -> NoReturn:
        """Raise the error that points at a place."""
        line = re.sub(r"\s", " ", self.text)
        before, after = line[:place][-60:], line[place:][:40]
        raise ConfigError(f"objective, at character {place + 1} ({before}⟨here⟩{after}): {fault}")

    @property
    def here(self) -> Token:
        """The next token."""
        return self.tokens[self.at]

    def _named(self) -> str:
        """Return the next token as an error names it."""
        return repr(self.here.text) if self.here.kind != "end" else "the end"

    def accepts(self, *texts: str) -> str | None:
        """Take the next token where it is one of these signs or words, and return it."""
        if self.here.kind in ("sign", "word") and self.here.text.lower() in texts:
            self.at += 1
            return self.tokens[self.at - 1].text.lower()
        return None

    def accepts_subject(self) -> bool:
        """Take ``subject to``."""
        if not self.accepts("subject"):
            return False
        if not self.accepts("to"):
            self._fail(self.here.place, f"after `subject` stands `to`, not {self._named()}")
        return True

    def expect_end(self) -> None:
        """Refuse what is left over."""
        if self.here.kind == "end":
            return
        hint = " (a limit stands behind `subject to`)" if self.here.text in (">=", "<=") else ""
        self._fail(self.here.place, f"{self._named()} is not expected here{hint}")

    def limits(self) -> list[Limit]:
        """Return the limits behind ``subject to``."""
        found = [self._limit()]
        while self.accepts(",", "and"):
            found.append(self._limit())
        return found

    def _limit(self) -> Limit:
        """Return one limit; what stands on both sides is brought to the left, numbers to the right."""
        place = self.here.place
        left = self.sum()
        sense = self.accepts(">=", "<=")
        if sense is None:
            self._fail(self.here.place, f"a limit compares with >= or <=, not {self._named()}")
        whole = left.plus(self.sum().scaled(-1))
        if not whole.factors:
            self._fail(place, "this limit names no metric")
        bound = -whole.constant + 0.0
        return Limit(Linear(whole.factors), ">=" if sense == ">=" else "<=", bound)

    def sum(self) -> Linear:
        """Return terms joined by + and -."""
        found = self._term()
        while sign := self.accepts("+", "-"):
            found = found.plus(self._term().scaled(1 if sign == "+" else -1))
        return found

    def _term(self) -> Linear:
        """Return factors joined by * and /, of which one at most names metrics."""
        found = self._factor()
        while sign := self.accepts("*", "/"):
            place = self.here.place
            other = self._factor()
            if sign == "/":
                if other.factors or other.constant == 0:
                    self._fail(place, "what is divided by has to be a number other than 0")
                found = found.scaled(1 / other.constant)
            elif found.factors and other.factors:
                self._fail(place, "metrics are added, not multiplied: one side of * has to be a number")
            else:
                found = other.scaled(found.constant) if other.factors else found.scaled(other.constant)
        return found

    def _factor(self) -> Linear:
        """Return a number, a metric, a bracket, or one of them with its sign."""
        if sign := self.accepts("-", "+"):
            self._deeper()
            found = self._factor().scaled(-1 if sign == "-" else 1)
            self.depth -= 1
            return found
        if self.accepts("("):
            self._deeper()
            found = self.sum()
            if not self.accepts(")"):
                self._fail(self.here.place, f"the bracket is not closed: ) is missing before {self._named()}")
            self.depth -= 1
            return found
        token = self.here
        if token.kind not in ("number", "word") or token.text.lower() in ("subject", "and", "to"):
            self._fail(token.place, f"a metric, a number or ( has to stand here, not {self._named()}")
        self.at += 1
        if token.kind == "number":
            return Linear((), float(token.text))
        return Linear(((self._metric(token), 1.0),))

    def _deeper(self) -> None:
        """Count a bracket or a sign of a factor; a text that nests on and on is no objective."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._fail(self.here.place, f"nested more than {MAX_DEPTH} deep")

    def _metric(self, token: Token) -> str:
        """Return the name of a metric, or refuse what is none."""
        head, mark, column = token.text.partition(":")
        text = f"{head.lower()}{mark}{column}"  # a column is named as the data name it
        try:
            name_and_k(text)
        except RequestError as error:
            self._fail(token.place, str(error))
        name = base_name(text)
        if name not in DEFINITIONS:
            self._fail(
                token.place,
                f"no metric {name!r}{nearest(name, DEFINITIONS)} (known: {', '.join(DEFINITIONS)}, most with @k, those "
                "of groups with :COLUMN before it)",
            )
        return text
