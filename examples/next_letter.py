"""The next letter of a b c d e a b c …, from one letter and from four, one-hot and embedded.

From one letter to the next no memory is needed. From four it is: all four reach the last step only
through the states of the recurrent layer.

    python examples/next_letter.py
"""

import sys

import neurograph as ng

LETTERS = ng.datasets.CharacterEncoding("abcde")


def learn(seen: int, embedded: bool) -> float:
    """Train on every stretch of so many letters; return the share of right answers."""
    x, y = ng.datasets.windows(LETTERS.encode("abcdeabcde"[: 5 + seen]), length=seen)
    if embedded:
        source = [ng.Input((seen,)), ng.Embedding(len(LETTERS), 2)]
        inputs = x
    else:
        source = [ng.Input((seen, len(LETTERS)))]
        inputs = ng.datasets.to_categorical(x, len(LETTERS))
    net = ng.Network([*source, ng.SimpleRNN(3), ng.Dense(5, activation="softmax")], seed=0)
    model = net.compile("adam(0.02)", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(inputs, y, epochs=200, verbose=0)
    said = LETTERS.decode(model.predict(inputs).argmax(axis=-1))
    form = "embedded" if embedded else "one-hot"
    answers = zip(LETTERS.decode(x), said, strict=True)
    print(f"from {seen}, {form}:", ", ".join(f"{shown} -> {letter}" for shown, letter in answers))
    return model.evaluate(inputs, y)[1]


def main(quick: bool = False) -> list[float]:
    found = [learn(seen, embedded) for seen in (1, 4) for embedded in (False, True)]
    print("right:", ", ".join(f"{share:.0%}" for share in found))
    return found


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
