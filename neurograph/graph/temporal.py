"""Bridges between time and space: one connection is used at one step of time only.

A sequence of T steps of shape ``shape`` and an image of shape (T, shape) hold the same values; so
do the arrays of a run, (batch, T, shape) both. ``FoldConnections`` goes from the image to the
sequence, ``UnfoldConnections`` back, ``StepConnections`` picks one step, ``ReverseConnections``
turns a sequence round. All weights are 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import GraphError, ShapeError
from neurograph.graph.connection import Connection
from neurograph.graph.connections import Bundle, Indices

if TYPE_CHECKING:
    from neurograph.graph.layer import Layer


class BridgeConnections(Bundle):
    """What the bridges share: weight 1, and no single connection can be taken out.

    Node i feeds node i, unless a kind of bridge says otherwise.
    """

    def __init__(
        self, source: Layer, target: Layer, *, from_sequence: bool, to_sequence: bool
    ) -> None:
        kinds = {True: "a sequence", False: "not a sequence"}
        for layer, expected in ((source, from_sequence), (target, to_sequence)):
            if layer.sequence != expected:
                raise ShapeError(
                    f"{source.name} -> {target.name}: {layer.name or layer.kind!r} is "
                    f"{kinds[layer.sequence]}; this bridge needs one that is {kinds[expected]}"
                )
        super().__init__(source, target, None)

    def into(self, down: int) -> tuple[Indices, Indices]:
        """Return the one upstream index and its weight address."""
        return np.array([down]), np.zeros(1, np.int64)

    def out_of(self, up: int) -> tuple[Indices, Indices]:
        """Return the one downstream index and its weight address."""
        return np.array([up]), np.zeros(1, np.int64)

    def fan_outs(self) -> Indices:
        """Return the number of connections out of each node of the source."""
        return np.full(self.source.size, len(self) // self.source.size)

    def __len__(self) -> int:
        return self.source.size

    def remove(self, connection: Connection) -> None:
        """Refuse: the connection is there at one step of time only."""
        raise GraphError(
            f"{connection.label}: a connection between time and space cannot be removed; remove "
            f"those into or out of its nodes"
        )


class FoldConnections(BridgeConnections):
    """Row t of the source, an image of T rows, becomes step t of the target, a sequence.

    The connection from node ``t * target.size + i`` to node i carries its value at step t alone.
    """

    def __init__(self, source: Layer, target: Layer) -> None:
        self.steps = _steps(source, target, source.size, target.size)
        super().__init__(source, target, from_sequence=False, to_sequence=True)

    def into(self, down: int) -> tuple[Indices, Indices]:
        """Return upstream indices, by step of time, and weight addresses."""
        ups = down + self.target.size * np.arange(self.steps)
        return ups, np.zeros_like(ups)

    def out_of(self, up: int) -> tuple[Indices, Indices]:
        """Return the one downstream index and its weight address."""
        return np.array([up % self.target.size]), np.zeros(1, np.int64)

    def step_of(self, up: int, down: int) -> int:
        """Return the row of the upstream node."""
        return up // self.target.size


class UnfoldConnections(BridgeConnections):
    """Step t of the source, a sequence, becomes row t of the target, an image of T rows.

    The connection from node i to node ``t * source.size + i`` carries the value of step t.
    """

    def __init__(self, source: Layer, target: Layer) -> None:
        self.steps = _steps(source, target, target.size, source.size)
        super().__init__(source, target, from_sequence=True, to_sequence=False)

    def into(self, down: int) -> tuple[Indices, Indices]:
        """Return the one upstream index and its weight address."""
        return np.array([down % self.source.size]), np.zeros(1, np.int64)

    def out_of(self, up: int) -> tuple[Indices, Indices]:
        """Return downstream indices, by step of time, and weight addresses."""
        downs = up + self.source.size * np.arange(self.steps)
        return downs, np.zeros_like(downs)

    def step_of(self, up: int, down: int) -> int:
        """Return the row of the downstream node."""
        return down // self.source.size

    def __len__(self) -> int:
        return self.target.size


class StepConnections(BridgeConnections):
    """Node i of the target has the output of node i of the source, a sequence, at one step.

    Parameters
    ----------
    step : int
        Which; negative numbers count from the end, -1 is the last (of each sample's own length).
    """

    def __init__(self, source: Layer, target: Layer, step: int = -1) -> None:
        self.step = step
        if source.size != target.size:
            raise ShapeError(
                f"{source.name} -> {target.name}: one step has {source.size} nodes, "
                f"the target has {target.size}"
            )
        if source.steps is not None and not -source.steps <= step < source.steps:
            raise ShapeError(
                f"{source.name} -> {target.name}: there is no step {step} in a sequence of "
                f"{source.steps}"
            )
        super().__init__(source, target, from_sequence=True, to_sequence=False)

    def step_of(self, up: int, down: int) -> int:
        """Return the step; negative numbers count from the end."""
        return self.step

    def edges(self) -> tuple[Indices, Indices, Indices]:
        """Return upstream indices, downstream indices and addresses of all."""
        each = np.arange(self.source.size)
        return each, each, np.zeros_like(each)

    def describe(self) -> dict[str, Any]:
        """Return what, beside source and target, rebuilds it."""
        return {"step": self.step}


class ReverseConnections(BridgeConnections):
    """Node i of the target has, at step t, the output of node i of the source at step T - 1 - t.

    It turns a sequence round. It does not help to close a cycle, since it never points to the past
    alone.
    """

    reverses = True

    def __init__(self, source: Layer, target: Layer) -> None:
        if source.size != target.size:
            raise ShapeError(
                f"{source.name} -> {target.name}: the one has {source.size} nodes a step, the "
                f"other {target.size}; a sequence is turned round node by node"
            )
        super().__init__(source, target, from_sequence=True, to_sequence=True)

    def remove(self, connection: Connection) -> None:
        """Refuse: an explicit table of edges could not turn time round."""
        raise GraphError(
            f"{connection.label}: a connection that turns time round cannot be removed; remove "
            f"those into or out of its nodes"
        )


def _steps(source: Layer, target: Layer, whole: int, step: int) -> int:
    """Return T from the sizes of the image and of one step, and check what the layers say."""
    steps, rest = divmod(whole, step)
    said = next((each.steps for each in (source, target) if each.sequence and each.steps), steps)
    if rest or steps != said:
        raise ShapeError(
            f"{source.name} -> {target.name}: shapes {source.shape} and {target.shape} do not hold "
            f"the same {said} steps"
        )
    return steps
