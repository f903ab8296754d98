"""Operations between time and space: swap batch and time, and take one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import Operation, register
from neurograph.compiler.program import Statement

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


# swap: (B, T, …) <-> (T, B, …)


def _gradient_swap(backward: Backward, statement: Statement) -> None:
    (x,) = statement.inputs
    if backward.wanted(x):
        backward.add("swap", backward.of(x), backward.of(statement.out))


def _emit_swap(e: Emitter, statement: Statement) -> None:
    out, x = e.name(statement.out), e.name(statement.inputs[0])
    sign = "+=" if statement.accumulate else "="
    e.line(f"{out}[...] {sign} {x}.swapaxes(0, 1)")


register(Operation("swap", _emit_swap, _gradient_swap))


# step: out (+)= x[at]; unstep is its gradient


def _gradient_step(backward: Backward, statement: Statement) -> None:
    (x,) = statement.inputs
    if backward.wanted(x):
        at = statement.get("at")
        backward.add("unstep", backward.of(x), backward.of(statement.out), at=at)


def _emit_step(e: Emitter, statement: Statement) -> None:
    out, x = e.name(statement.out), e.name(statement.inputs[0])
    sign = "+=" if statement.accumulate else "="
    e.line(f"{out}[...] {sign} {x}[{statement.get('at')}]")


def _emit_unstep(e: Emitter, statement: Statement) -> None:
    out, d = e.name(statement.out), e.name(statement.inputs[0])
    if not statement.accumulate:
        e.line(f"{out}[...] = 0")
    e.line(f"{out}[{statement.get('at')}] += {d}")


register(Operation("step", _emit_step, _gradient_step))
register(Operation("unstep", _emit_unstep))
