"""Reading the layers of a network back out of a graph that ``to_networkx`` made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import FormatError, GraphError
from neurograph.functions import get_activation
from neurograph.graph.bundles import TableConnections
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.temporal import BridgeConnections
from neurograph.interop.attributes import flag, real, whole_number
from neurograph.parameter import Parameter
from neurograph.storage.randomness import restored_generator
from neurograph.storage.rebuild_layers import build_layer, link_layer
from neurograph.storage.rebuild_parameters import set_training_options
from neurograph.storage.record import Record
from neurograph.storage.registry import make_bundle
from neurograph.storage.values import Revived

MOST_WEIGHTS = 2**24  # of a parameter whose values are those of the connections alone
Edge = tuple[Any, Any, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node of the graph is: a layer and the index in it."""

    layer: Layer
    index: int


@dataclass(frozen=True, slots=True)
class Described:
    """A bundle as the structure describes it; ``whole`` if neither of its layers lost a node."""

    row: Record
    source: Layer | None
    target: Layer | None
    delay: int
    parameter: Parameter | None
    whole: bool

    def fits(self, up: Place, down: Place, data: dict[str, Any]) -> bool:
        """Whether an edge may be one of its connections."""
        name = None if self.parameter is None else self.parameter.name
        return (
            up.layer is self.source
            and down.layer is self.target
            and data.get("delay", 0) == self.delay
            and data.get("parameter") == name
        )


class LayerReader:
    """The layers, bundles and parameters that ``graph.graph["structure"]`` describes.

    Layers that lost nodes become rows of those that are left; bundles that lost connections become
    tables of those that are left.
    """

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        stored = graph.graph.get("structure")
        self.structure = None if stored is None else Record("graph.graph['structure']", stored)
        self.rows: list[Record] = []
        self.whole: list[bool] = []
        self.layers: list[Layer] = []
        self.by_row: list[Layer | None] = []
        self.places: dict[Any, Place] = {}
        self.parameters: dict[str, Parameter] = {}
        self.loose_edges: list[Edge] = []
        self.changed: set[str] = set()
        self.weighed: dict[str, dict[int, tuple[str, float]]] = {}
        if self.structure is not None:
            self._make_parameters(self.structure)
            self._make_layers(self.structure)

    def layer_at(self, key: Any) -> Layer | None:
        """Return the layer that a node of the graph is in."""
        place = self.places.get(key)
        return None if place is None else place.layer

    # parameters -----------------------------------------------------------------------------------

    def _make_parameters(self, structure: Record) -> None:
        values = self.graph.graph.get("values", {})
        if not isinstance(values, dict):
            raise FormatError("graph.graph['values'] is no mapping of names to numbers")
        for row in structure.records("parameters", "parameter"):
            name, shape = row.text("name"), row.sizes("shape")
            parameter = Parameter(shape=shape, name=name, trainable=row.flag("trainable"))
            if name not in values and parameter.size > MOST_WEIGHTS:
                raise FormatError(f"{row.what}: its shape {shape} has too many weights")
            given = _numbers(row.what, values[name], parameter.size) if name in values else 0.0
            flat = np.zeros(parameter.size, dtype=_dtype(row))
            flat[:] = given
            parameter._bind(flat.reshape(shape), np.zeros(shape, flat.dtype))
            set_training_options(row, parameter, Revived())
            self.parameters[name] = parameter

    def adopt(self, name: str, parameter: Parameter) -> None:
        """Take in a parameter of hand-made connections."""
        self.parameters[name] = parameter

    def weigh(self, name: str, uses: list[tuple[str, int, float, bool]]) -> None:
        """Set weights of a parameter: of each the owner, index, weight and whether it is trained.

        Raises
        ------
        GraphError
            If two owners give one weight two values.
        """
        parameter = self.parameters[name]
        seen = self.weighed.setdefault(name, {})
        flat, size = parameter.value.reshape(-1), parameter.size
        for what, index, weight, free in uses:
            if not 0 <= index < size:
                raise GraphError(f"{what}: index {index} is outside parameter {name!r} of {size}")
            before = seen.setdefault(index, (what, weight))
            if before[1] != weight:
                raise GraphError(
                    f"{before[0]} and {what} share weight {index} of parameter {name!r}, but have "
                    f"the weights {before[1]!r} and {weight!r}; give them one weight, or take the "
                    f"attribute 'parameter' off one of them"
                )
            flat[index] = weight
            if free and not parameter.trainable:
                parameter.trainable = True
                parameter.freeze(np.arange(parameter.size))
            if parameter.trainable and free != parameter.is_trainable_at(index):
                parameter.freeze(index, not free)

    # layers ---------------------------------------------------------------------------------------

    def _make_layers(self, structure: Record) -> None:
        self.rows = list(structure.records("layers", "layer"))
        numbers = {row.text("name"): number for number, row in enumerate(self.rows)}
        members: list[dict[int, Any]] = [{} for _ in self.rows]
        for key, data in self.graph.nodes(data=True):
            number = numbers.get(data.get("layer")) if isinstance(data.get("layer"), str) else None
            if number is None or "index" not in data:
                continue
            index = whole_number(f"node {key!r}", "index", data["index"])
            if index in members[number]:
                raise GraphError(
                    f"the nodes {members[number][index]!r} and {key!r} are both node {index} of "
                    f"layer {data['layer']!r}; take the attribute 'layer' off one of them"
                )
            members[number][index] = key
        for row, found in zip(self.rows, members, strict=True):
            kept = sorted(found)
            self.whole.append(bool(kept) and len(kept) == _size(row) == kept[-1] + 1)
            layer = self._layer(row, kept, [found[index] for index in kept]) if kept else None
            self.by_row.append(layer)
            if layer is not None:
                self.layers.append(layer)
                for place, index in enumerate(kept):
                    self.places[found[index]] = Place(layer, place)
        for row, layer in zip(self.rows, self.by_row, strict=True):
            if layer is not None:
                self._relate(row, layer)

    def _layer(self, row: Record, kept: list[int], keys: list[Any]) -> Layer:
        shape = row.sizes("shape")
        whole = len(kept) == _size(row) == kept[-1] + 1
        if not whole and "function" in row:
            raise GraphError(
                f"{row.what} lost nodes, but its function needs all of them; keep them, or replace "
                f"the layer"
            )
        layer = build_layer(
            row,
            list(self.parameters.values()),
            Revived(),
            shape=shape if whole else (len(kept),),
            activation=get_activation(self._one(row, keys, "activation", row.text("activation"))),
            aggregation=self._one(row, keys, "aggregation", row.text("aggregation")),
        )
        if "initial" in row:
            initial = Revived()(row.fields["initial"])
            full = np.broadcast_to(np.asarray(initial), shape).reshape(-1)
            layer.initial = initial if whole else full[kept]
        return layer

    def _one(self, row: Record, keys: list[Any], name: str, before: str) -> str:
        """Return the one activation or aggregation of a layer's nodes."""
        if "function" in row and name == "activation":
            return before
        found = {str(self.graph.nodes[key].get(name, before)) for key in keys}
        if len(found) > 1:
            raise GraphError(
                f"{row.what}: its nodes have the {name}s {', '.join(sorted(found))}; give all of "
                f"them one, or take the attribute 'layer' off those that differ"
            )
        return found.pop()

    def _relate(self, row: Record, layer: Layer) -> None:
        link_layer(row, layer, self.by_row)
        if "tutorial" in row and layer.role == "const" and layer.root is not None:
            layer.config["after"] = layer.root.size  # it counts as the last node

    # bundles --------------------------------------------------------------------------------------

    def read(self, edges: list[Edge]) -> dict[str, Parameter]:
        """Make the bundles; what belongs to none is left in ``loose_edges``.

        Returns the parameters by name.
        """
        bundles = [
            self._described(each, target)
            for target, row in enumerate(self.rows)
            for each in row.records("incoming", f"{row.what}: bundle")
        ]
        mine: list[list[Edge]] = [[] for _ in bundles]
        for edge in edges:
            up, down, data = edge
            number = data.get("bundle", -1)
            if isinstance(number, int) and 0 <= number < len(bundles):
                place, other = self.places.get(up), self.places.get(down)
                if place and other and bundles[number].fits(place, other, data):
                    mine[number].append(edge)
                    continue
            self.loose_edges.append(edge)
        for bundle, found in zip(bundles, mine, strict=True):
            self._make_bundle(bundle, found)
        return self.parameters

    def _described(self, row: Record, target: int) -> Described:
        source = row.whole("source", below=len(self.rows))
        parameter = None
        if "parameter" in row:
            number = row.whole("parameter", below=len(self.parameters))
            parameter = list(self.parameters.values())[number]
        return Described(
            row,
            self.by_row[source],
            self.by_row[target],
            row.whole("delay", least=-(2**31)) if "delay" in row else 0,
            parameter,
            self.whole[source] and self.whole[target],
        )

    def _make_bundle(self, bundle: Described, edges: list[Edge]) -> None:
        source, target, parameter = bundle.source, bundle.target, bundle.parameter
        if source is None or target is None:
            return
        ups = np.array([self.places[up].index for up, _, _ in edges], dtype=np.int64)
        downs = np.array([self.places[down].index for _, down, _ in edges], dtype=np.int64)
        addresses = np.array([data.get("index", 0) for _, _, data in edges], dtype=np.int64)
        if parameter is not None:
            self._weigh_edges(parameter, edges)
        if bundle.whole:
            options = Revived()(bundle.row.mapping("options"))
            kind = bundle.row.text("type")
            made = make_bundle(kind, source, target, parameter, bundle.delay, options)
            if _same(made, ups, downs, addresses):
                return
            target.incoming.remove(made)
            fixed = isinstance(made, BridgeConnections) or made.along_trees or made.reverses
            if fixed or made.constant != 1.0:
                raise GraphError(
                    f"{made.label}: its connections cannot be taken out one by one; keep them all"
                )
        if len(set(zip(ups.tolist(), downs.tolist(), strict=True))) < len(edges):
            raise GraphError(
                f"{source.name} -> {target.name}: two edges of one bundle join one pair; take "
                f"the attribute 'bundle' off the second"
            )
        if parameter is not None:
            self.changed.add(parameter.name)
        if len(edges):
            TableConnections(source, target, parameter, ups, downs, addresses, bundle.delay)

    def _weigh_edges(self, parameter: Parameter, edges: list[Edge]) -> None:
        uses = []
        gradients = parameter.gradient.reshape(-1)
        for up, down, data in edges:
            what = f"edge {up!r} -> {down!r}"
            index = whole_number(what, "index", data.get("index", 0))
            weight = real(what, "weight", data.get("weight"))
            uses.append((what, index, weight, flag(what, "trainable", data.get("trainable", True))))
            if data.get("gradient"):
                gradients[index] = real(what, "gradient", data["gradient"])
        self.weigh(parameter.name, uses)

    def retire(self) -> None:
        """Freeze the weights, now 0, of connections that were taken out."""
        for name in self.changed:
            parameter = self.parameters[name]
            used = np.array(list(self.weighed.get(name, {})), dtype=np.int64)
            parameter.freeze(np.setdiff1d(np.arange(parameter.size), used))

    def finish(self, network: Network) -> None:
        """Give the network what is left of the structure: names, time, the random generator."""
        if self.structure is None:
            return
        group = Record("the group of hand-made nodes", self.structure.fields.get("group"))
        if network.handmade.nodes and group.text("name"):
            network.handmade.group.name = group.text("name")
        network.handmade.group.sequence |= group.flag("sequence")
        network.handmade.group.steps = group.whole("steps") if "steps" in group else None
        state = Revived()(self.structure.mapping("generator"))
        network.generator = restored_generator(state)
        own = self.parameters.get(str(self.structure.fields.get("own")))
        weights = network.handmade.weights
        if own is not None and weights is not None:
            weights.regularizer = own.regularizer
            if not own.trainable:
                weights.trainable, weights.frozen = False, None


def _same(
    bundle: Bundle, ups: NDArray[np.int64], downs: NDArray[np.int64], addresses: NDArray[np.int64]
) -> bool:
    """Whether a bundle has just these connections."""
    had = np.stack(bundle.edges())
    has = np.stack([ups, downs, addresses])
    if had.shape != has.shape:
        return False
    return bool((had[:, np.lexsort(had)] == has[:, np.lexsort(has)]).all())


def _dtype(row: Record) -> str:
    dtype = row.text("dtype")
    if dtype not in ("float16", "float32", "float64"):
        raise FormatError(f"{row.what}: its numbers cannot be {dtype!r}")
    return dtype


def _size(row: Record) -> int:
    return int(np.prod(row.sizes("shape"), dtype=np.int64))


def _numbers(what: str, values: Any, size: int) -> NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (size,) or not np.isfinite(array).all():
        raise FormatError(f"{what}: its values are not {size} finite numbers")
    return array
