"""A long short-term memory layer over all its steps; see ``recurrent`` for the conventions.

Weights and gradients have the gates in Keras's order: input, forget, candidate, output. Within a
step they come as o, i, f, g, and the cell state after them: then the sigmoids are one block,
``(i, f) * (g, c)`` is one product, and so is most of what their derivatives are made of.
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

    >>> lstm_shapes(steps=60, batch=64, features=1, units=80)["slopes"]
    (60, 6, 80, 64)
    """
    rows = features + units + bias
    return {
        "K": (rows, 4 * units),
        "x_h": (rows, steps + 1, batch),
        "gates": (5, units, batch),
        "parts": (3, units, batch),
        "K_t": (4 * units, rows),
        "step": (units, batch),
        "slopes": (steps, 6, units, batch),
        "d_h": (steps + 1, units, batch),
        "d_c": (units, batch),
        "d_x": (steps, features, batch),
        "d_net": (4 * units, steps, batch),
        "d": (4 * units, batch),
        "d_x_h": (features + units, batch),
    }


def lstm_forward(
    K: Array,
    x_h: Array,
    features: int,
    gates: Array,
    parts: Array,
    K_t: Array,
    step: Array,
    slopes: Array | None = None,
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
    gates : (5, units, batch)
        On entry ``gates[4]`` is the cell state before the first step; on exit there are the gates
        o, i, f, g of the last step and the cell state after it.
    parts : (3, units, batch)
        Work array.
    K_t : (4 units, features + units + 1)
        Work array for the transposed weights.
    step : (units, batch)
        Work array.
    slopes : (steps, 6, units, batch), optional
        Written: what `lstm_backward` needs, see `lstm_slopes`.
    extra : (steps, 4 units, batch), optional
        Added to the pre-activations; changed.
    skip : (steps, 1, batch), bool, optional
        True where a sample has no such step: its gates i and o are 0 then, f is 1.

    Examples
    --------
    >>> arrays = {name: np.zeros(shape) for name, shape in lstm_shapes(1, 1, 1, 1).items()}
    >>> arrays["K"][2], arrays["gates"][4] = [0.0, 1.0, 0.5, -1.0], 2.0
    >>> K, x_h, gates, *rest = (arrays[k] for k in "K x_h gates parts K_t step".split())
    >>> lstm_forward(K, x_h, 1, gates, *rest)
    >>> gates.round(3).ravel()  # sigmoid(-1), sigmoid(0), sigmoid(1), tanh(0.5); the cell state
    array([0.269, 0.5  , 0.731, 0.462, 1.693])
    >>> x_h[1].round(3).ravel()
    array([0.   , 0.251])
    """
    _, units, batch = gates.shape
    x_h[features + units :] = 1
    half = np.array(0.5, gates.dtype)
    lacking = skipped(skip, x_h.shape[1] - 1)
    closed = np.array([0, 0, 1, 0], gates.dtype).reshape(4, 1, 1)
    transpose_into(K[:, 3 * units :], K_t[:units])
    transpose_into(K[:, : 3 * units], K_t[units:])
    np.multiply(K_t[: 3 * units], half, out=K_t[: 3 * units])
    a = gates[:4].reshape(4 * units, batch)
    sigmoids, i_f, g_c, o, c = gates[:3], gates[1:3], gates[3:], gates[0], gates[4]
    (h, new, kept), both = parts, parts[1:]
    read = x_h.transpose(1, 0, 2)
    states = read[:, features : features + units]
    for t, (read_t, h_now) in enumerate(zip(read[:-1], states[1:], strict=True)):
        np.matmul(K_t, read_t, out=a)
        if extra is not None:
            np.multiply(extra[t, : 2 * units], half, out=extra[t, : 2 * units])
            np.multiply(extra[t, 3 * units :], half, out=extra[t, 3 * units :])
            np.add(a[:units], extra[t, 3 * units :], out=a[:units])
            np.add(a[units:], extra[t, : 3 * units], out=a[units:])
        np.tanh(a, out=a)
        np.multiply(sigmoids, half, out=sigmoids)
        np.add(sigmoids, half, out=sigmoids)
        if (without := lacking[t]) is not None:
            np.copyto(gates[:4], closed, where=without)
        np.multiply(i_f, g_c, out=both)
        np.add(kept, new, out=c)
        np.tanh(c, out=step)
        np.multiply(o, step, out=h)
        np.copyto(h_now, h)
        if slopes is not None:
            lstm_slopes(gates, parts, step, slopes[t])
        if without is not None:
            np.copyto(h_now, states[t], where=without)


def lstm_slopes(gates: Array, parts: Array, tanh_c: Array, slopes: Array) -> None:
    """Write what multiplies gradients on their way back through a step.

    ``gates`` are o, i, f, g; ``parts`` are h = o tanh(c), n = i g, and k = f times the cell state
    before. ``slopes`` (6, units, batch): h - h o = d h / d a of the gate o, where a is the
    pre-activation; n - n i, k - k f and i - n g = d c / d a of the gates i, f and g; o - h tanh(c)
    = d h / d c; f.
    """
    o, i, f, g = gates[:4]
    h, new, _ = parts
    of_sigmoids, of_candidate, of_cell, passed = slopes[:3], slopes[3], slopes[4], slopes[5]
    np.multiply(parts, gates[:3], out=of_sigmoids)
    np.subtract(parts, of_sigmoids, out=of_sigmoids)
    np.multiply(new, g, out=of_candidate)
    np.subtract(i, of_candidate, out=of_candidate)
    np.multiply(h, tanh_c, out=of_cell)
    np.subtract(o, of_cell, out=of_cell)
    np.copyto(passed, f)


def lstm_backward(
    K: Array,
    features: int,
    slopes: Array,
    d_h: Array,
    d_c: Array,
    d_x: Array | None,
    d_net: Array,
    d: Array,
    d_x_h: Array,
    step: Array,
    skip: Array | None = None,
    truncate: int | None = None,
) -> None:
    """Carry the gradient of `lstm_forward` back through time, along both the state and the cell.

    Parameters
    ----------
    K, features, slopes
        As in the forward run; not changed.
    d_h : (steps + 1, units, batch)
        Gradient from outside on entry, whole gradient on exit.
    d_c : (units, batch)
        Gradient with respect to the last cell state from outside on entry, with respect to the
        first on exit.
    d_x : (steps, features, batch) or None
        Written: the gradient with respect to the inputs.
    d_net : (4 units, steps, batch)
        Written: the gradient with respect to the pre-activations.
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
    >>> K, x_h, *rest = (arrays[k] for k in "K x_h gates parts K_t step slopes".split())
    >>> lstm_forward(K, x_h, 1, *rest)
    >>> names = "slopes d_h d_c d_x d_net d d_x_h step".split()
    >>> lstm_backward(K, 1, *[arrays[k] for k in names])
    >>> arrays["d_net"].round(3).ravel(), arrays["d_c"].round(3).ravel()
    (array([0.029, 0.   , 0.1  , 0.045]), array([0.186]))
    """
    steps, _, units, batch = slopes.shape
    first = 0 if d_x is not None else features
    weights, d_read, d_before = K[first : features + units], d_x_h[first:], d_x_h[features:]
    d_gates = d.reshape(4, units, batch)
    d_i_f_g, d_o = d_gates[:3], d_gates[3]
    lacking = skipped(skip, steps)
    rows = zip(
        range(steps - 1, -1, -1), slopes[::-1], slopes[::-1, 1:4], d_net.transpose(1, 0, 2)[::-1],
        d_h[:0:-1], d_h[-2::-1], strict=True,
    )  # fmt: skip
    for t, (to_o, _, _, _, to_c, forget), to_i_f_g, write, d_now, d_past in rows:
        np.multiply(d_now, to_c, out=step)
        np.add(d_c, step, out=d_c)
        np.multiply(to_i_f_g, d_c, out=d_i_f_g)
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
