"""Plain values as JSON and back, with nothing lost: tuples, arrays and infinities included.

JSON has no tuples, arrays, NaN or infinities; they are written as objects with one key that begins
with a dollar sign: ``{"$tuple": [1, 2]}``, ``{"$float": "nan"}``, ``{"$array": …}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, FormatError, short

Array = NDArray[Any]
Json = Any
_BITS = {"int": (8, 16, 32, 64), "uint": (8, 16, 32, 64), "float": (16, 32, 64)}
DTYPES = frozenset(["bool", *(f"{kind}{bits}" for kind, sizes in _BITS.items() for bits in sizes)])
LONG = 64  # lists of more whole numbers than this are kept as arrays


class Plain:
    """Turns values into JSON.

    Parameters
    ----------
    arrays : dict, optional
        Where arrays and long lists of whole numbers are put, by number, for a file that holds
        arrays beside its JSON; without it they are written into the JSON.

    Examples
    --------
    >>> plain = Plain()
    >>> plain("an example", {"size": (2, 3), "best": float("inf")})
    {'size': {'$tuple': [2, 3]}, 'best': {'$float': 'inf'}}
    """

    def __init__(self, arrays: dict[str, Array] | None = None) -> None:
        self._arrays = arrays

    def __call__(self, what: str, value: object) -> Json:
        """Return `value` as JSON; `what` says in messages what it is.

        Raises
        ------
        DataError
            It is not made of None, booleans, numbers, text, lists, tuples, mappings and arrays.
        """
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, (int, np.integer)):
            return int(value)
        if isinstance(value, (float, np.floating)):
            return float(value) if math.isfinite(value) else {"$float": str(float(value))}
        if isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, tuple):
            return {"$tuple": [self(what, each) for each in value]}
        if isinstance(value, list):
            return self._list(what, value)
        if isinstance(value, Mapping):
            return self._mapping(what, value)
        if isinstance(value, np.ndarray) and value.dtype.name in DTYPES:
            return {"$array": self._array(value)}
        raise DataError(
            f"{what}: {value!r} cannot be kept in a file; plain numbers, text, lists, tuples, "
            f"mappings and arrays can"
        )

    def _list(self, what: str, values: list[Any]) -> Json:
        apart = self._arrays is not None and len(values) > LONG
        if apart and all(type(each) is int and -(2**63) <= each < 2**63 for each in values):
            return {"$list": self._array(np.array(values, dtype=np.int64))}
        return [self(what, each) for each in values]

    def _mapping(self, what: str, value: Mapping[Any, Any]) -> Json:
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: self(what, each) for key, each in value.items()}
        return {"$dict": [[self(what, key), self(what, each)] for key, each in value.items()]}

    def _array(self, array: Array) -> Json:
        if self._arrays is not None:
            key = str(len(self._arrays))
            self._arrays[key] = array
            return key
        values = array.reshape(-1).tolist()
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            values = [self("", each) for each in values]
        return {"dtype": array.dtype.name, "shape": list(array.shape), "values": values}


class Revived:
    """Turns JSON made by ``Plain`` back into values.

    >>> Revived()(Plain()("an example", {"size": (2, 3), "best": float("inf")}))
    {'size': (2, 3), 'best': inf}
    """

    def __init__(self, arrays: Mapping[str, Array] | None = None) -> None:
        self._arrays = arrays or {}

    def __call__(self, value: Json) -> Any:
        """Return the value, or raise FormatError for JSON that ``Plain`` never makes."""
        if isinstance(value, list):
            return [self(each) for each in value]
        if not isinstance(value, dict):
            return value
        tags = [key for key in value if key.startswith("$")]
        if not tags:
            return {key: self(each) for key, each in value.items()}
        found = getattr(self, f"_{tags[0][1:]}", None) if len(value) == 1 else None
        if found is None or tags[0] not in ("$tuple", "$float", "$list", "$dict", "$array"):
            raise FormatError(f"{short(value)} stands for nothing")
        return found(value[tags[0]])

    def _tuple(self, values: Json) -> tuple[Any, ...]:
        if not isinstance(values, list):
            raise FormatError(f"a tuple is written as {short(values)}")
        return tuple(self(each) for each in values)

    def _float(self, text: Json) -> float:
        if text not in ("nan", "inf", "-inf"):
            raise FormatError(f"a number is written as {short(text)}")
        return float(text)

    def _dict(self, pairs: Json) -> dict[Any, Any]:
        try:
            return {self(key): self(value) for key, value in pairs}
        except (TypeError, ValueError) as error:
            raise FormatError(f"a mapping is written as {short(pairs)}") from error

    def _list(self, key: Json) -> list[int]:
        array = self._array(key)
        if array.dtype != np.int64 or array.ndim != 1:
            raise FormatError(f"a list of whole numbers is kept as {array.dtype.name}")
        return list(array.tolist())

    def _array(self, stored: Json) -> Array:
        if isinstance(stored, str):
            if stored not in self._arrays:
                raise FormatError(f"the array {stored!r} is missing")
            return self._arrays[stored]
        if not isinstance(stored, dict) or stored.get("dtype") not in DTYPES:
            raise FormatError(f"an array is written as {short(stored)}")
        values = stored.get("values")
        if isinstance(values, list):
            values = [self(each) if isinstance(each, dict) else each for each in values]
        return _read_array(values, stored["dtype"], stored.get("shape"))


def _read_array(values: Json, dtype: str, shape: Json) -> Array:
    kind = np.dtype(dtype).kind
    kinds: set[type] = {bool} if kind == "b" else {int, float} if kind == "f" else {int}
    if not isinstance(values, list) or not {type(each) for each in values} <= kinds:
        raise FormatError(f"an array of {dtype} has values that are not {dtype}")
    try:
        return np.array(values, dtype=dtype).reshape([int(side) for side in shape])
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise FormatError(f"an array of {dtype}, shape {short(shape)}: {error}") from error


def read_json(text: str) -> Json:
    """Return what a JSON text holds, or raise FormatError saying where it breaks."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise FormatError(
            f"it is not JSON: {error.msg.lower()} in line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise FormatError("its JSON is nested too deeply") from error
    except ValueError as error:
        raise FormatError(f"it is not the JSON that neurograph writes: {error}") from error


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number in JSON")
