"""The kernels of prediction in plain NumPy, short and slow: what exported scripts carry along.

Each has the name and the arguments of the kernel that the compiled text calls.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class Geometry2D:
    """Where the windows of a convolution or pooling lie."""

    def __init__(self, **sizes: Any) -> None:
        self.__dict__.update(sizes)


class Workspace:
    """What a kernel of the original keeps between calls; here only its options."""

    def __init__(self, *given: Any, **options: Any) -> None:
        self.given, self.options = given, options


ConvolutionWorkspace = PoolingWorkspace = BatchNormWorkspace = LayerNormWorkspace = Workspace


def windows(x: Any, g: Any, fill: float) -> Any:
    """Return the windows of images, (images, rows, columns, channels, kernel rows and columns)."""
    top, bottom, left, right = g.padding
    x = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    extent = [(size - 1) * step + 1 for size, step in zip(g.kernel, g.dilation)]  # noqa: B905
    seen = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(1, 2))
    down, across = g.strides
    return seen[:, ::down, ::across, :, :: g.dilation[0], :: g.dilation[1]]


def convolve(x: Any, kernel: Any, out: Any, workspace: Any) -> None:
    """Set ``out`` to the convolution of images with a kernel (rows, columns, channels, filters)."""
    g = workspace.given[0]
    seen = windows(x, g, 0.0)
    depth, filters = kernel.shape[2], kernel.shape[3] // g.groups
    for k in range(g.groups):
        part = seen[:, :, :, k * depth : (k + 1) * depth]
        own = kernel[..., k * filters : (k + 1) * filters]
        place = slice(k * filters, (k + 1) * filters)
        out[..., place] = np.tensordot(part, own, ((4, 5, 3), (0, 1, 2)))


def max_pool(x: Any, out: Any, workspace: Any) -> None:
    """Set ``out`` to the largest of every window."""
    out[...] = windows(x, workspace.given[0], -np.inf).max(axis=(4, 5))


def average_pool(x: Any, out: Any, workspace: Any) -> None:
    """Set ``out`` to the mean of the cells of every window that exist."""
    out[...] = np.nanmean(windows(x, workspace.given[0], np.nan), axis=(4, 5))


def batch_norm_inference(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    variance: Any,
    out: Any,
    workspace: Any,
    relu: bool = False,
) -> None:
    """Normalise by the moving statistics."""
    scale = 1.0 / np.sqrt(variance + workspace.options["epsilon"])
    scale = scale if gamma is None else scale * gamma
    out[...] = (x - mean) * scale + (0.0 if beta is None else beta)
    if relu:
        np.maximum(out, 0, out=out)


def layer_norm(x: Any, gamma: Any, beta: Any, out: Any, workspace: Any) -> None:
    """Normalise every sample by its own mean and variance over some axes."""
    axes = workspace.options["axes"]
    shape = [x.shape[k] if k in axes else 1 for k in range(axes[0], 0)]
    difference = x - x.mean(axis=axes, keepdims=True)
    variance = (difference**2).mean(axis=axes, keepdims=True)
    normal = difference / np.sqrt(variance + workspace.options["epsilon"])
    scale = 1.0 if gamma is None else gamma.reshape(shape)
    out[...] = normal * scale + (0.0 if beta is None else beta.reshape(shape))


def csr_matvecs(
    rows: int, columns: int, vectors: int, indptr: Any, indices: Any, data: Any, x: Any, y: Any
) -> None:
    """Add a sparse matrix in compressed rows times x to y."""
    x, y = x.reshape(columns, vectors), y.reshape(rows, vectors)
    np.add.at(y, np.repeat(np.arange(rows), np.diff(indptr)), data[:, None] * x[indices])


class Cell:
    """A recurrent layer; ``cell_forward`` runs it."""

    def __init__(self, kind: str, *sizes: Any, **options: Any) -> None:
        self.kind, self.sizes, self.options = kind, sizes, options
        self.memory: Any = None


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x))."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def cell_forward(
    cell: Cell, K: Any, x: Any, h: Any, h_first: Any = None, c_first: Any = None, mask: Any = None
) -> None:
    """Run a recurrent layer: x (steps, batch, features) to h (steps, batch, units)."""
    features, n = x.shape[2], h.shape[2]
    W, U = K[:features], K[features : features + n]
    bias = K[features + n :].reshape(-1, K.shape[1])
    state = np.zeros_like(h[0]) if h_first is None else h_first
    memory = np.zeros_like(h[0]) if c_first is None else c_first
    plain: dict[str, Any] = {
        "tanh": np.tanh,
        "relu": lambda a: np.maximum(a, 0),
        "sigmoid": sigmoid,
    }
    activate = plain.get(cell.options["activation"], lambda a: a)
    steps = range(len(x))
    for t in reversed(steps) if cell.options["backward"] else steps:
        net = x[t] @ W + (bias[0] if len(bias) else 0.0)
        before = state, memory
        if cell.kind == "simple":
            state = activate(net + state @ U)
        elif cell.kind == "lstm":
            i, f, g, o = np.split(net + state @ U, 4, axis=1)
            memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
            state = sigmoid(o) * np.tanh(memory)
        else:
            past = state @ U + (bias[1] if len(bias) > 1 else 0.0)
            z, r = np.split(sigmoid(net[:, : 2 * n] + past[:, : 2 * n]), 2, axis=1)
            own = slice(2 * n, None)
            inner = r * past[:, own] if cell.kind == "gru" else (r * state) @ U[:, own]
            state = z * state + (1.0 - z) * np.tanh(net[:, own] + inner)
        if mask is not None:  # where a sample has no such step all stays as it is
            state, memory = np.where(mask[t], (state, memory), before)
        h[t] = state
    cell.memory = memory


def last_memory(cell: Cell, c: Any) -> None:
    """Write the memory of an LSTM after its last step."""
    c[...] = cell.memory


def erf(x: Any, out: Any) -> None:
    """Set ``out`` to the error function."""
    out[...] = np.vectorize(math.erf)(x)
