"""PyTorch modules with a ``forward`` of their own, followed call by call with ``torch.fx``."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from neurograph.errors import GraphError
from neurograph.graph.layer import Layer
from neurograph.graph.temporal import StepConnections
from neurograph.interop.pieces import affine, difference, in_one_order, joined
from neurograph.interop.views import View
from neurograph.layers.merging import Add, Multiply
from neurograph.layers.pooling import GlobalAveragePooling1D, GlobalAveragePooling2D

Apply = Callable[[str, Any, View], Any]
BATCH = object()  # stands for the number of samples
CELL = object()  # stands for the final cell state of an LSTM, which nothing can read


def outputs_of(module: Any, view: View, apply: Apply) -> list[View]:
    """Return what a module makes of a view.

    Parameters
    ----------
    apply : callable
        ``apply(label, module, view)``: what a layer of PyTorch itself makes of a view.

    Raises
    ------
    GraphError
        ``torch.fx`` cannot follow it, or a call has no counterpart; it is named.
    """
    from torch import fx

    try:
        graph = fx.Tracer().trace(module)
    except Exception as error:  # whatever the forward of a user raises when it meets a proxy
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GraphError(
            f"from_torch: torch.fx cannot follow the forward of {type(module).__name__}: {reason}"
        ) from error
    calls = _Calls(module, apply)
    for node in graph.nodes:
        if node.op == "placeholder":
            if calls.values:
                raise GraphError(
                    f"from_torch: {type(module).__name__} takes several inputs; one is known here"
                )
            calls.values[node] = view
        elif node.op == "output":
            found = calls.given(node.args[0])
            several = list(found) if isinstance(found, (tuple, list)) else [found]
            if not all(isinstance(each, View) for each in several):
                raise GraphError("from_torch: its output does not come from its input")
            return several
        else:
            calls.values[node] = calls.made(node)
    raise GraphError(f"from_torch: {type(module).__name__} returns nothing")


class _Calls:
    """The values of the calls of a traced graph."""

    def __init__(self, module: Any, apply: Apply) -> None:
        self.module = module
        self.apply = apply
        self.values: dict[Any, Any] = {}

    def given(self, value: Any) -> Any:
        """Return an argument with the values of the calls that it refers to."""
        if isinstance(value, (list, tuple)):
            return type(value)(self.given(each) for each in value)
        if isinstance(value, slice):
            return slice(*(self.given(each) for each in (value.start, value.stop, value.step)))
        found = self.values[value] if type(value).__name__ == "Node" else value
        if found is CELL:
            raise GraphError("the final cell state is not known here, the hidden one is")
        return found

    def made(self, node: Any) -> Any:
        """Return what a call makes."""
        name = getattr(node.target, "__name__", str(node.target))
        try:
            args = self.given(tuple(node.args))
            options = {key: self.given(value) for key, value in node.kwargs.items()}
            if node.op == "call_module":
                return self._layer(str(node.target), args)
            if node.op == "get_attr":
                return self._attribute(str(node.target))
            return self._call(name.strip("_"), node, args, options)
        except GraphError as error:
            if str(error).startswith("from_torch"):
                raise
            raise GraphError(f"from_torch: the call {node.name!r} ({name}): {error}") from error
        except (ValueError, IndexError, TypeError, AttributeError) as error:
            raise GraphError(
                f"from_torch: the call {node.name!r} ({name}) does not fit its inputs: {error}"
            ) from error

    def _layer(self, label: str, args: Sequence[Any]) -> Any:
        module = self.module.get_submodule(label)
        if not isinstance(args[0], View) or len(args) > 1:
            raise GraphError(f"from_torch: layer {label!r} is called with other than one tensor")
        found = self.apply(label, module, args[0])
        kind = type(module).__name__
        return (found, _States(module, found)) if kind in ("RNN", "LSTM", "GRU") else found

    def _attribute(self, label: str) -> Any:
        value = operator.attrgetter(label)(self.module)
        if getattr(value, "ndim", 1):
            raise GraphError(f"the tensor {label!r} is no layer's, and no single number")
        return float(value)

    def _call(self, name: str, node: Any, args: Any, options: dict[str, Any]) -> Any:
        made = _module_of(name, args, options)
        if made is not None:
            return self.apply(node.name, made, args[0])
        if name not in _CALLS:
            known = sorted({*_CALLS, *_MODULES})
            raise GraphError(f"it has no counterpart here; known are {', '.join(known)}")
        return _CALLS[name](*args, **options)


class _States:
    """The final states of a recurrent module: only the last of its hidden ones can be had."""

    def __init__(self, module: Any, steps: View) -> None:
        self.kind = type(module).__name__
        self.ways = 2 if module.bidirectional else 1
        self.levels = module.num_layers
        self.steps = steps

    def last(self, place: int) -> View:
        """Return the final hidden state of a direction of the last layer."""
        place = place + self.levels * self.ways if place < 0 else place
        way = place - (self.levels - 1) * self.ways
        if not 0 <= way < self.ways:
            raise GraphError("of final states only those of the last layer are known here")
        units = self.steps.layer.size // self.ways
        end = _step(self.steps, 0 if way else -1)
        return View(end.layer, end.places[way * units : (way + 1) * units])


# operators and methods ------------------------------------------------------------------------


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shifted(view: View, factor: float, offset: float) -> View:
    return view.above(affine(view.layer, factor, offset))


def _add(left: Any, right: Any, alpha: float = 1) -> Any:
    if alpha != 1:
        right = _multiply(right, alpha)
    if _is_number(left) and _is_number(right):
        return left + right
    if _is_number(left) or _is_number(right):
        view, number = (right, left) if _is_number(left) else (left, right)
        return _shifted(view, 1.0, float(number))
    layers, view = in_one_order([left, right])
    return view.above(Add()(layers))


def _multiply(left: Any, right: Any) -> Any:
    if _is_number(left) and _is_number(right):
        return left * right
    if _is_number(left) or _is_number(right):
        view, number = (right, left) if _is_number(left) else (left, right)
        return _shifted(view, float(number), 0.0)
    layers, view = in_one_order([left, right])
    return view.above(Multiply()(layers))


def _subtract(left: Any, right: Any, alpha: float = 1) -> Any:
    if alpha == 1 and isinstance(left, View) and isinstance(right, View):
        layers, view = in_one_order([left, right])
        return view.above(difference(*layers))
    return _add(left, right, -alpha)


def _divide(left: Any, right: Any) -> Any:
    if not _is_number(right) or not right:
        raise GraphError("only numbers other than 0 divide here")
    return _multiply(left, 1.0 / right)


def _join(tensors: Sequence[View], dim: int = 0) -> View:
    views = list(tensors)
    rank = len(views[0].shape)
    timed = any(each.layer.sequence for each in views)
    axis = dim - 1 - timed if dim > 0 else dim + rank
    if not 0 <= axis < rank:
        raise GraphError("it joins along the batch or the steps")
    return joined(views, axis)


def _size(view: View, dim: int | None = None) -> Any:
    if view.layer.sequence:
        raise GraphError("the size of a sequence is not known here")
    sizes = (BATCH, *view.shape)
    return sizes if dim is None else sizes[dim]


def _attribute_of(view: Any, name: str) -> Any:
    if name != "shape":
        raise GraphError(f"its attribute {name!r} is not known here")
    return _size(view)


def _reshape(view: View, *shape: Any) -> View:
    sizes = list(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)
    if view.layer.sequence or len(sizes) < 2:
        raise GraphError(f"shape {sizes} mixes samples")
    rest = sizes[1:]
    if sizes[0] is not BATCH and not (sizes[0] == -1 and -1 not in rest):
        raise GraphError("let its first size be x.size(0), or -1 with all others given")
    return view.reshape(rest)


def _permute(view: View, *order: Any, dims: Any = None) -> View:
    order = order if dims is None else (dims,)
    axes = list(order[0] if len(order) == 1 and isinstance(order[0], (tuple, list)) else order)
    axes = [each % len(axes) for each in axes]
    if view.layer.sequence or axes[0] != 0:
        raise GraphError(f"{axes} moves the batch, or the steps of a sequence")
    return view.transpose([each - 1 for each in axes[1:]])


def _transpose(view: View, dim0: int, dim1: int) -> View:
    axes = list(range(len(view.shape) + 1))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return _permute(view, axes)


def _mean(view: View, dim: Any = None, keepdim: bool = False) -> View:
    rank = len(view.shape) + view.layer.sequence
    if dim is None:
        raise GraphError("the mean over all samples is not known here; give it a dim")
    dims = sorted(each % (rank + 1) for each in (dim if isinstance(dim, (tuple, list)) else [dim]))
    if view.layer.sequence or (rank == 2 and dims == [1] and not view.is_channels_last()):
        if dims != [1] or keepdim:
            raise GraphError(f"the mean over {dims} of a sequence is not known here; over 1 it is")
        return View.of(GlobalAveragePooling1D()(view.in_order()))
    if dims != list(range(2, rank + 1)) or rank not in (2, 3):
        raise GraphError(f"the mean over {dims} is not known here; over all places it is")
    recipe = GlobalAveragePooling2D() if rank == 3 else GlobalAveragePooling1D()
    made = View.of(recipe(view.channels_last()))
    return made.reshape((*made.shape, *(1,) * (rank - 1))) if keepdim else made


def _squeeze(view: View | _States | _Hidden, dim: int | None = None) -> View:
    if not isinstance(view, View):
        states = view.states if isinstance(view, _Hidden) else view
        if dim != 0 or states.levels * states.ways > 1:
            raise GraphError("of final states only those of one layer, one way, can be squeezed")
        return states.last(0)
    axis = -1 if dim is None else dim - 1 if dim >= 0 else dim + len(view.shape)
    if axis < 0 or view.layer.sequence:
        raise GraphError("give it a dim other than that of the batch")
    if view.shape[axis] != 1:
        return view
    return View(view.layer, view.places.squeeze(axis))


def _unsqueeze(view: View, dim: int) -> View:
    axis = dim - 1 if dim > 0 else dim + len(view.shape) + 1
    if axis < 0 or dim == 0 or view.layer.sequence:
        raise GraphError("a new axis before the batch is not known here")
    return View(view.layer, np.expand_dims(view.places, axis))


def _step(view: View, index: int) -> View:
    made = Layer((view.layer.size,), kind="step")
    StepConnections(view.layer, made, index)
    return View(made, view.places)


def _item(value: Any, key: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return value[key]
    if isinstance(value, _States):
        if value.kind == "LSTM":  # (hidden, cell)
            return CELL if key else _Hidden(value)
        return value.last(key)
    if isinstance(value, _Hidden):
        return value.states.last(key)
    keys = list(key) if isinstance(key, tuple) else [key]
    if keys[0] is Ellipsis:
        missing = 1 + value.layer.sequence + len(value.shape) - len(keys[1:])
        keys = [slice(None)] * missing + keys[1:]
    if keys[0] != slice(None):
        raise GraphError("it takes some of the samples")
    if value.layer.sequence:
        rest = [each for each in keys[2:] if each != slice(None)]
        if len(keys) < 2 or not isinstance(keys[1], int) or rest:
            raise GraphError("of a sequence it can take one step, as x[:, -1]")
        return _step(value, keys[1])
    return View(value.layer, value.places[tuple(keys[1:])])


class _Hidden:
    """The hidden part of the final states of an LSTM."""

    def __init__(self, states: _States) -> None:
        self.states = states


_CALLS: dict[str, Callable[..., Any]] = {
    "add": _add,
    "iadd": _add,
    "mul": _multiply,
    "imul": _multiply,
    "multiply": _multiply,
    "sub": _subtract,
    "truediv": _divide,
    "div": _divide,
    "neg": lambda view: _multiply(view, -1.0),
    "cat": _join,
    "concat": _join,
    "size": _size,
    "getattr": _attribute_of,
    "view": _reshape,
    "reshape": _reshape,
    "permute": _permute,
    "transpose": _transpose,
    "mean": _mean,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "getitem": _item,
    "contiguous": lambda view: view,
    "detach": lambda view: view,
    "float": lambda view: view,
}
# functions and methods that are layers too, with the same arguments
_MODULES = {
    "relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "LeakyReLU", "elu": "ELU", "selu": "SELU",
    "gelu": "GELU", "silu": "SiLU", "softplus": "Softplus", "hardsigmoid": "Hardsigmoid",
    "hardswish": "Hardswish", "hardtanh": "Hardtanh", "sigmoid": "Sigmoid", "tanh": "Tanh",
    "softmax": "Softmax", "flatten": "Flatten", "dropout": "Dropout", "max_pool1d": "MaxPool1d",
    "max_pool2d": "MaxPool2d", "avg_pool1d": "AvgPool1d", "avg_pool2d": "AvgPool2d",
    "adaptive_avg_pool1d": "AdaptiveAvgPool1d", "adaptive_avg_pool2d": "AdaptiveAvgPool2d",
    "adaptive_max_pool1d": "AdaptiveMaxPool1d", "adaptive_max_pool2d": "AdaptiveMaxPool2d",
}  # fmt: skip


def _module_of(name: str, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """Return the layer that a function is, with the arguments of the call."""
    from torch import nn

    if name not in _MODULES or not isinstance(args[0], View):
        return None
    left_out = ("training", "inplace", "dtype", "_stacklevel")
    kept = {key: value for key, value in options.items() if key not in left_out}
    rest = list(args[1:2] if name == "dropout" else args[1:])
    if name == "flatten" and not rest and "start_dim" not in kept:
        rest = [0]
    made = getattr(nn, _MODULES[name])
    return made(*rest, **kept).eval()
