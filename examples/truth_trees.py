"""What is ((T and F) xor (F -> T))? A recursive network learns it from the answers alone.

Every expression is a tree; the same small cell joins left side, operator and right side at each
node, whatever the shape. It is told the truth of whole expressions, up to eight operators deep,
never that of their parts, and is then asked about some that are twelve deep, and about all parts of
one.

    python examples/truth_trees.py
"""

import sys

import numpy as np

import neurograph as ng

OPERATORS = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "xor": lambda a, b: a != b,
    "->": lambda a, b: not a or b,
}
WORDS = {word: index for index, word in enumerate(["F", "T", *OPERATORS])}


def grow(depth: int, rng: np.random.Generator) -> object:
    """Return an expression so many operators deep; one side of each is at most three deep."""
    if not depth:
        return str(rng.choice(["F", "T"]))
    sides = [grow(depth - 1, rng), grow(int(rng.integers(min(depth, 4))), rng)]
    turn = int(rng.integers(2))
    return sides[turn], str(rng.choice(list(OPERATORS))), sides[1 - turn]


def truth(expression: object) -> bool:
    if isinstance(expression, str):
        return expression == "T"
    left, operator, right = expression
    return OPERATORS[operator](truth(left), truth(right))


def read(expressions: list) -> tuple[list[ng.Tree], np.ndarray]:
    """Return trees of indices, and the truth of each as 1 or 0."""
    trees = [ng.Tree.of(each).encode(WORDS) for each in expressions]
    return trees, np.array([[truth(each)] for each in expressions], float)


def network(everywhere: bool = False) -> ng.Network:
    """Return the network, with an answer for the whole expression or for every part of it."""
    return ng.Network(
        [
            ng.Input((None,)),
            ng.Embedding(len(WORDS), 16),
            ng.Recursive(16, children=3, return_sequences=everywhere, name="cell"),
            ng.Dense(1, activation="sigmoid"),
        ],
        seed=0,
    )


def main(quick: bool = False, folder: str = ".") -> dict[int, float]:
    rng = np.random.default_rng(0)
    deepest = 2 if quick else 8
    count, epochs = (400, 25) if quick else (8000, 20)
    x, y = read([grow(1 + k % deepest, rng) for k in range(count)])
    net = network()
    model = net.compile("adam(0.005)", "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, batch_size=16 if quick else 64, verbose=0)
    right = {}
    for depth in range(1, deepest + 5):
        trees, answers = read([grow(depth, rng) for _ in range(500)])
        _, right[depth] = model.evaluate(trees, answers, batch_size=250)
        size = np.mean([len(tree) for tree in trees])
        said = "trained on" if depth <= deepest else "never seen"
        majority = max(answers.mean(), 1 - answers.mean())
        print(f"depth {depth:2} ({said}), {size:3.0f} nodes: {right[depth]:6.1%} right, "
              f"the commoner answer {majority:.1%}")  # fmt: skip

    parts = network(everywhere=True)
    parts.set_weights(net.get_weights())
    (tree,), _ = read([grow(3, rng)])
    shares = parts.compile().predict([tree])[0][:, 0]
    inner = np.diff(tree.starts) > 0
    print("the parts of one:", *(f"{share:.2f}" for share in shares[inner]))
    if not quick:
        title = "how true the network finds each part"
        values = np.where(inner, shares, np.nan)
        ng.draw_tree(tree, f"{folder}/truth_trees.svg", values=values, title=title)
    return right


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
