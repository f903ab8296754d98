"""Checks of networks along trees: batches against the written-out network of all their trees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.check.report import Difference, ParityReport
from neurograph.check.setting import Setting, homes_kept
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network, Port
from neurograph.graph.ports import array_of_each
from neurograph.graph.tree_fit import fitted_tree
from neurograph.graph.tree_network import tree_network, tree_values
from neurograph.train.outputs import get_losses

Array = NDArray[Any]


class TreeSide:
    """The compiled network along trees, and the ordinary network that a batch of trees stands for.

    The error of the latter is the sum over its outputs, where a batch takes the mean.

    Parameters
    ----------
    net : Network
    x : list of trees
    y : targets, as ``fit`` takes them
    loss : as ``compile`` takes it
    """

    def __init__(self, net: Network, x: Any, y: Any, loss: Any) -> None:
        self.net, self.y = net, y
        self.x = list(x) if isinstance(x, list) else [x]
        self.model: Any = net.compile(loss=loss, dtype="float64")
        self.grown = tree_network(net, self.x)
        self.starts = np.cumsum([0, *(len(fitted_tree(net, tree)) for tree in self.x)])
        values = tree_values(net, self.x)
        self.values = values if len(values) > 1 else values[0]
        each = array_of_each(net, "output", y, "y")
        losses = get_losses(net, loss)
        rows = [_rows(port, one) for port, one in zip(net.outputs, each, strict=True)]
        self.count = len(rows[0])
        found = [row for port in rows for row in port]
        self.targets = found if len(found) > 1 else found[0]
        self.losses = [one for one in losses for _ in range(self.count)]

    def gradients(self, *_: Any) -> None:
        """Fill gradients and the deltas of inputs, as those of the sum over the batch's outputs."""
        self.model.inspect(self.x, self.y)
        for layer in [port.layer for port in self.grown.inputs]:
            name, row = self.place(layer)
            layer.keep("delta", self.count * self.net.layer(name).delta[row])
        self.model.gradients(self.x, self.y, training=False)
        for parameter in self.net.parameters.values():
            penalty = 0.0
            if parameter.regularizer is not None:
                penalty = parameter.regularizer.gradient(parameter.value)
            parameter.gradient = self.count * (parameter.gradient - penalty) + penalty

    def place(self, layer: Layer) -> tuple[str, int]:
        """Return the layer of which one of the written-out network is a copy, and which row."""
        name, number, node = layer.config["copy"]
        return name, number if node < 0 else int(self.starts[number]) + node

    def setting(self) -> Setting:
        """Return the setting of a node-by-node run of the written-out network."""
        options = {"training": False, "noise": None, "initial": None, "mask": None}
        return Setting.of(self.grown, self.values, self.targets, self.losses, options)


def _rows(port: Port, y: Any) -> list[Array]:
    """Return targets for the roots, or for all nodes of all trees, one by one."""
    rows = [row for tree in y for row in tree] if port.layer.sequence else list(y)
    arrays = [np.asarray(row) for row in rows]
    return [each.reshape(port.shape) if port.shape == (1,) else each for each in arrays]


def parity_check_trees(net: Network, x: Any, y: Any, loss: Any, tolerance: float) -> ParityReport:
    """Compare a batch of trees with the walk through their nodes; see ``parity_check``."""
    with homes_kept(net):
        side = TreeSide(net, x, y, loss)
        side.model.inspect(side.x, side.y)
        kinds = ("net", "output", "delta")
        values = {
            (layer.name, kind): np.array(getattr(layer, kind))
            for layer in net.all_layers
            for kind in kinds
        }
        side.gradients()
        gradients = {name: each.gradient.copy() for name, each in net.parameters.items()}
        side.setting().explicit_gradients()
        rows = list(_value_rows(side, values, tolerance))
        for name, parameter in net.parameters.items():
            if parameter.trainable:
                what = f"gradient of {name}"
                rows.append(_difference(what, gradients[name], parameter.gradient, tolerance))
        wrong = next((row for row in rows if not row.ok), None)
        first = "" if wrong is None else f"the first that differs is the {wrong.what}"
        ordered = sorted(rows, key=lambda row: (row.ok, -row.relative))
        return ParityReport(tuple(ordered), tolerance, first)


def _value_rows(
    side: TreeSide, values: Mapping[tuple[str, str], Array], tolerance: float
) -> Iterator[Difference]:
    for layer in side.grown.all_layers:
        if layer.role == "const":
            continue
        name, row = side.place(layer)
        for kind in _kinds(layer):
            scale = side.count if kind == "delta" else 1
            theirs, ours = scale * values[name, kind][row], np.asarray(getattr(layer, kind))
            yield _difference(f"{kind} of {layer.name}", theirs, ours, tolerance)


def _kinds(layer: Layer) -> tuple[str, ...]:
    if layer.role == "noise":
        return ("output",)
    return ("output", "delta") if layer.role == "input" else ("output", "net", "delta")


def _difference(what: str, theirs: Array, ours: Array, tolerance: float) -> Difference:
    scale = max(1.0, float(np.abs(ours).max(initial=0.0)))
    off = np.abs(theirs - ours).reshape(-1) / scale
    off = np.where(np.isnan(off), np.inf, off)
    place = int(off.argmax())
    there, here = (float(each.reshape(-1)[place]) for each in (theirs, ours))
    relative = float(off[place])
    return Difference(what, there, here, relative, relative <= tolerance)
