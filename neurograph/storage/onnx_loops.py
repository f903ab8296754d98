"""Loops through time that are no RNN, LSTM or GRU of ONNX: masked cells, loops of one's own.

They become the operator Scan: a graph of one step, whose states are outputs of the steps before.
"""

from __future__ import annotations

from collections.abc import Sequence

from neurograph.errors import GraphError
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.storage.onnx_graph import OnnxGraph
from neurograph.storage.onnx_tensors import Tensors
from neurograph.storage.onnx_terms import Terms


class Loop:
    """The layers of one cycle, written as one Scan.

    Parameters
    ----------
    members : sequence of Layer
        In the order of calculation within a step.
    direction : {1, -1}
        Which way it goes through time.
    """

    def __init__(
        self, members: Sequence[Layer], direction: int, graph: OnnxGraph, tensors: Tensors
    ) -> None:
        self.members = list(members)
        self.graph = graph
        self.tensors = tensors
        self.written = False
        self.name = self.members[0].name
        self._back = int(direction < 0)
        bundles = [bundle for layer in self.members for bundle in _fed(layer)]
        outside = {
            id(each.source): each.source for each in bundles if self._is_outside(each.source)
        }
        outside |= {id(each.mask): each.mask for each in self.members if each.mask is not None}
        self._outside = [each for each in outside.values() if each is not None]
        late = next(
            (each for each in bundles if each.delay and self._is_outside(each.source)), None
        )
        if late is not None:
            raise GraphError(f"{late.label} has a delay, which ONNX files hold within loops only")
        longest = {id(layer): int(layer.mask is not None) for layer in self.members}
        for bundle in bundles:
            if bundle.delay:
                key = id(bundle.source)
                longest[key] = max(longest[key], abs(bundle.delay))
        self._lags = [
            (layer, lag + 1) for layer in self.members for lag in range(longest[id(layer)])
        ]

    def _is_outside(self, layer: Layer) -> bool:
        return all(layer is not each for each in self.members)

    @property
    def needs(self) -> list[Layer]:
        """The layers that must be there before the loop."""
        begin = [layer.initial for layer, _ in self._lags if isinstance(layer.initial, Layer)]
        return self._outside + begin

    def final(self, layer: Layer, step: int) -> str | None:
        """Return nothing: the steps of all layers are there."""
        return None

    def write(self) -> None:
        """Add the operator; all steps of every layer that others read are there then."""
        self.written = True
        graph, name = self.graph, self.name
        begin = [self.tensors.initial(layer) for layer, _ in self._lags]
        sequences = [each for each in self._outside if each.sequence]
        still = {id(each): self.tensors.get(each) for each in self._outside if not each.sequence}
        steps = [self.tensors.in_time(each) for each in sequences]
        read = [each for each in self.members if self._is_read(each)]
        helper, kind = graph.onnx.helper, graph.onnx.TensorProto.FLOAT

        def described(tensor: str, layer: Layer) -> object:
            return helper.make_tensor_value_info(tensor, kind, [None, *layer.shape])

        states = [graph.name(f"{layer.name}:{lag} before") for layer, lag in self._lags]
        slices = [graph.name(f"{each.name}:step") for each in sequences]
        now = Tensors(graph, None)
        now.last = still | {id(each): x for each, x in zip(sequences, slices, strict=True)}
        past = {
            (id(layer), lag): state for (layer, lag), state in zip(self._lags, states, strict=True)
        }
        with graph.inside() as nodes:
            terms = StepTerms(graph, now, past)
            for layer in self.members:
                terms.calculate(layer)
                if layer.mask is not None:
                    terms.keep(layer)
            fresh = [
                now.get(layer) if lag == 1 else past[id(layer), lag - 1]
                for layer, lag in self._lags
            ]
            results = [*fresh, *(now.get(each) for each in read)]
            ends = [graph.add("Identity", [each], name) for each in results]
        layers = [layer for layer, _ in self._lags]
        body = helper.make_graph(
            nodes,
            graph.name(f"{name}:body"),
            [
                described(*row)
                for row in zip([*states, *slices], [*layers, *sequences], strict=True)
            ],
            [described(*row) for row in zip(ends, [*layers, *read], strict=True)],
        )
        outputs = graph.add_several(
            "Scan",
            [*begin, *steps],
            name,
            len(ends),
            body=body,
            num_scan_inputs=len(steps),
            scan_input_axes=[1] * len(steps),
            scan_input_directions=[self._back] * len(steps),
            scan_output_axes=[1] * len(read),
            scan_output_directions=[self._back] * len(read),
        )
        for layer, tensor in zip(read, outputs[len(self._lags) :], strict=True):
            self.tensors.timed[id(layer)] = tensor

    def _is_read(self, layer: Layer) -> bool:
        network = layer.network
        ends = [] if network is None else [port.layer for port in network.outputs]
        others = [bundle.target for bundle in layer.outgoing]
        others += (
            [] if network is None else [each for each in network.all_layers if each.mask is layer]
        )
        return any(each is layer for each in ends) or any(map(self._is_outside, others))


class StepTerms(Terms):
    """The operators of one step: delayed connections read states.

    Parameters
    ----------
    past : dict
        By layer and number of steps: the state with its outputs so many steps before.
    """

    def __init__(
        self, graph: OnnxGraph, tensors: Tensors, past: dict[tuple[int, int], str]
    ) -> None:
        super().__init__(graph, tensors, {})
        self._past = past

    def source(self, bundle: Bundle, first: bool) -> str:
        """Return the values that a bundle takes, of this step or of one before."""
        layer = bundle.source
        if not bundle.delay:
            return self.tensors.get(layer, first)
        state = self._past[id(layer), abs(bundle.delay)]
        return self.graph.turned(state, len(layer.shape), layer.name) if first else state

    def keep(self, layer: Layer) -> None:
        """Let a layer keep its outputs of the step before where its mask is 0."""
        assert layer.mask is not None
        graph, name = self.graph, layer.name
        mask = self.tensors.get(layer.mask)
        if len(layer.shape) > 1:
            mask = graph.reshape(mask, (1,) * len(layer.shape), name)
        valid = graph.add("Greater", [mask, graph.constant(0.0)], name)
        values = [valid, self.tensors.get(layer), self._past[id(layer), 1]]
        self.tensors.last[id(layer)] = graph.add("Where", values, name)
        self.tensors.first.pop(id(layer), None)


def _fed(layer: Layer) -> list[Bundle]:
    return [each for each in layer.incoming if each.source.role not in ("noise", "const")]
