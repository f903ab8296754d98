"""Parity check: the compiled network against the node-by-node run, every value of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.check.compiled import CompiledSide
from neurograph.check.report import Difference, ParityReport
from neurograph.check.setting import Setting, checked_network, homes_kept
from neurograph.check.trees import parity_check_trees
from neurograph.graph.layer import ZEROS, Layer
from neurograph.graph.network import Network
from neurograph.graph.trees import takes_trees
from neurograph.interpret.walk import Walk
from neurograph.options import number

Array = NDArray[Any]
_KINDS = ("output", "net", "delta")


def parity_check(
    net: Network,
    x: Any,
    y: Any,
    loss: Any = "sse",
    *,
    tolerance: float = 1e-9,
    training: bool = False,
) -> ParityReport:
    """Compare all that the compiled network calculates with the node-by-node run.

    Outputs, net inputs and deltas of every node and the gradient of every weight, in float64; an
    array is equal if no difference exceeds ``tolerance`` times its largest value (or 1, if that is
    more). Weights are bit for bit what they were afterwards; nodes keep the values of the
    node-by-node run.

    Parameters
    ----------
    net : Network
    x, y : array_like, or list of array_like or mapping by name
        Inputs and targets, one sample or a batch.
    loss : str, Loss or callable
        As ``compile`` takes it.
    tolerance : float
    training : bool
        Compare runs in training, in which batch normalisation takes the statistics of the batch;
        only without noise layers, since each side would draw noise of its own.

    Returns
    -------
    ParityReport
        ``ok``, ``worst``, ``rows`` and, if something differs, ``first_wrong``: the first node.

    Examples
    --------
    >>> import neurograph as ng
    >>> net = ng.Network([2, 3, 1], seed=0)
    >>> report = parity_check(net, [[0.0, 1.0]], [[1.0]])
    >>> report.ok, report.worst.relative < 1e-12
    (True, True)
    """
    checked_network("parity_check", net)
    tolerance = number("parity_check: tolerance", tolerance, least=0)
    if takes_trees(net):
        return parity_check_trees(net, x, y, loss, tolerance)
    options = {"training": training, "noise": None, "initial": None, "mask": None}
    with homes_kept(net):
        setting = Setting.of(net, x, y, loss, options)
        side = CompiledSide(setting)
        for layer in net.all_layers:
            for kind in _KINDS:
                setattr(layer, f"_{kind}", ZEROS)
        side.inspect()
        compiled = _snapshot(net)
        side.gradients()
        gradients = _gradients(net)
        setting.explicit_gradients()
        values = list(_value_rows(net, compiled, bool(setting.batch), tolerance))
        weights = list(_gradient_rows(net, gradients, tolerance))
        rows = sorted((each.row for each in [*values, *weights]), key=_order)
        return ParityReport(tuple(rows), tolerance, _first_wrong(net, values, weights))


def _order(row: Difference) -> tuple[bool, float]:
    return (row.ok, -row.relative)


@dataclass(frozen=True, slots=True)
class _Compared:
    """One array of both sides, and the places (nodes, weights) where they differ."""

    kind: str
    layer: Layer | None
    row: Difference
    wrong: dict[int, Difference]


def _snapshot(network: Network) -> dict[tuple[int, str], Array]:
    """Copy the values that the layers hold, node-major; what is not there is left out."""
    return {
        (id(layer), kind): np.array(getattr(layer, f"_{kind}"))
        for layer in network.all_layers
        for kind in _KINDS
        if layer.role != "const" and getattr(layer, f"_{kind}") is not ZEROS
    }


def _gradients(network: Network) -> dict[str, Array]:
    return {name: each.gradient.copy() for name, each in network.parameters.items()}


def _value_rows(
    network: Network, compiled: Mapping[tuple[int, str], Array], batched: bool, tolerance: float
) -> Iterator[_Compared]:
    for layer in network.all_layers:
        for kind in _KINDS:
            theirs = compiled.get((id(layer), kind))
            indices = _calculated(layer, kind)
            if theirs is None or not indices:
                continue
            theirs = (theirs if batched else theirs[:, 0])[indices]
            ours = np.broadcast_to(np.asarray(getattr(layer, f"_{kind}"))[indices], theirs.shape)
            names = [f"{kind} of {layer.own_node(index).label}" for index in indices]
            row, wrong = _compare(names.__getitem__, theirs, ours, tolerance)
            yield _Compared(kind, layer, row, {indices[k]: each for k, each in wrong.items()})


def _calculated(layer: Layer, kind: str) -> list[int]:
    """Return the nodes of a layer that have such a value: constants none, inputs no net."""
    if layer.members is None:
        given = layer.role in ("input", "noise") and kind != "output"
        return [] if given else list(range(layer.size))
    return [
        index
        for index, node in enumerate(layer.members)
        if not node.is_constant and (kind == "output" or node.takes_connections)
    ]


def _gradient_rows(
    network: Network, compiled: Mapping[str, Array], tolerance: float
) -> Iterator[_Compared]:
    for name, parameter in network.parameters.items():
        if not parameter.trainable or not parameter.size:
            continue
        theirs, ours = compiled[name].reshape(-1), parameter.gradient.reshape(-1)
        if parameter.frozen is not None:  # whose gradients nobody asks for
            theirs = np.where(parameter.frozen.reshape(-1), ours, theirs)

        def name_of(index: int, name: str = name, shape: tuple[int, ...] = parameter.shape) -> str:
            place = ", ".join(str(int(each)) for each in np.unravel_index(index, shape))
            return f"gradient of {name}" + (f"[{place}]" if place else "")

        row, wrong = _compare(name_of, theirs, ours, tolerance)
        yield _Compared("gradient", None, row, wrong)


def _compare(
    name_of: Callable[[int], str], theirs: Array, ours: Array, tolerance: float
) -> tuple[Difference, dict[int, Difference]]:
    """Compare two arrays whose first axis is the nodes or weights."""
    scale = max(1.0, float(np.abs(ours).max(initial=0.0)))
    count = len(ours)
    off = np.abs(theirs - ours).reshape(count, -1) / scale
    off = np.where(np.isnan(off), np.inf, off)

    def at(index: int) -> Difference:
        place = int(off[index].argmax())
        there, here = (float(each.reshape(count, -1)[index, place]) for each in (theirs, ours))
        relative = float(off[index, place])
        return Difference(name_of(index), there, here, relative, relative <= tolerance)

    worst = off.max(axis=1)
    wrong = {int(index): at(int(index)) for index in np.flatnonzero(worst > tolerance)}
    return at(int(worst.argmax())), wrong


def _first_wrong(
    network: Network, values: Sequence[_Compared], weights: Sequence[_Compared]
) -> str:
    """Return a sentence on the first node that differs: forward first, then backward."""
    wrong = {
        (id(each.layer), index, each.kind): difference
        for each in values
        for index, difference in each.wrong.items()
    }
    stages = Walk.of(network).stages
    units = Walk.of(network).units
    forward = [units[number] for stage in stages for number in stage.units.tolist()]
    for kinds, order, way in (
        (("net", "output"), forward, "going forward from the inputs"),
        (("delta",), forward[::-1], "coming back from the outputs"),
    ):
        for unit in order:
            for node in unit.nodes:
                for kind in kinds:
                    found = wrong.get((id(unit.layer), node.index, kind))
                    if found is not None:
                        return (
                            f"{way}, the first node that differs is {node.label}: its {kind} is "
                            f"{found.compiled:.9g} compiled, {found.explicit:.9g} node by node"
                        )
    if any(each.wrong for each in weights):
        return "all values and deltas agree; the gradients differ"
    return ""
