"""Layers that only move values: flatten, reshape, pad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from neurograph.errors import OptionError, ShapeError, short
from neurograph.graph.bundles import OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.temporal import UnfoldConnections
from neurograph.layers.convolution import IMAGE, line_sides, sides
from neurograph.layers.recipe import Recipe, hide_unfolding


@dataclass(frozen=True, eq=False)
class Flatten(Recipe):
    """All nodes in one row, the last axis running fastest; the steps of a sequence too.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> Flatten()(Input((7, 7, 512))).shape
    (25088,)
    """

    def __call__(self, source: Any) -> Layer:
        """Return the flat layer."""
        source = self.one(source)
        steps = self.known_steps(source) if source.sequence else 1
        return _rearrange(self, source, (steps * source.size,))


@dataclass(frozen=True, eq=False)
class Reshape(Recipe):
    """The same nodes in another shape, the last axis running fastest.

    Parameters
    ----------
    target_shape : tuple of int
        One size may be -1: whatever is left.

    Raises
    ------
    ShapeError
        If the numbers of nodes differ.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> Reshape((4, -1))(Input((12,))).shape
    (4, 3)
    """

    target_shape: Sequence[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Any = self.target_shape
        shape = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        good = all(isinstance(each, int) and (each > 0 or each == -1) for each in shape)
        if not good or shape.count(-1) > 1:
            raise OptionError(
                f"{self.label}: target_shape is {short(self.target_shape)}; give sizes such as "
                f"(4, 3), at most one of them -1"
            )
        self._set("target_shape", shape)

    def __call__(self, source: Any) -> Layer:
        """Return the layer in its new shape."""
        source = self.one(source)
        size = source.size * (self.known_steps(source) if source.sequence else 1)
        known = prod(each for each in self.target_shape if each != -1)
        shape = tuple(size // known if each == -1 else each for each in self.target_shape)
        if prod(shape) != size:
            raise ShapeError(
                f"{self.label}: {source.name or source.kind!r} of shape {source.shape} has {size} "
                f"nodes, which do not fill shape {tuple(self.target_shape)}"
            )
        return _rearrange(self, source, shape)


def _rearrange(recipe: Recipe, source: Layer, shape: tuple[int, ...]) -> Layer:
    target = recipe.make(shape, [source], sequence=False)
    if source.sequence:
        UnfoldConnections(source, target)
    else:
        OneToOneConnections(source, target)
    return target


@dataclass(frozen=True, eq=False)
class ZeroPadding2D(Recipe):
    """Rows and columns of nodes that nothing feeds, so that they are 0, around an image.

    Parameters
    ----------
    padding : int, (rows, columns) or ((top, bottom), (left, right))

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = ZeroPadding2D(((0, 1), (0, 1)))(Input((4, 4, 3)))
    >>> layer.shape, len(layer[4, 4, 0].upstream)
    ((5, 5, 3), 0)
    """

    padding: Any = (1, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(sides(self.label, self.padding), str):
            raise OptionError(
                f"{self.label}: padding is {short(self.padding)}; give numbers of cells"
            )

    def __call__(self, source: Any) -> Layer:
        """Return the padded image."""
        image = self.image(source, 3, IMAGE)
        top, bottom, left, right = sides(self.label, self.padding)
        height, width, channels = image.shape
        shape = (height + top + bottom, width + left + right, channels)
        return _pad(self, image, shape, (top, left, 0))


@dataclass(frozen=True, eq=False)
class ZeroPadding1D(Recipe):
    """Steps of nodes that are 0 before and after a sequence of known length.

    Parameters
    ----------
    padding : int or (before, after)

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> ZeroPadding1D((2, 0))(Input((60, 4))).shape
    (62, 4)
    """

    padding: Any = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(line_sides(self.label, self.padding), str):
            raise OptionError(
                f"{self.label}: padding is {short(self.padding)}; give numbers of steps"
            )

    def __call__(self, source: Any) -> Layer:
        """Return the padded sequence, of shape (steps, channels)."""
        line = self.image(source, 2, "(steps, channels)")
        before, after = line_sides(self.label, self.padding)
        steps, channels = line.shape
        return _pad(self, line, (before + steps + after, channels), (before, 0))


def _pad(recipe: Recipe, image: Layer, shape: tuple[int, ...], start: tuple[int, ...]) -> Layer:
    target = recipe.make(shape, [image])
    hide_unfolding(target, image)
    OneToOneConnections(
        image,
        target,
        source_shape=image.shape,
        target_shape=shape,
        block=image.shape,
        target_start=start,
    )
    return target
