"""The row "trees" on the bare kernels: 32 random binary trees of 10 to 30 leaves, width 50."""

from __future__ import annotations

import numpy as np

from neurograph.kernels.recurrent import tanh, tanh_slope
from neurograph.kernels.trees import Links, child_sum_plan, tree_plan
from neurograph.kernels.trees_lstm import (
    child_sum_backward,
    child_sum_forward,
    child_sum_shapes,
    child_sum_weight_gradient,
    child_sum_weights,
)
from neurograph.kernels.trees_recursive import (
    recursive_backward,
    recursive_forward,
    recursive_shapes,
    recursive_weight_gradient,
)


def random_trees(count=32, seed=0):
    """Return the links of each tree; neighbours are joined at random until one is left."""
    rng, trees = np.random.default_rng(seed), []
    for _ in range(count):
        pool = list(range(int(rng.integers(10, 31))))
        children = [[-1, -1] for _ in pool]
        while len(pool) > 1:
            at = int(rng.integers(len(pool) - 1))
            children.append(pool[at : at + 2])
            pool[at : at + 2] = [len(children) - 1]
        trees.append(Links.of_matrix(np.array(children)))
    return trees


def make_trees(units=50, cell="recursive", one_at_a_time=False):
    """Return a function that does one training step, planning included."""
    from recurrent_ours import Values

    batches = [[tree] for tree in random_trees()] if one_at_a_time else [random_trees()]
    columns = units if cell == "recursive" else 4 * units
    rows = 2 * units if cell == "recursive" else units
    values = Values((rows, columns), (columns,), (units, 2), (2,))
    W, bias, V, b = values.arrays
    d_W, d_bias, d_V, d_b = values.gradients
    counts = Links.join(random_trees()).nodes[1]
    nodes, inner = len(counts), int((counts > 0).sum())
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((nodes, units)).astype(np.float32)
    target = np.eye(2, dtype=np.float32)[rng.integers(2, size=len(random_trees()))]
    if cell == "recursive":
        shapes = recursive_shapes(nodes, nodes - inner, units)
    else:
        shapes = child_sum_shapes(nodes, 2 * inner, units)
    a = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    a["U"] = W

    def top(states, roots, d_states):
        state = states[roots]
        score = np.exp(state @ V + b)
        score /= score.sum(axis=1, keepdims=True)
        score -= target[: len(roots)]
        score /= len(roots)
        np.matmul(state.T, score, out=d_V)
        np.sum(score, axis=0, out=d_b)
        d_states[: len(states)] = 0
        d_states[roots] = score @ V.T

    def recursive(trees):
        plan = tree_plan(Links.join(trees), 2)
        leaves, end = plan.bounds[1], plan.bounds[-1]
        np.take(inputs, plan.order[:leaves], axis=0, out=a["values"][:leaves], mode="clip")
        recursive_forward(plan, W, bias, a["values"], a["joined"], a["net"], tanh)
        top(a["values"][:end], plan.roots, a["d_values"])
        names = ["values", "net"], ["d_values", "d_net", "d_joined", "work"]
        first, rest = ([a[k] for k in group] for group in names)
        recursive_backward(plan, W, *first, tanh_slope, *rest)
        recursive_weight_gradient(plan, a["joined"], a["d_net"], d_W, d_bias)

    def child_sum(trees):
        plan = child_sum_plan(Links.join(trees))
        a["gates"][...] = bias.reshape(4, 1, units)
        child_sum_weights(W, a["halved"])
        names = "halved gates h c h_sum tanh_c h_child c_child forget d_forget step"
        child_sum_forward(plan, *[a[k] for k in names.split()])
        top(a["h"][: plan.bounds[-1]], plan.roots, a["d_h"])
        back = "U gates h tanh_c forget d_h d_c d_net d_forget d_h_child c_child work step turned"
        child_sum_backward(plan, *[a[k] for k in back.split()])
        child_sum_weight_gradient(plan, a["h_sum"], a["h_child"], a["d_net"], a["d_forget"], d_W)
        np.sum(a["d_net"], axis=1, out=d_bias.reshape(4, units))

    def step():
        for trees in batches:
            recursive(trees) if cell == "recursive" else child_sum(trees)
            values.update()

    return step
