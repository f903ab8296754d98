"""Builder: makes arrays, views and statements with unique, readable names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from neurograph.compiler.names import identifier
from neurograph.compiler.program import (
    Array,
    Attribute,
    Dim,
    Loop,
    Program,
    Ref,
    Statement,
    Step,
    View,
)
from neurograph.errors import CompileError


class Builder:
    """Collects the arrays and the statements of a program that is being made."""

    def __init__(self, dtype: str, program: Program | None = None) -> None:
        self.dtype = dtype
        self.arrays: dict[str, Array] = dict(program.arrays) if program else {}
        self.constants: dict[str, Any] = dict(program.constants) if program else {}
        self.taken: set[str] = set()
        self.steps: list[Step] = []
        self._loop: list[Statement] | None = None

    def free(self, name: str, taken: Mapping[str, Any] | None = None) -> str:
        """Return an identifier that no array has yet."""
        base = found = identifier(name)
        number = 1
        while found in self.taken or found in (self.arrays if taken is None else taken):
            number += 1
            found = f"{base}_{number}"
        return found

    def array(
        self,
        name: str,
        dims: tuple[Dim, ...],
        role: str = "value",
        *,
        dtype: str | None = None,
        nodes_first: bool = False,
        offset: int = -1,
    ) -> str:
        """Declare an array and return its name."""
        found = self.free(name)
        self.arrays[found] = Array(
            found, dims, dtype or self.dtype, role, None, nodes_first, offset
        )
        return found

    def like(self, name: str, model: str) -> str:
        """Declare an array with the type of another."""
        other = self.arrays[model]
        return self.array(name, other.dims, dtype=other.dtype, nodes_first=other.nodes_first)

    def part(self, base: str, index: tuple[tuple[int, int | None], ...], name: str = "") -> str:
        """Declare the view ``base[low:high, …]`` and return its name (the base, if it is whole)."""
        array = self.arrays[base]
        dims = list(array.dims)
        whole = True
        for axis, (low, high) in enumerate(index):
            size = dims[axis]
            if low == 0 and (high is None or high == size):
                continue
            whole = False
            dims[axis] = _part_size(size, low, high)
        if whole:
            return base
        return self._declare_view(base, View(base, index), tuple(dims), name)

    def reshape(self, base: str, dims: tuple[Dim, ...], name: str = "") -> str:
        """Declare a view with other dimensions and return its name."""
        if self.arrays[base].dims == dims:
            return base
        return self._declare_view(base, View(base), dims, name)

    def _declare_view(self, base: str, view: View, dims: tuple[Dim, ...], name: str) -> str:
        array = self.arrays[base]
        for other in self.arrays.values():
            if other.view == view and other.dims == dims:
                return other.name
        found = self.free(name or f"{base}_part")
        self.arrays[found] = Array(found, dims, array.dtype, "value", view, array.nodes_first)
        return found

    def constant(self, name: str, value: Any) -> str:
        """Keep an object that statements refer to by name."""
        for known, other in self.constants.items():
            if other is value:
                return known
        found = self.free(name, self.constants)
        self.constants[found] = value
        return found

    def emit(
        self,
        op: str,
        out: str | Ref,
        *inputs: str | Ref,
        accumulate: bool = True,
        given: Mapping[str, Attribute] | None = None,
        **attributes: Attribute,
    ) -> None:
        """Add a statement; ``settle`` decides later which additions come first and set instead."""
        statement = Statement(
            op,
            _ref(out),
            tuple(_ref(each) for each in inputs),
            accumulate,
            (*(given or {}).items(), *attributes.items()),
        )
        (self.steps if self._loop is None else self._loop).append(statement)

    @property
    def latest(self) -> Statement:
        """The statement that was added last."""
        found = (self.steps if self._loop is None else self._loop)[-1]
        assert isinstance(found, Statement)
        return found

    def whole(self, name: str) -> str:
        """Return the array of which ``name`` is the part between its history: the history too."""
        array = self.arrays[name]
        if array.view is None or array.view.index is None:
            return name
        return array.view.base if len(array.view.index) == 1 else name

    @contextmanager
    def outside_loop(self) -> Iterator[None]:
        """Put statements before the loop that is being collected."""
        loop, self._loop = self._loop, None
        yield
        self._loop = loop

    @contextmanager
    def loop(self, direction: int) -> Iterator[None]:
        """Collect statements into a loop through time."""
        if self._loop is not None:
            raise CompileError("a loop inside a loop")
        self._loop = []
        yield
        if self._loop:
            self.steps.append(Loop(direction, tuple(self._loop)))
        self._loop = None


def _ref(operand: str | Ref) -> Ref:
    return operand if isinstance(operand, Ref) else Ref(operand)


def _part_size(size: Dim, low: int, high: int | None) -> Dim:
    if low < 0 and high is None:
        return -low
    if isinstance(size, int):
        stop = size if high is None else high if high >= 0 else size + high
        return stop - low
    symbol, _, extra = size.partition("+")
    if high is not None and high >= 0:
        return high - low
    left = int(extra or 0) - low + (high or 0)
    if left < 0:
        raise CompileError(f"a view of {size} rows from {low} to {high}")
    return f"{symbol}+{left}" if left else symbol
