"""Pictures looked up at places between their pixels, and brought to other sizes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurograph.datasets.checks import Array

Fill = Literal["constant", "nearest", "reflect"]
FILLS = ("constant", "nearest", "reflect")


def resample(x: Array, maps: NDArray[np.float64], fill: Fill, value: float) -> Array:
    """Return each picture looked up where its map says, bilinearly.

    Parameters
    ----------
    x : (batch, height, width, channels) float32 or float64
    maps : (batch, 2, 3)
        Pixel (r, c) of the output is looked up at ``maps[:, :, :2] @ (r, c) + maps[:, :, 2]``;
        coordinates are counted from the centre of the picture.
    fill : what lies outside: ``value``, the nearest pixel, or the picture mirrored
    value : float
    """
    out = np.empty_like(x)
    # blocks that stay in the cache: the coordinates are as large as the pictures
    block = max(1, 16_384 // (x.shape[1] * x.shape[2]))
    for start in range(0, len(x), block):
        part = slice(start, start + block)
        out[part] = _looked_up(x[part], maps[part].astype(np.float32), fill, value)
    return out


def _looked_up(x: Array, maps: NDArray[np.float32], fill: Fill, value: float) -> Array:
    batch, height, width, channels = x.shape
    if fill == "constant":
        framed = np.full((batch, height + 2, width + 2, channels), x.dtype.type(value))
        framed[:, 1:-1, 1:-1] = x
    else:
        framed = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    rows, columns = (np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in (height, width))
    m = maps[:, :, :, np.newaxis, np.newaxis]
    index, shares = 0, []
    for axis, size in enumerate((height, width)):
        place = m[:, axis, 0] * rows[:, np.newaxis] + m[:, axis, 1] * columns
        place += m[:, axis, 2] + np.float32((size - 1) / 2)
        place = _inside(place, size, fill) + 1
        base = np.minimum(place.astype(np.int32), size)
        place -= base
        shares.append(place.astype(x.dtype).reshape(-1, 1))
        index = index * (width + 2) + base
    index += (np.arange(batch, dtype=np.int32) * ((height + 2) * (width + 2)))[:, None, None]
    # the four neighbours of a place lie at fixed distances in the framed pictures
    flat, flat_index = framed.reshape(-1, channels), index.ravel()
    down, right = shares
    above, below = (_between(flat[shift:], flat_index, right) for shift in (0, width + 2))
    below -= above
    below *= down
    above += below
    return above.reshape(x.shape)


def _between(flat: Array, index: NDArray[np.int32], share: Array) -> Array:
    """Return what lies a share of the way from each pixel to the next one of its row."""
    left = flat.take(index, axis=0)
    right = flat[1:].take(index, axis=0)
    right -= left
    right *= share
    left += right
    return left


def _inside(place: NDArray[np.float32], size: int, fill: Fill) -> NDArray[np.float32]:
    """Return coordinates in ``0..size-1``, or in the frame of one pixel around it."""
    if fill == "constant":
        return np.clip(place, -1, size)
    if fill == "reflect" and size > 1:
        period = 2 * size - 2
        return np.abs((place + (size - 1)) % period - (size - 1))
    return np.clip(place, 0, size - 1)


def resize(picture: Array, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return a picture in another size.

    A pixel of a smaller picture is the mean over the area that it covers; a larger picture is
    interpolated linearly.

    Parameters
    ----------
    picture : (height, width) or (height, width, channels)
    size : (height, width)

    Examples
    --------
    >>> resize(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), (1, 2))
    array([[0.        , 0.66666667]])
    """
    lengths = zip(picture.shape[:2], size, strict=True)
    rows, columns = (_filter(have, want) for have, want in lengths)
    planes = picture.reshape(*picture.shape[:2], -1).transpose(2, 0, 1)
    planes = np.ascontiguousarray(planes, np.float64)
    return (rows @ planes @ columns.T).transpose(1, 2, 0).reshape(*size, *picture.shape[2:])


def _filter(have: int, want: int) -> NDArray[np.float64]:
    """Return the weight of every input pixel in every output pixel, (want, have)."""
    scale = have / want
    pixel, output = np.arange(have), np.arange(want)[:, np.newaxis]
    if scale > 1:
        first, last = output * scale, (output + 1) * scale
        weights = np.minimum(pixel + 1, last) - np.maximum(pixel, first)
    else:
        weights = 1 - np.abs(pixel + 0.5 - (output + 0.5) * scale)
    weights = np.maximum(weights, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
