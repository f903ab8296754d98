"""Sites: which weights and inputs a gradient check looks at, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from neurograph.check.numeric import InputValue, Net, Site, Weight
from neurograph.check.setting import Setting
from neurograph.errors import OptionError, short
from neurograph.graph.connection import Connection
from neurograph.graph.network import Network

_OPERATIONS = {"complex": 1e8, "central": 3e7}  # connections times sites times samples: a second
_COMPILED = 200


def weight_sites(network: Network) -> list[Weight]:
    """Return the weights that training may change, parameter by parameter."""
    return [
        Weight(parameter, index)
        for parameter in network.parameters.values()
        if parameter.trainable
        for index in range(parameter.size)
        if parameter.frozen is None or not parameter.frozen.reshape(-1)[index]
    ]


def input_sites(setting: Setting) -> list[InputValue]:
    """Return all input values of the setting but indices of embeddings, which have no slope."""
    return [
        InputValue(number, place)
        for number, (port, values) in enumerate(zip(setting.network.inputs, setting.x, strict=True))
        if "indices" not in port.layer.config
        for place in np.ndindex(values.shape)
    ]


def choose(
    setting: Setting,
    sites: Sequence[Site],
    samples: int | Literal["all"] | None,
    method: str,
    explicit: bool,
    rng: np.random.Generator,
) -> list[Site]:
    """Return some of the sites, at least one of every parameter, in order.

    Raises
    ------
    OptionError
        If ``samples`` is not a whole number above 0, "all" or None.
    """
    if samples == "all":
        return list(sites)
    if samples is None:
        samples_and_steps = setting.x[0].size // int(np.prod(setting.network.inputs[0].shape))
        one_run = len(setting.network.connections) * max(1, samples_and_steps)
        most = max(50, int(_OPERATIONS[method] / max(1, one_run))) if explicit else _COMPILED
    elif isinstance(samples, (int, np.integer)) and not isinstance(samples, bool) and samples > 0:
        most = int(samples)
    else:
        raise OptionError(
            f"gradient_check: samples is {short(samples)}; give a number above 0 or 'all'"
        )
    if len(sites) <= most:
        return list(sites)
    groups: dict[Any, list[int]] = {}
    for number, site in enumerate(sites):
        key = id(site.parameter) if isinstance(site, Weight) else "inputs"
        groups.setdefault(key, []).append(number)
    picked = {int(rng.choice(numbers)) for numbers in groups.values()}
    rest = np.array([number for number in range(len(sites)) if number not in picked])
    more = max(0, most - len(picked))
    picked.update(rng.choice(rest, size=min(more, len(rest)), replace=False).tolist())
    return [sites[number] for number in sorted(picked)]


class Names:
    """What sites are called: by their connection, or by parameter and index.

    Parameters
    ----------
    setting : Setting
    with_connections : bool
        Whether to go through all connections of the network once.
    """

    def __init__(self, setting: Setting, *, with_connections: bool) -> None:
        self.network = setting.network
        self._connections: dict[tuple[int, int], list[Connection]] = {}
        if with_connections:
            for connection in setting.network.connections:
                if connection.parameter is not None:
                    address = (id(connection.parameter), connection.index)
                    self._connections.setdefault(address, []).append(connection)

    def connections(self, site: Site) -> list[Connection]:
        """Return the connections that use a weight."""
        if not isinstance(site, Weight):
            return []
        return self._connections.get((id(site.parameter), site.index), [])

    def of(self, site: Site) -> str:
        """Return a name: ``"a -> h"``, ``"w (3 connections)"``, ``"conv2d/kernel[0, 2, 0, 1]"``."""
        if isinstance(site, Net):
            return f"net of {site.node.label}"
        if isinstance(site, InputValue):
            port = self.network.inputs[site.port]
            return f"input {port.name} at {_place(site.place)}"
        connections = self.connections(site)
        if len(connections) == 1:
            return connections[0].label
        place = [int(each) for each in np.unravel_index(site.index, site.parameter.shape)]
        name = f"{site.parameter.name}{_place(place) if place else ''}"
        return f"{name} ({len(connections):,} connections)" if connections else name


def _place(place: Sequence[int]) -> str:
    return f"[{', '.join(str(each) for each in place)}]"
