"""Trace: where a gradient goes wrong first, coming from the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.check.kinks import kinks_near
from neurograph.check.numeric import Net, derivatives
from neurograph.check.setting import Setting
from neurograph.graph.connection import Connection
from neurograph.graph.layer import ZEROS
from neurograph.interpret.walk import Walk

Array = NDArray[Any]
_TOGETHER = 256


def deltas_of(setting: Setting) -> dict[int, Array]:
    """Return the deltas that the last run left, by id of the node; some may have left none."""
    return {
        id(node): np.array(node.delta)
        for unit in Walk.of(setting.network).units
        if unit.role == "units" and unit.layer._delta is not ZEROS
        for node in unit.nodes
    }


def first_wrong_node(
    setting: Setting, deltas: Mapping[int, Array], method: str, tolerance: float
) -> str:
    """Return a sentence on the first node, coming from the outputs, whose delta is not -dE/d net.

    Parameters
    ----------
    setting : Setting
    deltas : mapping
        id of node -> delta, (batch,) or (batch, time).
    """
    sites = [site for site in _backward(setting) if id(site.node) in deltas]
    scale = max((float(np.abs(each).max()) for each in deltas.values()), default=0.0)
    for start in range(0, len(sites), _TOGETHER):
        part = sites[start : start + _TOGETHER]
        numeric = -derivatives(setting, part, method)
        for site, wanted in zip(part, numeric.tolist(), strict=True):
            all_steps = deltas[id(site.node)]
            here = all_steps if site.step is None else all_steps[..., site.step]
            delta = float(here.sum())
            size = max(abs(delta), abs(wanted), 1e-6 * scale)
            if abs(delta - wanted) > tolerance * size and not any(
                kinks_near(setting, [site], 1e-6)
            ):
                return _sentence(site, delta, wanted)
    return (
        "all deltas are right: what is wrong are the connections themselves, or the outputs that "
        "they carry"
    )


def _sentence(site: Net, delta: float, wanted: float) -> str:
    node = site.node
    at = "" if site.step is None else f" at step {site.step}"
    ways = f"{node.activation.name} of {node.aggregation}"
    return (
        f"the first wrong node, coming from the outputs, is {node.label} ({ways}){at}: its delta "
        f"is {delta:.9g}, it should be {wanted:.9g}; look at its activation's derivative and at "
        f"its outgoing connections"
    )


def _backward(setting: Setting) -> Iterator[Net]:
    """Yield the net inputs in the order in which deltas are calculated."""
    walk = Walk.of(setting.network)
    for stage in reversed(walk.stages):
        for pace in reversed(list(walk.paces(stage))):
            units = [
                [unit for unit in rank if unit.role == "units"] for rank in reversed(pace.ranks)
            ]
            clock = next((unit.clock for rank in units for unit in rank), None)
            if pace.direction and clock is not None:
                for step in clock.order(-pace.direction):
                    for rank in units:
                        yield from (Net(node, step) for unit in rank for node in unit.nodes)
            else:
                for rank in units:
                    for unit in rank:
                        steps = (None,) if unit.clock is None else unit.clock.order(-1)
                        yield from (Net(node, step) for step in steps for node in unit.nodes)


def wrong_step(
    setting: Setting,
    connections: Sequence[Connection],
    deltas: Mapping[int, Array],
    method: str,
) -> int | None:
    """Return the step of time at which connections' shares of a gradient are wrong most.

    The share of step t is -delta[t] * what arrives at t; numerically, it is the derivative with
    respect to the weight as it is used at that step only.
    """
    sites: list[Net] = []
    shares: list[float] = []
    setting.forward()
    for connection in connections:
        node = connection.downstream_node
        if node.layer.timeline is None or id(node) not in deltas:
            continue
        steps = node.layer.timeline.steps
        lead = (*setting.batch, steps)
        partial = 1.0 if connection.partial is None else connection.partial
        carried = np.array(np.broadcast_to(connection.arriving() * partial, lead))
        share = -deltas[id(node)] * carried
        for step in range(steps):
            sites.append(Net(node, step, carried[..., step]))
            shares.append(float(share[..., step].sum()))
    if not sites:
        return None
    off = np.abs(np.array(shares) - derivatives(setting, sites, method))
    return sites[int(off.argmax())].step
