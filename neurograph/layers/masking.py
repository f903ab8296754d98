"""Masks: which steps of a sequence count, for sequences of different length in one batch.

A mask is a layer of one node a step, 1 or 0. ``Masking`` and ``Embedding(mask_zero=True)`` make
one; layers that work step by step hand it on; recurrent layers go by it: where it is 0 they repeat
their state of the step before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurograph.errors import ShapeError
from neurograph.graph.bundles import BiasConnections, DenseConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.masks import unfolded
from neurograph.graph.temporal import FoldConnections
from neurograph.layers.recipe import Recipe, put_under
from neurograph.options import number


@dataclass(frozen=True, eq=False)
class Masking(Recipe):
    """Steps whose every value is ``mask_value`` do not count; they become 0.

    The mask is the part ``mask``: the largest of all ``x - mask_value`` and ``mask_value - x`` of a
    step, and a step function that says whether it is above 0.

    Parameters
    ----------
    mask_value : float

    Raises
    ------
    ShapeError
        If the layer below is no sequence, nor an image (steps, features).

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = Masking()(Input((None, 3)))
    >>> layer.parts["mask"], layer.parts["mask"].activation_name
    (<Layer 'mask' (1,)>, 'step')
    """

    mask_value: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("mask_value", number(f"{self.label}: mask_value", self.mask_value))

    def __call__(self, source: Any) -> Layer:
        """Return the sequence with its masked steps set to 0."""
        source = self.one(source)
        if len(source.shape) != (1 if source.sequence else 2):
            raise ShapeError(
                f"{self.label}: {source.name or source.kind!r} has shape {source.shape}; a mask is "
                f"for sequences of steps with several features, as ng.Input((None, 3))"
            )
        target = self.make(source.shape, [source], aggregation="product")
        steps = source.shape[:-1]
        mask = _block(source, (*steps, 1), "mask", activation="step", aggregation="max")
        put_under(target, "mask", mask)
        positions = steps[0] if steps else 1
        seen = self._shifted(source, target)
        DenseConnections(seen, mask, None, positions=positions)
        DenseConnections(seen, mask, None, positions=positions, constant=-1.0)
        OneToOneConnections(source, target)
        DenseConnections(mask, target, None, positions=positions)
        return target

    def _shifted(self, source: Layer, target: Layer) -> Layer:
        if self.mask_value == 0:
            return source
        shifted = _block(source, source.shape, "shifted")
        const = Layer((1,), kind="const", role="const")
        put_under(target, "shifted", shifted)
        put_under(target, "const", const)
        OneToOneConnections(source, shifted)
        BiasConnections(const, shifted, None, constant=-self.mask_value)
        return shifted


def _block(source: Layer, shape: tuple[int, ...], kind: str, **options: Any) -> Layer:
    return Layer(shape, kind=kind, sequence=source.sequence, steps=source.steps, **options)


def mask_in_time(mask: Layer) -> Layer:
    """Return a mask as a sequence; one of an image (steps, features) is folded into time."""
    if mask.sequence:
        return mask
    folded = Layer((1,), kind="fold", sequence=True, steps=mask.size)
    FoldConnections(mask, folded)
    return folded


def counts_under(root: Layer, mask: Layer) -> Layer:
    """Return which steps of a mask count as 1 or 0: itself, or a part of ``root`` that says so."""
    if unfolded(mask).activation_name == "step":
        return mask
    made = _block(mask, mask.shape, "counts", activation="step", aggregation="max")
    put_under(root, "counts", made)
    OneToOneConnections(mask, made)
    OneToOneConnections(mask, made, constant=-1.0)
    return made
