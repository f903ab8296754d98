"""The nodes, weights and names of an ONNX graph while it is made, and what activations become."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import MissingDependencyError
from neurograph.functions import LEAKY_SLOPE

Array = NDArray[Any]
OPSET = 17  # of January 2022
IR_VERSION = 8


def onnx_package(what: str) -> Any:
    """Return the onnx package, or say what needs it and how to get it."""
    try:
        import onnx
    except ImportError as error:
        raise MissingDependencyError(
            f"{what} needs onnx: pip install 'neurograph[onnx]'"
        ) from error
    return onnx


class OnnxGraph:
    """Nodes and weights of an ONNX graph, float32, in the order of calculation."""

    def __init__(self) -> None:
        self.onnx = onnx_package("model.export to .onnx")
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._names: set[str] = set()
        self._constants: dict[tuple[Any, ...], str] = {}

    def name(self, wanted: str) -> str:
        """Return a name for a tensor that no other has."""
        found, number = wanted, 1
        while found in self._names:
            found, number = f"{wanted}_{number}", number + 1
        self._names.add(found)
        return found

    def add(self, kind: str, inputs: list[str], label: str, **attributes: Any) -> str:
        """Add a node, say which layer it is of, and return the name of its output."""
        return self.add_several(kind, inputs, label, 1, **attributes)[0]

    def add_several(
        self, kind: str, inputs: list[str], label: str, count: int, **attributes: Any
    ) -> list[str]:
        """Add a node of several outputs, and return their names."""
        outputs = [self.name(f"{label}:{kind}") for _ in range(count)]
        node = self.onnx.helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes)
        self.nodes.append(node)
        return outputs

    @contextmanager
    def inside(self) -> Iterator[list[Any]]:
        """Yield a list for the nodes added meanwhile, those of a graph within this one."""
        outside, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outside

    def weight(self, values: Any, name: str, dtype: Any = np.float32) -> str:
        """Add an array of weights and return its name."""
        array = np.ascontiguousarray(values, dtype=dtype)
        found = self.name(name)
        self.weights.append(self.onnx.numpy_helper.from_array(array, found))
        return found

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """Return the name of a small constant, made once."""
        array = np.asarray(values, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.weight(array, "constant", dtype)
        return self._constants[key]

    def drop_unused(self, outputs: set[str]) -> None:
        """Take out the nodes and weights that no output needs."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(_read_by(node))
        self.nodes = kept[::-1]
        self.weights = [each for each in self.weights if each.name in needed]

    def turned(self, tensor: str, rank: int, label: str, first: bool = True) -> str:
        """Return a tensor of samples with so many axes, its channels first, or last again."""
        axes = [0, rank, *range(1, rank)] if first else [0, *range(2, rank + 1), 1]
        return self.add("Transpose", [tensor], label, perm=axes) if rank > 1 else tensor

    def reshape(self, tensor: str, shape: tuple[int, ...], label: str) -> str:
        """Return a tensor in another shape; the batch stays."""
        return self.add("Reshape", [tensor, self.constant((0, *shape), np.int64)], label)


def _read_by(node: Any) -> list[str]:
    """Return the names that a node reads, and those that the graphs within it read."""
    found = list(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            found += _read_by(inner)
    return found


def _simple(kind: str, **attributes: Any) -> Callable[[OnnxGraph, str, str], str]:
    return lambda graph, x, label: graph.add(kind, [x], label, **attributes)


def _step(graph: OnnxGraph, x: str, label: str) -> str:
    over = graph.add("Greater", [x, graph.constant(0.0)], label)
    return graph.add("Cast", [over], label, to=graph.onnx.TensorProto.FLOAT)


def _gelu(graph: OnnxGraph, x: str, label: str) -> str:
    scaled = graph.add("Mul", [x, graph.constant(0.5**0.5)], label)
    risen = graph.add("Add", [graph.add("Erf", [scaled], label), graph.constant(1.0)], label)
    half = graph.add("Mul", [x, graph.constant(0.5)], label)
    return graph.add("Mul", [half, risen], label)


def _swish(graph: OnnxGraph, x: str, label: str) -> str:
    return graph.add("Mul", [x, graph.add("Sigmoid", [x], label)], label)


def _gaussian(graph: OnnxGraph, x: str, label: str) -> str:
    square = graph.add("Mul", [x, x], label)
    return graph.add("Exp", [graph.add("Neg", [square], label)], label)


ACTIVATIONS: dict[str, Callable[[OnnxGraph, str, str], str]] = {
    "identity": lambda graph, x, label: x,
    "step": _step,
    "sigmoid": _simple("Sigmoid"),
    "tanh": _simple("Tanh"),
    "relu": _simple("Relu"),
    "leaky_relu": _simple("LeakyRelu", alpha=LEAKY_SLOPE),
    "elu": _simple("Elu", alpha=1.0),
    "selu": _simple("Selu"),
    "gelu": _gelu,
    "softplus": _simple("Softplus"),
    "swish": _swish,
    "hard_sigmoid": _simple("HardSigmoid", alpha=1 / 6, beta=0.5),
    "sin": _simple("Sin"),
    "gaussian": _gaussian,
    "exp": _simple("Exp"),
    "reciprocal": _simple("Reciprocal"),
}
