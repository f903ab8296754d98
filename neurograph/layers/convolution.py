"""Convolutions: one kernel, seen from every place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neurograph.errors import OptionError, ShapeError, short
from neurograph.graph.layer import Layer
from neurograph.graph.spatial import ConvolutionConnections
from neurograph.kernels.geometry import Geometry2D
from neurograph.layers.recipe import ActivationSpec, Recipe, hide_unfolding
from neurograph.parameter import Parameter

Sizes = int | tuple[int, int]
IMAGE = "(height, width, channels)"
LINE = "(steps, channels)"


def sides(label: str, padding: Any) -> Any:
    """Return padding in the form of ``Geometry2D``: a name, or (top, bottom, left, right).

    >>> sides("Conv2D", "SAME"), sides("Conv2D", 3), sides("Conv2D", ((0, 1), (2, 3)))
    ('same', (3, 3, 3, 3), (0, 1, 2, 3))
    """
    if isinstance(padding, str):
        if padding.lower() in ("valid", "same"):
            return padding.lower()
    else:
        found = padding if isinstance(padding, (tuple, list)) else (padding, padding)
        pairs = [each if isinstance(each, (tuple, list)) else (each, each) for each in found]
        cells = [cell for pair in pairs for cell in pair]
        if len(pairs) == 2 and len(cells) == 4 and all(_is_count(cell) for cell in cells):
            return tuple(cells)
    raise OptionError(
        f"{label}: padding is {short(padding)}; give 'valid', 'same', a number of cells such as 1, "
        f"(rows, columns), or ((top, bottom), (left, right))"
    )


def _is_count(cell: Any) -> bool:
    return isinstance(cell, int) and not isinstance(cell, bool) and cell >= 0


def line_sides(label: str, padding: Any) -> Any:
    """Return padding in the form of ``Geometry2D.line``: a name, or (before, after)."""
    if isinstance(padding, (tuple, list)):
        if len(padding) == 2 and all(_is_count(cell) for cell in padding):
            return tuple(padding)
    elif isinstance(padding, str) or _is_count(padding):
        found = sides(label, padding)
        return found if isinstance(found, str) else found[:2]
    raise OptionError(
        f"{label}: padding is {short(padding)}; give 'valid', 'same', a number of steps such as 1, "
        f"or (before, after)"
    )


def fit(label: str, source: Layer, make: Callable[[], Geometry2D]) -> Geometry2D:
    """Return the geometry, or say which layer it does not fit."""
    try:
        return make()
    except (OptionError, ShapeError) as error:
        name = source.name or source.kind
        raise type(error)(f"{label} on {name!r} of shape {source.shape}: {error}") from error


def _windows(
    recipe: Conv2D | DepthwiseConv2D, image: Layer, filters: int, groups: int
) -> Geometry2D:
    options: dict[str, Any] = {
        "in_shape": image.shape,
        "kernel": recipe.kernel_size,
        "strides": recipe.strides,
        "padding": sides(recipe.label, recipe.padding),
        "dilation": recipe.dilation_rate,
    }
    return fit(
        recipe.label, image, lambda: Geometry2D.of(filters=filters, groups=groups, **options)
    )


@dataclass(frozen=True, eq=False)
class Conv2D(Recipe):
    """Every filter sees the same window of every place: ``activation(conv(x, kernel) + bias)``.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or (rows, columns)
    padding : "valid", "same", int, (rows, columns) or ((top, bottom), (left, right))
        "same" is TensorFlow's: ceil(size / stride) outputs, an odd cell at the bottom and right.
        Numbers pad as PyTorch does. What is outside is a missing connection.
    groups : int
        Filters of one group see the channels of that group only.
    activation, use_bias, kernel_initializer, … : as in ``Dense``

    Notes
    -----
    Weights: kernel (rows, columns, channels / groups, filters), bias (filters,).

    Raises
    ------
    ShapeError
        If the kernel is larger than the padded image.
    OptionError
        If the groups do not divide channels and filters.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = Conv2D(6, 5, padding="same")(Input((28, 28, 1)))
    >>> layer.shape, layer.parameters["kernel"].shape
    ((28, 28, 6), (5, 5, 1, 6))
    >>> len(layer[14, 14, 0].upstream), len(layer[0, 0, 0].upstream)
    (26, 10)
    """

    filters: int
    kernel_size: Sizes
    strides: Sizes = (1, 1)
    padding: Any = "valid"
    dilation_rate: Sizes = (1, 1)
    groups: int = 1
    activation: ActivationSpec = None
    use_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    bias_regularizer: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("filters", "groups")
        self._pairs("kernel_size", "strides", "dilation_rate")
        sides(self.label, self.padding)

    def __call__(self, source: Any) -> Layer:
        """Return the layer of filters above ``source``, an image."""
        image = self.image(source, 3, IMAGE)
        geometry = _windows(self, image, self.filters, self.groups)
        kernel = self.parameter(
            "kernel", geometry.kernel_shape, self.kernel_initializer, self.kernel_regularizer
        )
        return _convolve(self, image, geometry, geometry.out_shape, kernel)


@dataclass(frozen=True, eq=False)
class Conv1D(Recipe):
    """A convolution over the steps of a sequence of known length.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int
    padding : "valid", "same", "causal", int or (before, after)
        "causal" sees the past only: ``(kernel_size - 1) * dilation_rate`` cells before.
    groups, activation, use_bias, … : as in ``Conv2D``

    Notes
    -----
    Weights: kernel (steps, channels / groups, filters), bias (filters,).

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> Conv1D(8, 3, padding="causal")(Input((60, 4))).shape
    (60, 8)
    """

    filters: int
    kernel_size: int
    strides: int = 1
    padding: Any = "valid"
    dilation_rate: int = 1
    groups: int = 1
    activation: ActivationSpec = None
    use_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    bias_regularizer: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("kernel_size", "strides", "dilation_rate"):
            value = getattr(self, option)
            if isinstance(value, (tuple, list)) and len(value) == 1:
                self._set(option, value[0])
        self._whole("filters", "groups", "kernel_size", "strides", "dilation_rate")
        self._sides()

    def _sides(self) -> Any:
        if isinstance(self.padding, str) and self.padding.lower() == "causal":
            return ((self.kernel_size - 1) * self.dilation_rate, 0)
        return line_sides(self.label, self.padding)

    def __call__(self, source: Any) -> Layer:
        """Return the layer of filters above ``source``, of shape (steps, channels)."""
        line = self.image(source, 2, LINE)
        options: dict[str, Any] = {
            "in_shape": line.shape,
            "kernel": self.kernel_size,
            "stride": self.strides,
            "padding": self._sides(),
            "dilation": self.dilation_rate,
        }
        geometry = fit(
            self.label,
            line,
            lambda: Geometry2D.line(filters=self.filters, groups=self.groups, **options),
        )
        kernel = self.parameter(
            "kernel", geometry.kernel_shape[1:], self.kernel_initializer, self.kernel_regularizer
        )
        return _convolve(self, line, geometry, geometry.out_shape[1:], kernel)


@dataclass(frozen=True, eq=False)
class DepthwiseConv2D(Recipe):
    """A convolution in which every channel is seen by ``depth_multiplier`` filters of its own.

    Parameters
    ----------
    kernel_size, strides, dilation_rate : int or (rows, columns)
    padding : as in ``Conv2D``
    depth_multiplier : int
    depthwise_initializer, depthwise_regularizer : of the kernel
    activation, use_bias, … : as in ``Conv2D``

    Notes
    -----
    Weights: kernel (rows, columns, channels, depth_multiplier), bias (channels *
    depth_multiplier,).

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = DepthwiseConv2D(3, depth_multiplier=2)(Input((8, 8, 4)))
    >>> layer.shape, layer.parameters["kernel"].shape
    ((6, 6, 8), (3, 3, 4, 2))
    """

    kernel_size: Sizes
    strides: Sizes = (1, 1)
    padding: Any = "valid"
    depth_multiplier: int = 1
    dilation_rate: Sizes = (1, 1)
    activation: ActivationSpec = None
    use_bias: bool = True
    depthwise_initializer: Any = "glorot_uniform"
    bias_initializer: Any = "zeros"
    depthwise_regularizer: Any = None
    bias_regularizer: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("depth_multiplier")
        self._pairs("kernel_size", "strides", "dilation_rate")
        sides(self.label, self.padding)

    def __call__(self, source: Any) -> Layer:
        """Return the layer of filters above ``source``, an image."""
        image = self.image(source, 3, IMAGE)
        channels = image.shape[2]
        geometry = _windows(self, image, channels * self.depth_multiplier, channels)
        kernel = self.parameter(
            "kernel",
            (*geometry.kernel, channels, self.depth_multiplier),
            self.depthwise_initializer,
            self.depthwise_regularizer,
        )
        return _convolve(self, image, geometry, geometry.out_shape, kernel)


def _convolve(
    recipe: Conv1D | Conv2D | DepthwiseConv2D,
    image: Layer,
    geometry: Geometry2D,
    shape: tuple[int, ...],
    kernel: Parameter,
) -> Layer:
    target = recipe.make(shape, [image], activation=recipe.activation)
    hide_unfolding(target, image)
    target.parameters["kernel"] = kernel
    ConvolutionConnections(image, target, kernel, geometry)
    if recipe.use_bias:
        recipe.add_bias(target, geometry.filters, recipe.bias_initializer, recipe.bias_regularizer)
    return target
