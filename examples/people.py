"""Women and men by weight, height and age: the smallest network worth the name, 3-4-2.

A thousand people whose three numbers are drawn from the standard normal distribution; men are a
standard deviation heavier, taller and younger. No network can tell all of them apart.

    python examples/people.py
"""

import sys

import neurograph as ng


def main(quick: bool = False) -> tuple[float, float]:
    x, y = ng.datasets.people().one_hot().train
    net = ng.Network(
        [ng.Input((3,)), ng.Dense(4, activation="relu"), ng.Dense(2, activation="softmax")],
        name="people",
        seed=1,
    )
    net.summary()
    model = net.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=10, batch_size=8)
    woman, man = model.predict([[0.7, 1.2, -0.5]])[0]
    print(
        f"someone heavier, taller and younger than the mean: {man:.0%} a man, {woman:.0%} a woman"
    )
    last = {name: values[-1] for name, values in history.history.items()}
    return last["loss"], last["accuracy"]


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
