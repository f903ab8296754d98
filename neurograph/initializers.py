"""Initializers: the values that weights start from.

An initializer is any function ``(shape, generator) -> array``; the classes here are such functions
with Keras's names, parameters and formulas. All draw in float64 from the generator they are given,
so the same seed gives the same weights whatever the dtype of the network.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import OptionError, ShapeError
from neurograph.options import Table, number

Array = NDArray[np.float64]
Shape = Sequence[int]


class Initializer:
    """A function ``(shape, generator) -> float64 array`` that can be saved as plain data."""

    def __call__(self, shape: Shape, generator: Generator) -> Array:
        """Return new starting values.

        Parameters
        ----------
        shape : sequence of int
            The shape of the weights, e.g. (inputs, outputs) or (rows, columns, inputs, filters).
        generator : numpy.random.Generator
            The source of randomness.

        Raises
        ------
        ShapeError, OptionError
            The shape does not suit the initializer, or the generator is none.
        """
        try:
            sides = tuple(operator.index(side) for side in shape)
        except TypeError:
            sides = (-1,)
        if min(sides, default=0) < 0:
            raise ShapeError(f"{type(self).__name__}: {shape!r} is not a shape such as (3, 4)")
        if not isinstance(generator, Generator):
            raise OptionError(
                f"{type(self).__name__} needs a numpy.random.Generator, such as "
                f"numpy.random.default_rng(0), got {generator!r}"
            )
        return self._draw(sides, generator)

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        raise NotImplementedError

    def to_config(self) -> dict[str, Any]:
        """Return the initializer as plain data for ``get_initializer``."""
        return TABLE.config(self)

    def _check(self, *options: str, **limits: float) -> None:
        for what in options:
            value = number(f"{type(self).__name__}: {what}", getattr(self, what), **limits)
            object.__setattr__(self, what, value)


@dataclass(frozen=True)
class Zeros(Initializer):
    """All weights 0."""

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        return np.zeros(shape)


@dataclass(frozen=True)
class Ones(Initializer):
    """All weights 1."""

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        return np.ones(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """The same number everywhere, or given values.

    Parameters
    ----------
    value : float or array-like
        A number, or an array that broadcasts to the shape of the weights.

    Examples
    --------
    >>> Constant([[1, 2], [3, 4]])((2, 2), np.random.default_rng(0))
    array([[1., 2.],
           [3., 4.]])
    """

    value: ArrayLike = 0.0

    def __post_init__(self) -> None:
        try:
            values = np.asarray(self.value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"Constant: value must be a number or an array of numbers, got {self.value!r}"
            ) from error
        if not np.isfinite(values).all():
            raise OptionError("Constant: value must be finite, got NaN or infinity")
        object.__setattr__(self, "value", _nested(values.tolist()))

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        values = np.asarray(self.value, dtype=np.float64)
        try:
            return np.broadcast_to(values, shape).copy()
        except ValueError as error:
            raise ShapeError(
                f"Constant: values of shape {values.shape} do not fill weights of shape {shape}"
            ) from error


@dataclass(frozen=True)
class RandomUniform(Initializer):
    """Uniform between `minval` and `maxval`; ``RandomUniform(-0.1, 0.1)`` is the tutorial's.

    Examples
    --------
    >>> RandomUniform(-0.1, 0.1)((3,), np.random.default_rng(0)).round(4)
    array([ 0.0274, -0.046 , -0.0918])
    """

    minval: float = -0.05
    maxval: float = 0.05

    def __post_init__(self) -> None:
        self._check("minval", "maxval")
        if self.minval > self.maxval:
            raise OptionError(
                f"RandomUniform: minval {self.minval:g} is above maxval {self.maxval:g}"
            )

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        return generator.uniform(self.minval, self.maxval, shape)


@dataclass(frozen=True)
class RandomNormal(Initializer):
    """Normal with the given mean and standard deviation."""

    mean: float = 0.0
    stddev: float = 0.05

    def __post_init__(self) -> None:
        self._check("mean")
        self._check("stddev", least=0)

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        return generator.normal(self.mean, self.stddev, shape)


@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """Normal, but draws beyond two standard deviations are drawn again.

    As in Keras, `stddev` is that of the normal before the cut: the values have 0.8796 times it.
    """

    mean: float = 0.0
    stddev: float = 0.05

    def __post_init__(self) -> None:
        self._check("mean")
        self._check("stddev", least=0)

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        values = generator.standard_normal(math.prod(shape))
        far = np.flatnonzero((values > 2.0) | (values < -2.0))
        while far.size:
            values[far] = again = generator.standard_normal(far.size)
            far = far[np.abs(again) > 2.0]
        values *= self.stddev
        values += self.mean
        return values.reshape(shape)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Draws whose variance is ``scale / fan``, so that signals keep their size through layers.

    Parameters
    ----------
    scale : float
        Above 0.
    mode : {"fan_in", "fan_out", "fan_avg"}
        The number of connections into a node, out of a node, or their mean.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        ``"normal"`` means ``"truncated_normal"``.

    Examples
    --------
    >>> draws = VarianceScaling(2.0, "fan_in", "uniform")((3, 3, 16, 8), np.random.default_rng(0))
    >>> bool(abs(draws).max() <= np.sqrt(3 * 2 / (3 * 3 * 16)))
    True
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"

    def __post_init__(self) -> None:
        self._check("scale", above=0)
        if self.distribution == "normal":
            object.__setattr__(self, "distribution", "truncated_normal")
        for what, allowed in (
            ("mode", ("fan_in", "fan_out", "fan_avg")),
            ("distribution", ("truncated_normal", "untruncated_normal", "uniform")),
        ):
            if getattr(self, what) not in allowed:
                raise OptionError(
                    f"VarianceScaling: {what} must be one of {', '.join(allowed)}, "
                    f"got {getattr(self, what)!r}"
                )

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return generator.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return generator.normal(0.0, math.sqrt(variance), shape)
        normal = TruncatedNormal(0.0, math.sqrt(variance) / _TRUNCATED_SPREAD)
        return normal(shape, generator)


# the standard deviation of a standard normal cut at -2 and 2
_TRUNCATED_SPREAD = 0.87962566103423978


@dataclass(frozen=True)
class _Named(VarianceScaling):
    """One of the kinds that have a name: its options are part of it."""

    scale: float = field(init=False, repr=False)
    mode: str = field(init=False, repr=False)
    distribution: str = field(init=False, repr=False)


@dataclass(frozen=True)
class GlorotUniform(_Named):
    """Uniform within ``sqrt(6 / (fan_in + fan_out))`` (Glorot & Bengio, 2010); Keras's default."""

    scale, mode, distribution = 1.0, "fan_avg", "uniform"


@dataclass(frozen=True)
class GlorotNormal(_Named):
    """Truncated normal, variance ``2 / (fan_in + fan_out)`` (Glorot & Bengio, 2010)."""

    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"


@dataclass(frozen=True)
class HeUniform(_Named):
    """Uniform within ``sqrt(6 / fan_in)``, made for relu (He et al., 2015)."""

    scale, mode, distribution = 2.0, "fan_in", "uniform"


@dataclass(frozen=True)
class HeNormal(_Named):
    """Truncated normal, variance ``2 / fan_in``, made for relu (He et al., 2015)."""

    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"


@dataclass(frozen=True)
class LecunUniform(_Named):
    """Uniform within ``sqrt(3 / fan_in)`` (LeCun et al., 1998)."""

    scale, mode, distribution = 1.0, "fan_in", "uniform"


@dataclass(frozen=True)
class LecunNormal(_Named):
    """Truncated normal, variance ``1 / fan_in``, made for selu (LeCun et al., 1998)."""

    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """An orthogonal matrix times `gain`, drawn evenly from all of them (Saxe et al., 2014).

    Weights with more than two axes are one matrix whose columns are the last axis. The shorter
    side's vectors are orthonormal.

    Examples
    --------
    >>> u = Orthogonal()((3, 3), np.random.default_rng(0))
    >>> np.allclose(u.T @ u, np.eye(3))
    True
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        self._check("gain")

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal: weights need at least two axes, got shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        drawn = generator.standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(drawn)
        # without the signs the decomposition would favour some matrices over others
        q *= np.sign(np.diagonal(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


@dataclass(frozen=True)
class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere; the matrix need not be square."""

    gain: float = 1.0

    def __post_init__(self) -> None:
        self._check("gain")

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        if len(shape) != 2:
            raise ShapeError(f"Identity: weights need two axes, got shape {shape}")
        return self.gain * np.eye(shape[0], shape[1])


@dataclass(frozen=True)
class OwnInitializer(Initializer):
    """A function ``(shape, generator) -> array`` of one's own, its results checked."""

    function: Callable[[tuple[int, ...], Generator], ArrayLike]

    def _draw(self, shape: tuple[int, ...], generator: Generator) -> Array:
        name = getattr(self.function, "__name__", repr(self.function))
        values = np.asarray(self.function(shape, generator))
        if values.shape != shape:
            raise ShapeError(
                f"the initializer {name} was asked for shape {shape} and returned {values.shape}"
            )
        if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
            raise OptionError(f"the initializer {name} must return finite numbers")
        return values.astype(np.float64)

    def to_config(self) -> dict[str, Any]:
        """Return the function's name; the function itself cannot be saved."""
        return {"name": "function", "function": getattr(self.function, "__name__", "function")}


TABLE: Table[Initializer] = Table(
    "initializer",
    {
        "zeros": Zeros,
        "ones": Ones,
        "constant": Constant,
        "random_uniform": RandomUniform,
        "random_normal": RandomNormal,
        "truncated_normal": TruncatedNormal,
        "variance_scaling": VarianceScaling,
        "glorot_uniform": GlorotUniform,
        "glorot_normal": GlorotNormal,
        "he_uniform": HeUniform,
        "he_normal": HeNormal,
        "lecun_uniform": LecunUniform,
        "lecun_normal": LecunNormal,
        "orthogonal": Orthogonal,
        "identity": Identity,
        "uniform": RandomUniform,
        "normal": RandomNormal,
        "zero": Zeros,
        "one": Ones,
    },
)


def get_initializer(spec: object) -> Initializer:
    """Return the initializer that `spec` stands for.

    Parameters
    ----------
    spec : str, mapping, number, array-like, class, function or Initializer
        ``"he_normal"``, ``"uniform(-0.1, 0.1)"``, ``HeNormal()``, what ``to_config`` returned, the
        values themselves, or a function ``(shape, generator) -> array``.

    Raises
    ------
    UnknownNameError, OptionError
        The name is not known, or a parameter is not possible.

    Examples
    --------
    >>> get_initializer("uniform(-0.1, 0.1)")
    RandomUniform(minval=-0.1, maxval=0.1)
    >>> get_initializer("he_norml")
    Traceback (most recent call last):
    neurograph.errors.UnknownNameError: unknown initializer 'he_norml': did you mean 'he_normal'...
    """
    if isinstance(spec, (int, float, list, tuple, np.ndarray, np.generic)):
        return Constant(spec)
    return TABLE.get(spec, Initializer, OwnInitializer)


def fans(shape: Shape) -> tuple[int, int]:
    """Return how many connections enter and leave a node, as Keras counts them.

    For a dense kernel (inputs, outputs) these are its sides; for a convolution kernel
    (…, inputs, filters) both are multiplied by the size of the window.

    Examples
    --------
    >>> fans((784, 300)), fans((3, 3, 16, 32)), fans((10,))
    ((784, 300), (144, 288), (10, 10))
    """
    if len(shape) < 2:
        side = int(shape[0]) if len(shape) else 1
        return side, side
    window = math.prod(shape[:-2])
    return int(shape[-2] * window), int(shape[-1] * window)


def _nested(value: Any) -> Any:
    return tuple(_nested(each) for each in value) if isinstance(value, list) else value
