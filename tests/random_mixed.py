"""Random networks of library layers, bundles made by hand, and hand-made nodes among them.

``random_mixed(seed)`` returns ``(net, x, y)``. Layers take any aggregation over dense, one-to-one,
bias and table bundles, with own, shared and constant weights, blocks, columns of a wider kernel,
delays and cycles through time; connections are removed and frozen; hand-made nodes read from layers
and feed into them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import neurograph as ng
from neurograph.errors import GraphError
from neurograph.graph.bundles import (
    BiasConnections,
    DenseConnections,
    OneToOneConnections,
    TableConnections,
)
from neurograph.graph.layer import Layer

SMOOTH = ("identity", "sigmoid", "tanh", "sin", "swish")


class _Maker:
    """Draws one network."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.timed = bool(self.rng.integers(2))
        self.layers: list[Layer] = []
        self.kernels: list[ng.Parameter] = []
        self.count = 0

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def parameter(self, layer: Layer, *shape: int) -> ng.Parameter:
        """Return a parameter of the layer: a new one, or one used before if it fits."""
        fitting = [each for each in self.kernels if each.shape == shape]
        if fitting and self.chance(0.4):
            found = self.pick(fitting)
        else:
            self.count += 1
            found = ng.Parameter(self.rng.normal(size=shape) * 0.6, name=f"w{self.count}")
            self.kernels.append(found)
        layer.parameters[f"{found.name}"] = found
        return found

    def bundle(self, source: Layer, target: Layer, delay: int) -> None:
        kind = self.pick(["dense", "dense", "columns", "one", "table"])
        n, m = source.size, target.size
        if kind == "dense":
            DenseConnections(source, target, self.parameter(target, n, m), delay=delay)
        elif kind == "columns":
            first = int(self.rng.integers(3))
            kernel = self.parameter(target, n, m + 3)
            DenseConnections(source, target, kernel, first_column=first, delay=delay)
        elif kind == "one":
            self.one_to_one(source, target, delay)
        else:
            count = int(self.rng.integers(1, n * m + 1))
            places = self.rng.choice(n * m, size=count, replace=False)
            weights = None if self.chance(0.2) else self.parameter(target, 4)
            addresses = self.rng.integers(0, 4, size=count)
            TableConnections(
                source, target, weights, places // m, places % m, addresses, delay=delay
            )

    def one_to_one(self, source: Layer, target: Layer, delay: int) -> None:
        width = int(self.rng.integers(1, min(source.size, target.size) + 1))
        weights = self.parameter(target, width) if self.chance(0.5) else None
        OneToOneConnections(
            source,
            target,
            weights,
            block=(width,),
            source_start=(int(self.rng.integers(source.size - width + 1)),),
            target_start=(int(self.rng.integers(target.size - width + 1)),),
            delay=delay,
            constant=float(self.pick([1.0, -1.0, 0.5])) if weights is None else 1.0,
        )

    def layer(self) -> None:
        rng = self.rng
        size = int(rng.integers(1, 5))
        sources = [self.pick(self.layers) for _ in range(int(rng.integers(1, 4)))]
        if self.layers[-1] not in sources:
            sources[0] = self.layers[-1]
        sequence = any(each.sequence for each in sources)
        aggregation = self.pick(["sum", "sum", "sum", "mean", "max", "product"])
        layer = Layer(
            (size,),
            name=f"layer{len(self.layers)}",
            activation=self.pick(SMOOTH) if self.chance(0.85) else "softmax",
            aggregation=aggregation,
            sequence=sequence,
        )
        for source in sources:
            delay = int(self.pick([0, 0, 1, 2])) if source.sequence else 0
            self.bundle(source, layer, delay)
        if sequence and aggregation == "sum" and self.chance(0.5):
            self.bundle(layer, layer, int(rng.integers(1, 3)))
            if self.chance(0.5):
                layer.initial = rng.normal(size=(size,))
        one = Layer((1,), kind="const", role="const")
        one.root = layer
        if aggregation != "sum" or self.chance(0.6):  # so that no node is without connections
            weights = self.parameter(layer, size) if self.chance(0.7) else None
            BiasConnections(one, layer, weights)
        self.layers.append(layer)

    def make(self) -> tuple[ng.Network, Any, Any]:
        rng = self.rng
        inputs = []
        for k in range(int(rng.integers(1, 3))):
            size = int(rng.integers(1, 5))
            timed = self.timed and (k == 0 or self.chance(0.5))
            inputs.append(ng.Input((None, size) if timed else (size,), name=f"x{k}"))
        self.layers += inputs
        for _ in range(int(rng.integers(2, 6))):
            self.layer()
        outputs = [self.layers[-1]]
        if self.chance(0.3) and len(self.layers) > len(inputs) + 1:
            outputs.append(self.layers[-2])
        used = [each for each in inputs if any(b.source is each for b in self.bundles())]
        net = ng.Network(inputs=used, outputs=outputs, name="mixed")
        self.by_hand(net)
        self.edit(net)
        return net, *self.data(net)

    def bundles(self) -> list[Any]:
        return [bundle for layer in self.layers for bundle in layer.incoming]

    def by_hand(self, net: ng.Network) -> None:
        """Put hand-made nodes between the nodes of layers."""
        known = [layer for layer in net.all_layers if layer.role in ("input", "units")]
        made: list[ng.Node] = []
        for k in range(int(self.rng.integers(0, 4))):
            aggregation = self.pick(["sum", "sum", "mean", "max", "product"])
            node = ng.Node(self.pick(SMOOTH), aggregation, name=f"n{k}")
            for _ in range(int(self.rng.integers(1, 4))):
                layer = self.pick(known)
                up = self.pick(made) if made and self.chance(0.3) else self.pick(layer.nodes)
                self.connect(net, up, node)
            made.append(node)
        targets = [layer for layer in known if layer.role == "units"]
        for node in made:
            for _ in range(int(self.rng.integers(1, 3))):
                if node.upstream:
                    self.connect(net, node, self.pick(self.pick(targets).nodes))
        if self.chance(0.4):
            self.connect(net, self.pick(known[0].nodes), self.pick(self.pick(targets).nodes))

    def connect(self, net: ng.Network, up: ng.Node, down: ng.Node) -> None:
        timed = up.layer.sequence
        try:
            net.connect(
                up,
                down,
                weight=float(self.rng.normal() * 0.7),
                delay=int(self.pick([0, 0, 1])) if timed else 0,
                trainable=not self.chance(0.1),
            )
        except GraphError:  # a cycle without delay, or time flowing into what has none
            return

    def edit(self, net: ng.Network) -> None:
        """Remove and freeze some connections."""
        for bundle in net.bundles:
            if (
                isinstance(bundle, DenseConnections)
                and bundle.target.aggregation == "sum"
                and self.chance(0.3)
            ):
                connections = list(bundle)
                self.pick(connections).trainable = False
                self.pick(connections).remove()

    def data(self, net: ng.Network) -> tuple[Any, Any]:
        def draw(port: Any) -> Any:
            lead = (3, 4) if port.layer.sequence else (3,)
            return self.rng.normal(size=(*lead, *port.shape))

        xs, ys = ([draw(port) for port in ports] for ports in (net.inputs, net.outputs))
        return (xs[0] if len(xs) == 1 else xs), (ys[0] if len(ys) == 1 else ys)


def random_mixed(seed: int) -> tuple[ng.Network, Any, Any]:
    """Return a network, inputs (batch, [time,] shape) and targets (batch, [time,] shape)."""
    return _Maker(seed).make()
