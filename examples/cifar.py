"""A network of the zoo on CIFAR-10, with pictures shifted and turned over: curves, and kernels.

python examples/cifar.py [cbapd | vgg8_cifar | resnet20_cifar | resnet18_cifar | …]
"""

import sys

import neurograph as ng


def main(name: str = "cbapd", quick: bool = False, folder: str = ".") -> float:
    data = ng.datasets.cifar10(subset=True)
    if quick:
        data = data.take(500, 200)
    data = data.scaled()
    epochs, batch = 1 if quick else 15, 64
    steps = epochs * -(-len(data.train.x) // batch)
    net = ng.zoo.get(name)(seed=0)
    net.summary()
    adam = ng.AdamW(ng.CosineDecay(0.002 if "resnet" in name else 0.001, steps), weight_decay=0.01)
    model = net.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        *data.train,
        batch_size=batch,
        epochs=epochs,
        augment=ng.datasets.Augmentation(ng.datasets.Flip(), ng.datasets.Shift(0.1)),
        validation_data=data.test,
    )
    if not quick:
        history.plot(f"{folder}/{name}_curves.svg")
        ng.show_kernels(net, "conv2d", path=f"{folder}/{name}_kernels.svg")
    accuracy = float(history.history["val_accuracy"][-1])
    print(f"{name}: {accuracy:.2%} of the test pictures are named right")
    return accuracy


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    main(*words[:1], quick="--quick" in sys.argv)
