"""Lookup: rows of a table by index, which is the product of one-hot vectors with the table.

The index is an operand of floats, as all inputs are; it is turned into whole numbers once a run.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import Operation, register, turned_back
from neurograph.compiler.program import Ref, Statement

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


def _indices(e: Emitter, x: Ref) -> str:
    """Return the indices of an operand as whole numbers, in one row."""
    size = e.size(x)
    name = e.top(f"{x.name}_indices", f"np.empty({size}, np.int64)")
    flat = f"{e.name(x)}.reshape(-1)"
    e.line(f"np.copyto({name}, {flat}, casting='unsafe')")
    return name


def _gradient_lookup(backward: Backward, statement: Statement) -> None:
    x, table = statement.inputs
    if backward.wanted(table):
        backward.add("lookup_gradient", backward.of(table), x, backward.of(statement.out))


def _emit_lookup(e: Emitter, statement: Statement) -> None:
    x, table = statement.inputs
    indices = _indices(e, x)
    width = e.shape(table)[-1]
    e.into(
        statement,
        lambda out: e.line(f"np.take({e.name(table)}, {indices}, axis=0, out={out}, mode='clip')"),
        columns=width,
    )


def _emit_lookup_gradient(e: Emitter, statement: Statement) -> None:
    """Add each delta to its row: a product with the one-hot rows as a sparse matrix."""
    x, d = statement.inputs
    indices = _indices(e, x)
    rows, width = e.shape(statement.out)
    count = e.size(x)
    out = e.alias(statement.out, "flat", f"{e.name(statement.out)}.reshape(-1)")
    starts = e.top(f"starts_{count}", f"np.arange({count + 1})")
    e.line(f"np.clip({indices}, 0, {rows - 1}, out={indices})")  # as the lookup itself does
    if not statement.accumulate:
        e.line(f"{e.name(statement.out)}[...] = 0")
    e.line(
        f"csc_matvecs({rows}, {count}, {width}, {starts}, {indices}, {e.ones(count)}, "
        f"{e.rows(d, width)}.reshape(-1), {out})"
    )


register(Operation("lookup", _emit_lookup, _gradient_lookup))
register(Operation("lookup_gradient", _emit_lookup_gradient))


# spread: every node of x feeds a row of nodes, x (…, P) -> (…, P, n); row_sums is its gradient


def _emit_spread(e: Emitter, statement: Statement) -> None:
    (x,) = statement.inputs
    width = e.shape(statement.out)[-1]
    count = math.prod(e.shape(statement.out)) // width
    column = f"{e.name(x)}.reshape({count}, 1)"
    sign = "+=" if statement.accumulate else "="
    e.line(f"{e.rows(statement.out, width)}[...] {sign} {column}")


def _emit_row_sums(e: Emitter, statement: Statement) -> None:
    (d,) = statement.inputs
    width = e.shape(d)[-1]
    sums = e.scratch((e.size(d) // width,))
    e.line(f"np.add.reduce({e.rows(d, width)}, axis=-1, out={sums})")
    sign = "+=" if statement.accumulate else "="
    e.line(f"{e.name(statement.out)}[...] {sign} {sums}.reshape({e.shape(statement.out)})")


register(Operation("spread", _emit_spread, turned_back("row_sums")))
register(Operation("row_sums", _emit_row_sums))
