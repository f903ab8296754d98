"""A picture from anywhere, prepared as the training pictures were."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.datasets.checks import Array, as_numbers, existing_file
from neurograph.datasets.images import import_pillow, opened
from neurograph.datasets.ink import VISIBLE, brightness, strokes, things
from neurograph.datasets.resample import resize
from neurograph.errors import DataError, OptionError, ShapeError, unknown
from neurograph.options import whole

Picture = NDArray[np.float64]
LOOK = 280  # pixels; pictures of twice the size and more are made smaller first
FAINT = 0.02  # from here on a pixel belongs to a thing with shades


@dataclass(frozen=True, slots=True)
class Style:
    """How the pictures of a data set were made.

    Attributes
    ----------
    size : (height, width) or (height, width, 3)
    box : int
        The longer side of what is drawn, in pixels.
    centre : "mass" or "box"
        What is put in the middle: the centre of mass, or of the bounding box.
    shades : bool
        Things with shades of their own are shown, not strokes of ink.
    """

    size: tuple[int, ...]
    box: int
    centre: Literal["mass", "box"]
    shades: bool = False


STYLES = {
    "mnist": Style((28, 28), 20, "mass"),
    "fashion_mnist": Style((28, 28), 28, "box", shades=True),
    "digits": Style((8, 8), 8, "box"),
    "cifar10": Style((32, 32, 3), 32, "box"),
}


def prepare_picture(
    picture: str | os.PathLike[str] | ArrayLike | Any,
    size: tuple[int, ...] = (28, 28),
    *,
    like: str | None = None,
    box: int | None = None,
    centre: Literal["mass", "box"] = "mass",
    shades: bool = False,
    invert: bool | None = None,
) -> NDArray[np.float32]:
    """Return a picture as a network trained on MNIST (or its like) wants it.

    The picture may have any size, be grey or in colour, dark on light or light on dark, unevenly
    lit, and have margins. What is drawn on it is found and becomes light on black; it is scaled to
    fit a box of 20 pixels, and moved so that its centre of mass is the centre of 28 by 28 pixels
    (Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits).

    Parameters
    ----------
    picture : path, Pillow image, or array (height, width) or (height, width, 1, 3 or 4 channels)
        Arrays hold 0..255, or 0..1 where no value is above 1.
    size : (height, width), (height, width, 1) or (height, width, 3)
        The shape of the result. In colour (3 channels) nothing is searched and nothing inverted:
        the middle of the picture is cut to shape and scaled.
    like : "mnist", "fashion_mnist", "digits" or "cifar10", optional
        Take size, box, centre and shades from a data set.
    box : int, optional
        The longer side of what is drawn; 20 for a size of 28, in proportion otherwise.
    centre : "mass" or "box"
    shades : bool
        Keep the shades of what is shown, clothes for example; ink is made equally strong.
    invert : bool, optional
        True for dark on light, False for light on dark; found from the picture when left out.

    Returns
    -------
    array of shape ``size``, float32, 0..1

    Raises
    ------
    DataError
        When nothing is drawn on the picture.
    FormatError
        When the file is no picture.

    Examples
    --------
    >>> paper = np.full((90, 120), 230, np.uint8)
    >>> paper[20:60, 50:54] = 30  # a stroke of ink, 40 by 4 pixels
    >>> digit = prepare_picture(paper)
    >>> digit.shape, np.flatnonzero(digit.max(axis=1) > 0.5).tolist()[::19]
    ((28, 28), [4, 23])
    """
    if like is not None:
        if like not in STYLES:
            raise unknown("style of pictures", like, STYLES)
        style = STYLES[like]
        size, box, centre, shades = style.size, style.box, style.centre, style.shades
    size = _checked_size(size)
    box = max(1, round(min(size[:2]) * 20 / 28)) if box is None else whole("box", box, least=1)
    if box > min(size[:2]):
        raise OptionError(f"box is {box}: it must fit into {size[0]}x{size[1]} pixels")
    if centre not in ("mass", "box"):
        raise unknown("centre", centre, ("mass", "box"))
    values = _values(picture)
    if size[2:] == (3,):
        return _middle(values[..., :3] if values.shape[2] > 1 else values.repeat(3, 2), size)
    ink = (things if shades else strokes)(brightness(values), invert)
    return _placed(ink, ink > (FAINT if shades else VISIBLE), size[:2], box, centre).reshape(size)


def _checked_size(size: object) -> tuple[int, ...]:
    if not isinstance(size, tuple) or len(size) not in (2, 3) or size[2:] not in ((), (1,), (3,)):
        raise OptionError(
            f"size is {size!r}: it must be (height, width), with 1 or 3 for channels if wanted"
        )
    height, width = whole("the height", size[0], least=1), whole("the width", size[1], least=1)
    return height, width, *size[2:]


def _values(picture: Any) -> Picture:
    """Return any picture as (height, width, channels) in 0..1, without transparency."""
    if isinstance(picture, str | os.PathLike):
        path = existing_file("prepare_picture()", picture)
        picture = opened(import_pillow("prepare_picture()"), path)
    if hasattr(picture, "convert") and hasattr(picture, "getbands"):
        picture = _from_pillow(picture)
    array = as_numbers("the picture", picture)
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ShapeError(
            f"the picture has shape {np.shape(picture)}: it must be (height, width), or have 1, 3 "
            "or 4 channels last; give one picture at a time"
        )
    if array.min() < 0:
        raise DataError(f"the picture holds {array.min()}: its values must be 0..255 or 0..1")
    top = {np.dtype(bool): 1, np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(
        array.dtype, 1 if array.max() <= 1 else 255
    )
    if array.max() > top:
        raise DataError(f"the picture holds {array.max()}: its values must be 0..255 or 0..1")
    values = array.astype(np.float64) / top
    # a large photograph tells no more than one of a few hundred pixels
    step = max(values.shape[:2]) // LOOK
    if step > 1:
        height, width = (max(1, length // step) for length in values.shape[:2])
        blocks = values[: height * step, : width * step]
        blocks = blocks.reshape(height, -1, width, blocks.shape[1] // width, values.shape[2])
        values = blocks.mean(axis=(1, 3))
    return _without_alpha(values)


def _from_pillow(picture: Any) -> Array:
    """Return a Pillow image upright, as an array."""
    from PIL import ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        values = np.asarray(picture, np.float64)
        return np.clip(values / (65535 if values.max() > 255 else 255), 0, 1)
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    return np.asarray(picture.convert("RGBA" if transparent else "RGB"), np.uint8)


def _without_alpha(values: Picture) -> Picture:
    """Return the picture on paper that differs from what is drawn: white, or black for light."""
    if values.shape[2] != 4:
        return values
    alpha, colours = values[..., 3:], values[..., :3]
    drawn = (colours.mean(axis=2, keepdims=True) * alpha).sum() / max(alpha.sum(), 1e-9)
    paper = 0.0 if alpha.mean() < 1 and drawn > 0.5 else 1.0
    return colours * alpha + paper * (1 - alpha)


def _middle(values: Picture, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the middle of a picture, cut to the shape of ``size`` and scaled."""
    height, width = values.shape[:2]
    scale = min(height / size[0], width / size[1])
    rows, columns = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - rows) // 2, (width - columns) // 2
    cut = values[top : top + rows, left : left + columns]
    return np.clip(resize(cut, (size[0], size[1])), 0, 1).astype(np.float32)


def _placed(
    ink: Picture, drawn: NDArray[np.bool_], size: tuple[int, ...], box: int, centre: str
) -> NDArray[np.float32]:
    """Return what is drawn, fitted into its box and put in the middle."""
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = box / max(cut.shape)
    shape = (max(1, round(cut.shape[0] * scale)), max(1, round(cut.shape[1] * scale)))
    small = np.clip(resize(cut, shape), 0, 1)
    picture = np.zeros(size, np.float32)
    corner = []
    for axis in (0, 1):
        room = size[axis] - shape[axis]
        middle = (shape[axis] - 1) / 2
        if centre == "mass":
            weight = small.sum(axis=1 - axis)
            middle = float(weight @ np.arange(shape[axis]) / weight.sum())
        # in MNIST and its like the middle is pixel 14 of 0..27, and halves go to the lower side
        start = int(np.ceil(round(size[axis] / 2 - middle - 0.5, 6)))
        corner.append(min(max(start, 0), room))
    top, left = corner
    picture[top : top + shape[0], left : left + shape[1]] = small
    return picture
