"""The hand-made nodes and connections of a network, and the table the compiler reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError
from neurograph.graph.connection import Connection
from neurograph.graph.connections import Connections
from neurograph.graph.layer import Layer
from neurograph.graph.node import InputNode, Node
from neurograph.parameter import Array, Parameter

if TYPE_CHECKING:
    from neurograph.graph.network import Network

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EdgeTable:
    """All hand-made connections as arrays, ordered by (downstream, upstream, delay).

    ``ups`` and ``downs`` are numbers of nodes in the network (layer offset plus index), ``owners``
    are indices in ``parameters``, ``addresses`` flat indices in that parameter.
    """

    ups: Indices
    downs: Indices
    owners: Indices
    addresses: Indices
    delays: Indices
    parameters: tuple[Parameter, ...]


class HandMade(Connections):
    """The hand-made part of a network: a group of nodes and the connections between any nodes.

    Connections are ordered upstream node by upstream node. Their own weights live in one parameter,
    in the order of the table.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.group = Layer((0,), kind="nodes", role="group")
        self.anchors: dict[int, Node] = {}  # nodes of library layers with hand-made connections
        self.weights: Parameter | None = None
        self._table: EdgeTable | None = None
        self._connections: list[Connection] = []

    @property
    def nodes(self) -> list[Node]:
        """The hand-made nodes, in order."""
        assert self.group.members is not None
        return self.group.members

    def add_nodes(self, nodes: Iterable[Node]) -> None:
        """Take nodes into the group, with their hand-made neighbours' lists as they are."""
        nodes = list(nodes)
        for node in nodes:
            if node._layer is not None and node._layer.network is not None:
                raise GraphError(
                    f"node {node.label!r} already belongs to network "
                    f"{node._layer.network.name!r}; make new nodes for another network"
                )
        for node in nodes:
            node._layer, node._index = self.group, len(self.nodes)
            self.nodes.append(node)
        self.group.size = len(self.nodes)
        self.group.shape = (self.group.size,)
        self.changed()

    def give_back(self) -> None:
        """Make nodes and connections loose again."""
        for connection in self._connections:
            if connection._parameter is self.weights:
                connection._parameter, connection._index = None, 0
        for node in [*self.nodes, *self.anchors.values()]:
            node._wiring = None
        for node in self.nodes:
            node._layer, node._index = None, 0

    def anchor(self, node: Node) -> None:
        """Keep a node of a library layer alive, since it has hand-made connections."""
        if node._layer is not self.group:
            self.anchors[id(node)] = node
            node._wiring = None

    def changed(self) -> None:
        """Note that nodes or connections came or went."""
        self._table = None
        self.network.version.number += 1

    @property
    def connections(self) -> list[Connection]:
        """The connections in the order of the table."""
        self.table()
        return self._connections

    def table(self) -> EdgeTable:
        """Return the edge table; after a change, weights move to their new addresses first."""
        if self._table is None:
            self._table = self._settle()
        return self._table

    def _settle(self) -> EdgeTable:
        owners_of = [*self.nodes, *self.anchors.values()]
        found = list(chain.from_iterable(node._upstream for node in owners_of))
        count = len(found)

        def gather(what: str, items: list[Connection] = found) -> Indices:
            return np.fromiter(map(attrgetter(what), items), dtype=np.int64, count=count)

        ups = gather("upstream_node._layer.offset") + gather("upstream_node._index")
        downs = gather("downstream_node._layer.offset") + gather("downstream_node._index")
        delays = gather("delay")
        order = np.lexsort((delays, ups, downs))
        connections = [found[k] for k in order.tolist()]
        for node, own in groupby(connections, key=attrgetter("downstream_node")):
            node._upstream[:] = own  # so that "the first" connection is the same for everybody
            node._wiring = None
        owners, parameters = self._settle_weights(connections)
        addresses = gather("_index", connections)
        self._connections = connections
        return EdgeTable(
            ups[order], downs[order], owners, addresses, delays[order], tuple(parameters)
        )

    def _settle_weights(self, connections: list[Connection]) -> tuple[Indices, list[Parameter]]:
        parameters: list[Parameter] = []
        owners, old = np.zeros(len(connections), dtype=np.int64), self.weights
        used = [connection._parameter for connection in connections]
        own = connections
        if set(used) != {None}:
            places: dict[Parameter, int] = {}
            for k, parameter in enumerate(used):
                if parameter is not None and parameter is not old:
                    owners[k] = places.setdefault(parameter, len(places)) + 1
            parameters = list(places)
            own = [
                each for each, owner in zip(connections, owners.tolist(), strict=True) if not owner
            ]
        if not own:
            self.weights = None
            return owners - 1, parameters
        loose = own is connections
        names = (
            ("_weight", "_gradient", "_trainable") if loose else ("weight", "gradient", "trainable")
        )
        dtype = np.float64 if old is None else old.value.dtype
        values, gradients, trainable = (
            np.fromiter(map(attrgetter(name), own), dtype=dtype, count=len(own)) for name in names
        )
        frozen = trainable == 0
        weights = Parameter(values, name="connections/weight")
        weights._bind(values, gradients)
        weights.version = self.network.version
        weights.frozen = frozen if frozen.any() else None
        if old is not None:
            weights._regularizer = old.regularizer
            weights._learning_rate_factor = _factors(old, own)
        for index, connection in enumerate(own):
            connection._parameter, connection._index = weights, index
        self.weights = weights
        return owners, [weights, *parameters]

    def __len__(self) -> int:
        return len(self.table().ups)

    def __iter__(self) -> Iterator[Connection]:
        yield from self.at(range(len(self)))

    def at(self, places: Sequence[int]) -> list[Connection]:
        """Return the connections with these numbers, upstream node by upstream node."""
        connections, table = self.connections, self.table()
        order = np.lexsort((table.delays, table.downs, table.ups))
        return [connections[k] for k in order[np.asarray(places, dtype=np.int64)].tolist()]


def _factors(old: Parameter, own: list[Connection]) -> float | Array:
    """Return the learning-rate factors of connections at their new addresses; new ones have 1."""
    if not isinstance(old.learning_rate_factor, np.ndarray):
        return old.learning_rate_factor
    kept = old.learning_rate_factor.reshape(-1)
    return np.array([kept[each._index] if each._parameter is old else 1.0 for each in own])


def collect(seeds: Iterable[Node]) -> list[Node]:
    """Return the hand-made nodes connected in any way to the given ones: inputs, then the rest.

    Inputs keep the order in which they are given; other nodes come in the order they were made.
    """
    given = list(dict.fromkeys(seeds))
    seen = {id(node): node for node in given}
    stack = list(given)
    while stack:
        node = stack.pop()
        for connection in node._upstream:
            other = connection.upstream_node
            if id(other) not in seen:
                seen[id(other)] = other
                stack.append(other)
        for connection in node._downstream:
            other = connection.downstream_node
            if id(other) not in seen:
                seen[id(other)] = other
                stack.append(other)
    inputs = [node for node in given if isinstance(node, InputNode)]
    first = {id(node) for node in inputs}
    rest = sorted((n for key, n in seen.items() if key not in first), key=lambda n: n.serial)
    return inputs + rest
