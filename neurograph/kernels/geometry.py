"""Shapes of convolutions and poolings: where every window lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from neurograph.errors import OptionError, ShapeError

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Geometry2D:
    """The windows of a convolution or pooling over images with channels last.

    A convolution or pooling over sequences is the same thing at height 1 (`Geometry2D.line`).

    Parameters
    ----------
    in_shape : (height, width, channels)
        Shape of one sample.
    kernel : (rows, columns)
        Size of the window.
    filters : int
        Channels of the output.
    strides : (rows, columns)
        Steps from one window to the next.
    padding : (top, bottom, left, right)
        Rows and columns of missing cells around the sample.
    dilation : (rows, columns)
        Steps from one cell of the window to the next.
    groups : int
        The channels are split into this many groups that see only themselves; as many groups as
        channels make a depthwise convolution.

    Raises
    ------
    OptionError
        If a size is not positive, or the groups divide neither channels nor filters.
    ShapeError
        If the window is larger than the padded sample.

    Examples
    --------
    >>> geometry = Geometry2D.of((32, 32, 3), (3, 3), 64, padding="same")
    >>> geometry.padding, geometry.out_shape, geometry.kernel_shape
    ((1, 1, 1, 1), (32, 32, 64), (3, 3, 3, 64))
    >>> geometry.flops
    3538944
    """

    in_shape: tuple[int, int, int]
    kernel: Pair
    filters: int
    strides: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        for name in ("in_shape", "kernel", "strides", "dilation"):
            if min(getattr(self, name)) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}: every number must be positive")
        if min(self.padding) < 0 or self.filters < 1 or self.groups < 1:
            raise OptionError(
                f"padding {self.padding}, filters {self.filters} and groups {self.groups}: padding "
                "must not be negative, filters and groups must be positive"
            )
        if self.in_shape[2] % self.groups or self.filters % self.groups:
            raise OptionError(
                f"{self.groups} groups do not divide {self.in_shape[2]} channels into "
                f"{self.filters} filters: choose a common divisor of both"
            )
        if self.out_shape[0] < 1 or self.out_shape[1] < 1:
            raise ShapeError(self._too_large())

    def _too_large(self) -> str:
        line = self.in_shape[0] == self.kernel[0] == 1

        def cells(pair: Sequence[int]) -> str:
            return str(pair[1]) if line else f"{pair[0]}x{pair[1]}"

        spread = "" if max(self.dilation) == 1 else f" ({cells(self.kernel)} before dilation)"
        border = f" padded by {self.padding}" if any(self.padding) else ""
        return (
            f"a window of {cells(self.extent)} cells{spread} does not fit into "
            f'{cells(self.in_shape)}{border}; make it smaller, or use padding="same"'
        )

    @classmethod
    def of(
        cls,
        in_shape: tuple[int, int, int],
        kernel: Pair,
        filters: int,
        strides: Pair = (1, 1),
        padding: Literal["valid", "same"] | Sides = "valid",
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Geometry2D:
        """Return the geometry whose padding goes by Keras's names.

        "same" is TensorFlow's: ceil(size / stride) outputs, and where the number of missing cells
        is odd the extra one lies at the bottom and at the right.

        >>> Geometry2D.of((5, 6, 1), (2, 3), 4, strides=(2, 2), padding="same").padding
        (0, 1, 0, 1)
        """
        if padding == "valid":
            sides: Sides = (0, 0, 0, 0)
        elif padding == "same":
            if min(strides) < 1:
                raise OptionError(f"strides is {strides}: every number must be positive")
            axes = zip(in_shape[:2], kernel, strides, dilation, strict=True)
            before_after = [_same(*axis) for axis in axes]
            sides = (*before_after[0], *before_after[1])
        elif isinstance(padding, str):
            raise OptionError(f'padding is {padding!r}: it must be "valid", "same" or four numbers')
        else:
            sides = padding
        return cls(in_shape, kernel, filters, strides, sides, dilation, groups)

    @classmethod
    def line(
        cls,
        in_shape: Pair,
        kernel: int,
        filters: int,
        stride: int = 1,
        padding: Literal["valid", "same"] | Pair = "valid",
        dilation: int = 1,
        groups: int = 1,
    ) -> Geometry2D:
        """Return the geometry over sequences of `in_shape` (length, channels), at height 1.

        >>> Geometry2D.line((10, 4), 3, 8, padding="same").out_shape
        (1, 10, 8)
        """
        sides = padding if isinstance(padding, str) else (0, 0, *padding)
        return cls.of(
            (1, *in_shape), (1, kernel), filters, (1, stride), sides, (1, dilation), groups
        )

    @classmethod
    def pooling(
        cls,
        in_shape: tuple[int, int, int],
        window: Pair,
        strides: Pair | None = None,
        padding: Literal["valid", "same"] | Sides = "valid",
    ) -> Geometry2D:
        """Return the geometry of a pooling: every channel for itself, strides as the window.

        >>> Geometry2D.pooling((28, 28, 6), (2, 2)).out_shape
        (14, 14, 6)
        """
        channels = in_shape[2]
        return cls.of(in_shape, window, channels, strides or window, padding, groups=channels)

    @property
    def extent(self) -> Pair:
        """Rows and columns that one window spans, dilation included."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the output of one sample."""
        height, width, _ = self.in_shape
        top, bottom, left, right = self.padding
        rows, columns = self.extent
        return (
            (height + top + bottom - rows) // self.strides[0] + 1,
            (width + left + right - columns) // self.strides[1] + 1,
            self.filters,
        )

    @property
    def kernel_shape(self) -> tuple[int, int, int, int]:
        """Shape of the kernel in Keras's layout: rows, columns, channels of a group, filters."""
        return (*self.kernel, self.in_shape[2] // self.groups, self.filters)

    @property
    def flops(self) -> int:
        """Multiplications and additions of one sample, as if no cell were missing."""
        return 2 * prod(self.out_shape[:2]) * prod(self.kernel_shape)


def _same(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """Return the missing cells before and after one axis for TensorFlow's "same"."""
    missing = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return missing // 2, missing - missing // 2
