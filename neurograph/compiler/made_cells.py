"""Cells made by hand: cycles of nodes that are an LSTM, a GRU or a simple recurrent layer.

The nodes are matched to the parts of a cell unit by unit, along its connections of constant weight;
the guess counts only if every connection into and out of them is the cell's own. Weights 1 and -1
count as constant where training leaves them alone: the executable sees to it that they are still
so before every run. The weights of the gates are gathered from wherever they live.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from neurograph.compiler.cells import GATES, SIMPLE_ACTIVATIONS, expected_parts
from neurograph.compiler.recognise import constant_weights
from neurograph.functions import ACTIVATIONS
from neurograph.graph.distinct import all_differ
from neurograph.graph.handmade import EdgeTable
from neurograph.graph.network import Network
from neurograph.graph.node import Node
from neurograph.graph.schedule import Stage

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MadeCell:
    """A recognised cell.

    ``nodes`` are the numbers of the hand-made nodes of each part, a unit each. It reads the nodes
    ``features`` (numbers in the network) ``late`` steps later, by ``late`` first. Edges are numbers
    in the edge table: those of ``weighted`` have their weights at ``places`` of the joint matrix of
    kernel, recurrent kernel and biases, of ``shape``; those of ``fixed`` have ``constants``;
    ``within`` are all between its own nodes.
    """

    kind: str
    delay: int
    nodes: dict[str, Indices]
    features: Indices
    late: Indices
    bias: bool
    shape: tuple[int, int]
    weighted: Indices
    places: Indices
    fixed: Indices
    constants: NDArray[np.float64]
    within: Indices

    @property
    def hidden(self) -> Indices:
        """The numbers of the nodes that others may read."""
        return self.nodes["hidden"]

    @property
    def inner(self) -> Indices:
        """The numbers of the nodes that nobody else reads."""
        rest = [nodes for part, nodes in self.nodes.items() if part != "hidden"]
        return np.concatenate(rest) if rest else np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Outline:
    kind: str
    delay: int
    bias: bool = True


@dataclass(slots=True)
class _Part:
    """What one part of a cell is, and what feeds it."""

    activation: str | None
    aggregation: str
    copies: list[tuple[str, int, float]]  # source, delay, weight
    column: int | None = None  # of the weights from outside
    recurrent: tuple[str, int, int] | None = None  # source, column, delay
    biases: tuple[int, ...] = ()  # places in the bias
    one: bool = False  # whether a ConstNode adds 1


def _parts_of(kind: str, delay: int, units: int) -> dict[str, _Part]:
    parts = {}
    for name, row in expected_parts(_Outline(kind, delay), units).items():
        activation, aggregation, links = row
        part = parts[name] = _Part(activation, aggregation, [])
        for what, source, owner, column, late in links:
            if what == "copy":
                part.copies.append((source, late, column))
            elif what == "bias" and owner is None:
                part.one = True
            elif what == "bias":
                part.biases = (*part.biases, column)
            elif source == "x":
                part.column = column
            else:
                part.recurrent = (source, column, late)
    return parts


class CellFinder:
    """Finds the cells among the hand-made nodes of a network."""

    def __init__(self, network: Network, table: EdgeTable) -> None:
        self.table = table
        self.nodes = network.handmade.nodes
        self.start = network.handmade.group.offset
        self.first_unit = network.unit_count - len(self.nodes)
        library = [layer for layer in network.all_layers if layer is not network.handmade.group]
        own = np.array([node.is_constant for node in self.nodes], dtype=bool)
        const = [np.full(layer.size, layer.role == "const") for layer in library]
        timed = [
            np.full(layer.size, layer.sequence and layer.role in ("units", "input"))
            for layer in library
        ]
        self.const = np.concatenate([*const, own])
        self.sequence = np.concatenate([*timed, np.ones_like(own)])
        self.is_output = np.zeros(len(own), dtype=bool)
        for port in network.outputs:
            if port.indices is not None:
                self.is_output[list(port.indices)] = True

    def find(self, stage: Stage) -> MadeCell | None:
        """Return the cell that the units of a stage are, or None."""
        if stage.direction == 0 or stage.units.min() < self.first_unit:
            return None
        members = np.sort(stage.units) - self.first_unit
        kinds = Counter((_name(self.nodes[n]), self.nodes[n].aggregation) for n in members)
        for kind in GATES:
            parts = _parts_of(kind, stage.direction, 1)
            if len(members) % len(parts) == 0 and _fits(kinds, list(parts.values())):
                found = _Cycle(self, members, kind, stage.direction).cell()
                if found is not None:
                    return found
        return None


def _name(node: Node) -> str:
    """Return the name of a node's activation, if it is what this package means by it."""
    activation = node.activation
    return activation.name if ACTIVATIONS.get(activation.name) is activation else ""


def _fits(kinds: Counter[tuple[str, str]], parts: Sequence[_Part]) -> bool:
    """Whether there are as many nodes of every kind as the parts of some units have."""
    units = sum(kinds.values()) // len(parts)
    if parts[0].activation is None:  # the one part of a simple layer
        return len(kinds) == 1 and next(iter(kinds)) in {(a, "sum") for a in SIMPLE_ACTIVATIONS}
    wanted = Counter((str(part.activation), part.aggregation) for part in parts)
    return kinds == Counter({kind: count * units for kind, count in wanted.items()})


class _Cycle:
    """The nodes of one cycle, taken for a cell of one kind."""

    def __init__(self, finder: CellFinder, members: Indices, kind: str, delay: int) -> None:
        self.finder, self.members, self.kind, self.delay = finder, members, kind, delay
        self.units = len(members) // len(_parts_of(kind, delay, 1))
        self.parts = _parts_of(kind, delay, self.units)
        table, start = finder.table, finder.start
        inside = np.zeros(start + len(finder.nodes), dtype=bool)
        inside[start + members] = True
        self.edges = np.flatnonzero(inside[table.downs])
        self.downs = table.downs[self.edges] - start
        self.ups, self.delays = table.ups[self.edges], table.delays[self.edges]
        self.inside, self.const = inside[self.ups], finder.const[self.ups]
        self.weights = constant_weights(
            table.parameters, table.owners[self.edges], table.addresses[self.edges]
        )
        self._read = np.flatnonzero(inside[table.ups] & ~inside[table.downs])

    def cell(self) -> MadeCell | None:
        """Return the cell, or None if the nodes are none of this kind."""
        bound = self._bind_units()
        if bound is None:
            return None
        self.part = np.full(len(self.finder.nodes), -1)
        self.unit = np.full(len(self.finder.nodes), -1)
        for number, name in enumerate(self.parts):
            self.part[bound[name]] = number
            self.unit[bound[name]] = np.arange(self.units)
        if (self.part[self.members] < 0).any() or not self._is_closed(bound["hidden"]):
            return None
        return self._joined(bound)

    # which node is which part ------------------------------------------------------------------

    def _bind_units(self) -> dict[str, Indices] | None:
        """Return the nodes of every part, a unit each."""
        seed = "gated" if self.kind == "gru_before" else "hidden"
        units = []
        for node in self.members.tolist():
            found: dict[str, int] = {}
            if self._bind(seed, node, found):
                units.append(found)
        if len(units) != self.units or any(len(each) != len(self.parts) for each in units):
            return None
        return {name: np.array([each[name] for each in units]) for name in self.parts}

    def _bind(self, name: str, node: int, found: dict[str, int]) -> bool:
        """Take a node for a part, and follow its constant connections upstream."""
        if name in found:
            return found[name] == node
        if node in found.values():
            return False
        part, it = self.parts[name], self.finder.nodes[node]
        if it.aggregation != part.aggregation or part.activation not in (None, it.activation.name):
            return False
        ups = self._copied_into(node) if part.copies else []
        if len(ups) != len(part.copies):
            return False
        for order in permutations(ups):
            trial = {**found, name: node}
            if all(
                (late, weight) == (delay, value) and self._bind(source, up, trial)
                for (source, late, weight), (up, delay, value) in zip(
                    part.copies, order, strict=True
                )
            ):
                found.update(trial)
                return True
        return False

    def _copied_into(self, node: int) -> list[tuple[int, int, float]]:
        """Return (node, delay, constant weight) of what feeds a node from inside the cycle."""
        low, high = np.searchsorted(self.downs, [node, node + 1])
        some = low + np.flatnonzero(self.inside[low:high])
        if len(some) > 2:  # no part has more
            return []
        ups = self.ups[some] - self.finder.start
        columns = (ups, self.delays[some], self.weights[some])
        return list(zip(*(each.tolist() for each in columns), strict=True))

    def _is_closed(self, hidden: Indices) -> bool:
        """Whether nobody outside reads another part than the states."""
        finder = self.finder
        readable = np.zeros(len(finder.nodes), dtype=bool)
        readable[hidden] = True
        read = finder.table.ups[self._read] - finder.start
        inner = self.members[~readable[self.members]]
        return bool(readable[read].all()) and not finder.is_output[inner].any()

    # the weights -------------------------------------------------------------------------------

    def _joined(self, bound: dict[str, Indices]) -> MadeCell | None:
        """Return the cell with the place of every weight, if all connections are the cell's."""
        part = self.part[self.downs]
        outside = ~self.inside & ~self.const
        span = len(self.finder.sequence)
        keys, found = np.unique((self.delays * span + self.ups)[outside], return_inverse=True)
        late, features = np.divmod(keys, span)
        if not len(features) or not self.finder.sequence[features].all():
            return None
        row = np.full(len(self.edges), -1)
        row[outside] = found
        columns = len(GATES[self.kind]) * self.units
        places, fixed = np.full(len(self.edges), -1), np.zeros(len(self.edges), dtype=bool)
        for k, each in enumerate(self.parts.values()):
            here = part == k
            if each.column is not None:
                some = here & outside
                places[some] = row[some] * columns + each.column + self.unit[self.downs[some]]
            if each.copies:
                fixed |= here & self.inside
            elif each.recurrent is not None:
                some = here & self.inside
                if not self._is_from(some, *each.recurrent[::2]):
                    return None
                at = len(features) + self.unit[self.ups[some] - self.finder.start]
                places[some] = at * columns + each.recurrent[1] + self.unit[self.downs[some]]
            if not self._place_constants(
                each, np.flatnonzero(here & self.const), len(features) + self.units, places, fixed
            ):
                return None
        weighted = places >= 0
        if not (weighted | fixed).all() or not all_differ(places[weighted]):
            return None
        inputs, whole = len(features) * columns, self.units * columns
        given = np.bincount(np.digitize(places[weighted], [inputs, inputs + whole]), minlength=3)
        if 2 * given[0] <= inputs or 2 * given[1] <= whole:
            return None
        rows = len(features) + self.units + (bool(given[2]) * (1 + (self.kind == "gru")))
        return MadeCell(
            self.kind, self.delay, bound, features, late, bool(given[2]), (rows, columns),
            self.edges[weighted], places[weighted], self.edges[fixed], self.weights[fixed],
            self.edges[self.inside],
        )  # fmt: skip

    def _is_from(self, some: NDArray[np.bool_], source: str, delay: int) -> bool:
        """Whether some edges from inside come from one part, with one delay."""
        wanted = list(self.parts).index(source)
        parts = self.part[self.ups[some] - self.finder.start]
        return bool((parts == wanted).all() and (self.delays[some] == delay).all())

    def _place_constants(
        self, part: _Part, edges: Indices, first: int, places: Indices, fixed: NDArray[np.bool_]
    ) -> bool:
        """Give the connections from ConstNodes into one part their places, if they fit."""
        if self.delays[edges].any():
            return False
        if part.one:
            fixed[edges] = True
            counts = np.bincount(self.unit[self.downs[edges]], minlength=self.units)
            return bool((counts == 1).all() and (self.weights[edges] == 1.0).all())
        columns = len(GATES[self.kind]) * self.units
        seen: Counter[int] = Counter()
        for edge, unit in zip(edges.tolist(), self.unit[self.downs[edges]].tolist(), strict=True):
            if seen[unit] == len(part.biases):
                return False
            places[edge] = first * columns + part.biases[seen[unit]] + unit
            seen[unit] += 1
        return True
