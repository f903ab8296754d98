"""Connections: collections of connections, and the bundles between two layers.

A bundle has two forms. It enumerates, as edges (upstream index, downstream index, address), from
which it makes explicit ``Connection`` objects when they are touched; and the compiler lowers its
type to matrix form. Nothing here is proportional to the number of connections except an explicit
loop.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, islice
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import GraphError, OptionError, short
from neurograph.graph.connection import Connection, first_passage
from neurograph.parameter import Parameter

if TYPE_CHECKING:
    from neurograph.graph.layer import Layer

Indices = NDArray[np.int64]
NO_EDGES: Indices = np.empty(0, dtype=np.int64)


class Connections(ABC):
    """A collection of connections: its exact number, and the connections in a stated order.

    Examples
    --------
    >>> import neurograph as ng
    >>> net = ng.Network([2, 3, 1])
    >>> len(net.connections), net.connections[0].label, net.connections[-1].label
    (13, '(0-0) -> (1-0)', '(1-3) -> (2-0)')
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Connection]: ...

    @abstractmethod
    def at(self, places: Sequence[int]) -> list[Connection]:
        """Return the connections with these numbers in that order, from 0 on."""

    def __getitem__(self, index: Any) -> Any:
        """Return a connection by its number, or a list of them for a slice."""
        count = len(self)
        if isinstance(index, slice):
            return self.at(range(count)[index])
        try:
            place = operator.index(index)
        except TypeError:
            raise OptionError(
                f"connections[{short(index)}]: give a whole number or a slice; network.find('a->b')"
                f" finds a connection by its nodes"
            ) from None
        if not -count <= place < count:
            raise IndexError(f"there are {count:,} connections, there is no number {place}")
        return self.at([place % count])[0]

    def remove(self, connection: Connection) -> None:
        """Take one connection out."""
        raise GraphError(f"{connection.label}: remove it with connection.remove()")

    def step_of(self, up: int, down: int) -> int | None:
        """Return the one step of time at which an edge is there, None if it is there at all."""
        return None

    def dump(self, limit: int = 100) -> str:
        """Return one line a connection, the first ``limit`` of them."""
        lines = [str(connection) for connection in islice(self, limit)]
        if len(self) > limit:
            lines.append(f"… {len(self) - limit:,} more")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.dump(20)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self):,}>"


class Bundle(Connections):
    """The connections from one layer to another, all with one delay.

    Parameters
    ----------
    source, target : Layer
        The bundle is appended to ``target.incoming``.
    parameter : Parameter or None
        Where the weights live; None means that every weight is the constant ``constant``.
    delay : int
        Steps of time.
    """

    constant = 1.0
    reverses = False  # whether step t of the target reads step T - 1 - t of the source
    along_trees = False  # whether steps are nodes of a tree, and it joins a node to its children

    def __init__(
        self, source: Layer, target: Layer, parameter: Parameter | None, delay: int = 0
    ) -> None:
        self.source = source
        self.target = target
        self.parameter = parameter
        self.delay = delay
        self._handles: WeakValueDictionary[tuple[int, int], Connection] = WeakValueDictionary()
        target.incoming.append(self)

    # to be given by each type -----------------------------------------------------------------

    @abstractmethod
    def into(self, down: int) -> tuple[Indices, Indices]:
        """Return upstream indices and weight addresses of the connections into a node."""

    @abstractmethod
    def out_of(self, up: int) -> tuple[Indices, Indices]:
        """Return downstream indices and weight addresses of the connections out of a node."""

    # what follows from them --------------------------------------------------------------------

    def edges(self) -> tuple[Indices, Indices, Indices]:
        """Return upstream indices, downstream indices and addresses of all, upstream-major."""
        rows = [self.out_of(up) for up in range(self.source.size)]
        counts = [len(down) for down, _ in rows]
        ups = np.repeat(np.arange(self.source.size, dtype=np.int64), counts)
        downs = np.concatenate([down for down, _ in rows] or [NO_EDGES])
        addresses = np.concatenate([address for _, address in rows] or [NO_EDGES])
        return ups, downs, addresses

    def matrix(self) -> NDArray[np.float64]:
        """Return the weights as a dense matrix, shape (source size, target size)."""
        ups, downs, addresses = self.edges()
        weights = np.zeros((self.source.size, self.target.size))
        if self.parameter is None:
            weights[ups, downs] = self.constant
        else:
            np.add.at(weights, (ups, downs), self.parameter.value.reshape(-1)[addresses])
        return weights

    def __len__(self) -> int:
        return sum(len(self.out_of(up)[0]) for up in range(self.source.size))

    def __iter__(self) -> Iterator[Connection]:
        for up in range(self.source.size):
            yield from self.connections_out_of(up)

    def at(self, places: Sequence[int]) -> list[Connection]:
        """Return the connections with these numbers, upstream-major."""
        ends, found, last = np.cumsum(self.fan_outs()), [], -1
        for place in places:
            up = int(np.searchsorted(ends, place, side="right"))
            if up != last:
                last, (downs, addresses) = up, self.out_of(up)
            k = place - int(ends[up])  # from the end
            found.append(self.connection(up, int(downs[k]), int(addresses[k])))
        return found

    def fan_outs(self) -> Indices:
        """Return the number of connections out of each node of the source."""
        counts = [len(self.out_of(up)[0]) for up in range(self.source.size)]
        return np.array(counts, dtype=np.int64)

    def connections_into(self, down: int) -> list[Connection]:
        """Return the connections into a node of the target, by upstream index."""
        ups, addresses = self.into(down)
        return [
            self.connection(up, down, address)
            for up, address in zip(ups.tolist(), addresses.tolist(), strict=True)
        ]

    def connections_out_of(self, up: int) -> list[Connection]:
        """Return the connections out of a node of the source, by downstream index."""
        downs, addresses = self.out_of(up)
        return [
            self.connection(up, down, address)
            for down, address in zip(downs.tolist(), addresses.tolist(), strict=True)
        ]

    def connection(self, up: int, down: int, address: int) -> Connection:
        """Return the one object for an edge, made when it is first asked for."""
        handle = self._handles.get((up, down))
        if handle is None:
            handle = Connection.__new__(Connection)
            handle._upstream = self.source.own_node(up)
            handle._downstream = self.target.own_node(down)
            handle._delay = self.delay
            handle.partial = None
            handle.passage = first_passage(handle._upstream, self.delay)
            handle._bundle = self
            handle._parameter = self.parameter
            handle._index = address
            handle._gradient = 0.0
            handle._trainable = self.parameter is not None
            handle._weight = self.constant
            self._handles[up, down] = handle
        elif handle._index != address and self.parameter is not None:
            raise GraphError(
                f"{handle.label}: the {type(self).__name__} give this connection two different "
                f"weights, {handle._index} and {address} of {self.parameter.name!r}"
            )
        return handle

    def remove(self, connection: Connection) -> None:
        """Take one connection out; bundles that cannot, become an explicit table first."""
        network = self.target.network
        if network is None:
            raise GraphError(f"{connection.label}: put the layer into a network before removing")
        network.explode(self).remove(connection)

    def moved(self, connection: Connection, up: int, down: int) -> None:
        """Take over a handle of the bundle that this one replaces."""
        connection._bundle = self
        self._handles[up, down] = connection

    def handles(self) -> list[tuple[tuple[int, int], Connection]]:
        """Return the handles that are in use, with their (up, down)."""
        return list(self._handles.items())

    @property
    def label(self) -> str:
        """``source -> target``."""
        late = f" [delay {self.delay}]" if self.delay else ""
        ends = (layer.name or layer.kind for layer in (self.source, self.target))
        return f"{' -> '.join(ends)}{late}"

    def describe(self) -> dict[str, Any]:
        """Return what, beside source, target, delay and parameter, rebuilds it (JSON values)."""
        return {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}, {len(self):,} connections>"


class AllConnections(Connections):
    """Several collections one after the other."""

    def __init__(self, parts: Sequence[Connections]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __iter__(self) -> Iterator[Connection]:
        for part in self._parts:
            yield from part

    def at(self, places: Sequence[int]) -> list[Connection]:
        """Return the connections with these numbers, part by part."""
        ends, found = list(accumulate(len(part) for part in self._parts)), []
        for number, some in groupby(places, key=lambda place: bisect_right(ends, place)):
            part = self._parts[number]
            found += part.at([place - ends[number] + len(part) for place in some])
        return found
