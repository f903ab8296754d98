"""Operations between time and space: swap batch and time, and take one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import Operation, register, turned_back
from neurograph.compiler.program import Statement

if TYPE_CHECKING:
    from neurograph.compiler.emit import Emitter


# swap: (B, T, …) <-> (T, B, …)


def _emit_swap(e: Emitter, statement: Statement) -> None:
    out, x = e.name(statement.out), e.name(statement.inputs[0])
    sign = "+=" if statement.accumulate else "="
    e.line(f"{out}[...] {sign} {x}.swapaxes(0, 1)")


register(Operation("swap", _emit_swap, turned_back("swap")))


# step: out (+)= x[at]; unstep is its gradient


def _emit_step(e: Emitter, statement: Statement) -> None:
    out, x = e.name(statement.out), e.name(statement.inputs[0])
    sign = "+=" if statement.accumulate else "="
    e.line(f"{out}[...] {sign} {x}[{statement.get('at')}]")


def _emit_unstep(e: Emitter, statement: Statement) -> None:
    out, d = e.name(statement.out), e.name(statement.inputs[0])
    if not statement.accumulate:
        e.line(f"{out}[...] = 0")
    e.line(f"{out}[{statement.get('at')}] += {d}")


register(Operation("step", _emit_step, turned_back("unstep")))
register(Operation("unstep", _emit_unstep))
