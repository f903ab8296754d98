"""Layers with several sources: add, multiply, average, maximum, concatenate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from neurograph.errors import OptionError, ShapeError
from neurograph.graph.bundles import BiasConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.masks import mask_of
from neurograph.layers.recipe import Recipe, put_under


@dataclass(frozen=True, eq=False)
class Merge(Recipe):
    """What joins layers of one shape, node by node."""

    aggregation: ClassVar[str]

    def __call__(self, sources: Any) -> Layer:
        """Return the layer that joins ``sources``, a list of layers of one shape."""
        layers = self.several(sources)
        shape = layers[0].shape
        other = next((each for each in layers if each.shape != shape), None)
        if other is not None:
            raise ShapeError(
                f"{self.label}: {_shown(layers[0])} and {_shown(other)} have different shapes; "
                f"give layers of one shape, or use Concatenate"
            )
        target = self.make(shape, layers, aggregation=self.aggregation)
        for layer in layers:
            OneToOneConnections(layer, target)
        return target


@dataclass(frozen=True, eq=False)
class Add(Merge):
    """The sum of several layers, node by node: a residual connection.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> a, b = Input((3,)), Input((3,))
    >>> print(Add()([a, b]).kind, len(Add()([a, b])[0].upstream))
    add 2
    """

    aggregation = "sum"


@dataclass(frozen=True, eq=False)
class Multiply(Merge):
    """The product of several layers, node by node."""

    aggregation = "product"


@dataclass(frozen=True, eq=False)
class Average(Merge):
    """The mean of several layers, node by node."""

    aggregation = "mean"


@dataclass(frozen=True, eq=False)
class Maximum(Merge):
    """The largest of several layers, node by node; the gradient goes to the first of them."""

    aggregation = "max"


@dataclass(frozen=True, eq=False)
class Concatenate(Recipe):
    """Several layers side by side along one axis.

    Parameters
    ----------
    axis : int
        As Keras counts: -1 is the last, 0 the batch, so 1 is the first axis of a layer's shape.

    Raises
    ------
    ShapeError
        If the shapes differ along another axis.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> Concatenate()([Input((4, 4, 3)), Input((4, 4, 5))]).shape
    (4, 4, 8)
    """

    axis: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("axis", least=-100)

    def __call__(self, sources: Any) -> Layer:
        """Return the layer that holds all of ``sources``, a list of layers."""
        layers = self.several(sources)
        axis = axis_from_end(self.label, self.axis, layers[0])
        rest = [_without(each.shape, axis) for each in layers]
        for each, others in zip(layers, rest, strict=True):
            if others != rest[0] or len(each.shape) != len(layers[0].shape):
                raise ShapeError(
                    f"{self.label}: {_shown(layers[0])} and {_shown(each)} differ along "
                    f"another axis than {self.axis}; only along that axis sizes may differ"
                )
        shape = list(layers[0].shape)
        shape[axis] = sum(each.shape[axis] for each in layers)
        target = self.make(shape, layers)
        begin = [0] * len(shape)
        for each in layers:
            OneToOneConnections(
                each,
                target,
                source_shape=each.shape,
                target_shape=shape,
                block=each.shape,
                target_start=tuple(begin),
            )
            begin[axis] += each.shape[axis]
        if -axis == len(shape) > 1 and not target.sequence:
            _join_masks(layers, target)
        return target


def _join_masks(images: Sequence[Layer], target: Layer) -> None:
    """Put the masks of images (steps, …) one after the other; without one all steps count."""
    masks = [mask_of(image) for image in images]
    if not any(masks):
        return
    joined = Layer((target.shape[0], 1), kind="mask", activation="step")
    put_under(target, "mask", joined)
    first = 0
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if mask is None:
            mask = Layer((image.shape[0], 1), kind="all")
            const = Layer((1,), kind="const", role="const")
            put_under(target, f"all_{number}", mask)
            put_under(mask, "const", const)
            BiasConnections(const, mask, None)
        OneToOneConnections(mask, joined, target_start=(first,))
        first += image.shape[0]


def axis_from_end(label: str, axis: int, layer: Layer) -> int:
    """Return an axis of Keras's counting (batch and time included) counted from the end.

    Raises
    ------
    OptionError
        If it is the batch, time, or not there.
    """
    rank = len(layer.shape)
    leading = 2 if layer.sequence else 1
    found = axis if axis < 0 else axis - leading - rank
    if not -rank <= found < 0:
        choices = [*range(-1, -rank - 1, -1), *range(leading, leading + rank)]
        raise OptionError(
            f"{label}: axis {axis} is not an axis of {_shown(layer)}; choose one of "
            f"{', '.join(map(str, choices))} (axis 0 is the batch"
            f"{', axis 1 time' if layer.sequence else ''})"
        )
    return found


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    place = len(shape) + axis
    return shape[:place] + shape[place + 1 :]


def _shown(layer: Layer) -> str:
    return f"{layer.name or layer.kind!r} of shape {layer.shape}"
