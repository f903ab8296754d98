"""Learning-rate schedules: functions of the step, counted from 0, that can be saved as plain data.

Keras's names, parameters and formulas. Any function ``step -> rate`` will do in their place.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from neurograph.errors import OptionError
from neurograph.options import Table, number, whole


class Schedule:
    """A function ``step -> learning rate``."""

    def __call__(self, step: int) -> float:
        """Return the learning rate for the update after `step` earlier ones."""
        raise NotImplementedError

    def to_config(self) -> dict[str, Any]:
        """Return the schedule as plain data for ``get_schedule``."""
        return TABLE.config(self)

    def _check(self, what: str, **limits: float) -> None:
        value = number(f"{type(self).__name__}: {what}", getattr(self, what), **limits)
        object.__setattr__(self, what, value)


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : float
        After how many steps the rate is multiplied by `decay_rate`.
    decay_rate : float
    staircase : bool
        Whether the exponent is rounded down, so that the rate falls in stairs.

    Examples
    --------
    >>> rate = ExponentialDecay(0.2, decay_steps=10, decay_rate=0.5)
    >>> rate(0), rate(10), rate(20)
    (0.2, 0.1, 0.05)
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        self._check("initial_learning_rate", least=0)
        self._check("decay_steps", above=0)
        self._check("decay_rate", above=0)
        if not isinstance(self.staircase, bool):
            raise OptionError(
                f"ExponentialDecay: staircase must be True or False, got {self.staircase!r}"
            )

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        exponent = step / self.decay_steps
        exponent = math.floor(exponent) if self.staircase else exponent
        return float(self.initial_learning_rate * self.decay_rate**exponent)


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine wave from the initial rate down to `alpha` times it, after a linear warm-up.

    Loshchilov & Hutter (2016), "SGDR", without restarts.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : float
        Length of the half wave in steps; later the rate stays at its end.
    alpha : float
        The final rate as a fraction of the highest.
    warmup_target : float, optional
        The rate after the warm-up, from which the wave falls; without it there is no warm-up.
    warmup_steps : int

    Examples
    --------
    >>> rate = CosineDecay(0.0, decay_steps=100, warmup_target=0.1, warmup_steps=10)
    >>> [round(rate(step), 4) for step in (0, 5, 10, 60, 110, 500)]
    [0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        self._check("initial_learning_rate", least=0)
        self._check("decay_steps", above=0)
        self._check("alpha", least=0)
        if self.warmup_target is not None:
            self._check("warmup_target", least=0)
        steps = whole("CosineDecay: warmup_steps", self.warmup_steps)
        object.__setattr__(self, "warmup_steps", steps)

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        top = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return top + (self.warmup_target - top) * step / self.warmup_steps
            step, top = step - self.warmup_steps, self.warmup_target
        wave = 0.5 * (1 + math.cos(math.pi * min(step / self.decay_steps, 1.0)))
        return top * ((1 - self.alpha) * wave + self.alpha)


@dataclass(frozen=True)
class PiecewiseConstant(Schedule):
    """``values[0]`` up to and including step ``boundaries[0]``, then ``values[1]``, and so on.

    Parameters
    ----------
    boundaries : sequence of float
        Rising steps.
    values : sequence of float
        One more than there are boundaries.

    Examples
    --------
    >>> rate = PiecewiseConstant([100, 200], [0.1, 0.01, 0.001])
    >>> rate(100), rate(101), rate(1000)
    (0.1, 0.01, 0.001)
    """

    boundaries: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        for what, least in (("boundaries", -math.inf), ("values", 0.0)):
            try:
                given = tuple(getattr(self, what))
            except TypeError:
                given = (getattr(self, what),)
            checked = tuple(
                number(f"PiecewiseConstant: {what}", each, least=least) for each in given
            )
            object.__setattr__(self, what, checked)
        if len(self.values) != len(self.boundaries) + 1:
            raise OptionError(
                f"PiecewiseConstant: {len(self.boundaries)} boundaries need "
                f"{len(self.boundaries) + 1} values, got {len(self.values)}"
            )
        if any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise OptionError(
                f"PiecewiseConstant: boundaries must rise, got {list(self.boundaries)}"
            )

    def __call__(self, step: int) -> float:
        """Return the rate at `step`."""
        return self.values[bisect_left(self.boundaries, step)]


TABLE: Table[Schedule] = Table(
    "schedule",
    {
        "exponential_decay": ExponentialDecay,
        "cosine_decay": CosineDecay,
        "piecewise_constant": PiecewiseConstant,
        "piecewise_constant_decay": PiecewiseConstant,
    },
)

Rate = float | Callable[[int], float]


def get_schedule(spec: object) -> Rate:
    """Return the learning rate that `spec` stands for: a number, or a function of the step.

    Parameters
    ----------
    spec : float, str, mapping, Schedule or function
        ``0.01``, ``"exponential_decay(0.1, 1000, 0.9)"``, ``CosineDecay(0.1, 1000)``, what
        ``to_config`` returned, or a function ``step -> rate``.

    Raises
    ------
    UnknownNameError, OptionError
        The name is not known, or a number is negative.

    Examples
    --------
    >>> get_schedule("cosine_decay(0.1, 1000)")(500)
    0.05
    """
    if isinstance(spec, (str, Mapping)):
        return TABLE.make(spec)
    if callable(spec) and not isinstance(spec, type):
        return spec
    return number("learning_rate", spec, least=0)
