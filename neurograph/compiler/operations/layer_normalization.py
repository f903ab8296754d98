"""Layer normalisation over some axes of the nodes; the gradient takes the statistics anew from x.

The operands after x are those of gamma and beta that exist, in this order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurograph.compiler.operations.normalization import (
    sample_count,
    samples,
    split,
    taken,
    vector,
    wanted_vectors,
)
from neurograph.compiler.operations.table import Operation, register, same_type
from neurograph.compiler.program import Ref, Statement

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


def _workspace(e: Emitter, statement: Statement, x: Ref) -> str:
    """Return what runs the statement; those of one shape share it."""
    return e.top(
        "layer_norm_workspace",
        f"LayerNormWorkspace({e.shape(x)[e.lead(x) :]}, {sample_count(e, x)}, "
        f"np.{e.dtype(x)}, team, axes={statement.get('axes')}, "
        f"epsilon={statement.get('epsilon')!r})",
    )


def _gradient_layer_norm(backward: Backward, statement: Statement) -> None:
    x, gamma, beta, _ = split(statement)
    wanted = wanted_vectors(backward, gamma, beta)
    if not wanted and not backward.wanted(x):
        return
    backward.add(
        "layer_norm_gradient",
        backward.of(x),
        backward.of(statement.out),
        x,
        *([gamma] if gamma is not None else []),
        *map(backward.of, wanted.values()),
        given=dict(statement.attributes) | dict.fromkeys(wanted, 1),
    )


def _emit_layer_norm(e: Emitter, statement: Statement) -> None:
    x, gamma, beta, _ = split(statement)
    e.line(
        f"layer_norm({samples(e, x)}, {vector(e, gamma)}, {vector(e, beta)}, "
        f"{samples(e, statement.out)}, {_workspace(e, statement, x)})"
    )


def _emit_layer_norm_gradient(e: Emitter, statement: Statement) -> None:
    d, x, *rest = statement.inputs
    gamma, d_gamma, d_beta = (
        taken(rest, statement, mark) for mark in ("scale", "to_gamma", "to_beta")
    )
    add = ", accumulate=True" if statement.accumulate else ""
    e.line(
        f"layer_norm_gradient({samples(e, x)}, {vector(e, gamma)}, {samples(e, d)}, "
        f"{vector(e, d_gamma)}, {vector(e, d_beta)}, {samples(e, statement.out)}, "
        f"{_workspace(e, statement, x)}{add})"
    )


register(Operation("layer_norm", _emit_layer_norm, _gradient_layer_norm, same_type, in_place=True))
register(Operation("layer_norm_gradient", _emit_layer_norm_gradient, in_place=True))
