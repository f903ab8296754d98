"""Keras models as networks: structure from the configuration, weights as they are."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from neurograph.errors import GraphError, NeurographError
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.interop.keras_layers import is_piece, recipe_of
from neurograph.interop.keras_pieces import PIECES, operated, subtracted
from neurograph.interop.views import Array
from neurograph.layers.core import Input
from neurograph.parameter import Parameter

Key = tuple[str, int, int]


def from_keras(model: Any, *, name: str = "") -> Network:
    """Return a Keras model as a network with the same layers, names and weights.

    Parameters
    ----------
    model : keras.Sequential or keras.Model
        Built; layer by layer or functional, with shared layers, several inputs and outputs, and
        models as layers. Subclassed models have no configuration to read.
    name : str
        The network's; the model's if empty.

    Raises
    ------
    GraphError
        The model is not built, or a layer or an option of one has no counterpart; it is named.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from_keras(SimpleNamespace(layers=[]))
    Traceback (most recent call last):
    neurograph.errors.GraphError: from_keras: got SimpleNamespace, expected a Keras model, \
Sequential or functional
    """
    _check(model)
    shapes = [tuple(each.shape[1:]) for each in model.inputs]
    names = [str(each.name) for each in model.inputs]
    inputs = [_input(shape, each) for shape, each in zip(shapes, names, strict=True)]
    calls = _Calls()
    outputs = calls.model(model, inputs)
    network = Network(
        inputs=inputs if len(inputs) > 1 else inputs[0],
        outputs=outputs if len(outputs) > 1 else outputs[0],
        name=name or str(model.name),
    )
    for label, parameters, weights in calls.weights:
        if [each.shape for each in parameters] != [each.shape for each in weights]:
            raise GraphError(
                f"from_keras: layer {label!r} has weights of shapes "
                f"{[each.shape for each in weights]}, ours has "
                f"{[each.shape for each in parameters]}"
            )
        for parameter, value in zip(parameters, weights, strict=True):
            parameter.value = value
    return network


def _check(model: Any) -> None:
    kinds = [each.__name__ for each in type(model).__mro__]
    if "Functional" not in kinds and "Sequential" not in kinds:
        raise GraphError(
            f"from_keras: got {type(model).__name__}, expected a Keras model, Sequential or "
            f"functional"
        )
    if not getattr(model, "built", False) or not model.inputs:
        raise GraphError(
            f"from_keras: the model {model.name!r} is not built; give it an Input, or call it once"
        )


def _input(shape: tuple[int | None, ...], name: str) -> Layer:
    if any(each is None for each in shape[1:]):
        raise GraphError(
            f"from_keras: input {name!r} has shape {shape}; only its first size, the number of "
            f"steps, may be open"
        )
    return Input(shape, name=name)


class _Calls:
    """The calls of the layers of a model, and the weights that belong to them."""

    def __init__(self) -> None:
        self.weights: list[tuple[str, list[Parameter], list[Array]]] = []
        self._recipes: dict[int, Any] = {}
        self._pieces: set[int] = set()

    def model(self, model: Any, inputs: Sequence[Layer]) -> list[Layer]:
        """Return the outputs of a model called on layers of ours."""
        if "Sequential" in [each.__name__ for each in type(model).__mro__]:
            made = list(inputs)
            for each in model.layers:
                made = self.layer(each, made)
            return made
        return self._functional(model, inputs)

    def layer(
        self, layer: Any, sources: list[Layer], states: list[Layer] | None = None
    ) -> list[Layer]:
        """Return what a layer of Keras makes of layers of ours, and of initial states."""
        kind = type(layer).__name__
        if any(each.__name__ in ("Functional", "Sequential") for each in type(layer).__mro__):
            _check(layer)
            return self.model(layer, sources)
        if is_piece(layer):
            return [self._piece(layer, kind, sources)]
        first = id(layer) not in self._recipes
        if first:
            self._recipes[id(layer)] = recipe_of(layer)
        recipe = self._recipes[id(layer)]
        merging = kind in ("Add", "Multiply", "Average", "Maximum", "Concatenate")
        if not merging and len(sources) != 1:
            raise GraphError(
                f"from_keras: layer {layer.name!r} ({kind}) is called on {len(sources)} tensors; "
                f"only merging layers take several here"
            )
        try:
            if states:
                found = recipe(sources[0], initial_state=states)
            else:
                found = recipe(sources if merging else sources[0])
        except NeurographError as error:
            raise GraphError(f"from_keras: layer {layer.name!r} ({kind}): {error}") from error
        made = list(found) if isinstance(found, (list, tuple)) else [found]
        values = _values(layer)
        if first and values:
            own = {id(each): each for one in made for each in _parameters(one)}
            self.weights.append((str(layer.name), list(own.values()), values))
        return made

    def _piece(self, layer: Any, kind: str, sources: list[Layer]) -> Layer:
        """Return what a layer that is a few of ours makes."""
        label, values = str(layer.name), _values(layer)
        if id(layer) in self._pieces and values:
            raise GraphError(f"from_keras: layer {label!r} ({kind}) is shared, which is not known")
        name = label if id(layer) not in self._pieces else ""
        self._pieces.add(id(layer))
        try:
            if kind == "Subtract":
                return subtracted(sources, name)
            (source,) = sources
            if kind == "PReLU" and (values[0] > 1.0).any():
                raise GraphError("slopes above 1 are not known here")
            made, parameters = PIECES[kind](layer.get_config(), source, name)
        except (NeurographError, ValueError) as error:
            raise GraphError(f"from_keras: layer {label!r} ({kind}): {error}") from error
        if values:
            pairs = zip(values, parameters, strict=True)
            fitted = [each.reshape(own.shape) for each, own in pairs]
            self.weights.append((label, parameters, fitted))
        return made

    def _operator(self, operation: Any, given: list[Any]) -> Layer:
        """Return what an operator makes of layers and numbers."""
        kind, label = type(operation).__name__, str(operation.name)
        try:
            return operated(kind, given, label)
        except NeurographError as error:
            raise GraphError(f"from_keras: layer {label!r} ({kind}): {error}") from error

    def _functional(self, model: Any, inputs: Sequence[Layer]) -> list[Layer]:
        config = _without_masks(model)
        known: dict[Key, Layer] = dict(zip(_keys(config["input_layers"]), inputs, strict=True))
        waiting = [
            (row["name"], number, node)
            for row in config["layers"]
            for number, node in enumerate(row["inbound_nodes"])
        ]
        operations = {each.name: each for each in model.operations}
        while waiting:
            ready = [row for row in waiting if all(key in known for key in _tensors(row[2]))]
            if not ready:
                raise GraphError(f"from_keras: the calls of {waiting[0][0]!r} cannot be ordered")
            for name, number, node in ready:
                operation = operations[name]
                _check_call(name, node, ".ops." in type(operation).__module__)
                sources = [known[key] for key in _tensors_in(node["args"])]
                if ".ops." in type(operation).__module__:
                    found = [self._operator(operation, _given(node["args"], known))]
                else:
                    states = [known[key] for key in _tensors_in(node["kwargs"])]
                    found = self.layer(operation, sources, states)
                for place, made in enumerate(found):
                    known[name, number, place] = made
            waiting = [row for row in waiting if row not in ready]
        return [known[key] for key in _keys(config["output_layers"])]


def _without_masks(model: Any) -> dict[str, Any]:
    """Return the configuration of a functional model without the masks that layers hand on.

    Keras writes them down as operators and as arguments of the calls that heed them; here layers
    know them without. Masks that somebody gave stay.
    """
    config: dict[str, Any] = copy.deepcopy(model.get_config())
    rows = {row["name"]: row for row in config["layers"]}
    operators = {
        each.name: type(each).__name__
        for each in model.operations
        if ".ops." in type(each).__module__
    }
    seen = {  # what is looked at for steps that do not count
        key
        for row in rows.values()
        if row["class_name"] == "Masking" or row["config"].get("mask_zero")
        for node in row["inbound_nodes"]
        for key in _tensors_in(node["args"])
    }

    def handed_on(key: Key) -> bool:
        name, number, _ = key
        kind = operators.get(name)
        if kind is None:
            return False
        inputs = list(_tensors_in(rows[name]["inbound_nodes"][number]["args"]))
        if kind == "NotEqual":
            return inputs[0] in seen
        return kind in ("ZerosLike", "OnesLike") or all(map(handed_on, inputs))

    for row in rows.values():
        for node in row["inbound_nodes"]:
            if all(map(handed_on, _tensors_in(node["kwargs"].get("mask")))):
                node["kwargs"].pop("mask", None)
    used = _used(rows, [name for name, _, _ in _keys(config["output_layers"])])
    config["layers"] = [row for name, row in rows.items() if name in used or name not in operators]
    return config


def _used(rows: dict[str, Any], names: Sequence[str]) -> set[str]:
    """Return the names of layers and of all that they are calculated from."""
    used, found = set[str](), set(names)
    while found - used:
        used |= found
        nodes = [node for name in found for node in rows[name]["inbound_nodes"]]
        found = {name for node in nodes for name, _, _ in _tensors(node)}
    return used


def _values(layer: Any) -> list[Array]:
    to_numpy = import_module("keras").ops.convert_to_numpy  # whose layer it is
    return [np.asarray(to_numpy(each)) for each in getattr(layer, "weights", ())]


def _parameters(layer: Layer) -> list[Parameter]:
    """Return the parameters of a layer; of a wrapper those of its parts."""
    if layer.parameters:
        return list(layer.parameters.values())
    parts = [layer.parts[way] for way in ("forward", "backward") if way in layer.parts]
    return [each for part in parts for each in part.parameters.values()]


def _given(value: Any, known: dict[Key, Layer]) -> list[Any]:
    """Return the arguments of an operator: layers, and what else there is."""
    tensor = "__keras_tensor__"
    return [
        known[next(_tensors_in(each))]
        if isinstance(each, dict) and each.get("class_name") == tensor
        else each
        for each in value
    ]


def _check_call(name: str, node: dict[str, Any], operator: bool) -> None:
    constant = next((each for each in node["args"] if not list(_tensors_in(each))), None)
    if constant is not None and not operator:
        raise GraphError(
            f"from_keras: layer {name!r} is called with {constant!r}, which has no counterpart here"
        )
    if node["kwargs"].get("training"):
        raise GraphError(
            f"from_keras: layer {name!r} is called with training=True, which has no counterpart "
            f"here; model.inspect(x, training=True) runs as in training"
        )
    for option, value in node["kwargs"].items():
        if list(_tensors_in(value)) and option != "initial_state":
            raise GraphError(
                f"from_keras: layer {name!r} is called with {option}=, a tensor, which has no "
                f"counterpart here"
            )


def _keys(rows: Any) -> list[Key]:
    """Return the tensors that a configuration names: one, or a list of them."""
    if isinstance(rows, dict):
        return [key for each in rows.values() for key in _keys(each)]
    if rows and isinstance(rows[0], str):
        return [(rows[0], int(rows[1]), int(rows[2]))]
    return [key for each in rows for key in _keys(each)]


def _tensors(node: dict[str, Any]) -> list[Key]:
    return [*_tensors_in(node["args"]), *_tensors_in(node["kwargs"])]


def _tensors_in(value: Any) -> Iterator[Key]:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, number, place = value["config"]["keras_history"]
            yield str(name), int(number), int(place)
            return
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors_in(each)
