"""MNIST with two dense layers, 784-512-10: 70,000 handwritten digits, five rounds.

The files come from the folder that NEUROGRAPH_DATA names, the cache, or the network (11 MB).

    python examples/mnist_mlp.py
"""

import sys

import neurograph as ng


def main(quick: bool = False) -> tuple[float, float]:
    data = ng.datasets.mnist()
    if quick:
        data = data.take(6000, 1000)
    data = data.scaled().flat().one_hot()
    net = ng.Network(
        [ng.Input((784,)), ng.Dense(512, activation="relu"), ng.Dense(10, activation="softmax")],
        name="mnist_mlp",
        seed=0,
    )
    net.summary()
    model = net.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data.train, epochs=2 if quick else 5, batch_size=128)
    _, trained = model.evaluate(*data.train, batch_size=512)
    _, tested = model.evaluate(*data.test, batch_size=512)
    print(f"training digits {trained:.2%}, test digits {tested:.2%}")
    print(f"the difference, {trained - tested:.2%}, is what it learned by heart: overfitting")
    return trained, tested


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
