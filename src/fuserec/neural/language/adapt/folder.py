"""A backbone as a sentence-transformers folder: weights, tokenizer, pooling, and how it was tuned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fuserec.encoders.folders import is_writable, published
from fuserec.encoders.tuned import write_tuning
from fuserec.errors import ConfigError

if TYPE_CHECKING:
    from fuserec.neural.language.backbone import Backbone

POOLING = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "last": "pooling_mode_lasttoken",
}

PLACES = (
    "_name_or_path",
    "name_or_path",
    "base_model_name_or_path",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
)
"""Keys under which other libraries write where a model was loaded from."""


def check_destination(out: Path) -> None:
    """Refuse a folder that exists, or that cannot be made, before any work is done for it."""
    if out.exists() or out.is_symlink():
        raise ConfigError(f"{out} exists: name a new folder for the model")
    if out.parent.exists() and not out.parent.is_dir():
        raise ConfigError(f"{out.parent} is not a folder: name a new folder for the model")
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not is_writable(above):
        raise ConfigError(
            f"{above} cannot be written, so {out} cannot be made: name another place for the model"
        )


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Give a folder to fill that is renamed to ``out`` at the end; what fails leaves nothing behind."""
    check_destination(out)
    with published(out) as staging:
        yield staging


def write_folder(backbone: Backbone, folder: Path, facts: dict[str, Any], prompt: str = "") -> None:
    """Write a merged backbone into an empty folder.

    Parameters
    ----------
    backbone : Backbone
        Without low-rank updates or added layers.
    folder : Path
    facts : dict
        Of ``fuserec-tuning.json``.
    prompt : str
        What stands before every text.
    """
    from safetensors.torch import save_file

    model: Any = backbone.model
    tensors = {name: value.detach().cpu().contiguous() for name, value in _distinct(model)}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    model.config.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    pooling = {key: key == POOLING[backbone.pooling] for key in POOLING.values()}
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    written: dict[str, Any] = {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": backbone.dim, **pooling},
        "sentence_bert_config.json": {"max_seq_length": backbone.max_length, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": {"text": prompt},
            "default_prompt_name": "text" if prompt else None,
            "similarity_fn_name": "cosine",
        },
    }
    for name, content in written.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
    (folder / "2_Normalize").mkdir()
    for path in folder.glob("*.json"):
        if path.name != "tokenizer.json":
            _without_places(path)
    write_tuning(folder, facts)


def _distinct(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield named tensors, each storage once: shared ones (tied words) are found again when it is loaded."""
    met: set[int] = set()
    for name, value in model.state_dict().items():
        if value.data_ptr() in met:
            continue
        met.add(value.data_ptr())
        yield name, value


def _without_places(path: Path) -> None:
    """Take out of a JSON file where on this machine its model came from."""
    told = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(told, dict) and any(key in told for key in PLACES):
        kept = {key: value for key, value in told.items() if key not in PLACES}
        path.write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")


def megabytes(folder: Path) -> float:
    """Return the size of a folder's weights."""
    suffixes = (".safetensors", ".bin")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in suffixes) / 1e6
