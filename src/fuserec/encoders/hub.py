"""The model hub: what of it is on this machine already, whether it can be reached, and fetching from it."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from fuserec.encoders.base import WeightsError, one_line
from fuserec.errors import MissingExtraError
from fuserec.run import RunOptions

_ENDPOINT = "https://huggingface.co"
_PROBE_S = 3.0
_IGNORED = [
    "onnx/*",
    "openvino/*",
    "coreml/*",
    "*.onnx",
    "*.bin",
    "*.h5",
    "*.ot",
    "*.msgpack",
    "*.ckpt",
    "*.pt",
    "*.gguf",
]
"""Other runtimes' copies of the weights, and pickled ones, which are never read."""


def offline() -> str | None:
    """Return the environment variable that forbids the network, or None where it is allowed."""
    for name in ("FUSEREC_OFFLINE", "HF_HUB_OFFLINE"):
        if os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on"):
            return name
    return None


def fetch(repository: str, revision: str | None, files: Sequence[str], folder: Path, run: RunOptions) -> None:
    """Download files of a repository into a folder.

    Raises
    ------
    WeightsError
        The network is forbidden, the hub cannot be reached, or it lacks a file.
    """
    endpoint = _reachable_endpoint()
    from huggingface_hub import hf_hub_download

    for number, name in enumerate(files):
        run.check()
        run.progress(f"fetching {repository}", number, len(files))
        try:
            hf_hub_download(
                repository,
                name,
                revision=revision,
                local_dir=folder,
                endpoint=endpoint,
                etag_timeout=_PROBE_S,
            )
        except _faults() as fault:
            raise WeightsError(
                f"{name} of {repository} could not be fetched from {endpoint}: {one_line(fault)}"
            ) from fault
    run.progress(f"fetching {repository}", len(files), len(files))


def kept(repository: str, revision: str | None, name: str) -> Path | None:
    """Return a repository's file where the hub's own cache on this machine has it already."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(repository, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


def snapshot(repository: str, revision: str | None) -> Path:
    """Return the folder of a repository, from the hub's own cache or fetched into it.

    Raises
    ------
    MissingExtraError
        huggingface_hub is not installed.
    WeightsError
        It is not on this machine and cannot be fetched.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as absent:
        raise MissingExtraError(f"fetching {repository!r}", "text") from absent
    try:
        return Path(
            snapshot_download(repository, revision=revision, local_files_only=True, ignore_patterns=_IGNORED)
        )
    except _faults():
        try:
            endpoint = _reachable_endpoint()
        except WeightsError as fault:
            raise WeightsError(
                f"the model {repository!r} is not on this machine: {fault}; name a folder that holds it, or "
                "'minilm' after `fuserec models install minilm`, or set HF_ENDPOINT to a hub in reach, or HF_HOME to a "
                "cache with it"
            ) from fault
    try:
        found = snapshot_download(
            repository, revision=revision, endpoint=endpoint, ignore_patterns=_IGNORED, etag_timeout=_PROBE_S
        )
    except _faults() as fault:
        raise WeightsError(
            f"the encoder {repository!r} could not be fetched from {endpoint}: {one_line(fault)}; "
            "allowed is 'minilm', a sentence-transformers folder, or the name of one on the hub"
        ) from fault
    return Path(found)


def _reachable_endpoint() -> str:
    """Return the hub's address once it has answered anything at all within seconds.

    The hub's client tries again and again for half a minute where there is no network; a person waits for
    this.
    """
    forbidden = offline()
    if forbidden:
        raise WeightsError(f"the network is forbidden by {forbidden}")
    endpoint = os.environ.get("HF_ENDPOINT", _ENDPOINT).rstrip("/")
    if not endpoint.startswith(("https://", "http://")):
        raise WeightsError(
            f"HF_ENDPOINT is {endpoint!r}; allowed is an address that starts with https:// or http://"
        )
    probe = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310 - the scheme was checked
    try:
        with urllib.request.urlopen(probe, timeout=_PROBE_S):  # noqa: S310 - the scheme was checked
            return endpoint
    except urllib.error.HTTPError:
        return endpoint
    except (OSError, ValueError) as fault:
        raise WeightsError(f"{endpoint} cannot be reached ({one_line(fault)})") from fault


def _faults() -> tuple[type[BaseException], ...]:
    """Return what the hub's client raises: its own errors and, as their bases, those of its HTTP client.

    (That client changed from release to release; the transfer library below raises plain RuntimeErrors.)
    """
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    return OSError, RuntimeError, EntryNotFoundError, HFValidationError, *HfHubHTTPError.__bases__
