"""The loss's own gradient, dE/d output, against differences of the loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from neurograph.check.report import KINK, OK, WRONG, Row
from neurograph.check.setting import Setting

_MOST = 64


def loss_rows(setting: Setting, tolerance: float, rng: np.random.Generator) -> list[Row]:
    """Return a row for every output at which the loss's gradient is wrong or has a kink.

    At most 64 output values are looked at, drawn at random.
    """
    outputs = setting.forward()
    d_outputs = setting.d_outputs(outputs)
    places = [(k, place) for k, each in enumerate(outputs) for place in np.ndindex(each.shape)]
    if len(places) > _MOST:
        places = [places[k] for k in sorted(rng.choice(len(places), size=_MOST, replace=False))]
    scale = max(float(np.abs(each).max(initial=0.0)) for each in d_outputs)
    rows = [
        _row(setting, outputs, k, place, float(d_outputs[k][place]), scale, tolerance)
        for k, place in places
    ]
    return [row for row in rows if row.verdict != OK]


def _row(
    setting: Setting,
    outputs: list[Any],
    number: int,
    place: tuple[int, ...],
    analytic: float,
    scale: float,
    tolerance: float,
) -> Row:
    def error(change: float) -> float:
        moved = [each.copy() for each in outputs]
        moved[number][place] += change
        return setting.error(moved)

    middle, best = error(0.0), np.inf
    for step in (1e-3, 1e-4, 1e-5, 1e-6):
        step *= max(1e-3, min(1.0, abs(float(outputs[number][place]))))
        slope = 8.0 * (error(step) - error(-step)) - (error(2 * step) - error(-2 * step))
        slope /= 12.0 * step
        best = slope if abs(slope - analytic) < abs(best - analytic) else best
    jump = abs(error(step) - 2.0 * middle + error(-step)) / step
    size = max(abs(analytic), abs(best), 1e-6 * scale)
    absolute = abs(analytic - best)
    good = absolute <= max(tolerance, 1e-6) * size or absolute <= 1e-9
    verdict = OK if good else (KINK if jump > 1e-3 * size else WRONG)
    shown = ", ".join(str(each) for each in place)
    name = f"loss, output {setting.network.outputs[number].name} at [{shown}]"
    return Row(name, None, analytic, best, absolute, absolute / size, verdict)
