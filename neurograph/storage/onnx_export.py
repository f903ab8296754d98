"""Networks as ONNX files, which other programs run.

Bundles become operators: dense ones Gemm, windows Conv and pooling, one-to-one ones sums, products
and concatenations. ONNX has channels first, so pictures are transposed where they enter and leave
the operators that need it, and nowhere else. Recurrent layers become RNN, LSTM and GRU. Inputs and
outputs keep neurograph's shapes.
"""

from __future__ import annotations

from typing import Any

from neurograph.errors import GraphError, StorageError
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.onnx_cells import cells
from neurograph.storage.onnx_graph import IR_VERSION, OPSET, OnnxGraph
from neurograph.storage.onnx_loops import Loop
from neurograph.storage.onnx_tensors import Tensors
from neurograph.storage.onnx_terms import Cycle, Terms

MOST_BYTES = 2**31 - 1  # of one file of protocol buffers


def export_onnx(network: Network, path: StrPath) -> None:
    """Write a network as an ONNX file in float32, there whole or not at all.

    The first axis of every input and output is the batch, of any size.

    Parameters
    ----------
    network : Network
        Of library layers.
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
    writer = _Writer(network)
    for layer in writer.ordered():
        writer.calculate(layer)
    helper = writer.graph.onnx.helper
    outputs = [writer.end(port.layer) for port in network.outputs]
    writer.graph.drop_unused({each.name for each in outputs})
    graph = helper.make_graph(
        writer.graph.nodes,
        network.name or "network",
        writer.inputs,
        outputs,
        writer.graph.weights,
    )
    opset = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(graph, opset_imports=opset, producer_name="neurograph")
    proto.ir_version = IR_VERSION
    return proto


def _check(network: Network) -> None:
    """Refuse what is not made of library layers."""
    network.stages()
    if any(bundle.along_trees for bundle in network.bundles):
        raise GraphError(
            f"network {network.name!r} goes along trees, which ONNX files cannot; grow the network "
            f"of one tree: ng.tree_network(net, tree)"
        )
    if network.handmade.nodes or len(network.handmade.table().ups):
        raise GraphError(
            f"network {network.name!r} has nodes or connections made by hand; ONNX files are "
            f"written for library layers only; net.to_networkx() and GraphML hold any graph"
        )


class _Writer:
    """The operators of a network, layer by layer."""

    def __init__(self, network: Network) -> None:
        self.graph = OnnxGraph()
        self.network = network
        self.tensors = Tensors(self.graph, network)
        self.cycles: dict[int, Cycle] = {}
        for cell in cells(network, self.graph, self.tensors):
            self.cycles |= {id(part): cell for part in cell.members}
        for stage in network.stages():
            layers = [network.all_layers[unit] for unit in stage.units.tolist()]
            if stage.direction and id(layers[0]) not in self.cycles:
                loop = Loop(layers, stage.direction, self.graph, self.tensors)
                self.cycles |= {id(layer): loop for layer in layers}
        self.terms = Terms(self.graph, self.tensors, self.cycles)
        self.inputs = [self._begin(port.layer) for port in network.inputs]

    def ordered(self) -> list[Layer]:
        """Return the layers so that each comes after those it needs."""
        found: dict[int, Layer] = {}
        stack = [(port.layer, False) for port in reversed(self.network.outputs)]
        while stack:
            layer, done = stack.pop()
            if done:
                found.setdefault(id(layer), layer)
            elif id(layer) not in found:
                stack.append((layer, True))
                stack.extend((each, False) for each in self._needs(layer) if id(each) not in found)
        return [each for each in found.values() if each.role == "units"]

    def _needs(self, layer: Layer) -> list[Layer]:
        if id(layer) in self.cycles:
            return self.cycles[id(layer)].needs
        return [bundle.source for bundle in layer.incoming]

    def _begin(self, layer: Layer) -> Any:
        """Take an input; return what the file says of it."""
        name = self.graph.name(layer.name)
        (self.tensors.timed if layer.sequence else self.tensors.last)[id(layer)] = name
        return self._described(name, layer)

    def end(self, layer: Layer) -> Any:
        """Give out a layer under its name; return what the file says of it."""
        tensor = self.tensors.in_time(layer) if layer.sequence else self.tensors.get(layer)
        name = self.graph.name(layer.name)
        node = self.graph.onnx.helper.make_node("Identity", [tensor], [name], name=name)
        self.graph.nodes.append(node)
        return self._described(name, layer)

    def _described(self, name: str, layer: Layer) -> Any:
        onnx = self.graph.onnx
        time = [layer.steps or "steps"] if layer.sequence else []
        sizes = ["batch", *time, *layer.shape]
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes)

    def calculate(self, layer: Layer) -> None:
        """Add the operators of a layer, or those of the cycle that it is a part of."""
        cycle = self.cycles.get(id(layer))
        if cycle is None:
            self.terms.calculate(layer)
        elif not cycle.written:
            cycle.write()
