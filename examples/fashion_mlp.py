"""Fashion-MNIST, 784-128-10: ten kinds of clothes, and which of them are taken for each other.

python examples/fashion_mlp.py
"""

import sys

import numpy as np

import neurograph as ng


def main(quick: bool = False) -> float:
    data = ng.datasets.fashion_mnist()
    if quick:
        data = data.take(6000, 1000)
    data = data.scaled().flat()
    net = ng.zoo.fashion_mlp(seed=0)
    model = net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*data.train, epochs=1 if quick else 10, batch_size=128)
    _, accuracy = model.evaluate(*data.test, batch_size=512)
    print(f"{accuracy:.2%} of the test pictures are named right")

    said = model.predict(data.test.x, batch_size=512).argmax(axis=1)
    confused = np.zeros((10, 10), int)
    np.add.at(confused, (data.test.y, said), 1)
    np.fill_diagonal(confused, 0)
    for place in np.argsort(-confused, axis=None)[:4]:
        true, wrong = divmod(int(place), 10)
        names = data.class_names
        print(f"  {confused[true, wrong]:4} times a {names[true]} was taken for a {names[wrong]}")
    return accuracy


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
