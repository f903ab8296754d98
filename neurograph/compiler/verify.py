"""Verify: the rules every program keeps, checked after lowering and after every pass."""

from __future__ import annotations

from neurograph.compiler.operations import OPERATIONS
from neurograph.compiler.program import Loop, Program, Ref, Statement
from neurograph.errors import CompileError

_READY = ("input", "target", "parameter", "gradient", "noise", "table", "state")
_GIVEN = (
    "target",
    "parameter",
    "noise",
    "table",
    "state",
)  # set from outside, never by a statement


def verify(program: Program, after: str = "") -> None:
    """Check that a program is well formed.

    Every operation and array is known, shapes fit, nothing is read before it is set, and nothing
    that comes from outside is overwritten.

    Raises
    ------
    CompileError
        Naming the statement and the pass after which it is wrong.
    """
    written: set[str] = {name for name, a in program.arrays.items() if a.role in _READY}
    where = f" (after {after})" if after else ""
    for step in (*program.forward, *program.backward):
        if isinstance(step, Loop):
            inside = {program.base(s.out.name) for s in step.body}
            for statement in step.body:
                _check(program, statement, written | inside, where)
            written |= inside
        else:
            _check(program, step, written, where)
            written.add(program.base(step.out.name))
    for name in (*program.outputs, *program.kept):
        if name not in program.arrays:
            raise CompileError(f"the output {name!r} is not declared{where}")


def _check(program: Program, statement: Statement, written: set[str], where: str) -> None:
    operation = OPERATIONS.get(statement.op)
    if operation is None:
        raise CompileError(f"{statement}: there is no operation {statement.op!r}{where}")
    for ref in (statement.out, *statement.inputs):
        if ref.name not in program.arrays:
            raise CompileError(f"{statement}: {ref.name!r} is not declared{where}")
        _check_offset(program, statement, ref, where)
    if program.arrays[program.base(statement.out.name)].role in _GIVEN:
        role = program.arrays[program.base(statement.out.name)].role
        raise CompileError(f"{statement}: {statement.out.name!r} is a {role}, not to be set{where}")
    reads = [*statement.inputs, *([statement.out] if statement.accumulate else [])]
    for ref in reads:
        if program.base(ref.name) not in written:
            raise CompileError(f"{statement}: {ref.name!r} is read before it is set{where}")
    operation.check(program, statement)


def _check_offset(program: Program, statement: Statement, ref: Ref, where: str) -> None:
    if ref.offset is None:
        return
    dims = program.arrays[ref.name].dims
    if not dims or not isinstance(dims[0], str) or not dims[0].startswith("T"):
        raise CompileError(f"{statement}: {ref.name!r} has no time axis{where}")
