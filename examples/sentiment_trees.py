"""Film reviews, judged along the trees of their sentences: "not" turns round what stands below it.

The Stanford Sentiment Treebank (Socher and others, 2013) has a label from 0, very bad, to 4, very
good, at every node of a sentence's tree. A recursive network and a child-sum tree LSTM (Tai, Socher
and Manning, 2015) learn from all nodes; what counts is the answer for whole sentences. Beside them
stand the commonest label, and naive Bayes, which sees a bag of words and no tree. Then all again
with two classes, bad and good, without what is neutral.

    python examples/sentiment_trees.py

It reads sst/train.txt, dev.txt and test.txt in the folder that NEUROGRAPH_DATA names.
"""

import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import neurograph as ng

NEUTRAL = 2
EPOCHS = {5: 5, 2: 2}  # as many as were best for dev.txt
CELLS = {"Recursive": (32, 0.002), "ChildSumTreeLSTM": (64, 0.003)}  # units, learning rate


def sentences(quick: bool) -> tuple[list[ng.Tree], list[ng.Tree]]:
    """Return the trees to learn from, and those of the test; indices of words are their values."""
    folder = Path(os.environ.get("NEUROGRAPH_DATA", ".")) / "sst"
    train, dev, test = (
        ng.datasets.read_trees(folder / f"{part}.txt") for part in ("train", "dev", "test")
    )
    held_out = {*dev, *test}  # some copies of train.txt hold dev.txt too
    train = [text for text in train if text not in held_out]
    if quick:
        train, test = train[::20], test[::10]
    learn, judge = (
        [ng.Tree.from_brackets(text.lower()) for text in part] for part in (train, test)
    )
    counts = Counter(word for tree in learn for word in tree.words if word is not None)
    often = [word for word, count in counts.items() if count > 1]
    vocabulary = {word: index for index, word in enumerate(often, 1)}
    print(f"{len(train)} trees, {len(often)} words that occur twice; {len(test)} for the test")
    learn, judge = (
        [tree.encode(vocabulary, unknown_word=0) for tree in part] for part in (learn, judge)
    )
    return learn, judge


def targets(trees: list[ng.Tree], classes: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the class of every node, and which nodes count."""
    if classes == 5:
        return [tree.labels for tree in trees], [np.ones(len(tree), bool) for tree in trees]
    good = [(tree.labels > NEUTRAL).astype(int) for tree in trees]
    return good, [tree.labels != NEUTRAL for tree in trees]


def joined(values: list[np.ndarray], counts: list[np.ndarray]) -> np.ndarray:
    """Return the values of all nodes that count."""
    return np.concatenate([each[some] for each, some in zip(values, counts, strict=True)])


def bag_of_words(
    learn: list[ng.Tree], classes: list[int], judge: list[ng.Tree], words: int
) -> np.ndarray:
    """Return the class that naive Bayes gives to the words of each tree."""
    counts = np.ones((max(classes) + 1, words))
    for tree, label in zip(learn, classes, strict=True):
        np.add.at(counts[label], tree.values[tree.given], 1)
    shares = np.log(counts / counts.sum(axis=1, keepdims=True))
    before = np.log(np.bincount(classes) / len(classes))
    bags = (shares[:, tree.values[tree.given]].sum(axis=1) for tree in judge)
    return np.array([(before + bag).argmax() for bag in bags])


def trained(cell: str, learn: list[ng.Tree], classes: int, words: int, quick: bool) -> ng.Model:
    units, rate = (16, 0.01) if quick else CELLS[cell]
    net = ng.Network(
        [
            ng.Input((None,)),
            ng.Embedding(words, units),
            ng.Dropout(0.3),
            getattr(ng, cell)(units, return_sequences=True),
            ng.Dropout(0.3),
            ng.Dense(classes, activation="softmax"),
        ],
        name=f"sentiment by {cell}",
        seed=0,
    )
    model = net.compile(ng.Adam(rate), "sparse_categorical_crossentropy")
    y, counts = targets(learn, classes)
    weights = [each.astype(float) for each in counts]
    size = 8 if quick else 32
    model.fit(learn, y, size, EPOCHS[classes], sample_weight=weights, verbose=0)
    return model


def main(quick: bool = False, folder: str = ".") -> dict[tuple[int, str], tuple[float, float]]:
    learn, judge = sentences(quick)
    words = 1 + max(int(tree.values.max()) for tree in learn)
    found = {}
    for classes in EPOCHS:
        if classes == 2:
            learn, judge = ([t for t in part if t.labels[-1] != NEUTRAL] for part in (learn, judge))
        roots = [int(labels[-1]) for labels in targets(learn, classes)[0]]
        y, counts = targets(judge, classes)
        whole, nodes = np.array([labels[-1] for labels in y]), joined(y, counts)
        usual = np.bincount(joined(*targets(learn, classes))).argmax()
        said = bag_of_words(learn, roots, judge, words)
        found[classes, "commonest label"] = (
            (whole == np.bincount(roots).argmax()).mean(),
            (nodes == usual).mean(),
        )
        found[classes, "naive Bayes"] = (whole == said).mean(), np.nan
        print(f"\n{classes} classes            sentences  all nodes")
        print("commonest label      {:9.1%} {:10.1%}".format(*found[classes, "commonest label"]))
        print(f"naive Bayes          {found[classes, 'naive Bayes'][0]:9.1%}")
        for cell in CELLS:
            model = trained(cell, learn, classes, words, quick)
            shares = model.predict(judge, batch_size=128)
            right = [share.argmax(axis=1) == each for share, each in zip(shares, y, strict=True)]
            found[classes, cell] = (
                np.mean([each[-1] for each in right]),
                joined(right, counts).mean(),
            )
            print("{:20} {:9.1%} {:10.1%}".format(cell, *found[classes, cell]))
            if classes == 5:
                good = np.array([share[-1] @ [-1, -1, 0, 1, 1] > 0 for share in shares])
                clear = whole != NEUTRAL
                either = (good == (whole > NEUTRAL))[clear].mean()
                print(f"{'':20} {either:9.1%} asked whether a sentence is rather bad or good")
                if not quick:
                    draw(model, judge, f"{folder}/sentiment_{cell}.svg")
    return found


def draw(model: ng.Model, trees: list[ng.Tree], path: str) -> None:
    """Draw how good the parts of a short sentence with a "not" in it are found."""
    tree = next(tree for tree in trees if "not" in tree.words and 8 < len(tree) < 24)
    mood = model.predict([tree])[0] @ np.arange(5) - NEUTRAL
    ng.draw_tree(tree, path, values=mood.round(1) + 0.0, title="from -2, very bad, to 2, very good")


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
