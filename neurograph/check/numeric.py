"""Numeric derivatives: by a complex step where every function allows it, else by differences.

A complex step (Squire & Trapp, 1998) has no cancellation: d f(w) / dw = Im f(w + ih) / h, right to
the last bits for any tiny h. Central differences are of fourth order, (8 (E(+h) - E(-h)) - (E(+2h)
- E(-2h))) / 12h. Many changed networks go through one run, as one more leading axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.check.setting import Setting
from neurograph.graph.node import Node
from neurograph.parameter import Parameter

Array = NDArray[Any]

COMPLEX_STEP = 1e-30
STEP = 1e-3
_VALUES_IN_ONE_RUN = 2_000_000
_COMPLEX_FUNCTIONS = {"softmax", "layer_normalization", "batch_normalization"}
_COMPLEX_FUNCTIONS |= {"local_response_normalization"}


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight, by its address."""

    parameter: Parameter
    index: int

    @property
    def value(self) -> float:
        """Its present value."""
        return float(self.parameter.value.reshape(-1)[self.index])


@dataclass(frozen=True, slots=True, eq=False)
class Net:
    """The net input of a node, in all samples alike or in proportion to ``profile``, (batch,).

    ``step`` is a step of time, None if the layer is outside of time.
    """

    node: Node
    step: int | None
    profile: Any = 1.0


@dataclass(frozen=True, slots=True)
class InputValue:
    """One value among the inputs: its input port and the place in that port's array."""

    port: int
    place: tuple[int, ...]


Site = Weight | Net | InputValue


def is_analytic(setting: Setting) -> bool:
    """Return whether complex steps are right for every function of the network."""
    for layer in setting.network.all_layers:
        if layer.role in ("input", "const", "noise"):
            continue
        if layer.function is not None and layer.function.name not in _COMPLEX_FUNCTIONS:
            return False
        nodes = layer.members if layer.members is not None else [layer]
        if not all(each.activation.analytic for each in nodes):
            return False
    return True


def derivatives(setting: Setting, sites: Sequence[Site], method: str, step: float = STEP) -> Array:
    """Return dE/d site for each site, shape (sites,), without regularizers.

    Parameters
    ----------
    setting : Setting
    sites : sequence of Weight, Net or InputValue
    method : {"complex", "central"}
        Complex steps differentiate the outputs; dE/d output is the loss's own.
    step : float
        The step of central differences, relative for values above 1.
    """
    found: list[Array] = [np.empty(0)]
    d_outputs = setting.d_outputs(setting.forward()) if method == "complex" else []
    for part in _parts(setting, sites):
        if method == "complex":
            changed = run_changed(setting, part, np.full(len(part), 1j * COMPLEX_STEP))
            rows = [each.imag.reshape(len(part), -1) / COMPLEX_STEP for each in changed]
            found.append(
                np.sum(
                    [row @ d.reshape(-1) for row, d in zip(rows, d_outputs, strict=True)], axis=0
                )
            )
        else:
            steps = np.array([step * max(1.0, abs(_value(setting, site))) for site in part])
            found.append(_central(setting, part, steps))
    return np.concatenate(found)


def _central(setting: Setting, sites: Sequence[Site], steps: Array) -> Array:
    def difference(factor: float) -> Array:
        ahead = run_changed(setting, sites, factor * steps)
        behind = run_changed(setting, sites, -factor * steps)
        return np.array(
            [
                setting.error([each[k] for each in ahead])
                - setting.error([each[k] for each in behind])
                for k in range(len(sites))
            ]
        )

    found: Array = (8.0 * difference(1.0) - difference(2.0)) / (12.0 * steps)
    return found


def run_changed(setting: Setting, sites: Sequence[Site], amounts: Array) -> list[Array]:
    """Run one network for each site, changed there by an amount: (sites, leading axes, shape)."""
    count, dtype = len(sites), amounts.dtype.type
    changes: dict[Parameter, dict[int, Array]] = {}
    inject: dict[Node, Array] = {}
    inputs: list[Array] | None = None
    for k, site in enumerate(sites):
        if isinstance(site, Weight):
            weights = changes.setdefault(site.parameter, {})
            if site.index not in weights:
                weights[site.index] = np.full(count, site.value, dtype=dtype)
            weights[site.index][k] += amounts[k]
        elif isinstance(site, Net):
            if site.node not in inject:
                steps = () if site.step is None else (site.node.layer.timeline.steps,)
                inject[site.node] = np.zeros((count, *setting.batch, *steps), dtype=dtype)
            place = (k, ...) if site.step is None else (k, ..., site.step)
            inject[site.node][place] += amounts[k] * site.profile
        else:
            if inputs is None:
                inputs = [np.repeat(each[None].astype(dtype), count, axis=0) for each in setting.x]
            inputs[site.port][(k, *site.place)] += amounts[k]
    return setting.stacked(count, changes, dtype, inject, inputs)


def _parts(setting: Setting, sites: Sequence[Site]) -> Iterator[Sequence[Site]]:
    """Divide sites into runs that fit the memory.

    Alone go those on which stacked networks would see each other, and the parameters that whole-
    layer functions read as arrays.
    """
    values = sum(layer.size for layer in setting.network.all_layers)
    for each, port in zip(setting.x, setting.network.inputs, strict=True):
        values = max(values, values * each.size // int(np.prod(port.shape)))
    most = 1 if setting.mixes_samples else max(1, min(256, _VALUES_IN_ONE_RUN // values))
    together: list[Site] = []
    for site in sites:
        if isinstance(site, Weight) and id(site.parameter) in setting.in_functions:
            yield from ([together] if together else [])
            yield [site]
            together = []
        else:
            together.append(site)
            if len(together) == most:
                yield together
                together = []
    if together:
        yield together


def _value(setting: Setting, site: Site) -> float:
    if isinstance(site, Weight):
        return site.value
    if isinstance(site, InputValue):
        return float(setting.x[site.port][site.place])
    return 0.0


def slope_along(
    setting: Setting, direction: Mapping[Parameter, Array], method: str, step: float = STEP
) -> float:
    """Return dE along a direction in the space of weights, without regularizers."""
    if method == "complex":
        d_outputs = setting.d_outputs(setting.forward())
        outputs = run_along(setting, direction, 1j * COMPLEX_STEP)
        slopes = [each.imag / COMPLEX_STEP for each in outputs]
        return sum(float(np.vdot(a, b)) for a, b in zip(slopes, d_outputs, strict=True))
    errors = [
        setting.error(run_along(setting, direction, factor * step))
        for factor in (1.0, -1.0, 2.0, -2.0)
    ]
    return (8.0 * (errors[0] - errors[1]) - (errors[2] - errors[3])) / (12.0 * step)


def run_along(
    setting: Setting, direction: Mapping[Parameter, Array], amount: complex
) -> list[Array]:
    """Run the network with all weights moved along a direction: (leading axes, shape)."""
    changes = {
        parameter: {
            index: np.array([value])
            for index, value in enumerate(
                (parameter.value.reshape(-1) + amount * slopes.reshape(-1)).tolist()
            )
        }
        for parameter, slopes in direction.items()
    }
    dtype = np.complex128 if isinstance(amount, complex) else np.float64
    return [each[0] for each in setting.stacked(1, changes, dtype)]
