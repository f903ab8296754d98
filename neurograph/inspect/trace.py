"""Trace: the whole forward and backward pass of a small network as arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurograph.errors import DataError, GraphError, unknown
from neurograph.graph.connection import Connection
from neurograph.graph.network import Network
from neurograph.graph.node import Node
from neurograph.graph.ports import array_of_each
from neurograph.graph.states import stateful_layers
from neurograph.inspect.reading import Reading, extent
from neurograph.inspect.writing import FORMATS, Writing
from neurograph.interpret.forward import forward, taken
from neurograph.interpret.tutorial import get_gradient
from neurograph.interpret.walk import Unit, Walk

MOST = 300


def trace(
    network: Network, x: Any, y: Any = None, *, format: str = "text", limit: int = MOST
) -> str:
    r"""Return every step of the calculation for one sample, with its numbers.

    Forward: the net input and output of every node. With `y` backward too: the error
    E = sum((label - output)^2) / 2, every delta, and dE/d weight of every connection.

    Parameters
    ----------
    network : Network
    x : array-like
        One sample as ``net.predict`` takes it, without a batch.
    y : array-like, optional
        Its label.
    format : {"text", "latex"}
        LaTeX for ``\usepackage{amsmath}``, one ``align*`` for each pass.
    limit : int
        The most connections, at each step of time, that are written out.

    Raises
    ------
    GraphError
        The network has more connections.
    DataError
        `x` is a batch of samples or has masked steps; a stateful layer has a state already.
    ShapeError, UnknownNameError
        Something does not fit; the format is not known.

    Examples
    --------
    >>> import neurograph as ng
    >>> a, h = ng.InputNode("a"), ng.Node("tanh", name="h")
    >>> y = ng.Node("identity", name="y")
    >>> w, v = ng.Connection(a, h, weight=0.5), ng.Connection(h, y, weight=-2.0)
    >>> print(trace(ng.Network(inputs=[a], outputs=[y]), [1.0], [0.0]))
    forward
      a = 1
      h = tanh(0.5 * 1) = tanh(0.5) = 0.462117
      y = (-2) * 0.462117 = -0.924234
    <BLANKLINE>
    backward
      E = (0 - (-0.924234))^2 / 2 = 0.427105
      delta(y) = 0 - (-0.924234) = 0.924234
      delta(h) = tanh'(0.5) * ((-2) * 0.924234) = 0.786448 * (-1.84847) = -1.45372
    <BLANKLINE>
    gradients
      dE/d(a->h) = -(-1.45372) * 1 = 1.45372
      dE/d(h->y) = -0.924234 * 0.462117 = -0.427105
    """
    if format not in FORMATS:
        raise unknown("format of a trace", format, FORMATS)
    count = len(network.connections)
    if count > limit:
        raise GraphError(
            f"network {network.name!r} has {count:,} connections, a trace writes out {limit:,}; "
            f"look at single nodes with node.explain(), or raise limit="
        )
    for layer in stateful_layers(network):
        if layer.state is not None:
            raise DataError(
                f"network {network.name!r}: layer {layer.name!r} goes on from the batch before, "
                f"which a trace does not tell; call net.reset_states() first"
            )
    if y is None:
        forward(network, x)
    else:
        get_gradient(network, y, x)
    for layer in network.all_layers:
        if layer.mask is not None and not np.all(layer.mask.output):
            raise DataError(
                f"network {network.name!r}: masked steps of layer {layer.name!r} repeat what was, "
                f"which a trace does not tell; give a sequence without them"
            )
    walk = Walk.of(network)
    if walk.batch:
        raise DataError(
            f"network {network.name!r}: a trace is of one sample, got a batch of "
            f"{walk.batch[0]}; give x[0]"
        )
    tracing = Tracing(network, list(_moments(walk)), FORMATS[format]())
    passes = [("forward", tracing.forward())]
    if y is not None:
        passes += [("backward", tracing.backward(y)), ("gradients", tracing.gradients())]
    return tracing.writing.document(passes)


Moment = tuple[Node, int | None]


def _moments(walk: Walk) -> Iterator[Moment]:
    """Yield nodes with their steps of time in the order in which they were calculated."""
    for stage in walk.stages:
        ranks = stage.ranks if stage.direction else [stage.units]
        units = [walk.units[place] for rank in ranks for place in rank.tolist()]
        yield from _in_time(units, stage.direction)


def _in_time(units: list[Unit], direction: int) -> Iterator[Moment]:
    timed = [unit for unit in units if unit.layer.sequence]
    for unit in units:
        if not unit.layer.sequence:
            yield from ((node, None) for node in unit.nodes)
    if timed:
        steps = range(max(extent(unit.layer)[1] or 1 for unit in timed))
        for step in reversed(steps) if direction < 0 else steps:
            yield from ((node, step) for unit in timed for node in unit.nodes)


@dataclass(slots=True)
class Tracing:
    """A pass that is written down.

    Attributes
    ----------
    moments : list
        Nodes with their steps, in order of calculation; the step is None outside of time.
    writing : Writing
        How names, products and lines are written.
    """

    network: Network
    moments: list[Moment]
    writing: Writing

    def forward(self) -> list[list[str]]:
        """Return the lines of the forward pass, each a list of things that are equal."""
        return [
            self._forward(node, step)
            for node, step in self.moments
            if not node.is_constant and node.layer.role != "noise"
        ]

    def _forward(self, node: Node, step: int | None) -> list[str]:
        writing, reading = self.writing, Reading(0, step or 0, fresh=True)
        output = self.writing.plain(reading.value(node, "output"))
        name = writing.output(node, step)
        if not node.takes_connections:
            return [name, output]
        signals = reading.signals(node)
        terms = [writing.product(weight, arriving) for _, weight, arriving in signals]
        net = writing.combined(node.aggregation, terms) if terms else "0"
        value = self.writing.plain(reading.value(node, "net"))
        if node.layer.function is not None:
            whole = writing.applied(node.layer.function.name, f"{net} = {value}", whole=True)
            return [name, whole, output]
        if node.activation.name == "identity":
            return [name, net, output]
        activation = node.activation.name
        return [name, writing.applied(activation, net), writing.applied(activation, value), output]

    # backward ---------------------------------------------------------------------------------

    def _errors(self, y: Any) -> dict[tuple[int, int | None], list[tuple[float, float]]]:
        """Return labels and output of every output node at every step: one for each output."""
        labels = array_of_each(self.network, "output", y, "trace: y")
        found: dict[tuple[int, int | None], list[tuple[float, float]]] = {}
        for port, label in zip(self.network.outputs, labels, strict=True):
            outputs, nodes = np.asarray(taken(port, "output")), self._nodes(port)
            rows = outputs.reshape(-1, len(nodes)).tolist()
            wanted = np.asarray(label, dtype=float).reshape(-1, len(nodes)).tolist()
            for step, (row, line) in enumerate(zip(rows, wanted, strict=True)):
                for node, value, target in zip(nodes, row, line, strict=True):
                    key = (id(node), step if port.layer.sequence else None)
                    found.setdefault(key, []).append((target, value))
        return found

    @staticmethod
    def _nodes(port: Any) -> list[Node]:
        indices = range(port.layer.size) if port.indices is None else port.indices
        return [port.layer.own_node(index) for index in indices]

    def backward(self, y: Any) -> list[list[str]]:
        """Return the lines of the error and of the deltas, from the outputs to the inputs."""
        errors = self._errors(y)
        pairs = [pair for each in errors.values() for pair in each]
        squares = [self.writing.square(*pair) for pair in pairs]
        value = sum((label - output) ** 2 for label, output in pairs) / 2
        lines = [[self.writing.symbol("E"), self.writing.half(squares), self.writing.plain(value)]]
        for node, step in reversed(self.moments):
            if node.takes_connections and node.layer.role != "noise":
                lines.append(self._delta(node, step, errors.get((id(node), step), ())))
        return lines

    def _delta(
        self, node: Node, step: int | None, errors: Sequence[tuple[float, float]]
    ) -> list[str]:
        writing, reading = self.writing, Reading(0, step or 0, fresh=True)
        terms, total = [], 0.0
        for label, output in errors:
            terms.append(writing.difference(label, output))
            total += label - output
        for _, weight, back in reading.sent_back(node):
            terms.append(writing.product(weight, back))
            total += weight * back
        delta = self.writing.plain(reading.value(node, "delta"))
        name = writing.delta(node, step)
        came = writing.combined("sum", terms) if terms else "0"
        if node.layer.function is not None:
            return [name, writing.applied(node.layer.function.name, came, whole=True, slope=True),
                    delta]  # fmt: skip
        if node.activation.name == "identity":
            return [name, came, delta]
        net, output = reading.value(node, "net"), reading.value(node, "output")
        slope = float(node.activation.derivative(net, output))
        formal = writing.applied(node.activation.name, self.writing.plain(net), slope=True)
        return [name, writing.times(formal, came), writing.product(slope, total), delta]

    def gradients(self) -> list[list[str]]:
        """Return a line for every connection with a weight of its own or shared."""
        weighted = [each for each in self.network.connections if each.parameter is not None]
        uses = Counter((id(each.parameter), each.index) for each in weighted)
        lines = []
        for connection in weighted:
            terms, part = self._gradient(connection)
            came = self.writing.combined("sum", terms) if terms else "0"
            shared = uses[id(connection.parameter), connection.index] > 1
            whole = float(connection.gradient)
            value = self.writing.share(part, whole) if shared else self.writing.plain(whole)
            lines.append([self.writing.gradient(connection), came, value])
        return lines

    def _gradient(self, connection: Connection) -> tuple[list[str], float]:
        """Return a product for each step of time, and their sum."""
        node = connection.downstream_node
        _, steps = extent(node.layer)
        terms, total = [], 0.0
        for step in range(steps or 1):
            reading = Reading(0, step, fresh=True)
            arriving = reading.arriving(connection)
            if arriving is None:
                continue
            back = reading.value(node, "delta") * reading.partial(connection)
            terms.append(self.writing.negative_product(back, arriving))
            total -= back * arriving
        return terms, total
