"""A perceptron learns the logical AND.

    y = 1 if w . x + b > 0 else 0,    w += rate * (t - y) * x,    b += rate * (t - y)

Weights and bias begin at 0, so the outcome is exact: weights [0.1, 0.2], bias -0.2.

    python examples/perceptron_and.py
"""

import sys

import neurograph as ng

INPUTS = [[1, 1], [0, 0], [1, 0], [0, 1]]
LABELS = [1, 0, 0, 0]


def main(quick: bool = False) -> ng.Perceptron:
    perceptron = ng.Perceptron(2)
    print("before:", perceptron)
    perceptron.train(INPUTS, LABELS, iteration=10, rate=0.1)
    print("after: ", perceptron)
    for a, b in INPUTS:
        print(f"  {a} and {b} = {perceptron.predict([a, b])}")
    return perceptron


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
