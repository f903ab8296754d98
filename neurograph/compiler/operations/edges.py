"""Operations on explicit edges: sparse products, and weights gathered from anywhere.

All work on arrays with the nodes first, (nodes, B) or (T, nodes, B): a row is one node over the
batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.operations.table import Operation, register, size_of_input, turned_back
from neurograph.compiler.program import Dim, Program, Statement
from neurograph.kernels.edges import BLOCK

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


@dataclass(frozen=True, slots=True, eq=False)
class SparseTable:
    """The edges of a sparse product in compressed rows: row j holds the edges into node j."""

    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]
    downs: NDArray[np.int32]

    @property
    def edges(self) -> int:
        """The number of edges."""
        return len(self.indices)


@dataclass(frozen=True, slots=True, eq=False)
class WeightIndex:
    """Where the elements of a gathered weight array come from.

    ``index`` are flat indices in the parameter, shaped like the array; ``present`` marks the
    elements that are edges (None: all); ``unique`` says that no index occurs twice among them.
    """

    index: NDArray[np.int64]
    present: NDArray[np.bool_] | None
    unique: bool


# sparse: out (+)= S(weights) @ x


def _gradient_sparse(backward: Backward, statement: Statement) -> None:
    x, weights = statement.inputs
    table = statement.get("table")
    d_out = backward.of(statement.out)
    if backward.wanted(x):
        backward.add("sparse_turned", backward.of(x), d_out, weights, table=table)
    if backward.wanted(weights):
        backward.add("edge_dots", backward.of(weights), x, d_out, table=table)


def _flat(e: Emitter, text: str, through_time: bool) -> str:
    if through_time or text.endswith("[t]"):
        return f"{text}.reshape(-1)"
    return e.top(f"{text}_flat", f"{text}.reshape(-1)")


def _emit_matvecs(e: Emitter, statement: Statement) -> None:
    x, weights = statement.inputs
    table = e.constant(statement.get("table"))
    nodes_in, batch = e.shape(x)[-2:]
    nodes_out = e.shape(statement.out)[-2]
    kernel = "csr_matvecs" if statement.op == "sparse" else "csc_matvecs"
    out = e.name(statement.out)
    if not statement.accumulate:
        e.line(f"{out}[...] = 0")
    through_time = e.ndim(x) == 3
    if through_time:
        e.line(f"for t in range({e.shape(x)[0]}):")
    step = "[t]" if through_time else ""
    indent = "    " if through_time else ""
    source = _flat(e, e.name(x) + step, through_time)
    target = _flat(e, out + step, through_time)
    e.line(
        f"{indent}{kernel}({nodes_out}, {nodes_in}, {batch}, {table}_indptr, {table}_indices, "
        f"{e.name(weights)}, {source}, {target})"
    )


def _emit_edge_dots(e: Emitter, statement: Statement) -> None:
    x, d = statement.inputs
    table = e.constant(statement.get("table"))
    batch = e.shape(x)[-1]
    block = (max(1, BLOCK // batch), batch)
    left, right = e.scratch(block), e.scratch(block)
    rest = f"{table}_indices, {table}_downs"
    if e.ndim(x) == 2:
        e.into(
            statement,
            lambda out: e.line(
                f"edge_dots({e.name(x)}, {e.name(d)}, {rest}, {out}, {left}, {right})"
            ),
        )
        return
    out, part = e.name(statement.out), e.scratch(e.shape(statement.out))
    if not statement.accumulate:
        e.line(f"{out}[...] = 0")
    e.line(f"for t in range({e.shape(x)[0]}):")
    e.line(f"    edge_dots({e.name(x)}[t], {e.name(d)}[t], {rest}, {part}, {left}, {right})")
    e.line(f"    {out} += {part}")


def _sparse_flops(
    program: Program, statement: Statement, size: Callable[[tuple[Dim, ...]], int]
) -> int:
    x = program.arrays[statement.inputs[0].name]
    table = program.constants[str(statement.get("table"))]
    columns = size(tuple(dim for dim in x.dims if isinstance(dim, str)))
    return int(2 * table.edges * columns)


register(Operation("sparse", _emit_matvecs, _gradient_sparse, flops=_sparse_flops))
register(Operation("sparse_turned", _emit_matvecs, flops=_sparse_flops))
register(Operation("edge_dots", _emit_edge_dots, flops=_sparse_flops))


# take: a weight array gathered from a parameter; put adds its gradient back


def _emit_take(e: Emitter, statement: Statement) -> None:
    (parameter,) = statement.inputs
    name = e.constant(statement.get("index"))
    index: WeightIndex = e.constant_value(name)
    flat = e.flat(parameter)

    def write(out: str) -> None:
        e.line(f"np.take({flat}, {name}_index, out={out}, mode='clip')")
        if index.present is not None:
            e.line(f"{out} *= {name}_present")

    e.into(statement, write)


def _emit_put(e: Emitter, statement: Statement) -> None:
    (d,) = statement.inputs
    name = e.constant(statement.get("index"))
    index: WeightIndex = e.constant_value(name)
    flat = e.flat(statement.out)
    if not statement.accumulate:
        e.line(f"{flat}[...] = 0")
    chosen, values = f"{name}_index", e.name(d)
    if index.present is not None:
        chosen, values = f"{chosen}[{name}_present]", f"{values}[{name}_present]"
    if index.unique:
        e.line(f"{flat}[{chosen}] += {values}")
    else:
        e.line(f"np.add.at({flat}, {chosen}, {values})")


register(Operation("take", _emit_take, turned_back("put")))
register(Operation("put", _emit_put, flops=size_of_input))
