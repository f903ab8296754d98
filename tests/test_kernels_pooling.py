"""Pooling kernels against their definition and against PyTorch."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from memory import taken

from neurograph.errors import ShapeError
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.pooling import (
    PoolingWorkspace,
    average_pool,
    average_pool_gradient,
    max_pool,
    max_pool_gradient,
)
from neurograph.kernels.team import Team

of = Geometry2D.pooling

# name: geometry, batch
CASES = {
    "2x2": (of((6, 8, 3), (2, 2)), 3),
    "2x2 on odd images": (of((7, 9, 3), (2, 2)), 2),
    "2x2 on odd images, same": (of((7, 9, 3), (2, 2), padding="same"), 2),
    "overlapping 3x3": (of((7, 9, 3), (3, 3), (2, 2)), 3),
    "overlapping 3x3, same": (of((8, 6, 3), (3, 3), (2, 2), "same"), 2),
    "overlapping 3x3, stride 1, same": (of((5, 6, 3), (3, 3), (1, 1), "same"), 2),
    "non-square": (of((7, 9, 3), (2, 4), (1, 3)), 2),
    "non-square, same": (of((7, 9, 3), (4, 2), (3, 1), "same"), 1),
    "strides wider than the window": (of((9, 8, 2), (2, 1), (4, 3)), 3),
    "one cell": (of((5, 6, 2), (1, 1), (2, 2)), 2),
    "global": (of((5, 4, 3), (5, 4)), 3),
    "sequence": (of((1, 11, 3), (1, 3), (1, 2), "same"), 2),
    "one channel": (of((6, 6, 1), (3, 2), (2, 2)), 1),
    "padding on one side": (of((6, 6, 2), (3, 3), (2, 2), (1, 0, 0, 1)), 2),
}


def arrays(geometry, batch, ties=False, dtype="float64"):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((batch, *geometry.in_shape))
    if ties:
        x = np.round(x)
    return x.astype(dtype), rng.standard_normal((batch, *geometry.out_shape)).astype(dtype)


def run(geometry, x, d_out, accumulate=False, team=None):
    workspace = PoolingWorkspace(geometry, len(x), x.dtype, team)
    results = []
    for _ in range(2):  # a second run finds used scratch memory
        out, mean = np.empty_like(d_out), np.empty_like(d_out)
        d_max, d_mean = np.ones_like(x), np.ones_like(x)
        max_pool(x, out, workspace)
        average_pool(x, mean, workspace)
        max_pool_gradient(x, out, d_out, d_max, workspace, accumulate)
        average_pool_gradient(d_out, d_mean, workspace, accumulate)
        results.append((out, mean, d_max, d_mean))
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)
    return results[0]


def definition(geometry, x, d_out):
    """Window by window; the first cell in row-major order wins."""
    out, mean, d_max, d_mean = (np.zeros_like(each) for each in (d_out, d_out, x, x))
    height, width, channels = geometry.in_shape
    rows, columns = geometry.kernel
    for n, row, column, c in product(*map(range, (len(x), *geometry.out_shape[:2], channels))):
        top = row * geometry.strides[0] - geometry.padding[0]
        left = column * geometry.strides[1] - geometry.padding[2]
        cells = [
            (n, y, z, c)
            for y in range(max(top, 0), min(top + rows, height))
            for z in range(max(left, 0), min(left + columns, width))
        ]
        winner = max(cells, key=lambda cell: x[cell])
        out[n, row, column, c] = x[winner]
        d_max[winner] += d_out[n, row, column, c]
        mean[n, row, column, c] = sum(x[cell] for cell in cells) / len(cells)
        for cell in cells:
            d_mean[cell] += d_out[n, row, column, c] / len(cells)
    return out, mean, d_max, d_mean


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_are_those_of_the_definition(name, ties):
    geometry, batch = CASES[name]
    data = arrays(geometry, batch, ties)
    for found, right in zip(run(geometry, *data), definition(geometry, *data), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties"])
@pytest.mark.parametrize("name", ["2x2", "overlapping 3x3", "non-square", "global"])
def test_outputs_and_gradients_are_those_of_pytorch(name, ties):
    torch = pytest.importorskip("torch")
    geometry, batch = CASES[name]
    x, d_out = arrays(geometry, batch, ties)
    found = run(geometry, x, d_out)
    functional = torch.nn.functional
    for pool, output, gradient in ((functional.max_pool2d, 0, 2), (functional.avg_pool2d, 1, 3)):
        images = torch.tensor(x, requires_grad=True)
        out = pool(images.permute(0, 3, 1, 2), geometry.kernel, geometry.strides)
        out = out.permute(0, 2, 3, 1)
        out.backward(torch.tensor(d_out))
        np.testing.assert_allclose(found[output], out.detach().numpy(), rtol=0, atol=1e-12)
        np.testing.assert_allclose(found[gradient], images.grad.numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_added_when_asked(name):
    geometry, batch = CASES[name]
    data = arrays(geometry, batch)
    plain, added = run(geometry, *data), run(geometry, *data, accumulate=True)
    np.testing.assert_allclose(added[2], 1 + plain[2], rtol=0, atol=1e-12)
    np.testing.assert_allclose(added[3], 1 + plain[3], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "geometry",
    [
        of((131, 67, 16), (3, 3), (2, 2), "same"),
        of((128, 64, 16), (2, 2)),
        of((90, 65, 16), (3, 2), (1, 1), "same"),
        of((130, 64, 16), (1, 2), (3, 2)),
    ],
    ids=str,
)
def test_images_of_several_blocks(geometry):
    data = arrays(geometry, 2)
    whole = run(geometry, *data)
    few = [run(geometry, data[0][i : i + 1], data[1][i : i + 1]) for i in range(2)]
    for i, found in enumerate(whole):
        np.testing.assert_array_equal(found, np.concatenate([each[i] for each in few]))
    torch = pytest.importorskip("torch")
    top, bottom, left, right = geometry.padding
    images = torch.tensor(data[0], requires_grad=True)
    padded = torch.nn.functional.pad(
        images.permute(0, 3, 1, 2), (left, right, top, bottom), value=-np.inf
    )
    out = torch.nn.functional.max_pool2d(padded, geometry.kernel, geometry.strides)
    out = out.permute(0, 2, 3, 1)
    out.backward(torch.tensor(data[1]))
    np.testing.assert_array_equal(whole[0], out.detach().numpy())
    np.testing.assert_allclose(whole[2], images.grad.numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["2x2", "overlapping 3x3, same", "one channel"])
def test_threads_change_nothing(name):
    pytest.importorskip("threadpoolctl")
    geometry, batch = CASES[name]
    data = arrays(geometry, batch)
    alone, together = run(geometry, *data), run(geometry, *data, team=Team(2))
    for found, right in zip(together, alone, strict=True):
        np.testing.assert_array_equal(found, right)


def test_single_precision_finds_the_same_winners():
    geometry, batch = CASES["overlapping 3x3, same"]
    x, d_out = arrays(geometry, batch, dtype="float32")
    single, double = run(geometry, x, d_out), run(geometry, x.astype(float), d_out.astype(float))
    np.testing.assert_array_equal(single[0], double[0].astype("float32"))
    for found, right in zip(single[1:], double[1:], strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=3e-6)


@pytest.mark.parametrize("geometry", [of((32, 32, 16), (2, 2)), of((32, 31, 16), (3, 3), (2, 2))])
def test_nothing_is_allocated_in_steady_state(geometry):
    x, d_out = arrays(geometry, 16, dtype="float32")
    workspace = PoolingWorkspace(geometry, 16, "float32")
    out, d_x = np.empty_like(d_out), np.empty_like(x)

    def step():
        max_pool(x, out, workspace)
        max_pool_gradient(x, out, d_out, d_x, workspace)
        average_pool(x, out, workspace)
        average_pool_gradient(d_out, d_x, workspace, accumulate=True)

    assert taken(step) < 20_000


def test_wrong_arrays_are_refused_in_a_sentence():
    geometry, batch = CASES["2x2"]
    x, d_out = arrays(geometry, batch)
    workspace = PoolingWorkspace(geometry, batch, "float64")
    with pytest.raises(ShapeError, match=r"max_pool: x is float32 .* the workspace is for float64"):
        max_pool(x.astype("float32"), d_out, workspace)
    with pytest.raises(ShapeError, match=r"average_pool: out is float64 \(2, 3, 4, 3\)"):
        average_pool(x, d_out[:2], workspace)
    with pytest.raises(ShapeError, match="d_out is not contiguous"):
        average_pool_gradient(d_out[..., ::-1], x, workspace)
