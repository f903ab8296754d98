"""Reading networks out of networkx graphs: hand-made nodes, and layers where they are described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, FormatError, GraphError
from neurograph.functions import get_activation, get_aggregation
from neurograph.graph.connection import Connection
from neurograph.graph.ends import Names
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.node import ConstNode, InputNode, Node
from neurograph.interop.attributes import choice, flag, real, whole_number
from neurograph.interop.layer_reader import LayerReader, Place
from neurograph.parameter import Parameter

Data = Mapping[str, Any]


class Reader:
    """Builds the network of one graph; see ``from_networkx``."""

    def __init__(
        self,
        graph: Any,
        inputs: Sequence[Any] | None,
        outputs: Sequence[Any] | None,
        activation: str,
        weight: float,
        name: str | None,
    ) -> None:
        _check(graph)
        self.graph = graph
        self.given = {"inputs": inputs, "outputs": outputs}
        self.activation = get_activation(activation)
        self.weight = weight
        self.name = str(name or graph.graph.get("name") or "network")
        self.names = _names(graph)
        self.edges = [(up, down, dict(data)) for up, down, data in graph.edges(data=True)]
        self.layers = LayerReader(graph)
        self.loose = [key for key in graph if key not in self.layers.places]
        self.nodes: dict[Any, Node] = {}
        self.sources: dict[Any, Node] = {}  # input nodes of their own, by the node they feed
        self.parameters: dict[str, Parameter] = {}
        self.wired: dict[int, Node] = {}

    def network(self) -> Network:
        """Return the network."""
        ends = self._ends()
        self._delay_cycles()
        self.parameters = self.layers.read(self.edges)
        given = set(ends["inputs"])
        for key in self.loose:
            self.nodes[key] = self._node(key, is_input=key in given)
        self._feed(ends["inputs"])
        self._shared_parameters()
        self.layers.retire()
        for up, down, data in self.layers.loose_edges:
            self._connect(up, down, data)
        self._biases()
        network = Network.assembled(
            self.name,
            self.layers.layers,
            [*self.sources.values(), *self.nodes.values()],
            wired=list(self.wired.values()),
            weights=None,
            inputs=self._ports(ends["inputs"], as_inputs=True),
            outputs=self._ports(ends["outputs"]),
        )
        self.layers.finish(network)
        if self.layers.structure is None:
            network._check_reach()
        network.stages()
        return network

    # ends -----------------------------------------------------------------------------------------

    def _ends(self) -> dict[str, list[Any]]:
        defaults = {
            "inputs": [key for key in self.graph if self._is_source(key)],
            "outputs": [
                key
                for key in self.graph
                if not self.graph.out_degree(key) and self.graph.in_degree(key)
            ],
        }
        found = {}
        by_name = {name: key for key, name in self.names.items()}
        for what, default in defaults.items():
            given = self.given[what]
            where = f"{what}=" if given is not None else f"graph.graph[{what!r}]"
            stored = self.graph.graph.get(what) if given is None else given
            keys = default if stored is None else _as_list(stored)
            missing = [key for key in keys if key not in self.names and key not in by_name]
            if missing:
                raise GraphError(
                    f"{where} names {missing[0]!r}, which is not a node of the graph; if it was "
                    f"removed or renamed, change graph.graph[{what!r}] or give {what}="
                )
            found[what] = [key if key in self.names else by_name[key] for key in keys]
            if not found[what]:
                side = "incoming" if what == "inputs" else "outgoing"
                raise GraphError(
                    f"from_networkx: the graph has no node without {side} edges, so its {what} are "
                    f"not known; give {what}=[…]"
                )
        return found

    def _is_source(self, key: Any) -> bool:
        role = self.graph.nodes[key].get("role")
        return role == "input" or (role is None and not self.graph.in_degree(key))

    def _ports(self, keys: list[Any], as_inputs: bool = False) -> list[Layer | Node]:
        ports: list[Layer | Node] = []
        first: dict[Layer, Any] = {}  # node of a layer: as often as it comes, so does the layer
        for key in keys:
            place = self.layers.places.get(key)
            if place is None:
                ports.append(
                    self.sources.get(key, self.nodes[key]) if as_inputs else self.nodes[key]
                )
            elif first.setdefault(place.layer, key) == key:
                ports.append(place.layer)
                named = {each for each in keys if self.layers.layer_at(each) is place.layer}
                missing = place.layer.size - len(named)
                if missing:
                    raise GraphError(
                        f"layer {place.layer.name!r} is an input or output as a whole, but "
                        f"{missing} of its nodes are not named"
                    )
        return ports

    # nodes and edges ------------------------------------------------------------------------------

    def _node(self, key: Any, is_input: bool) -> Node:
        data, name = self.graph.nodes[key], self.names[key]
        what = f"node {name!r}"
        position = data.get("position")
        if position is not None:
            position = [whole_number(what, "position", each) for each in position]
        role = choice(what, "role", data.get("role"), ("input", "const", "units"))
        if is_input and not self.graph.in_degree(key):
            return InputNode(name, position=position)
        if role == "const":
            const = ConstNode(name)
            const.position = None if position is None else tuple(position)
            return const
        activation = data.get("activation", self.activation)
        node = Node(
            get_activation(activation),
            get_aggregation(data.get("aggregation", "sum")),
            name=name,
            position=position,
        )
        node.initial = real(what, "initial", data.get("initial", 0.0))
        return node

    def _feed(self, inputs: list[Any]) -> None:
        """Give an input that has incoming edges an input node of its own, with weight 1."""
        taken = set(self.names.values())
        for key in inputs:
            if key in self.nodes and not isinstance(self.nodes[key], InputNode):
                name = Names().free(f"{self.names[key]}/in", taken)
                taken.add(name)
                self.sources[key] = InputNode(name)
                Connection(self.sources[key], self.nodes[key], 1.0)

    def _at(self, key: Any) -> Node:
        place: Place | None = self.layers.places.get(key)
        if place is None:
            return self.nodes[key]
        node = place.layer.own_node(place.index)
        self.wired[id(node)] = node
        return node

    def _connect(self, up: Any, down: Any, data: Data) -> None:
        what = f"edge {self.names[up]!r} -> {self.names[down]!r}"
        weight = real(what, "weight", data.get("weight", self.weight))
        delay = whole_number(what, "delay", data.get("delay", 0))
        trainable = flag(what, "trainable", data.get("trainable", True))
        ends = self._at(up), self._at(down)
        name = data.get("parameter")
        if name is None:
            connection = Connection(*ends, weight, delay=delay, trainable=trainable)
        else:
            index = whole_number(what, "index", data.get("index", 0))
            connection = Connection(
                *ends, parameter=self.parameters[str(name)], index=index, delay=delay
            )
        if "gradient" in data:
            connection.gradient = real(what, "gradient", data["gradient"])

    def _shared_parameters(self) -> None:
        """Make the parameters that only hand-made connections name."""
        rows: dict[str, list[tuple[str, int, float, bool]]] = {}
        for up, down, data in self.layers.loose_edges:
            name = data.get("parameter")
            if name is None:
                continue
            what = f"edge {self.names[up]!r} -> {self.names[down]!r}"
            index = whole_number(what, "index", data.get("index", 0))
            if index < 0:
                raise DataError(f"{what}: its index is {index}, expected 0 or more")
            weight = real(what, "weight", data.get("weight", self.weight))
            free = flag(what, "trainable", data.get("trainable", True))
            rows.setdefault(str(name), []).append((what, index, weight, free))
        for name, uses in rows.items():
            if name in self.parameters:
                self.layers.weigh(name, uses)
                continue
            size = max(index for _, index, _, _ in uses) + 1
            shape = () if size == 1 else (size,)
            values: NDArray[np.float64] = np.zeros(shape)
            self.parameters[name] = Parameter(values, name=name)
            self.layers.adopt(name, self.parameters[name])
            self.layers.weigh(name, uses)

    def _biases(self) -> None:
        biased = [key for key in self.loose if self.graph.nodes[key].get("bias") is not None]
        if not biased:
            return
        const = ConstNode(Names().free("const", set(self.names.values())))
        self.nodes[const] = const
        for key in biased:
            bias = real(f"node {self.names[key]!r}", "bias", self.graph.nodes[key]["bias"])
            Connection(const, self._at(key), bias)

    def _delay_cycles(self) -> None:
        """Give delay 1 to the edges on cycles of a graph that knows no delays."""
        import networkx as nx

        if any(data.get("delay") is not None for _, _, data in self.edges):
            return
        part = {
            key: number
            for number, keys in enumerate(nx.strongly_connected_components(self.graph))
            for key in keys
        }
        sizes = np.bincount(list(part.values()), minlength=1)
        for up, down, data in self.edges:
            if part[up] == part[down] and (sizes[part[up]] > 1 or up == down):
                data["delay"] = 1


def _check(graph: Any) -> None:
    import networkx as nx

    if not isinstance(graph, nx.Graph):
        raise GraphError(f"from_networkx: got {type(graph).__name__}, expected a networkx.DiGraph")
    if not graph.is_directed():
        raise GraphError(
            "from_networkx: the graph is not directed, so nothing says which way values go; use a "
            "DiGraph or MultiDiGraph (graph.to_directed() makes both directions of every edge)"
        )
    if not len(graph):
        raise GraphError("from_networkx: the graph has no nodes")


def _names(graph: Any) -> dict[Any, str]:
    names = {key: str(key) for key in graph}
    seen: dict[str, Any] = {}
    for key, name in names.items():
        if name in seen:
            raise GraphError(
                f"from_networkx: the nodes {seen[name]!r} and {key!r} have one name as text; "
                f"rename one, as with networkx.relabel_nodes"
            )
        if not name:
            raise GraphError("from_networkx: a node has an empty name; rename it")
        seen[name] = key
    return names


def _as_list(stored: Any) -> list[Any]:
    if isinstance(stored, (str, bytes)) or not isinstance(stored, Sequence):
        raise FormatError(f"inputs and outputs are lists of nodes, got {stored!r}")
    return list(stored)
