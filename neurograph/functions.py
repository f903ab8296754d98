"""Activations and aggregations: one row each, with function, derivative and notes.

An activation is elementwise. Where the derivative jumps, the points are listed as ``kinks``, so
that a gradient check can tell a kink from a mistake. ``lines`` and ``gradient_lines`` are the same
arithmetic in place, over the slots ``x`` (net), ``y`` (output) and ``d`` (gradient with respect to
the output, turned into the gradient with respect to the net); where they are absent, in activations
of one's own, the compiler calls the functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import OptionError, short, unknown
from neurograph.lines import Lines

Array = NDArray[Any]
Elementwise = Callable[[Any], Any]
Derivative = Callable[[Any, Any], Any]

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
LEAKY_SLOPE = 0.2  # Keras 3: negative_slope of leaky_relu as an activation


@dataclass(frozen=True, slots=True)
class Activation:
    """An elementwise function of the net input and its derivative.

    Parameters
    ----------
    name : str
    function : callable
        ``function(net) -> output``, floats or arrays of any shape.
    derivative : callable
        ``derivative(net, output) -> d output / d net``, elementwise.
    notes : str
        Range and peculiarities, in a phrase.
    kinks : tuple of float
        Values of net at which the derivative jumps.
    analytic : bool
        Whether the function is right for complex arguments (complex-step differentiation).
    lines, gradient_lines : Lines or None
        The in-place forms for the compiler.
    """

    name: str
    function: Elementwise
    derivative: Derivative
    notes: str = ""
    kinks: tuple[float, ...] = ()
    analytic: bool = False
    lines: Lines | None = None
    gradient_lines: Lines | None = None

    def __call__(self, net: Any) -> Any:
        """Return the output for a net input."""
        return self.function(net)


def _sigmoid(net: Any) -> Any:
    if isinstance(net, float):
        return 1.0 / (1.0 + math.exp(-net)) if net >= 0 else 1.0 - 1.0 / (1.0 + math.exp(net))
    return 0.5 * (1.0 + np.tanh(0.5 * net))


def _softplus(net: Any) -> Any:
    return np.logaddexp(0.0, net)


def _gelu(net: Any) -> Any:
    from scipy.special import erf

    return 0.5 * net * (1.0 + erf(net / math.sqrt(2.0)))


def _d_gelu(net: Any, _: Any) -> Any:
    from scipy.special import erf

    density = np.exp(-0.5 * net * net) / math.sqrt(2.0 * math.pi)
    return 0.5 * (1.0 + erf(net / math.sqrt(2.0))) + net * density


def _one(net: Any, _: Any) -> Any:
    return np.ones_like(net)


def _zero(net: Any, _: Any) -> Any:
    return np.zeros_like(net)


_NORMAL = f"np.multiply(x, {1 / math.sqrt(2)}, out=t)\nerf(t, out=t)\nt += 1\nt *= 0.5"
_LOGISTIC = "np.multiply(x, 0.5, out=t)\nnp.tanh(t, out=t)\nt += 1\nt *= 0.5"

_ROWS = [
    Activation(
        "identity", lambda net: net, _one, "any number; Keras calls it linear", analytic=True,
        lines=Lines("y[...] = x"), gradient_lines=Lines(""),
    ),
    Activation(
        "step", lambda net: np.where(np.asarray(net) > 0, 1.0, 0.0), _zero,
        "0 or 1; the perceptron's; its derivative is 0, so it does not train by descent", (0.0,),
        lines=Lines("np.greater(x, 0, out=m)\ny[...] = m", masks=("m",)),
        gradient_lines=Lines("d[...] = 0"),
    ),
    Activation(
        "sigmoid", _sigmoid, lambda _, y: y * (1.0 - y), "0..1, 0.5 at 0", analytic=True,
        lines=Lines("np.multiply(x, 0.5, out=y)\nnp.tanh(y, out=y)\ny += 1\ny *= 0.5"),
        gradient_lines=Lines("d *= y\nnp.subtract(1, y, out=t)\nd *= t", scratch=("t",)),
    ),
    Activation(
        "tanh", np.tanh, lambda _, y: 1.0 - y * y, "-1..1, slope 1 at 0", analytic=True,
        lines=Lines("np.tanh(x, out=y)"),
        gradient_lines=Lines(
            "np.multiply(y, y, out=t)\nnp.subtract(1, t, out=t)\nd *= t", scratch=("t",)
        ),
    ),
    Activation(
        "relu", lambda net: np.maximum(net, 0.0), lambda net, _: np.where(net > 0, 1.0, 0.0),
        "0 and up; derivative 0 at 0", (0.0,),
        lines=Lines("np.maximum(x, 0, out=y)"),
        gradient_lines=Lines("np.greater(y, 0, out=m)\nd *= m", masks=("m",)),
    ),
    Activation(
        "leaky_relu", lambda net: np.where(net > 0, net, LEAKY_SLOPE * net),
        lambda net, _: np.where(net > 0, 1.0, LEAKY_SLOPE),
        "any number; slope 0.2 below 0", (0.0,),
        lines=Lines(f"np.multiply(x, {LEAKY_SLOPE}, out=t)\nnp.maximum(x, t, out=y)", ("t",)),
        gradient_lines=Lines(
            f"np.greater(y, 0, out=m)\nt[...] = m\nnp.maximum(t, {LEAKY_SLOPE}, out=t)\nd *= t",
            ("t",), ("m",),
        ),
    ),
    Activation(
        "elu", lambda net: np.where(net > 0, net, np.expm1(np.minimum(net, 0.0))),
        lambda net, y: np.where(net > 0, 1.0, y + 1.0), "-1 and up; alpha 1", (),
        lines=Lines(
            "np.minimum(x, 0, out=t)\nnp.expm1(t, out=t)\nnp.maximum(x, 0, out=y)\ny += t", ("t",)
        ),
        gradient_lines=Lines("np.minimum(y, 0, out=t)\nt += 1\nd *= t", ("t",)),
    ),
    Activation(
        "selu",
        lambda net: SELU_SCALE
        * np.where(net > 0, net, SELU_ALPHA * np.expm1(np.minimum(net, 0.0))),
        lambda net, y: np.where(net > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA),
        "self-normalising with lecun_normal weights", (0.0,),
        lines=Lines(
            f"np.minimum(x, 0, out=t)\nnp.expm1(t, out=t)\nt *= {SELU_ALPHA}\n"
            f"np.maximum(x, 0, out=y)\ny += t\ny *= {SELU_SCALE}", ("t",)
        ),
        gradient_lines=Lines(
            f"np.greater(y, 0, out=m)\nnp.add(y, {SELU_SCALE * SELU_ALPHA}, out=t)\n"
            f"np.copyto(t, {SELU_SCALE}, where=m)\nd *= t", ("t",), ("m",)
        ),
    ),
    Activation(
        "gelu", _gelu, _d_gelu, "x times the normal distribution function (exact)",
        lines=Lines(f"{_NORMAL}\nnp.multiply(x, t, out=y)", ("t",)),
        gradient_lines=Lines(
            f"{_NORMAL}\nnp.multiply(x, x, out=u)\nu *= -0.5\nnp.exp(u, out=u)\nu *= x\n"
            f"u *= {1 / math.sqrt(2 * math.pi)}\nt += u\nd *= t", ("t", "u")
        ),
    ),
    Activation(
        "softplus", _softplus, lambda net, _: _sigmoid(net), "0 and up; a smooth relu",
        lines=Lines("np.logaddexp(x, 0, out=y)"),
        gradient_lines=Lines(
            "np.negative(y, out=t)\nnp.expm1(t, out=t)\nnp.negative(t, out=t)\nd *= t", ("t",)
        ),
    ),
    Activation(
        "swish", lambda net: net * _sigmoid(net),
        lambda net, y: y + _sigmoid(net) * (1.0 - y), "x sigmoid(x); Keras also calls it silu",
        analytic=True, lines=Lines(f"{_LOGISTIC}\nnp.multiply(x, t, out=y)", ("t",)),
        gradient_lines=Lines(
            f"{_LOGISTIC}\nnp.subtract(1, y, out=u)\nu *= t\nu += y\nd *= u", ("t", "u")
        ),
    ),
    Activation(
        "hard_sigmoid", lambda net: np.clip(net / 6.0 + 0.5, 0.0, 1.0),
        lambda net, _: np.where((net > -3.0) & (net < 3.0), 1.0 / 6.0, 0.0),
        "0..1, straight between -3 and 3", (-3.0, 3.0),
        lines=Lines("np.multiply(x, 1 / 6, out=y)\ny += 0.5\nnp.clip(y, 0, 1, out=y)"),
        gradient_lines=Lines(
            f"np.abs(x, out=t)\nnp.less(t, 3, out=m)\nt[...] = m\nt *= {1 / 6}\nd *= t",
            ("t",), ("m",),
        ),
    ),
    Activation("sin", np.sin, lambda net, _: np.cos(net), "-1..1, periodic", analytic=True,
               lines=Lines("np.sin(x, out=y)"),
               gradient_lines=Lines("np.cos(x, out=t)\nd *= t", scratch=("t",))),
    Activation(
        "gaussian", lambda net: np.exp(-net * net), lambda net, y: -2.0 * net * y,
        "0..1, a bump around 0", analytic=True,
        lines=Lines("np.multiply(x, x, out=y)\nnp.negative(y, out=y)\nnp.exp(y, out=y)"),
        gradient_lines=Lines("np.multiply(x, y, out=t)\nt *= -2\nd *= t", ("t",)),
    ),
    Activation(
        "exp", np.exp, lambda _, y: y, "above 0", analytic=True,
        lines=Lines("np.exp(x, out=y)"), gradient_lines=Lines("d *= y"),
    ),
    Activation(
        "reciprocal", lambda net: 1.0 / net, lambda _, y: -y * y, "undefined at 0", analytic=True,
        lines=Lines("np.divide(1, x, out=y)"),
        gradient_lines=Lines("np.multiply(y, y, out=t)\nnp.negative(t, out=t)\nd *= t", ("t",)),
    ),
]  # fmt: skip

ACTIVATIONS: dict[str, Activation] = {row.name: row for row in _ROWS}
_ALIASES = {
    "linear": "identity",
    "silu": "swish",
    "logistic": "sigmoid",
    "exponential": "exp",
}


def get_activation(spec: str | Activation | None) -> Activation:
    """Return the activation with a name (Keras's or ours), or the one given; None is the identity.

    Raises
    ------
    UnknownNameError
        If no activation has that name; the message offers the nearest.
    OptionError
        If it is a function that no name was given to yet.

    >>> get_activation("linear").name, get_activation(None).name
    ('identity', 'identity')
    """
    if spec is None:
        return ACTIVATIONS["identity"]
    if isinstance(spec, Activation):
        return spec
    row = ACTIVATIONS.get(_ALIASES.get(spec, spec)) if isinstance(spec, str) else None
    if callable(spec):
        raise OptionError(
            f"an activation is given by its name; ng.register_activation(name, function, "
            f"derivative) gives one to {short(spec)}"
        )
    if row is None:
        raise unknown("activation", spec, [*ACTIVATIONS, *_ALIASES, "softmax"])
    return row


def register_activation(
    name: str,
    function: Elementwise,
    derivative: Derivative,
    *,
    kinks: tuple[float, ...] = (),
    analytic: bool = False,
    notes: str = "",
) -> Activation:
    """Add an activation of your own, known by ``name`` from then on.

    Parameters
    ----------
    name : str
    function : callable
        ``function(net) -> output``, elementwise, for arrays of any shape and for floats.
    derivative : callable
        ``derivative(net, output) -> d output / d net``, elementwise.
    kinks : tuple of float
        Where the derivative jumps.
    analytic : bool
        True if the function is right for complex arguments.
    notes : str
        Range and peculiarities, in a phrase.

    Raises
    ------
    OptionError
        If the name is no string or belongs to an activation that ships with neurograph, or there
        are no two functions.

    Examples
    --------
    >>> cube = register_activation("cube", lambda net: net**3, lambda net, output: 3 * net**2)
    >>> cube(2.0)
    8.0
    """
    if name in _SHIPPED or name in _ALIASES or name == "softmax":
        raise OptionError(f"register_activation: {name!r} ships with neurograph; choose a new name")
    if not (isinstance(name, str) and callable(function) and callable(derivative)):
        raise OptionError(
            f"register_activation: give a name, a function and its derivative, got {name!r}, "
            f"{short(function)}, {short(derivative)}"
        )
    row = Activation(name, function, derivative, notes, kinks, analytic)
    ACTIVATIONS[name] = row
    return row


_SHIPPED = frozenset(ACTIVATIONS)

AGGREGATIONS: dict[str, str] = {
    "sum": "the sum of weight * output over the incoming connections",
    "mean": "their mean",
    "max": "the largest; the gradient goes to the first connection that attains it",
    "product": "their product; the gradient never divides, so zeros are right",
}


def get_aggregation(name: str) -> str:
    """Return the name of an aggregation, or raise UnknownNameError with the nearest match."""
    if name not in AGGREGATIONS:
        raise unknown("aggregation", name, AGGREGATIONS)
    return name
