"""Layer normalisation over some axes of the nodes; the gradient takes the statistics anew from x.

The operands after x are those of gamma and beta that exist, in this order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurograph.compiler.operations.normalization import samples, split, vector
from neurograph.compiler.operations.table import Operation, register, same_type
from neurograph.compiler.program import Ref, Statement

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


def _workspace(e: Emitter, statement: Statement, x: Ref) -> str:
    """Return what runs the statement; those of one shape share it."""
    lead, shape = e.lead(x), e.shape(x)
    count = shape[0] if lead == 1 else shape[0] * shape[1]
    return e.top(
        "layer_norm_workspace",
        f"LayerNormWorkspace({shape[lead:]}, {count}, np.{e.dtype(x)}, team, "
        f"axes={statement.get('axes')}, epsilon={statement.get('epsilon')!r})",
    )


def _gradient_layer_norm(backward: Backward, statement: Statement) -> None:
    x, gamma, beta, _ = split(statement)
    wanted = {
        mark: each
        for mark, each in (("to_gamma", gamma), ("to_beta", beta))
        if each is not None and backward.wanted(each)
    }
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
    gamma = rest.pop(0) if statement.get("scale") else None
    d_gamma = rest.pop(0) if statement.get("to_gamma") else None
    d_beta = rest.pop(0) if statement.get("to_beta") else None
    add = ", accumulate=True" if statement.accumulate else ""
    e.line(
        f"layer_norm_gradient({samples(e, x)}, {vector(e, gamma)}, {samples(e, d)}, "
        f"{vector(e, d_gamma)}, {vector(e, d_beta)}, {samples(e, statement.out)}, "
        f"{_workspace(e, statement, x)}{add})"
    )


register(Operation("layer_norm", _emit_layer_norm, _gradient_layer_norm, same_type, in_place=True))
register(Operation("layer_norm_gradient", _emit_layer_norm_gradient, in_place=True))
