"""Fuse a softmax (or sigmoid) with its cross-entropy: the gradient becomes output - target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from neurograph.compiler.program import Program, Ref, Statement, Step, statements
from neurograph.functions import ACTIVATIONS


def fuse_loss(program: Program) -> Program:
    """Return the program with the gradients of loss and output activation taken as one.

    It happens only where the output feeds nothing but the loss, and the loss has such a form.
    """
    steps: list[Step] = list(program.backward)
    for k, step in enumerate(steps):
        if not isinstance(step, Statement) or step.op != "loss" or step.get("form"):
            continue
        form = _form(program, step)
        follower = next(
            (
                j
                for j, other in enumerate(steps)
                if isinstance(other, Statement)
                and other.op in ("softmax_gradient", "activate_gradient")
                and other.inputs[0] == step.out
            ),
            None,
        )
        if form is None or follower is None or _uses(program, step.out) != 2:
            continue
        gradient = steps[follower]
        assert isinstance(gradient, Statement)
        if gradient.accumulate:
            continue
        steps[k] = replace(step, out=gradient.out, attributes=(*step.attributes, ("form", form)))
        del steps[follower]
        return fuse_loss(program.with_steps(program.forward, steps))
    return program


def _form(program: Program, step: Statement) -> str | None:
    output = step.inputs[0].name
    maker = [s for s in statements(program.forward) if s.out.name == output]
    loss = program.constants[str(step.get("loss"))]
    weighted = len(step.inputs) > 2
    if len(maker) != 1:
        return None
    if maker[0].op == "softmax":
        form = "fused_softmax"
    elif maker[0].op == "activate" and _function(program, maker[0]) is ACTIVATIONS["sigmoid"]:
        form = "fused_sigmoid"
    else:
        return None
    make = getattr(loss, form, None)
    return form if make is not None and make(weighted) is not None else None


def _function(program: Program, statement: Statement) -> Any:
    return program.constants[str(statement.get("function"))]


def _uses(program: Program, ref: Ref) -> int:
    base = program.base(ref.name)
    return sum(
        1
        for statement in statements(program.backward)
        for each in (statement.out, *statement.inputs)
        if program.base(each.name) == base
    )
