"""Lower: from a network to a program that calculates its outputs, layer by layer.

Bundles are lowered by their type (``BUNDLES``, filled by the files of ``lowerings``); hand-made
nodes go through ``handmade``. Contributions to a net input are written as additions, ``settle``
makes the first of them an assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from neurograph.compiler.aggregate import aggregate_layer
from neurograph.compiler.backward import shifted
from neurograph.compiler.builder import Builder
from neurograph.compiler.cells import lower_cell
from neurograph.compiler.handmade import Irregular
from neurograph.compiler.program import Attribute, Dim, Program, Ref
from neurograph.errors import GraphError
from neurograph.graph.bundles import DenseConnections
from neurograph.graph.clocks import clocks
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.masks import output_masks
from neurograph.graph.network import Network, Port
from neurograph.graph.schedule import Stage
from neurograph.graph.spatial import PoolingConnections
from neurograph.graph.states import last_step, stateful_layers
from neurograph.layer_functions import OneHot, Softmax
from neurograph.noise import noise_sampler
from neurograph.parameter import Parameter

BundleLowering = Callable[["Lowering", Any, Ref], None]
BUNDLES: dict[type[Bundle], BundleLowering] = {}
FUNCTIONS: dict[type, Callable[[Lowering, Layer, Ref, Ref], None]] = {}
FUNCTION_REASONS = {
    "softmax": "powers over their sum, along the last axis",
    "layer_norm": "each sample by its own mean and variance",
    "local_response": "each channel by those beside it",
    "normalize": "by mean and variance of the batch",
    "rescale": "by the moving mean and variance",
    "apply": "no kernel of its own: the function is called",
}
CELLS: dict[str, Callable[[Lowering, list[Layer]], bool]] = {}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of ``model.explain()``: what was lowered, to which kernel, and why."""

    block: str
    kernel: str
    reason: str
    connections: int
    parameters: int


@dataclass
class Lowering:
    """The state of one lowering."""

    network: Network
    training: bool
    dtype: str
    offsets: Mapping[int, int]
    differentiated: bool = False
    keep: bool = False
    truncate: int | None = None
    builder: Builder = field(init=False)
    values: dict[tuple[str, str], str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    fixed: list[tuple[Any, Any]] = field(default_factory=list)
    outputs: dict[int, str] = field(default_factory=dict)
    parameters: dict[int, str] = field(default_factory=dict)
    parameter_of: dict[str, Parameter] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    next_states: list[str] = field(default_factory=list)
    finals: dict[int, str] = field(default_factory=dict)
    joints: dict[tuple[int, ...], str] = field(default_factory=dict)
    inside: set[int] = field(default_factory=set)
    symbol: dict[int, str] = field(default_factory=dict)
    looping: bool = False
    direction: int = 1

    def __post_init__(self) -> None:
        self.builder = Builder(self.dtype)
        for number, layers in enumerate(clocks(self.network)):
            for layer in layers:
                self.symbol[id(layer)] = f"T_{number}" if number else "T"

    # the whole network ------------------------------------------------------------------------

    def run(self) -> Program:
        """Return the program of the forward pass."""
        network = self.network
        self.irregular = Irregular(self)
        for port in network.inputs:
            if port.indices is None:
                self._declare_input(port.layer)
        self.irregular.declare()
        stages = network.stages()
        library = network.all_layers[: network.unit_count - len(network.handmade.nodes)]
        self._number = {id(layer): unit for unit, layer in enumerate(library)}
        for number, stage in enumerate(stages):
            layers = [library[unit] for unit in stage.units if unit < len(library)]
            if stage.direction == 0:
                for layer in layers:
                    self._lower_layer(layer)
                self.irregular.lower_rank(number, 0)
            else:
                self._lower_cycle(number, stage, layers)
        outputs = tuple(self._output(port) for port in network.outputs)
        self._keep_states()
        return Program(
            self.builder.arrays,
            tuple(self.builder.steps),
            (),
            self.builder.constants,
            self.values,
            outputs,
            tuple(
                self.outputs[id(port.layer)] if port.indices is None else self.outputs[-1]
                for port in network.inputs
            ),
            (*self.next_states, *self._masks()),
        )

    def _lower_cycle(self, number: int, stage: Stage, layers: list[Layer]) -> None:
        self.direction = stage.direction
        if len(layers) == len(stage.units) and lower_cell(self, layers):
            return
        if self.irregular.lower_cell(number):
            return
        for layer in layers:
            self._declare_output(layer)
        self.inside = {id(layer) for layer in layers}
        self.looping = True
        with self.builder.loop(stage.direction):
            for rank, units in enumerate(stage.ranks):
                for layer in [layer for layer in layers if self._number[id(layer)] in units]:
                    self._lower_layer(layer)
                    self.irregular.after_step(layer)
                self.irregular.lower_rank(number, rank)
        self.looping = False
        self.inside = set()

    # arrays -----------------------------------------------------------------------------------

    def lead(self, layer: Layer) -> tuple[Dim, ...]:
        """Return the leading axes of a layer's values: time and batch, or the batch."""
        return (self.symbol[id(layer)], "B") if layer.sequence else ("B",)

    def history(self, layer: Layer) -> tuple[int, int]:
        """Return how many steps before the first and after the last somebody reads."""
        delays = [bundle.delay for bundle in layer.outgoing]
        delays += self.irregular.arrangement.delays_from(layer)
        delays += [self.direction] if layer.mask is not None else []
        return max([0, *delays]), max([0, *(-delay for delay in delays)])

    def declare(self, name: str, layer: Layer, role: str = "value", dtype: str = "") -> str:
        """Declare the array of a layer's outputs, with room for its history; return its view."""
        before, after = self.history(layer)
        if not before and not after:
            dims = (*self.lead(layer), *layer.shape)
            return self.builder.array(name, dims, role, dtype=dtype or self.dtype)
        dims = (f"{self.symbol[id(layer)]}+{before + after}", "B", *layer.shape)
        base = self.builder.array(f"{name}_all", dims, role, dtype=dtype or self.dtype)
        view = self.builder.part(base, ((before, -after if after else None),), name)
        if before:
            self._initial(layer, self.builder.part(base, ((0, before),), f"{name}_initial"))
        if after:
            self._initial(layer, self.builder.part(base, ((-after, None),), f"{name}_final"))
        return view

    def _initial(self, layer: Layer, place: str) -> None:
        begun = self.begin(layer)
        if begun is not None:
            for step in range(cast(int, self.builder.arrays[place].dims[0])):
                one = self.builder.part(place, ((step, step + 1),))
                one = self.builder.reshape(one, ("B", *layer.shape))
                self.builder.emit("copy", one, begun)
        elif layer.initial is None:
            self.builder.emit("fill", place, accumulate=False, value=0)
        else:
            table = self.table(f"{layer.name}_state", np.asarray(layer.initial), layer.shape)
            self.builder.emit("copy", place, table)

    def begin(self, layer: Layer) -> str | None:
        """Return the array (B, shape) that a layer begins with, if each sample has its own."""
        if isinstance(layer.initial, Layer):
            return self.builder.reshape(self.outputs[id(layer.initial)], ("B", *layer.shape))
        if not layer.stateful:
            return None
        if id(layer) not in self.states:
            name = f"{layer.name}_state"
            self.states[id(layer)] = self.builder.array(name, ("B", *layer.shape), "state")
        return self.states[id(layer)]

    def _masks(self) -> list[str]:
        """Return the masks of the outputs, which losses and metrics go by."""
        found = [each for each in output_masks(self.network) if each is not None]
        return list(dict.fromkeys(self.outputs[id(each)] for each in found))

    def _keep_states(self) -> None:
        """Make the arrays of what the next batch begins with, one for each stateful layer."""
        for layer in stateful_layers(self.network):
            name = self.finals.get(id(layer))
            if name is None:
                name = self.builder.array(f"{layer.name}_next", ("B", *layer.shape))
                self.builder.emit("step", name, self.outputs[id(layer)], at=last_step(layer))
            self.next_states.append(name)

    def pieces(self) -> dict[str, Attribute]:
        """Return the attribute of cells that truncates back-propagation through time, if it is."""
        return {"truncate": self.truncate} if self.truncate else {}

    def table(self, name: str, contents: Any, dims: tuple[Dim, ...]) -> str:
        """Declare an array whose contents are fixed; return its name."""
        found = self.builder.array(name, dims, "table")
        self.builder.constants[f"{found}_table"] = np.ascontiguousarray(
            np.broadcast_to(np.asarray(contents, dtype=self.dtype), cast(tuple[int, ...], dims))
        )
        return found

    def parameter(self, parameter: Parameter) -> str:
        """Return the name of a parameter's array."""
        found = self.parameters.get(id(parameter))
        if found is None:
            offset = self.offsets[id(parameter)]
            found = self.builder.array(parameter.name, parameter.shape, "parameter", offset=offset)
            self.adopt_parameter(parameter, found)
        return found

    def weights(self, parameter: Parameter, first: int, count: int) -> str:
        """Return a vector of ``count`` weights of a parameter, from its last axis."""
        whole = self.parameter(parameter)
        if len(parameter.shape) != 1:
            whole = self.builder.reshape(whole, (parameter.size,))
        return self.builder.part(whole, ((first, first + count),))

    def take_as_constant(self, parameter: Parameter, addresses: Any, values: Any) -> None:
        """Note that the program is right only while some weights have these values."""
        self.fixed.append((self.offsets[id(parameter)] + addresses, values))

    def adopt_parameter(self, parameter: Parameter, name: str) -> None:
        """Let an array that exists be that of a parameter."""
        self.parameters[id(parameter)] = name
        self.parameter_of[name] = parameter

    def _declare_input(self, layer: Layer) -> None:
        dtype = str(layer.config.get("dtype", self.dtype))
        name = self.declare(layer.name, layer, "input", dtype)
        self.outputs[id(layer)] = name
        self.values[layer.name, "output"] = self.values[layer.name, "in"] = name

    def read(self, layer: Layer, delay: int = 0) -> Ref:
        """Return the outputs of a layer as an operand, ``delay`` steps late."""
        name = self.outputs[id(layer)]
        if self.looping and layer.sequence:
            return Ref(name, -delay)
        if delay and layer.sequence:
            return Ref(shifted(self.builder, name, -delay))
        return Ref(name)

    def here(self, name: str, layer: Layer) -> Ref:
        """Return an array of the present layer as an operand."""
        return Ref(name, 0 if self.looping and layer.sequence else None)

    def reshaped(self, ref: Ref, dims: tuple[int, ...]) -> Ref:
        """Return an operand with other node dimensions."""
        array = self.builder.arrays[ref.name]
        lead = array.dims[: array.lead]
        return Ref(self.builder.reshape(ref.name, (*lead, *dims)), ref.offset)

    # one layer --------------------------------------------------------------------------------

    def _declare_output(self, layer: Layer) -> None:
        if id(layer) not in self.outputs:
            name = self.declare(layer.name, layer)
            self.outputs[id(layer)] = name
            self.values[layer.name, "output"] = name

    def _lower_layer(self, layer: Layer) -> None:
        if layer.role == "input":
            if id(layer) not in self.outputs:
                raise GraphError(
                    f"network {self.network.name!r}: {layer.name!r} is an input that is not among "
                    f"the inputs of the network"
                )
            return
        if layer.role == "const":
            return
        if layer.role == "noise":
            if self.training:
                self._lower_noise(layer)
            return
        if self.is_looked_up(layer):
            self.note(layer.incoming[0], "lookup", "its index is used, the one-hot row is not made")
            return
        if not layer.incoming and not self.irregular.feeds(layer):
            raise GraphError(f"layer {layer.name!r} has no incoming connections")
        if layer.mask is not None and not self.looping:
            self.direction, self.looping = 1, True
            with self.builder.loop(1):
                self._calculate(layer)
            self.looping = False
        else:
            self._calculate(layer)

    def is_looked_up(self, layer: Layer) -> bool:
        """Whether a layer is the one-hot form of an index, and only products read it."""
        return (
            not self.keep
            and not self.looping
            and isinstance(layer.function, OneHot)
            and len(layer.incoming) == 1
            and type(layer.incoming[0]) is DenseConnections
            and layer.incoming[0].parameter is None
            and not self.irregular.feeds(layer)
            and not self.irregular.arrangement.delays_from(layer)
            and all(port.layer is not layer for port in self.network.outputs)
            and all(
                type(bundle) is DenseConnections
                and bundle.parameter is not None
                and bundle.mask is None
                and bundle.first_column == 0
                and bundle.units == bundle.columns
                and not bundle.delay
                and bundle.positions == layer.incoming[0].source.size
                and bundle.target.aggregation == "sum"
                and bundle.target.sequence == layer.sequence
                for bundle in layer.outgoing
            )
        )

    def _calculate(self, layer: Layer) -> None:
        """Lower the net input and the output of a layer."""
        self._declare_output(layer)
        held = out = self.outputs[id(layer)]
        dims = (*self.lead(layer), *layer.shape)
        if layer.mask is not None:
            out = self.builder.array(f"{layer.name}_new", dims)
        plain = layer.function is None and layer.activation.name == "identity"
        net = out if plain else self.builder.array(f"{layer.name}_net", dims)
        self.values[layer.name, "net"] = net
        net_ref, out_ref = self.here(net, layer), self.here(out, layer)
        self._aggregate(layer, net_ref)
        if layer.function is not None:
            self._apply(layer, net_ref, out_ref)
        elif not plain:
            name = self.builder.constant(layer.activation.name, layer.activation)
            self.builder.emit("activate", out_ref, net_ref, accumulate=False, function=name)
        if layer.mask is not None:
            mask = self.reshaped(self.read(layer.mask), (1,) * len(layer.shape))
            before = Ref(held, -self.direction)
            self.builder.emit(
                "hold", self.here(held, layer), out_ref, before, mask, accumulate=False
            )

    def _apply(self, layer: Layer, net: Ref, out: Ref) -> None:
        """Lower the function of a whole layer, and say so in the table."""
        self._lower_function(layer, net, out)
        assert layer.function is not None
        kernel = self.builder.latest.op
        weights = sum(each.size for each in layer.function.parameters.values())
        self.add_row(layer.name, kernel, FUNCTION_REASONS[kernel], 0, weights)

    def _lower_function(self, layer: Layer, net: Ref, out: Ref) -> None:
        special = FUNCTIONS.get(type(layer.function))
        if isinstance(layer.function, Softmax):
            self.builder.emit("softmax", out, net, accumulate=False)
        elif special is not None:
            special(self, layer, net, out)
        else:
            self.apply(layer, net, out)

    def apply(self, layer: Layer, net: Ref, out: Ref) -> None:
        """Lower a layer function that has no operation of its own by calling it."""
        name = self.builder.constant(f"{layer.name}_function", layer.function)
        assert layer.function is not None
        parameters = [self.parameter(each) for each in layer.function.parameters.values()]
        self.builder.emit(
            "apply",
            out,
            net,
            *parameters,
            accumulate=False,
            function=name,
            training=int(self.training),
        )

    def _lower_noise(self, layer: Layer) -> None:
        self.outputs[id(layer)] = name = self.builder.array(
            layer.name, (*self.lead(layer), *layer.shape), "noise"
        )
        self.values[layer.name, "output"] = name
        self.builder.constants[f"{name}_sampler"] = noise_sampler(layer)

    def _aggregate(self, layer: Layer, net: Ref) -> None:
        simple = [bundle for bundle in layer.incoming if is_elementwise(bundle)]
        if self._is_pooling(layer):
            self.lower_bundle(layer.incoming[0], net)
        elif layer.aggregation == "sum":
            if not any(map(len, layer.incoming)) and not self.irregular.feeds(layer):
                self.builder.emit("fill", net, accumulate=False, value=0)
            for bundle in layer.incoming:
                self.lower_bundle(bundle, net)
            self.irregular.add_to(layer, net)
        elif len(simple) == len(layer.incoming) and not self.irregular.feeds(layer):
            self._combine(layer, net)
        else:
            aggregate_layer(self.irregular, layer, net)

    def _is_pooling(self, layer: Layer) -> bool:
        """Whether one pooling, for which there is a kernel, is all that feeds a layer."""
        return (
            layer.aggregation in ("max", "mean")
            and [type(bundle) for bundle in layer.incoming] == [PoolingConnections]
            and not self.irregular.feeds(layer)
            and not (layer.sequence and not layer.incoming[0].source.sequence)
        )

    def lower_bundle(self, bundle: Bundle, net: Ref) -> None:
        """Add what a bundle brings to the net input of its target."""
        lower = BUNDLES.get(type(bundle))
        if lower is None:
            self.irregular.add_bundle(bundle, net)
        else:
            lower(self, bundle, net)

    def goes_by_edges(self, bundle: Bundle) -> bool:
        """Whether a bundle is lowered by its explicit edges."""
        if self._is_pooling(bundle.target):
            return False
        if bundle.target.aggregation != "sum":
            return not all(map(is_elementwise, bundle.target.incoming))
        return type(bundle) not in BUNDLES

    def note(self, bundle: Bundle, kernel: str, reason: str) -> None:
        """Add a row for a bundle to the table of ``model.explain()``."""
        weights = 0 if bundle.parameter is None else min(bundle.parameter.size, len(bundle))
        self.add_row(bundle.label, kernel, reason, len(bundle), weights)

    def add_row(
        self, block: str, kernel: str, reason: str, connections: int, parameters: int
    ) -> None:
        """Add a row to the table of ``model.explain()``."""
        self.rows.append(Row(block, kernel, reason, connections, parameters))

    def _combine(self, layer: Layer, net: Ref) -> None:
        """Lower a product, maximum or mean of whole layers."""
        operands = []
        for bundle in layer.incoming:
            if bundle.source.role == "noise" and not self.training:
                continue
            if bundle.source.role == "const":
                operands.append(Ref(self.table(f"{layer.name}_one", 1.0, layer.shape)))
                continue
            source = self.reshaped(self.read(bundle.source, bundle.delay), layer.shape)
            operands.append(source)
            self.note(bundle, layer.aggregation, "one connection a pair, weight 1")
        if layer.aggregation == "mean":
            factor = 1.0 / len(operands)
            for operand in operands:
                self.builder.emit("copy", net, operand, factor=factor)
            return
        if len(operands) == 1:
            self.builder.emit("copy", net, operands[0])
            return
        operation = {"product": "multiply", "max": "maximum"}[layer.aggregation]
        self.builder.emit(operation, net, *operands, accumulate=False)

    def _output(self, port: Port) -> str:
        if port.indices is None:
            return self.outputs[id(port.layer)]
        return self.irregular.output(port)


def is_elementwise(bundle: Bundle) -> bool:
    """Whether node i of the source feeds node i of the target with the constant weight 1."""
    whole = getattr(bundle, "is_whole", False) or (
        bundle.source.role == "const" and bundle.parameter is None
    )
    return bool(whole) and bundle.parameter is None and bundle.constant == 1.0
