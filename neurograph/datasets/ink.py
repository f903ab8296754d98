"""What is drawn or shown on a picture, apart from the paper it is on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError

Picture = NDArray[np.float64]
VISIBLE = 0.25  # from here on a pixel belongs to a stroke


def brightness(values: Picture) -> Picture:
    """Return the brightness, or one colour where only that tells ink from paper."""
    grey = values.mean(axis=2)
    views = [grey, *np.moveaxis(values, 2, 0)]
    rim = [np.concatenate([v[0], v[-1], v[:, 0], v[:, -1]]) for v in views]
    contrasts = [np.abs(v - np.median(r)).max() for v, r in zip(views, rim, strict=True)]
    best = int(np.argmax(contrasts))
    return np.asarray(views[best] if contrasts[best] > 2.5 * contrasts[0] else grey)


def strokes(grey: Picture, invert: bool | None) -> Picture:
    """Return how much is drawn at each pixel, 0..1; the paper, even unevenly lit, becomes 0."""
    from scipy import ndimage

    paper, noise = _paper(grey)
    change = grey - paper
    seen = ndimage.uniform_filter(change, 3) if min(grey.shape) > 60 else change
    if _is_darker(seen) if invert is None else invert:
        # ink takes away a part of the light that falls on the paper, wherever that is
        light = np.maximum(paper, 0.05)
        change, seen, noise = -change / light, -seen / light, noise / float(np.median(light))
    most = float(seen.max())
    if most < max(0.02, 6 * noise):
        raise DataError("nothing is drawn on the picture: it is as good as one colour")
    peak = float(np.quantile(change[change > most / 2], 0.9))
    low = 3 * noise
    ink = np.clip((change - low) / max(peak - low, 1e-9), 0, 1)
    return _without_specks(ink)


def things(grey: Picture, invert: bool | None) -> Picture:
    """Return the shades of what is shown on paper of one brightness."""
    rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    # things reach the border here and there: the paper is what most of it holds
    count, edges = np.histogram(rim, bins=32, range=(0, 1))
    most = int(count.argmax())
    paper = float(np.median(rim[(rim >= edges[most]) & (rim <= edges[most + 1])]))
    change = grey - paper
    if _is_darker(change) if invert is None else invert:
        change = -change
    peak = float(change.max())
    if peak < 0.02:
        raise DataError("nothing is shown on the picture: it is as good as one colour")
    return np.clip((change - 0.02 * peak) / (0.98 * peak), 0, 1)


def _is_darker(change: Picture) -> bool:
    """Return whether what differs most from the paper is darker than it."""
    strong = np.abs(change) > 0.5 * np.abs(change).max()
    return bool(change[strong].sum() < 0)


def _paper(grey: Picture) -> tuple[Picture, float]:
    """Return the brightness of the paper everywhere, and its noise.

    A quadratic surface through the border, from which pixels that stand out are left out.
    """
    height, width = grey.shape
    rim = max(1, round(0.04 * min(height, width)))
    border = np.ones(grey.shape, bool)
    border[rim : height - rim, rim : width - rim] = False
    down, right = np.linspace(-1, 1, height)[:, np.newaxis], np.linspace(-1, 1, width)
    # numbers of the border's pixels in the order in which grey[border] lists them
    rows, columns = (np.broadcast_to(each, grey.shape)[border] for each in (down, right))
    a = np.stack([np.ones_like(rows), rows, columns, rows**2, rows * columns, columns**2], -1)
    b = grey[border]
    spread = np.abs(b - np.median(b))
    kept = spread <= max(0.15, 3 * float(np.median(spread)))
    surface: Picture = np.zeros(6)
    noise = 0.0
    for _ in range(4):
        # a ridge of tiny weight keeps the curvature at 0 where the border cannot tell it
        gram = a[kept].T @ a[kept] + 1e-6 * np.eye(6)
        surface = np.asarray(np.linalg.solve(gram, a[kept].T @ b[kept]), np.float64)
        away = np.abs(b - a @ surface)
        noise = 1.4826 * float(np.median(away))
        kept = away <= max(3 * noise, 0.02)
    c = surface
    across = c[0] + c[2] * right + c[5] * right**2
    return across + c[1] * down + c[3] * down**2 + c[4] * down * right, noise


def _without_specks(ink: Picture) -> Picture:
    """Return the ink without spots that are far smaller than the largest stroke."""
    from scipy import ndimage

    around = np.ones((3, 3))
    marks, count = ndimage.label(ink > VISIBLE, around)
    sizes = np.bincount(marks.ravel(), weights=ink.ravel(), minlength=2)
    sizes[0] = 0
    small = sizes < 0.03 * sizes.max()
    small[0] = False
    if count < 2 or not small.any():
        return ink
    gone = ndimage.binary_dilation(small[marks], around, iterations=2) & (
        small[marks] | (marks == 0)
    )
    return np.where(gone, 0.0, ink)
