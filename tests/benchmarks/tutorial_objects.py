"""The tutorial's network of plain Python objects, as the yardstick of the node-by-node run.

Nodes and connections with Python floats, sums by ``reduce`` over connections: what a reader of the
tutorial would write. ``python tests/benchmarks/tutorial_objects.py`` trains it and ours on the
same random samples, turn by turn, and prints microseconds per connection and sample.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from functools import reduce


class PlainNode:
    """A node: what it puts out and what came back to it."""

    def __init__(self) -> None:
        self.output = 0.0
        self.delta = 0.0
        self.upstream: list[PlainConnection] = []
        self.downstream: list[PlainConnection] = []

    def calc_output(self) -> None:
        net = reduce(lambda total, c: total + c.upstream_node.output * c.weight, self.upstream, 0.0)
        self.output = 1.0 / (1.0 + math.exp(-net))

    def calc_output_layer_delta(self, label: float) -> None:
        self.delta = self.output * (1.0 - self.output) * (label - self.output)

    def calc_hidden_layer_delta(self) -> None:
        returned = reduce(
            lambda total, c: total + c.downstream_node.delta * c.weight, self.downstream, 0.0
        )
        self.delta = self.output * (1.0 - self.output) * returned


class PlainConst(PlainNode):
    """The source of biases: its output stays 1."""

    def __init__(self) -> None:
        super().__init__()
        self.output = 1.0


class PlainConnection:
    """A weight between two nodes."""

    def __init__(self, upstream_node: PlainNode, downstream_node: PlainNode) -> None:
        self.upstream_node = upstream_node
        self.downstream_node = downstream_node
        self.weight = random.uniform(-0.1, 0.1)
        self.gradient = 0.0
        upstream_node.downstream.append(self)
        downstream_node.upstream.append(self)

    def calc_gradient(self) -> None:
        self.gradient = self.downstream_node.delta * self.upstream_node.output

    def update_weight(self, rate: float) -> None:
        self.calc_gradient()
        self.weight += rate * self.gradient


class PlainNetwork:
    """Fully connected layers, each ended by a constant node."""

    def __init__(self, sizes: list[int]) -> None:
        self.layers = [[PlainNode() for _ in range(size)] + [PlainConst()] for size in sizes]
        self.connections = [
            PlainConnection(up, down)
            for below, layer in zip(self.layers, self.layers[1:], strict=False)
            for up in below
            for down in layer[:-1]
        ]

    def predict(self, sample: list[float]) -> list[float]:
        for node, value in zip(self.layers[0], sample, strict=False):
            node.output = value
        for layer in self.layers[1:]:
            for node in layer[:-1]:
                node.calc_output()
        return [node.output for node in self.layers[-1][:-1]]

    def train_one_sample(self, label: list[float], sample: list[float], rate: float) -> None:
        self.predict(sample)
        for node, value in zip(self.layers[-1], label, strict=False):
            node.calc_output_layer_delta(value)
        for layer in self.layers[-2::-1]:  # down to the inputs, as the tutorial does
            for node in layer:
                node.calc_hidden_layer_delta()
        for connection in self.connections:
            connection.update_weight(rate)


def main() -> None:
    """Print the cost of both, and their ratio."""
    import neurograph as ng

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[784, 30, 10])
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    plain = PlainNetwork(options.sizes)
    ours = ng.Network(options.sizes)
    count = len(plain.connections)
    samples = [[random.random() for _ in range(options.sizes[0])] for _ in range(options.samples)]
    labels = [[random.random() for _ in range(options.sizes[-1])] for _ in range(options.samples)]
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    runs = {"plain": plain.train_one_sample, "ours": ours.train_one_sample}
    ours.train_one_sample(labels[0], samples[0], 0.1)
    for _ in range(options.rounds):
        for name, train in runs.items():
            start = time.perf_counter()
            for label, sample in zip(labels, samples, strict=True):
                train(label, sample, 0.1)
            times[name].append((time.perf_counter() - start) / options.samples / count * 1e6)
    print(f"{'-'.join(map(str, options.sizes))}: {count:,} connections")
    for name, each in times.items():
        median, least = statistics.median(each), min(each)
        print(f"{name:6} {median:.3f} us a connection and sample, at best {least:.3f}")
    ratios = [
        measure(times["ours"]) / measure(times["plain"]) for measure in (statistics.median, min)
    ]
    print(f"ratio  {ratios[0]:.2f} of the medians, {ratios[1]:.2f} of the best")


if __name__ == "__main__":
    main()
