"""What an encoder's folder says of its tuning, and whether an evaluation with it is honest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuserec.errors import ModelFormatError

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import FeatureConfig

TUNING = "fuserec-tuning.json"
"""Lies beside the weights; a folder without it was not tuned by FuseRec."""

FORMAT = 1


@dataclass(frozen=True)
class Seen:
    """The interactions that an encoder learnt from.

    Parameters
    ----------
    name : str
        Of the dataset.
    dataset : str
        Fingerprint of the whole of it.
    train : str
        Fingerprint of what was seen of it.
    split : dict
        Protocol, its settings and seed; protocol ``none`` saw everything.
    """

    name: str
    dataset: str
    train: str
    split: dict[str, Any]


def read_tuning(model: str | Path) -> dict[str, Any] | None:
    """Return what stands in a folder's ``fuserec-tuning.json``; None for what is no tuned folder.

    Raises
    ------
    ModelFormatError
        Where the file is damaged, or of a later release.
    """
    path = Path(model).expanduser() / TUNING
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as fault:
        raise ModelFormatError(f"{path} cannot be read ({fault}): tune the model again") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT or not _lists(told):
        raise ModelFormatError(f"{path} is not of a format that this release reads: tune the model again")
    return told


def _lists(told: dict[str, Any]) -> bool:
    """Return whether what was seen and how it was made small stand there as they are written."""
    seen, steps = told.get("seen", []), told.get("compression", [])
    if not all(
        isinstance(part, list) and all(isinstance(each, dict) for each in part) for part in (seen, steps)
    ):
        return False
    return all(
        set(each) == set(Seen.__dataclass_fields__) and isinstance(each["split"], dict) for each in seen
    )


def write_tuning(folder: Path, facts: dict[str, Any]) -> None:
    """Write a folder's ``fuserec-tuning.json``."""
    text = json.dumps({"format": FORMAT, **facts}, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / TUNING).write_text(text + "\n", encoding="utf-8")


def seen_by(model: str | Path) -> list[Seen]:
    """Return the interactions that a model learnt from, its teachers and its base included; none for others."""
    told = read_tuning(model)
    return [] if told is None else [Seen(**each) for each in told.get("seen", [])]


def leak(config: FeatureConfig, whole: Dataset, train: Dataset) -> str | None:
    """Return a warning where an encoder was tuned on rows that an evaluation holds out, or may have been.

    Parameters
    ----------
    config : FeatureConfig
    whole : Dataset
        All of the data.
    train : Dataset
        What models of this evaluation may learn from.
    """
    return None if config.use_sentence == "never" else leak_of(config.sentence.model, whole, train)


def leak_of(model: str, whole: Dataset, train: Dataset) -> str | None:
    """Return the same warning of a language model that a part begins from; see :func:`leak`."""
    for seen in seen_by(model):
        if seen.train == train.fingerprint:
            continue
        if seen.dataset == whole.fingerprint:
            how = "all rows" if seen.split.get("protocol") == "none" else f"the split {_told(seen.split)}"
            return (
                f"the encoder {Path(model).name} was tuned on {how} of these data, so it has seen rows "
                "that are held out here: its figures are too good; tune it with the same --split and --seed"
            )
        if seen.name == whole.info.name:
            return (
                f"the encoder {Path(model).name} was tuned on another state of {seen.name}: it may "
                "have seen rows that are held out here; tune it again with the same --split and --seed"
            )
    return None


def _told(split: dict[str, Any]) -> str:
    """Return a split in words."""
    protocol, seed = split.get("protocol", "unknown"), split.get("seed", 0)
    share = "" if protocol in ("last-out", "predefined") else f", share {split.get('share')}"
    return f"{protocol}{share}, seed {seed}"
