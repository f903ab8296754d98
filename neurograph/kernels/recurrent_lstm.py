"""A long short-term memory layer over all its steps; see ``recurrent`` for the conventions.

Gates come in Keras's order: input, forget, candidate, output. ``gates`` has one contiguous array
for each, so that ``gates[:, 1]`` is the forget gate at every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.kernels.recurrent import skipped, transpose_into

Array = NDArray[Any]


def lstm_shapes(
    steps: int, batch: int, features: int, units: int, bias: bool = True
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of `lstm_forward` and `lstm_backward`.

    ``slopes`` and ``cell_slopes`` may hold any number of steps from 1 up; what is returned is
    enough to make the calls worth their overhead and small enough to stay in cache.

    >>> lstm_shapes(steps=60, batch=64, features=1, units=80)["gates"]
    (60, 4, 80, 64)
    """
    rows = features + units + bias
    span = max(1, min(steps, 2**17 // max(1, 4 * batch * units)))
    return {
        "K": (rows, 4 * units),
        "x_h": (rows, steps + 1, batch),
        "c": (steps + 1, units, batch),
        "gates": (steps, 4, units, batch),
        "tanh_c": (steps, units, batch),
        "K_t": (4 * units, rows),
        "step": (units, batch),
        "d_h": (steps + 1, units, batch),
        "d_c": (units, batch),
        "d_x": (steps, features, batch),
        "d_net": (4 * units, steps, batch),
        "slopes": (span, 4, units, batch),
        "cell_slopes": (span, units, batch),
        "d": (4 * units, batch),
        "d_x_h": (features + units, batch),
    }


def lstm_forward(
    K: Array,
    x_h: Array,
    features: int,
    c: Array,
    gates: Array,
    tanh_c: Array,
    K_t: Array,
    step: Array,
    extra: Array | None = None,
    skip: Array | None = None,
) -> None:
    """Run an LSTM over all steps (Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000).

    With ``a = x[t] W + h[t] U + b``: i, f, o = sigmoid(a), g = tanh(a), c[t + 1] = f c[t] + i g,
    h[t + 1] = o tanh(c[t + 1]). As sigmoid(a) = (1 + tanh(a / 2)) / 2, one tanh serves all gates.

    Parameters
    ----------
    K : (features + units + 1, 4 units)
        Kernel, recurrent kernel and bias.
    x_h : (features + units + 1, steps + 1, batch)
        Inputs and initial state are read, states and the row of ones written.
    features : int
        Number of input rows of ``x_h``.
    c : (steps + 1, units, batch)
        Cell states: ``c[0]`` is read, the rest written.
    gates : (steps, 4, units, batch)
        Written: i, f, g, o after their activations. At a skipped step i = o = 0 and f = 1.
    tanh_c : (steps, units, batch)
        Written: tanh(c[1:]).
    K_t : (4 units, features + units + 1)
        Work array for the transposed weights.
    step : (units, batch)
        Work array.
    extra : (steps, 4 units, batch), optional
        Added to the pre-activations; changed.
    skip : (steps, 1, batch), bool, optional
        True where a sample has no such step.

    Examples
    --------
    >>> arrays = {name: np.zeros(shape) for name, shape in lstm_shapes(1, 1, 1, 1).items()}
    >>> arrays["K"][2], arrays["c"][0] = [0.0, 1.0, 0.5, -1.0], 2.0
    >>> K, x_h, c, gates, *rest = (arrays[k] for k in "K x_h c gates tanh_c K_t step".split())
    >>> lstm_forward(K, x_h, 1, c, gates, *rest)
    >>> gates.round(3).ravel()  # sigmoid(0), sigmoid(1), tanh(0.5), sigmoid(-1)
    array([0.5  , 0.731, 0.462, 0.269])
    >>> c.round(3).ravel(), x_h[1].round(3).ravel()
    (array([2.   , 1.693]), array([0.   , 0.251]))
    """
    steps, _, units, batch = gates.shape
    x_h[features + units :] = 1
    half = np.array(0.5, gates.dtype)
    lacking = skipped(skip, steps)
    closed = np.array([0, 1, 0, 0], gates.dtype).reshape(4, 1, 1)
    transpose_into(K, K_t)
    for part in K_t[: 2 * units], K_t[3 * units :]:
        np.multiply(part, half, out=part)
    read, flat = x_h.transpose(1, 0, 2), gates.reshape(steps, 4 * units, batch)
    states = read[1:, features : features + units]
    rows = zip(read[:-1], flat, flat[:, : 2 * units], gates, c, c[1:], tanh_c, states, strict=False)
    for t, (read_t, a, i_f, (i, f, g, o), c_past, c_now, tanh_now, h_now) in enumerate(rows):
        np.matmul(K_t, read_t, out=a)
        if extra is not None:
            np.multiply(extra[t, : 2 * units], half, out=extra[t, : 2 * units])
            np.multiply(extra[t, 3 * units :], half, out=extra[t, 3 * units :])
            np.add(a, extra[t], out=a)
        np.tanh(a, out=a)
        np.multiply(i_f, half, out=i_f)
        np.add(i_f, half, out=i_f)
        np.multiply(o, half, out=o)
        np.add(o, half, out=o)
        if (without := lacking[t]) is not None:
            np.copyto(gates[t], closed, where=without)
        np.multiply(f, c_past, out=c_now)
        np.multiply(i, g, out=step)
        np.add(c_now, step, out=c_now)
        np.tanh(c_now, out=tanh_now)
        np.multiply(o, tanh_now, out=step)
        np.copyto(h_now, step)
        if (without := lacking[t]) is not None:
            np.copyto(h_now, read[t, features : features + units], where=without)


def lstm_slopes(gates: Array, c: Array, tanh_c: Array, slopes: Array, cell_slopes: Array) -> None:
    """Write what multiplies the gradients that reach the cell and the output, for several steps.

    ``slopes`` (steps, 4, units, batch): d c / d a of the gates i, f, g, and d h / d a of the gate
    o; ``cell_slopes`` (steps, units, batch): d h / d c. ``c`` is the cell state before each step.
    """
    np.multiply(gates, gates, out=slopes)
    np.subtract(gates, slopes, out=slopes)  # sigmoid' = y - y^2, right for i, f and o
    candidate, to_candidate = gates[:, 2], slopes[:, 2]
    np.multiply(candidate, candidate, out=to_candidate)
    np.subtract(1, to_candidate, out=to_candidate)
    for k, factor in enumerate((candidate, c, gates[:, 0], tanh_c)):
        np.multiply(slopes[:, k], factor, out=slopes[:, k])
    np.multiply(tanh_c, tanh_c, out=cell_slopes)
    np.subtract(1, cell_slopes, out=cell_slopes)
    np.multiply(cell_slopes, gates[:, 3], out=cell_slopes)


def lstm_backward(
    K: Array,
    features: int,
    c: Array,
    gates: Array,
    tanh_c: Array,
    d_h: Array,
    d_c: Array,
    d_x: Array | None,
    d_net: Array,
    slopes: Array,
    cell_slopes: Array,
    d: Array,
    d_x_h: Array,
    step: Array,
    skip: Array | None = None,
    truncate: int | None = None,
) -> None:
    """Carry the gradient of `lstm_forward` back through time, along both the state and the cell.

    Parameters
    ----------
    K, features, c, gates, tanh_c
        As in the forward run; not changed.
    d_h : (steps + 1, units, batch)
        Gradient from outside on entry, whole gradient on exit.
    d_c : (units, batch)
        Gradient with respect to ``c[-1]`` from outside on entry, with respect to ``c[0]`` on exit.
    d_x : (steps, features, batch) or None
        Written: the gradient with respect to the inputs.
    d_net : (4 units, steps, batch)
        Written: the gradient with respect to the pre-activations.
    slopes : (span, 4, units, batch)
        Work array; derivatives are prepared for ``span`` steps at a time.
    cell_slopes : (span, units, batch)
        Work array.
    d : (4 units, batch)
        Work array.
    d_x_h : (features + units, batch)
        Work array.
    step : (units, batch)
        Work array.
    skip : (steps, 1, batch), bool, optional
        As in the forward run.
    truncate : int, optional
        Length of the pieces of truncated back-propagation through time.

    Examples
    --------
    >>> arrays = {name: np.zeros(shape) for name, shape in lstm_shapes(1, 1, 1, 1).items()}
    >>> arrays["K"][2], arrays["d_h"][1] = [0.0, 1.0, 0.5, -1.0], 1.0
    >>> K, x_h, *rest = (arrays[k] for k in "K x_h c gates tanh_c K_t step".split())
    >>> lstm_forward(K, x_h, 1, *rest)
    >>> names = "c gates tanh_c d_h d_c d_x d_net slopes cell_slopes d d_x_h step".split()
    >>> lstm_backward(K, 1, *[arrays[k] for k in names])
    >>> arrays["d_net"].round(3).ravel(), arrays["d_c"].round(3).ravel()
    (array([0.029, 0.   , 0.1  , 0.045]), array([0.186]))
    """
    steps, _, units, batch = gates.shape
    first = 0 if d_x is not None else features
    weights, d_read, d_before = K[first : features + units], d_x_h[first:], d_x_h[features:]
    d_i, d_f, d_g, d_o = d.reshape(4, units, batch)
    lacking = skipped(skip, steps)
    gates, c, tanh_c = gates[::-1], c[-2::-1], tanh_c[::-1]
    d_write = d_net.transpose(1, 0, 2)[::-1]
    for begin in range(0, steps, len(slopes)):  # from the last step to the first
        part = slice(begin, min(begin + len(slopes), steps))
        to_gates, to_cell = slopes[: part.stop - begin], cell_slopes[: part.stop - begin]
        lstm_slopes(gates[part], c[part], tanh_c[part], to_gates, to_cell)
        rows = zip(
            range(steps - 1 - begin, -1, -1), to_gates, to_cell, gates[part, 1],
            d_write[part], d_h[:0:-1][part], d_h[-2::-1][part], strict=False,
        )  # fmt: skip
        for t, (to_i, to_f, to_g, to_o), to_c, forget, write, d_now, d_past in rows:
            np.multiply(d_now, to_c, out=step)
            np.add(d_c, step, out=d_c)
            np.multiply(to_i, d_c, out=d_i)
            np.multiply(to_f, d_c, out=d_f)
            np.multiply(to_g, d_c, out=d_g)
            np.multiply(to_o, d_now, out=d_o)
            np.copyto(write, d)
            np.matmul(weights, d, out=d_read)
            if d_x is not None:
                np.copyto(d_x[t], d_x_h[:features])
            if truncate and t and t % truncate == 0:
                d_c[...] = 0
                continue
            np.multiply(d_c, forget, out=d_c)
            np.add(d_past, d_before, out=d_past)
            if (without := lacking[t]) is not None:
                np.multiply(d_now, without, out=step)
                np.add(d_past, step, out=d_past)
