"""Walk: a network made ready to be run node by node, and the order in which that goes.

Nodes on no cycle take all steps of time at once; those of a cycle through time, and masked ones, go
step by step; in a stepwise run all do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import ShapeError
from neurograph.graph.connection import Connection
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.node import ConstNode, InputNode, Node
from neurograph.graph.schedule import Stage
from neurograph.graph.states import state_for
from neurograph.interpret.clock import Clock, clocks
from neurograph.interpret.passages import passage_of

Array = NDArray[Any]


@dataclass(slots=True, eq=False)
class Unit:
    """What is calculated together: all nodes of a library layer, or one hand-made node.

    Attributes
    ----------
    layer : Layer
        The layer, or the group that the hand-made node belongs to.
    nodes : list of Node
    role : str
        units, input, const or noise; only units have something to calculate.
    clock : Clock or None
        None outside of time.
    begins : list of Layer
        Sequences whose initial state the unit gives.
    initial : None, float, ndarray or Layer
        The initial state of this run.
    mask : ndarray or None
        For every sample and step of this run, (leading axes, time): 0 where it does not count.
    """

    layer: Layer
    nodes: list[Node]
    role: str
    clock: Clock | None
    begins: list[Layer] = field(default_factory=list)
    initial: Any = None
    mask: Array | None = None

    @property
    def function(self) -> Any:
        """The whole-layer function, if there is one."""
        return self.layer.function

    def counts(self, step: int) -> Array:
        """Return for which samples a step of a masked unit counts."""
        assert self.mask is not None
        return np.asarray(self.mask[..., step] != 0)


@dataclass(slots=True)
class Pace:
    """Units that go through their stage alike: direction 0 means all steps of time at once."""

    ranks: list[list[Unit]]
    direction: int


class Walk:
    """A network ready to be walked. ``Walk.of(network)`` keeps it until the structure changes.

    It holds every node and connection, so that their handles are made once.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.version = network.version.number
        self.stages = network.stages()
        self.clocks = clocks(network)
        self.units = self._make_units()
        self.with_partials: list[Connection] = []
        functions = [each.function for each in network.all_layers if each.function is not None]
        others = {id(each) for function in functions for each in function.parameters.values()}
        used = {id(p): p for p in network.parameters.values() if id(p) not in others}
        directions = {
            id(node): stage.direction
            for stage in self.stages
            for unit in stage.units.tolist()
            for node in self.units[unit].nodes
        }
        for node in (node for unit in self.units for node in unit.nodes):
            _ = node.downstream  # remembered by the node, so that no handle dies between runs
            for connection in node.upstream:
                if connection.parameter is not None:
                    used[id(connection.parameter)] = connection.parameter
                if node.aggregation != "sum":
                    self.with_partials.append(connection)
                if self.clocks or connection.delay:
                    connection.passage = passage_of(connection, directions[id(node)])
        self.parameters = list(used.values())
        self.batch: tuple[int, ...] = ()
        self.training = False
        self.stepwise = False
        self.seen: Any = None  # the inputs whose values the nodes hold

    @classmethod
    def of(cls, network: Network) -> Walk:
        """Return the walk of a network, made anew after every change of its structure."""
        walk = network._walk
        if not isinstance(walk, Walk) or walk.version != network.version.number:
            walk = network._walk = cls(network)
        return walk

    def _make_units(self) -> list[Unit]:
        clock_of = {id(layer): clock for clock in self.clocks for layer in clock.layers}
        units: list[Unit] = []
        library = [layer for layer in self.network.all_layers if layer.role != "group"]
        for layer in library:
            nodes = [layer.own_node(index) for index in range(layer.size)]
            begins = [other for other in library if other.initial is layer]
            units.append(Unit(layer, nodes, layer.role, clock_of.get(id(layer)), begins))
        group = self.network.handmade.group
        for node in self.network.handmade.nodes:
            given = {InputNode: "input", ConstNode: "const"}.get(type(node), "units")
            units.append(Unit(group, [node], given, clock_of.get(id(group))))
        return units

    def set_initial(self, given: Mapping[int, Any]) -> None:
        """Choose the initial states of a run: those given by id of layer or node, or their own."""
        for unit in self.units:
            if unit.layer.role == "group":
                unit.initial = given.get(id(unit.nodes[0]), unit.nodes[0].initial)
            else:
                unit.initial = given.get(id(unit.layer), self._own_initial(unit.layer))

    def _own_initial(self, layer: Layer) -> Any:
        samples = self.batch[-1] if self.batch else 1
        state = state_for(layer, samples) if layer.stateful else None
        if state is None:
            return layer.initial
        return state if self.batch else state[0]

    def set_masks(self, mask: Any) -> None:
        """Choose the masks of a run: the layers' own, and one for all cycles through time."""
        common = None if mask is None else np.asarray(mask, dtype=np.float64)
        for stage in self.stages:
            for unit in self._units(stage.units):
                unit.mask = None
                if unit.clock is None or unit.role != "units":
                    continue
                if unit.layer.mask is not None:
                    unit.mask = unit.layer.mask.timeline.output[0]  # filled before it is needed
                elif common is not None and stage.direction:
                    if common.shape != (*self.batch, unit.clock.steps):
                        raise ShapeError(
                            f"network {self.network.name!r}: the mask has shape {common.shape}, "
                            f"expected {(*self.batch, unit.clock.steps)}"
                        )
                    unit.mask = common

    def _units(self, numbers: Any) -> list[Unit]:
        return [self.units[number] for number in numbers.tolist()]

    def paces(self, stage: Stage) -> Iterator[Pace]:
        """Yield the units of a stage: together, but masked ones on no cycle one by one."""
        if stage.direction:
            yield Pace([self._units(rank) for rank in stage.ranks], stage.direction)
            return
        units = self._units(stage.units)
        slow = [unit for unit in units if unit.mask is not None or (unit.clock and self.stepwise)]
        yield Pace([[unit for unit in units if unit not in slow]] if slow else [units], 0)
        for unit in slow:
            yield Pace([[unit]], 1)
