"""Declarations: the part of the source text in which every array gets its memory or its view."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from neurograph.compiler.given import declare
from neurograph.compiler.program import Array, Program, Step, statements
from neurograph.compiler.storage import Sizes, Storage

_TITLES = {
    "table": "# tables",
    "fed": "# what is fed",
    "parameter": "# parameters: parts of one vector",
    "value": "# values",
    "gradient": "# gradients of the parameters: parts of one vector",
    "delta": "# gradients of the values",
}
_FED = ("input", "target", "noise", "state")


class Declarations:
    """Writes the declarations of the arrays of a program, for one batch size.

    A view that no statement names is written into the one view that is made of it.

    Parameters
    ----------
    program : Program
    arrays : mapping of name to Array
        Those of the program, and views that the statements needed besides.
    text : str
        The statements.
    given : dict
        Takes up what has no text: large tables.
    """

    def __init__(
        self,
        program: Program,
        arrays: Mapping[str, Array],
        sizes: Sizes,
        storage: Storage,
        text: str,
        given: dict[str, Any],
    ) -> None:
        self.program = program
        self.arrays = arrays
        self.sizes = sizes
        self.storage = storage
        self.given = given
        owners = list(storage.buffer_of.values())
        self.shared = sorted({buffer for buffer in owners if owners.count(buffer) > 1})
        self._forward = _touched(program, program.forward)
        self._needed = self._find_needed(set(re.findall(r"\w+", text)))

    def _find_needed(self, words: set[str]) -> dict[str, bool]:
        """Return the arrays that are needed, and whether each must have a name of its own."""
        program = self.program
        words |= {*program.inputs, *program.outputs, *program.kept, *program.values.values()}
        needed: dict[str, bool] = {}
        made_of: dict[str, int] = {}
        for name, array in reversed(list(self.arrays.items())):
            named = name in words or array.view is None
            if named or made_of.get(name):
                needed[name] = named or made_of[name] > 1
                if array.view is not None:
                    made_of[array.view.base] = made_of.get(array.view.base, 0) + 1
        return needed

    def lines(self) -> list[str]:
        """Return the declarations, like with like."""
        found = []
        if self.shared:
            found.append("# memory shared by arrays that are never needed at the same time")
        for k in self.shared:
            dtype, size = self.storage.buffers[k]
            found.append(f"memory_{k} = np.empty({size}, np.{dtype})")
        kinds: dict[str, list[str]] = {kind: [] for kind in _TITLES}
        for name, array in self.arrays.items():
            if self._needed.get(name):
                kinds[self._kind(array)] += self._declaration(array)
        for kind, some in kinds.items():
            found += [_TITLES[kind], *some] if some else []
        return found

    def _kind(self, array: Array) -> str:
        base = self._base(array)
        if base.role in _FED:
            return "fed"
        if base.role != "value":
            return base.role
        return "value" if base.name in self._forward else "delta"

    def _base(self, array: Array) -> Array:
        while array.view is not None:
            array = self.arrays[array.view.base]
        return array

    def _declaration(self, array: Array) -> list[str]:
        name = array.name
        if array.role == "table" and array.view is None:
            return declare(name, self.program.constants[f"{name}_table"], self.given)
        line = f"{name} = {self._expression(array)}"
        if array.view is not None and not line.endswith("))"):
            line += f"  # {_tuple(self.sizes.shape(array.dims))}"
        return [line, f"{name}[:, -1] = 1"] if array.ones_column else [line]

    def _expression(self, array: Array) -> str:
        """Return what makes an array: memory of its own, or a view."""
        shape = self.sizes.shape(array.dims)
        if array.view is not None:
            base = self.arrays[array.view.base]
            whole = base.name if self._needed.get(base.name) else self._expression(base)
            if array.view.index is None:
                return f"{whole}.reshape({_tuple(shape)})"
            parts = ", ".join(
                f"{low or ''}:{'' if high is None else high}" for low, high in array.view.index
            )
            return f"{whole}[{parts}]"
        reshaped = f".reshape({_tuple(shape)})" if len(shape) != 1 else ""
        if array.role in ("parameter", "gradient"):
            return f"{array.role}s[{array.offset}:{array.offset + math.prod(shape)}]{reshaped}"
        if array.role == "state":  # fed only where a batch goes on from another
            return f"np.zeros({_tuple(shape)}, np.{array.dtype})"
        k = self.storage.buffer_of.get(array.name)
        if k is None or k not in self.shared:
            return f"np.empty({_tuple(shape)}, np.{array.dtype})"
        return f"memory_{k}[:{math.prod(shape)}]{reshaped}"


def _touched(program: Program, steps: Iterable[Step]) -> set[str]:
    """Return the arrays that steps read or write."""
    return {
        program.base(ref.name)
        for statement in statements(steps)
        for ref in (statement.out, *statement.inputs)
    }


def _tuple(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
