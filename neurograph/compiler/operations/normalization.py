"""Batch normalisation along the last axis, by the statistics of the batch or by the moving ones.

The operands after x are those of gamma and beta that exist, in this order, then for ``rescale``
(the form for inference) the moving mean and variance. ``relu=1`` cuts the outputs off at 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import Operation, register, same_type
from neurograph.compiler.program import Ref, Statement

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


def split(statement: Statement) -> tuple[Ref, Ref | None, Ref | None, list[Ref]]:
    """Return x, gamma, beta and the moving statistics of a statement."""
    x, *rest = statement.inputs
    return x, taken(rest, statement, "scale"), taken(rest, statement, "center"), rest


def taken(rest: list[Ref], statement: Statement, mark: str) -> Ref | None:
    """Take the next operand off a list if the statement is marked to have it."""
    return rest.pop(0) if statement.get(mark) else None


def wanted_vectors(backward: Backward, gamma: Ref | None, beta: Ref | None) -> dict[str, Ref]:
    """Return those of gamma and beta whose gradients are asked for, by the mark that says so."""
    return {
        mark: each
        for mark, each in (("to_gamma", gamma), ("to_beta", beta))
        if each is not None and backward.wanted(each)
    }


def vector(e: Emitter, ref: Ref | None) -> str:
    """Return gamma, beta or one of their gradients as an argument; they may be missing."""
    return "None" if ref is None else e.name(ref)


def samples(e: Emitter, ref: Ref) -> str:
    """Return an operand with all leading axes in one."""
    if e.lead(ref) == 1:
        return e.name(ref)
    nodes = ", ".join(map(str, e.shape(ref)[e.lead(ref) :]))
    return e.alias(ref, "samples", f"{ref.name}.reshape({sample_count(e, ref)}, {nodes})")


def sample_count(e: Emitter, ref: Ref) -> int:
    """Return how many samples an operand has, with all leading axes in one."""
    return math.prod(e.shape(ref)[: e.lead(ref)])


def _workspace(e: Emitter, statement: Statement, x: Ref) -> str:
    return e.top(
        f"{statement.get('name')}_workspace",
        f"BatchNormWorkspace({e.shape(x)[e.lead(x) :]}, {sample_count(e, x)}, "
        f"np.{e.dtype(x)}, team, epsilon={statement.get('epsilon')!r})",
        own=True,
    )


# normalize: a training batch


def _gradient_normalize(backward: Backward, statement: Statement) -> None:
    x, gamma, beta, _ = split(statement)
    wanted = wanted_vectors(backward, gamma, beta)
    if not wanted and not backward.wanted(x):
        return
    inputs = [backward.of(statement.out), x, *([gamma] if gamma is not None else [])]
    inputs += [statement.out] if statement.get("relu") else []
    backward.add(
        "normalize_gradient",
        backward.of(x),
        *inputs,
        *map(backward.of, wanted.values()),
        given=dict(statement.attributes) | dict.fromkeys(wanted, 1),
    )


def _emit_normalize(e: Emitter, statement: Statement) -> None:
    x, gamma, beta, _ = split(statement)
    workspace = _workspace(e, statement, x)
    relu = ", relu=True" if statement.get("relu") else ""
    e.line(
        f"batch_norm({samples(e, x)}, {vector(e, gamma)}, {vector(e, beta)}, "
        f"{samples(e, statement.out)}, {workspace}{relu})"
    )


def _emit_normalize_gradient(e: Emitter, statement: Statement) -> None:
    d, x, *rest = statement.inputs
    gamma, out, d_gamma, d_beta = (
        taken(rest, statement, mark) for mark in ("scale", "relu", "to_gamma", "to_beta")
    )
    workspace = _workspace(e, statement, x)
    shown = "None" if out is None else samples(e, out)
    add = ", accumulate=True" if statement.accumulate else ""
    e.line(
        f"batch_norm_gradient({samples(e, x)}, {vector(e, gamma)}, {shown}, {samples(e, d)}, "
        f"{vector(e, d_gamma)}, {vector(e, d_beta)}, {samples(e, statement.out)}, "
        f"{workspace}{add})"
    )


register(Operation("normalize", _emit_normalize, _gradient_normalize, same_type))
register(Operation("normalize_gradient", _emit_normalize_gradient))


# rescale: the same by the moving statistics, which are constants then, as gamma and beta are where
# a gradient goes through it (frozen=1)


def _emit_rescale(e: Emitter, statement: Statement) -> None:
    x, gamma, beta, (mean, variance) = split(statement)
    workspace = _workspace(e, statement, x)
    relu = ", relu=True" if statement.get("relu") else ""
    e.line(
        f"batch_norm_inference({samples(e, x)}, {vector(e, gamma)}, {vector(e, beta)}, "
        f"{e.name(mean)}, {e.name(variance)}, {samples(e, statement.out)}, {workspace}{relu})"
    )


def _gradient_rescale(backward: Backward, statement: Statement) -> None:
    x, gamma, _, (_, variance) = split(statement)
    if backward.wanted(x):
        factors = [variance] if gamma is None else [variance, gamma]
        cut = [statement.out] if statement.get("relu") else []
        backward.add(
            "rescale_gradient",
            backward.of(x),
            backward.of(statement.out),
            *factors,
            *cut,
            given=dict(statement.attributes),
        )


def _emit_rescale_gradient(e: Emitter, statement: Statement) -> None:
    d, variance, *rest = statement.inputs
    gamma = taken(rest, statement, "scale")
    s, shape, source = _factors(e, statement, gamma, variance), e.shape(d), e.name(d)
    if rest:
        positive, t = e.mask(shape), e.scratch(shape)
        e.line(f"np.greater({e.name(rest[0])}, 0, out={positive})")
        e.line(f"np.multiply({source}, {positive}, out={t})")
        source = t
    e.into(statement, lambda out: e.line(f"np.multiply({source}, {s}, out={out})"))


register(Operation("rescale", _emit_rescale, _gradient_rescale, same_type))
register(Operation("rescale_gradient", _emit_rescale_gradient))


# fold_kernel, fold_shift: a kernel and a bias that rescale what comes out of them


def _factors(e: Emitter, statement: Statement, gamma: Ref | None, variance: Ref) -> str:
    s = e.scratch(e.shape(variance))
    e.line(f"np.add({e.name(variance)}, {statement.get('epsilon')!r}, out={s})")
    e.line(f"np.sqrt({s}, out={s})")
    top = "1" if gamma is None else e.name(gamma)
    e.line(f"np.divide({top}, {s}, out={s})")
    return s


def _emit_fold_kernel(e: Emitter, statement: Statement) -> None:
    kernel, gamma, _, (_, variance) = split(statement)
    s = _factors(e, statement, gamma, variance)
    e.line(f"np.multiply({e.name(kernel)}, {s}, out={e.name(statement.out)})")


def _emit_fold_shift(e: Emitter, statement: Statement) -> None:
    mean, gamma, beta, (variance, *bias) = split(statement)
    s, out = _factors(e, statement, gamma, variance), e.name(statement.out)
    if bias:
        e.line(f"np.subtract({e.name(bias[0])}, {e.name(mean)}, out={out})")
    else:
        e.line(f"np.negative({e.name(mean)}, out={out})")
    e.line(f"{out} *= {s}")
    if beta is not None:
        e.line(f"{out} += {e.name(beta)}")


register(Operation("fold_kernel", _emit_fold_kernel))
register(Operation("fold_shift", _emit_fold_shift))
