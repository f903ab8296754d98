"""A network of objects learns the truth table of the exclusive or, one sample at a time.

Two layers of sigmoid nodes, E = sum((t - y)^2) / 2, one update a sample, as the textbook does it:

    output layer   delta = y (1 - y) (t - y)
    hidden layer   delta = y (1 - y) sum of weight * delta downstream
    update         weight += rate * delta * upstream output

    python examples/truth_table.py
"""

import sys

import neurograph as ng

ROWS = [[0, 0], [0, 1], [1, 0], [1, 1]]
LABELS = [[0], [1], [1], [0]]


def main(quick: bool = False) -> list[float]:
    net = ng.Network([2, 4, 1], seed=1)
    for layer in net.layers:  # begin further from 0, or the two inputs look alike for long
        for parameter in layer.parameters.values():
            parameter.value *= 10
    errors = net.train(LABELS, ROWS, rate=1.0, iteration=1500)
    for round_ in (1, 10, 100, 500, 1000, 1500):
        print(f"round {round_:5}: error {errors[round_ - 1]:.5f}")
    for row in ROWS:
        print(f"  {row[0]} xor {row[1]} = {net.predict(row)[0]:.3f}")
    report = ng.gradient_check(net, ROWS, LABELS)
    print(f"{len(report.rows)} gradients checked, worst relative error {report.worst.relative:.0e}")
    print(net.find("(0-0) -> (1-0)"))
    return errors


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
