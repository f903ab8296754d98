"""ONNX files as networks: every operator becomes a layer whose connections can be looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from neurograph.errors import (
    FormatError,
    GraphError,
    NeurographError,
    OptionError,
    failed,
)
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.interop.onnx_nodes import FOLDED, IMAGE, PASSING, STEP_BY_STEP, TABLE
from neurograph.interop.onnx_reading import Reading, Value
from neurograph.interop.onnx_recurrent import RECURRENT, Turned
from neurograph.interop.views import View, channels_first
from neurograph.layers.core import Activation, Input
from neurograph.storage.atomic import StrPath
from neurograph.storage.onnx_graph import onnx_package


def from_onnx(path: StrPath, *, name: str = "") -> Network:
    """Return the network of an ONNX file, with its weights.

    Channels come last here: an input for pictures (3, 32, 32) that convolutions read becomes one
    for (32, 32, 3); so do outputs that still are pictures. The batch comes first, then the steps of
    sequences, wherever the file has them. Nothing of the file is executed.

    Parameters
    ----------
    path : path
        Of a file with one graph. The first axis of inputs is the batch, but for those that
        recurrent operators read directly: (steps, batch, features).
    name : str
        The network's; that of the graph if empty.

    Raises
    ------
    MissingDependencyError
        onnx, of the extra ``onnx``, is not installed.
    StorageError
        The file cannot be read.
    FormatError
        The file is damaged, or no ONNX file.
    GraphError
        An operator, or one of its attributes, has no counterpart here; it is named, with its node.

    Examples
    --------
    >>> import os, pytest, tempfile
    >>> import neurograph as ng
    >>> _ = pytest.importorskip("onnx")
    >>> net = ng.Network([ng.Input((4,)), ng.Dense(3, activation="tanh")], seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.compile().export(os.path.join(folder, "net.onnx"))
    ...     again = ng.from_onnx(os.path.join(folder, "net.onnx"))
    >>> len(again.connections), again.layer("dense").activation_name
    (15, 'tanh')
    """
    proto = _read(path)
    reading = Reading(proto)
    graph = proto.graph
    inputs = []
    for each in graph.input:
        if each.name in reading.values:
            continue  # a weight with a value, listed as an input as old files do
        layer, reading.values[each.name] = _input(each, reading)
        inputs.append(layer)
    if not inputs:
        raise GraphError(f"{str(path)!r}: its graph has no inputs")
    for node in graph.node:
        _convert(node, reading)
    outputs = [_output(each.name, reading) for each in graph.output]
    return Network(
        inputs=inputs if len(inputs) > 1 else inputs[0],
        outputs=outputs if len(outputs) > 1 else outputs[0],
        name=name or graph.name or "onnx",
    )


def _read(path: StrPath) -> Any:
    onnx = onnx_package("from_onnx")
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"from_onnx: a file is given by its path, got {path!r}")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise failed("cannot read", path, error) from error
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
        if not proto.graph.node or not proto.opset_import:
            raise ValueError("it has no graph")
        onnx.checker.check_model(proto)
    except Exception as error:  # of protocol buffers and of the checker, which share no type
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FormatError(
            f"{str(path)!r} is not a whole ONNX file: {first[:200]}; export it again"
        ) from error
    return proto


def _input(info: Any, reading: Reading) -> tuple[Layer, Value]:
    dims = info.type.tensor_type.shape.dim
    sizes = [int(each.dim_value) for each in dims]
    readers = reading.consumers.get(info.name, [])
    late = any(
        each.op_type in RECURRENT
        and each.input[0] == info.name
        and not reading.attributes(each).get("layout", 0)
        for each in readers
    )
    if late and len(sizes) == 3:  # (steps, batch, features)
        sizes[:2] = sizes[1::-1]
    if len(sizes) == 3 and sizes[1] < 1 <= sizes[2] and not _is_picture(info.name, reading):
        steps = Input((None, sizes[2]), name=info.name)
        turned = Turned.of(View.of(steps))
        return steps, turned.transpose([1, 0, 2]) if late else turned
    if len(sizes) < 2 or any(size < 1 for size in sizes[1:]):
        raise GraphError(
            f"from_onnx: input {info.name!r} has shape {[each or '?' for each in sizes]}; every "
            f"size after the batch must be known"
        )
    shape = tuple(sizes[1:])
    if len(shape) < 2 or not _is_picture(info.name, reading):
        plain = Input(shape, name=info.name)
        view = View.of(plain)
        return plain, Turned.of(view).transpose([1, 0, 2]) if late else view
    picture = Input((*shape[1:], shape[0]), name=info.name)
    return picture, channels_first(picture)


def _is_picture(name: str, reading: Reading) -> bool:
    """Whether the first operators above a tensor that move anything are those of pictures."""
    seen, stack = {name}, [name]
    while stack:
        for node in reading.consumers.get(stack.pop(), []):
            if node.op_type in IMAGE:
                return True
            if node.op_type in PASSING:
                fresh = [each for each in node.output if each not in seen]
                seen.update(fresh)
                stack += fresh
    return False


def _convert(node: Any, reading: Reading) -> None:
    if all(each in reading.values for each in node.output if each):
        return  # made together with the node before
    label = f"node {node.name or node.output[0]!r} ({node.op_type})"
    given: list[Value | None] = []
    for each in node.input:
        if each and each not in reading.values:
            raise GraphError(f"from_onnx: {label}: nothing makes its input {each!r}")
        given.append(reading.values[each] if each else None)
    known = node.domain in ("", "ai.onnx")
    try:
        if known and node.op_type == "Constant":
            found: Value | None = reading.constant(node)
        elif known and not any(isinstance(each, (View, Turned)) for each in given):
            if node.op_type not in FOLDED:
                raise GraphError("it calculates with constants only, in a way not known here")
            found = reading.folded(node, given)
        elif not known or node.op_type not in TABLE:
            raise GraphError(f"the operator has no counterpart here; known are {', '.join(TABLE)}")
        else:
            found = _called(reading, node, given)
    except NeurographError as error:
        raise GraphError(f"from_onnx: {label}: {error}") from error
    except (ValueError, IndexError, TypeError, AttributeError, np.exceptions.AxisError) as error:
        raise GraphError(f"from_onnx: {label}: it does not fit its inputs: {error}") from error
    if found is not None:
        reading.values[node.output[0]] = found


def _called(reading: Reading, node: Any, given: list[Any]) -> Value | None:
    """Return what an operator makes of its inputs; of sequences of any length, step by step."""
    turned = [each for each in given if isinstance(each, Turned)]
    if node.op_type not in STEP_BY_STEP or not turned:
        return TABLE[node.op_type](reading, node, given)
    if any(not each.axes.startswith("bt") for each in turned):
        raise GraphError("its input begins with steps or directions, not with the batch")
    if node.op_type == "Softmax" and reading.opsets.get("", 13) < 13:
        raise GraphError("before opset 13 it runs over all steps, whose number is not known here")
    if reading.attributes(node).get("axis", -1) > 0:
        node = _from_the_end(node, len(turned[0].axes))
    rows = [View(each.layer, each.places) if isinstance(each, Turned) else each for each in given]
    found = TABLE[node.op_type](reading, node, rows)
    assert isinstance(found, View)
    return Turned(found.layer, found.places, "bt" + "f" * found.places.ndim)


def _from_the_end(node: Any, rank: int) -> Any:
    """Return an operator whose axis counts from the end, where steps taken away do not matter."""
    counted = type(node)()
    counted.CopyFrom(node)
    for each in counted.attribute:
        if each.name == "axis":
            each.i -= rank
    return counted


def _output(name: str, reading: Reading) -> Layer:
    view = reading.values.get(name)
    if isinstance(view, Turned):
        view = view.batch_first()
    if not isinstance(view, View):
        raise GraphError(f"from_onnx: output {name!r} does not come from an input")
    if view.layer.role == "input":
        view = view.above(Activation("linear")(view.layer))
    return view.channels_last() if view.is_channels_last() else view.in_order()
