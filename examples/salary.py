"""A linear unit learns what people earn from the years they have worked.

The perceptron's rule with the identity as activation is gradient descent on the squared error:

    y = w * years + b,    w += rate * (t - y) * years,    b += rate * (t - y)

    python examples/salary.py
"""

import sys

import neurograph as ng

YEARS = [[5], [3], [8], [1.4], [10.1]]
SALARIES = [5500, 2300, 7600, 1800, 11400]


def main(quick: bool = False) -> ng.LinearUnit:
    unit = ng.LinearUnit(1)
    unit.train(YEARS, SALARIES, iteration=10, rate=0.01)
    print(unit)
    for years in (3.4, 15, 1.5, 6.3):
        print(f"  {years:4} years: {unit.predict([years]):9.2f} a month")
    return unit


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
