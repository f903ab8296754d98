"""Comparison: one gradient check under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurograph.check.compiled import CompiledSide
from neurograph.check.kinks import kink_along, kinks_near
from neurograph.check.loss import loss_rows
from neurograph.check.numeric import (
    STEP,
    InputValue,
    Site,
    Weight,
    derivatives,
    is_analytic,
    slope_along,
)
from neurograph.check.report import KINK, OK, WRONG, GradientReport, Row, worst_first
from neurograph.check.setting import Setting
from neurograph.check.sites import Names, choose, input_sites, weight_sites
from neurograph.check.trace import deltas_of, first_wrong_node, wrong_step
from neurograph.errors import OptionError
from neurograph.graph.connection import Connection
from neurograph.graph.layer import ZEROS
from neurograph.graph.network import Network
from neurograph.parameter import Parameter

Array = NDArray[Any]
Against = str | Callable[[Network, Any, Any], Any]

TOLERANCES = {"complex": 1e-8, "central": 1e-5}
# the least scale of gradients: differences of a loss are rounded to about 1e-13 over the step
_LEAST_SCALES = {"complex": 1e-12, "central": 0.1}
MOST_CONNECTIONS = 200_000  # more than that are not walked
_FINER = (1e-4, 1e-5, 1e-6)
_LOSS_KINK = "the loss has a kink here"
_ROUNDED = "within the rounding of the loss"
_STEPS_SOUGHT = 8  # for how many wrong rows the step of time is looked for


class Comparison:
    """The two sides of a check: whose gradients, and how the numeric ones are found.

    Parameters
    ----------
    setting : Setting
    against : "compiled", "explicit" or callable
    given : tuple
        x and y as the caller gave them, for the callable.
    method : {"complex", "central"} or None
    tolerance : float or None
    """

    def __init__(
        self,
        setting: Setting,
        against: Against,
        given: tuple[Any, Any],
        method: str | None,
        tolerance: float | None,
    ) -> None:
        self.setting, self.against, self.given = setting, against, given
        few = len(setting.network.connections) <= MOST_CONNECTIONS
        self.explicit = few or against == "explicit"
        analytic = self.explicit and is_analytic(setting)
        if method == "complex" and not analytic:
            raise OptionError(
                "gradient_check: method='complex' needs functions that are right for complex "
                f"numbers, and at most {MOST_CONNECTIONS:,} connections; leave method out"
            )
        self.method = method or ("complex" if analytic else "central")
        self.tolerance = TOLERANCES[self.method] if tolerance is None else tolerance
        self.side: CompiledSide | None = None
        if against == "compiled" or not self.explicit:
            self.side = CompiledSide(setting)
        self.scale = _LEAST_SCALES[self.method]

    @property
    def title(self) -> str:
        """Whose gradients are checked."""
        names = {"compiled": "compiled", "explicit": "node by node"}
        return names[self.against] if isinstance(self.against, str) else "given gradients"

    @property
    def how(self) -> str:
        """How numeric derivatives are found."""
        where = "" if self.explicit else " of the compiled loss"
        return {"complex": "complex steps", "central": "central differences"}[self.method] + where

    def run(self) -> None:
        """Leave values, deltas and gradients of the side that is checked."""
        if callable(self.against):
            self.against(self.setting.network, *self.given)
        elif self.side is None or self.against == "explicit":
            self.setting.explicit_gradients()
        else:
            for layer in self.setting.network.all_layers:
                layer._delta = ZEROS  # a fused layer leaves none, and must not show an older one
            self.side.inspect()
            self.side.gradients()

    # one direction ----------------------------------------------------------------------------

    def along_direction(self, rng: np.random.Generator) -> GradientReport:
        """Compare the slope along one random direction in the space of all weights."""
        parameters = [p for p in self.setting.network.parameters.values() if p.trainable]
        direction = {p: rng.normal(size=p.shape) for p in parameters}
        for parameter, slopes in direction.items():
            if parameter.frozen is not None:
                slopes[parameter.frozen] = 0.0
        length = np.sqrt(sum(float(np.vdot(each, each)) for each in direction.values())) or 1.0
        direction = {parameter: each / length for parameter, each in direction.items()}
        self.run()
        analytic = sum(float(np.vdot(p.gradient, d)) for p, d in direction.items())
        self.scale = max(abs(analytic), 1e-12)
        numeric = self._slope(direction, None)
        for step in _FINER if self.method == "central" else ():
            if self._off(np.array([analytic]), np.array([numeric])):
                again = self._slope(direction, step)
                numeric = again if abs(again - analytic) < abs(numeric - analytic) else numeric
        note = ""
        if self._off(np.array([analytic]), np.array([numeric])):
            note = self._kink_along(direction)
        self.run()
        count = sum(p.size for p in parameters)
        name = f"all {count:,} weights, along a random direction"
        row = self._row(name, None, analytic, numeric, note, None)
        return GradientReport((row,), 1, self.title, self.how, self.tolerance)

    def _slope(self, direction: Mapping[Parameter, Array], step: float | None) -> float:
        """Return the numeric slope of E along a direction, regularizers included."""
        more = {} if step is None else {"step": step}
        if self.explicit:
            slope = slope_along(self.setting, direction, self.method, **more)
            return slope + sum(float(np.vdot(_penalty(p), d)) for p, d in direction.items())
        assert self.side is not None
        return self.side.slope_along(direction, **more)[0]

    def _kink_along(self, direction: Mapping[Parameter, Array]) -> str:
        if self.explicit:
            return kink_along(self.setting, direction, _FINER[-1])
        assert self.side is not None
        slope, jump = self.side.slope_along(direction, _FINER[-1])
        return _LOSS_KINK if abs(jump) > 1e-2 * abs(slope) + 1e-9 else ""

    # weight by weight -------------------------------------------------------------------------

    def weights(
        self, rng: np.random.Generator, samples: int | Literal["all"] | None, inputs: bool
    ) -> GradientReport:
        """Compare weight by weight, and inputs if asked."""
        setting = self.setting
        everything: list[Site] = [*weight_sites(setting.network)]
        everything += input_sites(setting) if inputs or not everything else []
        sites = choose(setting, everything, samples, self.method, self.explicit, rng)
        rounded = (
            2.0 * np.finfo(float).eps * abs(self._error()) if self.method == "central" else 0.0
        )
        self.run()
        analytic = np.array([self._analytic(site) for site in sites])
        deltas = deltas_of(setting) if self.explicit else {}
        self.scale = max(float(np.abs(analytic).max(initial=0.0)), self.scale)
        numeric, slack = self._numeric(sites, analytic, rounded)
        wrong = self._off(analytic, numeric, slack)
        kinks = self._kinks([sites[k] for k in wrong])
        notes = dict(zip(wrong, kinks, strict=True))
        first, steps = "", dict[int, int | None]()
        names = Names(setting, with_connections=self.explicit)
        failures = [k for k in wrong if not notes[k]]
        if failures and self.explicit:
            first = first_wrong_node(setting, deltas, self.method, self.tolerance)
            for k in failures[:_STEPS_SOUGHT]:
                steps[k] = wrong_step(
                    setting, names.connections(sites[k])[:50], deltas, self.method
                )
        rows = []
        for k, site in enumerate(sites):
            connections = names.connections(site)
            one = connections[0] if len(connections) == 1 else None
            numbers = (float(analytic[k]), float(numeric[k]))
            note, step = notes.get(k, ""), steps.get(k)
            rows.append(self._row(names.of(site), one, *numbers, note, step, float(slack[k])))
        if self.explicit:
            rows += loss_rows(setting, self.tolerance, rng)
        self.run()
        return GradientReport(
            worst_first(rows), len(everything), self.title, self.how, self.tolerance, first
        )

    def _analytic(self, site: Site) -> float:
        if isinstance(site, Weight):
            return float(site.parameter.gradient.reshape(-1)[site.index])
        assert isinstance(site, InputValue)
        port = self.setting.network.inputs[site.port]
        split = len(site.place) - len(port.shape)
        lead, own = site.place[:split], site.place[split:]
        if port.indices is None:
            node = port.layer[own if len(own) > 1 else own[0]]
        else:
            node = port.layer.own_node(port.indices[own[0]])
        delta = np.asarray(node.delta)
        return -float(delta.reshape(delta.shape[delta.ndim - len(lead) :])[lead])

    def _error(self) -> float:
        """Return E as its differences are taken, without or with regularizers."""
        if self.explicit:
            return self.setting.error(self.setting.forward())
        assert self.side is not None
        return self.side.error()

    def _numeric(
        self, sites: Sequence[Site], analytic: Array, rounded: float
    ) -> tuple[Array, Array]:
        """Return numeric derivatives, and how far the rounding of E may have moved each.

        Finer steps avoid kinks, and see more of the rounding.
        """
        numeric, slack = self._derivatives(sites, None), np.full(len(sites), rounded / STEP)
        for step in _FINER if self.method == "central" else ():
            off = self._off(analytic, numeric, slack)
            for k, again in zip(off, self._derivatives([sites[k] for k in off], step), strict=True):
                before = abs(numeric[k] - analytic[k]) - slack[k]
                if abs(again - analytic[k]) - rounded / step < before:
                    numeric[k], slack[k] = again, rounded / step
        return numeric, slack

    def _derivatives(self, sites: Sequence[Site], step: float | None) -> Array:
        """Return numeric derivatives of E, regularizers included."""
        if not sites:
            return np.empty(0)
        more = {} if step is None else {"step": step}
        if self.explicit:
            found = derivatives(self.setting, sites, self.method, **more)
            found += [_penalty_at(site) for site in sites]
            return found
        assert self.side is not None
        return self.side.derivatives([s for s in sites if isinstance(s, Weight)], **more)[0]

    def _kinks(self, sites: Sequence[Site]) -> list[str]:
        if self.explicit:
            return kinks_near(self.setting, sites, _FINER[-1])
        assert self.side is not None
        weights = [site for site in sites if isinstance(site, Weight)]
        slopes, jumps = self.side.derivatives(weights, _FINER[-1])
        sharp = np.abs(jumps) > 1e-2 * np.abs(slopes) + 1e-9
        return [_LOSS_KINK if each else "" for each in sharp]

    def _off(self, analytic: Array, numeric: Array, slack: Array | float = 0.0) -> list[int]:
        larger = np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), 1e-6 * self.scale)
        off = ~(np.abs(analytic - numeric) <= self.tolerance * larger + slack)
        return [int(k) for k in np.flatnonzero(off)]

    def _row(
        self,
        name: str,
        connection: Connection | None,
        analytic: float,
        numeric: float,
        note: str,
        step: int | None,
        slack: float = 0.0,
    ) -> Row:
        absolute = abs(analytic - numeric)
        larger = max(abs(analytic), abs(numeric), 1e-6 * self.scale)
        relative = absolute / larger
        if relative > self.tolerance and absolute <= self.tolerance * larger + slack:
            return Row(name, connection, analytic, numeric, absolute, relative, OK, step, _ROUNDED)
        verdict = OK if relative <= self.tolerance else (KINK if note else WRONG)
        return Row(name, connection, analytic, numeric, absolute, relative, verdict, step, note)


def _penalty(parameter: Parameter) -> Array:
    """Return the numeric derivative of a parameter's regularizer, weight by weight."""
    if parameter.regularizer is None:
        return np.zeros(parameter.shape)
    sites = [Weight(parameter, index) for index in range(parameter.size)]
    return np.array([_penalty_at(site) for site in sites]).reshape(parameter.shape)


def _penalty_at(site: Site) -> float:
    if not isinstance(site, Weight) or site.parameter.regularizer is None:
        return 0.0
    penalty, value = site.parameter.regularizer, site.value
    step = 1e-4 * max(1.0, abs(value))
    ahead, behind = (float(penalty(np.array([value + each]))) for each in (step, -step))
    return (ahead - behind) / (2.0 * step)
