"""Strongest paths: along which connections an input reaches an output most."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from neurograph.errors import GraphError, OptionError
from neurograph.graph.network import Network
from neurograph.graph.node import Node

if TYPE_CHECKING:
    import networkx as nx

MOST = 1_000_000


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
    a delay, and those of weight 0, are left out, so no path comes by a node twice; the best paths
    to every node are found in order of calculation, which is exact for negative lengths too.

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
    import networkx as nx

    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise OptionError(f"strongest_paths: k is {k!r}; give a whole number from 1")
    start, end = (_label(network, each) for each in (source, target))
    graph = _without_delays(network, limit)
    between = (nx.descendants(graph, start) | {start}) & (nx.ancestors(graph, end) | {end})
    best: dict[str, list[Path]] = {start: [Path((start,), ())]}
    for name in nx.topological_sort(graph.subgraph(between)):
        if name == start:
            continue
        ways = (
            Path((*path.nodes, name), (*path.weights, weight))
            for before, _, weight in graph.in_edges(name, data="weight")
            for path in best.get(before, ())
        )
        best[name] = heapq.nsmallest(k, ways, key=lambda path: (-path.strength, path.nodes))
    return best.get(end, [])


def _label(network: Network, node: Any) -> str:
    found = node if isinstance(node, Node) else network.node(node)
    if found.layer.network is not network:
        raise GraphError(f"{found.label} is not a node of network {network.name!r}")
    return found.label


def _without_delays(network: Network, limit: int) -> nx.MultiDiGraph[Any]:
    """Return the network as a graph of the connections that act at once."""
    from neurograph.interop.networkx import to_networkx

    graph = to_networkx(network, limit)
    weak = [
        (up, down, key)
        for up, down, key, row in graph.edges(keys=True, data=True)
        if row["delay"] or not row["weight"]
    ]
    graph.remove_edges_from(weak)
    return graph
