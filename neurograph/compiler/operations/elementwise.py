"""Elementwise operations: activations, products and maxima of several operands."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import Operation, register, same_type
from neurograph.compiler.program import Statement
from neurograph.functions import Activation
from neurograph.lines import Lines

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


def gradient_reads(activation: Activation) -> tuple[bool, bool]:
    """Return whether the derivative of an activation reads its net input and its output."""
    lines = activation.gradient_lines
    if lines is None:
        return True, True
    words = set(re.findall(r"\w+", lines.text))
    return "x" in words, "y" in words


def runs_in_place(activation: Activation) -> bool:
    """Whether the output may overwrite the net input while the lines run."""
    if activation.lines is None:
        return False
    lines = activation.lines.text.splitlines()
    first = next(k for k, line in enumerate(lines) if re.search(r"^y\b|out=y\b", line))
    return not any(re.search(r"\bx\b", line) for line in lines[first + 1 :])


# activate: out = function(net)


def _gradient_activate(backward: Backward, statement: Statement) -> None:
    (net,) = statement.inputs
    if not backward.wanted(net):
        return
    activation = backward.constant(statement.get("function"))
    reads_net, reads_out = gradient_reads(activation)
    kept = [net] if reads_net else []
    kept += [statement.out] if reads_out else []
    uses = "x" * reads_net + "y" * reads_out
    backward.add(
        "activate_gradient",
        backward.of(net),
        backward.of(statement.out),
        *kept,
        function=statement.get("function"),
        uses=uses or "none",
    )


def _emit_activate(e: Emitter, statement: Statement) -> None:
    (net,) = statement.inputs
    activation: Activation = e.constant_value(statement.get("function"))
    out = e.name(statement.out)
    if activation.lines is None:
        name = e.constant(statement.get("function"))
        e.line(f"{out}[...] = {name}.function({e.name(net)})")
        return
    e.lines(activation.lines, {"x": e.name(net), "y": out}, e.shape(statement.out))


def _emit_activate_gradient(e: Emitter, statement: Statement) -> None:
    d, *kept = statement.inputs
    activation: Activation = e.constant_value(statement.get("function"))
    uses = statement.get("uses")
    names = {letter: e.name(ref) for letter, ref in zip(uses, kept, strict=False)}
    shape, source = e.shape(statement.out), e.name(d)
    in_place = not statement.accumulate and e.same(statement.out, d)
    work = e.scratch(shape) if statement.accumulate else e.name(statement.out)
    lines = activation.gradient_lines
    if lines is None:
        name = e.constant(statement.get("function"))
        slope = f"{name}.derivative({names['x']}, {names['y']})"
        lines = Lines(f"d *= {slope}")
    if not in_place:
        lines = replace(lines, text=_out_of_place(lines.text))
    e.lines(lines, {"d": work, "source": source, **names}, shape)
    if statement.accumulate:
        e.line(f"{e.name(statement.out)} += {work}")


def _out_of_place(text: str) -> str:
    """Let the first line that changes ``d`` read ``source`` instead, so that no copy is needed."""
    lines = text.splitlines()
    for k, line in enumerate(lines):
        if re.match(r"d \*= ", line):
            return "\n".join(
                [*lines[:k], f"np.multiply(source, {line[5:]}, out=d)", *lines[k + 1 :]]
            )
        if re.search(r"\bd\b", line):
            break
    return "\n".join(["d[...] = source", *lines])


register(Operation("activate", _emit_activate, _gradient_activate, same_type, in_place=True))
register(Operation("activate_gradient", _emit_activate_gradient, in_place=True))


# multiply: out (+)= a * b * …


def _gradient_multiply(backward: Backward, statement: Statement) -> None:
    d_out = backward.of(statement.out)
    for k, operand in enumerate(statement.inputs):
        if backward.wanted(operand):
            others = [each for j, each in enumerate(statement.inputs) if j != k]
            backward.add("multiply", backward.of(operand), d_out, *others)


def _emit_multiply(e: Emitter, statement: Statement) -> None:
    _write_product(e, statement, [e.name(ref) for ref in statement.inputs])


def _write_product(e: Emitter, statement: Statement, factors: list[str]) -> None:
    """Write the product of operands; summed over time if the output is without."""
    first, *others = factors

    def write(out: str) -> None:
        e.line(
            f"np.multiply({first}, {others[0]}, out={out})" if others else f"{out}[...] = {first}"
        )
        for other in others[1:]:
            e.line(f"{out} *= {other}")

    if e.ndim(statement.inputs[0]) > e.ndim(statement.out):  # the operand was repeated over time
        whole = e.scratch(e.shape(statement.inputs[0]))
        write(whole)
        e.into(statement, lambda out: e.line(f"np.add.reduce({whole}, axis=0, out={out})"))
    else:
        e.into(statement, write)


register(Operation("multiply", _emit_multiply, _gradient_multiply, same_type))


# maximum: out = max(a, b, …); the gradient goes to the first that attains it


def _gradient_maximum(backward: Backward, statement: Statement) -> None:
    d_out = backward.of(statement.out)
    for k, operand in enumerate(statement.inputs):
        if backward.wanted(operand):
            rivals = statement.inputs[: k + 1]
            backward.add("maximum_gradient", backward.of(operand), d_out, statement.out, *rivals)


def _emit_maximum(e: Emitter, statement: Statement) -> None:
    first, *others = (e.name(ref) for ref in statement.inputs)
    out = e.name(statement.out)
    e.line(f"np.maximum({first}, {others[0]}, out={out})" if others else f"{out}[...] = {first}")
    for other in others[1:]:
        e.line(f"np.maximum({out}, {other}, out={out})")


def _emit_maximum_gradient(e: Emitter, statement: Statement) -> None:
    d, out, *rivals = (e.name(ref) for ref in statement.inputs)
    *earlier, own = rivals
    shape = e.shape(statement.inputs[0])
    wins = e.mask(shape)
    e.line(f"np.equal({own}, {out}, out={wins})")
    if earlier:
        beaten = e.mask(shape)
        for rival in earlier:
            e.line(f"np.not_equal({rival}, {out}, out={beaten})")
            e.line(f"{wins} &= {beaten}")
    _write_product(e, statement, [d, wins])


register(Operation("maximum", _emit_maximum, _gradient_maximum, same_type))
register(Operation("maximum_gradient", _emit_maximum_gradient))
