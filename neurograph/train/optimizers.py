"""Optimizers by name, with Keras 3's formulas and defaults.

Running averages are kept as running sums: with ``square_sum = rho * square_sum + g**2`` Keras's
average is ``(1 - rho) * square_sum``, and that factor is moved into the learning rate and epsilon:
the same update with one pass over the data less.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurograph.options import Table
from neurograph.train.optimizer import Optimizer
from neurograph.train.schedules import Rate

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "get_optimizer"]


@dataclass
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum on request.

    ``velocity = momentum * velocity + learning_rate * g; w -= velocity``, and with `nesterov`
    ``w -= momentum * velocity + learning_rate * g`` (Nesterov, 1983; Sutskever et al., 2013).
    Without momentum ``w -= learning_rate * g``. Keras keeps minus the velocity.
    """

    learning_rate: Rate = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    @property
    def state_names(self) -> tuple[str, ...]:
        """``velocity``, or nothing without momentum."""
        return ("velocity",) if self.momentum else ()

    def _update(self, with_factor: bool) -> list[str]:
        step = ["np.multiply(g, rate, out=change)"]
        if not self.momentum:
            return [*step, *self._move("change", with_factor)]
        step = ["velocity *= momentum", *step, "velocity += change"]
        if not self.nesterov:
            return [*step, *self._move("velocity", with_factor)]
        ahead = ["np.multiply(velocity, momentum, out=change)", *self._move("change", with_factor)]
        return [*step, *self._move("change", with_factor), *ahead]

    def _constants(self) -> dict[str, float]:
        return {"momentum": self.momentum}


@dataclass
class Adagrad(Optimizer):
    """Smaller steps for weights that have moved much (Duchi, Hazan & Singer, 2011).

    ``square_sum += g**2; w -= learning_rate * g / sqrt(square_sum + epsilon)``.
    """

    learning_rate: Rate = 0.001
    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    @property
    def state_names(self) -> tuple[str, ...]:
        """``square_sum``."""
        return ("square_sum",)

    def initial_state(self, name: str) -> float:
        """Return `initial_accumulator_value`."""
        return self.initial_accumulator_value

    def _update(self, with_factor: bool) -> list[str]:
        return [
            "np.multiply(g, g, out=change)",
            "square_sum += change",
            "np.add(square_sum, epsilon, out=change)",
            "np.sqrt(change, out=change)",
            "np.divide(g, change, out=change)",
            "change *= rate",
            *self._move("change", with_factor),
        ]

    def _constants(self) -> dict[str, float]:
        return {"epsilon": self.epsilon}


@dataclass
class RMSprop(Optimizer):
    """Gradients divided by the root of their running mean square (Tieleman & Hinton, 2012).

    ``average = rho * average + (1 - rho) * g**2``,
    ``w -= learning_rate * g / sqrt(average + epsilon)``. With `centered` the square of the running
    mean gradient is subtracted from the average; with `momentum` the steps are gathered in a
    velocity. ``square_sum`` is ``average / (1 - rho)``.
    """

    learning_rate: Rate = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    @property
    def state_names(self) -> tuple[str, ...]:
        """``square_sum``, with `centered` ``gradient_sum``, with `momentum` ``velocity``."""
        centre = ("gradient_sum",) if self.centered else ()
        return ("square_sum", *centre, *(("velocity",) if self.momentum else ()))

    def _update(self, with_factor: bool) -> list[str]:
        text = ["square_sum *= rho", "np.multiply(g, g, out=change)", "square_sum += change"]
        if self.centered:
            text += [
                "gradient_sum *= rho",
                "gradient_sum += g",
                "np.multiply(gradient_sum, gradient_sum, out=change)",
                "change *= rest",
                "np.subtract(square_sum, change, out=change)",
                "change += epsilon",
            ]
        else:
            text += ["np.add(square_sum, epsilon, out=change)"]
        text += [
            "np.sqrt(change, out=change)",
            "np.divide(g, change, out=change)",
            "change *= rate",
        ]
        if not self.momentum:
            return [*text, *self._move("change", with_factor)]
        gather = ["velocity *= momentum", "velocity += change"]
        return [*text, *gather, *self._move("velocity", with_factor)]

    def state_scale(self, name: str) -> float:
        """Return ``1 - rho`` for the sums."""
        return 1.0 if name == "velocity" else 1 - self.rho

    def _constants(self) -> dict[str, float]:
        rest = 1 - self.rho
        constants = {"rho": self.rho, "rest": rest, "momentum": self.momentum}
        return constants | {"epsilon": self.epsilon / rest}

    def _scale(self, step: int) -> float:
        return float((1 - self.rho) ** -0.5)


@dataclass
class Adam(Optimizer):
    """Running means of the gradient and of its square, corrected for their start at 0.

    Kingma & Ba (2015), with epsilon outside the correction, as in Keras:
    ``w -= a * m / (sqrt(v) + epsilon)``,
    ``a = learning_rate * sqrt(1 - beta_2**t) / (1 - beta_1**t)`` at update t = 1, 2, …. With
    `amsgrad` v is the largest so far. ``gradient_sum`` is ``m / (1 - beta_1)`` and ``square_sum``
    ``v / (1 - beta_2)``.
    """

    learning_rate: Rate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    @property
    def state_names(self) -> tuple[str, ...]:
        """``gradient_sum`` and ``square_sum``, with `amsgrad` ``largest_square_sum``."""
        return ("gradient_sum", "square_sum", *(("largest_square_sum",) if self.amsgrad else ()))

    def _update(self, with_factor: bool) -> list[str]:
        squares = "largest_square_sum" if self.amsgrad else "square_sum"
        largest = [f"np.maximum({squares}, square_sum, out={squares})"] if self.amsgrad else []
        return [
            "gradient_sum *= beta_1",
            "gradient_sum += g",
            "square_sum *= beta_2",
            "np.multiply(g, g, out=change)",
            "square_sum += change",
            *largest,
            f"np.sqrt({squares}, out=change)",
            "change += epsilon",
            "np.divide(gradient_sum, change, out=change)",
            "change *= rate",
            *self._move("change", with_factor),
        ]

    def state_scale(self, name: str) -> float:
        """Return ``1 - beta_1`` for the gradients, ``1 - beta_2`` for their squares."""
        return 1 - (self.beta_1 if name == "gradient_sum" else self.beta_2)

    def _constants(self) -> dict[str, float]:
        epsilon = self.epsilon * (1 - self.beta_2) ** -0.5
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": epsilon}

    def _scale(self, step: int) -> float:
        t = step + 1
        correction = (1 - self.beta_2**t) ** 0.5 / (1 - self.beta_1**t)
        return float(correction * (1 - self.beta_1) * (1 - self.beta_2) ** -0.5)


@dataclass
class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter, 2019)."""

    weight_decay: float | None = 0.004


TABLE: Table[Optimizer] = Table(
    "optimizer",
    {"sgd": SGD, "adagrad": Adagrad, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW},
)


def get_optimizer(spec: object) -> Optimizer:
    """Return the optimizer that `spec` stands for.

    Parameters
    ----------
    spec : str, mapping, class or Optimizer
        ``"rmsprop"``, ``"sgd(0.1, momentum=0.9)"``, ``Adam(0.001)``, or what ``to_config``
        returned.

    Raises
    ------
    UnknownNameError, OptionError
        The name is not known, or an option is out of its range.

    Examples
    --------
    >>> get_optimizer("sgd(0.1, momentum=0.9)").state_names
    ('velocity',)
    >>> get_optimizer("rmsprp")
    Traceback (most recent call last):
    neurograph.errors.UnknownNameError: unknown optimizer 'rmsprp': did you mean 'rmsprop'...
    """
    return TABLE.get(spec, Optimizer)
