"""The table of operations, and what a row is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neurograph.compiler.program import Array, Dim, Program, Statement
from neurograph.errors import CompileError

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter

Check = Callable[[Program, Statement], None]
Gradient = Callable[["Backward", Statement], None]
Emit = Callable[["Emitter", Statement], None]
Cost = Callable[[Program, Statement, Callable[[tuple[Dim, ...]], int]], int]


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table.

    Parameters
    ----------
    name : str
    emit : callable
        Writes the NumPy lines of a statement.
    gradient : callable or None
        Adds the statements of the backward pass; None where no gradient flows back.
    check : callable
        Raises CompileError if a statement has the wrong shapes.
    flops : callable
        ``flops(program, statement, size)`` with ``size(dims) -> number of elements``.
    in_place : bool
        Whether the output may take over the memory of the first input.
    """

    name: str
    emit: Emit
    gradient: Gradient | None = None
    check: Check = lambda program, statement: None
    flops: Cost = lambda program, statement, size: size(program.arrays[statement.out.name].dims)
    in_place: bool = False


def size_of_input(
    program: Program, statement: Statement, size: Callable[[tuple[Dim, ...]], int]
) -> int:
    """Return what a statement costs that takes every number of its first input once."""
    return size(program.arrays[statement.inputs[0].name].dims)


def lead_dims(array: Array) -> tuple[Dim, ...]:
    """Return the axes of samples and of time of an array."""
    return tuple(dim for dim in array.dims if isinstance(dim, str))


OPERATIONS: dict[str, Operation] = {}


def register(operation: Operation) -> None:
    """Add a row."""
    OPERATIONS[operation.name] = operation


def refuse(program: Program, statement: Statement, why: str) -> CompileError:
    """Return the error for a statement that breaks its rule, with all types."""
    types = ", ".join(
        f"{ref.name}: {program.arrays[ref.name].type_text()}"
        for ref in (statement.out, *statement.inputs)
        if ref.name in program.arrays
    )
    return CompileError(f"{statement}: {why} ({types})")


def turned_back(op: str) -> Gradient:
    """Return the gradient rule of a linear operation on one operand: ``op``, its transpose."""

    def gradient(backward: Backward, statement: Statement) -> None:
        (x,) = statement.inputs
        if backward.wanted(x):
            attributes = dict(statement.attributes)
            backward.add(op, backward.of(x), backward.of(statement.out), given=attributes)

    return gradient


def same_type(program: Program, statement: Statement) -> None:
    """Check that output and inputs have equal dimensions, up to leading axes that broadcast."""
    out = program.arrays[statement.out.name]
    for ref in statement.inputs:
        if program.arrays[ref.name].role in ("parameter", "table"):
            continue
        array = program.arrays[ref.name]
        if array.lead and array.nodes != out.nodes:
            raise refuse(program, statement, "its operands have different nodes")
