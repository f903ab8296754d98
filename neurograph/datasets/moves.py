"""Shifts, turns and zooms of pictures at random: maps that say where each pixel is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from neurograph.datasets.checks import Array, as_pictures, check_generator
from neurograph.datasets.resample import FILLS, Fill, resample
from neurograph.errors import OptionError, unknown
from neurograph.options import number

Maps = NDArray[np.float64]


def ready(what: str, x: ArrayLike, generator: object) -> Array:
    """Return the batch of pictures that an augmentation was called with, after checking it."""
    check_generator(what, generator)
    return as_pictures(f"the batch for {what}", x)


@dataclass(frozen=True, slots=True)
class Move:
    """What shifts, turns and zooms have in common.

    Parameters
    ----------
    fill : "constant", "nearest" or "reflect"
        What comes in from outside: ``value``, the border's pixels, or the picture mirrored.
    value : float
    """

    fill: Fill = field(default="constant", kw_only=True)
    value: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if self.fill not in FILLS:
            raise unknown("fill", self.fill, FILLS)
        number("value", self.value)
        self.check()

    def __call__(self, x: ArrayLike, generator: Generator) -> Array:
        """Return the batch moved; floats keep their type, all else becomes float32."""
        return moved(type(self).__name__, [self], x, generator)

    def check(self) -> None:
        """Refuse impossible options."""

    def maps(self, shape: Sequence[int], generator: Generator) -> Maps:
        """Return the map of each picture, (batch, 2, 3): see ``resample``."""
        return identity(shape[0])


@dataclass(frozen=True, slots=True)
class Shift(Move):
    """Move each picture by whole pixels, up or down and left or right.

    Parameters
    ----------
    height, width : float
        The furthest move: below 1 as a part of the picture's size, from 1 on in pixels.
        Without ``width`` it is the same as ``height``.
    fill : "constant", "nearest" or "reflect"
        What comes in from outside: ``value``, the border's pixels, or the picture mirrored.
    value : float

    Examples
    --------
    >>> x = np.eye(3)[np.newaxis]
    >>> Shift(1, 0)(x, np.random.default_rng(0))[0]
    array([[0., 1., 0.],
           [0., 0., 1.],
           [0., 0., 0.]])
    """

    height: float = 0.1
    width: float | None = None

    def check(self) -> None:
        """Refuse impossible options."""
        number("height", self.height, least=0)
        number("width", self.height if self.width is None else self.width, least=0)

    def maps(self, shape: Sequence[int], generator: Generator) -> Maps:
        """Return the map of each picture, (batch, 2, 3): see ``resample``."""
        maps = identity(shape[0])
        reaches = (self.height, self.height if self.width is None else self.width)
        for axis, reach in enumerate(reaches):
            most = int(reach) if reach >= 1 else round(reach * shape[1 + axis])
            maps[:, axis, 2] = generator.integers(-most, most + 1, shape[0])
        return maps


@dataclass(frozen=True, slots=True)
class Rotate(Move):
    """Turn each picture about its centre by up to ``degrees`` either way.

    Parameters
    ----------
    degrees : float
    fill : "constant", "nearest" or "reflect"
        What comes in from outside: ``value``, the border's pixels, or the picture mirrored.
    value : float
    """

    degrees: float = 10.0

    def check(self) -> None:
        """Refuse impossible options."""
        number("degrees", self.degrees, least=0, most=360)

    def maps(self, shape: Sequence[int], generator: Generator) -> Maps:
        """Return the map of each picture, (batch, 2, 3): see ``resample``."""
        angle = np.radians(generator.uniform(-self.degrees, self.degrees, shape[0]))
        maps = identity(shape[0])
        maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angle)
        maps[:, 0, 1], maps[:, 1, 0] = np.sin(angle), -np.sin(angle)
        return maps


@dataclass(frozen=True, slots=True)
class Zoom(Move):
    """Enlarge or shrink each picture about its centre.

    Parameters
    ----------
    amount : float or (low, high)
        0.1 means a factor between 0.9 and 1.1; above 1 the picture becomes larger.
    fill : "constant", "nearest" or "reflect"
        What comes in from outside: ``value``, the border's pixels, or the picture mirrored.
    value : float
    """

    amount: float | tuple[float, float] = 0.1

    def check(self) -> None:
        """Refuse impossible options."""
        low, high = self._factors()
        number("amount", low)
        if not 0 < low <= number("amount", high):
            raise OptionError(
                f"Zoom goes from {low:g} to {high:g} times: factors must be above 0 and rise"
            )

    def maps(self, shape: Sequence[int], generator: Generator) -> Maps:
        """Return the map of each picture, (batch, 2, 3): see ``resample``."""
        maps = identity(shape[0])
        maps[:, 0, 0] = maps[:, 1, 1] = 1 / generator.uniform(*self._factors(), shape[0])
        return maps

    def _factors(self) -> tuple[float, float]:
        if isinstance(self.amount, tuple):
            if len(self.amount) != 2:
                raise OptionError(f"amount is {self.amount!r}: it must be a number or (low, high)")
            return self.amount
        amount = number("amount", self.amount)
        return 1 - amount, 1 + amount


def moved(what: str, moves: Sequence[Move], x: ArrayLike, generator: Generator) -> Array:
    """Return the batch after all moves, interpolated once; they must fill alike."""
    batch = ready(what, x, generator)
    if batch.dtype not in (np.float32, np.float64):
        batch = batch.astype(np.float32)
    maps = identity(len(batch))
    for move in moves:
        # the last move is looked up first, and its place then by the maps of those before it
        last = move.maps(batch.shape, generator)
        joined = maps[:, :, :2] @ last
        joined[:, :, 2] += maps[:, :, 2]
        maps = joined
    pictures = batch if batch.ndim == 4 else batch[..., np.newaxis]
    return resample(pictures, maps, moves[0].fill, moves[0].value).reshape(batch.shape)


def identity(batch: int) -> Maps:
    """Return maps that change nothing, (batch, 2, 3)."""
    return np.tile(np.eye(2, 3), (batch, 1, 1))
