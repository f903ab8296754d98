"""Wires: the connections between the nodes of a picture, and the numbers that give them width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurograph.parameter import Parameter
from neurograph.render.options import Options
from neurograph.render.scene import Disc, Scene, Wire

if TYPE_CHECKING:
    from neurograph.graph.network import Network

Flat = NDArray[Any]


class Strengths:
    """The numbers that give connections their width: weights, gradients, or those of a snapshot.

    Parameters
    ----------
    what : {"weight", "gradient"}
    snapshot : mapping, optional
        Flat arrays of other weights, by ``id(parameter)``.
    """

    def __init__(self, what: str, snapshot: Mapping[int, Flat] | None = None) -> None:
        self.what = what
        self.snapshot = snapshot or {}

    def of(self, parameter: Parameter | None, addresses: Any, constant: float) -> list[float]:
        """Return the numbers at some addresses of a parameter."""
        if parameter is None:
            return [0.0 if self.what == "gradient" else constant] * len(addresses)
        if id(parameter) in self.snapshot:
            flat = self.snapshot[id(parameter)]
        elif self.what == "gradient":
            flat = parameter.gradient.reshape(-1)
        else:
            flat = parameter.value.reshape(-1)
        return [float(each) for each in flat[np.asarray(addresses, dtype=np.int64)]]


def add_wires(network: Network, scene: Scene, options: Options) -> None:
    """Find the connections between the nodes of a scene; keep the strongest, as options say."""
    strengths = Strengths(options.strength)
    found = [*_library_wires(scene, strengths), *_handmade_wires(network, scene, strengths)]
    scene.between = len(found)
    scene.wires = strongest(found, options)


def strongest(found: list[Wire], options: Options) -> list[Wire]:
    """Return the connections that ``threshold`` and ``top`` leave, in the order given."""
    if options.threshold is not None:
        found = [wire for wire in found if abs(wire.strength) >= options.threshold]
    if options.top is not None and len(found) > options.top:
        order = np.argsort([-abs(wire.strength) for wire in found], kind="stable")
        found = [found[k] for k in sorted(order[: options.top].tolist())]
    return found


def _library_wires(scene: Scene, strengths: Strengths) -> list[Wire]:
    at: dict[int, dict[int, Disc]] = {}
    for disc in scene.discs:
        at.setdefault(id(disc.layer), {})[disc.index] = disc
    found: list[Wire] = []
    for disc in scene.discs:
        for bundle in disc.layer.incoming:
            here = at.get(id(bundle.source), {})
            ups, addresses = bundle.into(disc.index)
            kept = np.flatnonzero(np.isin(ups, list(here)))
            chosen, parameter = addresses[kept], bundle.parameter
            numbers = strengths.of(parameter, chosen, bundle.constant)
            for up, address, number in zip(
                ups[kept].tolist(), chosen.tolist(), numbers, strict=True
            ):
                free = parameter is not None and parameter.is_trainable_at(address)
                found.append(Wire(here[up], disc, parameter, address, bundle.delay, number, free))
    return found


def _handmade_wires(network: Network, scene: Scene, strengths: Strengths) -> list[Wire]:
    table = network.handmade.table()
    at = {disc.layer.offset + disc.index: disc for disc in scene.discs}
    shown: Sequence[int] = list(at)
    found = []
    for k in np.flatnonzero(np.isin(table.ups, shown) & np.isin(table.downs, shown)).tolist():
        parameter = table.parameters[int(table.owners[k])]
        address = int(table.addresses[k])
        (number,) = strengths.of(parameter, [address], 1.0)
        up, down = at[int(table.ups[k])], at[int(table.downs[k])]
        free = parameter.is_trainable_at(address)
        found.append(Wire(up, down, parameter, address, int(table.delays[k]), number, free))
    return found
