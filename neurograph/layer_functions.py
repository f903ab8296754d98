"""Functions of a whole layer or batch: softmax, normalisations, one-hot; not elementwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import unknown
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

    def describe(self) -> dict[str, Any]:
        """Return what, beside its parameters, rebuilds it (JSON values)."""
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

    def describe(self) -> dict[str, Any]:
        """Return nothing: it has no options."""
        return {}


class OneHot:
    """Node j of the last axis is 1 where the net, rounded, is j, and 0 elsewhere.

    All nodes of the axis have the same net, an index; one that is out of range lights no node.

    >>> OneHot().forward(np.array([2.0, 2.0, 2.0])).tolist()
    [0.0, 0.0, 1.0]
    """

    name = "one_hot"
    parameters: Mapping[str, Parameter] = {}

    def forward(self, net: Array, training: bool = False) -> Array:
        """Return zeros and ones."""
        lit: Array = (np.rint(net) == np.arange(net.shape[-1])).astype(net.dtype)
        return lit

    def backward(self, d_output: Array, net: Array, output: Array) -> Array:
        """Return zeros: an index has no slope."""
        return np.zeros_like(d_output)

    def describe(self) -> dict[str, Any]:
        """Return nothing: it has no options."""
        return {}


class BatchNormalization:
    """gamma * (net - mean) / sqrt(variance + epsilon) + beta, channel by channel.

    In training mean and variance are those of the batch, taken over every axis but `axis`; else
    they are the moving ones. The variance divides by the number of values (Keras's formula; Ioffe &
    Szegedy, 2015, algorithm 1).

    Parameters
    ----------
    parameters : mapping
        "gamma" and "beta", either may be absent, "moving_mean", "moving_variance"; each of shape
        (channels,).
    axis : int
        The axis of the channels, from the end: -1 is the last.
    momentum : float
        How much of the moving statistics one step keeps.
    epsilon : float
    frozen : bool
        Whether training uses the moving statistics too and leaves them as they are.

    Examples
    --------
    >>> moving = {"moving_mean": Parameter([0.0]), "moving_variance": Parameter([1.0])}
    >>> function = BatchNormalization(moving, epsilon=0.0)
    >>> net = np.array([[1.0], [3.0]])
    >>> function.forward(net, training=True).tolist()
    [[-1.0], [1.0]]
    >>> function.update_moving(net)
    >>> moving["moving_mean"].value.round(4).tolist()
    [0.02]
    """

    name = "batch_normalization"

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        *,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        frozen: bool = False,
    ) -> None:
        self.parameters = parameters
        self.axis = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.frozen = frozen
        self.training = False

    def _others(self, net: Array) -> tuple[int, ...]:
        return tuple(axis for axis in range(net.ndim) if axis != net.ndim + self.axis)

    def _spread(self, name: str, otherwise: float) -> Array:
        """Return a parameter with the axes that line it up with a net."""
        if name not in self.parameters:
            return np.asarray(otherwise)
        return self.parameters[name].value.reshape((-1,) + (1,) * (-1 - self.axis))

    def _statistics(self, net: Array) -> tuple[Array, Array]:
        if self.training:
            others = self._others(net)
            return _moments(net, others)
        return self._spread("moving_mean", 0.0), self._spread("moving_variance", 1.0)

    def forward(self, net: Array, training: bool = False) -> Array:
        """Return the normalised values; ``backward`` goes by the mode of the last call."""
        self.training = training and not self.frozen
        mean, variance = self._statistics(net)
        scale = self._spread("gamma", 1.0) / np.sqrt(variance + self.epsilon)
        return (net - mean) * scale + self._spread("beta", 0.0)

    def backward(self, d_output: Array, net: Array, output: Array) -> Array:
        """Return the gradient with respect to the net; adds those of gamma and beta."""
        mean, variance = self._statistics(net)
        others = self._others(net)
        inverse = 1.0 / np.sqrt(variance + self.epsilon)
        normal = (net - mean) * inverse
        if "gamma" in self.parameters:
            self.parameters["gamma"].gradient += (d_output * normal).sum(axis=others)
        if "beta" in self.parameters:
            self.parameters["beta"].gradient += d_output.sum(axis=others)
        d_normal = d_output * self._spread("gamma", 1.0)
        if self.training:
            d_normal = _centred(d_normal, normal, others)
        return d_normal * inverse

    def update_moving(self, net: Array) -> None:
        """Let the statistics of a training batch flow into the moving ones, once a step."""
        if self.frozen:
            return
        mean, variance = _moments(net, self._others(net))
        for name, fresh in (("moving_mean", mean), ("moving_variance", variance)):
            moving = self.parameters[name].value
            moving += (1.0 - self.momentum) * (fresh.reshape(-1) - moving)

    def describe(self) -> dict[str, Any]:
        """Return what, beside its parameters, rebuilds it."""
        return {
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "frozen": self.frozen,
        }


class LayerNormalization:
    """gamma * (net - mean) / sqrt(variance + epsilon) + beta, sample by sample.

    Mean and variance are taken over `axes` of the layer; Ba, Kiros & Hinton (2016), eq. 3 and 4.

    Parameters
    ----------
    parameters : mapping
        "gamma" and "beta", either may be absent, of the shape of those axes.
    axes : sequence of int
        From the end, ascending: (-1,) is the last.
    epsilon : float

    Examples
    --------
    >>> LayerNormalization({}, epsilon=0.0).forward(np.array([[1.0, 3.0], [5.0, 1.0]])).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """

    name = "layer_normalization"

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        *,
        axes: Sequence[int] = (-1,),
        epsilon: float = 1e-3,
    ) -> None:
        self.parameters = parameters
        self.axes = tuple(axes)
        self.epsilon = epsilon

    def _spread(self, name: str, otherwise: float) -> Array:
        if name not in self.parameters:
            return np.asarray(otherwise)
        value = self.parameters[name].value
        shape = [1] * -self.axes[0]
        for axis, size in zip(self.axes, value.shape, strict=True):
            shape[axis] = size
        return value.reshape(shape)

    def _normal(self, net: Array) -> tuple[Array, Array]:
        mean, variance = _moments(net, self.axes)
        inverse = 1.0 / np.sqrt(variance + self.epsilon)
        return (net - mean) * inverse, inverse

    def forward(self, net: Array, training: bool = False) -> Array:
        """Return the normalised values."""
        normal, _ = self._normal(net)
        return normal * self._spread("gamma", 1.0) + self._spread("beta", 0.0)

    def backward(self, d_output: Array, net: Array, output: Array) -> Array:
        """Return the gradient with respect to the net; adds those of gamma and beta."""
        normal, inverse = self._normal(net)
        kept = {net.ndim + axis for axis in self.axes}
        others = tuple(axis for axis in range(net.ndim) if axis not in kept)
        if "gamma" in self.parameters:
            self.parameters["gamma"].gradient += (d_output * normal).sum(axis=others)
        if "beta" in self.parameters:
            self.parameters["beta"].gradient += d_output.sum(axis=others)
        d_normal = d_output * self._spread("gamma", 1.0)
        return _centred(d_normal, normal, self.axes) * inverse

    def describe(self) -> dict[str, Any]:
        """Return what, beside its parameters, rebuilds it."""
        return {"axes": list(self.axes), "epsilon": self.epsilon}


class LocalResponseNormalization:
    """net / (bias + alpha / size * sum of net² over `size` neighbouring channels) ** beta.

    A channel sees itself and ``size // 2`` channels on either side, as far as there are any; `size`
    is odd. Krizhevsky, Sutskever & Hinton (2012), section 3.3, with alpha divided by the size, as
    Caffe, PyTorch and ONNX do.

    Examples
    --------
    >>> function = LocalResponseNormalization(size=3, alpha=3.0, beta=1.0)
    >>> function.forward(np.array([1.0, 2.0, 0.0])).tolist()
    [0.16666666666666666, 0.3333333333333333, 0.0]
    """

    name = "local_response_normalization"
    parameters: Mapping[str, Parameter] = {}

    def __init__(
        self, *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
    ) -> None:
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.bias = bias

    def _sums(self, values: Array) -> Array:
        """Return for each channel the sum over itself and its neighbours."""
        channels, reach = values.shape[-1], self.size // 2
        found = values.copy()
        for shift in range(1, min(reach, channels - 1) + 1):
            found[..., shift:] += values[..., :-shift]
            found[..., :-shift] += values[..., shift:]
        return found

    def _scale(self, net: Array) -> Array:
        return self.bias + self.alpha / self.size * self._sums(net * net)

    def forward(self, net: Array, training: bool = False) -> Array:
        """Return the normalised values."""
        return net * self._scale(net) ** -self.beta

    def backward(self, d_output: Array, net: Array, output: Array) -> Array:
        """Return the gradient with respect to the net, by the quotient rule."""
        scale = self._scale(net)
        shares = self._sums(d_output * output / scale)
        factor = 2 * self.alpha * self.beta / self.size
        return d_output * scale**-self.beta - factor * net * shares

    def describe(self) -> dict[str, Any]:
        """Return what rebuilds it."""
        return {"size": self.size, "alpha": self.alpha, "beta": self.beta, "bias": self.bias}


def _moments(net: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return mean and variance over axes, which stay; right for complex numbers too."""
    mean = net.mean(axis=axes, keepdims=True)
    return mean, ((net - mean) ** 2).mean(axis=axes, keepdims=True)


def _centred(d_normal: Array, normal: Array, axes: tuple[int, ...]) -> Array:
    """Take out what a common shift and a common factor would do, which no statistic lets pass."""
    shift = d_normal.mean(axis=axes, keepdims=True)
    factor = (d_normal * normal).mean(axis=axes, keepdims=True)
    return d_normal - shift - normal * factor  # type: ignore[no-any-return]


_PLAIN: dict[str, Callable[..., LayerFunction]] = {
    "softmax": Softmax,
    "one_hot": OneHot,
    "local_response_normalization": LocalResponseNormalization,
}
_WEIGHTED: dict[str, Callable[..., LayerFunction]] = {
    "batch_normalization": BatchNormalization,
    "layer_normalization": LayerNormalization,
}


def make_function(
    name: str, parameters: Mapping[str, Parameter], options: Mapping[str, Any]
) -> LayerFunction:
    """Return the whole-layer function with a name, as ``describe`` told its options.

    Raises
    ------
    UnknownNameError
        If no function has that name.

    >>> make_function("layer_normalization", {}, {"epsilon": 0.1}).describe()
    {'axes': [-1], 'epsilon': 0.1}
    """
    if name in _PLAIN:
        return _PLAIN[name](**options)
    if name in _WEIGHTED:
        return _WEIGHTED[name](parameters, **options)
    raise unknown("whole-layer function", name, [*_PLAIN, *_WEIGHTED])


def resolve_activation(
    spec: str | Activation | LayerFunction | None,
) -> tuple[Activation, LayerFunction | None]:
    """Return the elementwise activation and the whole-layer function that a name stands for."""
    if spec == "softmax":
        return get_activation(None), Softmax()
    if isinstance(spec, LayerFunction):
        return get_activation(None), spec
    return get_activation(spec), None
