"""Noise: how the nodes of a noise layer get their values in a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from neurograph.errors import unknown
from neurograph.parameter import Array

if TYPE_CHECKING:
    from neurograph.graph.layer import Layer

Sampler = Callable[[Array, np.random.Generator], None]


def _dropout(layer: Layer) -> Sampler:
    rate = float(layer.config["rate"])
    scale = 1.0 / (1.0 - rate) if rate < 1 else 0.0

    def sample(out: Array, generator: np.random.Generator) -> None:
        generator.random(out=out, dtype=out.dtype)
        np.greater_equal(out, rate, out=out)
        np.multiply(out, scale, out=out)

    return sample


DISTRIBUTIONS: dict[str, Callable[[Layer], Sampler]] = {"dropout": _dropout}


def noise_sampler(layer: Layer) -> Sampler:
    """Return what fills the array of a noise layer for one training step.

    ``layer.config["distribution"]`` names it; ``dropout`` is 0 with probability ``rate`` and
    ``1 / (1 - rate)`` otherwise (Srivastava et al., 2014, in the inverted form).
    """
    name = layer.config.get("distribution")
    if name not in DISTRIBUTIONS:
        raise unknown("distribution", name, DISTRIBUTIONS, of=f"noise layer {layer.name!r}")
    return DISTRIBUTIONS[name](layer)
