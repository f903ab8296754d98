"""Columns: which layers and hand-made nodes stand side by side in a picture of nodes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from neurograph.graph.node import ConstNode, InputNode

if TYPE_CHECKING:
    from neurograph.graph.network import Network


def unit_columns(network: Network) -> list[list[int]]:
    """Return the units of a network by column, each column in the order of the network.

    A unit is a library layer or a hand-made node. Its column is the length of the longest path to
    it, where connections that close a cycle through time do not count; inputs stand in the first
    alone. Constants and noise stand in
    the column before the first unit that they feed, below the others; outputs that feed nothing
    stand in the last column.

    Examples
    --------
    >>> from neurograph import Network
    >>> unit_columns(Network([3, 4, 2], name="net"))  # layers 0, 2, 4; their constants 1, 3
    [[0, 1], [2, 3], [4]]
    """
    arcs, count = network.arcs()
    late = _late_units(network)
    ahead = ~late[arcs.sources] & _going_ahead(network)
    first = [int(not (late[unit] or _is_input(network, unit))) for unit in range(count)]
    level = _longest_paths(arcs.sources[ahead], arcs.targets[ahead], first)
    last = int(level[~late].max(initial=0))
    feeding = set(arcs.sources[ahead].tolist())
    for port in network.outputs:
        for unit in network._units(port):
            if unit not in feeding:
                level[unit] = last
    useful = np.zeros(count, dtype=bool)
    useful[arcs.sources[late[arcs.sources]]] = True
    for unit in np.flatnonzero(late & useful).tolist():
        level[unit] = max(int(level[arcs.targets[arcs.sources == unit]].min()) - 1, 0)
    columns: list[list[int]] = [[] for _ in range(last + 1)]
    shown = [unit for unit in range(count) if useful[unit] or not late[unit]]
    for unit in sorted(shown, key=lambda unit: (bool(late[unit]), unit)):
        columns[level[unit]].append(unit)
    return columns


def _is_input(network: Network, unit: int) -> bool:
    library = network._library
    if unit < len(library):
        return library[unit].role == "input"
    return isinstance(network.handmade.nodes[unit - len(library)], InputNode)


def _late_units(network: Network) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    library = [layer.role in ("const", "noise") for layer in network._library]
    made = [isinstance(node, ConstNode) for node in network.handmade.nodes]
    return np.array(library + made, dtype=bool)


def _going_ahead(network: Network) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which arcs do not carry a value back through time within a cycle."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    arcs, count = network.arcs()
    ones = np.ones(len(arcs.sources), dtype=np.int8)
    graph = coo_array((ones, (arcs.sources, arcs.targets)), shape=(count, count)).tocsr()
    _, component = connected_components(graph, connection="strong")
    return np.asarray((component[arcs.sources] != component[arcs.targets]) | (arcs.delays == 0))


def _longest_paths(
    sources: np.ndarray[tuple[int], np.dtype[np.int64]],
    targets: np.ndarray[tuple[int], np.dtype[np.int64]],
    level: list[int],
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    count = len(level)
    below: list[list[int]] = [[] for _ in range(count)]
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        below[source].append(target)
    waiting = np.bincount(targets, minlength=count).tolist()
    ready = deque(unit for unit in range(count) if not waiting[unit])
    while ready:
        unit = ready.popleft()
        for target in below[unit]:
            level[target] = max(level[target], level[unit] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return np.array(level, dtype=np.int64)
