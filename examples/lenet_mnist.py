"""LeNet-5 on MNIST: curves, and a look at one node of a feature map with the pixels it sees.

python examples/lenet_mnist.py
"""

import sys

import numpy as np

import neurograph as ng


def main(quick: bool = False, folder: str = ".") -> float:
    data = ng.datasets.mnist()
    if quick:
        data = data.take(2000, 500)
    data = data.scaled().with_channels().one_hot()
    epochs, batch = (1, 32) if quick else (10, 64)
    steps = epochs * -(-len(data.train.x) // batch)
    net = ng.Network(
        [
            ng.Input((28, 28, 1)),
            ng.Conv2D(6, 5, padding="same", activation="relu"),
            ng.MaxPooling2D(2),
            ng.Conv2D(16, 5, activation="relu"),
            ng.MaxPooling2D(2),
            ng.Flatten(),
            ng.Dense(120, activation="relu"),
            ng.Dense(84, activation="relu"),
            ng.Dense(10, activation="softmax"),
        ],
        name="lenet5",
        seed=0,
    )
    net.summary()
    adam = ng.Adam(ng.CosineDecay(0.002, steps, alpha=0.01))
    model = net.compile(adam, "categorical_crossentropy", metrics=["accuracy"])
    moved = ng.datasets.Augmentation(ng.datasets.Shift(0.08), ng.datasets.Rotate(8))
    history = model.fit(
        *data.train,
        epochs=epochs,
        batch_size=batch,
        augment=None if quick else moved,
        validation_data=data.test,
    )
    if not quick:
        history.plot(f"{folder}/lenet_mnist_curves.svg")
    accuracy = float(history.history["val_accuracy"][-1])
    print(f"{accuracy:.2%} of the test digits are read right")

    model.inspect(data.test.x[:1], data.test.y[:1])
    feature_map = net.layer("conv2d").output[0, :, :, 0]
    row, column = np.unravel_index(feature_map.argmax(), feature_map.shape)
    node = net.layer("conv2d")[int(row), int(column), 0]
    print(f"{node.label}, the brightest of its map, sees {len(node.upstream) - 1} pixels")
    print(node.explain(limit=4))
    return accuracy


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
