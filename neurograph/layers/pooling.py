"""Pooling: the largest or the mean of a window, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from neurograph.graph.bundles import BiasConnections, DenseConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.masks import mask_of
from neurograph.graph.spatial import PoolingConnections
from neurograph.graph.temporal import UnfoldConnections
from neurograph.kernels.geometry import Geometry2D
from neurograph.layers.convolution import IMAGE, LINE, Sizes, fit, line_sides, sides
from neurograph.layers.masking import counts_under
from neurograph.layers.recipe import Recipe, hide_unfolding, put_under


@dataclass(frozen=True, eq=False)
class Pooling2D(Recipe):
    """What pooling over images has in common.

    Parameters
    ----------
    pool_size : int or (rows, columns)
    strides : int, (rows, columns) or None
        As the window if None; smaller makes windows overlap.
    padding : "valid", "same", int, (rows, columns) or ((top, bottom), (left, right))
        What is outside the image is missing: a mean is that of the cells that exist.
    """

    aggregation: ClassVar[str]

    pool_size: Sizes = (2, 2)
    strides: Sizes | None = None
    padding: Any = "valid"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strides is None:
            self._set("strides", self.pool_size)
        self._pairs("pool_size", "strides")
        sides(self.label, self.padding)

    def __call__(self, source: Any) -> Layer:
        """Return the pooled layer above ``source``, an image."""
        image = self.image(source, 3, IMAGE)
        options: dict[str, Any] = {
            "in_shape": image.shape,
            "window": self.pool_size,
            "strides": self.strides,
            "padding": sides(self.label, self.padding),
        }
        geometry = fit(self.label, image, lambda: Geometry2D.pooling(**options))
        return pool(self, self.aggregation, image, geometry, geometry.out_shape)


@dataclass(frozen=True, eq=False)
class MaxPooling2D(Pooling2D):
    """The largest value of each window; its gradient goes to the first that attains it.

    Parameters
    ----------
    pool_size : int or (rows, columns)
    strides : int, (rows, columns) or None
        As the window if None; smaller makes windows overlap.
    padding : "valid", "same", int, (rows, columns) or ((top, bottom), (left, right))

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = MaxPooling2D(3, strides=2, padding="same")(Input((5, 6, 4)))
    >>> layer.shape, layer[1, 1, 0].aggregation, len(layer[1, 1, 0].upstream)
    ((3, 3, 4), 'max', 9)
    """

    aggregation = "max"


@dataclass(frozen=True, eq=False)
class AveragePooling2D(Pooling2D):
    """The mean of each window, of the cells that lie inside the image.

    Parameters
    ----------
    pool_size, strides, padding : as in ``MaxPooling2D``

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> AveragePooling2D((2, 3))(Input((4, 6, 1))).shape
    (2, 2, 1)
    """

    aggregation = "mean"


@dataclass(frozen=True, eq=False)
class Pooling1D(Recipe):
    """What pooling over sequences of known length has in common.

    Parameters
    ----------
    pool_size : int
    strides : int or None
        As the window if None.
    padding : "valid", "same", int or (before, after)
    """

    aggregation: ClassVar[str]

    pool_size: int = 2
    strides: int | None = None
    padding: Any = "valid"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strides is None:
            self._set("strides", self.pool_size)
        self._whole("pool_size", "strides")
        line_sides(self.label, self.padding)

    def __call__(self, source: Any) -> Layer:
        """Return the pooled layer above ``source``, of shape (steps, channels)."""
        line = self.image(source, 2, LINE)
        channels = line.shape[1]
        options: dict[str, Any] = {
            "in_shape": line.shape,
            "kernel": self.pool_size,
            "stride": self.strides,
            "padding": line_sides(self.label, self.padding),
        }
        geometry = fit(
            self.label,
            line,
            lambda: Geometry2D.line(filters=channels, groups=channels, **options),
        )
        return pool(self, self.aggregation, line, geometry, geometry.out_shape[1:])


@dataclass(frozen=True, eq=False)
class MaxPooling1D(Pooling1D):
    """The largest value of each window of steps.

    Parameters
    ----------
    pool_size : int
    strides : int or None
        As the window if None.
    padding : "valid", "same", int or (before, after)
    """

    aggregation = "max"


@dataclass(frozen=True, eq=False)
class AveragePooling1D(Pooling1D):
    """The mean of each window of steps.

    Parameters
    ----------
    pool_size, strides, padding : as in ``MaxPooling1D``
    """

    aggregation = "mean"


@dataclass(frozen=True, eq=False)
class GlobalPooling(Recipe):
    """What pooling over everything but the channels has in common."""

    aggregation: ClassVar[str]
    rank: ClassVar[int]

    keepdims: bool = False

    def __call__(self, source: Any) -> Layer:
        """Return one value a channel of ``source``."""
        image = self.image(source, self.rank, IMAGE if self.rank == 3 else LINE)
        *window, channels = image.shape
        height, width = (1, *window)[-2:]
        geometry = Geometry2D.pooling((height, width, channels), (height, width))
        shape = (*(1 for _ in window), channels) if self.keepdims else (channels,)
        return pool(self, self.aggregation, image, geometry, shape)


@dataclass(frozen=True, eq=False)
class GlobalMaxPooling2D(GlobalPooling):
    """The largest value of each channel of an image.

    Parameters
    ----------
    keepdims : bool
        Whether the result has shape (1, 1, channels) instead of (channels,).
    """

    aggregation, rank = "max", 3


@dataclass(frozen=True, eq=False)
class GlobalAveragePooling2D(GlobalPooling):
    """The mean of each channel of an image.

    Parameters
    ----------
    keepdims : bool
        Whether the result has shape (1, 1, channels) instead of (channels,).

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> GlobalAveragePooling2D()(Input((7, 7, 512))).shape
    (512,)
    """

    aggregation, rank = "mean", 3


@dataclass(frozen=True, eq=False)
class GlobalMaxPooling1D(GlobalPooling):
    """The largest value of each channel of a sequence of known length.

    Parameters
    ----------
    keepdims : bool
        Whether the result has shape (1, channels) instead of (channels,).
    """

    aggregation, rank = "max", 2


@dataclass(frozen=True, eq=False)
class GlobalAveragePooling1D(GlobalPooling):
    """The mean of each channel of a sequence of known length, of the steps that its mask counts.

    Under a mask it is a product of two parts: ``mean``, that of the steps times the mask
    (``counted``), and ``over``, 1 / ``share``, the mean of the mask. If no step counts it is 0.

    Parameters
    ----------
    keepdims : bool
        Whether the result has shape (1, channels) instead of (channels,).
    """

    aggregation, rank = "mean", 2

    def __call__(self, source: Any) -> Layer:
        """Return one value a channel of ``source``."""
        mask = mask_of(self.one(source))
        if mask is None:
            return super().__call__(source)
        line = self.image(source, 2, LINE)
        steps, channels = line.shape
        shape = (1, channels) if self.keepdims else (channels,)
        target = self.make(shape, [line], aggregation="product")
        hide_unfolding(target, line)
        if mask.sequence:
            unfolded = Layer((steps, 1), kind="unfold")
            UnfoldConnections(mask, unfolded)
            put_under(target, "mask_unfold", unfolded)
            mask = unfolded
        counts = counts_under(target, mask)
        counted = Layer(line.shape, kind="counted", aggregation="product")
        mean = Layer((channels,), kind="mean", aggregation="mean")
        share = Layer((1,), kind="share", aggregation="mean")
        over = Layer((1,), kind="over", aggregation="max", activation="reciprocal")
        const = Layer((1,), kind="const", role="const")
        for part in (counted, mean, share, over, const):
            put_under(target, part.kind, part)
        OneToOneConnections(line, counted)
        DenseConnections(counts, counted, None, positions=steps)
        for image, part in ((counted, mean), (counts, share)):
            window = (1, steps)
            PoolingConnections(image, part, Geometry2D.pooling((*window, part.size), window))
        OneToOneConnections(share, over)
        BiasConnections(const, over, None, constant=1.0 / steps)  # the least share, so never 1 / 0
        OneToOneConnections(mean, target)
        DenseConnections(over, target, None)
        return target


def pool(
    recipe: Recipe, aggregation: str, image: Layer, geometry: Geometry2D, shape: tuple[int, ...]
) -> Layer:
    """Return a layer that takes the aggregation of each window."""
    target = recipe.make(shape, [image], aggregation=aggregation)
    hide_unfolding(target, image)
    PoolingConnections(image, target, geometry)
    return target
