"""Node: one unit that aggregates what arrives and applies its activation."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import DataError, GraphError, OptionError, short
from neurograph.functions import Activation, get_activation, get_aggregation
from neurograph.graph.connection import Connection
from neurograph.graph.naming import free_node_name
from neurograph.options import number, text

if TYPE_CHECKING:
    from neurograph.graph.layer import Layer

_serial = itertools.count()


class Node:
    """A node: ``net = aggregate(weight * upstream.output)``, ``output = activation(net)``.

    Parameters
    ----------
    activation : str or Activation
        A name (see ``neurograph.functions``) or a row of your own.
    aggregation : {"sum", "mean", "max", "product"}
        How the incoming connections combine.
    name : str, optional
        Unique in its network; given by the network if absent.
    position : tuple of int, optional
        Coordinates, ``(row, column, channel)``; they let the compiler see a convolution or
        pooling.
    initial : float
        The output before step 0 (after the last, for negative delays), in recurrent graphs.

    Attributes
    ----------
    net, output, delta : float or ndarray
        What the last run left: a float for one sample, else with leading axes ``(batch,)``,
        ``(time,)`` or ``(batch, time)``. ``delta`` is -dE/d net.
    upstream, downstream : sequence of Connection

    Examples
    --------
    >>> a, y = InputNode("a"), Node("tanh", name="y")
    >>> connection = Connection(a, y, weight=0.5)
    >>> a.set_output(1.0)
    >>> y.calc_output()
    >>> print(y)
    y: tanh of sum, output 0.462117, delta 0, 1 upstream, 0 downstream
    """

    __slots__ = (
        "__weakref__",
        "_activation",
        "_aggregation",
        "_downstream",
        "_index",
        "_initial",
        "_layer",
        "_name",
        "_upstream",
        "_wiring",
        "position",
        "serial",
    )

    takes_connections = True
    is_constant = False

    def __init__(
        self,
        activation: str | Activation = "sigmoid",
        aggregation: str = "sum",
        *,
        name: str = "",
        position: Sequence[int] | None = None,
        initial: float = 0.0,
    ) -> None:
        self._activation = get_activation(activation)
        self._aggregation = get_aggregation(aggregation)
        self._place(name, position, initial)

    def _place(self, name: str, position: Sequence[int] | None, initial: float = 0.0) -> None:
        self._name = text("a node's name", name or "")
        self.position = None if position is None else _coordinates(position)
        self._initial = number("a node's initial output", initial) if initial else 0.0
        self.serial = next(_serial)
        self._upstream: list[Connection] = []
        self._downstream: list[Connection] = []
        self._layer: Layer | None = None
        self._index = 0
        self._wiring: Any = None

    @classmethod
    def of_layer(cls, layer: Layer, index: int) -> Node:
        """Make the handle of one node of a library layer."""
        node = cls.__new__(cls)
        node._activation, node._aggregation = layer.activation, layer.aggregation
        node._place("", None)
        node._layer, node._index = layer, index
        return node

    @property
    def initial(self) -> float:
        """The output before step 0 (after the last, for negative delays)."""
        return self._initial

    @initial.setter
    def initial(self, initial: float) -> None:
        self._initial = number(f"{self.label}: the initial output", initial)
        network = self._network()
        if network is not None:
            network.version.number += 1

    # who and where --------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of a hand-made node; assign another one, at any time.

        Raises
        ------
        GraphError
            Another node of its network has that name, or it is a node of a library layer.
        """
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = free_node_name(self, name)

    @property
    def label(self) -> str:
        """The name, or the layer and index: ``conv2d[3, 4, 0]``."""
        if self._name:
            return self._name
        if self._layer is None:
            return f"({type(self).__name__} {self.serial})"
        return self._layer.node_label(self._index)

    @property
    def layer(self) -> Layer:
        """The layer that holds the node's values; a node on its own has one of its own."""
        if self._layer is None:
            from neurograph.graph.layer import Layer

            self._layer = Layer.of_loose_node(self)
        return self._layer

    @property
    def index(self) -> int:
        """The flat index in its layer."""
        return self._index

    @property
    def activation(self) -> Activation:
        """The activation; assign a name or a row to change it."""
        return self._activation

    @activation.setter
    def activation(self, activation: str | Activation) -> None:
        activation = get_activation(activation)
        self._change("activation")
        self._activation = activation

    @property
    def aggregation(self) -> str:
        """The aggregation: sum, mean, max or product; assign another one to a hand-made node."""
        return self._aggregation

    @aggregation.setter
    def aggregation(self, aggregation: str) -> None:
        aggregation = get_aggregation(aggregation)
        self._change("aggregation")
        self._aggregation = aggregation
        for connection in self.upstream:
            connection.partial = None

    def _change(self, what: str) -> None:
        """Note that the node gets another activation or aggregation, or refuse it."""
        if not self.takes_connections:
            raise GraphError(f"{self.label}: {_kind(self)} has no {what} to be set, a Node has")
        if self._layer is not None:
            self._layer.change_node(self, what)

    # values ---------------------------------------------------------------------------------

    @property
    def net(self) -> Any:
        """The aggregated input of the last run."""
        layer = self._layer
        return (self.layer if layer is None else layer)._net[self._index]

    @net.setter
    def net(self, value: Any) -> None:
        self.layer.writable("_net")[self._index] = value

    @property
    def output(self) -> Any:
        """The output of the last run."""
        layer = self._layer
        return (self.layer if layer is None else layer)._output[self._index]

    @output.setter
    def output(self, value: Any) -> None:
        self.layer.writable("_output")[self._index] = value

    @property
    def delta(self) -> Any:
        """-dE/d net of the last backward run."""
        layer = self._layer
        return (self.layer if layer is None else layer)._delta[self._index]

    @delta.setter
    def delta(self, value: Any) -> None:
        self.layer.writable("_delta")[self._index] = value

    # wiring ---------------------------------------------------------------------------------

    @property
    def upstream(self) -> Sequence[Connection]:
        """The incoming connections, in order."""
        return self._upstream if self._layer is None else self._layer.wiring(self)[0]

    @property
    def downstream(self) -> Sequence[Connection]:
        """The outgoing connections, in order."""
        return self._downstream if self._layer is None else self._layer.wiring(self)[1]

    def accept_downstream(self, connection: Connection, node: Node) -> None:
        """Hang a new hand-made connection between this node and ``node`` below it."""
        if not node.takes_connections:
            raise GraphError(
                f"{connection.label}: {node.label!r} is {_kind(node)}, which takes no incoming "
                f"connections; connect to a Node"
            )
        here, there = self._network(), node._network()
        if here is not None and there is not None and here is not there:
            raise GraphError(
                f"{connection.label}: {self.label!r} belongs to network {here.name!r} and "
                f"{node.label!r} to network {there.name!r}; a connection joins nodes of one network"
            )
        self._downstream.append(connection)
        node._upstream.append(connection)
        network = here or there
        if network is not None:
            try:
                network.adopt(connection)
            except GraphError:
                self.forget(connection)
                node.forget(connection)
                raise

    def forget(self, connection: Connection) -> None:
        """Take a hand-made connection off this node's lists."""
        for wires in (self._upstream, self._downstream):
            wires[:] = [each for each in wires if each is not connection]
        self._wiring = None

    def _network(self) -> Any:
        return None if self._layer is None else self._layer.network

    # the textbook's steps -------------------------------------------------------------------

    def set_output(self, output: float) -> None:
        """Set the output, as of an input node."""
        try:
            self.output = output
        except GraphError:
            raise
        except (TypeError, ValueError):
            raise DataError(
                f"{self.label}: its output cannot be {short(output)}; give a number"
            ) from None

    def calc_net(self) -> None:
        """Aggregate what arrives: net = sum of weight * upstream output (mean, max, product)."""
        if self._aggregation == "sum":
            net: Any = 0.0
            for connection in self.upstream:
                net = net + connection.signal()
        else:
            net = self._aggregate()
        self.net = net

    def _aggregate(self) -> Any:
        upstream = self.upstream
        if not upstream:
            raise GraphError(
                f"{self.label}: a node that takes the {self._aggregation} needs incoming "
                f"connections"
            )
        signals = [connection.signal() for connection in upstream]
        net, partials = aggregate(self._aggregation, signals)
        for connection, partial in zip(upstream, partials, strict=True):
            connection.keep_partial(partial)
        return net

    def calc_output(self) -> None:
        """Set net and ``output = activation(net)``."""
        self.calc_net()
        self.output = self._activation.function(self.net)

    def calc_output_layer_delta(self, label: float) -> None:
        """Set the delta of an output node under E = (label - output)^2 / 2.

        delta = activation'(net) * (label - output); for the sigmoid y (1 - y) (t - y).
        """
        slope = self._activation.derivative(self.net, self.output)
        try:
            self.delta = slope * (label - self.output)
        except TypeError:
            raise DataError(
                f"{self.label}: its label is {short(label)}, expected a number"
            ) from None
        network = self._network()
        if network is not None:
            network.gradients_due = True

    def calc_hidden_layer_delta(self, outside: Any = 0.0) -> None:
        """Set the delta from those downstream.

        delta = activation'(net) * sum over outgoing connections of weight * downstream delta;
        Rumelhart, Hinton & Williams (Nature, 1986), eq. 5 and 7.

        Parameters
        ----------
        outside : float or ndarray
            What the loss itself sends back to an output node, -dE/d output.
        """
        returned = self.calc_returned(outside)
        self.delta = self._activation.derivative(self.net, self.output) * returned

    def calc_returned(self, outside: Any = 0.0) -> Any:
        """Return -dE/d output: what comes back through the outgoing connections."""
        returned = outside
        for connection in self.downstream:
            returned = returned + connection.weight * connection.returning()
        return returned

    def add_gradients(self) -> None:
        """Add to the gradient of every incoming weight its share, -delta * upstream output."""
        delta = self.delta
        single = isinstance(delta, float)  # else a share is summed over batch and time
        for connection in self.upstream:
            parameter = connection._parameter
            if single and connection.partial is None and parameter is not None:
                share = delta * connection.arriving()
                parameter._gradient_flat[connection._index] -= share
            elif parameter is not None:
                connection.add_gradient()

    def explain(self, sample: int = 0, step: int = -1, limit: int = 8) -> str:
        """Return the arithmetic of this node in the last run, forward and backward, as text.

        Parameters
        ----------
        sample, step : int
            Which sample of the batch and which step of time to look at.
        limit : int
            How many terms of a long sum to show: the largest.

        Raises
        ------
        OptionError
            If the last run had no such sample or step.
        GraphError
            If the network goes along trees, and so does the node or one beside it.
        """
        from neurograph.graph.verbs import explain_node

        return explain_node(self, sample, step, limit)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._network() is None:
            return super().__reduce_ex__(protocol)
        from neurograph.graph.verbs import recipe

        return recipe(self)

    def __str__(self) -> str:
        return (
            f"{self.label}: {self._activation.name} of {self._aggregation}, "
            f"output {_show(self.output)}, delta {_show(self.delta)}, "
            f"{len(self.upstream)} upstream, {len(self.downstream)} downstream"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"


class InputNode(Node):
    """A node whose output is given from outside."""

    __slots__ = ()
    takes_connections = False

    def __init__(self, name: str = "", *, position: Sequence[int] | None = None) -> None:
        self._activation, self._aggregation = get_activation(None), "sum"
        self._place(name, position)

    def __str__(self) -> str:
        return f"{self.label}: input, output {_show(self.output)}"


class ConstNode(Node):
    """A node whose output is always 1: the source of biases."""

    __slots__ = ()
    takes_connections = False
    is_constant = True

    def __init__(self, name: str = "") -> None:
        self._activation, self._aggregation = get_activation(None), "sum"
        self._place(name, None)

    @property
    def output(self) -> Any:
        """Always 1."""
        return 1.0

    @output.setter
    def output(self, value: Any) -> None:
        raise GraphError(f"{self.label}: the output of a ConstNode is always 1")

    def __str__(self) -> str:
        return f"{self.label}: constant, output 1"


def aggregate(aggregation: str, signals: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Combine signals by mean, max or product; return the net and d net / d signal of each.

    The max sends its gradient to the first signal that attains it; the product multiplies prefix
    and suffix products, so that zeros need no division.

    >>> aggregate("product", [2.0, 0.0, 3.0])
    (0.0, [0.0, 6.0, 0.0])
    >>> net, partials = aggregate("max", [1.0, 4.0, 4.0])
    >>> net, [float(each) for each in partials]
    (4.0, [0.0, 1.0, 0.0])
    """
    if aggregation == "mean":
        return sum(signals) / len(signals), [1.0 / len(signals)] * len(signals)
    if aggregation == "max":
        plain = all(isinstance(each, float) for each in signals)
        larger: Any = max if plain else np.maximum
        net, free, partials = reduce(larger, signals), 1.0, []
        for signal in signals:
            partials.append(free * (signal == net))
            free = free - partials[-1]
        return net, partials
    before = _running_product(signals)
    after = _running_product(signals[::-1])[::-1]
    return before[-1], [left * right for left, right in zip(before[:-1], after[1:], strict=True)]


def _running_product(signals: Sequence[Any]) -> list[Any]:
    products: list[Any] = [1.0]
    for signal in signals:
        products.append(products[-1] * signal)
    return products


def _coordinates(position: Sequence[int]) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, position))
    except TypeError:
        raise OptionError(
            f"a node's position is whole numbers such as (row, column, channel), got "
            f"{short(position)}"
        ) from None


def _kind(node: Node) -> str:
    return "an input" if isinstance(node, InputNode) else "a ConstNode"


def _show(value: Any) -> str:
    if np.ndim(value) == 0:
        return "nan" if math.isnan(value) else f"{float(value):.6g}"
    return f"array of shape {np.shape(value)}"
