"""Forward: every node aggregates what arrives and applies its activation, in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError, GraphError, ShapeError
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network, Port
from neurograph.graph.node import Node
from neurograph.graph.states import last_step, stateful_layers
from neurograph.interpret.feed import Feed, Inputs, by_part, feed
from neurograph.interpret.walk import Pace, Unit, Walk

Array = NDArray[Any]


def forward(
    network: Network,
    inputs: Inputs,
    *,
    training: bool = False,
    noise: Mapping[Any, ArrayLike] | None = None,
    initial: Mapping[Any, ArrayLike] | None = None,
    mask: ArrayLike | None = None,
    inject: Mapping[Node, Any] | None = None,
    stepwise: bool = False,
    dtype: Any = np.float64,
) -> list[Array]:
    """Calculate every node of a network, one after the other.

    Parameters
    ----------
    network : Network
    inputs : array_like, list of array_like, or mapping
        One sample or many: (leading axes, shape) for an input, the leading axes being (), (batch,),
        (time,) or (batch, time); time where the input is a sequence. Several inputs as a list in
        order, or by name.
    training : bool
        How normalisations and noise behave.
    noise : mapping, optional
        The outputs of noise layers, by layer or name: (leading axes, shape) or what broadcasts to
        it. Without training they are 1 unless given.
    initial : mapping, optional
        Initial states for this run instead of the network's own, by layer, node or name; of the
        layer's shape or (batch, shape). Stateful layers begin with what ``carry`` kept.
    mask : array_like, optional
        1 or 0 for every step, (time,) or (batch, time): where it is 0, the nodes on cycles through
        time repeat their output of the step before. Layers with a mask of their own go by that.
    inject : mapping, optional
        What to add to the net input of single nodes: numbers or (leading axes).
    stepwise : bool
        Go step by step where all steps of time could be taken at once too. Weights may then be
        arrays (leading axes but time): many networks that differ in some weights, in one run.
    dtype : dtype
        Complex for differentiation by complex steps.

    Returns
    -------
    list of ndarray
        The outputs, (leading axes, shape) each. Nodes and layers keep their values.

    Raises
    ------
    ShapeError, DataError
        The inputs do not fit the network, or are not finite.

    Examples
    --------
    >>> from neurograph.graph.connection import Connection
    >>> from neurograph.graph.node import InputNode
    >>> a, h = InputNode("a"), Node("identity", name="h")
    >>> connections = Connection(a, h, 1.0), Connection(h, h, 0.5, delay=1)
    >>> forward(Network(inputs=[a], outputs=[h]), [[1.0], [0.0], [0.0]])
    [array([[1.  ], [0.5 ], [0.25]])]
    """
    walk = Walk.of(network)
    given = feed(network, inputs, dtype)
    walk.batch, walk.training, walk.seen = given.batch, training, None
    walk.stepwise = stepwise
    _start(walk, given, dtype)
    walk.set_initial(by_part(network, "initial state", initial))
    walk.set_masks(mask)
    for port, values in zip(network.inputs, given.arrays, strict=True):
        _put(port, values)
    _put_noise(walk, by_part(network, "noise", noise))
    injected = {id(node): value for node, value in (inject or {}).items()}
    for stage in walk.stages:
        for pace in walk.paces(stage):
            _go(walk, pace, injected)
    if dtype is np.float64 and not injected:
        walk.seen = network._sample = inputs
    return [taken(port, "output") for port in network.outputs]


def carry(network: Network) -> None:
    """Let stateful layers remember where the last ``forward`` ended; the next begins there."""
    for layer in stateful_layers(network):
        last = np.moveaxis(layer.timeline.output[..., last_step(layer)], 0, -1)
        layer.state = np.array(last.reshape(-1, *layer.shape))


def _start(walk: Walk, given: Feed, dtype: Any) -> None:
    """Make room for the values of a run."""
    network = walk.network
    steps = {id(network.inputs[k].layer): count for k, count in given.steps.items()}
    for clock in walk.clocks:
        clock.start(given.batch, clock.length(network, steps), dtype)
    for layer in network.all_layers:
        if not layer.sequence:
            layer.reset(given.batch, dtype)
    for connection in walk.with_partials:
        connection.partial = None
    fed = {id(port.layer) for port in network.inputs}
    for unit in walk.units:
        if unit.role == "input" and id(unit.layer) not in fed:
            raise GraphError(
                f"network {network.name!r}: {unit.nodes[0].label!r} is an input that is not among "
                f"the inputs of the network, so nothing feeds it"
            )


def _put(port: Port, values: Array) -> None:
    if port.indices is None:
        port.layer.put_output(values)
        return
    for place, index in enumerate(port.indices):
        port.layer.own_node(index).output = values[..., place]


def taken(port: Port, what: str) -> Array:
    """Return net, output or delta of a port, (leading axes, shape)."""
    if port.indices is None:
        return np.array(getattr(port.layer, what))
    nodes = [port.layer.own_node(index) for index in port.indices]
    return np.stack([np.asarray(getattr(node, what)) for node in nodes], axis=-1)


def _put_noise(walk: Walk, noise: Mapping[int, Any]) -> None:
    for unit in walk.units:
        layer = unit.layer
        if unit.role != "noise":
            continue
        if id(layer) not in noise and walk.training:
            raise DataError(
                f"network {walk.network.name!r}: a node-by-node run in training takes the noise of "
                f"{layer.name!r} as given; pass noise={{{layer.name!r}: array}}"
            )
        lead = (*walk.batch, unit.clock.steps) if unit.clock is not None else walk.batch
        layer.put_output(_broadcast(layer.name, "noise", noise.get(id(layer), 1.0),
                                       (*lead, *layer.shape)))  # fmt: skip


def _broadcast(name: str, what: str, values: Any, shape: tuple[int, ...]) -> Array:
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise ShapeError(
            f"layer {name!r}: its {what} has shape {np.shape(values)}, expected {shape}"
        ) from None


def _go(walk: Walk, pace: Pace, injected: Mapping[int, Any]) -> None:
    for rank in pace.ranks:
        for unit in rank:
            if unit.clock is not None:
                _set_initial(walk, unit)
    if not pace.direction:
        for unit in pace.ranks[0]:
            _calculate(walk, unit, injected, None)
        return
    clock = pace.ranks[0][0].clock
    assert clock is not None
    for step in clock.order(pace.direction):
        clock.at(step)
        for rank in pace.ranks:
            for unit in rank:
                _calculate(walk, unit, injected, step)
                if unit.mask is not None:
                    _hold(unit, step, step - pace.direction)
    clock.at(None)


def _calculate(walk: Walk, unit: Unit, injected: Mapping[int, Any], step: int | None) -> None:
    if unit.role != "units":
        return
    for node in unit.nodes:
        node.calc_output()
        if injected and id(node) in injected:
            more = injected[id(node)]
            node.net = node.net + (more if step is None or np.ndim(more) == 0 else more[..., step])
            node.output = node.activation.function(node.net)
    if unit.function is not None:
        layer = unit.layer
        layer.put_output(unit.function.forward(layer.output, walk.training))


def _hold(unit: Unit, step: int, before: int) -> None:
    """Where the mask is 0, repeat the output of the step before."""
    counts, timeline = unit.counts(step), unit.layer.timeline
    for node in unit.nodes:
        node.output = np.where(counts, node.output, timeline.output_at(node.index, before))


def _set_initial(walk: Walk, unit: Unit) -> None:
    """Write what the outputs of a unit are outside of time."""
    layer, start = unit.layer, unit.initial
    timeline = layer.timeline
    if layer.role == "group":
        timeline.initial[unit.nodes[0].index] = start
    elif isinstance(start, Layer):
        timeline.initial, timeline.begun_by = np.asarray(start._output), start
    elif start is not None:
        shape = (*walk.batch, *layer.shape)
        values = _broadcast(layer.name, "initial state", start, shape)
        timeline.initial = np.array(np.moveaxis(values.reshape(*walk.batch, layer.size), -1, 0))
