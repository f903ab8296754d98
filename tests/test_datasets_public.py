"""MNIST, Fashion-MNIST and CIFAR-10: folders, the cache, and downloads from a local server."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import socket
import struct
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from neurograph import datasets
from neurograph.datasets import sources
from neurograph.datasets.fetch import Resource
from neurograph.errors import DataError, FormatError, StorageError

DATA = os.environ.get("NEUROGRAPH_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="NEUROGRAPH_DATA names no folder of data sets")


def idx(values: np.ndarray) -> bytes:
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return head + values.tobytes()


PICTURES = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)
FILES = {
    "train-images-idx3-ubyte": idx(PICTURES),
    "train-labels-idx1-ubyte": idx(LABELS),
    "t10k-images-idx3-ubyte": idx(PICTURES[:2]),
    "t10k-labels-idx1-ubyte": idx(LABELS[:2]),
}


def resources(files: dict[str, bytes]) -> tuple[Resource, ...]:
    return tuple(Resource(name, hashlib.sha256(raw).hexdigest()) for name, raw in files.items())


class Server:
    """A server whose answers the test sets: path -> (bytes, how)."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[bytes, str]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                if self.path not in outer.answers:
                    self.send_error(404)
                    return
                raw, how = outer.answers[self.path]
                self.send_response(200)
                if how != "no length":
                    self.send_header("Content-Length", str(len(raw) + 1000 * (how == "cut short")))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    yield running
    running.close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("NEUROGRAPH_DATA", raising=False)
    monkeypatch.setenv("NEUROGRAPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """MNIST as five pictures of 2 by 2 pixels, published by the server."""
    known = replace(sources.MNIST, resources=resources(FILES), addresses=(server.address,))
    monkeypatch.setattr(sources, "MNIST", known)
    for name, raw in FILES.items():
        server.answers[f"/{name}.gz"] = (gzip.compress(raw), "")
    return server


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_download_is_kept_and_read_from_there(
    small: Server, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = datasets.mnist()
    assert np.array_equal(data.train.x, PICTURES)
    assert data.train.y.tolist() == [3, 1, 4, 1, 5]
    assert data.train.y.dtype == np.int64
    assert np.array_equal(data.test.x, PICTURES[:2])
    assert kept(cache) == sorted(f"{name}.gz" for name in FILES)
    shown = capsys.readouterr()
    assert "downloading MNIST, train-images-idx3-ubyte.gz from http://127.0.0.1" in shown.err
    assert shown.out == ""
    asked = len(small.asked)
    assert np.array_equal(datasets.mnist(progress=False).train.x, PICTURES)
    assert len(small.asked) == asked == 4


def test_the_hash_is_that_of_the_content_however_it_is_packed(small: Server, cache: Path) -> None:
    for name, raw in FILES.items():
        small.answers[f"/{name}.gz"] = (gzip.compress(raw, 1, mtime=7), "no length")
    assert np.array_equal(datasets.mnist(progress=False).test.x, PICTURES[:2])


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "404"),
        ("cut short", "broke off|could not be reached"),
        ("gzip cut short", "cut short"),
        ("other content", "is not the published train-images-idx3-ubyte"),
        ("damaged", "damaged gzip"),
        ("empty", "is not the published"),
    ],
)
def test_a_bad_download_is_one_sentence_and_leaves_nothing(
    small: Server, cache: Path, how: str, says: str
) -> None:
    file = "/train-images-idx3-ubyte.gz"
    packed, kind = small.answers[file]
    answers = {
        "cut short": (packed[:-10], "cut short"),
        "gzip cut short": (packed[:-10], "no length"),
        "other content": (gzip.compress(b"something else"), ""),
        "damaged": (packed[:12] + b"\xff\xff\xff\xff" + packed[16:], ""),
        "empty": (b"", ""),
    }
    del small.answers[file]
    if how in answers:
        small.answers[file] = answers[how]
    with pytest.raises(DataError, match=says) as caught:
        datasets.mnist(progress=False)
    message = str(caught.value)
    assert message.startswith("MNIST is not here and could not be downloaded (")
    assert "NEUROGRAPH_DATA" in message
    assert "\n" not in message
    assert kept(cache) == []
    small.answers[file] = (packed, kind)
    assert len(datasets.mnist(progress=False).train.x) == 5


def test_an_address_nobody_answers_is_one_sentence(
    small: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(sources, "MNIST", replace(sources.MNIST, addresses=(nobody,)))
    with pytest.raises(DataError, match="could not be reached") as caught:
        datasets.mnist(progress=False)
    assert str(caught.value).count(nobody) == 1
    assert kept(cache) == []


def test_the_second_address_serves_when_the_first_does_not(
    small: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = (f"{small.address}/gone", small.address)
    monkeypatch.setattr(sources, "MNIST", replace(sources.MNIST, addresses=both))
    assert len(datasets.mnist(progress=False).train.x) == 5


def test_a_damaged_file_of_the_cache_is_fetched_again(small: Server, cache: Path) -> None:
    datasets.mnist(progress=False)
    file = cache / "mnist" / "train-labels-idx1-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-4])
    assert datasets.mnist(progress=False).train.y.tolist() == [3, 1, 4, 1, 5]
    assert small.asked.count("/train-labels-idx1-ubyte.gz") == 2


def test_a_disk_that_fails_while_keeping_leaves_no_half_file(
    small: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full; no file was made"):
        datasets.mnist(progress=False)
    assert kept(cache) == []


def test_a_cache_that_cannot_be_written_is_named(
    small: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NEUROGRAPH_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"cannot be written \(.*NEUROGRAPH_CACHE"):
        datasets.mnist(progress=False)


@pytest.mark.parametrize("place", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_given_folder_is_read_in_every_usual_layout(
    small: Server, cache: Path, tmp_path: Path, place: str, packed: bool
) -> None:
    home = tmp_path / "mine" / place
    home.mkdir(parents=True)
    for name, raw in FILES.items():
        if packed:
            (home / f"{name}.gz").write_bytes(gzip.compress(raw))
        else:
            (home / name).write_bytes(raw)
    data = datasets.load("mnist", tmp_path / "mine")
    assert np.array_equal(data.train.x, PICTURES)
    assert small.asked == []
    assert kept(cache) == []


def test_a_given_folder_is_never_left_for_a_download(
    small: Server, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="which is no folder"):
        datasets.mnist(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="MNIST: the folder must be a path, got 5"):
        datasets.mnist(5)
    with pytest.raises(DataError, match="does not hold train-images-idx3-ubyte"):
        datasets.mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(FILES["train-images-idx3-ubyte"] + b"!")
    with pytest.raises(FormatError, match="is not the published train-images"):
        datasets.mnist(tmp_path)
    assert (tmp_path / "train-images-idx3-ubyte").exists()
    assert small.asked == []


def test_the_folder_of_the_environment_comes_before_the_cache(
    small: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "all" / "mnist").mkdir(parents=True)
    for name, raw in FILES.items():
        (tmp_path / "all" / "mnist" / name).write_bytes(raw)
    monkeypatch.setenv("NEUROGRAPH_DATA", str(tmp_path / "all"))
    assert len(datasets.mnist().train.x) == 5
    assert small.asked == []
    (tmp_path / "all" / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
    with pytest.raises(FormatError, match="t10k-labels-idx1-ubyte"):
        datasets.mnist()


def cifar_batch(seed: int, count: int = 3) -> tuple[dict[str, object], bytes]:
    generator = np.random.default_rng(seed)
    batch: dict[str, object] = {
        "data": generator.integers(0, 256, (count, 3072), dtype=np.uint8),
        "labels": [int(label) for label in generator.integers(0, 10, count)],
        "filenames": [f"picture_{number}.png" for number in range(count)],
    }
    return batch, pickle.dumps(batch, protocol=2)


@pytest.fixture
def small_cifar(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, object]]:
    names = [resource.name for resource in sources.CIFAR10.resources]
    batches = {name: cifar_batch(seed) for seed, name in enumerate(names)}
    raws = {name: raw for name, (_, raw) in batches.items()}
    known = replace(
        sources.CIFAR10,
        resources=resources(raws),
        addresses=(f"{server.address}/cifar-10-python.tar.gz",),
    )
    monkeypatch.setattr(sources, "CIFAR10", known)
    server.answers["/cifar-10-python.tar.gz"] = (archive(raws), "")
    return {name: batch for name, (batch, _) in batches.items()}


def archive(raws: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, raw in {**raws, "readme.html": b"<html>"}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return file.getvalue()


def check_cifar(data: datasets.Dataset, batches: dict[str, dict[str, object]]) -> None:
    *train, test = batches.values()
    rows = np.concatenate([np.asarray(batch["data"]) for batch in train])
    assert np.array_equal(data.train.x.transpose(0, 3, 1, 2).reshape(-1, 3072), rows)
    assert data.train.y.tolist() == [label for batch in train for label in batch["labels"]]  # type: ignore[attr-defined]
    assert data.test.y.tolist() == test["labels"]


def test_cifar_is_downloaded_checked_and_kept_as_batches(
    server: Server, cache: Path, small_cifar: dict[str, dict[str, object]]
) -> None:
    check_cifar(datasets.cifar10(progress=False), small_cifar)
    assert kept(cache) == sorted(small_cifar)
    check_cifar(datasets.cifar10(progress=False), small_cifar)
    assert len(server.asked) == 1
    (cache / "cifar-10-batches-py" / "data_batch_2").write_bytes(b"half")
    check_cifar(datasets.cifar10(progress=False), small_cifar)
    assert len(server.asked) == 2


def test_cifar_from_a_folder_of_batches_or_an_archive(
    server: Server, cache: Path, tmp_path: Path, small_cifar: dict[str, dict[str, object]]
) -> None:
    packed = server.answers["/cifar-10-python.tar.gz"][0]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "cifar-10-python.tar.gz").write_bytes(packed)
    check_cifar(datasets.cifar10(tmp_path / "a"), small_cifar)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(tmp_path / "b", filter="data")
    check_cifar(datasets.cifar10(tmp_path / "b"), small_cifar)
    check_cifar(datasets.cifar10(tmp_path / "b" / "cifar-10-batches-py"), small_cifar)
    (tmp_path / "b" / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(DataError, match="neither CIFAR-10's six batches nor"):
        datasets.cifar10(tmp_path / "b")
    assert server.asked == []


def test_a_bad_archive_is_one_sentence_and_leaves_nothing(
    server: Server, cache: Path, tmp_path: Path, small_cifar: dict[str, dict[str, object]]
) -> None:
    address = "/cifar-10-python.tar.gz"
    packed = server.answers[address][0]
    raws = {name: cifar_batch(seed)[1] for seed, name in enumerate(small_cifar)}
    bad = {
        "damaged or unfinished": packed[: len(packed) // 2],
        "does not hold test_batch": archive({k: v for k, v in raws.items() if k != "test_batch"}),
        "not the published data_batch_3": archive(raws | {"data_batch_3": raws["test_batch"]}),
    }
    for says, raw in bad.items():
        server.answers[address] = (raw, "")
        with pytest.raises(DataError, match=says):
            datasets.cifar10(progress=False)
        assert [name for name in kept(cache) if ".part" in name] == []
        (tmp_path / "x").mkdir(exist_ok=True)
        (tmp_path / "x" / "cifar-10-python.tar.gz").write_bytes(raw)
        with pytest.raises(FormatError, match=says):
            datasets.cifar10(tmp_path / "x")


def test_the_subset_of_cifar_is_cut_from_the_batches_or_read_from_its_file(
    cache: Path,
    tmp_path: Path,
    small_cifar: dict[str, dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = datasets.cifar10(progress=False)
    first = np.arange(15) % 3 < 2
    x, y = whole.train.x[first], whole.train.y[first]
    a, b = whole.test.x[:2], whole.test.y[:2]
    raws = [x, y.astype(np.uint8), a, b.astype(np.uint8)]
    mark = hashlib.sha256(b"".join(array.tobytes() for array in raws)).hexdigest()
    monkeypatch.setattr(sources, "SUBSET_COUNT", 2)
    monkeypatch.setattr(sources, "SUBSET_SHA256", mark)
    cut = datasets.cifar10(subset=True, progress=False)
    assert np.array_equal(cut.train.x, x)
    assert np.array_equal(cut.test.y, b)
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "cifar10_subset.npz", **dict(zip(names, raws, strict=True)))
    read = datasets.cifar10(tmp_path, subset=True)
    assert np.array_equal(read.train.x, x)
    assert np.array_equal(read.train.y, y)
    np.savez(tmp_path / "cifar10_subset.npz", **dict(zip(names, [x + 1, *raws[1:]], strict=True)))
    with pytest.raises(FormatError, match="not the known one"):
        datasets.cifar10(tmp_path, subset=True)
    (tmp_path / "cifar10_subset.npz").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(FormatError, match="is not the subset of CIFAR-10"):
        datasets.cifar10(tmp_path, subset=True)


@needs_data
def test_the_real_sets() -> None:
    digits, clothes = datasets.mnist(), datasets.fashion_mnist()
    for data in (digits, clothes):
        assert data.train.x.shape == (60000, 28, 28)
        assert data.test.x.shape == (10000, 28, 28)
        assert np.bincount(data.test.y).tolist() == (
            [1000] * 10
            if data is clothes
            else [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        )
    assert digits.train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert clothes.class_names[clothes.train.y[0]] == "Ankle boot"


@needs_data
def test_the_real_subset_of_cifar() -> None:
    data = datasets.cifar10(subset=True)
    assert [part.x.shape for part in data] == [(5085, 32, 32, 3), (1017, 32, 32, 3)]
    assert data.train.x[0, 0, 0].tolist() == [59, 62, 63]
    assert [data.class_names[label] for label in data.train.y[:3]] == ["frog", "truck", "truck"]
