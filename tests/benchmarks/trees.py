"""Training steps on 32 random binary trees: in one batch, one at a time, and a PyTorch recursion.

Run it with ``python tests/benchmarks/trees.py``; medians of interleaved rounds, in milliseconds of
processor time (all work is done by one thread, and neighbours on the machine do not count).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import neurograph as ng
from neurograph.train.forest import as_trees

WIDTH, TREES, ROUNDS = 50, 32, 20
WARM, MEASURED = 4, 8  # steps of each round


def nested(rng: np.random.Generator, leaves: int) -> Any:
    """Return a random binary tree as nested tuples of vectors."""
    pool: list[Any] = [rng.normal(size=WIDTH).astype(np.float32) for _ in range(leaves)]
    while len(pool) > 1:
        at = int(rng.integers(len(pool) - 1))
        pool[at : at + 2] = [(pool[at], pool[at + 1])]
    return pool[0]


def pairs(tree: Any) -> Any:
    """Return a tree in the form of ChildSumTreeLSTM."""
    return (None, [pairs(each) for each in tree]) if isinstance(tree, tuple) else (tree, [])


def ours(recipe: Any, trees: list[Any], y: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return the step on a batch, and the steps on one tree after the other."""
    net = ng.Network([ng.Input((WIDTH,)), recipe, ng.Dense(5, activation="softmax")], seed=0)
    model = net.compile("rmsprop", "mse")
    ready = as_trees(net, trees)

    def one_at_a_time() -> None:
        for k in range(len(ready)):
            model.train_on_batch(ready[k : k + 1], y[k : k + 1])

    return lambda: model.train_on_batch(ready, y), one_at_a_time


def torch_recursion(trees: list[Any], y: Any) -> Callable[[], Any]:
    """Return a step of the recursive network written as a plain recursion in PyTorch."""
    import torch

    torch.set_num_threads(1)  # its threads and those of NumPy would wait for each other
    join, out = torch.nn.Linear(2 * WIDTH, WIDTH), torch.nn.Linear(WIDTH, 5)
    optimizer = torch.optim.RMSprop([*join.parameters(), *out.parameters()])
    target = torch.tensor(y)

    def tensors(tree: Any) -> Any:
        return tuple(map(tensors, tree)) if isinstance(tree, tuple) else torch.tensor(tree)

    ready = [tensors(tree) for tree in trees]

    def vector(tree: Any) -> Any:
        if not isinstance(tree, tuple):
            return tree
        return torch.tanh(join(torch.cat([vector(tree[0]), vector(tree[1])])))

    def step() -> None:
        optimizer.zero_grad()
        found = torch.softmax(out(torch.stack([vector(tree) for tree in ready])), dim=-1)
        ((found - target) ** 2).mean().backward()
        optimizer.step()

    return step


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    trees = [nested(rng, int(rng.integers(10, 31))) for _ in range(TREES)]
    y = rng.random((TREES, 5)).astype(np.float32)
    steps: dict[str, Callable[[], Any]] = {}
    for name, recipe, form in (
        ("Recursive", ng.Recursive(WIDTH), trees),
        ("ChildSumTreeLSTM", ng.ChildSumTreeLSTM(WIDTH), [pairs(tree) for tree in trees]),
    ):
        steps[name], steps[f"{name}, one at a time"] = ours(recipe, form, y)
    try:
        steps["Recursive, in PyTorch by recursion"] = torch_recursion(trees, y)
    except ImportError:
        print("PyTorch is not installed")
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            for _ in range(WARM):  # the first after another finds nothing in the cache
                step()
            for _ in range(MEASURED):
                begun = time.process_time()
                step()
                times[name].append(1e3 * (time.process_time() - begun))
    for name, found in times.items():
        factor = median(found) / median(times[name.partition(",")[0]])
        print(f"{name:40} {median(found):8.2f} {factor:8.1f} times the batch")


if __name__ == "__main__":
    main()
