"""What an optimizer is: the change that a step of training makes to weights, given the gradient.

An optimizer is written once, as ``lines`` over vectors of weights, gradients and its own state,
every entry for itself; the compiler runs them over blocks that stay in the cache, ``apply`` runs
them on any array.

Slots of the lines:

============ ===================================================================================
w            the weights; changed
g            their gradient; changed only by clipping
the states   ``state_names``: arrays like `w`, to be filled with ``initial_state`` first
rate, decay  0-d arrays, to be filled before each step with the numbers of ``scalars(step)``
factor       only with ``lines(with_factor=True)``: an array like `w` that multiplies what would be
             added to the weight, weight decay and momentum included, after everything else was
             computed; 0 freezes a weight
============ ===================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import OptionError, ShapeError, unknown
from neurograph.lines import Lines
from neurograph.options import config_of, number, whole
from neurograph.train.inline import run_lines
from neurograph.train.schedules import Rate, get_schedule

Array = NDArray[Any]

_LIMITS: dict[str, dict[str, float]] = {
    "momentum": {"least": 0, "most": 1},
    "rho": {"least": 0, "below": 1},
    "beta_1": {"least": 0, "below": 1},
    "beta_2": {"least": 0, "below": 1},
    "epsilon": {"above": 0},
    "initial_accumulator_value": {"least": 0},
    "weight_decay": {"least": 0},
    "clipnorm": {"above": 0},
    "clipvalue": {"above": 0},
    "global_clipnorm": {"above": 0},
}
_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_MAY_BE_NONE = ("weight_decay", *_CLIPS)


@dataclass
class Optimizer:
    """A rule that turns gradients into changes of weights; it holds options and no arrays.

    Any option may be set anew between steps: the next one goes by it, from the averages so far.

    Parameters
    ----------
    learning_rate : float or function
        A number, a schedule, or a function of the step (counted from 0).
    weight_decay : float, optional
        ``w -= learning_rate * weight_decay * w`` before each update (decoupled, as in AdamW).
    clipnorm : float, optional
        Each parameter's gradient is shortened to this norm.
    clipvalue : float, optional
        Each entry of the gradient is held between minus and plus this.
    global_clipnorm : float, optional
        The gradient of all parameters together is shortened to this norm.

    Raises
    ------
    OptionError
        An option is out of its range, also when set later; or more than one way of clipping is
        asked for.
    """

    learning_rate: Rate = 0.01
    _: KW_ONLY
    weight_decay: float | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None

    revision = 0  # how many options were set that the lines or their states depend on; no option

    def __setattr__(self, what: str, value: Any) -> None:
        options = [each.name for each in fields(self)]
        if what not in options:
            raise unknown("option", what, options, of=self.name)
        if what == "learning_rate":
            value = get_schedule(value)
        elif what in _LIMITS and not (value is None and what in _MAY_BE_NONE):
            value = number(f"{self.name}: {what}", value, **_LIMITS[what])
        elif what in ("nesterov", "centered", "amsgrad") and not isinstance(value, bool):
            raise OptionError(f"{self.name}: {what} must be True or False, got {value!r}")
        clips = [each for each in _CLIPS if getattr(self, each) is not None and each != what]
        if what in _CLIPS and value is not None and clips:
            raise OptionError(f"{self.name}: give only one of {clips[0]} and {what}")
        object.__setattr__(self, what, value)
        if what != "learning_rate":
            object.__setattr__(self, "revision", self.revision + 1)

    @property
    def name(self) -> str:
        """The optimizer's name, as ``get_optimizer`` knows it."""
        return type(self).__name__.lower()

    @property
    def state_names(self) -> tuple[str, ...]:
        """The names of the arrays kept beside the weights, each of their shape."""
        return ()

    def initial_state(self, name: str) -> float:
        """Return the number a state array is filled with before the first step."""
        return 0.0

    def state_scale(self, name: str) -> float:
        """Return what turns a state array into the average that it stands for."""
        return 1.0

    def rate(self, step: int) -> float:
        """Return the learning rate of the update after `step` earlier ones.

        Raises
        ------
        OptionError
            A function of one's own returned something else than a number of at least 0.
        """
        if isinstance(self.learning_rate, float):
            return self.learning_rate
        rate = self.learning_rate(step)
        return number(f"{self.name}: the learning rate of step {step}", rate, least=0)

    def scalars(self, step: int) -> dict[str, float]:
        """Return the numbers the lines need for the update after `step` earlier ones."""
        rate = self.rate(step)
        scalars = {"rate": rate * self._scale(step)}
        if self.weight_decay:
            scalars["decay"] = rate * self.weight_decay
        return scalars

    def lines(self, with_factor: bool = False) -> Lines:
        """Return the update of a block of weights as in-place statements.

        Parameters
        ----------
        with_factor : bool
            Whether a slot `factor` multiplies each weight's change.
        """
        text: list[str] = []
        if self.clipvalue:
            text += ["np.clip(g, lowest, highest, out=g)"]
        if self.weight_decay:
            text += ["np.multiply(w, decay, out=change)", *self._move("change", with_factor)]
        text += self._update(with_factor)
        constants = self._constants() | {"rate": 0.0, "decay": 0.0}
        if self.clipvalue:
            constants |= {"lowest": -self.clipvalue, "highest": self.clipvalue}
        words = set(re.findall(r"\w+", "\n".join(text)))
        setup = tuple(
            (slot, f"np.array({value!r}, w.dtype)")
            for slot, value in constants.items()
            if slot in words
        )
        return Lines("\n".join(text), scratch=("change",), setup=setup)

    @property
    def clips_each_parameter(self) -> bool:
        """Whether ``clip_lines`` are for each parameter's gradient alone, not for the whole."""
        return self.clipnorm is not None

    def clip_lines(self, with_factor: bool = False) -> Lines | None:
        """Return the statements that shorten a gradient `g` before the update, None for none.

        They run once for each parameter (``clips_each_parameter``) or once over the whole vector.
        With a factor, frozen entries do not count towards the norm.
        """
        limit = self.clipnorm if self.clips_each_parameter else self.global_clipnorm
        if limit is None:
            return None
        moving = ["np.sign(factor, out=moving)", "moving *= g"] if with_factor else []
        counted = "moving" if with_factor else "g"
        text = [
            *moving,
            f"norm = float(np.vdot({counted}, {counted})) ** 0.5",
            f"if norm > {limit!r}: g *= {limit!r} / norm",
        ]
        return Lines("\n".join(text), scratch=("moving",) if with_factor else ())

    def new_state(self, w: Array) -> dict[str, Array]:
        """Return fresh state arrays for weights `w`."""
        return {name: np.full_like(w, self.initial_state(name)) for name in self.state_names}

    def apply(
        self,
        w: Array,
        g: Array,
        state: Mapping[str, Array],
        step: int,
        factor: Array | None = None,
    ) -> None:
        """Update one array of weights in place.

        Parameters
        ----------
        w, g : array of float
            Weights and gradient, of one shape; both are changed (the gradient by clipping).
        state : mapping
            What ``new_state`` returned; changed.
        step : int
            How many updates came before.
        factor : array, optional
            Multiplies each weight's change; 0 freezes it.

        Raises
        ------
        ShapeError
            The arrays differ in shape or dtype.

        Examples
        --------
        >>> from neurograph.train.optimizers import SGD
        >>> sgd = SGD(0.5, momentum=0.5)
        >>> w = np.array([1.0, 1.0])
        >>> state = sgd.new_state(w)
        >>> for step in range(2):
        ...     sgd.apply(w, np.array([1.0, 1.0]), state, step, factor=np.array([1.0, 0.0]))
        >>> w
        array([-0.25,  1.  ])
        """
        arrays = {"w": w, "g": g, **state} | ({} if factor is None else {"factor": factor})
        for slot, array in arrays.items():
            if array.shape != w.shape or array.dtype != w.dtype or w.dtype.kind != "f":
                raise ShapeError(
                    f"{self.name}: {slot} is {array.dtype.name} of shape {array.shape}, but the "
                    f"weights are {w.dtype.name} of shape {w.shape}; all must be alike floats"
                )
        clip = self.clip_lines(factor is not None)
        if clip is not None:
            run_lines(clip, w, **arrays)
        scalars = self.scalars(whole("step", step)).items()
        numbers = {slot: np.array(value, w.dtype) for slot, value in scalars}
        run_lines(self.lines(factor is not None), w, **arrays, **numbers)

    def to_config(self) -> dict[str, Any]:
        """Return the optimizer as plain data for ``get_optimizer``."""
        return config_of(self.name, self)

    def _update(self, with_factor: bool) -> list[str]:
        raise NotImplementedError

    def _constants(self) -> dict[str, float]:
        return {}

    def _scale(self, step: int) -> float:
        """Return the number that multiplies the learning rate in the lines."""
        return 1.0

    @staticmethod
    def _move(change: str, with_factor: bool) -> list[str]:
        """Return the statements that subtract `change` from the weights."""
        if not with_factor:
            return [f"w -= {change}"]
        if change == "change":
            return ["change *= factor", "w -= change"]
        return [f"np.multiply({change}, factor, out=change)", "w -= change"]
