"""Answers on disk, one small file each: the same question to the same model is asked once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from fuserec.encoders.folders import preferred_root

FORMAT = 1


class AnswerCache:
    """Files named by a hash of model, question and parameters; written beside and renamed.

    Processes and threads may share the folder: at worst a question is asked twice. A damaged file counts as absent.

    Parameters
    ----------
    folder : Path, optional
        The user's cache folder without it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or preferred_root() / "answers").expanduser()

    @staticmethod
    def key(**asked: Any) -> str:
        """Return 32 hexadecimal digits that change with anything of a question."""
        text = json.dumps({"format": FORMAT, **asked}, sort_keys=True, ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def read(self, key: str) -> str | None:
        """Return a kept answer, or None."""
        try:
            told = json.loads(self._place(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        answer = told.get("answer") if isinstance(told, dict) and told.get("key") == key else None
        return answer if isinstance(answer, str) and answer else None

    def write(self, key: str, answer: str) -> None:
        """Keep an answer; a folder that cannot be written is told of once."""
        path = self._place(key)
        beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps({"key": key, "answer": answer}), encoding="utf-8")
            beside.replace(path)
        except OSError as fault:
            with contextlib.suppress(OSError):
                beside.unlink()
            _say_once(str(self.folder), fault.strerror or str(fault))

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


@cache
def _say_once(folder: str, why: str) -> None:
    warnings.warn(
        f"answers of the language model cannot be kept in {folder} ({why}): going on without; set cache_folder",
        UserWarning,
        stacklevel=4,
    )
