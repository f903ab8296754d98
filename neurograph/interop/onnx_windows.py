"""The operators of ONNX that look through windows: convolution, pooling and padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.bundles import OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.interop.onnx_reading import Reading, as_array, as_view
from neurograph.interop.pieces import convolved, pooled, zero_padded
from neurograph.interop.views import View, channels_first
from neurograph.layers.pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
)


def _rank(view: View) -> int:
    rank = len(view.shape) - 1
    if rank not in (1, 2):
        raise GraphError(f"samples of shape {view.shape} are neither lines nor pictures")
    return rank


def _pads(
    options: dict[str, Any], view: View, window: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """Return the cells before and after, for each axis."""
    auto, rank = options.get("auto_pad", "NOTSET"), len(window)
    if auto in ("NOTSET", "VALID"):
        pads = list(options.get("pads", ())) if auto == "NOTSET" else []
        pads = pads or [0] * 2 * rank
        return [(pads[k], pads[k + rank]) for k in range(rank)]
    found = []
    for size, width, step in zip(view.shape[1:], window, strides, strict=True):
        whole = max(0, (-(-size // step) - 1) * step + width - size)
        half = whole // 2 if auto == "SAME_UPPER" else whole - whole // 2
        found.append((half, whole - half))
    return found


def convolution(reading: Reading, node: Any, given: list[Any]) -> View:
    """Return a Conv as Conv1D or Conv2D."""
    options = reading.attributes(node)
    view, kernel = as_view(given[0]), as_array(given[1], "weights")
    bias = as_array(given[2], "bias") if len(given) > 2 and given[2] is not None else None
    ones = [1] * _rank(view)
    strides, dilations = (list(options.get(each, ones)) for each in ("strides", "dilations"))
    reach = [(size - 1) * step + 1 for size, step in zip(kernel.shape[2:], dilations, strict=True)]
    pads = _pads(options, view, reach, strides)
    return convolved(view, kernel, bias, strides, pads, dilations, options.get("group", 1))


def pooling(reading: Reading, node: Any, given: list[Any]) -> View:
    """Return a MaxPool or AveragePool."""
    options = reading.attributes(node)
    view = as_view(given[0])
    rank, window = _rank(view), list(options["kernel_shape"])
    strides = list(options.get("strides", [1] * rank))
    if set(options.get("dilations", [1])) != {1} or len(node.output) > 1:
        raise GraphError("dilations and indices of the largest are not known here")
    return pooled(
        view,
        "max" if node.op_type == "MaxPool" else "mean",
        window,
        strides,
        _pads(options, view, window, strides),
        ceil=bool(options.get("ceil_mode", 0)),
        count_padding=bool(options.get("count_include_pad", 0)),
    )


def global_pooling(reading: Reading, node: Any, given: list[Any]) -> View:
    """Return a GlobalMaxPool or GlobalAveragePool; the axes of space stay, with one place."""
    view = as_view(given[0])
    kinds = {
        ("GlobalMaxPool", 1): GlobalMaxPooling1D,
        ("GlobalMaxPool", 2): GlobalMaxPooling2D,
        ("GlobalAveragePool", 1): GlobalAveragePooling1D,
        ("GlobalAveragePool", 2): GlobalAveragePooling2D,
    }
    rank = _rank(view)
    made = kinds[node.op_type, rank]()(view.channels_last())
    return View.of(made).reshape((*made.shape, *(1,) * rank))


def padding(reading: Reading, node: Any, given: list[Any]) -> View:
    """Return a Pad with zeros, or with the values that are there."""
    options, view = reading.attributes(node), as_view(given[0])
    pads = options.get("pads")
    pads = as_array(given[1], "pads").tolist() if pads is None else list(pads)
    value = given[2] if len(given) > 2 and given[2] is not None else options.get("value", 0.0)
    mode, rank = options.get("mode", "constant"), len(view.shape)
    if len(given) > 3 and given[3] is not None:
        axes = as_array(given[3], "axes").tolist()
        full = [0] * 2 * (rank + 1)
        for k, axis in enumerate(axes):
            full[axis % (rank + 1)], full[axis % (rank + 1) + rank + 1] = (
                pads[k],
                pads[k + len(axes)],
            )
        pads = full
    if mode == "constant" and np.any(as_array(value, "value")):
        raise GraphError("of constants only zeros are known here")
    if len(pads) != 2 * (rank + 1) or min(pads) < 0 or pads[0] or pads[rank + 1]:
        raise GraphError(f"pads {pads} do not fit samples of shape {view.shape}")
    before, after = pads[1 : rank + 1], pads[rank + 2 :]
    if mode != "constant":
        widths = list(zip(before, after, strict=True))
        return View(view.layer, np.pad(view.places, widths, mode)).like(view)
    pairs = tuple(zip(before[1:], after[1:], strict=True))
    if rank in (2, 3) and not before[0] and not after[0] and view.is_channels_last():
        return channels_first(zero_padded(view.channels_last(), pairs))
    layer = view.in_order()
    sizes = zip(layer.shape, before, after, strict=True)
    made = Layer([size + low + high for size, low, high in sizes], kind="pad")
    whole: dict[str, Any] = {
        "source_shape": layer.shape,
        "target_shape": made.shape,
        "block": layer.shape,
    }
    OneToOneConnections(layer, made, **whole, target_start=before)
    return View.of(made)
