"""LeNet-5 on Fashion-MNIST: pictures turned over, a learning rate that cools down, curves.

python examples/fashion_lenet.py
"""

import sys

import neurograph as ng


def main(quick: bool = False, folder: str = ".") -> float:
    data = ng.datasets.fashion_mnist()
    if quick:
        data = data.take(2000, 500)
    data = data.scaled().with_channels()
    epochs, batch = (1, 64) if quick else (10, 64)
    steps = epochs * -(-len(data.train.x) // batch)
    model = ng.zoo.lenet5((28, 28, 1), 10, seed=0).compile(
        ng.Adam(ng.CosineDecay(0.002, steps, alpha=0.01)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        *data.train,
        batch_size=batch,
        epochs=epochs,
        augment=ng.datasets.Flip(),
        validation_data=data.test,
    )
    if not quick:
        history.plot(f"{folder}/fashion_lenet_curves.svg")
    accuracy = float(history.history["val_accuracy"][-1])
    print(f"{accuracy:.2%} of the test pictures are named right")
    return accuracy


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
