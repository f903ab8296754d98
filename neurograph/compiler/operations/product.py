"""Products: every node of one block feeds every node of another.

``product`` takes x with its nodes last, (…, k), and w (k, n); with ``turned=1`` w is (n, k).
Arrays with the nodes first are (k, B) or (T, k, B). ``outer`` is its gradient with respect to w.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import Operation, refuse, register
from neurograph.compiler.program import Dim, Program, Statement

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


def _check(program: Program, statement: Statement) -> None:
    x, w = (program.arrays[ref.name] for ref in statement.inputs)
    out = program.arrays[statement.out.name]
    k, n = reversed(w.dims) if statement.get("turned") else w.dims
    if x.nodes[-1] != k or out.nodes[-1] != n:
        raise refuse(program, statement, "the sizes of a product do not fit")


def _gradient(backward: Backward, statement: Statement) -> None:
    x, w = statement.inputs
    turned = int(statement.get("turned", 0))
    d_out = backward.of(statement.out)
    if backward.wanted(x):
        backward.add("product", backward.of(x), d_out, w, turned=1 - turned)
    if backward.wanted(w):
        backward.add("outer", backward.of(w), x, d_out, turned=turned)


def _emit(e: Emitter, statement: Statement) -> None:
    x, w = statement.inputs
    turned = statement.get("turned", 0)
    matrix = e.name(w)
    if e.nodes_first(statement.out):
        left = matrix if turned else f"{matrix}.T"
        e.into(statement, lambda out: e.dot(left, e.name(x), out, plain=e.ndim(x) == 2))
        return
    right = f"{matrix}.T" if turned else matrix
    columns, rows = e.shape(statement.out)[-1], e.rows(x)
    plain = all(map(e.is_contiguous, (statement.out, x, w)))
    e.into(
        statement,
        lambda out: e.dot(rows, right, out, plain),
        columns=columns,
    )


def _emit_outer(e: Emitter, statement: Statement) -> None:
    x, d = statement.inputs
    turned = statement.get("turned", 0)
    if e.nodes_first(x):
        if e.ndim(x) == 3:
            _emit_outer_through_time(e, statement)
            return
        left, right = (e.name(d), f"{e.name(x)}.T") if turned else (e.name(x), f"{e.name(d)}.T")
    else:
        a, b = e.rows(x), e.rows(d)
        left, right = (f"{b}.T", a) if turned else (f"{a}.T", b)
    plain = all(map(e.is_contiguous, (statement.out, x, d)))
    e.into(statement, lambda out: e.dot(left, right, out, plain))


def _emit_outer_through_time(e: Emitter, statement: Statement) -> None:
    x, d = (e.name(ref) for ref in statement.inputs)
    left, right = (d, x) if statement.get("turned", 0) else (x, d)
    out = e.name(statement.out)
    if not statement.accumulate:
        e.line(f"{out}[...] = 0")
    step = e.scratch(e.shape(statement.out))
    e.line(f"for t in range({e.shape(statement.inputs[0])[0]}):")
    e.line(f"    np.dot({left}[t], {right}[t].T, out={step})")
    e.line(f"    {out} += {step}")


def _flops(program: Program, statement: Statement, size: Callable[[tuple[Dim, ...]], int]) -> int:
    if statement.op == "outer":
        x, d = (program.arrays[ref.name] for ref in statement.inputs)
        return 2 * size(x.dims) * d.nodes[-1]
    x, w = (program.arrays[ref.name] for ref in statement.inputs)
    return 2 * size(x.dims) * size(w.dims) // x.nodes[-1]


register(Operation("product", _emit, _gradient, _check, _flops))
register(Operation("outer", _emit_outer, flops=_flops))
