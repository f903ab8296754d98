"""A character model reads first names and invents new ones.

At each letter an LSTM says how likely every next one is. Its worth is measured on names that it has
not seen, in bits a letter, beside the frequencies of letters and of pairs of letters. A name begins
and ends with a dot; to invent one, a network with the same weights that keeps its states reads a
letter, says what may follow, and reads next what was drawn.

    python examples/inventing_names.py
"""

import sys

import numpy as np

import neurograph as ng

LETTERS = ng.datasets.CharacterEncoding("abcdefghijklmnopqrstuvwxyz", padding=".")
LONGEST = 12  # dot and letters


def sequences(names: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what is read, what comes next, and 1 where that counts: up to the dot at the end."""
    codes = LETTERS.encode(["." + name for name in names.tolist()], LONGEST + 1)
    counts = np.arange(LONGEST) <= np.char.str_len(names)[:, None]
    return codes[:, :-1], codes[:, 1:], counts.astype("float32")


def bits(shares: np.ndarray, y: np.ndarray, counts: np.ndarray) -> float:
    """Return the mean of -log2 of what was given to the right letter."""
    given = np.take_along_axis(shares, y[..., None], axis=-1)[..., 0]
    return float(-(np.log2(given) * counts).sum() / counts.sum())


def frequencies(train: tuple, x: np.ndarray) -> dict[str, np.ndarray]:
    """Return the shares of each next letter by letters alone, and by the letter before."""
    read, following, counts = train
    pairs = np.ones((len(LETTERS), len(LETTERS)))
    np.add.at(pairs, (read, following), counts)
    alone = np.tile(pairs.sum(axis=0), (len(LETTERS), 1))
    tables = {"letters": alone, "pairs of letters": pairs}
    return {name: (each / each.sum(axis=1, keepdims=True))[x] for name, each in tables.items()}


def network(steps: int, units: int, stateful: bool = False) -> ng.Network:
    return ng.Network(
        [
            ng.Input((steps,)),
            ng.Embedding(len(LETTERS), 16),
            ng.LSTM(units, return_sequences=True, stateful=stateful),
            ng.Dense(len(LETTERS), activation="softmax"),
        ],
        name="names",
        seed=0,
    )


def invent(model: ng.Model, count: int, temperature: float) -> list[str]:
    """Draw names with a model that reads one letter and keeps its states for the next."""
    rng = np.random.default_rng(0)
    model.reset_states()
    codes = np.zeros((count, LONGEST), int)  # they begin with a dot
    for step in range(LONGEST - 1):
        shares = model.predict(codes[:, step : step + 1], batch_size=count)[:, 0]
        codes[:, step + 1] = ng.datasets.sample_classes(shares, temperature, rng)
    letters = codes[:, 1:]
    ended = np.cumprod(letters > 0, axis=1)  # 0 from the first dot on
    return [name for name in LETTERS.decode(letters * ended) if name]


def main(quick: bool = False) -> tuple[dict[str, float], list[str]]:
    data = ng.datasets.names()
    shuffled = np.random.default_rng(0).permutation(data.train.x)  # they come by frequency
    train, test = sequences(shuffled), sequences(data.test.x)
    units = 16 if quick else 128
    net = network(LONGEST, units)
    model = net.compile("adam(0.003)", "sparse_categorical_crossentropy")
    x, y, counts = train
    model.fit(
        x,
        y,
        sample_weight=counts,
        batch_size=64,
        epochs=2 if quick else 60,
        validation_split=0.1,
        callbacks=ng.EarlyStopping(patience=3, restore_best_weights=True),
        verbose=0 if quick else 1,
    )
    found = {
        name: bits(shares, *test[1:])
        for name, shares in {**frequencies(train, test[0]), "LSTM": model.predict(test[0])}.items()
    }
    print("bits a letter:", ", ".join(f"{value:.2f} by {name}" for name, value in found.items()))

    reader = network(1, units, stateful=True)
    reader.set_weights(net.get_weights())
    author = reader.compile()
    known = {*data.train.x.tolist(), *data.test.x.tolist()}
    new: list[str] = []
    for temperature in (0.5, 0.8, 1.0):
        names = invent(author, 200, temperature)
        new = sorted(set(names) - known)
        share = sum(name in known for name in names) / len(names)
        some = " ".join(new[:: len(new) // 12 + 1])
        print(f"temperature {temperature}: {share:.0%} are in the census, new are {some}")
    return found, new


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
