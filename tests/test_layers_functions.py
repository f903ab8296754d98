"""Whole-layer functions against PyTorch in float64, and over several steps of training."""

import numpy as np
import pytest

from neurograph.errors import UnknownNameError
from neurograph.layer_functions import (
    BatchNormalization,
    LayerNormalization,
    LocalResponseNormalization,
    OneHot,
    Softmax,
    make_function,
)
from neurograph.parameter import Parameter

RNG = np.random.default_rng(5)
CASES = [
    ("vector", (6, 4), -1),
    ("image", (3, 4, 5, 2), -1),
    ("first axis", (3, 4, 5, 2), -3),
    ("sequence", (3, 7, 2), -1),
]


def batch_normalization(shape, axis, **options):
    channels = (shape[axis],)
    parameters = {
        "gamma": Parameter(RNG.normal(1.0, 0.5, channels)),
        "beta": Parameter(RNG.normal(size=channels)),
        "moving_mean": Parameter(RNG.normal(size=channels), trainable=False),
        "moving_variance": Parameter(RNG.uniform(0.5, 2.0, channels), trainable=False),
    }
    return BatchNormalization(parameters, axis=axis, **options)


def torch_twin(torch, function, x, axis, training):
    """Return output and the gradients of sum(output * weights) of PyTorch's own layer."""
    tensor = torch.tensor(x, requires_grad=True)
    gamma, beta = (
        torch.tensor(function.parameters[name].value, requires_grad=True)
        for name in ("gamma", "beta")
    )
    mean = torch.tensor(function.parameters["moving_mean"].value)
    variance = torch.tensor(function.parameters["moving_variance"].value)
    y = torch.nn.functional.batch_norm(
        tensor.movedim(axis, 1), mean, variance, gamma, beta, training, 0.1, function.epsilon
    ).movedim(1, axis)
    return tensor, gamma, beta, y


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "shape", "axis"), CASES)
def test_batch_normalization_gives_the_numbers_of_pytorch(name, shape, axis, training):
    torch = pytest.importorskip("torch")
    function = batch_normalization(shape, axis)
    x, weights = RNG.normal(size=(2, *shape))
    tensor, gamma, beta, expected = torch_twin(torch, function, x, axis, training)
    (expected * torch.tensor(weights)).sum().backward()
    y = function.forward(x, training)
    d_x = function.backward(weights, x, y)
    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(y, expected.detach().numpy(), **close)
    np.testing.assert_allclose(d_x, tensor.grad.numpy(), **close)
    np.testing.assert_allclose(function.parameters["gamma"].gradient, gamma.grad.numpy(), **close)
    np.testing.assert_allclose(function.parameters["beta"].gradient, beta.grad.numpy(), **close)


def test_moving_statistics_follow_the_batches():
    function = batch_normalization((4, 3, 2), -1, momentum=0.9)
    mean, variance = (function.parameters[f"moving_{k}"].value.copy() for k in ("mean", "variance"))
    for _ in range(4):
        x = RNG.normal(2.0, 3.0, size=(4, 3, 2))
        function.forward(x, training=True)
        function.update_moving(x)
        rows = x.reshape(-1, 2)
        mean = 0.9 * mean + 0.1 * rows.mean(axis=0)
        variance = 0.9 * variance + 0.1 * ((rows - rows.mean(axis=0)) ** 2).sum(axis=0) / 12
    np.testing.assert_allclose(function.parameters["moving_mean"].value, mean, rtol=1e-13)
    np.testing.assert_allclose(function.parameters["moving_variance"].value, variance, rtol=1e-13)


def test_frozen_statistics_stay_and_are_used_in_training():
    function = batch_normalization((4, 2), -1, frozen=True)
    before = function.parameters["moving_mean"].value.copy()
    x = RNG.normal(size=(4, 2))
    assert (function.forward(x, training=True) == function.forward(x)).all()
    function.update_moving(x)
    assert (function.parameters["moving_mean"].value == before).all()


@pytest.mark.parametrize("axes", [(-1,), (-2, -1), (-3, -1)])
def test_layer_normalization_gives_the_numbers_of_pytorch(axes):
    torch = pytest.importorskip("torch")
    x, weights = RNG.normal(size=(2, 3, 5, 4, 2))
    shape = tuple(x.shape[axis] for axis in axes)
    parameters = {"gamma": Parameter(RNG.normal(size=shape)), "beta": Parameter(np.ones(shape))}
    function = LayerNormalization(parameters, axes=axes)
    tensor = torch.tensor(x, requires_grad=True)
    gamma = torch.tensor(parameters["gamma"].value, requires_grad=True)
    places = list(range(-len(axes), 0))
    moved = torch.nn.functional.layer_norm(
        tensor.movedim(axes, places), shape, gamma, torch.ones(shape, dtype=torch.float64), 1e-3
    )
    expected = moved.movedim(places, axes)
    (expected * torch.tensor(weights)).sum().backward()
    y = function.forward(x)
    d_x = function.backward(weights, x, y)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(d_x, tensor.grad.numpy(), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(parameters["gamma"].gradient, gamma.grad.numpy(), rtol=1e-9)
    others = tuple(k for k in range(4) if k - 4 not in axes)
    np.testing.assert_allclose(parameters["beta"].gradient, weights.sum(axis=others), rtol=1e-12)


def test_local_response_normalization_gives_the_numbers_of_pytorch():
    torch = pytest.importorskip("torch")
    for channels in (7, 2, 1):
        function = LocalResponseNormalization(size=5, alpha=0.7, beta=0.6, bias=0.8)
        x, weights = RNG.normal(size=(2, 3, 4, channels))
        tensor = torch.tensor(x, requires_grad=True)
        expected = torch.nn.functional.local_response_norm(tensor.movedim(-1, 1), 5, 0.7, 0.6, 0.8)
        expected = expected.movedim(1, -1)
        (expected * torch.tensor(weights)).sum().backward()
        y = function.forward(x)
        d_x = function.backward(weights, x, y)
        np.testing.assert_allclose(y, expected.detach().numpy(), rtol=1e-12)
        np.testing.assert_allclose(d_x, tensor.grad.numpy(), rtol=1e-11, atol=1e-13)


def test_a_complex_step_gives_the_slope():
    x, direction = RNG.normal(size=(2, 5, 3))
    for function in (batch_normalization((5, 3), -1), LayerNormalization({})):
        y = function.forward(x + 1e-30j * direction, True)
        d_x = function.backward(np.ones_like(x) * x, x, y.real)
        slope = (y.imag / 1e-30 * x).sum()
        np.testing.assert_allclose(slope, (d_x * direction).sum(), rtol=1e-10)


def test_one_hot_lights_the_index_and_sends_nothing_back():
    net = np.repeat([[2.0], [0.0], [7.0]], 3, axis=1)
    y = OneHot().forward(net)
    assert y.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert not OneHot().backward(np.ones((3, 3)), net, y).any()


def test_functions_are_made_again_from_their_description():
    function = batch_normalization((4, 2), -1, momentum=0.5, epsilon=0.25, frozen=True)
    local = LocalResponseNormalization(size=3, alpha=0.5)
    for each in (function, LayerNormalization({}, axes=(-2, -1)), local, Softmax(), OneHot()):
        again = make_function(each.name, each.parameters, each.describe())
        assert type(again) is type(each)
        assert again.describe() == each.describe()
    with pytest.raises(UnknownNameError, match="did you mean 'softmax'"):
        make_function("softmx", {}, {})
