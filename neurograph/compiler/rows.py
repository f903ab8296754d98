"""Rows: the samples of a data set, laid out so that batches are gathered straight into a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from neurograph.compiler.plan import Plan
from neurograph.compiler.program import Array as Declared
from neurograph.compiler.program import Program
from neurograph.errors import ShapeError
from neurograph.parameter import Array

WIDEN = 1 << 30  # larger arrays are not copied only to give them a column of ones


class Rows:
    r"""All samples of some inputs and targets: cast, time in front, ones where plans have them.

    Parameters
    ----------
    program : Program
    names : sequence of str
        Inputs or targets of the program.
    arrays : sequence of array, (samples, [time,] \\*shape)
        Those that fit as they are will not be copied.
    """

    def __init__(self, program: Program, names: Sequence[str], arrays: Sequence[Array]) -> None:
        self._rows: list[tuple[str, Array]] = []
        for name, array in zip(names, arrays, strict=True):
            declared = program.arrays[name]
            moved = array.swapaxes(0, 1) if declared.lead == 2 else array
            base = program.arrays.get(declared.view.base) if declared.view is not None else None
            if base is not None and base.ones_column and array.nbytes <= WIDEN:
                self._rows.append((base.name, _widened(moved, base)))
            else:
                self._rows.append((name, np.ascontiguousarray(moved, declared.dtype)))

    def feeder(self, plan: Plan) -> Callable[[Array], None]:
        """Return a function that gathers samples, by number, into the arrays of a plan."""
        direct, apart = [], []
        for name, array in self._rows:
            place, axis = plan.arrays[name], plan.lead[name] - 1
            check_steps(array.swapaxes(0, axis), place.swapaxes(0, axis))
            if place.flags.c_contiguous:
                direct.append((array.take, axis, place))
            else:
                apart.append((array.take, axis, place))

        def feed(index: Array) -> None:
            for take, axis, place in direct:
                take(index, axis, place, "clip")
            for take, axis, place in apart:
                place[...] = take(index, axis, None, "clip")

        return feed


def check_steps(array: Array, place: Array) -> None:
    """Refuse what has another number of steps than its place in a plan, both batch first.

    Raises
    ------
    ShapeError
    """
    if array.shape[1:] != place.shape[1:]:
        raise ShapeError(
            f"targets (or sample weights) of {array.shape[1]:,} steps do not fit outputs of "
            f"{place.shape[1]:,}; give one for each step of the output"
        )


def _widened(array: Array, base: Declared) -> Array:
    """Return an array in the last axis of which a one follows each row."""
    wide = np.ones((*array.shape[:-1], array.shape[-1] + 1), base.dtype)
    wide[..., :-1] = array
    return wide
