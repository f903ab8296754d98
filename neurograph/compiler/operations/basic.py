"""Operations that move numbers: fill, copy, transpose, gather and scatter, sums for biases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import (
    Operation,
    refuse,
    register,
    same_type,
    size_of_input,
    turned_back,
)
from neurograph.compiler.program import Program, Statement
from neurograph.graph.distinct import all_differ

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


NARROW = 64  # rows of fewer channels are joined before a bias is added: NumPy likes long rows


# fill: every element becomes a number


def _emit_fill(e: Emitter, statement: Statement) -> None:
    e.line(f"{e.name(statement.out)}[...] = {statement.get('value')}")


register(Operation("fill", _emit_fill))


# copy: out (+)= factor * x; a leading axis that x lacks is repeated


def _emit_copy(e: Emitter, statement: Statement) -> None:
    (x,) = statement.inputs
    factor = statement.get("factor", 1)
    out, source = e.name(statement.out), e.name(x)
    if e.ndim(x) > e.ndim(statement.out):  # the gradient of a repeated operand

        def add_up(into: str) -> None:
            e.line(f"np.add.reduce({source}, axis=0, out={into})")
            if factor != 1:
                e.line(f"{into} *= {factor}")

        e.into(statement, add_up)
    elif factor == 1:
        e.line(f"{out} += {source}" if statement.accumulate else f"{out}[...] = {source}")
    elif factor == -1 and statement.accumulate:
        e.line(f"{out} -= {source}")
    else:
        e.into(statement, lambda into: e.line(f"np.multiply({source}, {factor}, out={into})"))


register(Operation("copy", _emit_copy, turned_back("copy"), same_type, in_place=True))


# transpose: (B, n) <-> (n, B), (T, B, n) <-> (T, n, B)


def _emit_transpose(e: Emitter, statement: Statement) -> None:
    (x,) = statement.inputs
    nodes_last = x if e.nodes_first(statement.out) else statement.out
    lead = e.lead(nodes_last)
    axes = [*range(lead - 1), lead, lead - 1]
    flat = e.shape(nodes_last)[:lead]
    source, out = e.name(x), e.name(statement.out)
    sign = " +=" if statement.accumulate else "[...] ="
    if nodes_last is x:
        source = (
            f"{source}.reshape({', '.join(map(str, flat))}, -1)"
            if e.ndim(x) != lead + 1
            else source
        )
        e.line(f"{out}{sign} {source}.transpose({', '.join(map(str, axes))})")
    else:
        if e.ndim(statement.out) != lead + 1:
            out = f"{out}.reshape({', '.join(map(str, flat))}, -1)"
            sign = "[...] +=" if statement.accumulate else sign
        e.line(f"{out}{sign} {source}.transpose({', '.join(map(str, axes))})")


register(Operation("transpose", _emit_transpose, turned_back("transpose")))


# gather: out = x[rows] of an array with the nodes first; scatter adds back


def _emit_gather(e: Emitter, statement: Statement) -> None:
    (x,) = statement.inputs
    rows = e.constant(statement.get("rows"))
    axis = e.ndim(x) - 2
    e.into(
        statement,
        lambda out: e.line(f"np.take({e.name(x)}, {rows}, axis={axis}, out={out}, mode='clip')"),
    )


def _emit_scatter(e: Emitter, statement: Statement) -> None:
    (d,) = statement.inputs
    rows = e.constant(statement.get("rows"))
    place, values = e.name(statement.out), e.name(d)
    if not statement.accumulate:
        e.line(f"{place}[...] = 0")
    index = f"(slice(None), {rows})" if e.ndim(d) > 2 else rows
    contents = e.constant_value(statement.get("rows"))
    if all_differ(contents):
        if statement.accumulate:
            t, axis = e.scratch(e.shape(d)), e.ndim(d) - 2
            e.line(f"np.take({place}, {rows}, axis={axis}, out={t}, mode='clip')")
            e.line(f"{t} += {values}")
            values = t
        e.line(f"{place}[{index}] = {values}")
    else:
        e.line(f"np.add.at({place}, {index}, {values})")


register(Operation("gather", _emit_gather, turned_back("scatter")))


register(Operation("scatter", _emit_scatter, turned_back("gather"), flops=size_of_input))


# bias: out += b along the nodes, repeated over their last axis; sums is its gradient


def _check_bias(program: Program, statement: Statement) -> None:
    out = program.arrays[statement.out.name]
    b = program.arrays[statement.inputs[-1].name]
    if out.nodes and out.nodes[-1] % b.nodes[-1]:
        raise refuse(program, statement, "a bias does not fit the nodes")


def _emit_bias(e: Emitter, statement: Statement) -> None:
    (b,) = statement.inputs
    size = e.shape(b)[0]
    if e.ndim(statement.out) > 2 and size <= NARROW and e.is_contiguous(statement.out):
        width = e.shape(statement.out)[-2]
        row = e.scratch((width, size))
        e.line(f"{row}[...] = {e.name(b)}")
        out, operand = e.rows(statement.out, width * size), f"{row}.reshape(-1)"
    elif e.shape(statement.out)[-1] == size:
        out, operand = e.name(statement.out), e.name(b)
    else:
        out, operand = e.rows(statement.out, size), e.name(b)
    if statement.accumulate:
        e.line(f"np.add({out}, {operand}, out={out})")
    else:
        e.line(f"{out}[...] = {operand}")


def _emit_sums(e: Emitter, statement: Statement) -> None:
    (d,) = statement.inputs
    size = e.shape(statement.out)[0]
    rows = e.rows(d, size)
    ones, plain = e.ones(e.size(d) // size), e.is_contiguous(d)
    e.into(statement, lambda out: e.dot(ones, rows, out, plain))


register(Operation("bias", _emit_bias, turned_back("sums"), _check_bias))
register(Operation("sums", _emit_sums))


# scale: out (+)= x * w, weights along the last axis; dots is the gradient with respect to w


def _gradient_scale(backward: Backward, statement: Statement) -> None:
    x, w = statement.inputs
    d_out = backward.of(statement.out)
    if backward.wanted(x):
        backward.add("scale", backward.of(x), d_out, w)
    if backward.wanted(w):
        backward.add("dots", backward.of(w), x, d_out)


def _emit_scale(e: Emitter, statement: Statement) -> None:
    x, w = statement.inputs
    size = e.shape(w)[0]
    if e.nodes_first(x):
        e.into(
            statement,
            lambda out: e.line(f"np.multiply({e.name(x)}, {e.name(w)}[:, None], out={out})"),
        )
    else:
        e.into(
            statement,
            lambda out: e.line(f"np.multiply({e.rows(x, size)}, {e.name(w)}, out={out})"),
            columns=size,
        )


def _emit_dots(e: Emitter, statement: Statement) -> None:
    x, d = statement.inputs
    size = e.shape(statement.out)[0]
    t = e.scratch(e.shape(x))
    e.line(f"np.multiply({e.name(x)}, {e.name(d)}, out={t})")
    if e.nodes_first(x):
        axes = "-1" if e.ndim(d) == 2 else "(0, -1)"
        e.into(statement, lambda out: e.line(f"np.add.reduce({t}, axis={axes}, out={out})"))
    else:
        ones = e.ones(e.size(x) // size)
        rows = t if e.ndim(x) == 2 and e.shape(x)[1] == size else f"{t}.reshape(-1, {size})"
        e.into(statement, lambda out: e.line(f"np.dot({ones}, {rows}, out={out})"))


register(Operation("scale", _emit_scale, _gradient_scale))
register(Operation("dots", _emit_dots))
