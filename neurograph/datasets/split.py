"""Data divided into a training and a test part."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from neurograph.datasets.checks import check_generator, same_length
from neurograph.datasets.dataset import Part
from neurograph.errors import DataError
from neurograph.options import number


def split(
    x: ArrayLike,
    y: ArrayLike,
    test: float = 0.2,
    *,
    generator: Generator | None = None,
    stratify: bool = False,
) -> tuple[Part, Part]:
    """Divide samples and targets into a training and a test part.

    Parameters
    ----------
    x : (samples, …)
    y : (samples, …)
    test : float
        The part to hold out, between 0 and 1, both excluded.
    generator : numpy.random.Generator, optional
        Shuffle first; without it the last samples are held out, as fits a series.
    stratify : bool
        Hold out the same part of every class; ``y`` must then be (samples,).

    Returns
    -------
    train, test : Part

    Examples
    --------
    >>> train, test = split([[1], [2], [3], [4]], [0, 0, 1, 1], 0.5, stratify=True)
    >>> train.x.tolist(), test.x.tolist()
    ([[1], [3]], [[2], [4]])
    """
    a, b = np.asarray(x), np.asarray(y)
    same_length("split()", a, b)
    test = number("test", test, above=0, below=1)
    if generator is not None:
        check_generator("split()", generator)
    order = np.arange(len(a)) if generator is None else generator.permutation(len(a))
    held = np.zeros(len(a), bool)
    if stratify:
        if b.ndim != 1:
            raise DataError(f"split() got y of shape {b.shape}: to stratify, one class a sample")
        groups = [order[b[order] == label] for label in np.unique(b)]
    else:
        groups = [order]
    for group in groups:
        held[group[len(group) - round(test * len(group)) :]] = True
    if held.all() or not held.any():
        raise DataError(f"split() cannot hold out {test:g} of {len(a)} samples: a part stays empty")
    kept, out = order[~held[order]], order[held[order]]
    return Part(a[kept], b[kept]), Part(a[out], b[out])
