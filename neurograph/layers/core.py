"""The plain layers: input, dense, activations and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neurograph.errors import OptionError, ShapeError, short
from neurograph.graph.bundles import DenseConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.layers.recipe import ActivationSpec, Recipe, put_under
from neurograph.options import number, text, whole


def Input(  # noqa: N802 (Keras's name)
    shape: int | Sequence[int | None], *, name: str = "", sequence: bool | None = None
) -> Layer:
    """Return an input layer.

    Parameters
    ----------
    shape : tuple of int
        One sample: ``(784,)``, ``(28, 28, 1)`` with the channels last. If the first size is None
        the samples are sequences of any length: ``(None, 4)`` has 4 numbers at each step of time.
    name : str
    sequence : bool, optional
        Whether the first axis is time. Recurrent layers take ``Input((60, 4))`` either way; say
        True to have what is between work step by step too.

    Raises
    ------
    ShapeError
        If a size is missing or not a positive whole number.

    Examples
    --------
    >>> Input((28, 28, 1)), Input((None, 4)).sequence
    (<Layer 'input' (28, 28, 1)>, True)
    """
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    timed = sequence if sequence is not None else bool(sizes) and sizes[0] is None
    steps, inner = (sizes[0], sizes[1:]) if timed and sizes else (None, sizes)
    if not sizes or any(each is None for each in inner):
        raise ShapeError(
            f"Input({short(shape)}): give every size, such as (28, 28, 1); only the first may be "
            f"None, for sequences of any length"
        )
    try:
        checked = [whole("size", each, least=1) for each in inner]
        steps = None if steps is None else whole("number of steps", steps, least=1)
    except OptionError as error:
        raise ShapeError(f"Input({short(shape)}): {error}") from error
    label = text("Input: name", name or "")
    layer = Layer(checked, kind="input", name=label, role="input", sequence=timed, steps=steps)
    layer.config = {"recipe": "Input"}
    return layer


@dataclass(frozen=True, eq=False)
class Dense(Recipe):
    """Every unit sees every node: ``activation(x @ kernel + bias)`` along the last axis.

    Parameters
    ----------
    units : int
    activation : str, Activation or None
    use_bias : bool
    kernel_initializer, bias_initializer : see ``neurograph.initializers``
    kernel_regularizer, bias_regularizer : see ``neurograph.regularizers``

    Notes
    -----
    Weights: kernel (inputs, units), bias (units,). On a layer of shape (…, inputs) the same weights
    repeat at each position, on a sequence at each step.

    Examples
    --------
    >>> layer = Dense(10, activation="softmax")(Input((784,)))
    >>> layer.shape, layer.parameters["kernel"].shape, len(layer[3].upstream)
    ((10,), (784, 10), 785)
    """

    units: int
    activation: ActivationSpec = None
    use_bias: bool = True
    kernel_initializer: Any = "glorot_uniform"
    bias_initializer: Any = "zeros"
    kernel_regularizer: Any = None
    bias_regularizer: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._whole("units")

    def __call__(self, source: Any) -> Layer:
        """Return the layer of units above ``source``."""
        source = self.one(source)
        if not source.shape:
            raise ShapeError(
                f"{self.label}: {source.name or source.kind!r} has a single number for a sample; "
                f"give it an axis, as in ng.Input((1,)) or ng.Input((None, 1))"
            )
        inputs = source.shape[-1]
        target = self.make((*source.shape[:-1], self.units), [source], activation=self.activation)
        kernel = self.parameter(
            "kernel", (inputs, self.units), self.kernel_initializer, self.kernel_regularizer
        )
        target.parameters["kernel"] = kernel
        DenseConnections(source, target, kernel, positions=source.size // inputs)
        if self.use_bias:
            self.add_bias(target, self.units, self.bias_initializer, self.bias_regularizer)
        return target


@dataclass(frozen=True, eq=False)
class Activation(Recipe):
    """An activation as a layer of its own, one node for each node below.

    Examples
    --------
    >>> Activation("relu")(Input((4,))).activation_name
    'relu'
    """

    activation: ActivationSpec

    def __call__(self, source: Any) -> Layer:
        """Return the activated layer."""
        source = self.one(source)
        target = self.make(source.shape, [source], activation=self.activation)
        OneToOneConnections(source, target)
        return target


@dataclass(frozen=True, eq=False)
class ReLU(Recipe):
    """max(x, 0) as a layer of its own."""

    def __call__(self, source: Any) -> Layer:
        """Return the rectified layer."""
        source = self.one(source)
        target = self.make(source.shape, [source], activation="relu")
        OneToOneConnections(source, target)
        return target


@dataclass(frozen=True, eq=False)
class Softmax(Recipe):
    """Exp(x) / sum exp(x) along the last axis, as a layer of its own."""

    def __call__(self, source: Any) -> Layer:
        """Return the layer of probabilities."""
        source = self.one(source)
        target = self.make(source.shape, [source], activation="softmax")
        OneToOneConnections(source, target)
        return target


@dataclass(frozen=True, eq=False)
class LeakyReLU(Recipe):
    """The larger of x and ``negative_slope * x``: two connections and the max aggregation.

    Parameters
    ----------
    negative_slope : float
        At least 0, below 1.

    Examples
    --------
    >>> node = LeakyReLU(0.1)(Input((4,)))[2]
    >>> node.aggregation, [each.weight for each in node.upstream]
    ('max', [1.0, 0.1])
    """

    negative_slope: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        what = f"{self.label}: negative_slope"
        self._set("negative_slope", number(what, self.negative_slope, least=0, below=1))

    def __call__(self, source: Any) -> Layer:
        """Return the rectified layer."""
        source = self.one(source)
        target = self.make(source.shape, [source], aggregation="max")
        OneToOneConnections(source, target)
        OneToOneConnections(source, target, constant=self.negative_slope)
        return target


@dataclass(frozen=True, eq=False)
class Dropout(Recipe):
    """In training, each value is 0 with probability ``rate``, else divided by ``1 - rate``.

    Each node is the product of its source and of a noise node. Srivastava et al. (2014), scaled in
    training so that nothing is left to do afterwards: the noise is then 1.

    Parameters
    ----------
    rate : float
        At least 0, below 1.

    Examples
    --------
    >>> node = Dropout(0.5)(Input((4,)))[0]
    >>> node.aggregation, len(node.upstream)
    ('product', 2)
    """

    rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("rate", number(f"{self.label}: rate", self.rate, least=0, below=1))

    def __call__(self, source: Any) -> Layer:
        """Return the layer in which values are missing during training."""
        source = self.one(source)
        target = self.make(source.shape, [source], aggregation="product")
        noise = Layer(
            source.shape,
            kind="noise",
            role="noise",
            sequence=source.sequence,
            steps=source.steps,
        )
        noise.config = {"distribution": "dropout", "rate": self.rate}
        put_under(target, "noise", noise)
        OneToOneConnections(source, target)
        OneToOneConnections(noise, target)
        return target
