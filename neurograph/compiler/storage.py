"""Storage: which memory every array of a program gets, for one batch size.

Arrays whose lives do not meet share a buffer; an elementwise operation may write over an operand
that nobody reads again. With ``reuse`` off every array has its own, and all values can be looked
at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neurograph.compiler.operations import OPERATIONS
from neurograph.compiler.operations.elementwise import runs_in_place
from neurograph.compiler.program import Dim, Loop, Program, Statement, Step, statements
from neurograph.errors import CompileError
from neurograph.functions import Activation

OUTSIDE = ("input", "target", "noise", "table", "state")
ITEM_SIZES = {"float32": 4, "float64": 8, "int64": 8, "bool": 1}


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the symbols stand for in one plan: ``B``, and ``T``, ``T_1``, … for each clock."""

    batch: int
    steps: tuple[int, ...] = ()

    def dim(self, dim: Dim) -> int:
        """Return a dimension as a number."""
        if isinstance(dim, int):
            return dim
        symbol, _, extra = dim.partition("+")
        if symbol == "B":
            return self.batch
        return self.steps[int(symbol[2:] or 0)] + int(extra or 0)

    def shape(self, dims: Sequence[Dim]) -> tuple[int, ...]:
        """Return dimensions as numbers."""
        return tuple(self.dim(dim) for dim in dims)

    def count(self, dims: Sequence[Dim]) -> int:
        """Return the number of elements."""
        return math.prod(self.shape(dims))


@dataclass
class Storage:
    """The buffer of each array that owns memory; dtype and number of elements of each buffer."""

    buffer_of: dict[str, int] = field(default_factory=dict)
    buffers: list[tuple[str, int]] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """The memory of all buffers, in bytes."""
        return sum(ITEM_SIZES[dtype] * size for dtype, size in self.buffers)


def assign(program: Program, sizes: Sizes, reuse: bool, in_place: bool) -> Storage:
    """Return which buffer each array gets."""
    steps: list[Step] = [*program.forward, *program.backward]
    lives = _lives(program, steps)
    storage = Storage()
    free: list[int] = []
    ending: dict[int, list[str]] = {}
    for name, (_, last) in lives.items():
        ending.setdefault(last, []).append(name)
    for name, array in program.arrays.items():
        if array.view is None and (array.role in OUTSIDE or array.ones_column):
            _own(storage, name, array.dtype, sizes.count(array.dims))
    for position, step in enumerate(steps):
        taken_over: set[str] = set()
        for statement in step.body if isinstance(step, Loop) else (step,):
            base = program.base(statement.out.name)
            array = program.arrays[base]
            if array.role != "value" or base in storage.buffer_of:
                continue
            heir = _heir(program, statement, position, lives) if reuse and in_place else None
            if heir is not None and heir in storage.buffer_of and not isinstance(step, Loop):
                storage.buffer_of[base] = storage.buffer_of[heir]
                taken_over.add(heir)
                continue
            _find(storage, free, base, array.dtype, sizes.count(array.dims), reuse)
        over = [name for name in ending.get(position, []) if name not in taken_over]
        free += [storage.buffer_of[name] for name in over if name in storage.buffer_of]
    return storage


def moving_statistics(program: Program) -> list[tuple[Any, str]]:
    """Return the functions that take in a batch after a training step, with the array they read."""
    applied = [
        (program.constants[str(statement.get("function"))], statement.inputs[0].name)
        for statement in statements(program.forward)
        if statement.op == "apply" and statement.get("training")
    ]
    return [(function, net) for function, net in applied if hasattr(function, "update_moving")]


def _lives(program: Program, steps: Sequence[Step]) -> dict[str, tuple[int, int]]:
    """Return for every array whose memory may be shared the first and the last step it is used.

    Arrays with a column of ones keep their memory: the ones are written once, for all runs.
    """
    lives: dict[str, tuple[int, int]] = {}
    for position, step in enumerate(steps):
        for statement in step.body if isinstance(step, Loop) else (step,):
            for ref in (statement.out, *statement.inputs):
                base = program.base(ref.name)
                first, _ = lives.get(base, (position, position))
                lives[base] = (first, position)
    end = len(steps) + 1
    read_later = {program.base(net) for _, net in moving_statistics(program)}
    for base in program.results | read_later:
        if base in lives:
            lives[base] = (lives[base][0], end)
    return {
        name: life
        for name, life in lives.items()
        if program.arrays[name].role == "value" and not program.arrays[name].ones_column
    }


def _heir(
    program: Program, statement: Statement, position: int, lives: Mapping[str, tuple[int, int]]
) -> str | None:
    """Return the array whose memory the output may take over, if there is one."""
    if not OPERATIONS[statement.op].in_place or not statement.inputs or statement.accumulate:
        return None
    source = program.arrays[statement.inputs[0].name]
    out = program.arrays[statement.out.name]
    if source.view is not None or out.view is not None or source.role != "value":
        return None
    if source.dims != out.dims or source.dtype != out.dtype or source.ones_column:
        return None
    if lives[source.name][1] != position:
        return None
    if any(program.base(ref.name) == source.name for ref in statement.inputs[1:]):
        return None
    function = program.constants.get(str(statement.get("function")))
    if statement.op == "activate":
        if not isinstance(function, Activation):
            raise CompileError(f"{statement}: its function is not an activation")
        return source.name if runs_in_place(function) else None
    return source.name


def _own(storage: Storage, name: str, dtype: str, size: int) -> None:
    storage.buffer_of[name] = len(storage.buffers)
    storage.buffers.append((dtype, size))


def _find(storage: Storage, free: list[int], name: str, dtype: str, size: int, reuse: bool) -> None:
    fitting = [k for k in free if storage.buffers[k][0] == dtype] if reuse else []
    if not fitting:
        _own(storage, name, dtype, size)
        return
    large = [k for k in fitting if storage.buffers[k][1] >= size]
    if large:
        chosen = min(large, key=lambda k: storage.buffers[k][1])
    else:
        chosen = max(fitting, key=lambda k: storage.buffers[k][1])
        storage.buffers[chosen] = (dtype, size)
    free.remove(chosen)
    storage.buffer_of[name] = chosen
