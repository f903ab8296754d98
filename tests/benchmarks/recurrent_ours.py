"""The contenders of ``recurrent_kernels``: training steps written by hand on the bare kernels."""

from __future__ import annotations

import numpy as np

from neurograph.kernels import recurrent as rnn
from neurograph.kernels.recurrent_gru import (
    gru_backward,
    gru_forward,
    gru_shapes,
    gru_weight_gradient,
)
from neurograph.kernels.recurrent_lstm import lstm_backward, lstm_forward, lstm_shapes

KERNELS = {
    "lstm": (
        (lstm_shapes, lstm_forward, "gates parts K_t step slopes"),
        (lstm_backward, "slopes d_h d_c d_x d_net d d_x_h step"),
    ),
    "gru": (
        (gru_shapes, gru_forward, "net gates U_t bias_q state"),
        (gru_backward, "gates d_h d_x d_net U_q_zr slopes d step"),
    ),
    "rnn": ((rnn.simple_rnn_shapes, None, ""), (None, "")),
}
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
TIME_AXIS = {"x_h": 1, "d_net": 1, "d_h": 0}


class Values:
    """All parameters in one vector, all gradients in another, and RMSprop block by block."""

    def __init__(self, *shapes):
        rng = np.random.default_rng(0)
        ends = np.cumsum([0] + [int(np.prod(shape)) for shape in shapes])
        self.value = (rng.standard_normal(ends[-1]) * 0.05).astype(np.float32)
        self.gradient, self.square = np.zeros_like(self.value), np.zeros_like(self.value)
        self.work = np.empty(2**14, np.float32)
        cut = list(zip(ends[:-1], ends[1:], shapes, strict=True))
        self.arrays = [self.value[a:b].reshape(s) for a, b, s in cut]
        self.gradients = [self.gradient[a:b].reshape(s) for a, b, s in cut]

    def update(self, rate=1e-4, rho=0.9):
        for start in range(0, len(self.value), 2**14):
            some = slice(start, start + 2**14)
            w, g, v = self.value[some], self.gradient[some], self.square[some]
            work = self.work[: len(w)]
            np.multiply(g, g, out=work)
            work *= 1 - rho
            v *= rho
            v += work
            np.sqrt(v, out=work)
            work += 1e-7
            np.divide(g, work, out=work)
            work *= rate
            w -= work


class Recurrent:
    """One recurrent layer with its arrays."""

    def __init__(self, kind, steps, batch, features, units, K, d_K, backwards=False):
        self.kind, self.features, self.d_K = kind, features, d_K
        (shapes_of, *_), _ = KERNELS[kind]
        shapes = shapes_of(steps, batch, features, units)
        memory = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        self.a = {
            k: np.flip(v, TIME_AXIS[k]) if backwards and k in TIME_AXIS else v
            for k, v in memory.items()
        }
        self.a["K"], self.a["d_x"] = K, None
        states = memory["x_h"][features : features + units]
        self.out = states[:, :-1] if backwards else states[:, 1:]
        self.d_out = memory["d_h"][:-1] if backwards else memory["d_h"][1:]
        self.read = memory["x_h"][:, 1:] if backwards else memory["x_h"][:, :-1]
        self.x, self.d_net = self.read[:features], memory["d_net"]

    def forward(self):
        a = self.a
        if self.kind == "rnn":
            rnn.simple_rnn_forward(
                a["K"], a["x_h"], self.features, a["net"], a["output"], rnn.tanh, a["K_t"]
            )
        else:
            (_, forward, names), _ = KERNELS[self.kind]
            forward(a["K"], a["x_h"], self.features, *[a[name] for name in names.split()])

    def backward(self):
        a = self.a
        if self.kind == "rnn":
            rnn.simple_rnn_backward(
                a["K"], self.features, a["net"], a["output"], rnn.tanh_slope, a["d_h"],
                a["d_x"], a["d_net"], a["slopes"], a["d_x_h"],
            )  # fmt: skip
        else:
            _, (backward, names) = KERNELS[self.kind]
            first = (a["K"], a["x_h"]) if self.kind == "gru" else (a["K"],)
            if self.kind == "lstm":
                a["d_c"][...] = 0
            backward(*first, self.features, *[a[name] for name in names.split()])
        if self.kind == "gru":
            gru_weight_gradient(self.read, self.features, self.d_net, self.d_K)
        else:
            rnn.weight_gradient(self.read, self.d_net, self.d_K)


def stacked(kind, features, units):
    return (features + units + (2 if kind == "gru" else 1), GATES[kind] * units)


def make_stack(kind, steps=60, batch=64, units=(80, 100)):
    """Two recurrent layers and one output at the last step; squared error."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, steps, 1)).astype(np.float32)
    y = rng.standard_normal((batch, 1)).astype(np.float32)
    one, two = units
    values = Values(stacked(kind, 1, one), stacked(kind, one, two), (two, 1), (1,))
    first = Recurrent(kind, steps, batch, 1, one, values.arrays[0], values.gradients[0])
    second = Recurrent(kind, steps, batch, one, two, values.arrays[1], values.gradients[1])
    second.a["d_x"] = first.d_out
    V, b = values.arrays[2:]
    d_V, d_b = values.gradients[2:]
    output = np.empty((batch, 1), np.float32)

    def step():
        first.x[...] = x.transpose(2, 1, 0)
        first.forward()
        second.x[...] = first.out
        second.forward()
        last = second.out[:, -1].T
        np.matmul(last, V, out=output)
        np.add(output, b, out=output)
        np.subtract(output, y, out=output)
        np.multiply(output, np.float32(2 / batch), out=output)
        np.matmul(last.T, output, out=d_V)
        np.sum(output, axis=0, out=d_b)
        second.d_out[...] = 0
        np.matmul(V, output.T, out=second.d_out[-1])
        first.a["d_h"][0] = 0
        second.backward()
        first.backward()
        values.update()

    return step


def make_tagger(features, units, classes, steps, batch, both, one_hot):
    """One LSTM, maybe in both directions, and a softmax at every step."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, steps, features)).astype(np.float32)
    if one_hot:
        x = np.eye(features, dtype=np.float32)[rng.integers(features, size=(batch, steps))]
    target = np.eye(classes, dtype=np.float32)[rng.integers(classes, size=steps * batch)].T
    n = 1 + both
    values = Values(*[stacked("lstm", features, units)] * n, *[(units, classes)] * n, (classes,))
    layers = [
        Recurrent("lstm", steps, batch, features, units, *pair, backwards=k > 0)
        for k, pair in enumerate(zip(values.arrays[:n], values.gradients[:n], strict=True))
    ]
    out = list(zip(layers, values.arrays[n:-1], values.gradients[n:-1], strict=True))
    b, d_b = values.arrays[-1], values.gradients[-1]
    score, part = (np.empty((classes, steps * batch), np.float32) for _ in range(2))
    row, ones = np.empty(steps * batch, np.float32), np.ones(steps * batch, np.float32)
    by_step = score.reshape(classes, steps, batch).transpose(1, 0, 2)

    def flat(layer):
        return layer.out.reshape(units, steps, batch)

    def step():
        layers[0].x[...] = x.transpose(2, 1, 0)
        for layer in layers[1:]:
            layer.x[...] = layers[0].x
        for layer in layers:
            layer.forward()
        for k, (layer, V, _) in enumerate(out):
            np.matmul(V.T, layer.out.reshape(units, -1), out=part if k else score)
            if k:
                np.add(score, part, out=score)
        np.add(score, b[:, None], out=score)
        np.max(score, axis=0, out=row)
        np.subtract(score, row, out=score)
        np.exp(score, out=score)
        np.sum(score, axis=0, out=row)
        np.divide(score, row, out=score)
        np.subtract(score, target, out=score)
        np.multiply(score, np.float32(1 / len(row)), out=score)
        np.matmul(score, ones, out=d_b)
        for layer, V, d_V in out:
            np.matmul(layer.out.reshape(units, -1), score.T, out=d_V)
            np.matmul(V, by_step, out=layer.d_out)
            layer.backward()
        values.update()

    return step


def make(row):
    """Return a function that does one training step."""
    if row == "trees":
        from recurrent_ours_trees import make_trees

        return make_trees()
    if row == "char":
        return make_tagger(64, 256, 64, 64, 32, False, True)
    if row == "bidirectional":
        return make_tagger(40, 128, 10, 50, 32, True, False)
    return make_stack(row)
