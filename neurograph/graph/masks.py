"""Which steps of a layer count: the mask that holds for it, and those of a network's outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError
from neurograph.graph.layer import Layer
from neurograph.graph.temporal import FoldConnections

if TYPE_CHECKING:
    from neurograph.graph.network import Network

Masks = list[NDArray[np.bool_] | None]

STEP_BY_STEP = {
    "Activation", "ReLU", "LeakyReLU", "Softmax", "Dropout", "BatchNormalization",
    "LayerNormalization", "LocalResponseNormalization", "Dense", "TimeDistributed", "Add",
    "Multiply", "Average", "Maximum", "Concatenate",
}  # fmt: skip
"""The recipes that hand the mask of what is below them on, as in Keras."""


def mask_of(layer: Layer) -> Layer | None:
    """Return the mask that holds for a layer; None if all its steps count.

    Raises
    ------
    GraphError
        If layers with different masks are merged below it.
    """
    while True:
        if "mask" in layer.parts:
            return layer.parts["mask"]
        if layer.mask is not None:
            return layer.mask
        if layer.config.get("recipe") not in STEP_BY_STEP:
            return None
        below = [bundle.source for bundle in layer.incoming if bundle.source.root is not layer]
        if not below:  # of a layer at every step: what was folded into time
            below = [bundle.source for bundle in layer.parts["fold"].incoming]
        if len({id(each) for each in below}) > 1:
            return _common_mask(layer, below)
        layer = below[0]


def _common_mask(layer: Layer, below: list[Layer]) -> Layer | None:
    masks = [mask for each in below if (mask := mask_of(each)) is not None]
    if len(masks) < len(below):
        return None
    if len({id(unfolded(each)) for each in masks}) > 1:
        raise GraphError(
            f"{layer.name or layer.kind!r} merges layers with different masks; say which holds: "
            f"ng.LSTM(8)(x, mask=layer)"
        )
    return masks[0]


def unfolded(mask: Layer) -> Layer:
    """Return the mask that a mask in time was folded from, or itself."""
    first = mask.incoming[0] if mask.incoming else None
    return first.source if isinstance(first, FoldConnections) else mask


def output_masks(network: Network) -> list[Layer | None]:
    """Return the mask that holds for each output, None where all its steps count.

    Where layers with different masks are merged, all count.
    """
    return [_of_output(p.layer) if p.indices is None else None for p in network.outputs]


def _of_output(layer: Layer) -> Layer | None:
    try:
        mask = mask_of(layer)
    except GraphError:
        return None
    if mask is None or mask.sequence == layer.sequence:
        return mask
    return mask if layer.sequence else None


def masks_of_run(network: Network) -> Masks:
    """Return which steps of each output count, (leading axes, [steps]), from the last run."""
    return [None if m is None else as_mask(m.output) for m in output_masks(network)]


def as_mask(values: Any) -> NDArray[np.bool_]:
    """Return the outputs (leading axes, shape) of a mask as truth values, without the last axis."""
    counts: NDArray[np.bool_] = np.asarray(values)[..., 0] != 0
    return counts
