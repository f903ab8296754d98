"""Nonfinite: where, in a batch whose loss is not a number, the first such value came from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.compiler.executable import Mode
from neurograph.compiler.plan import Plan
from neurograph.compiler.program import Statement
from neurograph.graph.layer import Layer
from neurograph.parameter import Array

if TYPE_CHECKING:
    from neurograph.train.model import Model

Place = tuple[int, ...]


def first_not_finite(model: Model, mode: Mode, plan: Plan) -> tuple[str, int | None]:
    """Run a batch again, keeping every value, and say where a value first was not finite.

    Parameters
    ----------
    model : Model
    mode : Mode
        That of `plan`.
    plan : Plan
        It has just run the batch; its inputs, targets and noise are used again.

    Returns
    -------
    sentence : str
    row : int or None
        The row of the batch, where there is one.
    """
    for name, parameter in model.network.parameters.items():
        if not np.isfinite(parameter.value).all():
            place = _first(parameter.value)
            return (
                f"parameter {name!r} was already {parameter.value[place]} at {list(place)}: the "
                f"update of the batch before made it so, from a gradient that was too large",
                None,
            )
    if not isinstance(plan, Plan):  # a batch of trees knows its own way
        return plan.first_not_finite(), None
    keep = replace(mode, keep=True)
    again = model.executable.plan(keep, plan.sizes)
    _copy_data(plan, again)
    with np.errstate(all="ignore"):
        found = _fault(again)
        if found is None:
            return f"every node is finite, the loss {_loss_name(model)!r} made it so", None
        statement, place = found
        node, value, row = _node(model, keep, again, statement.out.name, place)
        again.forward()
    model.executable.keep_values(keep, again)
    return f"{node} is {value}, made by the operation `{statement}`", row


def _copy_data(plan: Plan, again: Plan) -> None:
    for name, array in plan.program.arrays.items():
        if array.role in ("input", "target", "noise", "state") and name in again.arrays:
            again.arrays[name][...] = plan.arrays[name]


def _fault(plan: Plan) -> tuple[Statement, Place] | None:
    """Return the first statement whose result is not finite, and the place of that value."""
    for statement, t in plan.replay():
        array = plan.arrays[statement.out.name]
        timed = statement.out.offset is not None
        written = array[t] if timed else array
        if _is_faulty(written):
            return statement, (t, *_first(written)) if timed and t is not None else _first(written)
    return None


def _is_faulty(array: Any) -> bool:
    return bool(array.dtype.kind == "f" and not np.isfinite(array).all())


def _first(array: Array) -> Place:
    """Return the first place that is not finite; the first sample counts before the first node."""
    return tuple(int(each) for each in np.argwhere(~np.isfinite(array))[0])


def _loss_name(model: Model) -> str:
    return " + ".join(loss.name for loss in model.losses)


def _node(
    model: Model, mode: Mode, plan: Plan, name: str, place: Place
) -> tuple[str, float, int | None]:
    """Return what to call an element of an array, its value, and the row of the batch."""
    array = plan.arrays[name]
    value = float(array[place])
    address = _start(array) + sum(k * step for k, step in zip(place, array.strides, strict=True))
    values = sorted(plan.program.values.items(), key=lambda row: _KINDS.index(_kind(row[0][1])))
    for (layer_name, what), kept in values:
        found = _place_of(plan.arrays[kept], address) if _kind(what) != "delta" else None
        if found is None:
            continue
        declared = plan.program.arrays[kept]
        layer = model.network.layer(layer_name)
        time = f" at step {found[0]}" if declared.lead == 2 else ""
        if declared.nodes_first:
            first = int(what.split(":")[1]) if ":" in what else 0
            rows = model.executable.built(mode).row_of_node
            index, row = int(np.flatnonzero(rows == first + found[-2])[0]), found[-1]
        else:
            index, row = _flat(found[declared.lead :], layer), found[declared.lead - 1]
        kind = "net" if _kind(what) == "net" else "output"
        return f"the {kind} of node {layer.own_node(index).label!r}{time}", value, row
    return f"{name}{list(place)}", value, None


_KINDS = ("net", "output", "in", "delta")


def _kind(what: str) -> str:
    return what.partition(":")[0]


def _start(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _place_of(array: Array, address: int) -> Place | None:
    """Return the place of the element that lies at an address, None if it is not in the array."""
    rest = address - _start(array)
    place = [0] * array.ndim
    for axis in sorted(range(array.ndim), key=lambda k: -array.strides[k]):
        if array.strides[axis]:
            place[axis], rest = divmod(rest, array.strides[axis])
    inside = all(0 <= k < length for k, length in zip(place, array.shape, strict=True))
    return tuple(place) if inside and not rest else None


def _flat(place: Place, layer: Layer) -> int:
    """Return the flat index of a node from its place, which may be flat already."""
    if len(place) == len(layer.shape):
        return int(np.ravel_multi_index(place, layer.shape))
    return place[-1]
