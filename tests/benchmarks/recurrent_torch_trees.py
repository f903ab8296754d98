"""The peer of the row "trees": PyTorch, all nodes of one height at once, or recursively."""

from __future__ import annotations

import torch
from recurrent_ours_trees import random_trees
from torch import nn

from neurograph.kernels.trees import Links, tree_plan


def make_trees(units=50, recursion=False):
    """Return a function that does one training step; the plan is made beforehand."""
    trees = random_trees()
    plan = tree_plan(Links.join(trees), 2)
    torch.manual_seed(0)
    cell, out = nn.Linear(2 * units, units), nn.Linear(units, 2)
    leaves = torch.randn(plan.bounds[1], units)
    labels = torch.randint(2, (len(trees),))
    optimizer = torch.optim.RMSprop([*cell.parameters(), *out.parameters()], lr=1e-4, foreach=True)
    levels = [
        torch.tensor(plan.children[a - plan.bounds[1] : b - plan.bounds[1]])
        for a, b in zip(plan.bounds[1:-1], plan.bounds[2:], strict=True)
    ]
    roots = torch.tensor(plan.roots)
    table, root_rows = plan.children.tolist(), plan.roots.tolist()

    def batched():
        values = leaves
        for index in levels:
            joined = values[index.flatten()].view(len(index), 2 * units)
            values = torch.cat([values, torch.tanh(cell(joined))])
        return values[roots]

    def vector(row):
        if row < len(leaves):
            return leaves[row]
        left, right = table[row - len(leaves)]
        return torch.tanh(cell(torch.cat([vector(left), vector(right)])))

    def step():
        optimizer.zero_grad()
        top = torch.stack([vector(row) for row in root_rows]) if recursion else batched()
        nn.functional.cross_entropy(out(top), labels).backward()
        optimizer.step()

    return step
