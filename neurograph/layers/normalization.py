"""Batch and layer normalisation: one-to-one connections and a whole-layer function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neurograph import layer_functions
from neurograph.errors import OptionError
from neurograph.graph.bundles import OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.layer_functions import LayerFunction
from neurograph.layers.merging import axis_from_end
from neurograph.layers.recipe import Recipe
from neurograph.options import number
from neurograph.parameter import Parameter


@dataclass(frozen=True, eq=False)
class BatchNormalization(Recipe):
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, channel by channel.

    In training mean and variance are those of the batch, over all axes but ``axis``, and flow into
    the moving ones: ``moving = momentum * moving + (1 - momentum) * batch``. Afterwards the moving
    ones are used. With ``trainable=False`` training uses them too and leaves them as they are.
    Ioffe & Szegedy (2015).

    Parameters
    ----------
    axis : int
        The channels.
    momentum, epsilon : float
    center, scale : bool
        Whether there is a beta, a gamma.
    beta_initializer, gamma_initializer : see ``neurograph.initializers``
    moving_mean_initializer, moving_variance_initializer : see ``neurograph.initializers``
    beta_regularizer, gamma_regularizer : see ``neurograph.regularizers``

    Notes
    -----
    Weights: gamma, beta, moving_mean, moving_variance, each (channels,); the moving ones are not
    trained.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> layer = BatchNormalization()(Input((8, 8, 16)))
    >>> [(name, each.shape, each.trainable) for name, each in layer.parameters.items()][1:3]
    [('beta', (16,), True), ('moving_mean', (16,), False)]
    """

    axis: int = -1
    momentum: float = 0.99
    epsilon: float = 0.001
    center: bool = True
    scale: bool = True
    beta_initializer: Any = "zeros"
    gamma_initializer: Any = "ones"
    moving_mean_initializer: Any = "zeros"
    moving_variance_initializer: Any = "ones"
    beta_regularizer: Any = None
    gamma_regularizer: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("momentum", number(f"{self.label}: momentum", self.momentum, least=0, most=1))
        self._set("epsilon", number(f"{self.label}: epsilon", self.epsilon, least=0))

    def __call__(self, source: Any) -> Layer:
        """Return the normalised layer."""
        source = self.one(source)
        axis = axis_from_end(self.label, self.axis, source)
        shape = (source.shape[axis],)
        found = _affine(self, shape)
        for name in ("moving_mean", "moving_variance"):
            initializer = getattr(self, f"{name}_initializer")
            found[name] = self.parameter(name, shape, initializer, trainable=False)
        function = layer_functions.BatchNormalization(
            found,
            axis=axis,
            momentum=self.momentum,
            epsilon=self.epsilon,
            frozen=not self.trainable,
        )
        return _normalise(self, source, function, found)


@dataclass(frozen=True, eq=False)
class LayerNormalization(Recipe):
    """``gamma * (x - mean) / sqrt(variance + epsilon) + beta``, sample by sample.

    Mean and variance are those of one sample (at one step of time) over ``axis``. Ba, Kiros &
    Hinton (2016).

    Parameters
    ----------
    axis : int or sequence of int
    epsilon : float
    center, scale : bool
        Whether there is a beta, a gamma.
    beta_initializer, gamma_initializer : see ``neurograph.initializers``
    beta_regularizer, gamma_regularizer : see ``neurograph.regularizers``

    Notes
    -----
    Weights: gamma, beta, each of the sizes of those axes.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> LayerNormalization(axis=(-2, -1))(Input((8, 16))).parameters["gamma"].shape
    (8, 16)
    """

    axis: int | Sequence[int] = -1
    epsilon: float = 0.001
    center: bool = True
    scale: bool = True
    beta_initializer: Any = "zeros"
    gamma_initializer: Any = "ones"
    beta_regularizer: Any = None
    gamma_regularizer: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("epsilon", number(f"{self.label}: epsilon", self.epsilon, least=0))

    def __call__(self, source: Any) -> Layer:
        """Return the normalised layer."""
        source = self.one(source)
        given = [self.axis] if isinstance(self.axis, int) else list(self.axis)
        axes = sorted({axis_from_end(self.label, each, source) for each in given})
        if not axes:
            raise OptionError(f"{self.label}: axis is empty; name at least one axis, such as -1")
        shape = tuple(source.shape[axis] for axis in axes)
        found = _affine(self, shape)
        function = layer_functions.LayerNormalization(found, axes=axes, epsilon=self.epsilon)
        return _normalise(self, source, function, found)


@dataclass(frozen=True, eq=False)
class LocalResponseNormalization(Recipe):
    """``x / (bias + alpha / size * sum of x² over neighbouring channels) ** beta``.

    AlexNet's normalisation; Krizhevsky, Sutskever & Hinton (2012), section 3.3, with PyTorch's
    names and defaults. Channels are the last axis.

    Parameters
    ----------
    size : int
        How many channels a channel is compared with, itself in their middle: an odd number.
    alpha, beta : float
    bias : float
        Above 0, so that nothing is divided by 0.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> LocalResponseNormalization(3)(Input((8, 8, 16))).activation_name
    'local_response_normalization'
    """

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("size")
        for option in ("alpha", "beta", "bias"):
            what = f"{self.label}: {option}"
            self._set(option, number(what, getattr(self, option), least=0))
        if self.size % 2 == 0:
            raise OptionError(f"{self.label}: size is {self.size}, expected an odd number")
        if not self.bias:
            raise OptionError(f"{self.label}: bias is 0, expected a number above 0")

    def __call__(self, source: Any) -> Layer:
        """Return the normalised layer."""
        function = layer_functions.LocalResponseNormalization(
            size=self.size, alpha=self.alpha, beta=self.beta, bias=self.bias
        )
        return _normalise(self, self.one(source), function, {})


def _affine(
    recipe: BatchNormalization | LayerNormalization, shape: tuple[int, ...]
) -> dict[str, Parameter]:
    """Return those of gamma and beta that a recipe asks for."""
    return {
        name: recipe.parameter(
            name,
            shape,
            getattr(recipe, f"{name}_initializer"),
            getattr(recipe, f"{name}_regularizer"),
        )
        for wanted, name in ((recipe.scale, "gamma"), (recipe.center, "beta"))
        if wanted
    }


def _normalise(
    recipe: Recipe, source: Layer, function: LayerFunction, found: dict[str, Parameter]
) -> Layer:
    target = recipe.make(source.shape, [source], activation=function)
    target.parameters = dict(found)
    OneToOneConnections(source, target)
    return target
