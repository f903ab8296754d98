"""Which brackets of ")(()(" have a partner? To tag them, both directions are needed.

The partner of a closing bracket lies before it, that of an opening one after it. So what has been
read says all about ")" and nothing about "(": a layer that reads forwards alone can do no better
there than the commoner answer at each place, and one that reads backwards alone no better with ")".

    python examples/brackets.py
"""

import sys

import numpy as np

import neurograph as ng

UNITS = 24
READERS = {
    "forwards": ng.GRU(UNITS, return_sequences=True),
    "backwards": ng.GRU(UNITS, return_sequences=True, go_backwards=True),
    "both ways": ng.Bidirectional(ng.GRU(UNITS, return_sequences=True)),
}


def texts(count: int, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return random brackets, 0 for "(" and 1 for ")", and 1 for each that has a partner."""
    x = rng.integers(2, size=(count, length))
    partners = np.zeros_like(x)
    for row, tags in zip(x, partners, strict=True):
        still_open: list[int] = []
        for place, closing in enumerate(row):
            if not closing:
                still_open.append(place)
            elif still_open:
                tags[[place, still_open.pop()]] = 1
    return x, partners


def blind(x: np.ndarray, tags: np.ndarray, kind: int) -> float:
    """Return how often the commoner answer at each place is right for one kind of bracket."""
    shown = x == kind
    paired = (shown & (tags == 1)).sum(axis=0)
    return float(np.maximum(paired, shown.sum(axis=0) - paired).sum() / shown.sum())


def main(quick: bool = False) -> dict[str, tuple[float, float]]:
    rng = np.random.default_rng(0)
    length = 8 if quick else 20
    x, tags = texts(1000 if quick else 8000, length, rng)
    x_test, tags_test = texts(1000, length, rng)
    print(f"                  (        )    whole texts\nblind       "
          f"{blind(x_test, tags_test, 0):8.1%} {blind(x_test, tags_test, 1):8.1%}")  # fmt: skip
    found = {}
    for name, reader in READERS.items():
        net = ng.Network(
            [ng.Input((length,)), ng.Embedding(2, 4), reader, ng.Dense(1, activation="sigmoid")],
            seed=0,
        )
        # a layer that goes backwards gives its last step first
        turn = slice(None, None, -1 if name == "backwards" else None)
        model = net.compile("adam(0.005)", "binary_crossentropy")
        targets = tags[:, turn, None]
        model.fit(x, targets, batch_size=64, epochs=8 if quick else 15, verbose=0)
        said = model.predict(x_test, batch_size=500)[:, turn, 0] > 0.5
        right = said == tags_test
        found[name] = float(right[x_test == 0].mean()), float(right[x_test == 1].mean())
        whole = right.all(axis=1).mean()
        print(f"{name:12}{found[name][0]:8.1%} {found[name][1]:8.1%} {whole:8.1%}")
    return found


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
