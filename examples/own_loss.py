"""A loss of one's own: yoghurt costs 1 and brings 9, so running out is dearer than leftovers.

A function of target and output that returns the mean over the batch and its gradient is all that
is needed. With the squared error the network predicts the mean demand; with this loss, more.

    python examples/own_loss.py
"""

import sys

import numpy as np

import neurograph as ng

COST, PROFIT = 1.0, 9.0


def money_lost(target, output):
    """Return what a wrong number of pots costs, and its gradient with respect to the number."""
    surplus = output - target
    lost = np.where(surplus > 0, COST * surplus, -PROFIT * surplus)
    return lost.sum() / len(target), np.where(surplus > 0, COST, -PROFIT) / len(target)


def main(quick: bool = False) -> dict[str, float]:
    rng = np.random.default_rng(1)
    x = rng.random((256, 2))
    demand = x.sum(axis=1, keepdims=True) + rng.uniform(-0.05, 0.05, (256, 1))
    ordered = {}
    for name, loss in (("squared error", "mse"), ("own loss", money_lost)):
        net = ng.Network([ng.Input((2,)), ng.Dense(1, kernel_initializer="ones")], seed=0)
        model = net.compile("sgd(0.005)", loss, dtype="float64")
        model.fit(x, demand, batch_size=16, epochs=100, verbose=0)
        surplus = model.predict(x) - demand
        ordered[name] = float(surplus.mean())
        print(f"{name:13}: pots ordered beyond the demand {surplus.mean():+.4f} on average, "
              f"lost {money_lost(demand, model.predict(x))[0]:.4f}")  # fmt: skip
    return ordered


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
