"""Abreast: recurrent cells next to each other that need nothing of one another run at once.

The two directions of a bidirectional layer are such cells. Each is a long row of small products
and elementwise calls; a thread for each is faster than two threads for every product, and far
faster where other programs are at work, since threads then wait for each other once instead of at
every step.
"""

from __future__ import annotations

from collections.abc import Sequence

from neurograph.compiler.program import Program, Statement, Step
from neurograph.compiler.storage import Sizes

CELLS = ("cell", "cell_gradient")
WORTH = 512  # numbers in a state of the batch; below, waking a thread costs what it saves


def abreast(program: Program, steps: Sequence[Step], sizes: Sizes) -> dict[int, int]:
    """Return the steps that run at once: the number of each, and that of the last of its group.

    Parameters
    ----------
    program : Program
    steps : sequence of Statement or Loop
        ``program.forward`` or ``program.backward``.
    sizes : Sizes
    """
    groups: list[list[int]] = []
    for number, step in enumerate(steps):
        group = groups[-1] if groups else []
        if group and all(_independent(program, steps[k], step, sizes) for k in group):
            group.append(number)
        else:
            groups.append([number])
    return {number: group[-1] for group in groups if len(group) > 1 for number in group}


def _independent(program: Program, one: Step, other: Step, sizes: Sizes) -> bool:
    """Whether two steps are large cells, of the same pass, that share only what they read."""
    if not isinstance(one, Statement) or not isinstance(other, Statement):
        return False
    if one.op != other.op or one.op not in CELLS:
        return False
    states = [each.out if each.op == "cell" else each.inputs[0] for each in (one, other)]
    if min(sizes.count(program.arrays[ref.name].dims[1:]) for ref in states) < WORTH:
        return False
    names = [[program.base(ref.name) for ref in (*each.inputs, each.out)] for each in (one, other)]
    read = 2  # what comes in (values or deltas) and the weights; the rest may be written
    return not any(set(mine[read:]) & set(theirs) for mine, theirs in (names, names[::-1]))
