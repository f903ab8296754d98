"""Compiled: the checks' view of a compiled network, and differences of its loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.check.numeric import STEP, Weight
from neurograph.check.setting import Setting
from neurograph.graph.states import states_kept
from neurograph.parameter import Parameter

Array = NDArray[Any]


class CompiledSide:
    """The compiled form of a setting's network, in float64, fed with the setting's data."""

    def __init__(self, setting: Setting) -> None:
        loss = setting.losses if len(setting.losses) > 1 else setting.losses[0]
        self.setting = setting
        self.model: Any = setting.network.compile(loss=loss, dtype="float64")
        self.training = bool(setting.options["training"])
        single = not setting.batch
        x = [each[None] if single else each for each in setting.x]
        y = [each[None] if single else each for each in setting.y]
        self.x = x[0] if len(x) == 1 else x
        self.y = y[0] if len(y) == 1 else y
        self.count = len(x[0])

    def gradients(self) -> float:
        """Fill the gradients; return E, regularizers included."""
        return float(self.model.gradients(self.x, self.y, training=self.training))

    def inspect(self) -> float:
        """Fill every value, delta and gradient."""
        return float(self.model.inspect(self.x, self.y, training=self.training))

    def error(self) -> float:
        """Return E, regularizers included."""
        if self.training:
            return self.gradients()
        with states_kept(self.setting.network):
            return float(self.model.evaluate(self.x, self.y, batch_size=self.count))

    def derivatives(self, weights: Sequence[Weight], step: float = STEP) -> tuple[Array, Array]:
        """Return dE/d weight, and the jump between its one-sided forms: (weights,) both."""
        slopes, jumps = np.empty(len(weights)), np.empty(len(weights))
        middle = self.error()
        for k, weight in enumerate(weights):
            h = step * max(1.0, abs(weight.value))
            errors = []
            for factor in (1.0, -1.0, 2.0, -2.0):
                with _moved({weight.parameter: {weight.index: factor * h}}):
                    errors.append(self.error())
            slopes[k] = (8.0 * (errors[0] - errors[1]) - (errors[2] - errors[3])) / (12.0 * h)
            jumps[k] = (errors[0] - 2.0 * middle + errors[1]) / h
        return slopes, jumps

    def slope_along(
        self, direction: Mapping[Parameter, Array], step: float = STEP
    ) -> tuple[float, float]:
        """Return dE along a direction of weights, and the jump between its one-sided forms."""
        middle, errors = self.error(), []
        for factor in (1.0, -1.0, 2.0, -2.0):
            with _moved({p: factor * step * slopes for p, slopes in direction.items()}):
                errors.append(self.error())
        slope = (8.0 * (errors[0] - errors[1]) - (errors[2] - errors[3])) / (12.0 * step)
        return slope, (errors[0] - 2.0 * middle + errors[1]) / step


@contextmanager
def _moved(changes: Mapping[Parameter, Any]) -> Iterator[None]:
    """Add to weights, all of a parameter or some by index, and put back what was there."""
    kept = {parameter: parameter.value.copy() for parameter in changes}
    try:
        for parameter, change in changes.items():
            if isinstance(change, Mapping):
                for index, amount in change.items():
                    parameter.value.reshape(-1)[index] += amount
            else:
                parameter.value[...] += change
        yield
    finally:
        for parameter, values in kept.items():
            parameter.value[...] = values
