"""CIFAR-10 and CIFAR-100 batches, in their python and their binary form."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from neurograph.datasets.checks import Array, contents
from neurograph.datasets.dataset import Part
from neurograph.datasets.plain_pickle import read_pickle
from neurograph.errors import FormatError

PIXELS = 3 * 32 * 32


def read_cifar(path: str | os.PathLike[str]) -> Part:
    """Read one batch of CIFAR-10 or CIFAR-100, whichever form it has.

    The python form is a pickle; it is read by ``read_pickle``, which runs nothing. The binary form
    is one row a picture: its label (CIFAR-100: coarse and fine label), then 3,072 bytes, red before
    green before blue (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009).

    Parameters
    ----------
    path : a file such as ``data_batch_1``, ``test_batch.bin`` or CIFAR-100's ``train``

    Returns
    -------
    Part
        ``x`` (pictures, 32, 32, 3) uint8; ``y`` (pictures,) int64, CIFAR-100's fine labels.

    Raises
    ------
    FormatError
        When the file has neither form, is cut short, or is a pickle that asks for more than data.
    """
    raw, name = contents("read_cifar()", path)
    return parse_cifar(raw, name)


def parse_cifar(raw: bytes, source: str = "the batch") -> Part:
    """Read the bytes of one batch; see ``read_cifar``."""
    if raw[:1] == b"\x80":
        return _python_batch(raw, source)
    for labels, classes in ((1, 10), (2, 100)):
        if raw and len(raw) % (labels + PIXELS) == 0:
            rows = np.frombuffer(raw, np.uint8).reshape(-1, labels + PIXELS)
            return _part(rows[:, labels:], rows[:, labels - 1], classes, source)
    raise FormatError(
        f"{source} is no CIFAR batch: it is no pickle, and its {len(raw):,} bytes are no whole "
        f"number of pictures of {1 + PIXELS} (CIFAR-10) or {2 + PIXELS} bytes (CIFAR-100)"
    )


def _python_batch(raw: bytes, source: str) -> Part:
    try:
        batch = read_pickle(raw)
    except FormatError as error:
        raise FormatError(f"{source} is no CIFAR batch: {error}") from error
    if not isinstance(batch, dict):
        raise FormatError(f"{source} is no CIFAR batch: its pickle holds no dictionary")
    data = _entry(batch, "data")
    labels, classes = _entry(batch, "labels"), 10
    if labels is None:
        labels, classes = _entry(batch, "fine_labels"), 100
    if not isinstance(data, np.ndarray) or not isinstance(labels, list):
        raise FormatError(
            f"{source} is no CIFAR batch: it needs an array 'data' and a list 'labels', and has "
            f"{', '.join(map(str, batch)) or 'nothing'}"
        )
    if data.ndim != 2 or data.shape[1] != PIXELS:
        raise FormatError(f"{source} has pictures of shape {data.shape}, not (pictures, {PIXELS})")
    if not all(isinstance(label, int) and 0 <= label < classes for label in labels):
        raise FormatError(f"{source} has labels that are no whole numbers from 0 to {classes - 1}")
    return _part(data, np.array(labels, np.int64), classes, source)


def _entry(batch: dict[Any, Any], name: str) -> Any:
    return batch.get(name, batch.get(name.encode()))


def _part(data: Array, labels: Array, classes: int, source: str) -> Part:
    if len(data) == 0:
        raise FormatError(f"{source} holds no pictures")
    if len(data) != len(labels):
        raise FormatError(f"{source} has {len(data)} pictures and {len(labels)} labels")
    if labels.max() >= classes:
        raise FormatError(f"{source} has the label {labels.max()}: they go from 0 to {classes - 1}")
    pictures = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Part(np.ascontiguousarray(pictures), labels.astype(np.int64))
