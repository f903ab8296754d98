"""Building by hand: time and memory of many connections, wide and deep.

``python tests/benchmarks/handmade_graph.py [--connections N]`` prints seconds to make nodes and
connections, seconds to make the network, bytes a connection, for a layered graph and for a chain;
how long ``Network([784, 300, 10])`` takes; and a training step of a random graph of 20,000
connections beside the sparse products of scipy that it cannot do without.
"""

from __future__ import annotations

import argparse
import random
import time
import tracemalloc
from collections.abc import Callable
from statistics import median

import numpy as np
from scipy.sparse import csr_array

import neurograph as ng
from neurograph.bench.ours import sparse_network
from neurograph.bench.rows import LEVELS, WIDTH, random_edges


def layered(connections: int) -> tuple[list[ng.Node], list[ng.Node]]:
    """Make 20 levels of nodes and random connections, each from one level to the next."""
    rng = random.Random(0)
    width = max(10, connections // 1000)
    levels: list[list[ng.Node]] = [[ng.InputNode() for _ in range(width)]]
    levels += [[ng.Node("tanh") for _ in range(width)] for _ in range(19)]
    for level in range(19):
        for node in levels[level + 1]:
            ng.Connection(levels[level][0], node, 0.1)
        for _ in range(connections // 19 - width):
            up, down = rng.choice(levels[level]), rng.choice(levels[level + 1])
            ng.Connection(up, down, 0.1)
    return levels[0], levels[-1]


def chain(connections: int) -> tuple[list[ng.Node], list[ng.Node]]:
    """Make one long chain."""
    first: ng.Node = ng.InputNode()
    last = first
    for _ in range(connections):
        following = ng.Node("tanh")
        ng.Connection(last, following, 0.1)
        last = following
    return [first], [last]


def measure(name: str, make: object, connections: int) -> None:
    """Print one row."""
    start = time.perf_counter()
    inputs, outputs = make(connections)  # type: ignore[operator]
    built = time.perf_counter()
    net = ng.Network(inputs=inputs, outputs=outputs)
    done = time.perf_counter()
    print(
        f"{name:10} {len(net.connections):>9,} connections: {built - start:6.2f} s to make, "
        f"{done - built:6.2f} s for the network"
    )


def bytes_each(connections: int = 100_000) -> float:
    """Return the memory of one connection."""
    nodes = [ng.Node("tanh") for _ in range(1000)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for k in range(connections):
        ng.Connection(nodes[k % 499], nodes[500 + k % 500], 0.1 + k)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / connections


def products(connections: int = 20_000, batch: int = 256, rounds: int = 60) -> None:
    """Print the processor time of a training step, and of scipy's sparse products alone.

    Every level needs one product forward and one with the transposed matrix backward. The gradients
    of the weights are as much work again, but scipy has no product for them: it is left out.
    """
    rng, edges = np.random.default_rng(0), random_edges(connections)
    matrices = []
    for level in range(1, LEVELS + 1):
        some = edges.into_level(level)
        places = edges.down[some] - level * WIDTH, edges.up[some]
        shape = WIDTH, level * WIDTH
        matrices.append(csr_array((edges.weight[some], places), shape=shape))
    values = rng.standard_normal(((LEVELS + 1) * WIDTH, batch)).astype(np.float32)
    deltas = values[:WIDTH].copy()
    model = sparse_network(connections).compile("rmsprop", "mse")
    x, y = values[:WIDTH].T.copy(), values[WIDTH : 2 * WIDTH].T.copy()

    def alone() -> None:
        for matrix in matrices:
            _ = matrix @ values[: matrix.shape[1]]
            _ = matrix.T @ deltas

    ways: dict[str, Callable[[], object]] = {
        "step": lambda: model.train_on_batch(x, y),
        "scipy": alone,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    step, scipy = (1e3 * median(each) for each in times.values())
    print(
        f"{connections:,} random connections, batch {batch}: a training step {step:.2f} ms, "
        f"scipy's products alone {scipy:.2f} ms, ratio {step / scipy:.2f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--connections", type=int, default=1_000_000)
    count = parser.parse_args().connections
    measure("layered", layered, count)
    measure("chain", chain, count // 10)
    print(f"{bytes_each():.0f} bytes a connection")
    start = time.perf_counter()
    ng.Network([784, 300, 10])
    print(f"Network([784, 300, 10]): {(time.perf_counter() - start) * 1e3:.1f} ms")
    products()


if __name__ == "__main__":
    main()
