"""Operations on whole layers: softmax and other layer functions, and the loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import Operation, register, same_type
from neurograph.compiler.program import Statement

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


# softmax along the last axis of the nodes


def _gradient_softmax(backward: Backward, statement: Statement) -> None:
    (net,) = statement.inputs
    if backward.wanted(net):
        backward.add(
            "softmax_gradient", backward.of(net), backward.of(statement.out), statement.out
        )


def _axis_and_narrow(e: Emitter, statement: Statement) -> tuple[int, tuple[int, ...]]:
    shape = e.shape(statement.out)
    if e.nodes_first(statement.out):
        return -2, (*shape[:-2], 1, shape[-1])
    return -1, (*shape[:-1], 1)


def _emit_softmax(e: Emitter, statement: Statement) -> None:
    axis, narrow = _axis_and_narrow(e, statement)
    net, out, m = e.name(statement.inputs[0]), e.name(statement.out), e.scratch(narrow)
    e.line(f"np.maximum.reduce({net}, axis={axis}, keepdims=True, out={m})")
    e.line(f"np.subtract({net}, {m}, out={out})")
    e.line(f"np.exp({out}, out={out})")
    e.line(f"np.add.reduce({out}, axis={axis}, keepdims=True, out={m})")
    e.line(f"{out} /= {m}")


def _emit_softmax_gradient(e: Emitter, statement: Statement) -> None:
    axis, narrow = _axis_and_narrow(e, statement)
    d, y = (e.name(ref) for ref in statement.inputs)
    m, t = e.scratch(narrow), e.scratch(e.shape(statement.out))
    e.line(f"np.multiply({d}, {y}, out={t})")
    e.line(f"np.add.reduce({t}, axis={axis}, keepdims=True, out={m})")
    e.line(f"np.subtract({d}, {m}, out={t})")
    e.into(statement, lambda out: e.line(f"np.multiply({t}, {y}, out={out})"))


register(Operation("softmax", _emit_softmax, _gradient_softmax, same_type, in_place=True))
register(Operation("softmax_gradient", _emit_softmax_gradient))


# apply: any other layer function, called as it is


def _gradient_apply(backward: Backward, statement: Statement) -> None:
    net, *parameters = statement.inputs
    wanted = [each for each in parameters if backward.wanted(each)]
    if backward.wanted(net) or wanted:
        backward.add(
            "apply_gradient",
            backward.of(net),
            backward.of(statement.out),
            net,
            statement.out,
            *map(backward.of, wanted),
            function=statement.get("function"),
        )


def _emit_apply(e: Emitter, statement: Statement) -> None:
    function = e.constant(statement.get("function"))
    training = bool(statement.get("training", 0))
    net = e.name(statement.inputs[0])
    e.line(f"{e.name(statement.out)}[...] = {function}.forward({net}, training={training})")


def _emit_apply_gradient(e: Emitter, statement: Statement) -> None:
    function = e.constant(statement.get("function"))
    d, net, out = (e.name(ref) for ref in statement.inputs[:3])
    sign = "+=" if statement.accumulate else "="
    place = e.name(statement.out) if statement.accumulate else f"{e.name(statement.out)}[...]"
    e.line(f"{place} {sign} {function}.backward({d}, {net}, {out})")


register(Operation("apply", _emit_apply, _gradient_apply, same_type))
register(Operation("apply_gradient", _emit_apply_gradient))


# loss: the mean over the batch, and its gradient with respect to the output


def _emit_loss(e: Emitter, statement: Statement) -> None:
    output, target, *weight = statement.inputs
    loss = e.constant_value(statement.get("loss"))
    names = {"output": e.name(output), "target": e.name(target), "d_output": e.name(statement.out)}
    if weight:
        names["weight"] = e.name(weight[0])
    kind = statement.get("form", "lines")
    lines = getattr(loss, kind)(bool(weight))
    factor = statement.get("factor", 1)
    total = e.loss_name(factor)
    if lines is None:
        extra = f", {names['weight']}" if weight else ""
        name = e.constant(statement.get("loss"))
        e.line(
            f"{total}, {names['d_output']}[...] = "
            f"{name}.value_and_gradient({names['target']}, {names['output']}{extra})"
        )
    else:
        e.lines(lines, {**names, "loss": total, "batch": str(e.batch)}, e.shape(output))
    if factor != 1:
        e.line(f"{names['d_output']} *= {factor}")


register(Operation("loss", _emit_loss))


# step_weight: 1 where a mask is not 0, times what makes a mean over those steps, and given weights


def _emit_step_weight(e: Emitter, statement: Statement) -> None:
    mask, *weight = (e.name(ref) for ref in statement.inputs)
    shape, out = e.shape(statement.inputs[0]), e.name(statement.out)
    counts = e.mask(shape)
    e.line(f"np.not_equal({mask}, 0, out={counts})")
    share = f"{math.prod(shape)} / max(1, np.count_nonzero({counts}))"
    e.line(f"np.multiply({counts}, {share if statement.get('mean') else 1}, out={out})")
    for each in weight:
        e.line(f"{out} *= {each}")


register(Operation("step_weight", _emit_step_weight))


# penalty: a regularizer's gradient, and its share of the loss


def _emit_penalty(e: Emitter, statement: Statement) -> None:
    (w,) = statement.inputs
    l1, l2 = statement.get("l1"), statement.get("l2")
    total, name, out = e.loss_name(penalty=True), e.name(w), e.name(statement.out)
    t = e.scratch(e.shape(w))
    terms = []
    if l2:
        e.line(f"np.multiply({name}, {2 * l2!r}, out={t})")
        e.line(f"{out} += {t}")
        flat = e.flat(w)
        terms.append(f"{l2!r} * float(np.dot({flat}, {flat}))")
    if l1:
        e.line(f"np.abs({name}, out={t})")
        terms.append(f"{l1!r} * float({t}.sum())")
    e.line(f"{total} = {' + '.join(terms)}")
    if l1:
        e.line(f"np.sign({name}, out={t})")
        e.line(f"{t} *= {l1!r}")
        e.line(f"{out} += {t}")


register(Operation("penalty", _emit_penalty))
