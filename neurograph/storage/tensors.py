"""The safetensors format: written straight to an open file, read with the format's own library."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import FormatError, OptionError, StorageError, failed
from neurograph.storage.atomic import StrPath

Array = NDArray[Any]
_NAMES = {
    "bool": "BOOL",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
}
_KNOWN = frozenset(_NAMES.values())
MOST_HEADER = 100_000_000  # the format's own limit


def write_tensors(
    file: BinaryIO, tensors: Mapping[str, Array], metadata: Mapping[str, str]
) -> None:
    """Write tensors and metadata, array by array, without a second copy in memory.

    The library can only write to a path or into memory; the format is 8 bytes with the length of a
    JSON header, the header, and the arrays one after the other, the widest types first.

    Raises
    ------
    FormatError
        An array is of a type that the format has not, or the header is too long for it.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    rows = sorted(tensors.items(), key=lambda row: -row[1].dtype.itemsize)
    end = 0
    for name, array in rows:
        if array.dtype.name not in _NAMES:
            raise FormatError(f"tensor {name!r}: a file cannot hold arrays of {array.dtype}")
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MOST_HEADER:
        raise FormatError(f"the structure takes {len(text):,} bytes, over {MOST_HEADER:,}")
    file.write(len(text).to_bytes(8, "little") + text)
    for _, array in rows:
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        file.write(little.reshape(-1).view(np.uint8).data)


def read_tensors(path: StrPath) -> tuple[dict[str, str], dict[str, Array]]:
    """Return the metadata and the tensors of a safetensors file, as arrays of their own.

    Raises
    ------
    StorageError
        There is no such file, or it cannot be read.
    FormatError
        It is no safetensors file, truncated, or holds a type of number that NumPy has not.
    """
    import safetensors

    name = checked_path(path)
    try:
        with safetensors.safe_open(name, framework="np") as opened:
            metadata = dict(opened.metadata() or {})
            tensors: dict[str, Array] = {}
            for key in opened.keys():  # noqa: SIM118 (the library's object is no mapping)
                kind = opened.get_slice(key).get_dtype()
                if kind not in _KNOWN:
                    raise FormatError(
                        f"cannot load {name!r}: tensor {key!r} holds {kind}, which NumPy has not"
                    )
                tensors[key] = np.require(opened.get_tensor(key), requirements=["C", "A", "W"])
    except safetensors.SafetensorError as error:
        raise FormatError(f"cannot load {name!r}: {_reason(name, str(error))}") from error
    except OSError as error:
        raise failed("cannot load", name, error) from error
    return metadata, tensors


def checked_path(path: StrPath) -> str:
    """Return the path of a file that exists, or raise StorageError or OptionError."""
    try:
        name = os.fspath(path)
        if not isinstance(name, str) or "\0" in name:
            raise TypeError
    except TypeError:
        raise OptionError(f"a file to load is given by its path, got {path!r}") from None
    if not os.path.exists(name):
        raise StorageError(f"cannot load {name!r}: there is no such file")
    if not os.path.isfile(name):
        raise StorageError(f"cannot load {name!r}: it is not a file")
    return name


def _reason(name: str, message: str) -> str:
    """Say what a file is that the library refuses, going by how it begins."""
    with open(name, "rb") as file:
        start = file.read(16)
    size = os.path.getsize(name)
    if not size:
        return "the file is empty"
    kinds = {
        b"\x80": "it is a pickle, which neurograph never opens, since a pickle can run any code",
        b"PK": "it is a zip archive (.npz, .keras or .pt); net.load_weights reads .npz",
        b"\x89HDF": "it is an HDF5 file",
        b"\x93NUMPY": "it is a .npy file",
    }
    for sign, what in kinds.items():
        if start.startswith(sign):
            return what
    if start.lstrip().startswith(b"{"):
        return "it is JSON; ng.from_json reads it"
    if int.from_bytes(start[:8], "little") > MOST_HEADER or start[8:9] != b"{":
        return "it is not a safetensors file"
    return f"it is truncated or damaged ({message.strip()})"
