"""Weights as NumPy's ``.npz``: one array a parameter, under its name."""

from __future__ import annotations

import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import FormatError, OptionError, failed
from neurograph.graph.network import Network
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.tensors import checked_path
from neurograph.storage.weights import weight_arrays

Array = NDArray[Any]
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    OverflowError,
)
_HEADER = 2**16  # the most a .npy file has before its numbers


def save_npz(network: Network, path: StrPath) -> None:
    """Save the weights of a network for ``numpy.load``: one array a parameter, under its name.

    Raises
    ------
    StorageError, DataError
        The file cannot be written, or a weight is not finite.
    OptionError
        A parameter has a name that a zip archive cannot hold.
    """
    arrays = weight_arrays(network)
    for name in arrays:
        if "\0" in name:
            raise OptionError(f"save_npz: {name!r} is no name for an array in a .npz file")
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
        for name, array in arrays.items():  # not numpy.savez: it cannot take the name "file"
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def read_npz(path: StrPath, sizes: dict[str, int] | None = None) -> dict[str, Array]:
    """Return the named arrays of a ``.npz`` file; pickled objects are refused.

    Parameters
    ----------
    path : str or path
    sizes : dict of name to int, optional
        The number of elements that arrays should have; larger ones are not unpacked.

    Raises
    ------
    StorageError, FormatError
        There is no such file, or it is truncated, damaged or no ``.npz`` file.
    """
    name = checked_path(path)
    arrays: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(name) as archive:
            for info in archive.infolist():
                key = info.filename.removesuffix(".npy")
                if sizes is not None and info.file_size > 16 * sizes.get(key, 0) + _HEADER:
                    raise FormatError(f"cannot load {name!r}: array {key!r} is far too large")
                with archive.open(info) as member:
                    arrays[key] = np.asarray(np.lib.format.read_array(member, allow_pickle=False))
                    if member.read(1):
                        raise ValueError(f"array {key!r} is followed by more bytes")
    except FormatError:
        raise
    except _DAMAGED as error:
        raise FormatError(
            f"cannot load {name!r}: it is not a .npz file, or truncated or damaged ({error})"
        ) from error
    except OSError as error:
        raise failed("cannot load", name, error) from error
    return arrays
