"""A gated recurrent unit whose reset gate acts before the recurrent product.

Cho et al. 2014, Keras's ``reset_after=False``: ``z, r = sigmoid(x W + h U + b)``,
``q = tanh(x W_q + (r h) U_q + b_q)``, and the new state is ``z h + (1 - z) q``. See ``recurrent``
for the conventions; gates come in Keras's order z, r, q.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.kernels.recurrent import skipped, transpose_into
from neurograph.kernels.recurrent_gru import gru_slopes, input_projection

Array = NDArray[Any]


def gru_before_shapes(
    steps: int, batch: int, features: int, units: int, bias: bool = True
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of `gru_before_forward` and `gru_before_backward`.

    ``slopes`` may hold any number of steps from 1 up; what is returned is enough to make the calls
    worth their overhead and small enough to stay in cache.

    >>> gru_before_shapes(steps=60, batch=64, features=1, units=80)["gates"]
    (60, 3, 80, 64)
    """
    rows = features + units + bias
    span = max(1, min(steps, 2**17 // max(1, 3 * batch * units)))
    return {
        "K": (rows, 3 * units),
        "x_h": (rows, steps + 1, batch),
        "net": (steps, 3 * units, batch),
        "gates": (steps, 3, units, batch),
        "reset_h": (units, steps, batch),
        "U_zr_t": (2 * units, units + bias),
        "U_q_t": (units, units),
        "bias_q": (units, batch),
        "state": (units, batch),
        "d_h": (steps + 1, units, batch),
        "d_x": (steps, features, batch),
        "d_net": (3 * units, steps, batch),
        "slopes": (span, 3, units, batch),
        "d": (3 * units, batch),
        "step": (units, batch),
    }


def gru_before_forward(
    K: Array,
    x_h: Array,
    features: int,
    net: Array,
    gates: Array,
    reset_h: Array,
    U_zr_t: Array,
    U_q_t: Array,
    bias_q: Array,
    state: Array,
    step: Array,
    extra: Array | None = None,
    skip: Array | None = None,
) -> None:
    """Run a GRU whose reset gate acts before the recurrent product, over all steps.

    Parameters
    ----------
    K : (features + units + 1, 3 units)
        Kernel, recurrent kernel and bias.
    x_h : (features + units + 1, steps + 1, batch)
        Inputs and initial state are read, states and the row of ones written.
    features : int
        Number of input rows of ``x_h``; with 0, ``extra`` has to be given.
    net : (steps, 3 units, batch)
        Written: the input projection.
    gates : (steps, 3, units, batch)
        Written: z, r, q after their activations. At a skipped step z = 1.
    reset_h : (units, steps, batch)
        Written: ``r h``, what the candidate's recurrent weights multiply.
    U_zr_t : (2 units, units + 1)
        Work array for the transposed recurrent weights of z and r.
    U_q_t : (units, units)
        Work array for those of the candidate.
    bias_q, state, step : (units, batch)
        Work arrays.
    extra : (steps, 3 units, batch), optional
        Added to the input projection.
    skip : (steps, 1, batch), bool, optional
        True where a sample has no such step.

    Examples
    --------
    >>> arrays = {name: np.zeros(shape) for name, shape in gru_before_shapes(1, 1, 1, 1).items()}
    >>> arrays["K"][1], arrays["x_h"][1, 0] = [0.0, 0.0, 0.5], 2.0
    >>> names = "net gates reset_h U_zr_t U_q_t bias_q state step".split()
    >>> gru_before_forward(arrays["K"], arrays["x_h"], 1, *[arrays[k] for k in names])
    >>> arrays["x_h"][1].round(3).ravel()  # 2/2 + tanh(0.5 * 2 * 0.5)/2
    array([2.   , 1.231])
    """
    steps, _, units, batch = gates.shape
    two, after = 2 * units, features + units
    x_h[after:] = 1
    bias_q[...] = 0
    transpose_into(K[features:, :two], U_zr_t)
    transpose_into(K[features:after, two:], U_q_t)
    if len(K) > after:
        np.copyto(bias_q, K[after, two:, None])
    input_projection(K, x_h, features, net, extra)
    half, read = np.array(0.5, gates.dtype), x_h[features:].transpose(1, 0, 2)
    both = gates.reshape(steps, 3 * units, batch)[:, :two]
    states, reset = read[:, :units], reset_h.transpose(1, 0, 2)
    np.copyto(state, states[0])
    lacking = skipped(skip, steps)
    rows = zip(read, net[:, :two], net[:, two:], both, gates, reset, states[1:], strict=False)
    for t, (read_t, net_zr, net_q, zr, (z, r, q), reset_t, now) in enumerate(rows):
        np.matmul(U_zr_t, read_t, out=zr)
        np.add(zr, net_zr, out=zr)
        np.multiply(zr, half, out=zr)
        np.tanh(zr, out=zr)
        np.multiply(zr, half, out=zr)
        np.add(zr, half, out=zr)
        np.multiply(r, state, out=step)
        np.copyto(reset_t, step)
        np.matmul(U_q_t, step, out=q)
        np.add(q, net_q, out=q)
        np.add(q, bias_q, out=q)
        np.tanh(q, out=q)
        if (without := lacking[t]) is not None:
            np.copyto(z, 1, where=without)
        np.subtract(state, q, out=state)
        np.multiply(state, z, out=state)
        np.add(state, q, out=state)
        if (without := lacking[t]) is not None:
            np.copyto(state, states[t], where=without)
        np.copyto(now, state)


def gru_before_backward(
    K: Array,
    x_h: Array,
    features: int,
    gates: Array,
    d_h: Array,
    d_x: Array | None,
    d_net: Array,
    slopes: Array,
    d: Array,
    state: Array,
    step: Array,
    truncate: int | None = None,
) -> None:
    """Carry the gradient of `gru_before_forward` back; skipped steps are known by z = 1.

    Parameters
    ----------
    K, x_h, features, gates
        As in the forward run; not changed.
    d_h : (steps + 1, units, batch)
        Gradient from outside on entry, whole gradient on exit.
    d_x : (steps, features, batch) or None
        Written: the gradient with respect to the inputs.
    d_net : (3 units, steps, batch)
        Written: the gradient with respect to the pre-activations.
    slopes : (span, 3, units, batch)
        Work array; derivatives are prepared for ``span`` steps at a time.
    d : (3 units, batch)
        Work array.
    state, step : (units, batch)
        Work arrays.
    truncate : int, optional
        Length of the pieces of truncated back-propagation through time.

    Examples
    --------
    >>> arrays = {name: np.zeros(shape) for name, shape in gru_before_shapes(1, 1, 1, 1).items()}
    >>> K, x_h = arrays["K"], arrays["x_h"]
    >>> K[1], x_h[1, 0], arrays["d_h"][1] = [0.0, 0.0, 0.5], 2.0, 1.0
    >>> names = "net gates reset_h U_zr_t U_q_t bias_q state step".split()
    >>> gru_before_forward(K, x_h, 1, *[arrays[k] for k in names])
    >>> names = "gates d_h d_x d_net slopes d state step".split()
    >>> gru_before_backward(K, x_h, 1, *[arrays[k] for k in names])
    >>> arrays["d_net"].round(3).ravel(), arrays["d_h"].round(3).ravel()
    (array([0.384, 0.098, 0.393]), array([0.598, 1.   ]))
    """
    steps, _, units, batch = gates.shape
    two = 2 * units
    U = K[features : features + units]
    before = x_h[features : features + units].transpose(1, 0, 2)[-2::-1]
    gates, d_write = gates[::-1], d_net.transpose(1, 0, 2)[::-1]
    d_z, d_r, d_q = d.reshape(3, units, batch)
    for begin in range(0, steps, len(slopes)):  # from the last step to the first
        part = slice(begin, min(begin + len(slopes), steps))
        ready = slopes[: part.stop - begin]
        gru_slopes(gates[part], before[part], before[part], ready, False)
        rows = zip(
            range(steps - 1 - begin, -1, -1), ready, gates[part, 0], gates[part, 1],
            d_write[part], d_h[:0:-1][part], d_h[-2::-1][part], strict=False,
        )  # fmt: skip
        for t, (to_z, to_r, to_q), z, r, write, d_now, d_past in rows:
            np.multiply(to_z, d_now, out=d_z)
            np.multiply(to_q, d_now, out=d_q)
            np.matmul(U[:, two:], d_q, out=step)  # the gradient with respect to r h
            np.multiply(to_r, step, out=d_r)
            np.copyto(write, d)
            if d_x is not None:
                np.matmul(K[:features], d, out=d_x[t])
            if not truncate or t == 0 or t % truncate:
                np.multiply(step, r, out=step)
                np.matmul(U[:, :two], d[:two], out=state)
                np.add(step, state, out=step)
                np.multiply(d_now, z, out=state)
                np.add(step, state, out=step)
                np.add(d_past, step, out=d_past)


def gru_before_weight_gradient(
    x_h: Array, features: int, reset_h: Array, d_net: Array, d_K: Array
) -> None:
    """Write the gradient of the stacked weights, over all steps at once.

    Parameters
    ----------
    x_h : (features + units + 1, steps, batch)
        The columns that the steps read: ``x_h[:, :-1]``; for a layer that went backwards in time
        ``x_h[:, 1:]`` (with the others not reversed).
    features : int
        Number of input rows of ``x_h``.
    reset_h : (units, steps, batch)
        From `gru_before_forward`.
    d_net : (3 units, steps, batch)
        From `gru_before_backward`.
    d_K : (features + units + 1, 3 units)
        Written.

    Examples
    --------
    >>> d_K, d_net = np.empty((3, 3)), np.arange(1.0, 4).reshape(3, 1, 1)
    >>> x_h = np.array([[[5.0]], [[2.0]], [[1.0]]])
    >>> gru_before_weight_gradient(x_h, 1, np.array([[[10.0]]]), d_net, d_K)
    >>> print(d_K)
    [[ 5. 10. 15.]
     [ 2.  4. 30.]
     [ 1.  2.  3.]]
    """
    units = len(reset_h)
    after = features + units
    columns = d_net.reshape(3 * units, -1).T
    flat, reset = x_h.reshape(len(x_h), -1), reset_h.reshape(units, -1)
    np.matmul(flat, columns, out=d_K)
    np.matmul(reset, columns[:, 2 * units :], out=d_K[features:after, 2 * units :])
