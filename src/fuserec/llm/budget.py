"""What a piece of work may spend on a language model: questions, tokens, seconds."""

from __future__ import annotations

import threading
import time

from fuserec.errors import LanguageModelError


class BudgetSpentError(LanguageModelError):
    """Nothing more may be asked; what was answered so far stands."""


class Budget:
    """Counts, from many threads at once.

    Parameters
    ----------
    max_calls, max_tokens : int
    max_seconds : float
        From the first question on.
    """

    def __init__(self, max_calls: int, max_tokens: int, max_seconds: float) -> None:
        self.max_calls, self.max_tokens, self.max_seconds = max_calls, max_tokens, max_seconds
        self.calls = 0
        self.tokens = 0
        self._promised = 0
        self._began: float | None = None
        self._lock = threading.Lock()

    def take(self, tokens: int) -> None:
        """Take one question whose answer has at most so many tokens.

        Raises
        ------
        BudgetSpentError
            Where it does not fit what is left.
        """
        with self._lock:
            now = time.monotonic()
            self._began = now if self._began is None else self._began
            if self.calls >= self.max_calls:
                raise BudgetSpentError(_spent("max_calls", self.max_calls))
            if self.tokens + self._promised + tokens > self.max_tokens:
                raise BudgetSpentError(_spent("max_total_tokens", self.max_tokens))
            if now - self._began >= self.max_seconds:
                raise BudgetSpentError(_spent("max_seconds", self.max_seconds))
            self.calls += 1
            self._promised += tokens

    def settle(self, promised: int, tokens: int) -> None:
        """Put what was really used in the place of what was promised."""
        with self._lock:
            self._promised -= promised
            self.tokens += tokens


def _spent(name: str, limit: float) -> str:
    """Return what is said where a limit is reached."""
    return (
        f"the budget of the language model is spent ({name} = {limit:,.10g}): raise it, or ask less; answers are kept, "
        "so the same work goes on from here"
    )
