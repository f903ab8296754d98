"""Local response normalisation: among neighbouring channels, which are the last axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurograph.compiler.operations.table import Operation, register, same_type
from neurograph.compiler.program import Statement

if TYPE_CHECKING:
    from neurograph.compiler.backward import Backward
    from neurograph.compiler.emit import Emitter


def _gradient(backward: Backward, statement: Statement) -> None:
    (x,) = statement.inputs
    if backward.wanted(x):
        d, given = backward.of(statement.out), dict(statement.attributes)
        backward.add("local_response_gradient", backward.of(x), d, x, statement.out, given=given)


def _sum(e: Emitter, statement: Statement, values: str, out: str) -> None:
    """Write the sums over each channel and its neighbours."""
    channels, reach = e.shape(statement.out)[-1], statement.get("size") // 2
    e.line(f"{out}[...] = {values}")
    for k in range(1, min(reach, channels - 1) + 1):
        e.line(f"{out}[..., {k}:] += {values}[..., :-{k}]")
        e.line(f"{out}[..., :-{k}] += {values}[..., {k}:]")


def _scale(e: Emitter, statement: Statement, x: str) -> str:
    """Write bias + alpha / size * sum of squares; return where it is."""
    t, s = (e.scratch(e.shape(statement.out)) for _ in range(2))
    e.line(f"np.multiply({x}, {x}, out={t})")
    _sum(e, statement, t, s)
    e.line(f"{s} *= {statement.get('alpha') / statement.get('size')!r}")
    e.line(f"{s} += {statement.get('bias')!r}")
    return s


def _emit(e: Emitter, statement: Statement) -> None:
    x, out = e.name(statement.inputs[0]), e.name(statement.out)
    s = _scale(e, statement, x)
    e.line(f"np.power({s}, {-statement.get('beta')!r}, out={s})")
    e.line(f"np.multiply({x}, {s}, out={out})")


def _emit_gradient(e: Emitter, statement: Statement) -> None:
    d, x, y = (e.name(ref) for ref in statement.inputs)
    s, (t, u) = _scale(e, statement, x), (e.scratch(e.shape(statement.out)) for _ in range(2))
    beta = statement.get("beta")
    e.line(f"np.multiply({d}, {y}, out={t})")
    e.line(f"{t} /= {s}")
    _sum(e, statement, t, u)
    e.line(f"{u} *= {x}")
    e.line(f"{u} *= {-2 * statement.get('alpha') * beta / statement.get('size')!r}")
    e.line(f"np.power({s}, {-beta!r}, out={s})")
    e.line(f"{s} *= {d}")
    e.into(statement, lambda out: e.line(f"np.add({s}, {u}, out={out})"))


register(Operation("local_response", _emit, _gradient, same_type, in_place=True))
register(Operation("local_response_gradient", _emit_gradient, in_place=True))
