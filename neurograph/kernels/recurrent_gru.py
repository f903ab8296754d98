"""A gated recurrent unit over all its steps; see ``recurrent`` for the conventions.

Gates come in Keras's order: update z, reset r, candidate q; the new state is ``z h + (1 - z) q``.
The reset gate acts after the recurrent product (``reset_after=True``; Keras's default, cuDNN,
PyTorch): ``q = tanh(x W_q + b_q + r (h U_q + b'_q))``. For the form where it acts before the
product see ``recurrent_gru_before``.

As the reset gate scales what comes from the past, two things differ from the other cells. The bias
is two rows of ``K``: that of the input, that of the recurrence. And ``gates`` and ``d_net`` have
four blocks: the candidate's recurrent part ``h U_q + b'_q`` first, then z, r, q; so the last three
are the pre-activations as the inputs see them, the first three as the states do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.kernels.recurrent import skipped, transpose_into

Array = NDArray[Any]


def gru_shapes(
    steps: int, batch: int, features: int, units: int, bias: bool = True
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array of `gru_forward` and `gru_backward`.

    ``slopes`` may hold any number of steps from 1 up; what is returned is enough to make the calls
    worth their overhead and small enough to stay in cache.

    >>> gru_shapes(steps=60, batch=64, features=1, units=80)["gates"]
    (60, 4, 80, 64)
    """
    span = max(1, min(steps, 2**17 // max(1, 3 * batch * units)))
    return {
        "K": (features + units + 2 * bias, 3 * units),
        "x_h": (features + units + bias, steps + 1, batch),
        "net": (steps, 3 * units, batch),
        "gates": (steps, 4, units, batch),
        "U_t": (3 * units, units + bias),
        "bias_q": (units, batch),
        "state": (units, batch),
        "d_h": (steps + 1, units, batch),
        "d_x": (steps, features, batch),
        "d_net": (4 * units, steps, batch),
        "U_q_zr": (units, 3 * units),
        "slopes": (span, 3, units, batch),
        "d": (4 * units, batch),
        "step": (units, batch),
    }


def input_projection(K: Array, x_h: Array, features: int, net: Array, extra: Array | None) -> None:
    """Write ``net`` (steps, gates * units, batch): what all inputs give to the pre-activations."""
    if features == 1:
        np.multiply(K[0][:, None], x_h[0, :-1][:, None], out=net)
    elif features:
        np.matmul(K[:features].T, x_h[:features, :-1].transpose(1, 0, 2), out=net)
    if extra is not None:
        np.add(net, extra, out=net) if features else np.copyto(net, extra)


def gru_forward(
    K: Array,
    x_h: Array,
    features: int,
    net: Array,
    gates: Array,
    U_t: Array,
    bias_q: Array,
    state: Array,
    extra: Array | None = None,
    skip: Array | None = None,
) -> None:
    """Run a GRU whose reset gate acts after the recurrent product (Cho et al. 2014, as in cuDNN).

    Parameters
    ----------
    K : (features + units + 2, 3 units)
        Kernel, recurrent kernel, input bias, recurrent bias.
    x_h : (features + units + 1, steps + 1, batch)
        Inputs and initial state are read, states and the row of ones written.
    features : int
        Number of input rows of ``x_h``; with 0, ``extra`` has to be given.
    net : (steps, 3 units, batch)
        Written: the input projection.
    gates : (steps, 4, units, batch)
        Written: the candidate's recurrent part, then z, r, q after their activations. At a skipped
        step z = 1.
    U_t : (3 units, units + 1)
        Work array for the transposed recurrent weights.
    bias_q, state : (units, batch)
        Work arrays.
    extra : (steps, 3 units, batch), optional
        Added to the input projection.
    skip : (steps, 1, batch), bool, optional
        True where a sample has no such step.

    Examples
    --------
    >>> arrays = {name: np.zeros(shape) for name, shape in gru_shapes(1, 1, 1, 1).items()}
    >>> arrays["K"][2], arrays["x_h"][1, 0] = [0.0, 1.0, 0.5], 2.0
    >>> K, x_h, *rest = (arrays[k] for k in "K x_h net gates U_t bias_q state".split())
    >>> gru_forward(K, x_h, 1, *rest)
    >>> x_h[1].round(3).ravel()  # 2/2 + tanh(0.5)/2
    array([2.   , 1.231])
    """
    steps, _, units, batch = gates.shape
    two, after = 2 * units, features + units
    x_h[after:] = 1
    bias_q[...] = 0
    transpose_into(K[features:after, two:], U_t[:units, :units])
    transpose_into(K[features:after, :two], U_t[units:, :units])
    if len(K) > after:
        np.copyto(bias_q, K[after, two:, None])
        np.copyto(U_t[:units, units], K[after + 1, two:])
        np.add(K[after, :two], K[after + 1, :two], out=U_t[units:, units])
    input_projection(K, x_h, features, net, extra)
    half, read = np.array(0.5, gates.dtype), x_h[features:].transpose(1, 0, 2)
    blocks = gates.reshape(steps, 4 * units, batch)
    recurrent, both = blocks[:, : 3 * units], blocks[:, units : 3 * units]
    states = read[:, :units]
    np.copyto(state, states[0])
    lacking = skipped(skip, steps)
    rows = zip(read, net[:, :two], net[:, two:], recurrent, both, gates, states[1:], strict=False)
    for t, (read_t, net_zr, net_q, product, zr, (past, z, r, q), now) in enumerate(rows):
        np.matmul(U_t, read_t, out=product)
        np.add(zr, net_zr, out=zr)
        np.multiply(zr, half, out=zr)
        np.tanh(zr, out=zr)
        np.multiply(zr, half, out=zr)
        np.add(zr, half, out=zr)
        np.multiply(r, past, out=q)
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


def gru_slopes(gates: Array, h: Array, reset: Array, slopes: Array, after: bool) -> None:
    """Write what multiplies the gradient that reaches the new state, for several steps.

    ``slopes`` (steps, 3, units, batch): d h' / d net of z; of r (with the reset gate ``after`` the
    product; before it, d (r h) / d net of r instead); and of q. ``gates`` (steps, 3, units, batch)
    are z, r, q, ``h`` the state before each step, ``reset`` what the reset gate scales.
    """
    z, r, q = (gates[:, k] for k in range(3))
    to_z, to_r, to_q = (slopes[:, k] for k in range(3))
    np.subtract(1, z, out=to_z)
    np.multiply(q, q, out=to_q)
    np.subtract(1, to_q, out=to_q)
    np.multiply(to_q, to_z, out=to_q)
    np.multiply(to_z, z, out=to_z)
    np.subtract(h, q, out=to_r)
    np.multiply(to_z, to_r, out=to_z)
    np.multiply(r, r, out=to_r)
    np.subtract(r, to_r, out=to_r)
    np.multiply(to_r, reset, out=to_r)
    if after:
        np.multiply(to_r, to_q, out=to_r)


def gru_backward(
    K: Array,
    x_h: Array,
    features: int,
    gates: Array,
    d_h: Array,
    d_x: Array | None,
    d_net: Array,
    U_q_zr: Array,
    slopes: Array,
    d: Array,
    step: Array,
    truncate: int | None = None,
) -> None:
    """Carry the gradient of `gru_forward` back through time; skipped steps are known by z = 1.

    Parameters
    ----------
    K, x_h, features, gates
        As in the forward run; not changed.
    d_h : (steps + 1, units, batch)
        Gradient from outside on entry, whole gradient on exit.
    d_x : (steps, features, batch) or None
        Written: the gradient with respect to the inputs.
    d_net : (4 units, steps, batch)
        Written: the gradient with respect to the candidate's recurrent part and to the
        pre-activations of z, r, q. ``d_net[units:]`` is what ``extra`` gets.
    U_q_zr : (units, 3 units)
        Work array for the recurrent weights in another order.
    slopes : (span, 3, units, batch)
        Work array; derivatives are prepared for ``span`` steps at a time.
    d : (4 units, batch)
        Work array.
    step : (units, batch)
        Work array.
    truncate : int, optional
        Length of the pieces of truncated back-propagation through time.

    Examples
    --------
    >>> arrays = {name: np.zeros(shape) for name, shape in gru_shapes(1, 1, 1, 1).items()}
    >>> arrays["x_h"][1, 0], arrays["d_h"][1] = 2.0, 1.0
    >>> K, x_h, *rest = (arrays[k] for k in "K x_h net gates U_t bias_q state".split())
    >>> gru_forward(K, x_h, 1, *rest)
    >>> names = "gates d_h d_x d_net U_q_zr slopes d step".split()
    >>> gru_backward(K, x_h, 1, *[arrays[k] for k in names])
    >>> arrays["d_net"].ravel(), arrays["d_h"].ravel()  # 0.25 through r, then z, r, q
    (array([0.25, 0.5 , 0.  , 0.5 ]), array([0.5, 1. ]))
    """
    steps, _, units, batch = gates.shape
    U = K[features : features + units]
    np.copyto(U_q_zr[:, :units], U[:, 2 * units :])
    np.copyto(U_q_zr[:, units:], U[:, : 2 * units])
    before = x_h[features : features + units].transpose(1, 0, 2)[-2::-1]
    gates, d_write = gates[::-1], d_net.transpose(1, 0, 2)[::-1]
    d_past_q, d_z, d_r, d_q = d.reshape(4, units, batch)
    for begin in range(0, steps, len(slopes)):  # from the last step to the first
        part = slice(begin, min(begin + len(slopes), steps))
        ready = slopes[: part.stop - begin]
        gru_slopes(gates[part, 1:], before[part], gates[part, 0], ready, True)
        rows = zip(
            range(steps - 1 - begin, -1, -1), ready, gates[part, 1], gates[part, 2],
            d_write[part], d_h[:0:-1][part], d_h[-2::-1][part], strict=False,
        )  # fmt: skip
        for t, (to_z, to_r, to_q), z, r, write, d_now, d_past in rows:
            np.multiply(to_z, d_now, out=d_z)
            np.multiply(to_r, d_now, out=d_r)
            np.multiply(to_q, d_now, out=d_q)
            np.multiply(d_q, r, out=d_past_q)
            np.copyto(write, d)
            if d_x is not None:
                np.matmul(K[:features], d[units:], out=d_x[t])
            if not truncate or t == 0 or t % truncate:
                np.matmul(U_q_zr, d[: 3 * units], out=step)
                np.add(d_past, step, out=d_past)
                np.multiply(d_now, z, out=step)
                np.add(d_past, step, out=d_past)


def gru_weight_gradient(x_h: Array, features: int, d_net: Array, d_K: Array) -> None:
    """Write the gradient of the stacked weights, over all steps at once.

    Parameters
    ----------
    x_h : (features + units + 1, steps, batch)
        The columns that the steps read: ``x_h[:, :-1]``; for a layer that went backwards in time
        ``x_h[:, 1:]`` (with ``d_net`` not reversed).
    features : int
        Number of input rows of ``x_h``.
    d_net : (4 units, steps, batch)
        From `gru_backward`.
    d_K : (features + units + 2, 3 units)
        Written.

    Examples
    --------
    >>> d_K = np.empty((4, 3))
    >>> gru_weight_gradient(
    ...     np.array([[[5.0]], [[2.0]], [[1.0]]]), 1, np.arange(1.0, 5).reshape(4, 1, 1), d_K
    ... )
    >>> print(d_K)  # the candidate's recurrent part has 1, the gates z, r, q have 2, 3, 4
    [[10. 15. 20.]
     [ 4.  6.  2.]
     [ 2.  3.  4.]
     [ 2.  3.  1.]]
    """
    units = len(d_net) // 4
    two, after = 2 * units, features + units
    columns = d_net.reshape(4 * units, -1).T
    past, zr, inputs = columns[:, :units], columns[:, units : 3 * units], columns[:, units:]
    flat = x_h.reshape(len(x_h), -1)
    if features:
        np.matmul(flat[:features], inputs, out=d_K[:features])
    np.matmul(flat[features:after], zr, out=d_K[features:after, :two])
    np.matmul(flat[features:after], past, out=d_K[features:after, two:])
    if len(d_K) > after:
        np.matmul(flat[after], inputs, out=d_K[after])
        np.copyto(d_K[after + 1, :two], d_K[after, :two])
        np.matmul(flat[after], past, out=d_K[after + 1, two:])
