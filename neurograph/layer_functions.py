"""Functions of a whole layer or batch: softmax and the like, which are not elementwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from neurograph.functions import Activation, get_activation
from neurograph.parameter import Parameter

Array = NDArray[Any]


@runtime_checkable
class LayerFunction(Protocol):
    """A function from the net inputs of a layer to its outputs, with its backward form.

    ``forward(net)`` takes (leading axes, shape) and returns the same shape; ``backward`` turns the
    gradient with respect to the output into that with respect to the net, and adds to the
    gradients of its own parameters.
    """

    name: str

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The function's own parameters, by local name."""
        ...

    def forward(self, net: Array, training: bool = False) -> Array:
        """Return the outputs for the net inputs, shape (leading axes, shape)."""
        ...

    def backward(self, d_output: Array, net: Array, output: Array) -> Array:
        """Return the gradient with respect to the net."""
        ...


class Softmax:
    """exp(net) / sum exp(net) along the last axis, shifted by the largest net to stay finite.

    >>> Softmax().forward(np.array([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """

    name = "softmax"
    parameters: Mapping[str, Parameter] = {}

    def forward(self, net: Array, training: bool = False) -> Array:
        """Return probabilities that sum to 1 along the last axis."""
        powers = np.exp(net - net.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]

    def backward(self, d_output: Array, net: Array, output: Array) -> Array:
        """Return output * (d_output - sum(d_output * output))."""
        inner = (d_output * output).sum(axis=-1, keepdims=True)
        return output * (d_output - inner)  # type: ignore[no-any-return]


def resolve_activation(
    spec: str | Activation | LayerFunction | None,
) -> tuple[Activation, LayerFunction | None]:
    """Return the elementwise activation and the whole-layer function that a name stands for."""
    if spec == "softmax":
        return get_activation(None), Softmax()
    if spec is None or isinstance(spec, (str, Activation)):
        return get_activation(spec), None
    if isinstance(spec, LayerFunction):
        return get_activation(None), spec
    return get_activation(spec), None
