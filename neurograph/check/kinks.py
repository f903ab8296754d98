"""Kinks: points where a function is not differentiable, so that no gradient there is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.check.numeric import Site, run_along, run_changed
from neurograph.check.setting import Setting
from neurograph.interpret.walk import Walk
from neurograph.parameter import Parameter

Array = NDArray[Any]


def kinks_near(setting: Setting, sites: Sequence[Site], step: float) -> list[str]:
    """Return, for each site, which kink lies within a step of it, "" if none does.

    A kink lies there if some node's net passes a kink of its activation, or the winner of a maximum
    changes, between the site's value and ``step`` more or less.
    """
    found = [""] * len(sites)
    if not sites:
        return found
    setting.forward()
    before = _patterns(setting)
    if not before:
        return found
    for start in range(0, len(sites), 64):
        part = sites[start : start + 64]
        for amount in (step, -step):
            run_changed(setting, part, np.full(len(part), amount))
            for k, name in _changes(before, _patterns(setting), len(part)):
                found[start + k] = found[start + k] or name
    return found


def kink_along(setting: Setting, direction: Mapping[Parameter, Array], step: float) -> str:
    """Return which kink lies within a step along a direction of weights, "" if none does."""
    setting.forward()
    before = _patterns(setting)
    for amount in (step, -step):
        run_along(setting, direction, amount)
        for _, name in _changes(before, _patterns(setting), 1):
            return name
    return ""


def _changes(
    before: list[tuple[str, Array]], after: list[tuple[str, Array]], count: int
) -> Iterator[tuple[int, str]]:
    """Yield number of the run and name of the kink where patterns differ."""
    for (name, here), (_, there) in zip(before, after, strict=True):
        same = np.broadcast_to(there, (count, *here.shape)) == here
        for k in np.flatnonzero(~same.reshape(count, -1).all(axis=1)).tolist():
            yield k, name


def _patterns(setting: Setting) -> list[tuple[str, Array]]:
    """Return on which side of each kink every net is, and who wins each maximum."""
    patterns: list[tuple[str, Array]] = []
    for unit in Walk.of(setting.network).units:
        for node in unit.nodes if unit.role == "units" else ():
            for kink in node.activation.kinks:
                side = np.sign(np.asarray(node.net) - kink)
                patterns.append((f"{node.label}: {node.activation.name} at {kink:g}", side))
            if node.aggregation == "max":
                for connection in node.upstream:
                    wins = np.broadcast_to(connection.partial, np.shape(node.net))
                    name = f"{node.label}: a tie of the maximum"
                    patterns.append((name, np.array(wins, dtype=float)))
    return patterns
