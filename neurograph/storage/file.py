"""Networks as files: structure, weights and more in one ``.safetensors`` file.

The weights are tensors under the names of their parameters, so any reader of safetensors can use
them. Everything else lies in the file's metadata as JSON, or in tensors whose names begin with
``@``. Loading executes nothing that stands in the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import FormatError, NeurographError
from neurograph.graph.network import Network
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.rebuild import network_of
from neurograph.storage.structure import structure_of
from neurograph.storage.tensors import read_tensors, write_tensors
from neurograph.storage.values import Json, Plain, Revived, read_json
from neurograph.storage.weights import weight_arrays

Array = NDArray[Any]
FORMAT, VERSION = "neurograph", 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file holds.

    Attributes
    ----------
    network : Network
    tensors : dict of name to array
        The extra tensors given to ``save``.
    extras : dict of name to value
        The extra sections given to ``save``.
    path : str
        Where it was read from, for messages.
    """

    network: Network
    tensors: dict[str, Array] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)
    path: str = ""


def save(
    path: StrPath,
    network: Network,
    tensors: Mapping[str, ArrayLike] | None = None,
    extras: Mapping[str, Any] | None = None,
) -> None:
    """Save a network, with its weights, in one file that is there whole or not at all.

    Parameters
    ----------
    path : str or path
        Usually ``….safetensors``.
    network : Network
    tensors : mapping of name to array, optional
        What else belongs to a model: optimizer state. Any shapes; NaN is allowed here.
    extras : mapping of name to value, optional
        Sections of plain values (numbers, text, lists, tuples, mappings, arrays): history, position
        in a schedule. ``ng.load`` takes a file with a section ``"model"`` for a model.

    Raises
    ------
    StorageError
        The file cannot be written; what stood under `path` is as it was.
    DataError
        A weight is NaN or infinite, or an extra is not plain.
    GraphError
        The network holds something that no file can name.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name, "net.safetensors")
    >>> save(path, Network([2, 3, 1]), extras={"epoch": 3})
    >>> loaded = load(path)
    >>> print(loaded.network, loaded.extras)
    network: 2 -> 1, 2 layers with weights, 13 connections, 13 parameters {'epoch': 3}
    >>> folder.cleanup()
    """
    arrays: dict[str, Array] = {}
    structure = structure_of(network, arrays)
    sections = Plain(arrays)("the extras", dict(extras or {}))
    stored = {_escaped(name): array for name, array in weight_arrays(network).items()}
    stored |= {f"@array/{key}": array for key, array in arrays.items()}
    stored |= {f"@extra/{key}": _native(array) for key, array in (tensors or {}).items()}
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "structure": json.dumps(structure),
        "extras": json.dumps(sections),
        "checksums": json.dumps({name: checksum(array) for name, array in stored.items()}),
    }
    metadata["sha256"] = _digest(metadata)
    with atomic_write(path) as file:
        write_tensors(file, stored, metadata)


def load(path: StrPath) -> Loaded:
    """Load what ``save`` saved, checking every byte that matters.

    Raises
    ------
    StorageError
        There is no such file, or it cannot be read.
    FormatError
        It is truncated, damaged, made by a newer version, or no file of neurograph.
    UnknownNameError
        An activation of your own is not registered.

    Notes
    -----
    Every error is one sentence that names the file, and the parameter where there is one.
    """
    metadata, stored = read_tensors(path)
    name = str(path)
    try:
        _check_metadata(metadata)
        _check_sums(read_json(metadata["checksums"]), stored)
        arrays = {
            key.removeprefix("@array/"): stored.pop(key)
            for key in list(stored)
            if key.startswith("@array/")
        }
        tensors = {
            key.removeprefix("@extra/"): stored.pop(key)
            for key in list(stored)
            if key.startswith("@extra/")
        }
        weights = {_plain_name(key): array for key, array in stored.items()}
        network = network_of(read_json(metadata["structure"]), weights, arrays)
        extras = Revived(arrays)(read_json(metadata["extras"]))
    except NeurographError as error:
        raise type(error)(f"cannot load {name!r}: {error}") from error
    if not isinstance(extras, dict):
        raise FormatError(f"cannot load {name!r}: its extras are no mapping")
    return Loaded(network, tensors, extras, name)


def read_weights(path: StrPath) -> dict[str, Array]:
    """Return the named weights of a ``.safetensors`` file, of neurograph or not."""
    metadata, stored = read_tensors(path)
    if metadata.get("format") != FORMAT:
        return stored
    try:
        _check_metadata(metadata)
        sums = read_json(metadata["checksums"])
        _check_sums(sums, stored)
    except NeurographError as error:
        raise type(error)(f"cannot load {str(path)!r}: {error}") from error
    return {
        _plain_name(key): stored[key] for key in sums if not key.startswith(("@array/", "@extra/"))
    }


def _native(array: ArrayLike) -> Array:
    found = np.asarray(array)
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def checksum(array: Array) -> str:
    """Return the CRC-32 of an array's type, shape and bytes, as 8 hexadecimal digits."""
    head = crc32(f"{array.dtype.name}{array.shape}".encode())
    return f"{crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, head):08x}"


def _check_metadata(metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise FormatError(
            "it was not saved by neurograph; net.load_weights can read plain tensors whose names "
            "are those of the parameters"
        )
    version = metadata.get("version", "")
    if version.isdecimal() and len(version) < 9 and int(version) > VERSION:
        raise FormatError(
            f"it has format {version}, made by a newer neurograph; this one reads formats up to "
            f"{VERSION}, so upgrade neurograph"
        )
    if metadata.get("sha256") != _digest(metadata):
        raise FormatError("it is damaged: its metadata do not agree with their checksum")


def _digest(metadata: Mapping[str, str]) -> str:
    keys = ("format", "version", "structure", "extras", "checksums")
    return sha256(json.dumps([metadata.get(key) for key in keys]).encode()).hexdigest()


def _check_sums(sums: Json, stored: Mapping[str, Array]) -> None:
    if not isinstance(sums, dict) or set(sums) != set(stored):
        raise FormatError("it is damaged: its tensors are not those it should hold")
    for name, array in stored.items():
        if sums[name] != checksum(array):
            raise FormatError(
                f"it is damaged: the values of {_shown(name)} do not agree with their checksum"
            )


def _shown(name: str) -> str:
    if name.startswith("@extra/"):
        return f"tensor {name.removeprefix('@extra/')!r}"
    return "its structure" if name.startswith("@array/") else f"parameter {_plain_name(name)!r}"


def _escaped(name: str) -> str:
    """Return a tensor's name for a parameter's: names that would mislead get ``@@`` in front."""
    return f"@@{name}" if name.startswith("@") or name == "__metadata__" else name


def _plain_name(key: str) -> str:
    return key.removeprefix("@@")
