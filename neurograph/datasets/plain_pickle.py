"""Read the plain data in a pickle without ever running it.

A pickle is a program for a stack machine that may call any function. The opcodes understood here
can only build numbers, texts, lists, tuples, dictionaries and arrays of bytes; at any other the
reading ends. Nothing is imported and nothing is called, so no file can do harm.
"""

from __future__ import annotations

import math
import pickletools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from neurograph.errors import FormatError

_MARK = object()
_RECONSTRUCT = frozenset(
    {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
)
_DTYPE = "numpy dtype"
_NO_BYTES = frozenset({"__builtin__ bytes", "builtins bytes"})
_VALUES = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


_DAMAGE = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError),
    *(OverflowError, RecursionError, DeprecationWarning),
)


class _Global:
    """The name of something that a pickle would import."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Made:
    """What a call in the pickle would make: its name, its arguments, and its state."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: str, arguments: Any) -> None:
        self.name = name
        self.arguments = arguments
        self.state: Any = None

    def array(self) -> np.ndarray[Any, Any]:
        """Return the array of bytes that this is."""
        if self.name not in _RECONSTRUCT or not isinstance(self.state, tuple):
            raise FormatError("it holds an object that is no array")
        _, shape, kind, fortran, data = self.state
        good = (
            isinstance(kind, _Made) and kind.name == _DTYPE and kind.arguments[0] in ("u1", b"u1")
        )
        data = data.encode("latin1") if isinstance(data, str) else data
        if not good or not isinstance(data, bytes) or fortran not in (False, True, 0, 1):
            raise FormatError("it holds an array that is not made of bytes (uint8)")
        if math.prod(shape) != len(data) or min(shape, default=0) < 0 or len(shape) > 32:
            raise FormatError(f"it holds an array of shape {shape} with {len(data)} bytes")
        return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C").copy()


def read_pickle(raw: bytes) -> Any:
    """Return the plain data in a pickle.

    Parameters
    ----------
    raw : bytes
        A pickle of any protocol. Byte strings of Python 2 come back as Latin-1 texts.

    Returns
    -------
    numbers, bytes, texts, lists, tuples, dictionaries and uint8 arrays

    Raises
    ------
    FormatError
        When the pickle is damaged, or would import or call anything but NumPy's array.

    Examples
    --------
    >>> import pickle
    >>> read_pickle(pickle.dumps({"labels": [1, 2], "name": "batch"}, protocol=2))
    {'labels': [1, 2], 'name': 'batch'}
    >>> read_pickle(pickle.dumps(print))
    Traceback (most recent call last):
    neurograph.errors.FormatError: the pickle is refused: it asks for builtins.print
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # wrong escapes in a text
            return _finished(_Machine().run(raw))
    except FormatError as error:
        raise FormatError(f"the pickle is refused: {error}") from None
    except _DAMAGE as error:
        raise FormatError(f"the pickle is damaged: {error}") from error


class _Machine:
    """The stack, the memory and the few opcodes that build plain data."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}
        self.actions: dict[str, Callable[[], None]] = {
            "MARK": lambda: self.stack.append(_MARK),
            "EMPTY_DICT": lambda: self.stack.append({}),
            "EMPTY_LIST": lambda: self.stack.append([]),
            "EMPTY_TUPLE": lambda: self.stack.append(()),
            "LIST": lambda: self.stack.append(self.since_mark()),
            "TUPLE": lambda: self.stack.append(tuple(self.since_mark())),
            "TUPLE1": lambda: self.take_tuple(1),
            "TUPLE2": lambda: self.take_tuple(2),
            "TUPLE3": lambda: self.take_tuple(3),
            "DICT": lambda: self.stack.append(_pairs(self.since_mark())),
            "APPEND": lambda: self.extend([self.stack.pop()]),
            "APPENDS": lambda: self.extend(self.since_mark()),
            "SETITEM": lambda: self.set_items([self.stack.pop(-2), self.stack.pop()]),
            "SETITEMS": lambda: self.set_items(self.since_mark()),
            "MEMOIZE": lambda: self.remember(len(self.memory)),
            "STACK_GLOBAL": lambda: self.name(f"{self.stack.pop(-2)} {self.stack.pop()}"),
            "REDUCE": self.call,
            "BUILD": self.build,
        }

    def run(self, raw: bytes) -> Any:
        """Carry out every opcode and return what is left on the stack."""
        for opcode, argument, _ in pickletools.genops(raw):
            name = opcode.name
            if name in _VALUES:
                self.stack.append(argument)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                self.remember(int(argument))  # type: ignore[arg-type]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                self.stack.append(self.memory[int(argument)])  # type: ignore[arg-type]
            elif name == "GLOBAL":
                self.name(str(argument))
            elif name in self.actions:
                self.actions[name]()
            elif name not in ("PROTO", "FRAME", "STOP"):
                raise FormatError(f"it holds the instruction {name}, which plain data do not need")
        (result,) = self.stack
        return result

    def since_mark(self) -> list[Any]:
        """Take everything that lies above the last mark."""
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def take_tuple(self, length: int) -> None:
        """Put the last values into one tuple."""
        self.stack[-length:] = [tuple(self.stack[-length:])]

    def extend(self, items: list[Any]) -> None:
        """Add to the list on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, list):
            raise FormatError("it adds to something that is no list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        """Add to the dictionary on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise FormatError("it sets an item of something that is no dictionary")
        target.update(_pairs(items))

    def remember(self, number: int) -> None:
        """Keep the top of the stack under a number."""
        self.memory[number] = self.stack[-1]

    def name(self, name: str) -> None:
        """Put the name of an allowed NumPy function on the stack; refuse every other."""
        if name not in _RECONSTRUCT | _NO_BYTES | {_DTYPE, "numpy ndarray", "_codecs encode"}:
            raise FormatError(f"it asks for {name.replace(' ', '.')}")
        self.stack.append(_Global(name))

    def call(self) -> None:
        """Note what a call would make; a text turned into bytes is made at once."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise FormatError("it calls something that has no name")
        if function.name in _NO_BYTES:
            if arguments:
                raise FormatError("it makes bytes from something")
            self.stack.append(b"")
        elif function.name == "_codecs encode":
            text, coding = arguments
            if coding != "latin1" or not isinstance(text, str):
                raise FormatError(f"it holds bytes written as {coding!r} text")
            self.stack.append(text.encode("latin1"))
        else:
            self.stack.append(_Made(function.name, arguments))

    def build(self) -> None:
        """Give its state to what a call has made."""
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, _Made):
            raise FormatError("it gives a state to plain data")
        target.state = state


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise FormatError("it holds a key without a value")
    for key in items[::2]:
        # a deeply nested tuple as a key would overflow the interpreter's stack when hashed
        if not isinstance(key, str | bytes | int):
            raise FormatError("it holds a key that is neither a text nor a number")
    return dict(zip(items[::2], items[1::2], strict=True))


def _finished(value: Any) -> Any:
    """Return the value with its arrays made; arrays are looked for where batches have them."""
    if isinstance(value, _Made):
        return value.array()
    if isinstance(value, dict):
        return {
            key: each.array() if isinstance(each, _Made) else each for key, each in value.items()
        }
    if isinstance(value, _Global):
        raise FormatError(f"it is nothing but the name {value.name}")
    return value
