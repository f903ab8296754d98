"""Random networks of hand-made nodes, for property tests: the same seed, the same network.

``random_network(seed)`` returns ``(net, x, y)``. Some have time and some have not; there are skips,
several outputs, outputs that feed on, all aggregations, shared and frozen weights, constants,
initial states, delays of several lengths, and cycles through time in both directions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import neurograph as ng

SMOOTH = ("identity", "sigmoid", "tanh", "sin", "gaussian", "swish")
KINKED = (*SMOOTH, "relu", "leaky_relu", "selu", "hard_sigmoid", "softplus", "elu", "gelu")


class _Maker:
    """Draws one network."""

    def __init__(self, seed: int, smooth: bool, timed: bool | None) -> None:
        self.rng = np.random.default_rng(seed)
        self.activations = SMOOTH if smooth else KINKED
        self.timed = bool(self.rng.integers(2)) if timed is None else timed
        self.shared = [ng.Parameter(self._weight(), name=f"shared_{k}") for k in range(2)]
        self.table = ng.Parameter(self.rng.normal(size=(2, 2)), name="table")

    def _weight(self) -> float:
        return float(self.rng.normal() * 0.8)

    def _pick(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def connect(self, up: ng.Node, down: ng.Node, delay: int = 0) -> None:
        kind = self.rng.random()
        if kind < 0.15:
            ng.Connection(up, down, parameter=self._pick(self.shared), delay=delay)
        elif kind < 0.25:
            ng.Connection(up, down, parameter=self.table, index=int(self.rng.integers(4)),
                          delay=delay)  # fmt: skip
        else:
            trainable = self.rng.random() > 0.1
            ng.Connection(up, down, self._weight(), delay=delay, trainable=trainable)

    def make(self) -> tuple[ng.Network, Any, Any]:
        rng = self.rng
        inputs = [ng.InputNode(f"x{k}") for k in range(int(rng.integers(1, 4)))]
        const = ng.ConstNode("one")
        nodes: list[ng.Node] = []
        for k in range(int(rng.integers(3, 9))):
            aggregation = self._pick(["sum", "sum", "sum", "mean", "max", "product"])
            initial = float(rng.normal()) if self.timed and rng.random() < 0.5 else 0.0
            node = ng.Node(self._pick(self.activations), aggregation, name=f"n{k}", initial=initial)
            earlier = [*inputs, *nodes]
            ups = rng.choice(len(earlier), size=min(len(earlier), int(rng.integers(1, 4))),
                             replace=False)  # fmt: skip
            if k == 0:
                ups = np.arange(len(inputs))
            for up in ups:
                self.connect(earlier[up], node)
            if rng.random() < 0.5:
                self.connect(const, node)
            nodes.append(node)
        if self.timed:
            self._add_delays(inputs, nodes)
        reached = _reached(inputs, nodes)
        outputs = [nodes[-1]] if nodes[-1] in reached else [reached[-1]]
        for node in reached:
            used = any(each.downstream_node is not node for each in node._downstream)
            if node is not outputs[0] and rng.random() < (0.2 if used else 0.8):
                outputs.append(node)
        net = ng.Network(inputs=inputs, outputs=outputs, name="random")
        lead = (3, 5) if self.timed else (3,)
        return net, rng.normal(size=(*lead, len(inputs))), rng.normal(size=(*lead, len(outputs)))

    def _add_delays(self, inputs: list[ng.Node], nodes: list[ng.Node]) -> None:
        """Close cycles forward in time in the first half, backward in time in the second."""
        half = len(nodes) // 2
        for part, sign in ((nodes[:half], 1), (nodes[half:], -1)):
            for _ in range(int(self.rng.integers(1, 4)) if part else 0):
                delay = sign * int(self.rng.integers(1, 4))
                self.connect(self._pick(part), self._pick(part), delay)
        for _ in range(int(self.rng.integers(0, 3))):
            delay = int(self._pick([-2, -1, 1, 2, 6]))
            self.connect(self._pick(inputs), self._pick(nodes), delay)
            if half:
                self.connect(self._pick(nodes[:half]), self._pick(nodes[half:]), delay)


def _reached(inputs: list[ng.Node], nodes: list[ng.Node]) -> list[ng.Node]:
    found: set[int] = {id(node) for node in inputs}
    stack: list[ng.Node] = list(inputs)
    while stack:
        for connection in stack.pop()._downstream:
            down = connection.downstream_node
            if id(down) not in found:
                found.add(id(down))
                stack.append(down)
    return [node for node in nodes if id(node) in found]


def random_network(
    seed: int, *, smooth: bool = True, timed: bool | None = None
) -> tuple[ng.Network, Any, Any]:
    """Return a network, inputs (batch, [time,] inputs) and targets (batch, [time,] outputs).

    Parameters
    ----------
    seed : int
    smooth : bool
        Whether all activations are analytic, for complex steps; else relu and the like occur too.
    timed : bool, optional
        Whether it has delays; absent: drawn.
    """
    return _Maker(seed, smooth, timed).make()
