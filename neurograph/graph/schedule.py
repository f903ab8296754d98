"""Schedule: in which order the parts of a network can be calculated.

A unit is a whole library layer or one hand-made node. Units that lie on no cycle take all time
steps at once; the units of a cycle (a strongly connected component) go step by step together,
forward in time if its delays are positive and backward if they are negative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError
from neurograph.graph.distinct import distinct

if TYPE_CHECKING:
    from neurograph.graph.network import Network

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Arcs:
    """The arcs between units: ``sources[k] -> targets[k]`` with ``delays[k]``."""

    sources: Indices
    targets: Indices
    delays: Indices

    def where(self, chosen: NDArray[np.bool_]) -> Arcs:
        """Return some of the arcs."""
        return Arcs(self.sources[chosen], self.targets[chosen], self.delays[chosen])


@dataclass(frozen=True, slots=True)
class Stage:
    """Units that are calculated together.

    ``direction`` is 0 for independent units on no cycle, 1 or -1 for the units of one cycle, which
    go through time in that direction. ``ranks`` holds unit numbers: the units of one rank need only
    earlier stages, earlier ranks and other time steps.
    """

    ranks: tuple[Indices, ...]
    direction: int

    @property
    def units(self) -> Indices:
        """All units, in order."""
        return np.concatenate(self.ranks)


def schedule(network: Network) -> list[Stage]:
    """Return the stages of a network in order of calculation.

    Units ``0 .. len(layers) - 1`` are the library layers, the rest are the hand-made nodes in
    order.

    Raises
    ------
    GraphError
        If a cycle has no delay (the message shows its path), or delays of both signs.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    arcs, count = network.arcs()

    def components(chosen: Arcs) -> tuple[int, Indices]:
        ones = np.ones(len(chosen.sources), dtype=np.int8)
        graph = coo_array((ones, (chosen.sources, chosen.targets)), shape=(count, count))
        number, labels = connected_components(graph.tocsr(), connection="strong")
        return int(number), labels.astype(np.int64)

    _refuse_instant_cycles(network, arcs.where(arcs.delays == 0), components)
    number, component = components(arcs)
    inside = component[arcs.sources] == component[arcs.targets]
    inner = arcs.where(inside)
    direction = _directions(network, inner, component, number)
    levels = _levels(component[arcs.sources[~inside]], component[arcs.targets[~inside]], number)
    members = np.split(np.argsort(component, kind="stable"), np.bincount(component).cumsum()[:-1])
    instant = inner.where(inner.delays == 0)
    stages = []
    for level in levels:
        plain = [members[c] for c in level if direction[c] == 0]
        if plain:
            stages.append(Stage((np.sort(np.concatenate(plain)),), 0))
        for c in level:
            if direction[c]:
                own = instant.where(component[instant.sources] == c)
                stages.append(Stage(_ranks(members[c], own), int(direction[c])))
    return stages


def _directions(network: Network, inner: Arcs, component: Indices, number: int) -> Indices:
    signs = np.sign(inner.delays)
    forward, backward = np.zeros(number, dtype=bool), np.zeros(number, dtype=bool)
    forward[component[inner.sources[signs > 0]]] = True
    backward[component[inner.sources[signs < 0]]] = True
    both = np.flatnonzero(forward & backward)
    if len(both):
        units = np.flatnonzero(component == both[0])
        names = ", ".join(network.unit_label(int(unit)) for unit in units[:6])
        raise GraphError(
            f"network {network.name!r}: the cycle through {names} has delays of both signs, so no "
            f"step of time can be calculated first; give all delays of one cycle the same sign"
        )
    return forward.astype(np.int64) - backward.astype(np.int64)


def _ranks(members: Indices, instant: Arcs) -> tuple[Indices, ...]:
    local = np.full(int(members.max()) + 1, -1, dtype=np.int64)
    local[members] = np.arange(len(members))
    levels = _levels(local[instant.sources], local[instant.targets], len(members))
    return tuple(np.sort(members[level]) for level in levels)


def _levels(sources: Indices, targets: Indices, count: int) -> list[Indices]:
    """Return the vertices of an acyclic graph by longest path from a root, in linear time."""
    order = np.argsort(sources, kind="stable")
    ordered_targets = targets[order]
    starts = np.searchsorted(sources[order], np.arange(count + 1))
    waiting = np.bincount(targets, minlength=count)
    frontier = np.flatnonzero(waiting == 0)
    levels = []
    while len(frontier):
        levels.append(frontier)
        lows, widths = starts[frontier], starts[frontier + 1] - starts[frontier]
        ends = widths.cumsum()
        picks = np.arange(ends[-1]) + np.repeat(lows - (ends - widths), widths)
        reached = ordered_targets[picks]
        np.subtract.at(waiting, reached, 1)
        reached = distinct(reached)
        frontier = reached[waiting[reached] == 0]
    return levels


def _refuse_instant_cycles(network: Network, instant: Arcs, components: object) -> None:
    number, labels = components(instant)  # type: ignore[operator]
    loops = instant.sources[instant.sources == instant.targets]
    counts = np.bincount(labels, minlength=number)
    if not len(loops) and counts.max(initial=0) <= 1:
        return
    if len(loops):
        path = [int(loops[0]), int(loops[0])]
    else:
        import networkx as nx

        inside = labels == int(np.argmax(counts))
        chosen = inside[instant.sources] & inside[instant.targets]
        graph = nx.DiGraph(
            zip(instant.sources[chosen].tolist(), instant.targets[chosen].tolist(), strict=True)
        )
        edges = nx.find_cycle(graph)
        path = [edges[0][0], *(edge[1] for edge in edges)]
    shown = " -> ".join(network.unit_label(unit) for unit in path)
    raise GraphError(
        f"network {network.name!r}: a cycle without delay: {shown}; give one of its connections "
        f"delay=1 so that it carries the output of the step before"
    )
