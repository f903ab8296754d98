"""Backward: deltas from the outputs to the inputs, then gradients and the update of the weights.

``delta = -dE/d net``, as Rumelhart, Hinton & Williams (1986) define it; ``gradient = dE/d weight =
-delta * upstream output``, and an update subtracts. (The tutorial calls the opposite of it the
gradient and adds; weights, outputs and deltas are the same.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import ShapeError
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.interpret.passages import AROUND
from neurograph.interpret.walk import Pace, Unit, Walk
from neurograph.options import number, whole

Array = NDArray[Any]


def backward(
    network: Network,
    d_outputs: Sequence[ArrayLike],
    *,
    inputs: bool = True,
    truncate: int | None = None,
) -> None:
    """Set the delta of every node, after ``forward``.

    Parameters
    ----------
    network : Network
    d_outputs : list of array_like
        dE/d output for each output, of the shape that ``forward`` returned.
    inputs : bool
        Whether input nodes get their delta too, which is -dE/d input.
    truncate : int, optional
        Cut time into pieces of so many steps, in the order in which they were calculated: nothing
        comes back to an earlier piece through a connection with a delay into a node on a cycle,
        or through a state that a mask repeats.

    Raises
    ------
    ShapeError
        If a gradient does not fit its output.
    OptionError
        If ``truncate`` is no whole number from 1.

    Examples
    --------
    >>> from neurograph.graph.connection import Connection
    >>> from neurograph.graph.node import InputNode, Node
    >>> from neurograph.interpret.forward import forward
    >>> a, y = InputNode("a"), Node("identity", name="y")
    >>> connection = Connection(a, y, 2.0)
    >>> net = Network(inputs=[a], outputs=[y])
    >>> outputs = forward(net, [3.0])
    >>> backward(net, [[0.5]])
    >>> calc_gradients(net)
    >>> y.delta, a.delta, connection.gradient
    (-0.5, -1.0, 1.5)
    """
    walk = Walk.of(network)
    if truncate is not None:
        truncate = whole("backward: truncate", truncate, least=1)
    for layer in (layer for clock in walk.clocks for layer in clock.layers):
        layer.timeline.truncate = truncate
    for layer in network.all_layers:
        if layer.function is not None:
            for parameter in layer.function.parameters.values():
                parameter.gradient = 0.0
    network.gradients_due = True
    outside = _outside(network, d_outputs)
    for stage in reversed(walk.stages):
        for pace in reversed(list(walk.paces(stage))):
            _go(pace, outside, inputs)


def calc_gradients(network: Network) -> None:
    """Set ``gradient = dE/dw`` of every weight, after ``backward``.

    Connections that share a weight add their shares.
    """
    walk = Walk.of(network)
    for parameter in walk.parameters:
        parameter.gradient = 0.0
    for unit in walk.units:
        for node in unit.nodes:
            node.add_gradients()
    network.gradients_due = False


def update_weights(network: Network, rate: float) -> None:
    """Take one step of gradient descent, ``weight -= rate * gradient``, once for each weight."""
    rate = number("update_weight: rate", rate, least=0)
    if network.gradients_due:
        calc_gradients(network)
    for parameter in network.parameters.values():
        if parameter.trainable:
            step = rate * parameter.gradient
            if parameter.frozen is not None:
                step = np.where(parameter.frozen, 0.0, step)
            np.subtract(parameter.value, step, out=parameter.value)


def _outside(network: Network, d_outputs: Sequence[ArrayLike]) -> dict[int, Array]:
    """Return -dE/d output of the layers that hold outputs, node by node, all steps."""
    if len(d_outputs) != len(network.outputs):
        raise ShapeError(
            f"network {network.name!r}: got gradients for {len(d_outputs)} outputs, it has "
            f"{len(network.outputs)}"
        )
    outside: dict[int, Array] = {}
    for port, d_output in zip(network.outputs, d_outputs, strict=True):
        layer, gradient = port.layer, np.asarray(d_output, dtype=np.float64)
        lead = np.shape(layer._output)[1:]
        if gradient.shape != (*lead, *port.shape):
            raise ShapeError(
                f"network {network.name!r}: the gradient for output {port.name!r} has shape "
                f"{gradient.shape}, its values have {(*lead, *port.shape)}"
            )
        sent = outside.setdefault(id(layer), np.zeros((layer.size, *lead)))
        indices = range(layer.size) if port.indices is None else port.indices
        np.subtract.at(sent, list(indices), np.moveaxis(gradient.reshape(*lead, -1), -1, 0))
    return outside


def _go(pace: Pace, outside: Mapping[int, Array], inputs: bool) -> None:
    roles = ("units", "input") if inputs else ("units",)
    ranks = [[unit for unit in rank if unit.role in roles] for rank in pace.ranks]
    if not pace.direction:
        for unit in ranks[0]:
            _send_back(unit, outside.get(id(unit.layer)))
        return
    clock = pace.ranks[0][0].clock
    assert clock is not None
    held: dict[int, list[Any]] = {}
    for step in clock.order(-pace.direction):
        clock.at(step)
        if not clock.layers[0].timeline.joined(step + pace.direction, pace.direction):
            held.clear()
        for rank in reversed(ranks):
            for unit in rank:
                sent = outside.get(id(unit.layer))
                sent = None if sent is None else sent[..., step]
                if unit.mask is None:
                    _send_back(unit, sent)
                else:
                    _send_back_masked(unit, sent, unit.counts(step), held)
    clock.at(None)
    for unit in (unit for rank in ranks for unit in rank if id(unit) in held):
        unit.layer.timeline.carried.update(
            zip((node.index for node in unit.nodes), held[id(unit)], strict=True)
        )


def _send_back(unit: Unit, sent: Any) -> None:
    """Set the deltas of a unit; ``sent`` is what the loss sends to its layer, node by node."""
    if unit.function is None and not unit.begins:
        for node in unit.nodes:
            node.calc_hidden_layer_delta(0.0 if sent is None else sent[node.index])
    else:
        _set_deltas(unit, _returned(unit, sent))


def _send_back_masked(unit: Unit, sent: Any, counts: Any, held: dict[int, list[Any]]) -> None:
    """Set deltas where a step counts; else all goes to the step whose output was repeated."""
    returned = _returned(unit, sent)
    later = held.get(id(unit), [0.0] * len(returned))
    total = [here + after for here, after in zip(returned, later, strict=True)]
    held[id(unit)] = [~counts * each for each in total]
    _set_deltas(unit, [counts * each for each in total])


def _returned(unit: Unit, sent: Any) -> list[Any]:
    """Return -dE/d output, node by node."""
    returned = [
        node.calc_returned(0.0 if sent is None else sent[node.index]) for node in unit.nodes
    ]
    for layer in unit.begins:
        if layer.timeline.begun_by is unit.layer:
            begun = _returned_to_start(layer)
            returned = [here + there for here, there in zip(returned, begun, strict=True)]
    return returned


def _set_deltas(unit: Unit, returned: list[Any]) -> None:
    if unit.function is not None:
        returned = _through_function(unit.layer, returned)
    for node, each in zip(unit.nodes, returned, strict=True):
        node.delta = node.activation.derivative(node.net, node.output) * each


def _through_function(layer: Layer, returned: list[Any]) -> list[Any]:
    """Return -dE/d (what the whole-layer function was given), node by node."""
    assert layer.function is not None
    output = layer.output
    lead = output.shape[: output.ndim - len(layer.shape)]
    flat = np.stack([np.broadcast_to(each, lead) for each in returned], axis=-1)
    before = layer.activation.function(layer.net)
    d_net = layer.function.backward(-flat.reshape(output.shape), before, output)
    back = np.moveaxis(-d_net.reshape(*lead, layer.size), -1, 0)
    return list(back)


def _returned_to_start(layer: Layer) -> list[Any]:
    """Return -dE/d (initial state) of a sequence, node by node."""
    returned = []
    for index in range(layer.size):
        total = layer.timeline.carried.get(index, 0.0)
        for connection in layer.own_node(index).downstream:
            down = connection.downstream_node
            if connection.delay and down.layer.timeline is not None:
                cut = connection.passage is AROUND
                total = total + connection.weight * down.layer.timeline.delta_outside(
                    down.index, connection.delay, connection.partial, cut
                )
        returned.append(total)
    return returned
