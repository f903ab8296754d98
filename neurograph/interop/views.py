"""Views: the arrays of other libraries, whose axes may come in another order than ours.

PyTorch and ONNX put channels first, neurograph puts them last. A view is one of our layers seen as
another library sees it; transposing, reshaping and flattening change the view and cost no layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import ShapeError
from neurograph.graph.bundles import TableConnections
from neurograph.graph.layer import Layer
from neurograph.layers.core import Dense
from neurograph.layers.shaping import Flatten, Reshape

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class View:
    """A layer as another library sees it.

    Parameters
    ----------
    layer : Layer
    places : array of int
        Its shape is that of one sample there (of one step, for a sequence); each element says which
        node of the layer (flat index) stands at that place.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> picture = channels_first(Input((28, 28, 3)))
    >>> picture.shape, picture.channels_last().shape
    ((3, 28, 28), (28, 28, 3))
    """

    layer: Layer
    places: NDArray[np.int64]

    @classmethod
    def of(cls, layer: Layer) -> View:
        """Return the layer as it is."""
        return cls(layer, np.arange(layer.size).reshape(layer.shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample there."""
        return self.places.shape

    def above(self, layer: Layer) -> View:
        """Return the same view of a layer with the same nodes: an activation, say."""
        return View(layer, self.places)

    def reshape(self, shape: Sequence[int]) -> View:
        """Return the view with another shape, the last axis running fastest."""
        view = View(self.layer, self.places.reshape(tuple(shape)))
        if view.shape == self.shape or self.layer.sequence or not view.is_channels_last():
            return view
        return View.of(view.in_order())  # else (4, 1) made (1, 4) would pass for channels first

    def transpose(self, axes: Sequence[int]) -> View:
        """Return the view with its axes in another order."""
        return View(self.layer, self.places.transpose(tuple(axes)))

    def in_order(self) -> Layer:
        """Return a layer of this very shape, made of the other one if it has another order."""
        if self.is_in_order():
            return self.layer
        if self.layer.sequence:
            raise ShapeError(
                f"layer {self.layer.name or self.layer.kind!r} is a sequence, whose features "
                f"cannot be put in another order"
            )
        if self.places.size == self.layer.size and self._runs_on(self.places):
            flat = len(self.shape) == 1
            return (Flatten() if flat else Reshape(self.shape))(self.layer)
        made = Layer(self.shape, kind="permute")
        TableConnections(self.layer, made, None, self.places.reshape(-1), np.arange(made.size))
        return made

    def channels_last(self) -> Layer:
        """Return a layer with the first axis, the channels, last."""
        return View(self.layer, np.moveaxis(self.places, 0, -1)).in_order()

    @staticmethod
    def _runs_on(places: NDArray[np.int64]) -> bool:
        return bool((places.reshape(-1) == np.arange(places.size)).all())

    def is_whole(self) -> bool:
        """Whether every node of the layer stands at one place."""
        same = self.places.size == self.layer.size
        return same and bool(np.bincount(self.places.reshape(-1)).max() == 1)

    def is_channels_last(self) -> bool:
        """Whether the layer is the same picture with the channels last."""
        moved = np.moveaxis(self.places, 0, -1) if self.places.ndim else self.places
        return self.layer.shape == moved.shape and self._runs_on(moved)

    def like(self, other: View) -> View:
        """Return the view of a layer that has its channels last, if those of another are."""
        if len(self.shape) < 2 or not other.is_channels_last() or other.is_in_order():
            return self
        return channels_first(self.channels_last())

    def is_in_order(self) -> bool:
        """Whether the layer has the very shape and order of the view."""
        return self.layer.shape == self.shape and self._runs_on(self.places)


def channels_first(layer: Layer) -> View:
    """Return a view of a layer with its channels first."""
    if len(layer.shape) < 2:
        return View.of(layer)
    return View(layer, np.moveaxis(View.of(layer).places, -1, 0))


def dense(source: View, kernel: Array, bias: Array | None, name: str = "") -> View:
    """Return a view of the dense layer above another.

    The kernel (inputs, units) has its rows in the order of the view; they are put in the order of
    the layer, so that flattening a picture with channels first costs nothing.
    """
    inputs, units = kernel.shape
    if not source.shape or source.shape[-1] != inputs:
        raise ShapeError(f"its weights are for {inputs} inputs, not for shape {source.shape}")
    recipe = Dense(units, use_bias=bias is not None, name=name)
    if len(source.shape) == 1 and source.is_whole() and not source.layer.sequence:
        layer = source.layer if len(source.layer.shape) == 1 else Flatten()(source.layer)
        rows = np.empty_like(kernel)
        rows[source.places] = kernel
        made = recipe(layer)
    else:
        rows, made = kernel, recipe(source.in_order())
    made.parameters["kernel"].value = rows
    if bias is not None:
        made.parameters["bias"].value = bias
    return View.of(made)


def fill(layer: Layer, values: Sequence[Any]) -> None:
    """Set the parameters of a layer, in their order."""
    for parameter, value in zip(layer.parameters.values(), values, strict=True):
        parameter.value = np.asarray(value)
