"""Convolution kernels against their definition, against PyTorch, and against themselves."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import product

import numpy as np
import pytest
from memory import taken

from neurograph.errors import OptionError, ShapeError
from neurograph.kernels.blas import single_threaded
from neurograph.kernels.choice import forward_costs, input_costs
from neurograph.kernels.convolution import (
    ConvolutionWorkspace,
    convolve,
    convolve_input_gradient,
    convolve_weight_gradient,
)
from neurograph.kernels.geometry import Geometry2D
from neurograph.kernels.team import Blocks, Scratch, Team, block_size, carve, nbytes_of

of = Geometry2D.of

# name: geometry, batch
CASES = {
    "valid 3x3": (of((7, 9, 3), (3, 3), 4), 2),
    "same 3x3": (of((8, 8, 5), (3, 3), 6, padding="same"), 3),
    "same 3x3 odd": (of((7, 9, 5), (3, 3), 6, padding="same"), 3),
    "smaller than a tile": (of((2, 1, 3), (3, 3), 4, padding="same"), 2),
    "valid 5x5": (of((9, 11, 3), (5, 5), 4), 2),
    "same 5x5": (of((6, 7, 3), (5, 5), 4, padding="same"), 1),
    "one channel": (of((12, 12, 1), (5, 5), 6, padding="same"), 3),
    "non-square": (of((7, 9, 3), (2, 5), 4), 2),
    "even kernel, same": (of((7, 8, 3), (4, 2), 5, padding="same"), 2),
    "even kernel, strides, same": (of((7, 8, 3), (4, 2), 5, (2, 3), "same"), 2),
    "strides": (of((11, 9, 3), (3, 3), 4, strides=(2, 2)), 3),
    "strides that leave cells over": (of((11, 10, 3), (2, 2), 4, strides=(3, 4)), 2),
    "non-square strides, same": (of((11, 9, 3), (3, 4), 4, (2, 3), "same"), 3),
    "strides wider than the kernel": (of((9, 9, 3), (1, 2), 4, strides=(2, 3)), 2),
    "dilation": (of((11, 12, 3), (3, 2), 4, dilation=(2, 3)), 2),
    "dilation, same": (of((7, 7, 3), (3, 3), 4, padding="same", dilation=(2, 2)), 2),
    "strides and dilation": (of((12, 13, 2), (3, 2), 4, (2, 2), "valid", (2, 3)), 2),
    "groups": (of((7, 6, 6), (3, 3), 4, padding="same", groups=2), 3),
    "groups, strides": (of((7, 6, 6), (3, 2), 9, (2, 2), "same", groups=3), 3),
    "depthwise": (of((7, 6, 6), (3, 3), 6, padding="same", groups=6), 3),
    "depthwise, strides, dilation": (of((12, 11, 4), (3, 2), 4, (2, 3), "same", (1, 2), 4), 3),
    "depthwise, two filters": (of((7, 6, 3), (3, 3), 6, padding="same", groups=3), 2),
    "1x1": (of((5, 6, 7), (1, 1), 4), 3),
    "1x1, strides": (of((5, 6, 7), (1, 1), 4, (2, 2)), 3),
    "1x1, padding": (of((5, 6, 7), (1, 1), 4, padding=(1, 0, 0, 2)), 3),
    "kernel of the whole image": (of((4, 5, 3), (4, 5), 7), 3),
    "uneven padding": (of((5, 6, 2), (3, 3), 3, padding=(2, 0, 1, 3)), 2),
    "more padding than kernel": (of((5, 6, 2), (2, 2), 3, padding=(2, 2, 3, 2)), 2),
    "sequence": (Geometry2D.line((13, 4), 3, 5, padding="same"), 3),
    "sequence, strides": (Geometry2D.line((13, 4), 4, 5, 3, padding="same"), 3),
    "batch of 1": (of((8, 9, 4), (3, 3), 4, padding="same"), 1),
}


def arrays(geometry, batch, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, *geometry.in_shape)).astype(dtype)
    kernel = rng.standard_normal(geometry.kernel_shape).astype(dtype)
    d_out = rng.standard_normal((batch, *geometry.out_shape)).astype(dtype)
    return x, kernel, d_out


def run(geometry, x, kernel, d_out, accumulate=False, **options):
    workspace = ConvolutionWorkspace(geometry, len(x), x.dtype, **options)
    out, d_x, d_kernel = np.empty_like(d_out), np.ones_like(x), np.ones_like(kernel)
    for _ in range(2):  # a second run finds used scratch memory
        convolve(x, kernel, out, workspace)
        d_kernel[...] = d_x[...] = 1
        convolve_weight_gradient(x, d_out, d_kernel, workspace, accumulate)
        convolve_input_gradient(d_out, kernel, d_x, workspace, accumulate)
    return out, d_kernel, d_x


def definition(geometry, x, kernel, d_out):
    """The sum over seven indices, and what flows back through each of its terms."""
    out, d_kernel, d_x = np.zeros_like(d_out), np.zeros_like(kernel), np.zeros_like(x)
    high, wide, few, filters = geometry.kernel_shape
    top, _, left, _ = geometry.padding
    per_group = filters // geometry.groups
    places = product(*map(range, (*geometry.out_shape, high, wide)))
    for row, column, filter_, i, j in places:
        y = row * geometry.strides[0] + i * geometry.dilation[0] - top
        z = column * geometry.strides[1] + j * geometry.dilation[1] - left
        if not (0 <= y < geometry.in_shape[0] and 0 <= z < geometry.in_shape[1]):
            continue
        first = filter_ // per_group * few
        for n, c in product(range(len(x)), range(few)):
            weight, value = kernel[i, j, c, filter_], x[n, y, z, first + c]
            delta = d_out[n, row, column, filter_]
            out[n, row, column, filter_] += weight * value
            d_kernel[i, j, c, filter_] += delta * value
            d_x[n, y, z, first + c] += delta * weight
    return out, d_kernel, d_x


def peer(geometry, x, kernel, d_out):
    torch = pytest.importorskip("torch")
    top, bottom, left, right = geometry.padding
    images = torch.tensor(x, requires_grad=True)
    weights = torch.tensor(kernel, requires_grad=True)
    padded = torch.nn.functional.pad(images.permute(0, 3, 1, 2), (left, right, top, bottom))
    options = {"stride": geometry.strides, "dilation": geometry.dilation}
    filters = weights.permute(3, 2, 0, 1)
    out = torch.nn.functional.conv2d(padded, filters, groups=geometry.groups, **options)
    out = out.permute(0, 2, 3, 1)
    out.backward(torch.tensor(d_out))
    return out.detach().numpy(), weights.grad.numpy(), images.grad.numpy()


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_are_those_of_pytorch(name):
    geometry, batch = CASES[name]
    data = arrays(geometry, batch)
    for found, right in zip(run(geometry, *data), peer(geometry, *data), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["non-square strides, same", "groups, strides", "dilation"])
def test_outputs_and_gradients_are_those_of_the_definition(name):
    geometry, batch = CASES[name]
    data = arrays(geometry, batch)
    for found, right in zip(run(geometry, *data), definition(geometry, *data), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-10)


WIDE = {
    "3x3": of((9, 10, 16), (3, 3), 17, padding="same"),
    "5x5": of((9, 10, 16), (5, 5), 17, padding=(2, 2, 1, 2)),
    "depthwise": of((9, 10, 6), (3, 3), 6, (1, 1), "same", groups=6),
}


@pytest.mark.parametrize("name", WIDE)
def test_every_method_gives_the_same_numbers(name):
    geometry = WIDE[name]
    data = arrays(geometry, 5)
    right = peer(geometry, *data)
    for method in forward_costs(geometry, 5):
        found = run(geometry, *data, forward=method)
        np.testing.assert_allclose(found[0], right[0], rtol=0, atol=1e-10, err_msg=method)
        found = run(geometry, *data, weights=method)
        np.testing.assert_allclose(found[1], right[1], rtol=0, atol=1e-10, err_msg=method)
    for method in input_costs(geometry, 5):
        found = run(geometry, *data, inputs=method)
        np.testing.assert_allclose(found[2], right[2], rtol=0, atol=1e-10, err_msg=method)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_added_when_asked(name):
    geometry, batch = CASES[name]
    data = arrays(geometry, batch)
    plain, added = run(geometry, *data), run(geometry, *data, accumulate=True)
    np.testing.assert_allclose(added[1], 1 + plain[1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(added[2], 1 + plain[2], rtol=0, atol=1e-12)


BLOCKED = {
    "winograd": of((40, 41, 16), (3, 3), 16, padding="same"),
    "columns": of((66, 33, 8), (3, 2), 9, padding="same"),
    "columns without padding": of((66, 33, 8), (3, 2), 9),
    "one channel": of((128, 130, 1), (3, 3), 4, padding="same"),
    "scatter": of((131, 65, 8), (3, 3), 9, (2, 2), "same"),
    "depthwise": of((130, 70, 16), (3, 3), 16, (2, 1), "same", groups=16),
}


@pytest.mark.parametrize("name", BLOCKED)
def test_images_of_several_blocks(name):
    geometry = BLOCKED[name]
    data = arrays(geometry, 2)
    for found, right in zip(run(geometry, *data), peer(geometry, *data), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["same 3x3", "strides", "depthwise", "1x1", "batch of 1"])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_more_than_rounding_and_repeat_bit_for_bit(name, threads):
    pytest.importorskip("threadpoolctl")
    geometry, batch = CASES[name]
    data, team = arrays(geometry, batch), Team(threads)
    alone = run(geometry, *data)
    together = run(geometry, *data, team=team)
    for found, right, again in zip(together, alone, run(geometry, *data, team=team), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_large_kernels_are_prepared_by_all_threads(strides):
    pytest.importorskip("threadpoolctl")
    geometry = of((4, 4, 96), (3, 3), 100, strides, "same")
    data = arrays(geometry, 4)
    for found, right in zip(run(geometry, *data, team=Team(2)), peer(geometry, *data), strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["3x3", "5x5"])
def test_single_precision_is_near_double_precision(name):
    geometry = WIDE[name]
    right = run(geometry, *arrays(geometry, 5))
    found = run(geometry, *arrays(geometry, 5, "float32"))
    for single, double in zip(found, right, strict=True):
        assert np.abs(single - double).max() < 3e-5 * np.abs(double).max()


def test_a_smaller_last_batch_and_a_slice_of_channels():
    geometry = CASES["same 3x3"][0]
    workspace = ConvolutionWorkspace(geometry, 7, "float64")
    for batch in (7, 2, 1):
        data = arrays(geometry, batch)
        wide = np.zeros((batch, *geometry.out_shape[:2], 10))
        convolve(data[0], data[1], wide[..., 2:8], workspace)
        np.testing.assert_allclose(wide[..., 2:8], run(geometry, *data)[0], rtol=0, atol=1e-12)
        assert not wide[..., :2].any()
        assert not wide[..., 8:].any()


@pytest.mark.parametrize("name", CASES)
def test_slices_of_channels(name):
    geometry, batch = CASES[name]
    if geometry.kernel == geometry.in_shape[:2]:
        return
    data = arrays(geometry, batch)
    x, d_out = (np.pad(each, ((0, 0),) * 3 + ((2, 0),))[..., 2:] for each in data[::2])
    kernel = data[1]
    plain = run(geometry, x.copy(), kernel, d_out.copy())
    workspace = ConvolutionWorkspace(geometry, batch, "float64")
    out, d_x = np.zeros(d_out.base.shape), np.zeros(x.base.shape)
    d_kernel = np.empty_like(kernel)
    convolve(x, kernel, out[..., 1:-1], workspace)
    convolve_weight_gradient(x, d_out, d_kernel, workspace)
    convolve_input_gradient(d_out, kernel, d_x[..., 1:-1], workspace)
    for found, right in zip((out[..., 1:-1], d_kernel, d_x[..., 1:-1]), plain, strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-12)
    assert not out[..., [0, -1]].any()
    assert not d_x[..., [0, -1]].any()


def test_workspaces_share_scratch_memory_that_grows():
    team = Team(1)
    small, large = CASES["same 3x3"][0], WIDE["5x5"]
    first = ConvolutionWorkspace(small, 2, "float64", team)
    data, more = arrays(small, 2), arrays(large, 5)
    out = np.empty_like(data[2])
    convolve(data[0], data[1], out, first)
    expected = out.copy()
    second = ConvolutionWorkspace(large, 5, "float64", team)
    convolve(more[0], more[1], np.empty_like(more[2]), second)
    out[...] = 0
    convolve(data[0], data[1], out, first)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    "geometry",
    [
        of((16, 16, 16), (3, 3), 16, padding="same"),
        of((16, 16, 16), (5, 5), 16, padding="same"),
        of((17, 16, 3), (3, 3), 16, padding="same"),
        of((17, 16, 16), (3, 3), 16, (2, 2), "same"),
        of((17, 16, 16), (3, 3), 16, dilation=(2, 2)),
        of((17, 16, 16), (3, 3), 16, padding="same", groups=4),
        of((17, 16, 16), (3, 3), 16, (2, 2), "same", groups=16),
        of((16, 16, 16), (1, 1), 32),
        of((16, 16, 1), (5, 5), 6, padding="same"),
    ],
    ids=str,
)
@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_is_allocated_in_steady_state(geometry, threads):
    if threads > 1:
        pytest.importorskip("threadpoolctl")
    x, kernel, d_out = arrays(geometry, 16, "float32")
    workspace = ConvolutionWorkspace(geometry, 16, "float32", Team(threads))
    out, d_x, d_kernel = np.empty_like(d_out), np.empty_like(x), np.empty_like(kernel)

    def step():
        convolve(x, kernel, out, workspace)
        for accumulate in (False, True):
            convolve_weight_gradient(x, d_out, d_kernel, workspace, accumulate)
            convolve_input_gradient(d_out, kernel, d_x, workspace, accumulate)

    # views and tuples of every thread; the smallest array here has 65,536 bytes
    assert taken(step) < 20_000 * threads


def test_scratch_memory_is_bounded_for_large_images():
    geometry = of((224, 224, 64), (3, 3), 64, padding="same")
    team = Team(1)
    ConvolutionWorkspace(geometry, 8, "float32", team)
    assert team.scratch[0].memory.nbytes < 5_000_000
    assert team.shared.memory.nbytes < 1_000_000


def test_geometry_goes_by_the_names_of_keras():
    assert of((5, 5, 1), (3, 3), 2, (2, 2), "same").padding == (1, 1, 1, 1)
    assert of((6, 6, 1), (3, 3), 2, (2, 2), "same").padding == (0, 1, 0, 1)
    assert of((6, 6, 1), (2, 5), 2, (1, 1), "same", (1, 2)).padding == (0, 1, 4, 4)
    assert of((224, 224, 3), (7, 7), 64, (2, 2), "same").out_shape == (112, 112, 64)
    assert of((2, 2, 1), (1, 1), 2, (3, 3), "same").padding == (0, 0, 0, 0)
    assert of((32, 32, 16), (3, 3), 32, padding="same", groups=4).flops == 2 * 1024 * 9 * 4 * 32
    with pytest.raises(OptionError, match=r'padding is .valid.?.*: it must be "valid", "same"'):
        of((6, 6, 1), (3, 3), 2, padding="valid ")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (((4, 9, 3), (5, 3), 2), ShapeError, r"a window of 5x3 cells does not fit into 4x9; "),
        (((4, 9, 3), (3, 0), 2), OptionError, "every number must be positive"),
        (((4, 9, 3), (3, 3), 2, (0, 1), "same"), OptionError, "every number must be positive"),
        (((4, 9, 3), (3, 3), 0), OptionError, "filters and groups must be positive"),
        (((4, 9, 3), (3, 3), 2, (1, 1), (-1, 0, 0, 0)), OptionError, "must not be negative"),
        (((4, 9, 4), (3, 3), 6, (1, 1), "same", (1, 1), 4), OptionError, "4 groups do not divide"),
    ],
)
def test_impossible_geometries_are_refused_in_a_sentence(arguments, error, message):
    with pytest.raises(error, match=message):
        of(*arguments)


def test_wrong_arrays_are_refused_in_a_sentence():
    geometry = CASES["same 3x3"][0]
    x, kernel, d_out = arrays(geometry, 3)
    workspace = ConvolutionWorkspace(geometry, 3, "float64")
    with pytest.raises(ShapeError, match=r"convolve: x is float32 .* workspace is for float64"):
        convolve(x.astype("float32"), kernel, d_out, workspace)
    with pytest.raises(ShapeError, match=r"convolve: out is float64 \(2, 8, 8, 6\)"):
        convolve(x, kernel, d_out[:2], workspace)
    with pytest.raises(ShapeError, match=r"the kernel is float64 .*, not contiguous"):
        convolve(x, np.asfortranarray(kernel), d_out, workspace)
    with pytest.raises(ShapeError, match="d_x is not contiguous"):
        convolve_input_gradient(d_out, kernel, x[:, ::-1], workspace)
    with pytest.raises(ShapeError, match="1 to 3 samples"):
        convolve(np.concatenate([x, x]), kernel, np.concatenate([d_out, d_out]), workspace)
    with pytest.raises(OptionError, match=r"'depthwise' for the outputs .* possible are columns"):
        ConvolutionWorkspace(geometry, 3, "float64", forward="depthwise")


def test_a_team_hands_errors_on_and_goes_on():
    pytest.importorskip("threadpoolctl")
    team = Team(2)

    def fail(member):
        if member:
            raise ValueError("member 1")

    with pytest.raises(ValueError, match="member 1"):
        team.run(fail)
    done = [0, 0]
    team.run(done.__setitem__, 3)
    assert done == [3, 3]
    with pytest.raises(OptionError, match="at least one thread"):
        Team(0)


def threads_of_blas():
    info = pytest.importorskip("threadpoolctl").threadpool_info()
    return {each["num_threads"] for each in info if each["user_api"] == "blas"}


def test_a_team_warns_of_numbers_no_more_than_its_caller():
    pytest.importorskip("threadpoolctl")
    results = np.ones(2)

    def overflow(member):
        results[member] = np.float64(1e300) * np.float64(1e300 + member)

    with np.errstate(all="ignore"):
        Team(2).run(overflow)
    assert np.isinf(results).all()
    with pytest.warns(RuntimeWarning, match="overflow"):
        Team(2).run(overflow)


def test_products_are_single_threaded_while_a_team_is_at_work():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    team, seen = Team(2), []
    with threadpoolctl.threadpool_limits(2):
        with single_threaded():
            seen.append(threads_of_blas())
            team.run(lambda member: member or seen.append(threads_of_blas()))
            seen.append(threads_of_blas())
        assert seen == [{1}] * 3
        assert threads_of_blas() == {2}


def test_the_last_of_several_teams_gives_blas_its_threads_back():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    Team(2)
    first, second = single_threaded(), single_threaded()
    with threadpoolctl.threadpool_limits(2):
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert threads_of_blas() == {1}
        second.__exit__(None, None, None)
        assert threads_of_blas() == {2}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers")
def test_an_interrupt_waits_for_the_other_members():
    pytest.importorskip("threadpoolctl")
    team, order = Team(2), []

    def work(member):
        if member:
            time.sleep(0.3)
            order.append("member 1 is done")
        else:
            signal.setitimer(signal.ITIMER_REAL, 0.1)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            team.run(work)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert order == ["member 1 is done"]
    team.run(lambda member: order.append(member))
    assert sorted(order[1:]) == [0, 1]


FORKED = """
import os
from neurograph.kernels.team import Team
team, done = Team(2), [0, 0]
team.run(done.__setitem__, 1)
if os.fork() == 0:
    team.run(done.__setitem__, 2)
    os._exit(done != [2, 2])
assert os.wait()[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_team_in_a_forked_process_has_threads_of_its_own():
    pytest.importorskip("threadpoolctl")
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], check=True, timeout=60)


def test_the_threads_of_a_team_end_with_it():
    pytest.importorskip("threadpoolctl")
    before = set(threading.enumerate())
    team = Team(3)
    (first, second) = set(threading.enumerate()) - before
    del team
    gc.collect()
    first.join(5)
    second.join(5)
    assert not first.is_alive()
    assert not second.is_alive()


def test_scratch_memory_is_cut_on_cache_lines():
    scratch = Scratch()
    scratch.reserve(nbytes_of("float32", (3, 5), (7,)))
    first, second = carve(scratch.memory, "float32", (3, 5), (7,))
    assert first.ctypes.data % 64 == second.ctypes.data % 64 == 0
    assert not np.shares_memory(first, second)
    memory = scratch.memory
    scratch.reserve(10)
    assert scratch.memory is memory


def test_blocks_cover_every_row_of_every_image_once():
    for batch, rows, columns, target in product((1, 5, 8), (1, 7, 16), (1, 9), (1, 8, 50, 1000)):
        seen = np.zeros((batch, rows), int)
        size = block_size(batch, rows, columns, target)
        assert size[0] * size[1] * columns <= max(target, columns)
        parts = Blocks(rows, size, lambda images, rows, memory: (images, rows))
        for (images, lines), _, these, row in parts.over(batch, np.empty(0, np.uint8)):
            assert these.stop - these.start == images
            seen[these, row : row + lines] += 1
        assert (seen == 1).all()
