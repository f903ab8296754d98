"""Reading: the values of a node for one sample at one step of time, whoever calculated them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from neurograph.errors import DataError, OptionError
from neurograph.graph.connection import Connection
from neurograph.graph.layer import ZEROS, Layer
from neurograph.graph.node import Node, aggregate


@dataclass(frozen=True, slots=True)
class Reading:
    """Which sample and which step of time are looked at.

    Attributes
    ----------
    sample : int
        Its number in the batch; 0 for a run of one sample.
    step : int
        The step of time; without meaning outside of time.
    fresh : bool
        Whether it is known that stateful layers began the run anew.
    """

    sample: int
    step: int
    fresh: bool = False

    @classmethod
    def of(cls, node: Node, sample: int, step: int) -> Reading:
        """Check and count from the front what is asked of a node.

        Raises
        ------
        OptionError
            If the last run had no such sample or step.
        """
        batch, steps = extent(node.layer)
        for what, asked, size in (("sample", sample, batch or 1), ("step", step, steps or 1)):
            if not (isinstance(asked, (int, np.integer)) and -size <= asked < size):
                raise OptionError(
                    f"{node.label}.explain: there is no {what} {asked!r}; the last run had {size}"
                )
        return cls(sample % (batch or 1), step % (steps or 1))

    def value(self, node: Node, what: str, step: int | None = None) -> float:
        """Return the net, output or delta of a node, at the step looked at or another one."""
        if node.is_constant:
            return 1.0 if what == "output" else 0.0
        layer = node.layer
        store = getattr(layer, f"_{what}")
        if store is ZEROS:  # the net of an input, the delta where no gradient was asked for
            return 0.0
        values = np.asarray(store[node.index])
        _, steps = extent(layer)
        if steps is not None:
            values = values[..., self.step if step is None else step]
        return float(values.reshape(-1)[self.sample] if values.size > 1 else values.reshape(()))

    def arriving(self, connection: Connection, step: int | None = None) -> float | None:
        """Return the upstream output that a connection carries; None if it is not there now."""
        up, down = connection.upstream_node, connection.downstream_node
        at = self.step if step is None else step
        if connection.step is not None:
            _, steps = extent(up.layer if up.layer.sequence else down.layer)
            there = connection.step % (steps or 1)
            if down.layer.sequence:
                return self.value(up, "output") if there == at else None
            return self.value(up, "output", there)
        if not up.layer.sequence or not down.layer.sequence:
            return self.value(up, "output")
        _, steps = extent(up.layer)
        there = (steps or 1) - 1 - at if connection.reverses else at - connection.delay
        if 0 <= there < (steps or 1):
            return self.value(up, "output", there)
        return self.initial(up)

    def initial(self, node: Node) -> float:
        """Return the output of a node outside of time.

        Raises
        ------
        DataError
            It is that of the batch before, which a stateful layer has forgotten since.
        """
        layer = node.layer
        if layer.stateful and not self.fresh:
            raise DataError(
                f"{node.label} is stateful, and the state with which the run began is not kept; "
                f"look at a later step"
            )
        if layer.members is not None:
            return float(node.initial)
        start = layer.initial
        if start is None:
            return 0.0
        if isinstance(start, Layer):
            return self.value(start.own_node(node.index), "output")
        values = np.asarray(start)
        own = values.reshape(*values.shape[: values.ndim - len(layer.shape)], layer.size)
        own = own[..., node.index]
        return float(own.reshape(-1)[self.sample] if own.size > 1 else own.reshape(()))

    def signals(self, node: Node, step: int | None = None) -> list[tuple[Connection, float, float]]:
        """Return connection, weight and what arrives, for the connections into a node."""
        return [
            (connection, float(connection.weight), arriving)
            for connection in node.upstream
            if (arriving := self.arriving(connection, step)) is not None
        ]

    def partial(self, connection: Connection, step: int | None = None) -> float:
        """Return d net / d (weight * output) for a connection, from its node's aggregation."""
        node = connection.downstream_node
        if node.aggregation == "sum":
            return 1.0
        signals = self.signals(node, step)
        _, partials = aggregate(node.aggregation, [weight * value for _, weight, value in signals])
        place = next(k for k, (each, _, _) in enumerate(signals) if each is connection)
        return float(partials[place])

    def held(self, node: Node) -> bool:
        """Whether the step is masked, so that the output of the step before is repeated."""
        mask = node.layer.mask
        return mask is not None and self.value(mask.own_node(0), "output") == 0.0

    def sent_back(self, node: Node) -> list[tuple[str, float, float]]:
        """Return, of all that reads a node, name, weight, and downstream deltas times partials.

        That is its connections, and those of a layer whose initial state it is.
        """
        found = []
        for connection in node.downstream:
            late = f"[t{connection.delay:+d}]" if connection.delay else ""
            name = f"{connection.downstream_node.label}{late}"
            found.append((name, float(connection.weight), self.returning(connection)))
        network = node.layer.network
        for layer in network.all_layers if network is not None else ():
            if layer.initial is node.layer:
                for connection in layer.own_node(node.index).downstream:
                    name = f"{connection.downstream_node.label}[begin]"
                    found.append((name, float(connection.weight), self._at_begin(connection)))
        return found

    def _at_begin(self, connection: Connection) -> float:
        """Return what a connection returns from the steps at which it reads an initial state."""
        down = connection.downstream_node
        _, steps = extent(down.layer)
        return sum(
            self.value(down, "delta", at) * self.partial(connection, at)
            for at in range(steps or 0)
            if connection.delay and not 0 <= at - connection.delay < (steps or 0)
        )

    def returning(self, connection: Connection) -> float:
        """Return what comes back through a connection: downstream deltas times partials."""
        up, down = connection.upstream_node, connection.downstream_node
        _, steps = extent(down.layer)
        if connection.step is not None:
            _, steps = extent(up.layer if up.layer.sequence else down.layer)
            there = connection.step % (steps or 1)
            if up.layer.sequence and there != self.step:
                return 0.0
            return self.value(down, "delta", there) * self.partial(connection, there)
        if not down.layer.sequence:
            return self.value(down, "delta") * self.partial(connection)
        ahead = [self.step + connection.delay] if up.layer.sequence else range(steps or 1)
        if connection.reverses:
            ahead = [(steps or 1) - 1 - self.step]
        return sum(
            self.value(down, "delta", there) * self.partial(connection, there)
            for there in ahead
            if 0 <= there < (steps or 1)
        )


def extent(layer: Layer) -> tuple[int | None, int | None]:
    """Return the number of samples and of steps of the last run; None where there is no axis."""
    if layer._output is ZEROS:
        return None, None
    shape: tuple[Any, ...] = np.shape(layer._output[0])
    steps = shape[-1] if layer.sequence and shape else None
    lead = shape[:-1] if steps is not None else shape
    return (int(np.prod(lead)) if lead else None), steps
