"""Networks as one JSON document: structure and weights, readable and exact."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import FormatError, NeurographError, OptionError, failed
from neurograph.graph.network import Network
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.rebuild import network_of
from neurograph.storage.structure import structure_of
from neurograph.storage.tensors import checked_path
from neurograph.storage.values import Json, read_json
from neurograph.storage.weights import weight_arrays

Array = NDArray[Any]
VERSION = 1


def to_json(network: Network, path: StrPath | None = None) -> str:
    """Return a network, structure and weights, as JSON; write it to a file if a path is given.

    Weights are nested lists with all their digits, so ``from_json`` gives the same bits back.

    Raises
    ------
    StorageError, DataError, GraphError
        The file cannot be written, a weight is not finite, or the network holds something that no
        file can name.

    Examples
    --------
    >>> net = Network([2, 3, 1])
    >>> twin = from_json(to_json(net))
    >>> twin.parameters["layer_1/kernel"].value.tolist() == (
    ...     net.parameters["layer_1/kernel"].value.tolist()
    ... )
    True
    """
    weights = {name: array.tolist() for name, array in weight_arrays(network).items()}
    text = _layout(
        {"format": "neurograph", "version": VERSION},
        {"structure": structure_of(network), "weights": weights},
    )
    if path is not None:
        with atomic_write(path) as file:
            file.write(text.encode())
    return text


def from_json(text_or_path: str | os.PathLike[str]) -> Network:
    """Return the network that a JSON text, or a file with one, describes.

    Parameters
    ----------
    text_or_path : str or path
        What ``to_json`` returned (it begins with a brace), or the path of a file with it.

    Raises
    ------
    StorageError
        There is no such file.
    FormatError, DataError, UnknownNameError, GraphError
        The text is damaged, from a newer version, or describes no network; one sentence says what.
    """
    what, text = _text(text_or_path)
    try:
        document = _document(text)
        structure = document.get("structure")
        network = network_of(structure, _weights(structure, document.get("weights")))
    except NeurographError as error:
        raise type(error)(f"cannot load {what}: {error}") from error
    return network


def read_weights(path: StrPath) -> dict[str, Array]:
    """Return the named weights of a file that ``to_json`` wrote."""
    what, text = _text(os.fspath(path), is_path=True)
    try:
        document = _document(text)
        return _weights(document.get("structure"), document.get("weights"))
    except NeurographError as error:
        raise type(error)(f"cannot load {what}: {error}") from error


def _layout(head: Mapping[str, Json], body: Mapping[str, Mapping[str, Json]]) -> str:
    """Return JSON with a line for every entry of the structure's lists and every parameter."""
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for key, section in body.items():
        rows = [f"{json.dumps(name)}: {_rows(value)}" for name, value in section.items()]
        parts.append(f"{json.dumps(key)}: {{\n" + ",\n".join(rows) + "\n}")
    return "{" + ",\n".join(parts) + "}\n"


def _rows(value: Json) -> str:
    if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
        return "[\n" + ",\n".join(json.dumps(each) for each in value) + "]"
    return json.dumps(value)


def _text(text_or_path: str | os.PathLike[str], is_path: bool = False) -> tuple[str, str]:
    if isinstance(text_or_path, str) and not is_path and text_or_path.lstrip()[:1] in ("{", "["):
        return "the JSON text", text_or_path
    if not isinstance(text_or_path, (str, os.PathLike)):
        raise OptionError(f"from_json takes a JSON text or a path, got {text_or_path!r}")
    name = checked_path(text_or_path)
    return repr(name), read_utf8(name)


def read_utf8(name: str) -> str:
    """Return the text of a file, or raise StorageError or FormatError."""
    try:
        with open(name, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise FormatError(f"cannot load {name!r}: it is not text") from error
    except OSError as error:
        raise failed("cannot load", name, error) from error


def _document(text: str) -> dict[str, Json]:
    document = read_json(text)
    if not isinstance(document, dict) or document.get("format") != "neurograph":
        raise FormatError("it was not written by neurograph's to_json")
    version = document.get("version")
    if type(version) is int and version > VERSION:
        raise FormatError(
            f"it has format {version}, made by a newer neurograph; this one reads formats up to "
            f"{VERSION}, so upgrade neurograph"
        )
    if version != VERSION:
        raise FormatError(f"its format is {version!r}, expected {VERSION}")
    return document


def _weights(structure: Json, weights: Json) -> dict[str, Array]:
    rows = structure.get("parameters") if isinstance(structure, dict) else None
    if not isinstance(rows, list) or not isinstance(weights, dict):
        raise FormatError("its structure or its weights are missing")
    arrays = {}
    for row in rows:
        name = row.get("name") if isinstance(row, dict) else None
        if not isinstance(name, str) or name not in weights:
            raise FormatError(f"parameter {name!r} has no weights")
        arrays[name] = _array(name, weights[name], row.get("shape"), row.get("dtype"))
    extra = sorted(set(weights) - set(arrays))
    if extra:
        raise FormatError(f"parameter {extra[0]!r} has weights but no place in the structure")
    return arrays


def _array(name: str, values: Json, shape: Json, dtype: Json) -> Array:
    if dtype not in ("float16", "float32", "float64"):
        raise FormatError(f"parameter {name!r} has the type {dtype!r}, expected a float type")
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=np.float64).astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"parameter {name!r}: its values are not numbers in a table") from error
    if isinstance(values, str) or list(array.shape) != shape:
        raise FormatError(
            f"parameter {name!r}: its values have shape {list(array.shape)}, expected {shape}"
        )
    return array
