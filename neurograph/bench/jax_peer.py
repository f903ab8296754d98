"""The rows of the benchmark in JAX: one jitted call a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from neurograph.bench.rows import LEVELS, WIDTH, Row, Spec, random_edges

Array = Any
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def make(row: Row, threads: int) -> Callable[[], object]:
    """Return a function that takes one training step."""
    x, y = (jnp.asarray(each) for each in row.data())
    if row.edges:
        parameters, apply = _sparse(row.edges)
    else:
        rng = np.random.default_rng(0)
        layers = (*row.layers, ("dense", row.outputs, "sigmoid" if row.optimizer == "sgd" else ""))
        parameters, apply, _ = _path(layers, row.input_shape, rng)

    def loss(parameters: Any) -> Array:
        output = apply(parameters, x)
        if row.goal == "squares":
            return jnp.mean((output - y) ** 2)
        return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(output), -1))

    def step(parameters: Any, state: Any) -> Any:
        gradients = jax.grad(loss)(parameters)
        if row.optimizer == "sgd":
            return jax.tree.map(lambda w, g: w - 1e-4 * g, parameters, gradients), state
        state = jax.tree.map(lambda v, g: 0.9 * v + 0.1 * g * g, state, gradients)
        change = jax.tree.map(lambda g, v: g / (jnp.sqrt(v) + 1e-7), gradients, state)
        return jax.tree.map(lambda w, c: w - 1e-4 * c, parameters, change), state

    if row.forward_only:
        forward = jax.jit(apply)
        return lambda: jax.block_until_ready(forward(parameters, x))
    run = jax.jit(step, donate_argnums=(0, 1))
    held = [(parameters, jax.tree.map(jnp.zeros_like, parameters))]

    def train() -> object:
        held[0] = run(*held[0])
        return jax.block_until_ready(held[0])

    return train


def _weights(rng: np.random.Generator, *shape: int) -> Array:
    scale = np.sqrt(2.0 / max(1, int(np.prod(shape[:-1]))))
    return jnp.asarray((rng.standard_normal(shape) * scale).astype(np.float32))


def _path(layers: Spec, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Return parameters, ``apply(parameters, x)`` and the shape that comes out."""
    parts = []
    for each in layers:
        part = _layer(each, shape, rng)
        shape = part[2]
        parts.append(part)

    def apply(parameters: Any, x: Array) -> Array:
        for own, (_, run, _) in zip(parameters, parts, strict=True):
            x = run(own, x)
        return x

    return [part[0] for part in parts], apply, shape


def _layer(spec: Spec, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    kind, *sizes = spec
    if kind == "dense":
        act = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "": lambda x: x}
        own = (_weights(rng, shape[-1], sizes[0]), jnp.zeros(sizes[0]))
        return own, lambda p, x: act[sizes[1]](x @ p[0] + p[1]), (*shape[:-1], sizes[0])
    if kind in ("residual", "branches"):
        paths = [_path(path, shape, rng) for path in sizes]
        out = paths[0][2]
        if kind == "branches":
            out = (*out[:-1], sum(path[2][-1] for path in paths))

        def several(p: Any, x: Array) -> Array:
            outputs = [run(own, x) for own, (_, run, _) in zip(p, paths, strict=True)]
            return jnp.concatenate(outputs, -1) if kind == "branches" else outputs[0] + outputs[1]

        return [path[0] for path in paths], several, out
    if kind in ("rnn", "lstm", "gru"):
        return _recurrent(kind, sizes[0], sizes[1], shape, rng)
    if kind == "bilstm":
        there = _recurrent("lstm", sizes[0], True, shape, rng)
        back = _recurrent("lstm", sizes[0], True, shape, rng)

        def both(p: Any, x: Array) -> Array:
            other = back[1](p[1], x[:, ::-1])[:, ::-1]
            return jnp.concatenate([there[1](p[0], x), other], -1)

        return (there[0], back[0]), both, (shape[0], 2 * sizes[0])
    return _image_layer(kind, sizes, shape, rng)


def _image_layer(
    kind: str, sizes: list[Any], shape: tuple[int, ...], rng: np.random.Generator
) -> Any:
    if kind in ("conv", "conv+"):
        filters, size, third = sizes
        stride, pad = (third, size // 2) if kind == "conv" else (1, third)
        side = (shape[0] + 2 * pad - size) // stride + 1
        own = (_weights(rng, size, size, shape[2], filters), jnp.zeros(filters))

        def conv(p: Any, x: Array) -> Array:
            around = [(pad, pad)] * 2
            y = lax.conv_general_dilated(x, p[0], (stride,) * 2, around,
                                         dimension_numbers=DIMENSIONS)  # fmt: skip
            return y if kind == "conv" else jax.nn.relu(y + p[1])

        return own, conv, (side, side, filters)
    if kind == "maxpool":
        size, stride = sizes
        padding = "SAME" if stride == 1 else "VALID"

        def pool(p: Any, x: Array) -> Array:
            window = (1, size, size, 1)
            return lax.reduce_window(x, -jnp.inf, lax.max, window, (1, stride, stride, 1), padding)

        return (), pool, (shape[0] // stride, shape[1] // stride, shape[2])
    if kind == "norm":

        def norm(p: Any, x: Array) -> Array:
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            return (x - mean) * lax.rsqrt(variance + 1e-3) * p[0] + p[1]

        return (jnp.ones(shape[2]), jnp.zeros(shape[2])), norm, shape
    if kind == "relu":
        return (), lambda p, x: jax.nn.relu(x), shape
    if kind == "meanpool":
        return (), lambda p, x: x.mean((1, 2)), (shape[2],)
    return (), lambda p, x: x.reshape(len(x), -1), (int(np.prod(shape)),)


def _recurrent(
    kind: str, units: int, every_step: bool, shape: tuple[int, ...], rng: np.random.Generator
) -> Any:
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[kind]
    own = (_weights(rng, shape[1], gates * units), _weights(rng, units, gates * units),
           jnp.zeros(gates * units))  # fmt: skip

    def apply(p: Any, x: Array) -> Array:
        given = jnp.swapaxes(x, 0, 1) @ p[0] + p[2]
        zero = jnp.zeros((len(x), units))

        def cell(carry: Any, step: Array) -> Any:
            h, c = carry
            net = h @ p[1]
            if kind == "rnn":
                h = jnp.tanh(step + net)
            elif kind == "lstm":
                i, f, g, o = jnp.split(step + net, 4, -1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                h = jax.nn.sigmoid(o) * jnp.tanh(c)
            else:
                (sz, sr, sh), (nz, nr, nh) = jnp.split(step, 3, -1), jnp.split(net, 3, -1)
                z, r = jax.nn.sigmoid(sz + nz), jax.nn.sigmoid(sr + nr)
                h = z * h + (1 - z) * jnp.tanh(sh + r * nh)
            return (h, c), h

        (last, _), steps = lax.scan(cell, (zero, zero), given)
        return jnp.swapaxes(steps, 0, 1) if every_step else last

    return own, apply, (shape[0], units) if every_step else (units,)


def _sparse(count: int) -> Any:
    """Return weights and the forward pass of the random graph: rows gathered, weighted, summed."""
    edges = random_edges(count)
    places = []
    weights = []
    for level in range(1, LEVELS + 1):
        part = edges.into_level(level)
        places.append((edges.up[part], edges.down[part] - level * WIDTH))
        weights.append(jnp.asarray(edges.weight[part]))

    def apply(parameters: Any, x: Array) -> Array:
        values = x.T
        for own, (up, down) in zip(parameters, places, strict=True):
            arriving = values[up] * own[:, None]
            net = jax.ops.segment_sum(arriving, down, WIDTH, indices_are_sorted=True)
            values = jnp.concatenate([values, jnp.tanh(net)])
        return values[-WIDTH:].T

    return weights, apply
