"""Connection: one weight between two nodes."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from neurograph.errors import DataError, GraphError, OptionError, short
from neurograph.options import number
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.graph.connections import Connections
    from neurograph.graph.node import Node


class Passage(Protocol):
    """How values pass a connection where time matters: given to it by a run through time."""

    def arriving(self, connection: Connection) -> Any:
        """Return the upstream output that the downstream node sees."""
        ...

    def returning(self, connection: Connection) -> Any:
        """Return the part of the downstream deltas that the upstream node sees."""
        ...


class NoRun:
    """The passage of a delayed connection before any run: there is no time yet."""

    def arriving(self, connection: Connection) -> Any:
        """Refuse, since no step of time is the present one."""
        raise GraphError(
            f"{connection.label}: with a delay, what arrives depends on the step of time; run the "
            f"network on a sequence, as in net.predict(sequence, explicit=True)"
        )

    returning = arriving


class FromConstant:
    """The passage of a connection from a ConstNode: 1 arrives, at any time."""

    def arriving(self, connection: Connection) -> Any:
        """Return 1."""
        return 1.0

    def returning(self, connection: Connection) -> Any:
        """Return the downstream delta, as if the ConstNode could change."""
        delta = connection.downstream_node.delta
        return delta if connection.partial is None else delta * connection.partial


NO_RUN, FROM_CONSTANT = NoRun(), FromConstant()


def first_passage(upstream_node: Node, delay: int) -> Passage | None:
    """Return how values pass a new connection."""
    if upstream_node.is_constant:
        return FROM_CONSTANT
    return NO_RUN if delay else None


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
        "_delay",
        "_downstream",
        "_gradient",
        "_index",
        "_parameter",
        "_trainable",
        "_upstream",
        "_weight",
        "partial",
        "passage",
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
        for node in (upstream_node, downstream_node):
            if not hasattr(node, "takes_connections"):
                raise GraphError(
                    f"Connection({short(upstream_node)}, {short(downstream_node)}): give two "
                    f"nodes; net.connect() takes their names, too"
                )
        self._upstream = upstream_node
        self._downstream = downstream_node
        self._delay = delay if type(delay) is int else _whole_steps(delay)
        self.partial: Any = None
        self.passage: Passage | None = first_passage(upstream_node, self._delay)
        self._bundle: Connections | None = None
        self._parameter = parameter
        self._index = index
        self._gradient = 0.0
        self._trainable = trainable
        self._weight = 0.0 if weight is None else weight
        if weight is not None:
            if parameter is not None:
                raise GraphError(f"{self.label}: give a weight or a shared parameter, not both")
            if not _is_finite(weight):
                raise DataError(
                    f"{self.label}: its weight is {short(weight)}, expected a finite number"
                )
        elif parameter is not None:
            self._check_address(parameter, index)
        upstream_node.accept_downstream(self, downstream_node)

    def _check_address(self, parameter: object, index: object) -> None:
        if not isinstance(parameter, Parameter):
            raise GraphError(
                f"{self.label}: its parameter is {short(parameter)}, expected an ng.Parameter; a "
                f"number is given as weight="
            )
        if not (isinstance(index, (int, np.integer)) and 0 <= index < parameter.size):
            raise GraphError(
                f"{self.label}: index {index} is outside parameter {parameter.name!r} "
                f"of {parameter.size} weights"
            )

    @property
    def upstream_node(self) -> Node:
        """The node that it comes from; for another, ``remove()`` it and connect that."""
        return self._upstream

    @property
    def downstream_node(self) -> Node:
        """The node that it goes to; for another, ``remove()`` it and connect that."""
        return self._downstream

    @property
    def delay(self) -> int:
        """Steps of time that what it carries is late; to be changed in hand-made connections.

        Raises
        ------
        GraphError
            If the new delay would close a cycle without delay, or the connection is a layer's.
        """
        return self._delay

    @delay.setter
    def delay(self, delay: int) -> None:
        if self._bundle is not None:
            raise GraphError(f"{self.label}: the delay of a layer's connections cannot be changed")
        before, network = self._delay, self._downstream._network()
        self._put_delay(_whole_steps(delay))
        if network is not None:
            try:
                network.stages()
            except GraphError:
                self._put_delay(before)
                raise

    def _put_delay(self, delay: int) -> None:
        self._delay, self.passage = delay, first_passage(self._upstream, delay)
        network = self._downstream._network()
        if network is not None:
            network.handmade.changed()

    @property
    def label(self) -> str:
        """``upstream -> downstream``, with the delay if there is one."""
        late = f" [delay {self._delay}]" if self._delay else ""
        return f"{self._upstream.label} -> {self._downstream.label}{late}"

    @property
    def weight(self) -> float:
        """The weight, from its one home."""
        parameter = self._parameter
        if parameter is None:
            return self._weight
        return parameter._flat[self._index]

    @weight.setter
    def weight(self, weight: float) -> None:
        if not _is_finite(weight):
            raise DataError(
                f"{self.label}: its weight cannot be {short(weight)}; give a finite number"
            )
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
    def step(self) -> int | None:
        """The one step of time at which it is there; None: at every step."""
        if self._bundle is None:
            return None
        return self._bundle.step_of(self._upstream.index, self._downstream.index)

    @property
    def reverses(self) -> bool:
        """Whether it carries the last step to the first, the last but one to the second, …."""
        return bool(getattr(self._bundle, "reverses", False))

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
        if self.passage is not None:
            return self.passage.arriving(self)
        node, layer = self._upstream, self._upstream._layer
        return node.output if layer is None else layer._output[node._index]

    def signal(self) -> Any:
        """Return what the connection brings: ``weight * upstream.output[t - delay]``."""
        parameter = self._parameter
        weight = self._weight if parameter is None else parameter._flat[self._index]
        if self.passage is not None:
            return weight * self.passage.arriving(self)
        node, layer = self._upstream, self._upstream._layer
        return weight * (node.output if layer is None else layer._output[node._index])

    def returning(self) -> Any:
        """Return what comes back: downstream delta times d net / d (weight * upstream output).

        That derivative, ``partial``, is 1 (None) for the sum; mean, max and product set it when
        they are calculated. With a delay the delta is that of step ``t + delay``.
        """
        if self.passage is None:
            delta = self._downstream.delta
            return delta if self.partial is None else delta * self.partial
        return self.passage.returning(self)

    def keep_partial(self, partial: Any) -> None:
        """Remember d net / d (weight * upstream output), for the present step of time."""
        timeline = self._downstream.layer.timeline
        self.partial = partial if timeline is None else timeline.with_partial(self.partial, partial)

    def share(self) -> float:
        """Return what this connection adds to the gradient of its weight.

        ``-delta * upstream output`` (Rumelhart, Hinton & Williams, Nature, 1986, eq. 6,
        with delta = -dE/d net), summed over the batch and the steps of time.
        """
        delta = self._downstream.delta
        if self.partial is not None:
            delta = delta * self.partial
        share = -delta * self.arriving()
        return share if isinstance(share, float) else float(share.sum())

    def calc_gradient(self) -> None:
        """Set ``gradient`` to this connection's own share of dE/d weight.

        Where several connections share a weight, the network's ``calc_gradient`` adds their shares.
        """
        self.gradient = self.share()

    def add_gradient(self) -> None:
        """Add this connection's share to ``gradient``."""
        self.gradient += self.share()

    def get_gradient(self) -> float:
        """Return the gradient of the last backward run, dE/d weight."""
        return self.gradient

    def update_weight(self, rate: float) -> None:
        """Take one step of gradient descent: ``weight -= rate * gradient``.

        If deltas are newer than gradients (nodes walked by hand), the gradient is calculated first.
        """
        rate = number("update_weight: rate", rate, least=0)
        network = self._downstream._network()
        if network is None or network.gradients_due:
            self.calc_gradient()
        if self.trainable:
            self.weight -= rate * self.gradient

    def remove(self) -> None:
        """Take the connection out of the graph; a compiled model notices at its next step."""
        if self._bundle is not None:
            self._bundle.remove(self)
        else:
            self._upstream.forget(self)
            self._downstream.forget(self)
            network = self._upstream._network() or self._downstream._network()
            if network is not None:
                network.handmade.changed()

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._downstream._network() is None:
            return super().__reduce_ex__(protocol)
        from neurograph.graph.verbs import recipe

        return recipe(self)

    def __str__(self) -> str:
        return f"{self.label}: weight {self.weight:.6g}, gradient {self.gradient:.6g}"

    def __repr__(self) -> str:
        return f"<Connection {self.label}, weight {self.weight:.6g}>"


def _whole_steps(delay: object) -> int:
    try:
        return operator.index(delay)  # type: ignore[arg-type]
    except TypeError:
        raise OptionError(
            f"a connection's delay is a whole number of steps, got {short(delay)}"
        ) from None


def _is_finite(weight: object) -> bool:
    try:
        return math.isfinite(weight)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return False
