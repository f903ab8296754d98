"""Operations of recurrent layers: turning time round, holding masked steps, and whole cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import (
    Operation,
    lead_dims,
    register,
    same_type,
    turned_back,
)
from neurograph.compiler.program import Dim, Program, Ref, Statement, statements

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


# reverse: out[t] (+)= x[T - 1 - t]


def _emit_reverse(e: Emitter, statement: Statement) -> None:
    out, x = e.name(statement.out), e.name(statement.inputs[0])
    sign = "+=" if statement.accumulate else "="
    e.line(f"{out}[...] {sign} {x}[::-1]")


register(Operation("reverse", _emit_reverse, turned_back("reverse"), same_type))


# hold: out = new where mask is not 0, else before


def _gradient_hold(backward: Backward, statement: Statement) -> None:
    new, before, mask = statement.inputs
    d_out = backward.of(statement.out)
    if backward.wanted(new):
        backward.add("hold_gradient", backward.of(new), d_out, mask, taken=1)
    if backward.wanted(before):
        backward.add("hold_gradient", backward.of(before), d_out, mask, taken=0)


def _emit_hold(e: Emitter, statement: Statement) -> None:
    new, before, mask = (e.name(ref) for ref in statement.inputs)
    counts = e.mask(e.shape(statement.inputs[2]))
    out = e.name(statement.out)
    e.line(f"np.not_equal({mask}, 0, out={counts})")
    e.line(f"np.copyto({out}, {before})")
    e.line(f"np.copyto({out}, {new}, where={counts})")


def _emit_hold_gradient(e: Emitter, statement: Statement) -> None:
    d, mask = (e.name(ref) for ref in statement.inputs)
    counts = e.mask(e.shape(statement.inputs[1]))
    test = "not_equal" if statement.get("taken") else "equal"
    e.line(f"np.{test}({mask}, 0, out={counts})")
    e.into(statement, lambda out: e.line(f"np.multiply({d}, {counts}, out={out})"))


register(Operation("hold", _emit_hold, _gradient_hold))
register(Operation("hold_gradient", _emit_hold_gradient))


# cell: a recurrent layer through all its steps; x, weights, its mask if it is masked, then the
# initial states there are.
# Inputs and states have the batch first or the nodes first, each for itself. last_memory: what its
# memory (an LSTM's cell state) is after them, an array that ``last`` names


def _gradient_cell(backward: Backward, statement: Statement) -> None:
    x, weights, *firsts = statement.inputs
    firsts = firsts[bool(statement.get("masked")) :]
    wanted_x, wanted_weights = backward.wanted(x), backward.wanted(weights)
    wanted = [each for each in firsts if backward.wanted(each)]
    last = statement.get("last")
    from_last = [backward.of(Ref(last))] if last in backward.names else []
    if not (wanted_x or wanted_weights or wanted):
        return
    apart = [weights] if backward.is_shared(weights) else []
    apart += wanted
    carried = {each: _carried(backward, each) for each in apart}
    d_weights = carried.get(weights) or backward.of(weights)
    marks = {
        "to_x": int(wanted_x),
        "to_h": int(bool(firsts) and firsts[0] in wanted),
        "to_c": int(len(firsts) > 1 and firsts[1] in wanted),
        "from_last": len(from_last),
    }
    refs = [backward.of(statement.out), weights, d_weights]
    refs += [carried[each] for each in wanted] + from_last
    out = backward.of(x) if wanted_x else d_weights
    backward.add("cell_gradient", out, *refs, given=dict(statement.attributes) | marks)
    for each, name in carried.items():
        backward.add("copy", backward.of(each), name)


def _carried(backward: Backward, ref: Ref) -> Ref:
    """Return an array for what one statement brings to a gradient to which others add too."""
    name = backward.builder.like(f"d_{ref.name}_carried", ref.name)
    backward.builder.emit("fill", name, accumulate=False, value=0)
    return Ref(name)


def _cell(e: Emitter, statement: Statement) -> str:
    states = statement.out if statement.op == "cell" else statement.inputs[0]
    steps, *rest = e.shape(states)
    units, batch = rest if e.nodes_first(states) else rest[::-1]
    name = statement.get("name")
    features = statement.get("features")
    options = [f"bias={bool(statement.get('bias'))}", f"backward={bool(statement.get('turned'))}"]
    options += [f"activation='{statement.get('activation')}'"]
    options += ["masked=True"] if statement.get("masked") else []
    options += [f"truncate={statement.get('truncate')}"] if statement.get("truncate") else []
    if not any(
        each.op == "cell_gradient" and each.get("name") == name
        for each in statements(e.program.backward)
    ):
        options += ["gradient=False"]
    return e.top(
        f"{name}_cell",
        f"Cell('{statement.get('kind')}', {steps}, {batch}, {features}, {units}, "
        f"'{e.dtype(statement.out)}', {', '.join(options)})",
        own=True,
    )


def _nodes_last(e: Emitter, ref: Ref) -> str:
    """Return a sequence as (time, batch, nodes)."""
    return f"{e.name(ref)}.swapaxes(1, 2)" if e.nodes_first(ref) else e.name(ref)


def _emit_cell(e: Emitter, statement: Statement) -> None:
    weights, *rest = (e.name(ref) for ref in statement.inputs[1:])
    masked = bool(statement.get("masked"))
    states = "".join(f", {each}" for each in rest[masked:])
    states += f", mask={rest[0]}" if masked else ""
    x, out = _nodes_last(e, statement.inputs[0]), _nodes_last(e, statement.out)
    e.line(f"cell_forward({_cell(e, statement)}, {weights}, {x}, {out}{states})")


def _emit_cell_gradient(e: Emitter, statement: Statement) -> None:
    d_h = _nodes_last(e, statement.inputs[0])
    weights, d_weights, *carried = (e.name(ref) for ref in statement.inputs[1:])
    d_x = _nodes_last(e, statement.out) if statement.get("to_x") else "None"
    extra = ", add=True" if statement.accumulate and statement.get("to_x") else ""
    names = list(carried)
    extra += f", d_h_first={names.pop(0)}" if statement.get("to_h") else ""
    extra += f", d_c_first={names.pop(0)}" if statement.get("to_c") else ""
    extra += f", d_c_last={names.pop(0)}" if statement.get("from_last") else ""
    cell = _cell(e, statement)
    e.line(f"cell_backward({cell}, {weights}, {d_h}, {d_weights}, {d_x}{extra})")


def _emit_last_memory(e: Emitter, statement: Statement) -> None:
    e.line(f"last_memory({_cell(e, statement)}, {e.name(statement.out)})")


def _flops(program: Program, statement: Statement, size: Callable[[tuple[Dim, ...]], int]) -> int:
    """Each weight is used once for a sample and step; twice on the way back."""
    forward = statement.op == "cell"
    states = program.arrays[(statement.out if forward else statement.inputs[0]).name]
    weights = program.arrays[statement.inputs[1].name]
    return (2 if forward else 4) * size(weights.dims) * size(lead_dims(states))


register(Operation("cell", _emit_cell, _gradient_cell, flops=_flops))
register(Operation("last_memory", _emit_last_memory))
register(Operation("cell_gradient", _emit_cell_gradient, flops=_flops))
