"""Which language model is asked, and what it may cost; read without the ``openai`` client."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from fuserec.settings import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class LLMConfig(Settings):
    """A server that speaks OpenAI's chat protocol (Ollama, vLLM, llama.cpp, a cloud), and the limits of its use."""

    base_url: str = Field(
        default="http://127.0.0.1:11434/v1",
        description="Address of the server, up to the version. The default is Ollama's on this machine.",
        json_schema_extra={"tune": False},
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="What the server calls the model; it has to be named before anything is asked.",
        json_schema_extra={"tune": False},
    )
    key_variable: str = Field(
        default="FUSEREC_LLM_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the key, where the server wants one. A key never stands in a "
        "file, and is never sent unencrypted to another machine.",
        json_schema_extra={"tune": False},
    )
    temperature: float = Field(
        default=0.7,
        ge=0,
        le=2,
        description="0: always the likeliest word.",
        json_schema_extra={"tune": False},
    )
    max_tokens: int = Field(
        default=512,
        ge=1,
        le=1_000_000,
        description="Tokens of an answer, at most.",
        json_schema_extra={"tune": False},
    )
    timeout_s: float = Field(
        default=60.0,
        gt=0,
        description="Seconds to wait for a whole answer.",
        json_schema_extra={"tune": False},
    )
    retries: int = Field(
        default=3,
        ge=0,
        le=20,
        description="Further tries where the server is busy, fails or does not answer, after pauses that double.",
        json_schema_extra={"tune": False},
    )
    concurrency: int = Field(
        default=4, ge=1, le=256, description="Questions asked at once.", json_schema_extra={"tune": False}
    )
    max_calls: int = Field(
        default=10_000,
        ge=0,
        description="Budget: questions that reach the server, of one piece of work.",
        json_schema_extra={"tune": False},
    )
    max_total_tokens: int = Field(
        default=10_000_000,
        ge=0,
        description="Budget: tokens of questions and answers, as the server counts them.",
        json_schema_extra={"tune": False},
    )
    max_seconds: float = Field(
        default=3600.0,
        ge=0,
        description="Budget: seconds from the first question on.",
        json_schema_extra={"tune": False},
    )
    cache: bool = Field(
        default=True,
        description="Whether answers are kept on disk: the same question is asked once.",
        json_schema_extra={"tune": False},
    )
    cache_folder: Path | None = Field(
        default=None,
        description="Where; left out: the user's cache folder.",
        json_schema_extra={"tune": False},
    )

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("an address begins with http:// or https://, e.g. http://127.0.0.1:11434/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("no name, password or key in the address: the key comes from the environment")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.max_tokens > self.max_total_tokens > 0:
            raise ValueError("max_tokens is above max_total_tokens: no answer would fit the budget")
        return self

    @property
    def local(self) -> bool:
        """Whether the server is on this machine."""
        return urlsplit(self.base_url).hostname in LOOPBACK

    @property
    def encrypted(self) -> bool:
        """Whether what is sent cannot be read on the way."""
        return urlsplit(self.base_url).scheme == "https"
