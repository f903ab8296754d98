"""Recurrent layers as the operators RNN, LSTM and GRU of ONNX.

The operators know plain cells only, so every gate and product of a cell is compared with what the
operator calculates before its weights are taken. What is no such cell is written as a loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from neurograph.functions import LEAKY_SLOPE
from neurograph.graph.bundles import BiasConnections, DenseConnections, OneToOneConnections
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.temporal import StepConnections
from neurograph.storage.onnx_graph import Array, OnnxGraph
from neurograph.storage.onnx_tensors import Tensors

# name and parameters of each activation, as the operators take them
_ACTIVATIONS: dict[str, tuple[str, float, float]] = {
    "sigmoid": ("Sigmoid", 0, 0),
    "tanh": ("Tanh", 0, 0),
    "relu": ("Relu", 0, 0),
    "softplus": ("Softplus", 0, 0),
    "elu": ("Elu", 1, 0),
    "leaky_relu": ("LeakyRelu", LEAKY_SLOPE, 0),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
    "identity": ("Affine", 1, 0),
}
_KINDS = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
_APART = ("fold", "mask_fold", "mask", "const")  # parts that are no states and no gates


class _OtherError(Exception):
    """A cell is not that of the operator."""


def cells(network: Network, graph: OnnxGraph, tensors: Tensors) -> Iterator[RecurrentCell]:
    """Yield those recurrent layers of a network that are operators of ONNX."""
    for layer in network.all_layers:
        if layer.config.get("cell") in _KINDS:
            with suppress(_OtherError):
                yield RecurrentCell(layer, graph, tensors)


def dense_kernel(bundle: DenseConnections) -> Array:
    """Return the weights of a dense bundle, (inputs, units), 0 where one was taken out."""
    if bundle.parameter is None:
        return np.full((bundle.inputs, bundle.units), bundle.constant)
    columns = slice(bundle.first_column, bundle.first_column + bundle.units)
    kernel: Array = bundle.parameter.value[:, columns]
    return kernel if bundle.mask is None else np.where(bundle.mask, 0.0, kernel)


def bias_values(bundle: BiasConnections) -> Array:
    """Return the weights of a bias, one for each channel."""
    if bundle.parameter is None:
        return np.full(bundle.channels, bundle.constant)
    values: Array = bundle.parameter.value.reshape(-1)
    return values[bundle.first : bundle.first + bundle.channels]


class RecurrentCell:
    """The cell of one recurrent layer, written as one operator.

    Parameters
    ----------
    root : Layer
        The recurrent layer.
    """

    def __init__(self, root: Layer, graph: OnnxGraph, tensors: Tensors) -> None:
        self.root = root
        self.graph = graph
        self.tensors = tensors
        self.kind = str(root.config["cell"])
        self.delay = int(root.config["delay"])
        self.parts = root.parts
        self.hidden = root.parts["hidden"]
        self.states = [self.hidden] + ([root.parts["cell"]] if self.kind == "lstm" else [])
        self.members = [
            part
            for name, part in root.parts.items()
            if name not in _APART and not name.startswith("final_") and part.role == "units"
        ]
        self.written = False
        self._finals: list[str] = []
        sources = {
            id(source): source
            for part in self.members
            for source, _ in map(self._through, self._bundles(part))
            if isinstance(source, Layer) and source not in self.members
        }
        self._sources = list(sources.values())
        self._plan()

    @property
    def needs(self) -> list[Layer]:
        """The layers that must be there before the cell."""
        begin = [each.initial for each in self.states if isinstance(each.initial, Layer)]
        return self._sources + begin

    def final(self, layer: Layer, step: int) -> str | None:
        """Return the state after the last step, if that is the one asked for."""
        last = -1 if self.delay > 0 else 0
        if layer in self.states and step == last:
            return self._finals[self.states.index(layer)]
        return None

    # what the operator calculates -----------------------------------------------------------------

    def _plan(self) -> None:
        """Find the options and weights of the operator, before anything is written."""
        if self.delay not in (1, -1) or any(each.mask is not None for each in self.states):
            raise _OtherError
        if len(self._sources) != 1 or not self._sources[0].sequence:
            raise _OtherError
        if any(self._is_read(part) for part in self.members):
            raise _OtherError
        order = {"simple_rnn": "hidden", "lstm": "input output forget candidate"}
        gates = order.get(self.kind, "update reset candidate").split()
        self._check_kinds({*gates, "squash"})
        before = self._check_cell()
        self._options = self._activations()
        if before is not None:
            self._options["linear_before_reset"] = int(not before)
        rows = [self._gate(gate) for gate in gates]
        kernel, recurrent, bias, late = (
            np.concatenate(each, axis=-1) for each in zip(*rows, strict=True)
        )
        self._weights = {
            "kernel": kernel.T[None],
            "recurrent_kernel": recurrent.T[None],
            "bias": np.concatenate([bias, late])[None],
        }

    def _is_read(self, part: Layer) -> bool:
        """Whether something outside the cell reads what the operator does not give out."""
        if part is self.hidden:
            return False
        network = self.root.network
        if network is not None and any(port.layer is part for port in network.outputs):
            return True
        last = -1 if self.delay > 0 else 0
        return any(
            bundle.target not in self.members
            and not (
                part in self.states and isinstance(bundle, StepConnections) and bundle.step == last
            )
            for bundle in part.outgoing
        )

    def _check_kinds(self, gates: set[str]) -> None:
        """Compare aggregations, and the activations of what is no gate."""
        products = {"keep", "write", "gated", "dropped", "dropped_past"}
        products |= {"hidden"} if self.kind == "lstm" else set()
        for name, part in self.parts.items():
            if part not in self.members:
                continue
            aggregation = "product" if name in products else "sum"
            plain = name in gates or part.activation_name == "identity"
            if part.aggregation != aggregation or not plain:
                raise _OtherError

    def write(self) -> None:
        """Add the operator; all steps of the hidden state and the final states are there then."""
        self.written = True
        graph, name = self.graph, self.root.name
        x = self.tensors.in_time(self._sources[0])
        given = [
            graph.add("Transpose", [x], name, perm=[1, 0, 2]),
            *(graph.weight(each, f"{name}/{key}") for key, each in self._weights.items()),
            "",
            *self._begin(),
        ]
        outputs = graph.add_several(
            _KINDS[self.kind],
            given,
            name,
            1 + len(self.states),
            hidden_size=self.hidden.size,
            direction="forward" if self.delay > 0 else "reverse",
            **self._options,
        )
        one = graph.constant([1], np.int64)
        steps = graph.add("Squeeze", [outputs[0], one], name)
        steps = graph.add("Transpose", [steps], name, perm=[1, 0, 2])
        self.tensors.timed[id(self.hidden)] = steps
        zero = graph.constant([0], np.int64)
        self._finals = [graph.add("Squeeze", [each, zero], name) for each in outputs[1:]]

    def _begin(self) -> list[str]:
        """Return the initial states, (1, batch, units); none if all are 0."""
        if all(each.initial is None for each in self.states):
            return []
        zero = self.graph.constant([0], np.int64)
        begin = [self.tensors.initial(each) for each in self.states]
        return [self.graph.add("Unsqueeze", [each, zero], self.root.name) for each in begin]

    def _activations(self) -> dict[str, Any]:
        names = {"simple_rnn": ["hidden"], "lstm": ["input", "candidate", "squash"]}
        rows = []
        for part in names.get(self.kind, ["update", "candidate"]):
            activation = self.parts[part].activation
            if activation.name not in _ACTIVATIONS or self.parts[part].function is not None:
                raise _OtherError
            rows.append(_ACTIVATIONS[activation.name])
        found: dict[str, list[Any]] = {
            "activations": [row[0] for row in rows],
            "activation_alpha": [float(row[1]) for row in rows if row[1]],
            "activation_beta": [float(row[2]) for row in rows if row[2] or row[0] == "Affine"],
        }
        return {key: values for key, values in found.items() if values}

    # the weights, and whether the cell is the operator's ---------------------------------------

    def _gate(self, name: str) -> tuple[Array, Array, Array, Array]:
        """Return the kernel, recurrent kernel and both biases of a gate."""
        units, part = self.hidden.size, self.parts[name]
        kernel = np.zeros((self._sources[0].size, units))
        recurrent, bias, late = np.zeros((units, units)), np.zeros(units), np.zeros(units)
        gated = self.parts.get("gated")
        behind = self.parts.get("recurrence")
        bundles = self._bundles(part)
        if name == "candidate" and behind is not None:
            bundles += self._bundles(behind)
        for bundle in bundles:
            source, delay = self._through(bundle)
            if isinstance(bundle, DenseConnections) and source is self._sources[0] and not delay:
                kernel = kernel + dense_kernel(bundle)
            elif isinstance(bundle, DenseConnections) and (
                (source is self.hidden and delay == self.delay) or (source is gated and not delay)
            ):
                recurrent = recurrent + dense_kernel(bundle)
            elif isinstance(bundle, BiasConnections):
                reset_after = behind is not None and bundle.first >= 3 * units
                bias, late = (
                    (bias, late + bias_values(bundle))
                    if reset_after
                    else (bias + bias_values(bundle), late)
                )
            elif not (name == "candidate" and source is gated and _is_plain(bundle)):
                raise _OtherError
        return kernel, recurrent, bias, late

    def _check_cell(self) -> bool | None:
        """Compare what joins the gates; return of a GRU whether it resets before the product."""
        if self.kind == "simple_rnn":
            return None
        past, parts = (self.hidden, self.delay), self.parts
        if self.kind == "lstm":
            self._joins("write", ("input", 0), ("candidate", 0))
            self._joins("keep", ("forget", 0), ("cell", self.delay))
            self._joins("cell", ("write", 0), ("keep", 0))
            self._joins("squash", ("cell", 0))
            self._joins("hidden", ("output", 0), ("squash", 0))
            alike = {parts[gate].activation.name for gate in ("input", "forget", "output")}
        else:
            self._joins("keep", ("update", 0), ("hidden", self.delay))
            self._joins("write", ("rest", 0), ("candidate", 0))
            self._joins("hidden", ("keep", 0), ("write", 0))
            alike = {parts[gate].activation.name for gate in ("update", "reset")}
        if len(alike) > 1:
            raise _OtherError
        if self.kind == "lstm":
            return None
        for bundle in parts["rest"].incoming:
            one = isinstance(bundle, BiasConnections) and bundle.constant == 1.0
            minus = bundle.source is parts["update"] and bundle.constant == -1.0
            if bundle.parameter is not None or not (one or minus):
                raise _OtherError
        before = "recurrence" not in parts
        found = {self._through(each) for each in self._bundles(parts["gated"])}
        if found != {(parts["reset"], 0), past if before else (parts["recurrence"], 0)}:
            raise _OtherError
        return before

    def _joins(self, name: str, *wanted: tuple[str, int]) -> None:
        """Refuse a part not made, node by node, of just these others, so many steps late."""
        bundles = self._bundles(self.parts[name])
        found = [self._through(each) for each in bundles]
        expected = [(self.parts[each], late) for each, late in wanted]
        if len(found) != len(expected) or set(found) != set(expected):
            raise _OtherError
        if not all(map(_is_plain, bundles)):
            raise _OtherError

    def _bundles(self, part: Layer) -> list[Bundle]:
        return [each for each in part.incoming if each.source.role != "noise"]

    def _through(self, bundle: Bundle) -> tuple[Layer | None, int]:
        """Return where a bundle comes from, and how late: dropout changes nothing here."""
        source, delay = bundle.source, bundle.delay
        while source in (self.parts.get("dropped"), self.parts.get("dropped_past")):
            (below,) = self._bundles(source)
            source, delay = below.source, delay + below.delay
        return (None if source.role == "const" else source), delay


def _is_plain(bundle: Bundle) -> bool:
    one = isinstance(bundle, OneToOneConnections) and bundle.is_whole
    return one and bundle.parameter is None and bundle.constant == 1.0
