"""MNIST, Fashion-MNIST and CIFAR-10: from a folder, the cache, or their public addresses."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neurograph.datasets import sources
from neurograph.datasets.cifar import parse_cifar
from neurograph.datasets.dataset import Dataset, Part
from neurograph.datasets.fetch import (
    LIMIT,
    Resource,
    Source,
    cache_folder,
    content,
    download,
    find,
    from_addresses,
    local_folders,
    temporary,
    verified,
)
from neurograph.datasets.idx import parse_idx
from neurograph.errors import DataError, FormatError
from neurograph.storage.atomic import atomic_write

_ARCHIVE = "cifar-10-python.tar.gz"

_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_THINGS = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


def mnist(folder: str | os.PathLike[str] | None = None, *, progress: bool = True) -> Dataset:
    """Return MNIST: 70,000 handwritten digits of 28 by 28 pixels.

    Y. LeCun, C. Cortes, C. Burges. The four files are taken from ``folder`` where one is given,
    else from ``mnist/`` in the folder that ``NEUROGRAPH_DATA`` names, else from the cache, else
    they are downloaded (11 MB) into the cache. The sha256 of their content is checked every time.

    Parameters
    ----------
    folder : path, optional
        Holds the IDX files, gzipped or not, itself or in a folder such as ``mnist/``.
    progress : bool
        Show a bar while downloading.

    Returns
    -------
    Dataset
        ``x`` (60,000 and 10,000, 28, 28) uint8, ``y`` int64

    Raises
    ------
    DataError
        When the files are nowhere and cannot be downloaded.
    FormatError
        When a file is not the published one.
    """
    licence = "CC BY-SA 3.0 (Y. LeCun, C. Cortes)"
    about = "70,000 handwritten digits, 28x28 pixels"
    classes = tuple("0123456789")
    return _idx_dataset("mnist", sources.MNIST, folder, progress, about, licence, classes)


def fashion_mnist(
    folder: str | os.PathLike[str] | None = None, *, progress: bool = True
) -> Dataset:
    """Return Fashion-MNIST: 70,000 articles of clothing of 28 by 28 pixels.

    H. Xiao, K. Rasul, R. Vollgraf (2017). Parameters, result and errors as of ``mnist``; the
    folder is called ``fashion-mnist/``, the download has 31 MB.
    """
    about = "70,000 pictures of clothing, 28x28 pixels"
    licence = "MIT (Zalando SE, 2017)"
    return _idx_dataset(
        "fashion_mnist", sources.FASHION, folder, progress, about, licence, _CLOTHES
    )


def cifar10(
    folder: str | os.PathLike[str] | None = None, *, subset: bool = False, progress: bool = True
) -> Dataset:
    """Return CIFAR-10: 60,000 colour photographs of 32 by 32 pixels in ten classes.

    A. Krizhevsky (2009). The python form's batches, or the archive ``cifar-10-python.tar.gz``, are
    looked for as of ``mnist``, in ``cifar-10-batches-py/``; the download has 163 MB.

    Parameters
    ----------
    folder : path, optional
    subset : bool
        Only the first 1,017 pictures of each batch: 5,085 to train and 1,017 to test. They are
        also read from a file ``cifar10_subset.npz``, so that the whole set is not needed.
    progress : bool

    Returns
    -------
    Dataset
        ``x`` (50,000 and 10,000, 32, 32, 3) uint8, ``y`` int64
    """
    count = sources.SUBSET_COUNT if subset else None
    parts = (_kept_subset(folder) if subset else None) or _cifar_parts(folder, progress, count)
    if subset:
        mark = hashlib.sha256(b"".join(_as_bytes(part) for part in parts)).hexdigest()
        if mark != sources.SUBSET_SHA256:
            raise FormatError("the subset of CIFAR-10 that was found is not the known one")
    total = len(parts[0].x) + len(parts[1].x)
    about = f"{total:,} colour photographs of ten kinds of things, 32x32 pixels"
    licence = "free to use, cite A. Krizhevsky (2009)"
    return Dataset("cifar10", *parts, "pictures", about, licence, class_names=_THINGS, top=255.0)


def _idx_dataset(
    name: str,
    source: Source,
    folder: str | os.PathLike[str] | None,
    progress: bool,
    about: str,
    licence: str,
    classes: tuple[str, ...],
) -> Dataset:
    arrays = []
    for resource in source.resources:
        raw = content(source, resource, folder)
        if raw is None:
            if folder is not None:
                raise DataError(f"{str(folder)!r} does not hold {resource.name}, gzipped or not")
            raw = _download_idx(source, resource, progress)
        arrays.append(parse_idx(raw, resource.name))
    train, test = (Part(arrays[i], arrays[i + 1].astype(np.int64)) for i in (0, 2))
    return Dataset(name, train, test, "pictures", about, licence, class_names=classes, top=255.0)


def _download_idx(source: Source, resource: Resource, progress: bool) -> bytes:
    home = cache_folder() / source.folders[0]
    file = f"{resource.name}.gz"

    def attempt(address: str) -> bytes:
        with temporary(home) as part:
            download(f"{address}/{file}", part, f"{source.title}, {file}", progress)
            raw = part.read_bytes()
            unpacked = verified(raw, resource, f"{address}/{file}")
            with atomic_write(home / file) as kept:
                kept.write(raw)
        return unpacked

    return from_addresses(source, f"{file} and its like", attempt)


def _cifar_parts(
    folder: str | os.PathLike[str] | None, progress: bool, count: int | None
) -> tuple[Part, Part]:
    """Return the training and the test part, of each batch the first ``count`` pictures."""
    source = sources.CIFAR10
    batches = _loose_batches(folder, count)
    if len(batches) < len(source.resources):
        archive = next(filter(Path.is_file, _archives(folder)), None)
        if archive is not None:
            batches = [_cut(raw, r, count) for r, raw in _members(archive, repr(str(archive)))]
        elif folder is not None:
            raise DataError(f"{str(folder)!r} holds neither CIFAR-10's six batches nor {_ARCHIVE}")
        else:
            _download_cifar(progress)
            batches = _loose_batches(None, count)
    x, y = (np.concatenate([batch[i] for batch in batches[:-1]]) for i in (0, 1))
    return Part(x, y), batches[-1]


def _loose_batches(folder: str | os.PathLike[str] | None, count: int | None) -> list[Part]:
    raws = ((r, content(sources.CIFAR10, r, folder)) for r in sources.CIFAR10.resources)
    return [_cut(raw, resource, count) for resource, raw in raws if raw is not None]


def _cut(raw: bytes, resource: Resource, count: int | None) -> Part:
    batch = parse_cifar(raw, resource.name)
    return Part(batch.x[:count].copy(), batch.y[:count].copy()) if count else batch


def _archives(folder: str | os.PathLike[str] | None) -> Iterator[Path]:
    """Yield the places where the archive of all batches may lie."""
    for each in local_folders(sources.CIFAR10, folder):
        yield each / _ARCHIVE
        yield each.parent / _ARCHIVE


def _members(archive: Path, where: str) -> Iterator[tuple[Resource, bytes]]:
    """Yield each batch in the archive, checked; nothing is unpacked to the disk."""
    wanted = {resource.name: resource for resource in sources.CIFAR10.resources}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:*") as members:
            for member in members:
                name = member.name.rsplit("/", 1)[-1]
                file = members.extractfile(member) if name in wanted else None
                if file is not None and member.size <= LIMIT:
                    found[name] = verified(file.read(), wanted[name], f"{name} in {where}")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise FormatError(f"{where} is a damaged or unfinished archive: {error}") from error
    for name, resource in wanted.items():
        if name not in found:
            raise FormatError(f"{where} does not hold {name}")
        yield resource, found[name]


def _download_cifar(progress: bool) -> None:
    home = cache_folder() / sources.CIFAR10.folders[0]

    def attempt(address: str) -> None:
        with temporary(home) as part:
            download(address, part, "CIFAR-10", progress)
            for resource, raw in _members(part, address):
                with atomic_write(home / resource.name) as kept:
                    kept.write(raw)

    from_addresses(sources.CIFAR10, "its six batches or " + _ARCHIVE, attempt)


def _kept_subset(folder: str | os.PathLike[str] | None) -> tuple[Part, Part] | None:
    """Return the subset where it is kept as one file."""
    path = find(list(local_folders(sources.CIFAR10_SUBSET, folder)), sources.SUBSET_FILE)
    if path is None:
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            values = [arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FormatError(f"{str(path)!r} is not the subset of CIFAR-10: {error}") from error
    labels = [y.astype(np.int64) for y in values[1::2]]
    return Part(values[0], labels[0]), Part(values[2], labels[1])


def _as_bytes(part: Part) -> bytes:
    return part.x.tobytes() + part.y.astype(np.uint8).tobytes()
