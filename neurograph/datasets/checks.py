"""What the functions of this package ask of their arguments, and the sentence when it is not so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError, FormatError, OptionError, ShapeError, failed

Array = NDArray[Any]


def as_numbers(what: str, values: ArrayLike, *, finite: bool = True) -> Array:
    """Return real numbers as an array: floats keep their type, whole numbers and booleans too.

    >>> as_numbers("x", [[1, 2], [3]])
    Traceback (most recent call last):
    neurograph.errors.ShapeError: x is ragged: its rows have different lengths
    >>> as_numbers("x", [1.0, float("nan")])
    Traceback (most recent call last):
    neurograph.errors.DataError: x holds nan at position [1]: remove or replace what is not finite
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeError(f"{what} is ragged: its rows have different lengths") from error
    if array.dtype.kind not in "fiub":
        raise DataError(
            f"{what} holds {array.dtype} values ({_example(array)}), where numbers are expected"
        )
    if array.size == 0:
        raise DataError(f"{what} is empty: its shape is {array.shape}")
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[0].tolist()
        raise DataError(
            f"{what} holds {array[tuple(where)]} at position {where}: "
            "remove or replace what is not finite"
        )
    return array


def as_floats(what: str, values: ArrayLike) -> Array:
    """Return finite numbers as floats: float32 and float64 stay, all else becomes float64."""
    array = as_numbers(what, values)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def as_labels(what: str, values: ArrayLike, classes: int | None = None) -> NDArray[np.int64]:
    """Return class numbers as int64, all of them in ``0..classes-1``.

    >>> as_labels("labels", [0, 3, 1], classes=3)
    Traceback (most recent call last):
    neurograph.errors.DataError: labels holds 3 at position [1]: with 3 classes labels go from
    0 to 2
    """
    array = as_numbers(what, values)
    if array.dtype.kind == "f" and (array != np.round(array)).any():
        where = np.argwhere(array != np.round(array))[0].tolist()
        raise DataError(
            f"{what} holds {array[tuple(where)]} at position {where}: class numbers are whole"
        )
    if array.dtype.kind in "fu" and (np.abs(array) > 2**53).any():
        raise DataError(f"{what} holds {array.max():g}: no class has such a number")
    labels = array.astype(np.int64)
    top = "up" if classes is None else f"to {classes - 1}"
    wrong = (labels < 0) if classes is None else (labels < 0) | (labels >= classes)
    if wrong.any():
        where = np.argwhere(wrong)[0].tolist()
        rule = (
            f"with {classes} classes labels go from 0 {top}" if classes else "labels go from 0 up"
        )
        raise DataError(f"{what} holds {labels[tuple(where)]} at position {where}: {rule}")
    return labels


def as_pictures(what: str, values: ArrayLike) -> Array:
    """Return a batch of pictures, (batch, height, width) or (batch, height, width, channels)."""
    array = as_numbers(what, values, finite=False)
    if array.ndim not in (3, 4):
        raise ShapeError(
            f"{what} has shape {array.shape}: a batch of pictures is (batch, height, width) "
            "or (batch, height, width, channels)"
        )
    return array


def existing_file(what: str, path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there."""
    try:
        found = Path(path)
        is_file, is_folder = found.is_file(), found.is_dir()
    except (TypeError, ValueError, OSError) as error:
        raise DataError(f"{what} got {path!r}, which cannot be the path of a file") from error
    if is_folder:
        raise DataError(f"{what} got {str(path)!r}, which is a folder: give a file")
    if not is_file:
        raise DataError(f"{what} found no file {str(path)!r}")
    return found


def contents(what: str, path: str | os.PathLike[str]) -> tuple[bytes, str]:
    """Return the bytes of a file, and its name as messages show it."""
    file = existing_file(what, path)
    try:
        return file.read_bytes(), repr(file.name)
    except OSError as error:
        raise failed(f"{what} cannot read", file, error) from error


def as_text(raw: bytes, name: str) -> str:
    """Return UTF-8 bytes as text, without the mark that some programs put in front."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{name} is not UTF-8 text: byte {error.start} is {raw[error.start]:#04x}"
        ) from error


def check_generator(what: str, generator: object) -> None:
    """Refuse what is no source of randomness.

    >>> check_generator("split()", 7)
    Traceback (most recent call last):
    neurograph.errors.OptionError: split() needs a numpy.random.Generator, not 7: \
numpy.random.default_rng(seed) makes one
    """
    if not isinstance(generator, np.random.Generator):
        raise OptionError(
            f"{what} needs a numpy.random.Generator, not {generator!r}: "
            "numpy.random.default_rng(seed) makes one"
        )


def same_length(what: str, x: Array, y: Array) -> None:
    """Refuse samples and targets of different number."""
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ShapeError(
            f"{what} got {_count(x)} samples and {_count(y)} targets: each sample needs one target"
        )


def _count(array: Array) -> int:
    return len(array) if array.ndim else 1


def _example(array: Array) -> str:
    return f"such as {array.ravel()[0]!r}" if array.size else "none at all"
