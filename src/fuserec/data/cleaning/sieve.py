"""Which rows stay: each check takes some out and says why."""

from __future__ import annotations

import numpy as np
import polars as pl

from fuserec.data.check import Findings


class Sieve:
    """Keeps a mask over the rows of a table and counts what each check takes out.

    Parameters
    ----------
    raw : polars.DataFrame
        The rows as they came, for the examples.
    where : str
        Names the table.
    findings : Findings
    """

    def __init__(self, raw: pl.DataFrame, where: str, findings: Findings) -> None:
        self.keep = np.ones(raw.height, dtype=bool)
        self._raw = raw
        self._where = where
        self._findings = findings

    def drop(self, bad: np.ndarray, reason: str, example: str = "") -> None:
        """Take out the rows of a mask that are still in."""
        bad = bad & self.keep
        if bad.any():
            self._findings.add("dropped", reason, int(bad.sum()), self._where, example or self.example(bad))
            self.keep &= ~bad

    def mend(self, changed: np.ndarray, reason: str) -> None:
        """Count rows that were changed and stay."""
        self._tell("mended", changed, reason)

    def note(self, strange: np.ndarray, reason: str) -> None:
        """Count rows that are remarkable and stay as they are."""
        self._tell("noted", strange, reason)

    def _tell(self, level: str, rows: np.ndarray, reason: str) -> None:
        """Count rows that are still in."""
        rows = rows & self.keep
        if rows.any():
            count = int(rows.sum())
            if level == "mended":
                self._findings.add("mended", reason, count, self._where, self.example(rows))
            else:
                self._findings.add("noted", reason, count, self._where, self.example(rows))

    def example(self, rows: np.ndarray) -> str:
        """Return the first row of a mask in words."""
        at = int(np.argmax(rows))
        cells = self._raw.row(at, named=True)
        return f"row {at + 1}: " + ", ".join(f"{name} {str(cell)[:40]}" for name, cell in cells.items())
