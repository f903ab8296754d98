"""The tensors of layers in an ONNX graph: where channels stand, and where time does.

Operators on sequences see their steps as so many more samples: (batch * steps, shape). Only what
goes through time sees (batch, steps, shape).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurograph.graph.clocks import clocks
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.storage.onnx_graph import OnnxGraph


class Tensors:
    """The tensors of layers, each made in the form in which it is first needed.

    Attributes
    ----------
    last, first : dict
        By the layer: its values with the channels last, with the channels first.
    timed : dict
        By the layer, a sequence: its values with axes of their own for batch and steps.
    """

    def __init__(self, graph: OnnxGraph, network: Network | None) -> None:
        self.graph = graph
        self.last: dict[int, str] = {}
        self.first: dict[int, str] = {}
        self.timed: dict[int, str] = {}
        self._network = network
        groups = [] if network is None else clocks(network)
        self._clock = {id(layer): group for group in groups for layer in group}
        self._leads: dict[int, str] = {}

    def get(self, layer: Layer, first: bool = False) -> str:
        """Return the tensor of a layer, (samples, shape) or, with ``first``, channels first."""
        wanted, other = (self.first, self.last) if first else (self.last, self.first)
        rank = len(layer.shape)
        if rank < 2:
            wanted, other = self.last, self.last
        if id(layer) not in other and id(layer) in self.timed and id(layer) not in wanted:
            self.last[id(layer)] = self._reshape(self.timed[id(layer)], (-1, *layer.shape), layer)
        if id(layer) not in wanted:
            wanted[id(layer)] = self.graph.turned(other[id(layer)], rank, layer.name, first)
        return wanted[id(layer)]

    def in_time(self, layer: Layer) -> str:
        """Return the tensor of a sequence as (batch, steps, shape)."""
        if id(layer) not in self.timed:
            self.timed[id(layer)] = self._apart(self.get(layer), layer)
        return self.timed[id(layer)]

    def _apart(self, tensor: str, layer: Layer) -> str:
        if layer.steps is not None:
            return self._reshape(tensor, (-1, layer.steps, *layer.shape), layer)
        rest = self.graph.constant(layer.shape, np.int64)
        shape = self.graph.add("Concat", [self._lead(layer), rest], layer.name, axis=0)
        return self.graph.add("Reshape", [tensor, shape], layer.name)

    def _reshape(self, tensor: str, shape: Sequence[int], layer: Layer) -> str:
        sizes = self.graph.constant(shape, np.int64)
        return self.graph.add("Reshape", [tensor, sizes], layer.name)

    # sizes that are known when the graph runs -----------------------------------------------------

    def _lead(self, layer: Layer) -> str:
        """Return a tensor with the numbers of samples and steps of a sequence of any length."""
        group = self._clock[id(layer)]
        if id(group) not in self._leads:
            known = next(self.timed[id(each)] for each in group if id(each) in self.timed)
            self._leads[id(group)] = self._sizes(known, 0, 2, layer)
        return self._leads[id(group)]

    def _sizes(self, tensor: str, start: int, stop: int, layer: Layer) -> str:
        shape = self.graph.add("Shape", [tensor], layer.name)
        ends = [self.graph.constant([each], np.int64) for each in (start, stop)]
        return self.graph.add("Slice", [shape, *ends], layer.name)

    def batch(self, layer: Layer) -> str:
        """Return a tensor with the number of samples; the layer gives the name."""
        assert self._network is not None, "no layer of a loop is without inputs"
        source = self._network.inputs[0].layer
        tensor = self.in_time(source) if source.sequence else self.get(source)
        return self._sizes(tensor, 0, 1, layer)

    def rows(self, layer: Layer) -> str:
        """Return a tensor with the number of samples or, of a sequence, of samples times steps."""
        if not layer.sequence:
            return self.batch(layer)
        if layer.steps is None:
            return self.graph.add("ReduceProd", [self._lead(layer)], layer.name, keepdims=1)
        steps = self.graph.constant([layer.steps], np.int64)
        return self.graph.add("Mul", [self.batch(layer), steps], layer.name)

    def expanded(self, tensor: str, layer: Layer, shape: Sequence[int]) -> str:
        """Return a constant tensor of some shape once for every row of a layer."""
        rest = self.graph.constant(shape, np.int64)
        sizes = self.graph.add("Concat", [self.rows(layer), rest], layer.name, axis=0)
        return self.graph.add("Expand", [tensor, sizes], layer.name)

    def initial(self, layer: Layer) -> str:
        """Return the outputs of a layer before the first step, (batch, shape)."""
        initial = layer.initial
        if isinstance(initial, Layer):
            given = self.get(initial)
            same = initial.shape == layer.shape
            return given if same else self.graph.reshape(given, layer.shape, layer.name)
        values = np.broadcast_to(0.0 if initial is None else initial, layer.shape)
        weight = self.graph.weight(values[None], f"{layer.name}/initial")
        sizes = [self.batch(layer), self.graph.constant(layer.shape, np.int64)]
        shape = self.graph.add("Concat", sizes, layer.name, axis=0)
        return self.graph.add("Expand", [weight, shape], layer.name)

    # between time and space -----------------------------------------------------------------------

    def repeated(self, source: Layer, target: Layer) -> str:
        """Return the values of a layer outside of time at every step of a sequence, channels last.

        The steps of a sample follow one another: (batch * steps, shape).
        """
        graph, rank = self.graph, len(source.shape)
        x = graph.add("Unsqueeze", [self.get(source), graph.constant([1], np.int64)], target.name)
        if target.steps is not None:
            sizes = graph.constant([1, target.steps, *(1,) * rank], np.int64)
        else:
            ones = graph.constant((1,) * rank, np.int64)
            sizes = graph.add("Concat", [self._lead(target), ones], target.name, axis=0)
        x = graph.add("Expand", [x, sizes], target.name)
        return self._reshape(x, (-1, *source.shape), target)

    def step(self, source: Layer, step: int, target: Layer) -> str:
        """Return one step of a sequence, in the shape of the target."""
        index = self.graph.constant([step], np.int64)
        x = self.graph.add("Gather", [self.in_time(source), index], target.name, axis=1)
        return self.graph.reshape(x, target.shape, target.name)

    def turned(self, source: Layer, target: Layer) -> str:
        """Return a sequence turned round in time, (batch * steps, shape of the target)."""
        rows = [self.graph.constant([each], np.int64) for each in (-1, -(2**62), 1, -1)]
        x = self.graph.add("Slice", [self.in_time(source), *rows], target.name)
        return self._reshape(x, (-1, *target.shape), target)

    def same(self, source: Layer, target: Layer) -> bool:
        """Note a fold or unfold that is the very tensor of its source; False if it is not."""
        if target.sequence and source.shape == (target.steps, *target.shape):
            self.timed[id(target)] = self.get(source)
            return True
        if source.sequence and target.shape == (source.steps, *source.shape):
            self.last[id(target)] = self.in_time(source)
            return True
        return False

    def rearranged(self, source: Layer, target: Layer) -> str:
        """Return what a fold or unfold makes of its source."""
        if target.sequence:
            return self._reshape(self.get(source), (-1, *target.shape), target)
        return self._reshape(self.in_time(source), (-1, *target.shape), target)
