"""Normalisation kernels against their formulas, against PyTorch, and against bad numbers."""

from __future__ import annotations

import numpy as np
import pytest
from memory import taken

from neurograph.errors import ShapeError
from neurograph.kernels import layer_normalization, normalization
from neurograph.kernels.layer_normalization import (
    LayerNormWorkspace,
    layer_norm,
    layer_norm_gradient,
)
from neurograph.kernels.normalization import (
    BatchNormWorkspace,
    batch_norm,
    batch_norm_gradient,
    batch_norm_inference,
)
from neurograph.kernels.team import Team

# name: shape of a sample, batch
CASES = {
    "image": ((6, 4, 5), 3),
    "image of odd sides": ((7, 5, 3), 5),
    "vector": ((7,), 9),
    "sequence": ((11, 4), 2),
    "one channel": ((8, 8, 1), 3),
    "many channels": ((2, 3, 1500), 2),
    "batch of 1": ((5, 7, 6), 1),
    "two samples": ((3,), 2),
}


def arrays(shape, batch, dtype="float64"):
    rng = np.random.default_rng(2)
    x = 3 + 2 * rng.standard_normal((batch, *shape))
    d_out = rng.standard_normal(x.shape)
    gamma, beta = rng.standard_normal((2, shape[-1]))
    return [each.astype(dtype) for each in (x, gamma, beta, d_out)]


def run(x, gamma, beta, d_out, relu=False, accumulate=False, team=None, batch=None):
    """Two training steps; the second finds used scratch memory."""
    workspace = BatchNormWorkspace(x.shape[1:], batch or len(x), x.dtype, team)
    for _ in range(2):
        out, d_x = np.empty_like(x), np.ones_like(x)
        d_gamma, d_beta = np.full((2, x.shape[-1]), float(accumulate), x.dtype)
        batch_norm(x, gamma, beta, out, workspace, relu)
        deltas, cut = d_out.copy(), out if relu else None
        batch_norm_gradient(x, gamma, cut, deltas, d_gamma, d_beta, d_x, workspace, accumulate)
    return out, d_gamma, d_beta, d_x, workspace.mean, workspace.inverse


def peer(x, gamma, beta, d_out, relu=False):
    torch = pytest.importorskip("torch")
    channels = x.shape[-1]
    inputs, scale, shift = (torch.tensor(each, requires_grad=True) for each in (x, gamma, beta))
    out = torch.nn.functional.batch_norm(
        inputs.reshape(-1, channels), None, None, scale, shift, training=True, eps=1e-3
    )
    if relu:
        out = torch.relu(out)
    out = out.reshape(x.shape)
    out.backward(torch.tensor(d_out))
    gradients = scale.grad.numpy(), shift.grad.numpy(), inputs.grad.numpy()
    axes = tuple(range(x.ndim - 1))
    inverse = 1 / np.sqrt(x.var(axes) + 1e-3)
    return out.detach().numpy(), *gradients, x.mean(axes), inverse


@pytest.mark.parametrize("relu", [False, True], ids=["linear", "relu"])
@pytest.mark.parametrize("name", CASES)
def test_batch_norm_is_that_of_pytorch_and_leaves_its_statistics(name, relu):
    data = arrays(*CASES[name])
    for found, right in zip(run(*data, relu), peer(*data, relu), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["image", "vector"])
def test_batch_norm_adds_gradients_when_asked(name):
    data = arrays(*CASES[name])
    plain, added = run(*data), run(*data, accumulate=True)
    for found, right in zip(added[1:4], plain[1:4], strict=True):
        np.testing.assert_allclose(found, 1 + right, rtol=0, atol=1e-12)


def test_batch_norm_without_scale_and_shift():
    x, _, _, d_out = arrays(*CASES["image"])
    ones, zeros = np.ones(5), np.zeros(5)
    for found, right in zip(run(x, None, None, d_out), run(x, ones, zeros, d_out), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-14)


def test_batch_norm_in_place_and_without_some_gradients():
    x, gamma, beta, d_out = arrays(*CASES["image"])
    right = run(x, gamma, beta, d_out)
    workspace = BatchNormWorkspace(x.shape[1:], 3, "float64")
    out = x.copy()
    batch_norm(out, gamma, beta, out, workspace)
    np.testing.assert_array_equal(out, right[0])
    d_beta = np.zeros(5)
    batch_norm_gradient(x, gamma, None, d_out, None, d_beta, None, workspace)
    np.testing.assert_array_equal(d_beta, right[2])
    batch_norm_gradient(x, gamma, None, d_out, None, None, d_out, workspace)
    np.testing.assert_array_equal(d_out, right[3])


def test_a_smaller_last_batch():
    x, gamma, beta, d_out = arrays(*CASES["image of odd sides"])
    small = x[:2], gamma, beta, d_out[:2]
    for found, right in zip(run(*small, batch=5), run(*small), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["image", "vector", "batch of 1", "two samples"])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_more_than_rounding_and_repeat_bit_for_bit(name, threads, monkeypatch):
    pytest.importorskip("threadpoolctl")
    monkeypatch.setattr(normalization, "WORTH", 0)
    data, team = arrays(*CASES[name]), Team(threads)
    alone, together = run(*data, relu=True), run(*data, relu=True, team=team)
    again = run(*data, relu=True, team=team)
    for found, right, repeated in zip(together, alone, again, strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(found, repeated)


@pytest.mark.parametrize("team", [1, 2])
def test_statistics_lose_no_digits_far_from_zero(team, monkeypatch):
    """Single precision: a thousand deviations from zero, and not the same at the batch's ends."""
    monkeypatch.setattr(normalization, "WORTH", 0)
    if team > 1:
        pytest.importorskip("threadpoolctl")
    rng = np.random.default_rng(3)
    x = (1000 + rng.standard_normal((64, 32, 32, 8))).astype("float32")
    x[40:] += 5
    workspace = BatchNormWorkspace((32, 32, 8), 64, "float32", Team(team))
    batch_norm(x, None, None, np.empty_like(x), workspace)
    double = x.astype(float)
    mean, variance = double.mean((0, 1, 2)), double.var((0, 1, 2))
    assert workspace.team.threads == team
    np.testing.assert_allclose(workspace.mean, mean, rtol=1e-7)
    np.testing.assert_allclose(workspace.inverse, 1 / np.sqrt(variance + 1e-3), rtol=1e-5)


def test_a_small_batch_wakes_no_other_thread():
    pytest.importorskip("threadpoolctl")
    team = Team(2)
    small, large = (BatchNormWorkspace((64, 64, 16), n, "float32", team) for n in (16, 64))
    assert (small.team.threads, large.team.threads) == (1, 2)
    assert small.team.scratch[0] is team.scratch[0]


def test_inference_goes_by_the_given_statistics():
    x, gamma, beta, _ = arrays((4, 3, 6), 5)
    rng = np.random.default_rng(4)
    kernel, bias = rng.standard_normal((6, 7)), rng.standard_normal(7)
    gamma, beta, mean = rng.standard_normal((3, 7))
    variance = rng.uniform(0.5, 2, 7)
    right = np.maximum(gamma * (x @ kernel + bias - mean) / np.sqrt(variance + 1e-3) + beta, 0)
    workspace = BatchNormWorkspace((4, 3, 7), 5, "float64")
    out = x @ kernel + bias
    batch_norm_inference(out, gamma, beta, mean, variance, out, workspace, relu=True)
    np.testing.assert_allclose(out, right, rtol=0, atol=1e-12)


LAYER_CASES = {  # shape of a sample, batch, axes
    **{name: (*case, (-1,)) for name, case in CASES.items()},
    "all axes": ((6, 4, 5), 3, (-3, -2, -1)),
    "last two": ((3, 5, 2), 4, (-2, -1)),
    "columns": ((3, 5, 2), 4, (-2,)),
    "first and last": ((3, 5, 2), 4, (-3, -1)),
    "long lines": ((2, 3000), 3, (-1,)),
}


def layer_arrays(shape, batch, axes, dtype="float64"):
    x, *_, d_out = arrays(shape, batch)
    gamma, beta = np.random.default_rng(5).standard_normal((2, *(shape[axis] for axis in axes)))
    return [each.astype(dtype) for each in (x, gamma, beta, d_out)]


def run_layer(x, gamma, beta, d_out, axes, accumulate=False, team=None, batch=None):
    """Two training steps; the second finds used scratch memory."""
    workspace = LayerNormWorkspace(x.shape[1:], batch or len(x), x.dtype, team, axes)
    sizes = [x.shape[axis] for axis in axes]
    for _ in range(2):
        out, d_x = np.empty_like(x), np.full_like(x, 1 if accumulate else np.nan)
        d_gamma, d_beta = np.ones((2, *sizes), x.dtype)
        layer_norm(x, gamma, beta, out, workspace)
        layer_norm_gradient(x, gamma, d_out, d_gamma, d_beta, d_x, workspace, accumulate)
    return out, d_gamma, d_beta, d_x


@pytest.mark.parametrize("block", [layer_normalization.NUMBERS, 20])
@pytest.mark.parametrize("name", LAYER_CASES)
def test_layer_norm_is_that_of_pytorch(name, block, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(layer_normalization, "NUMBERS", block)
    axes = LAYER_CASES[name][2]
    x, gamma, beta, d_out = layer_arrays(*LAYER_CASES[name])
    inputs, scale, shift = (torch.tensor(each, requires_grad=True) for each in (x, gamma, beta))
    back = [axis for axis in range(-x.ndim, 0) if axis not in axes] + list(axes)
    moved = inputs.permute([axis + x.ndim for axis in back])
    out = torch.nn.functional.layer_norm(moved, gamma.shape, scale, shift, eps=1e-3)
    out = out.permute(np.argsort(back).tolist())
    out.backward(torch.tensor(d_out))
    right = [each.numpy() for each in (out.detach(), scale.grad, shift.grad, inputs.grad)]
    plain, added = (run_layer(x, gamma, beta, d_out, axes, accumulate=a) for a in (False, True))
    for more, found, expected in zip((0, 1, 1, 0), plain, right, strict=True):
        np.testing.assert_allclose(found, more + expected, rtol=0, atol=1e-10)
    for more, found, expected in zip((0, 1, 1, 1), added, right, strict=True):
        np.testing.assert_allclose(found, more + expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["image", "vector", "two samples", "batch of 1", "columns"])
def test_threads_share_layer_norm_and_repeat_bit_for_bit(name, monkeypatch):
    pytest.importorskip("threadpoolctl")
    monkeypatch.setattr(layer_normalization, "WORTH", 0)
    *case, axes = LAYER_CASES[name]
    data, team = (*layer_arrays(*case, axes), axes), Team(2)
    alone, together, again = (run_layer(*data, team=each) for each in (None, team, team))
    for found, right, repeated in zip(together, alone, again, strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(found, repeated)


@pytest.mark.parametrize("name", ["sequence", "first and last"])
def test_layer_norm_without_scale_and_shift_in_place_and_with_a_smaller_batch(name):
    *case, axes = LAYER_CASES[name]
    x, gamma, _, d_out = layer_arrays(*case, axes)
    plain = run_layer(x, None, None, d_out, axes)
    ones = run_layer(x, np.ones_like(gamma), np.zeros_like(gamma), d_out, axes, batch=9)
    for found, right in zip(plain, ones, strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-14)
    workspace = LayerNormWorkspace(x.shape[1:], len(x), x.dtype, axes=axes)
    layer_norm_gradient(x, None, d_out, None, None, d_out, workspace)
    np.testing.assert_array_equal(d_out, plain[3])
    layer_norm(x, None, None, x, workspace)
    np.testing.assert_array_equal(x, plain[0])


def test_layer_norm_loses_no_digits_far_from_zero():
    """In single precision, a thousand deviations from zero."""
    rng = np.random.default_rng(3)
    x = (1000 + rng.standard_normal((64, 300))).astype("float32")
    double, d_out = x.astype(float), rng.standard_normal(x.shape)
    right = run_layer(double, None, None, d_out, (-1,))
    found = run_layer(x, None, None, d_out.astype("float32"), (-1,))
    for each, expected in zip(found, right, strict=True):
        np.testing.assert_allclose(each, expected, rtol=0, atol=2e-3)


def test_nothing_is_allocated_in_steady_state():
    x, gamma, beta, d_out = arrays((32, 32, 16), 16, "float32")
    batch, layer, turned = (
        BatchNormWorkspace((32, 32, 16), 16, "float32"),
        LayerNormWorkspace((32, 32, 16), 16, "float32"),
        LayerNormWorkspace((32, 16, 32), 16, "float32", axes=(-2,)),
    )
    moving = np.zeros(16, "float32"), np.ones(16, "float32")
    out, d_x, d_gamma = np.empty_like(x), np.empty_like(x), np.empty_like(gamma)

    def step():
        batch_norm(x, gamma, beta, out, batch, relu=True)
        batch_norm_gradient(x, gamma, out, d_out, d_gamma, None, d_x, batch)
        batch_norm_inference(x, gamma, beta, *moving, out, batch)
        for workspace, shape in ((layer, x.shape), (turned, (16, 32, 16, 32))):
            given, result, deltas, change = (a.reshape(shape) for a in (x, out, d_out, d_x))
            layer_norm(given, gamma, beta, result, workspace)
            layer_norm_gradient(given, gamma, deltas, d_gamma, None, change, workspace)

    assert taken(step) < 40_000  # statistics of the channels, views; x has a million bytes


def test_wrong_arrays_are_refused_in_a_sentence():
    x, gamma, beta, d_out = arrays(*CASES["image"])
    workspace = BatchNormWorkspace((6, 4, 5), 3, "float64")
    with pytest.raises(
        ShapeError, match=r"batch_norm: x is float32 .* is for float64 \(batch, 6, 4, 5\)"
    ):
        batch_norm(x.astype("float32"), gamma, beta, x, workspace)
    with pytest.raises(ShapeError, match="d_out is not contiguous"):
        batch_norm_gradient(x, gamma, None, d_out[:, ::-1], None, None, None, workspace)
    with pytest.raises(ShapeError, match="1 to 3 samples"):
        batch_norm(x[:0], gamma, beta, x[:0], workspace)
