"""The layers of PyTorch, one by one: how each becomes ours, with its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.layer import Layer
from neurograph.interop.pieces import (
    batch_normalized,
    clipped,
    convolved,
    exponential_unit,
    hard_swish,
    leaky,
    locally_normalized,
    pooled,
    zero_padded,
)
from neurograph.interop.torch_recurrent import recurrent
from neurograph.interop.views import Array, View, channels_first, dense, fill
from neurograph.layers.core import Activation, Dropout, LeakyReLU, ReLU
from neurograph.layers.embedding import Embedding
from neurograph.layers.normalization import (
    BatchNormalization,
    LayerNormalization,
    LocalResponseNormalization,
)
from neurograph.layers.shaping import Flatten


def _array(tensor: Any) -> Array:
    return np.asarray(tensor.detach().cpu().numpy())


def _need(condition: bool, sentence: str) -> None:
    if not condition:
        raise GraphError(sentence)


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank


def _linear(module: Any, view: View) -> View:
    bias = None if module.bias is None else _array(module.bias)
    return dense(view, _array(module.weight).T, bias)


def _convolution(module: Any, view: View) -> View:
    rank = len(module.kernel_size)
    _need(module.padding_mode == "zeros", f"padding_mode {module.padding_mode!r} is not known here")
    padding = module.padding
    if not isinstance(padding, str):  # "same" is allowed at stride 1 only: there TensorFlow's
        padding = [(each, each) for each in _tuple(padding, rank)]
    bias = None if module.bias is None else _array(module.bias)
    options = (module.stride, padding, module.dilation, module.groups)
    return convolved(view, _array(module.weight), bias, *options)


def _batch_norm(module: Any, view: View) -> View:
    _need(module.running_mean is not None, "it keeps no running statistics, which ours needs")
    _need(module.momentum is not None, "momentum=None (a cumulative mean) is not known here")
    recipe = BatchNormalization(
        momentum=1.0 - module.momentum,
        epsilon=module.eps,
        center=module.affine,
        scale=module.affine,
    )
    weights = [module.weight, module.bias] if module.affine else []
    arrays = [_array(each) for each in (*weights, module.running_mean, module.running_var)]
    return batch_normalized(view, recipe, arrays)


def _local_response(module: Any, view: View) -> View:
    recipe = LocalResponseNormalization(module.size, module.alpha, module.beta, module.k)
    return locally_normalized(view, recipe)


def _layer_norm(module: Any, view: View) -> View:
    rank = len(module.normalized_shape)
    bias = getattr(module, "bias", None)
    recipe = LayerNormalization(
        axis=list(range(-rank, 0)),
        epsilon=module.eps,
        scale=module.weight is not None,
        center=bias is not None,
    )
    made = recipe(view.in_order())
    fill(made, [_array(each) for each in (module.weight, bias) if each is not None])
    return View.of(made)


def _pooling(kind: str, rank: int) -> Callable[[Any, View], View]:
    def convert(module: Any, view: View) -> View:
        window, padding = _tuple(module.kernel_size, rank), _tuple(module.padding, rank)
        strides = _tuple(module.stride if module.stride is not None else window, rank)
        if kind == "max":
            _need(set(_tuple(module.dilation, rank)) == {1}, "dilation is not known here")
            _need(not module.return_indices, "return_indices is not known here")
        divisor = getattr(module, "divisor_override", None)
        _need(divisor is None, "divisor_override is not known here")
        pads = [(each, each) for each in padding]
        counted = getattr(module, "count_include_pad", False)
        return pooled(view, kind, window, strides, pads, module.ceil_mode, counted)

    return convert


def _adaptive(kind: str, rank: int) -> Callable[[Any, View], View]:
    def convert(module: Any, view: View) -> View:
        sizes = view.shape[-rank:]
        wanted = [
            size if each is None else each
            for each, size in zip(_tuple(module.output_size, rank), sizes, strict=True)
        ]
        _need(not getattr(module, "return_indices", False), "return_indices is not known here")
        even = all(size % each == 0 for size, each in zip(sizes, wanted, strict=True))
        _need(even, f"its output size {tuple(wanted)} does not divide {sizes}")
        window = tuple(size // each for size, each in zip(sizes, wanted, strict=True))
        return pooled(view, kind, window, window, [(0, 0)] * rank)

    return convert


def _flatten(module: Any, view: View) -> View:
    _need(module.start_dim >= 1, "it flattens the batch too")
    if view.layer.sequence:
        return View.of(Flatten()(view.in_order()))
    rank = len(view.shape)
    first = module.start_dim - 1
    last = module.end_dim - 1 if module.end_dim >= 0 else rank + module.end_dim
    return view.reshape((*view.shape[:first], -1, *view.shape[last + 1 :]))


def _unflatten(module: Any, view: View) -> View:
    place = module.dim - 1 if module.dim >= 0 else len(view.shape) + module.dim
    _need(0 <= place < len(view.shape) and not view.layer.sequence, f"dim is {module.dim}")
    sizes = tuple(module.unflattened_size)
    return view.reshape((*view.shape[:place], *sizes, *view.shape[place + 1 :]))


def _softmax(module: Any, view: View) -> View:
    rank = len(view.shape) + view.layer.sequence
    dim = module.dim
    _need(dim is not None, "give it dim=")
    axis = dim - 1 if dim > 0 else rank + dim if dim < 0 else -1
    if rank > 1 and axis == 0 and view.is_channels_last():
        return channels_first(Activation("softmax")(view.layer))
    _need(axis == rank - 1, f"softmax along dim {dim} is not known here; along the channels it is")
    if len(view.shape) == 1 and view.is_whole() and len(view.layer.shape) == 1:
        return view.above(Activation("softmax")(view.layer))
    return View.of(Activation("softmax")(view.in_order()))


def _dropout(module: Any, view: View) -> View:
    _need(module.p < 1, "p is 1")
    return view.above(Dropout(module.p)(view.layer))


def _embedding(module: Any, view: View) -> View:
    _need(module.max_norm is None, "max_norm is not known here")
    made = Embedding(module.num_embeddings, module.embedding_dim)(view.in_order())
    fill(made, [_array(module.weight)])
    return View.of(made)


def _padding(mode: str) -> Callable[[Any, View], View]:
    def convert(module: Any, view: View) -> View:
        sides = [int(each) for each in module.padding]
        pairs = [(0, 0), *zip(sides[-2::-2], sides[::-2], strict=True)]
        return View(view.layer, np.pad(view.places, pairs, mode=mode)).like(view)  # type: ignore[call-overload]

    return convert


def _zero_padding(module: Any, view: View) -> View:
    pads = [module.padding[k : k + 2] for k in range(0, len(module.padding), 2)]
    return channels_first(zero_padded(view.channels_last(), pads[::-1]))


def _elementwise(activation: str, **options: Any) -> Callable[[Any, View], View]:
    """Return the conversion of an activation whose options must have these values."""

    def convert(module: Any, view: View) -> View:
        for option, value in options.items():
            found = getattr(module, option)
            _need(found == value, f"{option} is {found!r}; only {value!r} is known here")
        recipe = ReLU() if activation == "relu" else Activation(activation)
        return view.above(recipe(view.layer))

    return convert


def _leaky(module: Any, view: View) -> View:
    return view.above(LeakyReLU(module.negative_slope)(view.layer))


def _p_relu(module: Any, view: View) -> View:
    slopes = _array(module.weight)
    if slopes.size > 1 and len(view.shape) > 1:
        return channels_first(leaky(view.channels_last(), slopes))
    layer = view.layer if slopes.size == 1 else view.in_order()
    return view.above(leaky(layer, slopes)) if slopes.size == 1 else View.of(leaky(layer, slopes))


def _piece(make: Callable[..., Layer], *options: str) -> Callable[[Any, View], View]:
    """Return the conversion of an activation that is a few layers here."""

    def convert(module: Any, view: View) -> View:
        values = [float(getattr(module, each)) for each in options]
        return view.above(make(view.layer, *values))

    return convert


TABLE: dict[str, Callable[[Any, View], View]] = {
    "Linear": _linear,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "LayerNorm": _layer_norm,
    "LocalResponseNorm": _local_response,
    "MaxPool1d": _pooling("max", 1),
    "MaxPool2d": _pooling("max", 2),
    "AvgPool1d": _pooling("mean", 1),
    "AvgPool2d": _pooling("mean", 2),
    "AdaptiveAvgPool1d": _adaptive("mean", 1),
    "AdaptiveAvgPool2d": _adaptive("mean", 2),
    "AdaptiveMaxPool1d": _adaptive("max", 1),
    "AdaptiveMaxPool2d": _adaptive("max", 2),
    "Flatten": _flatten,
    "Unflatten": _unflatten,
    "Identity": lambda _, view: view,
    "Dropout": _dropout,
    "Embedding": _embedding,
    "RNN": recurrent,
    "LSTM": recurrent,
    "GRU": recurrent,
    "ReflectionPad1d": _padding("reflect"),
    "ReflectionPad2d": _padding("reflect"),
    "ReplicationPad1d": _padding("edge"),
    "ReplicationPad2d": _padding("edge"),
    "ZeroPad1d": _zero_padding,
    "ZeroPad2d": _zero_padding,
    "ReLU": _elementwise("relu"),
    "LeakyReLU": _leaky,
    "PReLU": _p_relu,
    "ReLU6": _piece(clipped, "min_val", "max_val"),
    "Hardtanh": _piece(clipped, "min_val", "max_val"),
    "Hardswish": _piece(hard_swish),
    "ELU": _piece(exponential_unit, "alpha"),
    "SELU": _elementwise("selu"),
    "GELU": _elementwise("gelu", approximate="none"),
    "SiLU": _elementwise("swish"),
    "Softplus": _elementwise("softplus", beta=1.0),
    "Hardsigmoid": _elementwise("hard_sigmoid"),
    "Sigmoid": _elementwise("sigmoid"),
    "Tanh": _elementwise("tanh"),
    "Softmax": _softmax,
}
