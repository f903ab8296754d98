"""Recurrent cells with their work arrays: what the compiled text calls.

Arrays of the network are (time, batch, nodes); the kernels keep the batch last, so inputs and
states are turned on the way in and out, once for all steps. A cell keeps what its forward run
leaves for its backward run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.kernels import recurrent as rnn
from neurograph.kernels import recurrent_gru as gru
from neurograph.kernels import recurrent_gru_before as gru_before
from neurograph.kernels import recurrent_lstm as lstm

Array = NDArray[Any]
_SHAPES = {
    "simple": rnn.simple_rnn_shapes,
    "lstm": lstm.lstm_shapes,
    "gru": gru.gru_shapes,
    "gru_before": gru_before.gru_before_shapes,
}


class Cell:
    """One recurrent layer for one batch size and number of steps.

    Parameters
    ----------
    kind : {"simple", "lstm", "gru", "gru_before"}
        ``gru`` resets after the recurrent product, ``gru_before`` before it.
    steps, batch, features, units : int
    dtype : str
    bias : bool
        Whether the weights end with a row (``gru``: two) of biases.
    backward : bool
        Whether it runs from the last step to the first.
    activation : str
        Of the simple cell.
    masked : bool
        Whether some samples lack some steps.
    truncate : int or None
        Length of the pieces of truncated back-propagation through time.
    gradient : bool
        Whether it runs back too.
    """

    def __init__(
        self,
        kind: str,
        steps: int,
        batch: int,
        features: int,
        units: int,
        dtype: str,
        *,
        bias: bool = True,
        backward: bool = False,
        activation: str = "tanh",
        masked: bool = False,
        truncate: int | None = None,
        gradient: bool = True,
    ) -> None:
        self.kind, self.features, self.units = kind, features, units
        self.truncate, self.gradient = truncate, gradient
        self.skip = np.zeros((steps, 1, batch), bool) if masked else None
        self.activate, self.slope = rnn.ACTIVATIONS[activation]
        shapes = _SHAPES[kind](steps, batch, features, units, bias)
        self.work = {name: np.zeros(shape, dtype) for name, shape in shapes.items() if name != "K"}
        self.turn = slice(None, None, -1 if backward else None)
        after = features + units
        self.x = (
            self.work["x_h"][:features, :-1] if not backward else self.work["x_h"][:features, 1:]
        )
        h = self.work["x_h"][features:after]
        self.h = h[:, :-1] if backward else h[:, 1:]
        self.h_first = h[:, -1] if backward else h[:, 0]
        self.read = self.work["x_h"][:, 1:] if backward else self.work["x_h"][:, :-1]
        self.d_out = self.work["d_h"][:-1] if backward else self.work["d_h"][1:]
        self.d_first = self.work["d_h"][-1] if backward else self.work["d_h"][0]

    def _timed(self, *names: str) -> list[Array]:
        """Return work arrays in the order of processing."""
        axis = {"x_h": 1, "d_net": 1, "reset_h": 1}
        found = []
        for name in names:
            array = self.work[name]
            index = (slice(None),) * axis.get(name, 0) + (self.turn,)
            found.append(array[index] if name in _TIMED else array)
        return found


_TIMED = {"x_h", "d_net", "d_h", "d_x"}


def cell_forward(
    cell: Cell,
    K: Array,
    x: Array,
    h: Array,
    h_first: Array | None = None,
    c_first: Array | None = None,
    mask: Array | None = None,
) -> None:
    """Run a cell over all steps.

    Parameters
    ----------
    K : (features + units + biases, gates * units)
        Kernel, recurrent kernel and bias, one below the other.
    x : (steps, batch, features)
    h : (steps, batch, units)
        Written: the state after each step.
    h_first, c_first : (batch, units) or None
        The state before the first step processed; 0 if None.
    mask : (steps, batch, 1), of a masked cell
        0 where a sample has no such step: its state stays as it is.
    """
    work = cell.work
    np.copyto(cell.x, x.transpose(2, 0, 1))
    cell.h_first[...] = 0 if h_first is None else h_first.T
    if cell.skip is not None and mask is not None:
        np.equal(mask.transpose(0, 2, 1), 0, out=cell.skip)
    skip = None if cell.skip is None else cell.skip[cell.turn]
    (x_h,) = cell._timed("x_h")
    if cell.kind == "simple":
        rnn.simple_rnn_forward(
            K, x_h, cell.features, work["net"], work["output"], cell.activate, work["K_t"],
            skip=skip,
        )  # fmt: skip
    elif cell.kind == "lstm":
        work["gates"][4] = 0 if c_first is None else c_first.T
        names: tuple[str, ...] = ("gates", "parts", "K_t", "step")
        own = {name: work[name] for name in names}
        slopes = work["slopes"] if cell.gradient else None
        lstm.lstm_forward(K, x_h, cell.features, **own, slopes=slopes, skip=skip)
    elif cell.kind == "gru":
        own = {name: work[name] for name in ("net", "gates", "U_t", "bias_q", "state")}
        gru.gru_forward(K, x_h, cell.features, **own, skip=skip)
    else:
        names = ("net", "gates", "reset_h", "U_zr_t", "U_q_t", "bias_q", "state", "step")
        own = {name: work[name] for name in names}
        gru_before.gru_before_forward(K, x_h, cell.features, **own, skip=skip)
    np.copyto(h, cell.h.transpose(1, 2, 0))


def last_memory(cell: Cell, c: Array) -> None:
    """Write the memory of an LSTM after the last step processed, (batch, units)."""
    np.copyto(c, cell.work["gates"][4].T)


def cell_backward(
    cell: Cell,
    K: Array,
    d_h: Array,
    d_K: Array | None,
    d_x: Array | None,
    *,
    add: bool = False,
    d_h_first: Array | None = None,
    d_c_first: Array | None = None,
    d_c_last: Array | None = None,
) -> None:
    """Carry the gradient of ``cell_forward`` back.

    Parameters
    ----------
    K : array
        As in the forward run.
    d_h : (steps, batch, units)
        The gradient that reaches each state from outside.
    d_K : like K, or None
        Written.
    d_x : (steps, batch, features) or None
        Written, or added to if ``add``.
    d_h_first, d_c_first : (batch, units) or None
        Added to: the gradients of the initial states.
    d_c_last : (batch, units) or None
        The gradient that reaches the memory after the last step from outside.
    """
    work = cell.work
    np.copyto(cell.d_out, d_h.transpose(0, 2, 1))
    cell.d_first[...] = 0
    d_state, d_net = cell._timed("d_h", "d_net")
    turned_x = cell._timed("d_x")[0] if d_x is not None else None
    x_h = cell._timed("x_h")[0]
    skip = None if cell.skip is None else cell.skip[cell.turn]
    if cell.kind == "simple":
        rnn.simple_rnn_backward(
            K, cell.features, work["net"], work["output"], cell.slope, d_state, turned_x, d_net,
            work["slopes"], work["d_x_h"], skip=skip, truncate=cell.truncate,
        )  # fmt: skip
    elif cell.kind == "lstm":
        work["d_c"][...] = 0 if d_c_last is None else d_c_last.T
        names: tuple[str, ...] = ("d", "d_x_h", "step")
        lstm.lstm_backward(
            K, cell.features, work["slopes"], d_state, work["d_c"], turned_x, d_net,
            **{name: work[name] for name in names}, skip=skip, truncate=cell.truncate,
        )  # fmt: skip
    elif cell.kind == "gru":
        names = ("U_q_zr", "slopes", "d", "step")
        gru.gru_backward(
            K, x_h, cell.features, work["gates"], d_state, turned_x, d_net,
            **{name: work[name] for name in names}, truncate=cell.truncate,
        )  # fmt: skip
    else:
        names = ("slopes", "d", "state", "step")
        gru_before.gru_before_backward(
            K, x_h, cell.features, work["gates"], d_state, turned_x, d_net,
            **{name: work[name] for name in names}, truncate=cell.truncate,
        )  # fmt: skip
    if d_K is not None:
        _weights(cell, d_K)
    if d_x is not None:
        turned = work["d_x"].transpose(0, 2, 1)
        np.add(d_x, turned, out=d_x) if add else np.copyto(d_x, turned)
    if d_h_first is not None:
        np.add(d_h_first, cell.d_first.T, out=d_h_first)
    if d_c_first is not None:
        np.add(d_c_first, work["d_c"].T, out=d_c_first)


def _weights(cell: Cell, d_K: Array) -> None:
    """Write the gradient of the weights, all steps in one product."""
    work = cell.work
    if cell.kind == "gru":
        gru.gru_weight_gradient(cell.read, cell.features, work["d_net"], d_K)
    elif cell.kind == "gru_before":
        reset_h = work["reset_h"][:, cell.turn]
        gru_before.gru_before_weight_gradient(cell.read, cell.features, reset_h, work["d_net"], d_K)
    else:
        rnn.weight_gradient(cell.read, work["d_net"], d_K)
