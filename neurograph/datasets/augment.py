"""Pictures changed at random, so that a network never sees the same one twice.

Each step is a callable ``(x, generator) -> x`` over a whole batch; so is the pipeline of them, and
any function of that form can be a step. The same generator state gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import groupby

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator
from numpy.typing import ArrayLike

from neurograph.datasets.checks import Array
from neurograph.datasets.moves import Move, moved, ready
from neurograph.datasets.resample import FILLS, Fill
from neurograph.errors import OptionError, ShapeError, unknown
from neurograph.options import number, whole

Step = Callable[[Array, Generator], Array]


@dataclass(frozen=True, slots=True)
class Rescale:
    """Multiply every value, then add: ``x * factor + offset``, as float32 (float64 stays).

    >>> Rescale(1 / 255)(np.full((1, 1, 1, 1), 255, np.uint8), np.random.default_rng(0)).ravel()
    array([1.], dtype=float32)
    """

    factor: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        number("factor", self.factor)
        number("offset", self.offset)

    def __call__(self, x: ArrayLike, generator: Generator) -> Array:
        """Return the batch rescaled."""
        batch = ready("Rescale", x, generator)
        kind = np.float64 if batch.dtype == np.float64 else np.float32
        return batch * kind(self.factor) + kind(self.offset)


@dataclass(frozen=True, slots=True)
class Flip:
    """Mirror each picture with probability one half.

    Parameters
    ----------
    horizontal : bool
        Left and right change places.
    vertical : bool
        Up and down change places.
    """

    horizontal: bool = True
    vertical: bool = False

    def __call__(self, x: ArrayLike, generator: Generator) -> Array:
        """Return the batch with some of its pictures mirrored, in a new array."""
        batch = np.array(ready("Flip", x, generator))
        for wanted, axis in ((self.vertical, 1), (self.horizontal, 2)):
            if wanted:
                chosen = generator.random(len(batch)) < 0.5
                batch[chosen] = np.flip(batch[chosen], axis)
        return batch


@dataclass(frozen=True, slots=True)
class RandomCrop:
    """Cut a window of a given size from a random place of each picture.

    Parameters
    ----------
    size : int or (height, width)
    padding : int
        Pixels added on every side first; ``RandomCrop(32, padding=4)`` is the usual
        augmentation of CIFAR-10.
    fill : "constant", "nearest" or "reflect"
        What the added pixels hold: ``value``, the border's pixels, or the picture mirrored.
    value : float
    """

    size: int | tuple[int, int]
    padding: int = 0
    fill: Fill = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.size, tuple) and len(self.size) != 2:
            raise OptionError(f"size is {self.size!r}: it must be a number or (height, width)")
        self._shape()
        whole("padding", self.padding)
        number("value", self.value)
        if self.fill not in FILLS:
            raise unknown("fill", self.fill, FILLS)

    def __call__(self, x: ArrayLike, generator: Generator) -> Array:
        """Return the windows, (batch, height, width) or (batch, height, width, channels)."""
        batch = ready("RandomCrop", x, generator)
        around = [(0, 0), (self.padding,) * 2, (self.padding,) * 2, (0, 0)][: batch.ndim]
        if self.fill == "constant":
            padded = np.pad(batch, around, constant_values=self.value)
        else:
            padded = np.pad(batch, around, "edge" if self.fill == "nearest" else "reflect")
        size = self._shape()
        rooms = [have - want for have, want in zip(padded.shape[1:3], size, strict=True)]
        if min(rooms) < 0:
            raise ShapeError(
                f"RandomCrop cannot cut {size[0]}x{size[1]} from pictures of "
                f"{padded.shape[1]}x{padded.shape[2]}, padding included"
            )
        top, left = (generator.integers(0, room + 1, len(batch)) for room in rooms)
        cut = sliding_window_view(padded, size, axis=(1, 2))[np.arange(len(batch)), top, left]
        # the windows' axes come last: (batch, channels, height, width)
        return np.ascontiguousarray(np.moveaxis(cut, 1, -1) if batch.ndim == 4 else cut)

    def _shape(self) -> tuple[int, int]:
        height, width = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        return whole("size", height, least=1), whole("size", width, least=1)


class Augmentation:
    """Several steps one after another, as one callable to put in front of training.

    Shifts, turns and zooms that stand side by side (and fill alike) are joined, so that the
    pictures are interpolated once, not once a step.

    Parameters
    ----------
    *steps : callables ``(x, generator) -> x``, or one sequence of them

    Examples
    --------
    >>> augment = Augmentation(Rescale(1 / 255), Flip(), RandomCrop(32, padding=4))
    >>> print(augment)
    Rescale(factor=0.00392157, offset=0) -> Flip(horizontal=True, vertical=False) ->
    RandomCrop(size=32, padding=4, fill='constant', value=0)
    >>> x = np.zeros((8, 32, 32, 3), np.uint8)
    >>> augment(x, np.random.default_rng(0)).shape
    (8, 32, 32, 3)
    """

    def __init__(self, *steps: Step | Sequence[Step]) -> None:
        flat: list[Step] = []
        for each in steps:
            flat.extend(each if isinstance(each, Sequence) else [each])
        for step in flat:
            if not callable(step):
                raise OptionError(
                    f"{step!r} is no augmentation: give callables (x, generator) -> x"
                )
        self.steps = tuple(flat)

    def __call__(self, x: ArrayLike, generator: Generator) -> Array:
        """Return the batch changed.

        Parameters
        ----------
        x : (batch, height, width) or (batch, height, width, channels)
        generator : numpy.random.Generator
        """
        batch = ready("Augmentation", x, generator)
        for alike, group in groupby(self.steps, key=_fills):
            if alike:
                moves = [step for step in group if isinstance(step, Move)]
                batch = moved("Augmentation", moves, batch, generator)
            else:
                for step in group:
                    batch = np.asarray(step(batch, generator))
        return batch

    def __str__(self) -> str:
        return " -> ".join(map(_shown, self.steps)) or "no change"

    def __repr__(self) -> str:
        return f"Augmentation({', '.join(map(_shown, self.steps))})"


def _fills(step: Step) -> tuple[Fill, float] | None:
    """Return what neighbours must share to be joined; None for steps that stand alone."""
    return (step.fill, step.value) if isinstance(step, Move) else None


def _shown(step: Step) -> str:
    """Return a step with short numbers; a function by its name."""
    if not is_dataclass(step):
        return getattr(step, "__name__", repr(step))
    parts = ((each.name, getattr(step, each.name)) for each in fields(step))
    shown = (f"{n}={v:g}" if isinstance(v, float) else f"{n}={v!r}" for n, v in parts)
    return f"{type(step).__name__}({', '.join(shown)})"
