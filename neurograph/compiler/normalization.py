"""How normalisation layers are lowered."""

from __future__ import annotations

from neurograph.compiler.lower import FUNCTIONS, Lowering
from neurograph.compiler.names import identifier
from neurograph.compiler.program import Ref
from neurograph.graph.layer import Layer
from neurograph.layer_functions import (
    BatchNormalization,
    LayerNormalization,
    LocalResponseNormalization,
)


def _batch_normalization(lowering: Lowering, layer: Layer, net: Ref, out: Ref) -> None:
    function = layer.function
    assert isinstance(function, BatchNormalization)
    training = lowering.training and not function.frozen
    frozen = lowering.differentiated and not training
    learns = frozen and (
        lowering.keep or any(each.trainable for each in function.parameters.values())
    )
    if function.axis != -1 or lowering.looping or learns:
        lowering.apply(layer, net, out)
        return
    found = function.parameters
    operands = [lowering.parameter(found[k]) for k in ("gamma", "beta") if k in found]
    if not training:
        operands += [lowering.parameter(found[f"moving_{k}"]) for k in ("mean", "variance")]
    name = identifier(layer.name)
    lowering.builder.constants[f"{name}_function"] = function
    lowering.builder.emit(
        "normalize" if training else "rescale",
        out,
        net,
        *operands,
        accumulate=False,
        name=name,
        scale=int("gamma" in found),
        center=int("beta" in found),
        epsilon=function.epsilon,
        given={"frozen": 1} if frozen else None,
    )


def _layer_normalization(lowering: Lowering, layer: Layer, net: Ref, out: Ref) -> None:
    function = layer.function
    assert isinstance(function, LayerNormalization)
    found = function.parameters
    lowering.builder.emit(
        "layer_norm",
        out,
        net,
        *(lowering.parameter(found[name]) for name in ("gamma", "beta") if name in found),
        accumulate=False,
        axes=function.axes,
        scale=int("gamma" in found),
        center=int("beta" in found),
        epsilon=function.epsilon,
    )


def _local_response(lowering: Lowering, layer: Layer, net: Ref, out: Ref) -> None:
    assert layer.function is not None
    options = layer.function.describe()
    lowering.builder.emit("local_response", out, net, accumulate=False, given=options)


FUNCTIONS[BatchNormalization] = _batch_normalization
FUNCTIONS[LayerNormalization] = _layer_normalization
FUNCTIONS[LocalResponseNormalization] = _local_response
