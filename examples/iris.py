"""Fisher's irises: three species told apart by four lengths.

python examples/iris.py
"""

import sys

import neurograph as ng


def main(quick: bool = False) -> float:
    data = ng.datasets.iris().scaled(ng.datasets.Standardizer()).one_hot()
    print(data)
    net = ng.Network(
        [ng.Input((4,)), ng.Dense(16, activation="tanh"), ng.Dense(3, activation="softmax")],
        name="iris",
        seed=0,
    )
    model = net.compile("adam(0.02)", "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(*data.train, epochs=60, batch_size=16, verbose=0)
    print(history)
    _, accuracy = model.evaluate(*data.test)
    print(f"{accuracy:.1%} of the {len(data.test.x)} irises held out are named right")
    for sample, answer in list(zip(data.test.x, data.test.y, strict=True))[::10]:
        shares = model.predict(sample[None])[0]
        said = data.class_names[shares.argmax()]
        print(f"  {data.class_names[answer.argmax()]}: {said}, {shares.max():.1%}")
    return accuracy


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
