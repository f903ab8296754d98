"""Networks as networkx graphs, and any directed networkx graph as a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import FormatError, GraphError, NeurographError
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network, Port
from neurograph.graph.node import ConstNode, InputNode, Node
from neurograph.storage.structure import structure_of
from neurograph.storage.weights import named_parameters

if TYPE_CHECKING:
    import networkx as nx

MOST = 5_000_000
# what a damaged structure may lead to
NONSENSE = (
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    RecursionError,
)


def to_networkx(network: Network, limit: int = MOST) -> nx.MultiDiGraph[Any]:
    """Return a network as a graph; see ``Network.to_networkx``."""
    import networkx as nx

    total = len(network.connections)
    if total > limit:
        raise GraphError(
            f"network {network.name!r} has {total:,} connections, a graph may have {limit:,}; "
            f"raise limit= if there is memory for them (about 1 kB each)"
        )
    graph: nx.MultiDiGraph[Any] = nx.MultiDiGraph(name=network.name)
    for layer in network.all_layers:
        graph.add_nodes_from(_nodes(layer))
    names = {id(each): name for name, each in named_parameters(network).items()}
    for number, bundle in enumerate(network.bundles):
        graph.add_edges_from(_edges(bundle, number, names))
    graph.add_edges_from(_handmade_edges(network, names))
    graph.graph["inputs"] = _ends(network.inputs)
    graph.graph["outputs"] = _ends(network.outputs)
    structure = structure_of(network)
    own = network.handmade.weights
    structure["own"] = "" if own is None else names[id(own)]
    del structure["edges"], structure["nodes"]  # they are in the graph
    del structure["inputs"], structure["outputs"]
    graph.graph["structure"] = structure
    graph.graph["values"] = _uncovered(network, graph)
    return graph


def node_name(layer: Layer, index: int) -> str:
    """Return the key of a node: its label."""
    return layer.members[index].label if layer.members is not None else layer.node_label(index)


def _nodes(layer: Layer) -> Iterator[tuple[str, dict[str, Any]]]:
    if layer.members is not None:
        for node in layer.members:
            yield node.label, _handmade_attributes(layer, node)
        return
    places = np.stack(np.unravel_index(np.arange(layer.size), layer.shape or (1,)), axis=-1)
    initial = layer.initial
    starts = None
    if initial is not None and not isinstance(initial, Layer):
        starts = np.broadcast_to(np.asarray(initial, dtype=float), layer.shape).reshape(-1).tolist()
    for index, place in enumerate(places.tolist()):
        yield (
            layer.node_label(index),
            {
                "layer": layer.name,
                "index": index,
                "position": tuple(place) if layer.shape else (),
                "activation": layer.activation_name,
                "aggregation": layer.aggregation,
                "role": layer.role,
                "initial": 0.0 if starts is None else starts[index],
            },
        )


def _handmade_attributes(layer: Layer, node: Node) -> dict[str, Any]:
    roles = ((InputNode, "input"), (ConstNode, "const"), (Node, "units"))
    found: dict[str, Any] = {
        "layer": layer.name,
        "index": node.index,
        "activation": node.activation.name,
        "aggregation": node.aggregation,
        "role": next(role for kind, role in roles if isinstance(node, kind)),
        "initial": node.initial,
    }
    if node.position is not None:
        found["position"] = node.position
    return found


def _edges(
    bundle: Bundle, number: int, names: Mapping[int, str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    ups, downs, addresses = bundle.edges()
    source, target, parameter = bundle.source, bundle.target, bundle.parameter
    up_names = [node_name(source, k) for k in range(source.size)]
    down_names = [node_name(target, k) for k in range(target.size)]
    fixed = {"bundle": number, "delay": bundle.delay}
    if parameter is None:
        constant = {"weight": float(bundle.constant), "trainable": False, "gradient": 0.0}
        for up, down in zip(ups.tolist(), downs.tolist(), strict=True):
            yield up_names[up], down_names[down], {**constant, **fixed}
        return
    weights = parameter.value.reshape(-1)[addresses].tolist()
    gradients = parameter.gradient.reshape(-1)[addresses].tolist()
    free = np.full(parameter.size, parameter.trainable)
    if parameter.frozen is not None:
        free &= ~parameter.frozen.reshape(-1)
    rows = (ups.tolist(), downs.tolist(), addresses.tolist(), weights, gradients)
    for up, down, address, weight, gradient in zip(*rows, strict=True):
        yield (
            up_names[up],
            down_names[down],
            {
                "weight": weight,
                "parameter": names[id(parameter)],
                "index": address,
                "trainable": bool(free[address]),
                "gradient": gradient,
                **fixed,
            },
        )


def _handmade_edges(
    network: Network, names: Mapping[int, str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    own = network.handmade.weights
    for each in network.handmade:
        data: dict[str, Any] = {
            "weight": float(each.weight),
            "delay": each.delay,
            "trainable": each.trainable,
            "gradient": float(each.gradient),
        }
        if each.parameter is not own and each.parameter is not None:
            data["parameter"], data["index"] = names[id(each.parameter)], each.index
        yield each.upstream_node.label, each.downstream_node.label, data


def _ends(ports: Sequence[Port]) -> list[str]:
    found: list[str] = []
    for port in ports:
        indices = range(port.layer.size) if port.indices is None else port.indices
        found += [node_name(port.layer, index) for index in indices]
    return found


def _uncovered(network: Network, graph: nx.MultiDiGraph[Any]) -> dict[str, list[float]]:
    """Return the values of parameters of which some weights are on no connection."""
    parameters = named_parameters(network)
    seen = {name: np.zeros(parameter.size, dtype=bool) for name, parameter in parameters.items()}
    for _, _, data in graph.edges(data=True):
        if "parameter" in data:
            seen[data["parameter"]][data["index"]] = True
    own = network.handmade.weights
    return {
        name: parameter.value.reshape(-1).tolist()
        for name, parameter in parameters.items()
        if parameter is not own and not seen[name].all()
    }


def from_networkx(
    graph: nx.DiGraph[Any],
    *,
    inputs: Sequence[Any] | None = None,
    outputs: Sequence[Any] | None = None,
    activation: str = "sigmoid",
    weight: float = 1.0,
    name: str | None = None,
) -> Network:
    """Return the network that a directed graph stands for.

    What ``Network.to_networkx`` made comes back as it was: layers, shared and frozen weights,
    delays; connections and nodes that were added or taken out in between are added or taken out. A
    layer that lost nodes becomes a row of those that are left, numbered anew. Any other graph
    becomes a network made by hand, by these defaults:

    =============  =====================================================================
    nodes          ``activation``, ``aggregation`` (sum), ``initial`` (0), ``position``
    ``role``       input, const or units; nodes without incoming edges are inputs
    ``bias``       a number: a connection of that weight from a ConstNode
    edges          ``weight``, ``delay`` (0), ``trainable`` (True)
    ``parameter``  a name: edges with one ``parameter`` and ``index`` share a weight
    =============  =====================================================================

    If no edge has a delay, those that lie on cycles get delay 1: they carry the step before.

    Parameters
    ----------
    graph : networkx.DiGraph or networkx.MultiDiGraph
    inputs, outputs : sequence of nodes, optional
        In order. By default those of ``graph.graph["inputs"]`` and ``["outputs"]``; else the nodes
        without incoming, without outgoing edges. An input with incoming edges gets an input node
        of its own, with weight 1.
    activation, weight
        For nodes and edges without that attribute.
    name : str, optional

    Raises
    ------
    GraphError
        The graph is not directed, has no inputs or outputs, gives one shared weight two values, or
        changes what a whole-layer function such as softmax needs whole.
    UnknownNameError
        An activation or aggregation is not known.
    DataError, FormatError
        An attribute is not of the kind it should be; the node or edge is named.

    Examples
    --------
    >>> import networkx as nx
    >>> net = from_networkx(nx.DiGraph([("a", "h"), ("b", "h"), ("h", "y")]), activation="tanh")
    >>> print(net)
    network: 2 -> 1, 4 hand-made nodes, 3 connections, 3 parameters
    """
    from neurograph.interop.reader import Reader

    try:
        return Reader(graph, inputs, outputs, activation, weight, name).network()
    except NeurographError:
        raise
    except NONSENSE as error:
        if "structure" not in graph.graph:
            raise
        raise FormatError(
            f"from_networkx: graph.graph['structure'] makes no sense ({type(error).__name__}: "
            f"{error}); remove it to read the graph as hand-made nodes"
        ) from error
