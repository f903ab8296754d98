"""Blocks of images, staged with the missing cells around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SHORT = 256  # bytes


def items(array: Array) -> Array:
    """Return a view in which each run along the last axis is one item, where runs are short.

    NumPy copies items in half the time that it takes for runs.

    >>> items(np.zeros((2, 3, 4), np.float32)).shape, items(np.zeros((2, 3, 64))).shape
    ((2, 3), (2, 3, 64))
    """
    size = array.shape[-1] * array.itemsize
    if size >= SHORT or array.shape[-1] == 1:
        return array
    return array.view(f"V{size}")[..., 0]


class Frame:
    """Some rows of some images with missing cells around them, in memory that stays in cache.

    The columns are dealt out to `phases` arrays: column p of the padded image is column p // phases
    of phase p % phases. Every `phases`-th column, which is what strided windows and tiles ask for,
    is then one contiguous run.

    Parameters
    ----------
    image : (height, width, channels)
        Shape of one image.
    origin : (top, left)
        Missing rows and columns before the image.
    size : (rows, columns)
        Rows of the frame, and columns of the padded image.
    images : int
    phases : int

    Attributes
    ----------
    fill : float
        Value of the missing cells, 0 unless set.
    """

    def __init__(
        self,
        image: tuple[int, int, int],
        origin: tuple[int, int],
        size: tuple[int, int],
        images: int,
        phases: int = 1,
    ) -> None:
        self.image, self.origin, self.size, self.fill = image, origin, size, 0.0
        wide = -(-size[1] // phases)
        self.shape = (phases, images, size[0], wide, image[2])
        self.pieces = [self._piece(phase, phases, wide) for phase in range(phases)]

    def _piece(self, phase: int, phases: int, wide: int) -> tuple[slice, slice]:
        """Return which columns of an image go where in a phase."""
        left, width = self.origin[1], self.image[1]
        first = max(-(-(left - phase) // phases), 0)
        begin = first * phases + phase - left
        count = max(min(-(-(width - begin) // phases), wide - first), 0)
        end = begin + phases * (count - 1) + 1 if count else begin
        return slice(begin, end, phases), slice(first, first + count)

    def bind(self, cells: Array) -> None:
        """Take an array of shape `shape`: (phases, images, rows, columns, channels)."""
        self.cells, self.items = cells, items(cells)
        self.edges = [
            edge
            for phase, (_, places) in zip(cells, self.pieces, strict=True)
            for edge in (phase[:, :, : places.start], phase[:, :, places.stop :])
            if edge.size
        ]

    def clear(self) -> None:
        """Fill the missing cells at the left and right, once before all loads."""
        for edge in self.edges:
            edge[...] = self.fill

    def rows(self, begin: int) -> tuple[int, int]:
        """Return the first and last but one row of the frame that lie in the image.

        The first row of the frame is row `begin` of the padded image.
        """
        begin -= self.origin[0]
        top = min(max(-begin, 0), self.size[0])
        return top, max(min(self.image[0] - begin, self.size[0]), top)

    def load(self, source: Array, begin: int) -> None:
        """Copy rows of images; the first row of the frame is row `begin` of the padded image.

        Parameters
        ----------
        source : (images, height, width, channels)
        begin : int
        """
        top, bottom = self.rows(begin)
        if top:
            self.cells[:, :, :top] = self.fill
        if bottom < self.size[0]:
            self.cells[:, :, bottom:] = self.fill
        begin -= self.origin[0]
        lines = items(source)[:, begin + top : begin + bottom]
        for phase, (columns, places) in zip(self.items, self.pieces, strict=True):
            np.copyto(phase[:, top:bottom, places], lines[:, :, columns])

    def store(self, target: Array, begin: int, accumulate: bool) -> None:
        """Copy, or add, rows of the frame back to images: the reverse of `load`."""
        top, bottom = self.rows(begin)
        begin -= self.origin[0]
        cells = self.cells if accumulate else self.items
        lines = (target if accumulate else items(target))[:, begin + top : begin + bottom]
        for phase, (columns, places) in zip(cells, self.pieces, strict=True):
            source = phase[:, top:bottom, places]
            if accumulate:
                np.add(lines[:, :, columns], source, out=lines[:, :, columns])
            else:
                np.copyto(lines[:, :, columns], source)
