"""The client: one question at a time or many at once, within a budget, each answered once."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from fuserec.errors import ConfigError, LanguageModelError, MissingExtraError
from fuserec.llm.answers import plain
from fuserec.llm.budget import Budget, BudgetSpentError
from fuserec.llm.cache import AnswerCache
from fuserec.llm.limits import MOST_BYTES, TooLongError, limits

if TYPE_CHECKING:
    from fuserec.llm.config import LLMConfig
    from fuserec.llm.prompts import Prompt
    from fuserec.run import RunOptions

NO_KEY = "none"
"""What is sent where there is no key: local servers want none, the client wants a word."""

IN_A_ROW = 8
"""So many questions without one usable answer are enough to give up."""


class AnswerError(LanguageModelError):
    """One answer cannot be used; others may be."""


@dataclass(frozen=True)
class Usage:
    """What was asked of a language model.

    Parameters
    ----------
    calls, tokens : int
        That reached the server.
    cached : int
        Questions that were answered from disk.
    """

    calls: int
    tokens: int
    cached: int


@dataclass(frozen=True)
class Answered:
    """Answers to many questions.

    Parameters
    ----------
    answers : tuple of str or None
        None where there is none.
    failed : int
        Questions whose answer could not be used.
    stopped : str or None
        What the budget said, where it was spent before the last question.
    """

    answers: tuple[str | None, ...]
    failed: int
    stopped: str | None


class LanguageModel:
    """A generating language model on a server.

    Parameters
    ----------
    config : LLMConfig

    Raises
    ------
    ConfigError
        Where no model is named, or a key would be sent unencrypted to another machine.
    """

    def __init__(self, config: LLMConfig) -> None:
        if config.model is None:
            raise ConfigError(
                "llm: no model is named: set model to what the server calls it, e.g. 'qwen3:4b'"
            )
        self.config = config
        self.budget = Budget(config.max_calls, config.max_total_tokens, config.max_seconds)
        self.cached = 0
        self._cache = AnswerCache(config.cache_folder) if config.cache else None
        self._key = os.environ.get(config.key_variable, "")
        if self._key and not config.encrypted and not config.local:
            raise ConfigError(
                f"llm: base_url {config.base_url} is another machine without encryption, the key in "
                f"{config.key_variable} is not sent there: use https://, or unset the variable"
            )
        self._client: Any = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    @property
    def usage(self) -> Usage:
        """What was asked so far."""
        return Usage(self.budget.calls, self.budget.tokens, self.cached)

    def ask(self, prompt: Prompt) -> str:
        """Return the answer to a question, from disk where it was asked before.

        Raises
        ------
        BudgetSpentError
            Where it does not fit the budget.
        AnswerError
            Where the answer is empty, cut off or not of the protocol.
        LanguageModelError
            Where the server cannot be reached, refuses the key or does not have the model.
        MissingExtraError
            Without the ``openai`` client.
        """
        config = self.config
        key = AnswerCache.key(
            model=config.model,
            task=prompt.task,
            text=prompt.text,
            seed=prompt.seed,
            temperature=config.temperature,
            max_tokens=config.max_tokens,
        )
        kept = None if self._cache is None else self._cache.read(key)
        if kept is not None:
            with self._lock:
                self.cached += 1
            return kept
        promised = config.max_tokens + _at_least(prompt)
        self.budget.take(promised)
        used = 0
        try:
            answer, used = self._asked(prompt)
        except AnswerError:
            used = promised  # it was answered, and may be charged for
            raise
        finally:
            self.budget.settle(promised, used)
        if self._cache is not None:
            self._cache.write(key, answer)
        return answer

    def ask_all(self, prompts: Sequence[Prompt], run: RunOptions, label: str) -> Answered:
        """Return the answers to many questions, ``concurrency`` at once; equal ones are asked once.

        A spent budget ends the asking and keeps what there is; an answer that cannot be used is left out. Where the
        first ones all cannot be used, that is raised.

        Parameters
        ----------
        prompts : sequence of Prompt
        run : RunOptions
            Its deadline and cancel are heeded between questions.
        label : str
            For progress.
        """
        distinct = list(dict.fromkeys(prompts))
        found: dict[Prompt, str] = {}
        failed, stopped = 0, None
        width = self.config.concurrency
        pool = ThreadPoolExecutor(max_workers=width, thread_name_prefix="llm")
        try:
            for lo in range(0, len(distinct), 4 * width):
                run.check()
                futures = {pool.submit(self.ask, p): p for p in distinct[lo : lo + 4 * width]}
                for done, future in enumerate(as_completed(futures), lo + 1):
                    try:
                        found[futures[future]] = future.result()
                    except BudgetSpentError as fault:
                        stopped = str(fault)
                    except AnswerError:
                        failed += 1
                        if failed >= IN_A_ROW and not found:
                            raise
                    run.progress(label, done, len(distinct))
                if stopped:
                    break
        finally:
            pool.shutdown(cancel_futures=True)
        if failed and not found and not stopped:
            raise AnswerError(f"{self._who}: none of {failed} answers can be used: name another model")
        return Answered(tuple(found.get(prompt) for prompt in prompts), failed, stopped)

    @property
    def _who(self) -> str:
        return f"the language model {self.config.model!r} at {self.config.base_url}"

    def _asked(self, prompt: Prompt) -> tuple[str, int]:
        """Return (answer, tokens) from the server; its faults as one line."""
        openai = _openai()
        config = self.config
        try:
            told = self._opened(openai).chat.completions.create(
                model=config.model,
                messages=[
                    {"role": "system", "content": prompt.task},
                    {"role": "user", "content": prompt.text},
                ],
                temperature=config.temperature,
                max_tokens=config.max_tokens,
                seed=prompt.seed,
            )
        except (openai.OpenAIError, TooLongError) as fault:
            if TooLongError in (type(fault), type(fault.__cause__)):
                raise AnswerError(
                    f"{self._who}: the answer is longer than {MOST_BYTES:,} bytes: check base_url"
                ) from None
            raise self._fault(fault, openai) from None
        except (ValueError, RecursionError):  # not JSON, or nested without end
            raise AnswerError(
                f"{self._who}: the answer is not of the chat protocol: check base_url"
            ) from None
        return self._read(told)

    def _read(self, told: Any) -> tuple[str, int]:
        """Return (answer, tokens) of what came, if it is of the protocol and whole."""
        choices = getattr(told, "choices", None)
        first: Any = choices[0] if isinstance(choices, list) and choices else None
        content = getattr(getattr(first, "message", None), "content", None)
        if not isinstance(content, str):
            raise AnswerError(f"{self._who}: the answer is not of the chat protocol: check base_url")
        if getattr(first, "finish_reason", None) == "length":
            raise AnswerError(
                f"{self._who}: the answer was cut off: raise max_tokens ({self.config.max_tokens})"
            )
        answer = plain(content)
        if not answer:
            raise AnswerError(f"{self._who}: the answer is empty: name another model")
        used = getattr(getattr(told, "usage", None), "total_tokens", None)
        return answer, used if isinstance(used, int) and used >= 0 else len(content) // 4

    def _opened(self, openai: Any) -> Any:
        """Return the connection, made once."""
        with self._lock:
            if self._client is None:
                # A proxy of the environment is not asked for what is on this machine.
                http = openai.DefaultHttpxClient(
                    trust_env=not self.config.local, event_hooks=limits(self.config.timeout_s)
                )
                self._client = openai.OpenAI(
                    base_url=self.config.base_url,
                    api_key=self._key or NO_KEY,
                    timeout=self.config.timeout_s,
                    max_retries=self.config.retries,
                    http_client=http,
                )
            return self._client

    def _fault(self, fault: Any, openai: Any) -> LanguageModelError:
        """Return what a fault of the client means; nothing of the server's own words, which may hold the key."""
        config = self.config
        if isinstance(fault, openai.APITimeoutError):
            return LanguageModelError(
                f"{self._who} did not answer within {config.timeout_s:g} s, {config.retries + 1} times: raise "
                "timeout_s, or lower concurrency"
            )
        if isinstance(fault, openai.APIConnectionError):
            return LanguageModelError(f"{self._who} cannot be reached: start the server, or set base_url")
        if isinstance(fault, openai.AuthenticationError | openai.PermissionDeniedError):
            had = "the key in" if self._key else "no key is in"
            return LanguageModelError(
                f"{self._who} refuses the key ({had} {config.key_variable}): set the right one"
            )
        status = getattr(fault, "status_code", None)
        if isinstance(fault, openai.NotFoundError):
            return LanguageModelError(f"{self._who} is not there (status 404): check model and base_url")
        if status is not None:
            return LanguageModelError(f"{self._who}: the server answers with status {status}: see its log")
        return AnswerError(f"{self._who}: the answer is not of the chat protocol: check base_url")


def _at_least(prompt: Prompt) -> int:
    """Return about how many tokens a question has."""
    return (len(prompt.task) + len(prompt.text)) // 4


def _openai() -> Any:
    """Return the client library.

    Raises
    ------
    MissingExtraError
        Where it is not installed.
    """
    try:
        import openai
    except ImportError:
        raise MissingExtraError("asking a language model", "llm") from None
    return openai
