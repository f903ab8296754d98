"""Connection: one weight between two nodes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from neurograph.errors import DataError, GraphError
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.graph.connections import Connections
    from neurograph.graph.node import Node


class Connection:
    """A weighted connection from an upstream node to a downstream node.

    It is a handle: the weight and its gradient live at an address, ``(parameter, index)``. A
    connection made by hand owns its weight until a network adopts it.

    Parameters
    ----------
    upstream_node, downstream_node : Node
    weight : float, optional
        The initial weight; 0 if absent and no parameter is given.
    parameter : Parameter, optional
        A shared weight instead: the connection uses its element ``index``.
    index : int
        The flat index in ``parameter``.
    delay : int
        Steps of time: the connection carries ``upstream.output[t - delay]``. Negative: from the
        future.
    trainable : bool
        Whether training may change the weight.

    Raises
    ------
    GraphError
        If the two nodes belong to two networks, or the downstream node takes no connections.
    DataError
        If the weight is not a finite number.

    Examples
    --------
    >>> from neurograph.graph.node import InputNode, Node
    >>> print(Connection(InputNode("a"), Node("tanh", name="h"), weight=0.3))
    a -> h: weight 0.3, gradient 0
    """

    __slots__ = (
        "__weakref__",
        "_bundle",
        "_gradient",
        "_index",
        "_parameter",
        "_trainable",
        "_weight",
        "delay",
        "downstream_node",
        "partial",
        "upstream_node",
    )

    def __init__(
        self,
        upstream_node: Node,
        downstream_node: Node,
        weight: float | None = None,
        *,
        parameter: Parameter | None = None,
        index: int = 0,
        delay: int = 0,
        trainable: bool = True,
    ) -> None:
        self.upstream_node = upstream_node
        self.downstream_node = downstream_node
        self.delay = delay
        self.partial: Any = None
        self._bundle: Connections | None = None
        self._parameter = parameter
        self._index = index
        self._gradient = 0.0
        self._trainable = trainable
        self._weight = 0.0 if weight is None else weight
        if weight is not None:
            if parameter is not None:
                raise GraphError(f"{self.label}: give a weight or a shared parameter, not both")
            if not math.isfinite(weight):
                raise DataError(f"{self.label}: its weight is {weight}, expected a finite number")
        elif parameter is not None and not 0 <= index < parameter.size:
            raise GraphError(
                f"{self.label}: index {index} is outside parameter {parameter.name!r} "
                f"of {parameter.size} weights"
            )
        upstream_node.accept_downstream(self, downstream_node)

    @property
    def label(self) -> str:
        """``upstream -> downstream``, with the delay if there is one."""
        late = f" [delay {self.delay}]" if self.delay else ""
        return f"{self.upstream_node.label} -> {self.downstream_node.label}{late}"

    @property
    def weight(self) -> float:
        """The weight, from its one home."""
        parameter = self._parameter
        if parameter is None:
            return self._weight
        return parameter._flat[self._index]

    @weight.setter
    def weight(self, weight: float) -> None:
        if not math.isfinite(weight):
            raise DataError(f"{self.label}: its weight cannot be {weight}; give a finite number")
        if self._parameter is not None:
            self._parameter._flat[self._index] = weight
        elif self._bundle is not None:
            raise GraphError(f"{self.label}: this connection has the constant weight 1")
        else:
            self._weight = weight

    @property
    def gradient(self) -> float:
        """dE/d weight of the last backward run (of all connections that share the weight)."""
        if self._parameter is None:
            return self._gradient
        return self._parameter._gradient_flat[self._index]

    @gradient.setter
    def gradient(self, gradient: float) -> None:
        if self._parameter is None:
            self._gradient = gradient
        else:
            self._parameter._gradient_flat[self._index] = gradient

    @property
    def parameter(self) -> Parameter | None:
        """The parameter in which the weight lives; None for a constant or a loose connection."""
        return self._parameter

    @property
    def index(self) -> int:
        """The flat index of the weight in ``parameter``."""
        return self._index

    @property
    def trainable(self) -> bool:
        """Whether training may change the weight (all connections that share it included)."""
        if self._parameter is None:
            return self._trainable and self._bundle is None
        return self._parameter.is_trainable_at(self._index)

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        if self._parameter is not None:
            self._parameter.freeze(self._index, not trainable)
        elif self._bundle is not None:
            raise GraphError(f"{self.label}: a connection of constant weight is never trained")
        else:
            self._trainable = trainable

    # the textbook's steps -------------------------------------------------------------------

    def arriving(self) -> Any:
        """Return the upstream output that arrives now: ``upstream.output[t - delay]``."""
        node = self.upstream_node
        return node.output_at(-self.delay) if self.delay else node.output

    def returning(self) -> Any:
        """Return what comes back: the delta of the downstream node, d net / d (w * output) times.

        That derivative, ``partial``, is 1 for the sum aggregation; max, mean and product set it
        when they are calculated. With a delay the delta is that of step ``t + delay``.
        """
        node = self.downstream_node
        if self.delay:
            return node.delta_at(self.delay, self)
        return node.delta if self.partial is None else node.delta * self.partial

    def calc_gradient(self) -> None:
        """Set ``gradient = dE/dw = -delta * upstream output`` for one sample.

        Rumelhart, Hinton & Williams (1986), eq. 6, with delta = -dE/d net.
        """
        self.gradient = -self.returning() * self.upstream_node.output

    def get_gradient(self) -> float:
        """Return the gradient of the last backward run, dE/d weight."""
        return self.gradient

    def update_weight(self, rate: float) -> None:
        """Take one step of gradient descent: ``weight -= rate * gradient``."""
        parameter = self._parameter
        if parameter is None:
            if self._bundle is None:
                self._weight -= rate * self._gradient
        elif parameter.frozen is None and parameter._trainable:
            parameter._flat[self._index] -= rate * parameter._gradient_flat[self._index]
        elif parameter.is_trainable_at(self._index):
            self.weight -= rate * self.gradient

    def remove(self) -> None:
        """Take the connection out of the graph; a compiled model notices at its next step."""
        if self._bundle is not None:
            self._bundle.remove(self)
        else:
            self.upstream_node.forget(self)
            self.downstream_node.forget(self)
            network = self.upstream_node._network() or self.downstream_node._network()
            if network is not None:
                network.handmade.changed()

    def __str__(self) -> str:
        return f"{self.label}: weight {self.weight:.6g}, gradient {self.gradient:.6g}"

    def __repr__(self) -> str:
        return f"<Connection {self.label}, weight {self.weight:.6g}>"
