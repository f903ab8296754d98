"""A graph no layer describes: loops, skips, a shared weight; compiled, and its source printed.

It learns to remember: the output is to be what the input was two steps ago.

    python examples/handmade_graph.py
"""

import sys

import numpy as np

import neurograph as ng


def make_network() -> ng.Network:
    x, one = ng.InputNode("x"), ng.ConstNode()
    late, later = ng.Node("tanh", name="late"), ng.Node("tanh", name="later")
    gate = ng.Node("sigmoid", aggregation="product", name="gate")
    y = ng.Node("identity", name="y")
    shared = ng.Parameter(0.6, name="shared")
    ng.Connection(x, late, parameter=shared, delay=1)  # one weight, used twice
    ng.Connection(late, later, parameter=shared, delay=1)
    ng.Connection(later, later, weight=-0.2, delay=1)  # a loop
    ng.Connection(late, gate, weight=1.0)
    ng.Connection(later, gate, weight=1.0)
    ng.Connection(later, y, weight=0.5)
    ng.Connection(gate, y, weight=0.1)
    ng.Connection(one, y, weight=0.0)
    return ng.Network(inputs=[x], outputs=[y], name="memory")


def main(quick: bool = False) -> tuple[float, float]:
    net = make_network()
    x = np.random.default_rng(0).uniform(-0.8, 0.8, (64, 12, 1))
    target = np.concatenate([np.zeros((64, 2, 1)), x[:, :-2]], axis=1)
    model = net.compile("adam(0.02)", loss="mse", dtype="float64", seed=0)
    history = model.fit(x, target, epochs=100, batch_size=16, verbose=0)
    first, last = history.history["loss"][0], history.history["loss"][-1]
    print(model.source)
    print(model.explain())
    print(ng.gradient_check(net, x[:2], target[:2], loss="mse"))
    print(f"mean squared error: {first:.5f} after the first epoch, {last:.5f} after the last")
    return first, last


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
