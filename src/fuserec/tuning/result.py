"""What a tuning found: a configuration, and how it came about."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuserec.tuning.toml_text import toml

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig


def config_text(config: RecommenderConfig, lines: list[str]) -> str:
    """Return a configuration as TOML with comments at its head."""
    values = config.model_dump(mode="json", exclude_defaults=True, exclude={"parts"})
    # an empty table would let the data choose the parts again
    values["parts"] = config.parts
    return "\n".join([*(f"# {line}".rstrip() for line in lines), "", toml(values)])


def write_config(path: Path | str, config: RecommenderConfig, lines: list[str]) -> None:
    """Write a configuration with comments at its head; an existing file is replaced as a whole."""
    path, text = Path(path), config_text(config, lines)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


@dataclass(frozen=True)
class PartResult:
    """What was found for one part.

    Parameters
    ----------
    before, after : float or None
        The objective on validation with the present configuration and with the one that was chosen; None before the
        present one was measured.
    changes : dict
        Hyperparameters that were chosen to differ, with their new values.
    trials, pruned, faulty : int
        How many came to an end in all; how many of them were pruned, and failed.
    importance : dict
        Share of the differences among the best trials that each hyperparameter explains (PED-ANOVA); empty where
        there are too few trials.
    remark : str
        Why nothing changed, where that is not plain.
    """

    before: float | None = None
    after: float | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    trials: int = 0
    pruned: int = 0
    faulty: int = 0
    importance: dict[str, float] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class TuneResult:
    """A tuned configuration.

    Parameters
    ----------
    config : RecommenderConfig
        The one to fit with: all parts are named in it.
    parts : dict
        Part to what was found.
    objective : str
    fused : (float, float) or None
        The objective of the fusion of all parts, learnt and measured on validation, before and after; None where it
        was not looked at.
    queries : int
        Validation queries that the trials were measured on.
    grounds : dict
        Dataset, split and seed.
    study : str or None
        The file of the study.
    interrupted : bool
        Whether the search was stopped from outside: ``config`` is then the best so far, not verified.
    """

    config: RecommenderConfig
    parts: dict[str, PartResult]
    objective: str
    fused: tuple[float, float] | None
    queries: int
    grounds: dict[str, Any]
    study: str | None
    interrupted: bool

    def to_toml(self) -> str:
        """Return the configuration as TOML; its comments say where it comes from."""
        return config_text(self.config, self.lines())

    def lines(self) -> list[str]:
        """Return in words what was done."""
        split = self.grounds["split"]
        lines = [
            "Found by `fuserec tune`; `fuserec fit DIR --config THIS --out MODEL` fits with it.",
            f"Dataset {self.grounds['dataset']}, split {split['protocol']}, seed {self.grounds['seed']}: "
            f"{self.objective} on {self.queries:,} validation queries; nothing saw the test part.",
            f"Study: {self.study or 'not kept'}.",
        ]
        if self.interrupted:
            lines.append("Interrupted: this is the best so far, not verified by a refit.")
        width = max(map(len, self.parts), default=0)
        for name, part in self.parts.items():
            if part.before is None or part.after is None:
                lines.append(f"  {name:{width}}  {part.remark}")
                continue
            figures = f"{part.before:.4f} -> {part.after:.4f}"
            lines.append(f"  {name:{width}}  {figures}  {part.trials} trials, {part.pruned} pruned")
        if self.fused is not None:
            lines.append(f"  the fusion of all: {self.fused[0]:.4f} -> {self.fused[1]:.4f}")
        return lines

    def save(self, path: Path | str) -> None:
        """Write the configuration; an existing file is replaced as a whole."""
        write_config(path, self.config, self.lines())

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            **self.grounds,
            "objective": self.objective,
            "queries": self.queries,
            "study": self.study,
            "interrupted": self.interrupted,
            "fused": None if self.fused is None else {"before": self.fused[0], "after": self.fused[1]},
            "parts": {name: vars(part) for name, part in self.parts.items()},
            "config": self.config.model_dump(mode="json", exclude_defaults=True),
        }
