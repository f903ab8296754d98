"""Gradient descent on (w + 1)^2, with learning rates too small, right, too large, and decaying.

The function is a network: w is a weight from the ConstNode, the output is w, and the loss is its
squared distance from -1. The gradient is 2 (w + 1).

    python examples/gradient_descent.py
"""

import sys

import neurograph as ng

RATES = {
    "0.001, too small": 0.001,
    "0.2": 0.2,
    "0.5, one step": 0.5,
    "1, to and fro": 1.0,
    "1.1, away": 1.1,
    "0.2, decaying": ng.ExponentialDecay(0.2, decay_steps=1, decay_rate=0.99),
}


def descend(rate: object, steps: int) -> list[float]:
    one, w = ng.ConstNode(), ng.Node("identity", name="w")
    unused = ng.InputNode("x")  # every network has an input; this one has no say
    connection = ng.Connection(one, w, weight=5.0)
    ng.Connection(unused, w, weight=0.0).trainable = False
    model = ng.Network(inputs=[unused], outputs=[w]).compile(
        ng.SGD(rate), loss="mse", dtype="float64"
    )
    path = [connection.weight]
    for _ in range(steps):
        model.train_on_batch([[0.0]], [[-1.0]])
        path.append(connection.weight)
    return path


def main(quick: bool = False) -> dict[str, list[float]]:
    paths = {name: descend(rate, steps=40) for name, rate in RATES.items()}
    print("rate".ljust(18) + "".join(f"step {step:2}".rjust(12) for step in (0, 1, 2, 10, 40)))
    for name, path in paths.items():
        print(name.ljust(18) + "".join(f"{path[step]:12.4f}" for step in (0, 1, 2, 10, 40)))
    return paths


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
