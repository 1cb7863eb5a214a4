"""Vectors on disk: only what is new is encoded, and no damage reaches a caller."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuserec.encoders import cache
from fuserec.encoders.cache import CacheConfig, CachedEncoder, CacheReport, VectorCache, text_keys
from fuserec.run import CancelledError, RunOptions

DIM = 8
RUN = RunOptions(threads=1)


class HashEncoder:
    """A whole encoder whose vectors are the hash of the text: right values are known without a model."""

    name = "hash"
    dim = DIM

    def __init__(self, fingerprint: str = "hash:1") -> None:
        self.fingerprint = fingerprint
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str], run: RunOptions) -> np.ndarray:
        run.check()
        self.encoded.extend(texts)
        run.progress("hashing", len(texts), len(texts))
        return expected(texts, self.fingerprint)

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {"fingerprint": self.fingerprint}


def expected(texts: Sequence[str], fingerprint: str = "hash:1") -> np.ndarray:
    rows = [hashlib.blake2b((fingerprint + text).encode(), digest_size=4 * DIM).digest() for text in texts]
    return np.frombuffer(b"".join(rows), dtype="<u4").reshape(-1, DIM).astype(np.float32)


@pytest.fixture
def config(tmp_path: Path) -> CacheConfig:
    return CacheConfig(folder=tmp_path / "vectors")


def shards(config: CacheConfig) -> list[Path]:
    return sorted(Path(str(config.folder)).glob("*/*.vectors"))


def encode(texts: Sequence[str], config: CacheConfig, **options: str) -> tuple[list[str], CacheReport]:
    """Encode anew with a fresh encoder, check every value, and return what was encoded."""
    inner = HashEncoder(**options)
    cached = CachedEncoder(inner, config)
    np.testing.assert_array_equal(cached.encode(texts, RUN), expected(texts, inner.fingerprint))
    return inner.encoded, cached.last


def test_a_second_run_encodes_only_what_is_new(config: CacheConfig) -> None:
    assert encode(["a", "b", "a", ""], config) == (["a", "b", ""], CacheReport(0, 3))
    assert encode(["b", "", "a", "a"], config) == ([], CacheReport(3, 0))
    assert encode(["c", "b"], config) == (["c"], CacheReport(1, 1))
    assert encode([], config) == ([], CacheReport(0, 0))


def test_other_encoders_are_kept_apart(config: CacheConfig) -> None:
    encode(["a"], config)
    assert encode(["a"], config, fingerprint="hash:2")[0] == ["a"]


def test_disabled_leaves_nothing_behind(config: CacheConfig) -> None:
    off = config.model_copy(update={"enabled": False})
    assert encode(["a", "a"], off)[0] == ["a"]
    assert encode(["a"], off)[0] == ["a"]
    assert not shards(config)


@pytest.mark.parametrize("place", ["magic", "count", "keys", "checks", "vectors", "cut", "longer", "empty"])
def test_damage_is_noticed_removed_and_made_good(place: str, config: CacheConfig) -> None:
    texts = [f"text {i}" for i in range(50)]
    encode(texts, config)
    (shard,) = shards(config)
    content = bytearray(shard.read_bytes())
    at = {"magic": 0, "count": 8, "keys": 40, "checks": 32 + 16 * 50 + 5, "vectors": len(content) - 6}
    if place in at:
        content[at[place]] ^= 0x10
    shard.write_bytes({"cut": content[:-3], "longer": content + b"x", "empty": b""}.get(place, content))
    with pytest.warns(UserWarning, match="is damaged"):
        encode(texts, config)
    assert shard not in shards(config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert encode(texts, config)[0] == []


def test_every_single_bit_of_a_vector_is_guarded(config: CacheConfig) -> None:
    store = VectorCache(config)
    keys, vectors = text_keys(["a"]), expected(["a"])
    store.write("f", keys, vectors)
    (shard,) = shards(config)
    whole = shard.read_bytes()
    for bit in range(8 * 4 * DIM):
        changed = bytearray(whole)
        changed[len(whole) - 4 * DIM + bit // 8] ^= 1 << bit % 8
        shard.write_bytes(changed)
        with pytest.warns(UserWarning, match="damaged"):
            _, found = store.read("f", keys, DIM)
        assert not found.any()


def test_many_small_runs_are_merged(config: CacheConfig) -> None:
    for i in range(60):
        encode([f"text {i}"], config)
    assert len(shards(config)) <= 25
    assert encode([f"text {i}" for i in range(60)], config)[0] == []


def test_size_is_bounded_and_the_latest_stay(tmp_path: Path) -> None:
    config = CacheConfig(folder=tmp_path, max_mb=1)
    store = VectorCache(config)
    rows = np.ones((2000, 64), np.float32)  # about half a megabyte
    names = ["old", "used", "new"]
    for age, name in zip((300, 200, 100), names, strict=True):
        store.write(name, text_keys([f"{name}{i}" for i in range(2000)]), rows)
        for shard in store._shards(name):
            os.utime(shard, (shard.stat().st_mtime - age,) * 2)
        if name == "used":
            store.read("old", text_keys(["old1"]), 64)  # reading it makes it the latest used
    kept = [name for name in names if store.read(name, text_keys([f"{name}1"]), 64)[1].all()]
    assert sum(path.stat().st_size for path in shards(config)) <= 2**20
    assert "new" in kept
    assert "used" not in kept


def test_a_folder_that_cannot_be_written_means_no_cache_and_one_warning(tmp_path: Path) -> None:
    cache._say_once.cache_clear()
    (tmp_path / "file").write_text("")
    config = CacheConfig(folder=tmp_path / "file" / "vectors")
    with pytest.warns(UserWarning, match="cannot be written") as said:
        encoded = [encode(["a"], config)[0] for _ in range(2)]
    assert encoded == [["a"], ["a"]]
    assert len(said) == 1


def in_processes(job: str, config: CacheConfig, seeds: range) -> None:
    """Run a job of this file in one process a seed, all at once; each says whether it went well by its status."""
    commands = [[sys.executable, __file__, job, str(config.folder), str(seed)] for seed in seeds]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said


def test_a_full_disk_is_survived(config: CacheConfig) -> None:
    """A real limit on the size of files, which Linux reports as it does a full disk."""
    in_processes("small files", config, range(1))
    assert not [path for path in Path(str(config.folder)).rglob("*") if path.is_file()]


def _encode_with_small_files(config: CacheConfig) -> None:
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert encode([str(i) for i in range(1000)], config)[1].misses == 1000


def test_what_was_encoded_before_a_cancellation_is_kept(config: CacheConfig) -> None:
    texts = [f"text {i}" for i in range(40_000)]
    seen: list[tuple[int, int]] = []
    run = replace(
        RUN, progress=lambda _, done, total: seen.append((done, total)), cancel=lambda: len(seen) >= 2
    )
    with pytest.raises(CancelledError):
        CachedEncoder(HashEncoder(), config).encode(texts, run)
    assert seen == [(16_384, 40_000), (32_768, 40_000)]
    encoded, report = encode(texts, config)
    assert report == CacheReport(32_768, 40_000 - 32_768)
    assert len(encoded) == 40_000 - 32_768


def _encode_some(config: CacheConfig, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(25):
            encode([f"text {i}" for i in rng.integers(0, 300, 40)], config)


def test_processes_may_share_a_cache(config: CacheConfig) -> None:
    in_processes("share", config, range(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(encode([f"text {i}" for i in range(300)], config)[0]) < 5


def test_wrapped_encoder_is_described_as_itself(config: CacheConfig) -> None:
    inner = HashEncoder()
    cached = CachedEncoder(inner, config)
    assert (cached.name, cached.dim, cached.fingerprint, cached.state()) == (
        "hash",
        DIM,
        "hash:1",
        inner.state(),
    )


def test_lone_surrogates_have_keys() -> None:
    assert len(np.unique(text_keys(["\ud800", "\ud801", "?"]), axis=0)) == 3


@pytest.mark.encoder
@pytest.mark.usefixtures("use_minilm")
def test_minilm_through_the_cache(config: CacheConfig, run: RunOptions) -> None:
    from fuserec.encoders.sentence import SentenceEncoder

    texts = ["red nail polish", "a film about a shark", "", "red nail polish"]
    first = CachedEncoder(SentenceEncoder(), config).encode(texts, run)
    again = CachedEncoder(SentenceEncoder(), config)
    np.testing.assert_array_equal(again.encode(texts, run), first)
    assert again.last == CacheReport(3, 0)
    rebuilt = CachedEncoder.from_state(*again.state())
    assert rebuilt.fingerprint == again.fingerprint


if __name__ == "__main__":
    given = CacheConfig(folder=Path(sys.argv[2]))
    _encode_with_small_files(given) if sys.argv[1] == "small files" else _encode_some(given, int(sys.argv[3]))
