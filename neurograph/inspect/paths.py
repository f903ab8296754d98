"""Strongest paths: along which connections an input reaches an output most."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError, OptionError
from neurograph.graph.connections import Bundle
from neurograph.graph.network import Network
from neurograph.graph.node import Node
from neurograph.interop.networkx import node_name

MOST = 10_000_000
Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Path:
    """A way through a network.

    Attributes
    ----------
    nodes : tuple of str
        Names, from the source to the target.
    weights : tuple of float
        Of the connections between them.
    """

    nodes: tuple[str, ...]
    weights: tuple[float, ...]

    @property
    def strength(self) -> float:
        """The product of the absolute weights."""
        return prod(abs(each) for each in self.weights)

    @property
    def product(self) -> float:
        """The product of the weights."""
        return prod(self.weights)

    def __str__(self) -> str:
        ways = [
            f" -({weight:.4g})-> {name}"
            for weight, name in zip(self.weights, self.nodes[1:], strict=True)
        ]
        return f"{self.product:.4g}: {self.nodes[0]}{''.join(ways)}"


def strongest_paths(
    network: Network, source: Any, target: Any, k: int = 5, *, limit: int = MOST
) -> list[Path]:
    """Return the paths from one node to another with the largest products of absolute weights.

    They are the k shortest paths where a connection is ``-log(abs(weight))`` long. Connections with
    a delay, and those of weight 0, are left out, so no path comes by a node twice. The best way on
    from every node is found against the order of calculation, which is exact for negative lengths
    too; then the paths are found in their order (Hart, Nilsson & Raphael 1968).

    Parameters
    ----------
    network : Network
    source, target : Node or str
        ``"a"``, ``"dense[3]"``.
    k : int
        At most so many paths.
    limit : int
        The most connections of a network that is searched.

    Returns
    -------
    list of Path
        The strongest first; empty if there is none.

    Raises
    ------
    GraphError
        The network is too large.
    OptionError, UnknownNameError
        k is not a positive number; there is no such node.

    Notes
    -----
    Activations are not in the product: for slopes at a sample use ``net.saliency``.

    Examples
    --------
    >>> import neurograph as ng
    >>> a, h, y = ng.InputNode("a"), ng.Node("tanh", name="h"), ng.Node(name="y")
    >>> wires = [ng.Connection(a, h, weight=3), ng.Connection(h, y, weight=-2)]
    >>> wires.append(ng.Connection(a, y, weight=1.5))
    >>> for path in strongest_paths(ng.Network(inputs=[a], outputs=[y]), "a", "y"):
    ...     print(path)
    -6: a -(3)-> h -(-2)-> y
    1.5: a -(1.5)-> y
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise OptionError(f"strongest_paths: k is {k!r}; give a whole number from 1")
    start, end = (_place(network, each) for each in (source, target))
    total = len(network.connections)
    if total > limit:
        raise GraphError(
            f"network {network.name!r} has {total:,} connections, a search may have {limit:,}; "
            f"raise limit= if there is memory for them (about 100 bytes each)"
        )
    ways = _Ways.of(network)
    found = [
        Path(
            tuple(_label(network, place) for place in (start, *ways.downs[edges].tolist())),
            tuple(ways.weights[edges].tolist()),
        )
        for edges in ways.strongest(start, end, k)
    ]
    return sorted(found, key=lambda path: (-path.strength, path.nodes))


def _place(network: Network, node: Any) -> int:
    """Return the number of a node in its network."""
    found = node if isinstance(node, Node) else network.node(node)
    if found.layer.network is not network:
        raise GraphError(f"{found.label} is not a node of network {network.name!r}")
    return found.layer.offset + found.index


def _label(network: Network, place: int) -> str:
    layer = next(each for each in reversed(network.all_layers) if each.offset <= place)
    return node_name(layer, place - layer.offset)


@dataclass(frozen=True, slots=True)
class _Ways:
    """The connections that act at once, by the number of the node that they leave.

    ``downs`` and ``weights`` have those of node ``n`` from ``starts[n]`` to ``starts[n + 1]``.
    """

    starts: Indices
    downs: Indices
    weights: Floats

    @classmethod
    def of(cls, network: Network) -> _Ways:
        """Return the connections of a network without delay and with a weight other than 0."""
        parts = [_of_bundle(bundle) for bundle in network.bundles if not bundle.delay]
        parts.append(_made_by_hand(network))
        ups, downs, weights = (np.concatenate([part[k] for part in parts]) for k in range(3))
        kept = np.flatnonzero(weights)
        kept = kept[np.argsort(ups[kept], kind="stable")]
        size = sum(layer.size for layer in network.all_layers)
        counts = np.bincount(ups[kept].astype(np.int64), minlength=size)
        starts = np.concatenate([[0], np.cumsum(counts)])
        return cls(starts, downs[kept].astype(np.int64), weights[kept])

    def leaving(self, nodes: Indices) -> tuple[Indices, Indices]:
        """Return the connections that leave some nodes, and from which of them each comes."""
        counts = self.starts[nodes + 1] - self.starts[nodes]
        first = np.repeat(self.starts[nodes] - np.cumsum(counts) + counts, counts)
        return first + np.arange(counts.sum()), np.repeat(nodes, counts)

    def levels(self) -> Iterator[Indices]:
        """Yield the nodes in an order of calculation, those that wait for the same together."""
        waiting = np.bincount(self.downs, minlength=len(self.starts) - 1)
        ready = np.flatnonzero(waiting == 0)
        while len(ready):
            yield ready
            targets, counts = np.unique(self.downs[self.leaving(ready)[0]], return_counts=True)
            waiting[targets] -= counts
            ready = targets[waiting[targets] == 0]

    def strongest(self, start: int, end: int, k: int) -> list[list[int]]:
        """Return the connections of the k strongest paths: A*, knowing the best way on."""
        gains = np.log(np.abs(self.weights))
        ahead = np.full(len(self.starts) - 1, -np.inf)  # the gain of the best way to the end
        ahead[end] = 0.0
        for nodes in reversed(list(self.levels())):
            edges, ups = self.leaving(nodes)
            np.maximum.at(ahead, ups, gains[edges] + ahead[self.downs[edges]])
        found: list[list[int]] = []
        ways: list[tuple[float, int, int, float, list[int]]] = [(-ahead[start], 0, start, 0.0, [])]
        number = 0
        while ways and len(found) < k:
            _, _, place, gain, edges_so_far = heapq.heappop(ways)
            if place == end:
                found.append(edges_so_far)
                continue
            edges = np.arange(self.starts[place], self.starts[place + 1])
            hopes = gain + gains[edges] + ahead[self.downs[edges]]
            best = np.argsort(-hopes, kind="stable")[:k]  # a further one cannot be among the k
            for edge, hope in zip(edges[best].tolist(), hopes[best].tolist(), strict=True):
                if hope > -np.inf:
                    number -= 1  # of equal ways the one begun last goes on, to come to an end
                    way = [*edges_so_far, edge]
                    following = (-hope, number, int(self.downs[edge]), gain + gains[edge], way)
                    heapq.heappush(ways, following)
        return found


def _of_bundle(bundle: Bundle) -> tuple[Indices, Indices, Floats]:
    ups, downs, addresses = bundle.edges()
    if bundle.parameter is None:
        weights = np.full(len(ups), bundle.constant, dtype=np.float64)
    else:
        weights = bundle.parameter.value.reshape(-1)[addresses].astype(np.float64)
    return ups + bundle.source.offset, downs + bundle.target.offset, weights


def _made_by_hand(network: Network) -> tuple[Indices, Indices, Floats]:
    table = network.handmade.table()
    weights = np.zeros(len(table.ups))
    for owner, parameter in enumerate(table.parameters):
        own = (table.owners == owner) & (table.delays == 0)
        weights[own] = parameter.value.reshape(-1)[table.addresses[own]]
    return table.ups, table.downs, weights
