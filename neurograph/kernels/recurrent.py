"""The sequential part of a simple recurrent layer, and what all recurrent kernels agree on.

Work that has to go step by step is bound by the cost of one step: a small product, a dozen
elementwise calls. So the recurrent kernels (here, in ``recurrent_lstm`` and ``recurrent_gru``) keep
the batch on the last axis. A step's gates are then contiguous blocks that NumPy runs through in one
stride, and the product of a step takes the orientation in which OpenBLAS repacks the least.

* ``x_h`` (features + units + 1, steps + 1, batch) is all that the cell reads: rows of inputs, rows
  of states, a row of ones for the bias. Step ``t`` reads ``x_h[:, t]`` and writes its state to
  column ``t + 1``. The caller fills the inputs and, at column 0, the initial state. To others the
  states are
  ``x_h[features : features + units, 1:].transpose(1, 2, 0)``, shaped (steps, batch, units).
* ``K`` (features + units + 1, gates * units) is Keras's kernel, recurrent kernel and bias, one
  below the other, as they lie in the parameter vector. Without bias, ``K`` and ``x_h`` lack the
  last row.
* ``extra`` (steps, gates * units, batch), optional, is what any other connections contribute to the
  pre-activations; with ``features=0`` it is the whole input projection.
* ``d_y`` is the gradient of the error with respect to ``y``. ``d_h`` (steps + 1, units, batch)
  holds on entry what the consumers of each state contribute, and on exit the whole gradient:
  ``d_h[0]`` is that of the initial state. ``d_x`` (steps, features, batch) is written; it may be
  ``d_h[1:]`` of the layer below, or None where nobody asks. ``d_net`` (gates * units, steps, batch)
  is written: the gradient with respect to the pre-activations. It makes all weight gradients in one
  product after the loop.
* ``skip`` (steps, 1, batch), bool, is True where a sample has no such step (its sequence is
  shorter): the state is carried over unchanged, ``d_net`` and ``d_x`` are 0 there.
* ``truncate=k`` cuts the steps into pieces ``[0, k), [k, 2 k), ...`` in the order of processing: no
  gradient flows from the first step of a piece to the state before it. The first piece reaches the
  initial state. ``None`` is full back-propagation through time.
* Backwards in time is the caller passing reversed views: ``x_h[:, ::-1]``, ``extra[::-1]``,
  ``d_h[::-1]``, ``d_net[:, ::-1]``, ``d_x[::-1]``, ``skip[::-1]``.
* Nothing is allocated but views and what NumPy's iterator buffers for one call (at most three times
  ``numpy.getbufsize()`` elements). Work arrays have any content; ``*_shapes`` gives their shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Activate = Callable[[Array, Array], object]
Slope = Callable[[Array, Array, Array], object]


def identity(net: Array, output: Array) -> None:
    """Write the net input to ``output``."""
    np.copyto(output, net)


def identity_slope(net: Array, output: Array, slope: Array) -> None:
    """Write 1, the derivative of identity."""
    slope[...] = 1


def relu(net: Array, output: Array) -> None:
    """Write max(net, 0) to ``output``."""
    np.maximum(net, 0, out=output)


def relu_slope(net: Array, output: Array, slope: Array) -> None:
    """Write the derivative of relu: 1 where the output is above 0."""
    np.sign(output, out=slope)  # the output is never below 0


def sigmoid(net: Array, output: Array) -> None:
    """Write 1 / (1 + exp(-net)), as (1 + tanh(net / 2)) / 2, which cannot overflow."""
    np.multiply(net, 0.5, out=output)
    np.tanh(output, out=output)
    np.multiply(output, 0.5, out=output)
    np.add(output, 0.5, out=output)


def sigmoid_slope(net: Array, output: Array, slope: Array) -> None:
    """Write y (1 - y), the derivative of the sigmoid."""
    np.subtract(1, output, out=slope)
    np.multiply(slope, output, out=slope)


def tanh(net: Array, output: Array) -> None:
    """Write the hyperbolic tangent of the net input to ``output``."""
    np.tanh(net, out=output)


def tanh_slope(net: Array, output: Array, slope: Array) -> None:
    """Write 1 - y^2, the derivative of tanh."""
    np.multiply(output, output, out=slope)
    np.subtract(1, slope, out=slope)


ACTIVATIONS: dict[str, tuple[Activate, Slope]] = {
    "identity": (identity, identity_slope),
    "linear": (identity, identity_slope),
    "relu": (relu, relu_slope),
    "sigmoid": (sigmoid, sigmoid_slope),
    "tanh": (tanh, tanh_slope),
}
"""In-place activations for `simple_rnn_forward`, with their derivatives for the way back."""


def transpose_into(matrix: Array, transposed: Array) -> None:
    """Write a matrix's transpose, a few rows at a time: long power-of-two columns share cache sets.

    >>> turned = np.empty((3, 2))
    >>> transpose_into(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), turned)
    >>> turned.ravel()
    array([1., 4., 2., 5., 3., 6.])
    """
    for start in range(0, len(matrix), 16):
        np.copyto(transposed[:, start : start + 16], matrix[start : start + 16].T)


def skipped(skip: Array | None, steps: int) -> list[Array | None]:
    """Return for every step which samples lack it, None where all have it."""
    if skip is None:
        return [None] * steps
    return [each if each.any() else None for each in skip]


def weight_gradient(x_h: Array, d_net: Array, d_K: Array) -> None:
    """Write the gradient of the stacked weights, over all steps in one product.

    Parameters
    ----------
    x_h : (features + units + 1, steps, batch)
        The columns that the steps read: ``x_h[:, :-1]``; for a layer that went backwards in time
        ``x_h[:, 1:]`` (with ``d_net`` not reversed).
    d_net : (gates * units, steps, batch)
        From the backward kernel.
    d_K : (features + units + 1, gates * units)
        Written.

    Examples
    --------
    >>> d_K = np.empty((2, 1))
    >>> weight_gradient(np.array([[[3.0], [4.0]], [[1.0], [1.0]]]), np.array([[[1.0], [2.0]]]), d_K)
    >>> d_K.ravel()
    array([11.,  3.])
    """
    np.matmul(x_h.reshape(len(x_h), -1), d_net.reshape(len(d_net), -1).T, out=d_K)


def simple_rnn_shapes(
    steps: int, batch: int, features: int, units: int, bias: bool = True
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of `simple_rnn_forward` and `simple_rnn_backward`.

    >>> simple_rnn_shapes(steps=60, batch=64, features=1, units=80)["x_h"]
    (82, 61, 64)
    """
    rows = features + units + bias
    span = max(1, min(steps, 2**17 // max(1, batch * units)))
    return {
        "K": (rows, units),
        "x_h": (rows, steps + 1, batch),
        "net": (steps, units, batch),
        "output": (steps, units, batch),
        "K_t": (units, rows),
        "d_h": (steps + 1, units, batch),
        "d_x": (steps, features, batch),
        "d_net": (units, steps, batch),
        "slopes": (span, units, batch),
        "d_x_h": (features + units, batch),
    }


def simple_rnn_forward(
    K: Array,
    x_h: Array,
    features: int,
    net: Array,
    output: Array,
    activate: Activate,
    K_t: Array,
    extra: Array | None = None,
    skip: Array | None = None,
) -> None:
    """Run h[t + 1] = f(x[t] W + h[t] U + b) over all steps (Elman 1990; Keras's SimpleRNN).

    Parameters
    ----------
    K : (features + units + 1, units)
        Kernel, recurrent kernel and bias.
    x_h : (features + units + 1, steps + 1, batch)
        Inputs and initial state are read, states and the row of ones written.
    features : int
        Number of input rows of ``x_h``.
    net, output : (steps, units, batch)
        Written: pre-activations and activations of every step.
    activate : callable
        ``activate(net, output)`` writes the output, elementwise.
    K_t : (units, features + units + 1)
        Work array for the transposed weights.
    extra : (steps, units, batch), optional
        Added to the pre-activations.
    skip : (steps, 1, batch), bool, optional
        True where a sample has no such step.

    Examples
    --------
    >>> K, x_h = np.array([[1.0], [2.0], [0.5]]), np.zeros((3, 3, 1))
    >>> x_h[0, :2, 0] = 1.0, -0.5
    >>> net, output = np.empty((2, 1, 1)), np.empty((2, 1, 1))
    >>> simple_rnn_forward(K, x_h, 1, net, output, relu, np.empty((1, 3)))
    >>> x_h[1].ravel()  # 1 + 0.5, then -0.5 + 2 * 1.5 + 0.5
    array([0. , 1.5, 3. ])
    """
    after = features + net.shape[1]
    x_h[after:] = 1
    transpose_into(K, K_t)
    read = x_h.transpose(1, 0, 2)
    states = read[:, features:after]
    lacking = skipped(skip, len(net))
    rows = zip(read[:-1], net, output, states[:-1], states[1:], strict=True)
    for t, (read_t, net_t, output_t, before, now) in enumerate(rows):
        np.matmul(K_t, read_t, out=net_t)
        if extra is not None:
            np.add(net_t, extra[t], out=net_t)
        activate(net_t, output_t)
        np.copyto(now, output_t)
        if (without := lacking[t]) is not None:
            np.copyto(now, before, where=without)


def simple_rnn_backward(
    K: Array,
    features: int,
    net: Array,
    output: Array,
    slope: Slope,
    d_h: Array,
    d_x: Array | None,
    d_net: Array,
    slopes: Array,
    d_x_h: Array,
    skip: Array | None = None,
    truncate: int | None = None,
) -> None:
    """Carry the gradient of `simple_rnn_forward` back through time.

    Parameters
    ----------
    K, features, net, output
        As in the forward run; not changed.
    slope : callable
        ``slope(net, output, slope)`` writes the activation's derivative, elementwise.
    d_h : (steps + 1, units, batch)
        Gradient from outside on entry, whole gradient on exit.
    d_x : (steps, features, batch) or None
        Written: the gradient with respect to the inputs.
    d_net : (units, steps, batch)
        Written: the gradient with respect to the pre-activations.
    slopes : (span, units, batch)
        Work array; derivatives are prepared for ``span`` steps at a time.
    d_x_h : (features + units, batch)
        Work array.
    skip : (steps, 1, batch), bool, optional
        As in the forward run.
    truncate : int, optional
        Length of the pieces of truncated back-propagation through time.

    Examples
    --------
    >>> K, net = np.array([[1.0], [2.0], [0.5]]), np.array([[[1.5]], [[3.0]]])
    >>> d_h, d_net = np.array([[[0.0]], [[0.0]], [[1.0]]]), np.empty((1, 2, 1))
    >>> work = np.empty((2, 1, 1)), np.empty((2, 1))
    >>> simple_rnn_backward(K, 1, net, net, relu_slope, d_h, None, d_net, *work)
    >>> d_net.ravel(), d_h.ravel()
    (array([2., 1.]), array([4., 2., 1.]))
    """
    steps, units, _ = net.shape
    first = 0 if d_x is not None else features
    weights, d_read, d_before = K[first : features + units], d_x_h[first:], d_x_h[features:]
    lacking = skipped(skip, steps)
    net, output, d_write = net[::-1], output[::-1], d_net.transpose(1, 0, 2)[::-1]
    for begin in range(0, steps, len(slopes)):  # from the last step to the first
        part = slice(begin, min(begin + len(slopes), steps))
        ready = slopes[: part.stop - begin]
        slope(net[part], output[part], ready)
        rows = zip(ready, d_write[part], d_h[:0:-1][part], d_h[-2::-1][part], strict=True)
        for t, (d, write, d_now, d_past) in zip(
            range(steps - 1 - begin, -1, -1), rows, strict=False
        ):
            np.multiply(d, d_now, out=d)
            if (without := lacking[t]) is not None:
                np.multiply(d, ~without, out=d)  # NumPy's where= takes five times as long
            np.copyto(write, d)
            np.matmul(weights, d, out=d_read)
            if d_x is not None:
                np.copyto(d_x[t], d_x_h[:features])
            if not truncate or t == 0 or t % truncate:
                np.add(d_past, d_before, out=d_past)
                if (without := lacking[t]) is not None:
                    np.multiply(d_now, without, out=d)
                    np.add(d_past, d, out=d_past)
