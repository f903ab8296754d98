"""Networks as ONNX files, which other programs run.

Bundles become operators: dense ones Gemm, windows Conv and pooling, one-to-one ones sums, products
and concatenations. ONNX has channels first, so pictures are transposed where they enter and leave
the operators that need it, and nowhere else. Inputs and outputs keep neurograph's shapes.
"""

from __future__ import annotations

from typing import Any

from neurograph.errors import GraphError, StorageError
from neurograph.functions import ACTIVATIONS as SHIPPED
from neurograph.graph.bundles import BiasConnections, OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.spatial import WindowConnections
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.onnx_graph import ACTIVATIONS, IR_VERSION, OPSET, OnnxGraph
from neurograph.storage.onnx_terms import Terms

MOST_BYTES = 2**31 - 1  # of one file of protocol buffers


def export_onnx(network: Network, path: StrPath) -> None:
    """Write a network as an ONNX file in float32, there whole or not at all.

    The first axis of every input and output is the batch, of any size.

    Parameters
    ----------
    network : Network
        Feed-forward, of library layers.
    path : path

    Raises
    ------
    MissingDependencyError
        onnx, of the extra ``onnx``, is not installed.
    GraphError
        Something has no counterpart in ONNX or here; it is named, and nothing is written.
    StorageError
        The file cannot be written.
    """
    proto = to_onnx(network)
    if proto.ByteSize() > MOST_BYTES:
        raise StorageError(f"cannot write {str(path)!r}: an ONNX file holds at most 2 GB")
    with atomic_write(path) as file:
        file.write(proto.SerializeToString())


def to_onnx(network: Network) -> Any:
    """Return a network as an ``onnx.ModelProto``."""
    _check(network)
    writer = _Writer()
    helper, kind = writer.graph.onnx.helper, writer.graph.onnx.TensorProto.FLOAT
    inputs, outputs = [], []
    for port in network.inputs:
        name = writer.begin(port.layer)
        inputs.append(helper.make_tensor_value_info(name, kind, ["batch", *port.shape]))
    for layer in _ordered(network):
        writer.calculate(layer)
    for port in network.outputs:
        name = writer.end(port.layer)
        outputs.append(helper.make_tensor_value_info(name, kind, ["batch", *port.shape]))
    graph = helper.make_graph(
        writer.graph.nodes, network.name or "network", inputs, outputs, writer.graph.weights
    )
    opset = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(graph, opset_imports=opset, producer_name="neurograph")
    proto.ir_version = IR_VERSION
    return proto


def _check(network: Network) -> None:
    """Refuse what is not feed-forward, or not made of library layers."""
    network.stages()
    late = next((each for each in network.layers if each.sequence), None)
    if late is not None:
        raise GraphError(
            f"network {network.name!r}: layer {late.name!r} is a sequence in time; ONNX files are "
            f"written for feed-forward networks only"
        )
    if any(bundle.along_trees for bundle in network.bundles):
        raise GraphError(
            f"network {network.name!r} goes along trees; ONNX files are written for feed-forward "
            f"networks only"
        )
    if network.handmade.nodes or len(network.handmade.table().ups):
        raise GraphError(
            f"network {network.name!r} has nodes or connections made by hand; ONNX files are "
            f"written for library layers only; net.to_networkx() and GraphML hold any graph"
        )


def _ordered(network: Network) -> list[Layer]:
    """Return the layers so that each comes after those it needs."""
    found: dict[int, Layer] = {}

    def visit(end: Layer) -> None:
        stack = [(end, False)]
        while stack:
            layer, done = stack.pop()
            if done:
                found.setdefault(id(layer), layer)
            elif id(layer) not in found:
                stack.append((layer, True))
                stack.extend((bundle.source, False) for bundle in layer.incoming)

    for port in network.outputs:
        visit(port.layer)
    return [each for each in found.values() if each.role == "units"]


class _Writer:
    """The tensors of layers: with the channels last, first, or both, as they are needed."""

    def __init__(self) -> None:
        self.graph = OnnxGraph()
        self.last: dict[int, str] = {}
        self.first: dict[int, str] = {}
        self.terms = Terms(self.graph, self.tensor)

    def begin(self, layer: Layer) -> str:
        """Return the name of an input."""
        self.last[id(layer)] = name = self.graph.name(layer.name)
        return name

    def end(self, layer: Layer) -> str:
        """Return the name of an output, which is the layer's."""
        tensor = self.tensor(layer, False)
        name = self.graph.name(layer.name)
        node = self.graph.onnx.helper.make_node("Identity", [tensor], [name], name=name)
        self.graph.nodes.append(node)
        return name

    def tensor(self, layer: Layer, first: bool) -> str:
        """Return the tensor of a layer, transposed if it is not there with its channels there."""
        wanted, other = (self.first, self.last) if first else (self.last, self.first)
        rank = len(layer.shape)
        if rank < 2:
            wanted, other = self.last, self.last
        if id(layer) not in wanted:
            axes = [0, rank, *range(1, rank)] if first else [0, *range(2, rank + 1), 1]
            source = other[id(layer)]
            wanted[id(layer)] = self.graph.add("Transpose", [source], layer.name, perm=axes)
        return wanted[id(layer)]

    def calculate(self, layer: Layer) -> None:
        """Add the operators of a layer."""
        function = layer.function
        if function is not None and function.name == "one_hot":
            return  # the dense bundle above it gathers rows instead
        first = self._wants_first(layer)
        x = self.terms.combined(layer, first)
        if function is not None:
            x = self.terms.function(layer, x, first)
        else:
            name = layer.activation.name
            if name not in ACTIVATIONS or SHIPPED.get(name) is not layer.activation:
                raise GraphError(
                    f"layer {layer.name!r}: its activation {name!r} has no counterpart in ONNX"
                )
            x = ACTIVATIONS[name](self.graph, x, layer.name)
        (self.first if first else self.last)[id(layer)] = x

    def _wants_first(self, layer: Layer) -> bool:
        """Whether a layer is calculated with its channels first."""
        if len(layer.shape) < 2:
            return False
        if any(isinstance(each, WindowConnections) for each in layer.incoming):
            return True
        bundles = [
            each
            for each in layer.incoming
            if each.source.role != "noise" and not isinstance(each, BiasConnections)
        ]
        return all(
            isinstance(each, OneToOneConnections)
            and id(each.source) in self.first
            and self.terms.keeps_axes(each)
            for each in bundles
        )
