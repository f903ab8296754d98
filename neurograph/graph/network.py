"""Network: layers, bundles and hand-made nodes with named inputs and outputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurograph.errors import (
    GraphError,
    NeurographError,
    OptionError,
    UnknownNameError,
    short,
    unknown,
)
from neurograph.graph.bundles import TableConnections
from neurograph.graph.connection import Connection
from neurograph.graph.connections import AllConnections, Bundle, Connections
from neurograph.graph.ends import Names, depth_of, ends_of, upstream_layers
from neurograph.graph.handmade import HandMade, collect
from neurograph.graph.layer import Layer
from neurograph.graph.node import ConstNode, InputNode, Node
from neurograph.graph.prune import prune_bundle
from neurograph.graph.schedule import Arcs, Stage, schedule
from neurograph.graph.tutorial import TutorialLayer
from neurograph.graph.verbs import NetworkVerbs
from neurograph.options import random_generator, text
from neurograph.parameter import Parameter, Version
from neurograph.words import count

Recipe = Callable[[Layer], Layer]
_ARROW = re.compile(r"\s*->\s*")
_DELAY = re.compile(r"\s*\[delay (-?\d+)\]$")


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a network: a whole layer, or some hand-made nodes of the group."""

    layer: Layer
    indices: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample (one step of it, for a sequence)."""
        return self.layer.shape if self.indices is None else (len(self.indices),)

    @property
    def name(self) -> str:
        """The layer's name, or those of the nodes."""
        if self.indices is None:
            return self.layer.name
        return ", ".join(self.layer.own_node(index).label for index in self.indices[:5])


class Network(NetworkVerbs):
    """A network of nodes and connections.

    Parameters
    ----------
    layers : sequence, optional
        Sizes (``[2, 3, 1]``: fully connected sigmoid layers), or an input layer and recipes of
        ``neurograph.layers``, applied one after the other.
    inputs, outputs : Layer, Node, or sequence of them
        Instead: any graph, made by hand or by calling recipes. All that is connected belongs to it.
    name : str
    seed : int, numpy.random.Generator or None
        For the initial weights.

    Raises
    ------
    GraphError
        For a cycle without delay, nodes of another network, a duplicate name, an output that no
        input reaches.

    Examples
    --------
    >>> net = Network([3, 4, 2])
    >>> len(net.connections)
    26
    >>> print(net)
    network: 3 -> 2, 2 layers with weights, 26 connections, 26 parameters
    """

    def __init__(
        self,
        layers: Sequence[Any] | None = None,
        *,
        inputs: Any = None,
        outputs: Any = None,
        name: str = "network",
        seed: int | np.random.Generator | None = None,
    ) -> None:
        self._begin(name, seed)
        inputs, outputs = ends_of(layers, inputs, outputs)
        self._gather(inputs, outputs)
        try:
            self.inputs = self._ports(inputs)
            self.outputs = self._ports(outputs)
            self._name_all()
            self._check_reach()
        except NeurographError:
            self._give_back()
            raise
        self._seed_parameters()

    # building ---------------------------------------------------------------------------------

    def _begin(self, name: str, seed: int | np.random.Generator | None) -> None:
        self.name = text("Network: name", name or "network")
        self.version = Version()
        self.generator = random_generator("Network: seed", seed)
        self.handmade = HandMade(self)
        self.arena: Any = None
        self.descent: Any = None
        self._walk: Any = None
        self._sample: Any = None  # what the last prediction was given
        self.gradients_due = False  # whether deltas are newer than gradients
        self._stages: tuple[int, list[Stage]] | None = None
        self._named: dict[str, Node] = {}
        self._node_names = Names()

    @classmethod
    def assembled(
        cls,
        name: str,
        layers: list[Layer],
        nodes: Sequence[Node],
        *,
        wired: Sequence[Node],
        weights: Parameter | None,
        inputs: list[Layer | Node],
        outputs: list[Layer | Node],
    ) -> Network:
        """Make a network of parts that were one before: the way back from a file.

        Layers and hand-made nodes keep their order, and nothing is gathered or left out, since an
        edited network may hold nodes that nothing reaches any more. ``wired`` are the nodes of
        library layers that have hand-made connections, ``weights`` the parameter in which the
        hand-made connections' own weights live.
        """
        network = cls.__new__(cls)
        network._begin(name, None)
        network.handmade.weights = weights
        network._take_in(layers, nodes, wired)
        network.inputs, network.outputs = network._ports(inputs), network._ports(outputs)
        network._name_all()
        network._seed_parameters()
        return network

    def _gather(self, inputs: list[Any], outputs: list[Any]) -> None:
        ends = [*inputs, *outputs]
        nodes = collect(end for end in ends if isinstance(end, Node))
        loose = [node for node in nodes if node._layer is None or node._layer.kind == "node"]
        wired = [node for node in nodes if node._layer is not None and node._layer.kind != "node"]
        layers = upstream_layers(
            [end for end in ends if isinstance(end, Layer)] + [node.layer for node in wired]
        )
        foreign = next((layer for layer in layers if layer.network is not None), None)
        if foreign is not None and foreign.network is not None:
            raise GraphError(
                f"layer {foreign.name!r} already belongs to network {foreign.network.name!r}; "
                f"call the recipes again to make new layers"
            )
        self._take_in(layers, loose, wired)

    def _take_in(self, layers: list[Layer], loose: Sequence[Node], wired: Sequence[Node]) -> None:
        self.handmade.add_nodes(loose)
        self.all_layers: list[Layer] = layers
        if loose:
            self.all_layers.append(self.handmade.group)
        offset = 0
        for layer in self.all_layers:
            layer.network = self
            layer.offset = offset
            offset += layer.size
            for bundle in layer.incoming:
                bundle.source.outgoing.append(bundle)
        for node in wired:
            self.handmade.anchor(node)
        self._spread_time()

    def _give_back(self) -> None:
        """Let go of all that was taken in, for the network that is made of it in the next try."""
        for layer in self.all_layers:
            layer.network = None
            layer.outgoing.clear()
        self.handmade.give_back()

    def _spread_time(self) -> None:
        """Give hand-made nodes a time axis where delays or sequences of layers call for one."""
        group = self.handmade.group
        table = self.handmade.table()
        reads = any(
            node._layer is not None
            and node._layer.sequence
            and any(each.downstream_node._layer is group for each in node._downstream)
            for node in self.handmade.anchors.values()
        )
        if group.size and (reads or bool(table.delays.any())):
            group.sequence = True

    def _check_time(self) -> None:
        """Refuse hand-made connections whose ends do not agree about time."""
        table = self.handmade.table()
        if not len(table.ups):
            return
        timed = np.repeat([x.sequence for x in self.all_layers], [x.size for x in self.all_layers])
        ups, downs = timed[table.ups], timed[table.downs]
        for wrong, why in (
            (ups & ~downs, "has no time axis and cannot read a sequence; take one step of it"),
            (~ups & ~downs & (table.delays != 0), "has no time axis, so a delay means nothing"),
        ):
            if wrong.any():
                connection = self.handmade.connections[int(np.flatnonzero(wrong)[0])]
                name = connection.downstream_node.layer.name
                raise GraphError(f"{connection.label}: {name!r} {why}, or make both sequences")

    def _ports(self, ends: list[Any]) -> list[Port]:
        ports: list[Port] = []
        indices: list[int] = []
        for end in ends:
            if isinstance(end, Layer):
                ports.append(Port(end))
            elif end._layer is not self.handmade.group:
                raise GraphError(
                    f"{end.label}: a node of a library layer cannot be an input or output alone; "
                    f"give its layer"
                )
            else:
                indices.append(end._index)
        if indices:
            ports.append(Port(self.handmade.group, tuple(indices)))
        return ports

    def _name_all(self) -> None:
        taken: set[str] = set()
        names = Names()
        for layer in self.all_layers:
            if layer.root is not None and not layer.name:
                continue
            layer._name = layer.name or names.free(layer.kind, taken)
            if layer.name in taken:
                raise GraphError(f"two layers are called {layer.name!r}; give one another name")
            taken.add(layer.name)
        for layer in sorted(self.all_layers, key=depth_of):
            if not layer.name and layer.root is not None:
                part = next((k for k, v in layer.root.parts.items() if v is layer), layer.kind)
                layer._name = names.free(f"{layer.root.name}/{part}", taken)
                taken.add(layer.name)
        self._name_nodes(self.handmade.nodes)
        for name, parameter in self.parameters.items():
            parameter.name, parameter.version = name, self.version

    def _seed_parameters(self) -> None:
        parameters = list(self.parameters.values())
        generators = self.generator.spawn(len(parameters))
        for parameter, generator in zip(parameters, generators, strict=True):
            if parameter.generator is None:
                parameter.generator = generator

    def _name_nodes(self, nodes: Sequence[Node]) -> None:
        given: dict[str, Node] = {}
        for node in nodes:
            if node.name:
                if node.name in self._named or node.name in given:
                    raise GraphError(f"two nodes are called {node.name!r}; give one another name")
                given[node.name] = node
        self._named |= given
        for node in nodes:
            if not node.name:
                kind = {InputNode: "in", ConstNode: "const"}.get(type(node), "node")
                node._name = self._node_names.free(kind, self._named)
                self._named[node.name] = node

    def _check_reach(self) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import breadth_first_order

        self.stages()
        arcs, units = self.arcs()
        given = np.array([unit for port in self.inputs for unit in self._units(port)], np.int64)
        sources = np.concatenate([arcs.sources, np.full_like(given, units)])  # one root above all
        targets = np.concatenate([arcs.targets, given])
        shape = (units + 1, units + 1)
        graph = coo_array((np.ones(len(sources), np.int8), (sources, targets)), shape=shape)
        reached = np.zeros(units + 1, dtype=bool)
        reached[breadth_first_order(graph.tocsr(), units, return_predecessors=False)] = True
        for port in self.outputs:
            missed = [unit for unit in self._units(port) if not reached[unit]]
            if missed:
                raise GraphError(
                    f"network {self.name!r}: no input reaches output "
                    f"{self.unit_label(missed[0])!r}; connect it, or take it out of the outputs"
                )

    # structure --------------------------------------------------------------------------------

    @property
    def unit_count(self) -> int:
        """The number of units that the schedule orders: library layers and hand-made nodes."""
        return len(self._library) + len(self.handmade.nodes)

    @property
    def _library(self) -> list[Layer]:
        return self.all_layers[:-1] if self.handmade.nodes else self.all_layers

    def _units(self, port: Port) -> list[int]:
        if port.indices is None:
            return [self.all_layers.index(port.layer)]
        return [len(self._library) + index for index in port.indices]

    def unit_label(self, unit: int) -> str:
        """Return the name of a unit."""
        library = self._library
        if unit < len(library):
            return library[unit].name or library[unit].kind
        return self.handmade.nodes[unit - len(library)].label

    def arcs(self) -> tuple[Arcs, int]:
        """Return the arcs between units, and the number of units."""
        library, table = self._library, self.handmade.table()
        number = {id(layer): k for k, layer in enumerate(library)}
        rows = [
            (number[id(b.source)], number[id(b.target)], b.delay)
            for layer in library
            for b in layer.incoming
        ]
        rows += [
            (number[id(each)], number[id(layer)], 0)
            for layer in library
            for each in (layer.initial, layer.mask)
            if isinstance(each, Layer)
        ]
        whole = np.array(rows, dtype=np.int64).reshape(-1, 3)
        unit_of = (
            np.concatenate(
                [np.full(layer.size, k, dtype=np.int64) for k, layer in enumerate(library)]
                + [len(library) + np.arange(len(self.handmade.nodes))]
            )
            if len(table.ups)
            else np.empty(0, dtype=np.int64)
        )
        return (
            Arcs(
                np.concatenate([whole[:, 0], unit_of[table.ups]]),
                np.concatenate([whole[:, 1], unit_of[table.downs]]),
                np.concatenate([whole[:, 2], table.delays]),
            ),
            self.unit_count,
        )

    def stages(self) -> list[Stage]:
        """Return the order of calculation; raises GraphError for a cycle without delay."""
        if self._stages is None or self._stages[0] != self.version.number:
            self.handmade.table()
            found = schedule(self)
            self._spread_time()
            self._check_time()
            self._stages = (self.version.number, found)
        return self._stages[1]

    @property
    def layers(self) -> list[Layer]:
        """The layers as they were given, in order; `all_layers` has their parts, too.

        Examples
        --------
        >>> net = Network([2, 3, 1])
        >>> [layer.name for layer in net.layers]
        ['layer_0', 'layer_1', 'layer_2']
        >>> len(net.all_layers)  # with three of a ConstNode each
        6
        """
        return [layer for layer in self.all_layers if layer.root is None]

    @property
    def bundles(self) -> list[Bundle]:
        """The bundles between layers, in order of their targets."""
        return [bundle for layer in self.all_layers for bundle in layer.incoming]

    @property
    def connections(self) -> Connections:
        """All connections: bundle by bundle, the hand-made ones last."""
        return AllConnections([*self.bundles, self.handmade])

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters by name, in order: ``"conv2d/kernel"``, ``"conv2d/bias"``, …."""
        found: dict[str, Parameter] = {}
        seen: set[int] = set()
        for layer in self.all_layers:
            for local, parameter in layer.parameters.items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    found[f"{layer.name}/{local}"] = parameter
        taken = set(found)
        for parameter in self.handmade.table().parameters:
            if id(parameter) not in seen:
                seen.add(id(parameter))
                name = Names().free(parameter.name or "parameter", taken)
                taken.add(name)
                found[name] = parameter
        return found

    @property
    def is_recurrent(self) -> bool:
        """Whether any value has a time axis."""
        return any(layer.sequence for layer in self.all_layers)

    # finding ----------------------------------------------------------------------------------

    def layer(self, name: str) -> Layer:
        """Return the layer with a name, or raise UnknownNameError with the nearest match."""
        for layer in self.all_layers:
            if layer.name == name:
                return layer
        raise unknown(
            "layer", name, [each.name for each in self.all_layers], of=f"network {self.name!r}"
        )

    def node(self, name: str) -> Node:
        """Return a node by name (``"h"``) or by layer and place (``"conv2d[3, 4, 0]"``).

        Raises
        ------
        UnknownNameError, ShapeError
            There is no such node; the place has not as many coordinates as the layer.
        """
        found = self._named.get(name)
        if found is not None:
            return found
        if not isinstance(name, str):
            raise OptionError(f"node({name!r}): give a name, such as 'dense[3]'")
        match = re.fullmatch(r"(.+)\[\s*(-?\d+(?:\s*,\s*-?\d+)*)\s*\]", name)
        if match:
            place = tuple(int(each) for each in match[2].split(","))
            return _at(self.layer(match[1]), place if len(place) > 1 else place[0], name)
        for layer in self.all_layers:
            if layer.role == "const" and layer.name == name:
                return layer[0]
        match = re.fullmatch(r"\((\d+)-(\d+)\)", name)
        if match:
            for layer in self.layers:
                if isinstance(layer, TutorialLayer) and layer.number == int(match[1]):
                    return _at(layer.nodes, int(match[2]), name)
        whole = next((each for each in self._library if each.name == name), None)
        if whole is not None:
            raise UnknownNameError(
                f"{name!r} is a layer of network {self.name!r}, with {whole.size:,} nodes: say "
                f"which one, such as {whole.node_label(0)!r}"
            )
        names = [*self._named, *(f"{layer.name}[0]" for layer in self._library)]
        raise unknown("node", name, names, of=f"network {self.name!r}")

    def find(self, label: str) -> Connection:
        """Return the connection ``"h->y"`` (``"h->h [delay 1]"`` where there are several).

        Raises
        ------
        UnknownNameError
            If a node is not known, or the two are not connected.
        """
        late = _DELAY.search(str(label))
        parts = _ARROW.split(_DELAY.sub("", str(label)).strip())
        if len(parts) != 2:
            raise OptionError(
                f"find({short(label)}): write two nodes with an arrow, as in 'h->y'; "
                "net.node() finds a node"
            )
        up, down = self.node(parts[0]), self.node(parts[1])
        found = [each for each in down.upstream if each.upstream_node is up]
        if late:
            found = [each for each in found if each.delay == int(late[1])]
        if not found:
            known = [each.label for each in [*down.upstream][:20]]
            raise unknown("connection", label, known, of=f"those into {down.label!r}")
        return found[0]

    # editing ----------------------------------------------------------------------------------

    def adopt(self, connection: Connection) -> None:
        """Take in a hand-made connection of which at least one end belongs to this network."""
        ends = (connection.upstream_node, connection.downstream_node)
        new = [n for n in collect(ends) if n._layer is None or n._layer.kind == "node"]
        self._name_nodes(new)
        if new and not self.handmade.nodes:
            self.handmade.group.name = Names().free(
                "nodes", {each.name for each in self.all_layers}
            )
            self.handmade.group.network = self
            self.handmade.group.offset = sum(layer.size for layer in self.all_layers)
            self.all_layers.append(self.handmade.group)
        self.handmade.add_nodes(new)
        for node in ends:
            self.handmade.anchor(node)
        self.handmade.changed()

    def connect(
        self,
        upstream: str | Node,
        downstream: str | Node,
        weight: float | None = None,
        *,
        parameter: Parameter | None = None,
        delay: int = 0,
        trainable: bool = True,
    ) -> Connection:
        """Add a connection between two nodes, given as objects or names.

        Raises
        ------
        GraphError
            If it would close a cycle without delay; the network is then as before.
        """
        up = self.node(upstream) if isinstance(upstream, str) else upstream
        down = self.node(downstream) if isinstance(downstream, str) else downstream
        connection = Connection(
            up, down, weight, parameter=parameter, delay=delay, trainable=trainable
        )
        timed = self.handmade.group.sequence
        try:
            self.stages()
        except GraphError:
            connection.remove()
            self.handmade.group.sequence = timed
            raise
        return connection

    def prune(self, threshold: float) -> int:
        """Remove every trainable-weight connection with ``abs(weight) < threshold``.

        Biases stay. Shared weights (convolutions) are left alone. Returns how many were removed.
        """
        if not isinstance(threshold, (int, float, np.number)) or not threshold >= 0:
            raise OptionError(
                f"prune({short(threshold)}): the threshold must be a number, 0 or more"
            )
        removed = 0
        for bundle in self.bundles:
            removed += prune_bundle(bundle, threshold)
        weak = [
            each
            for each in self.handmade.connections
            if abs(each.weight) < threshold
            and each._parameter is self.handmade.weights
            and not isinstance(each.upstream_node, ConstNode)
        ]
        for connection in weak:
            connection.remove()
        return removed + len(weak)

    def explode(self, bundle: Bundle) -> TableConnections:
        """Replace a patterned bundle by an explicit table of the same connections."""
        ups, downs, addresses = bundle.edges()
        target = bundle.target
        if bundle not in target.incoming:
            raise GraphError(
                f"{bundle.label}: this bundle is no longer there, a table has taken its place when "
                f"a connection was removed; take the connections from layer.incoming again"
            )
        place = target.incoming.index(bundle)
        if bundle.parameter is None and bundle.constant != 1.0:
            raise GraphError(f"{bundle.label}: its connections cannot be removed one by one")
        table = TableConnections(
            bundle.source, target, bundle.parameter, ups, downs, addresses, bundle.delay
        )
        target.incoming.pop()
        target.incoming[place] = table
        outgoing = bundle.source.outgoing
        outgoing[outgoing.index(bundle)] = table
        for (up, down), connection in bundle.handles():
            table.moved(connection, up, down)
        target.rewire()
        return table

    def __str__(self) -> str:
        ends = [
            " + ".join("x".join(map(str, port.shape)) or "1" for port in ports)
            for ports in (self.inputs, self.outputs)
        ]
        weighted = sum(1 for layer in self.all_layers if layer.parameters)
        parameters = sum(parameter.size for parameter in self.parameters.values())
        made = len(self.handmade.nodes)
        told = [f"{count(weighted, 'layer')} with weights"] if weighted else []
        told += [count(made, "hand-made node")] if made else []
        told += [count(len(self.connections), "connection"), count(parameters, "parameter")]
        return f"{self.name}: {ends[0]} -> {ends[1]}, {', '.join(told)}"

    def __repr__(self) -> str:
        return f"<Network {self}>"


def _at(nodes: Any, place: int | tuple[int, ...], name: str) -> Node:
    """Return the node of a layer at a place, or raise UnknownNameError."""
    try:
        return nodes[place]  # type: ignore[no-any-return]
    except IndexError as error:
        raise UnknownNameError(f"{name!r}: {error}") from error
