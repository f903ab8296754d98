"""Convolution and pooling bundles against loops written out, and against PyTorch in float64."""

import numpy as np
import pytest
from by_edges import outputs_of
from hypothesis import given, settings
from hypothesis import strategies as st

import neurograph as ng
from neurograph.graph.layer import Layer
from neurograph.graph.spatial import ConvolutionConnections, PoolingConnections
from neurograph.kernels.geometry import Geometry2D


@st.composite
def geometries(draw):
    """Draw windows of any kind that fit."""
    groups = draw(st.integers(1, 3))
    ins, outs = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    size = st.integers(1, 3)
    kernel, strides = draw(st.tuples(size, size)), draw(st.tuples(size, size))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    shape = tuple(max(1, each + draw(st.integers(-1, 3))) for each in extent)
    padding = draw(st.just("same") | st.tuples(*[st.integers(1, 2)] * 4))
    return Geometry2D.of(
        (*shape, groups * ins), kernel, groups * outs, strides, padding, dilation, groups
    )


def written_out(geometry):
    """Return every (upstream, downstream, address) by looping over everything there is."""
    (height, width, channels), (rows, columns, filters) = geometry.in_shape, geometry.out_shape
    top, _, left, _ = geometry.padding
    ins, outs = channels // geometry.groups, filters // geometry.groups
    found = []
    for row, column, filter_ in np.ndindex(rows, columns, filters):
        for i, j, channel in np.ndindex(*geometry.kernel, ins):
            y = row * geometry.strides[0] - top + i * geometry.dilation[0]
            x = column * geometry.strides[1] - left + j * geometry.dilation[1]
            if 0 <= y < height and 0 <= x < width:
                source = filter_ // outs * ins + channel
                up = np.ravel_multi_index((y, x, source), geometry.in_shape)
                down = np.ravel_multi_index((row, column, filter_), geometry.out_shape)
                place = (i, j, channel, filter_)
                address = np.ravel_multi_index(place, geometry.kernel_shape)
                found.append((int(up), int(down), int(address)))
    return sorted(found)


@given(geometries())
@settings(max_examples=60, deadline=None)
def test_a_convolution_is_what_the_loops_say(geometry):
    kernel = ng.Parameter(np.arange(1.0, np.prod(geometry.kernel_shape) + 1))
    source, target = Layer(geometry.in_shape), Layer(geometry.out_shape)
    bundle = ConvolutionConnections(source, target, kernel, geometry)
    edges = written_out(geometry)
    assert [tuple(map(int, each)) for each in zip(*bundle.edges(), strict=True)] == edges
    assert len(bundle) == len(edges)
    assert [
        (up, down, connection.index)
        for up in range(source.size)
        for connection in bundle.connections_out_of(up)
        for down in [connection.downstream_node.index]
    ] == edges
    assert (
        sorted(
            (connection.upstream_node.index, down, int(connection.weight) - 1)
            for down in range(target.size)
            for connection in bundle.connections_into(down)
        )
        == edges
    )


@given(geometries())
@settings(max_examples=30, deadline=None)
def test_a_pooling_is_what_the_loops_say(geometry):
    channels = geometry.in_shape[2]
    if min(geometry.out_shape[:2]) < 1 or max(geometry.padding) >= min(geometry.kernel):
        return
    geometry = Geometry2D(
        geometry.in_shape, geometry.kernel, channels, geometry.strides, geometry.padding,
        groups=channels,
    )  # fmt: skip
    bundle = PoolingConnections(Layer(geometry.in_shape), Layer(geometry.out_shape), geometry)
    ups, downs, addresses = bundle.edges()
    edges = [(up, down) for up, down, _ in written_out(geometry)]
    assert list(zip(ups.tolist(), downs.tolist(), strict=True)) == edges
    assert len(bundle) == len(edges)
    assert not addresses.any()


def test_the_connections_of_vgg16_are_counted_at_once():
    net = ng.zoo.vgg16()
    sizes = [(224, 3, 64), (224, 64, 64), (112, 64, 128), (112, 128, 128), (56, 128, 256),
             *[(56, 256, 256)] * 2, (28, 256, 512), *[(28, 512, 512)] * 2,
             *[(14, 512, 512)] * 3]  # fmt: skip
    windows = sum((3 * n - 2) ** 2 * ins * outs + n * n * outs for n, ins, outs in sizes)
    pools = sum(n * n * c for n, c in ((224, 64), (112, 128), (56, 256), (28, 512), (14, 512)))
    flat, dropped = 25088, 2 * 2 * 4096
    biases = 4096 + 4096 + 1000
    products = 25088 * 4096 + 4096 * 4096 + 4096 * 1000
    assert len(net.connections) == windows + pools + flat + dropped + biases + products
    node = net.layer("conv2d_12")[13, 7, 500]
    assert len(node.upstream) == 6 * 512 + 1
    assert node.upstream[0].upstream_node.label == "conv2d_11[12, 6, 0]"


# against PyTorch ------------------------------------------------------------------------------


def padded(torch, x, sides, value=0.0):
    top, bottom, left, right = sides
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=value)


CONVOLUTIONS = [
    ({"kernel_size": (3, 2), "strides": (2, 1), "padding": 1}, (1, 1, 1, 1)),
    ({"kernel_size": 3, "padding": (0, 2), "dilation_rate": (1, 2)}, (0, 0, 2, 2)),
    ({"kernel_size": (2, 3), "padding": ((2, 0), (1, 3)), "groups": 2}, (2, 0, 1, 3)),
    ({"kernel_size": (3, 4), "strides": (2, 3), "padding": "same"}, (1, 1, 1, 1)),
]


@pytest.mark.parametrize(("options", "sides"), CONVOLUTIONS)
def test_convolutions_give_the_numbers_of_pytorch(options, sides):
    torch = pytest.importorskip("torch")
    net = ng.Network([ng.Input((7, 8, 4)), ng.Conv2D(6, **options)], seed=4)
    x = np.random.default_rng(0).normal(size=(2, 7, 8, 4))
    kernel = torch.tensor(net.parameters["conv2d/kernel"].value).permute(3, 2, 0, 1)
    image = padded(torch, torch.tensor(x).permute(0, 3, 1, 2), sides)
    expected = torch.nn.functional.conv2d(
        image,
        kernel,
        stride=options.get("strides", 1),
        dilation=options.get("dilation_rate", 1),
        groups=options.get("groups", 1),
    )
    ours = outputs_of(net, x)[0]
    np.testing.assert_allclose(ours, expected.permute(0, 2, 3, 1).numpy(), rtol=1e-12, atol=1e-12)


def test_a_depthwise_convolution_gives_the_numbers_of_pytorch():
    torch = pytest.importorskip("torch")
    net = ng.Network([ng.Input((5, 6, 3)), ng.DepthwiseConv2D((2, 3), depth_multiplier=2)], seed=4)
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3))
    kernel = torch.tensor(net.parameters["depthwise_conv2d/kernel"].value)
    kernel = kernel.reshape(2, 3, 6).permute(2, 0, 1)[:, None]
    image = torch.tensor(x).permute(0, 3, 1, 2)
    expected = torch.nn.functional.conv2d(image, kernel, groups=3).permute(0, 2, 3, 1)
    np.testing.assert_allclose(outputs_of(net, x)[0], expected.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize(("window", "strides", "padding"), [(3, 2, 1), ((2, 3), (1, 2), (1, 0))])
def test_poolings_leave_out_what_is_outside_as_pytorch_can(kind, window, strides, padding):
    torch = pytest.importorskip("torch")
    recipe = ng.MaxPooling2D if kind == "max" else ng.AveragePooling2D
    net = ng.Network([ng.Input((7, 8, 3)), recipe(window, strides, padding)])
    x = np.random.default_rng(0).normal(size=(2, 7, 8, 3))
    image = torch.tensor(x).permute(0, 3, 1, 2)
    if kind == "max":
        expected = torch.nn.functional.max_pool2d(image, window, strides, padding)
    else:
        expected = torch.nn.functional.avg_pool2d(
            image, window, strides, padding, count_include_pad=False
        )
    ours = outputs_of(net, x)[0]
    np.testing.assert_allclose(ours, expected.permute(0, 2, 3, 1).numpy(), rtol=1e-12, atol=1e-12)


def test_an_average_with_padding_same_is_that_of_the_cells_that_exist():
    net = ng.Network([ng.Input((3, 1)), ng.AveragePooling1D(3, 1, padding="same")])
    assert outputs_of(net, np.array([[[1.0], [2.0], [6.0]]]))[0].ravel().tolist() == [1.5, 3, 4]
