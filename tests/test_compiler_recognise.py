"""Guess and verify: what explicit connections become, and that near misses do not."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from both_ways import compile_case, differences, inspect, train_step, walk

import neurograph as ng
from neurograph.compiler.recognise import SMALL, Edges, affine, recognise
from neurograph.compiler.windows import convolution_of, grid_of
from neurograph.graph.distinct import all_differ, distinct
from neurograph.graph.spatial import ConvolutionConnections
from neurograph.kernels.geometry import Geometry2D


def edges(pairs: list[tuple[int, int]], addresses: Any = None) -> Edges:
    ups, downs = np.array(pairs, dtype=np.int64).T
    where = np.arange(len(ups)) if addresses is None else np.asarray(addresses)
    return Edges(ups, downs, np.zeros_like(ups), where)


def kinds(model: Any) -> list[str]:
    return [row.kernel for row in model.explain().rows]


def check(net: ng.Network, *kernels: str, passes: Any = None) -> Any:
    """Compile, compare with the nodes, and see which kernels were chosen."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, *net.inputs[0].shape))
    y = rng.normal(size=(3, *net.outputs[0].shape))
    model = net.compile("sgd", "sse", dtype="float64", passes=passes)
    expected = walk(net, x, y, "sse")
    assert not differences(inspect(model, x, y), expected, 1e-9)
    assert not differences(train_step(model, x, y), expected, 1e-9)
    assert tuple(kinds(model)) == kernels
    return model


# patterns of a table --------------------------------------------------------------------------


def test_a_shuffled_dense_table_is_dense() -> None:
    rng = np.random.default_rng(1)
    pairs = [(up, down) for down in range(3) for up in (7, 2, 5, 4)]
    order = rng.permutation(len(pairs))
    pattern = recognise(edges([pairs[k] for k in order]), 3)
    assert pattern.kind == "dense"
    assert pattern.rows.tolist() == [2, 4, 5, 7]
    ordered = [pairs[order[k]] for k in pattern.order]
    assert ordered == [(up, down) for down in range(3) for up in (2, 4, 5, 7)]


def test_one_edge_missing_is_dense_with_a_zero() -> None:
    pairs = [(up, down) for down in range(3) for up in range(4)]
    pattern = recognise(edges(pairs[:-1]), 3)
    assert pattern.kind == "padded"
    assert pattern.places.tolist() == list(range(11))
    assert pattern.reason == "92% of all pairs are connected: dense with zeros"


def test_one_edge_too_many_is_sparse() -> None:
    pairs = [(up, down) for down in range(3) for up in range(4)]
    pattern = recognise(edges([*pairs, (0, 0)]), 3)
    assert pattern.kind == "sparse"
    assert pattern.reason == "several connections between the same two nodes"


def test_one_edge_twice_and_another_missing_is_not_dense() -> None:
    """The count fits, the pairs do not."""
    pairs = [(up, down) for down in range(3) for up in range(4)]
    assert recognise(edges([*pairs[:-1], (0, 0)]), 3).kind == "sparse"


def test_one_edge_into_each_node_is_one_to_one_in_any_order() -> None:
    pattern = recognise(edges([(4, 2), (9, 0), (1, 1)]), 3)
    assert pattern.kind == "one-to-one"
    assert pattern.rows.tolist() == [9, 1, 4]


def test_two_edges_into_one_node_are_not_one_to_one() -> None:
    assert recognise(edges([(4, 0), (9, 0), (1, 1)]), 3).kind == "padded"


def test_one_source_of_two_nodes_is_not_one_to_one() -> None:
    assert recognise(edges([(4, 0), (4, 1), (1, 2)]), 3).kind == "padded"


def test_few_of_many_pairs_are_sparse() -> None:
    rng = np.random.default_rng(2)
    nodes = SMALL // 8
    pairs = [(int(rng.integers(200)), down) for down in range(nodes)]
    pairs = sorted(set(pairs) | {(up, 0) for up in range(200)})
    pattern = recognise(edges(pairs), nodes)
    assert pattern.kind == "sparse"
    assert pattern.reason.endswith("% of all pairs are connected")


@pytest.mark.parametrize(
    ("addresses", "shape", "found"),
    [
        ([5, 6, 9, 10], (2, 2), (5, 4)),
        ([0, 1, 2, 3], (2, 2), (0, 2)),
        ([3], (1, 1), (3, 1)),
        ([5, 7, 9, 11], (2, 2), None),  # every second weight
        ([4, 5, 5, 6], (2, 2), None),  # rows that overlap
        ([3, 3, 3, 3], (2, 2), None),  # one weight for all
        ([9, 10, 5, 6], (2, 2), None),  # upside down
        ([0, 1, 4, 5, 9, 10], (3, 2), None),  # uneven steps
    ],
)
def test_weights_are_a_view_only_where_they_lie_in_even_rows(
    addresses: list[int], shape: tuple[int, int], found: Any
) -> None:
    assert affine(np.array(addresses), shape) == found


@pytest.mark.parametrize("size", [0, 1, 2, 50])
def test_distinct_numbers_are_those_of_numpy(size: int) -> None:
    rng = np.random.default_rng(size)
    for spread in (1, 5, 2**40):
        numbers = rng.integers(-spread, spread, size)
        np.testing.assert_array_equal(distinct(numbers), np.unique(numbers))
        assert all_differ(numbers) == (len(np.unique(numbers)) == size)


# networks -------------------------------------------------------------------------------------


def layered(
    sizes: tuple[int, ...], skip: Any = (), extra: Any = (), order: int | None = None
) -> ng.Network:
    """Return hand-made fully connected layers; some pairs left out, some doubled, in any order."""
    rng = np.random.default_rng(5)
    layers = [[ng.InputNode(f"x{k}") for k in range(sizes[0])]]
    for depth, size in enumerate(sizes[1:], 1):
        layers.append([ng.Node("tanh", name=f"h{depth}_{k}") for k in range(size)])
    pairs = [
        (up, down)
        for above, below in pairwise(layers)
        for up in above
        for down in below
        if (up.name, down.name) not in skip
    ]
    pairs += [(up, down) for up, down in pairs if (up.name, down.name) in extra]
    if order is not None:
        pairs = [pairs[k] for k in np.random.default_rng(order).permutation(len(pairs))]
    for up, down in pairs:
        ng.Connection(up, down, weight=float(rng.normal() * 0.5))
    return ng.Network(inputs=layers[0], outputs=layers[-1])


def test_layers_made_by_hand_become_dense_products_without_copies() -> None:
    model = check(layered((4, 3, 2)), "dense", "dense")
    text = str(model.program)
    assert "gather" not in text
    assert "take" not in text  # the weights are views of the parameter


def test_the_order_in_which_connections_were_made_does_not_matter() -> None:
    for order in range(5):
        check(layered((4, 3, 2), order=order), "dense", "dense")


def test_a_missing_connection_leaves_a_zero() -> None:
    check(layered((4, 3, 2), skip={("x1", "h1_0")}), "padded", "dense")


def test_a_double_connection_makes_the_block_sparse() -> None:
    check(layered((4, 3, 2), extra={("x1", "h1_0")}), "sparse", "dense")


def test_shared_weights_are_gathered_and_their_gradients_added() -> None:
    inputs = [ng.InputNode(f"x{k}") for k in range(3)]
    nodes = [ng.Node("tanh", name=f"h{k}") for k in range(3)]
    shared = ng.Parameter([0.3, -0.4], name="shared")
    for node in nodes:
        for k, up in enumerate(inputs):
            ng.Connection(up, node, parameter=shared, index=k % 2)
    model = check(ng.Network(inputs=inputs, outputs=nodes), "dense")
    assert model.explain().rows[0].connections == 9
    assert model.explain().rows[0].parameters == 2


@pytest.mark.parametrize(
    ("share", "kernel", "reason"),
    [
        (1.0, "product", "every node feeds every node"),
        (0.5, "product", "50% of all pairs are connected: dense with zeros"),
        (0.02, "sparse", "2.33% of all pairs are connected"),  # of the 129 nodes still in use
    ],
)
def test_a_pruned_layer_runs_by_edges_where_few_are_left(share, kernel, reason) -> None:
    net = ng.Network([ng.Input((150,)), ng.Dense(80)], seed=0)
    net.prune(float(np.quantile(np.abs(net.parameters["dense/kernel"].value), 1 - share)))
    assert check(net, kernel, "bias").explain().rows[0].reason == reason


def test_one_to_one_connections_are_a_scaling() -> None:
    inputs = [ng.InputNode(f"x{k}") for k in range(3)]
    nodes = [ng.Node("tanh", name=f"h{k}") for k in range(3)]
    for up, node in zip(reversed(inputs), nodes, strict=True):
        ng.Connection(up, node, weight=0.5)
    model = check(ng.Network(inputs=inputs, outputs=nodes), "one-to-one")
    assert "scale(" in str(model.program)


def test_a_large_irregular_graph_is_a_sparse_product() -> None:
    rng = np.random.default_rng(3)
    inputs = [ng.InputNode() for _ in range(120)]
    nodes = [ng.Node("tanh") for _ in range(80)]
    for node in nodes:
        for up in rng.choice(120, size=3, replace=False):
            ng.Connection(inputs[up], node, weight=float(rng.normal()))
    net = ng.Network(inputs=inputs, outputs=nodes)
    model = check(net, "sparse")
    assert "csr_matvecs(" in model.source
    assert model.explain().rows[0].connections == 240
    check(net, "sparse", passes=())


def test_a_large_sparse_graph_through_time_agrees() -> None:
    rng = np.random.default_rng(4)
    inputs = [ng.InputNode() for _ in range(70)]
    nodes = [ng.Node("tanh") for _ in range(80)]
    outputs = [ng.Node("identity") for _ in range(70)]
    for node in nodes:
        for up in rng.choice(70, size=3, replace=False):
            ng.Connection(inputs[up], node, weight=float(rng.normal()))
        for other in rng.choice(80, size=3, replace=False):
            ng.Connection(nodes[other], node, weight=0.2 * float(rng.normal()), delay=1)
    for node in outputs:
        for up in rng.choice(80, size=2, replace=False):
            ng.Connection(nodes[up], node, weight=float(rng.normal()))
    net = ng.Network(inputs=inputs, outputs=outputs)
    x, y = rng.normal(size=(2, 4, 70)), rng.normal(size=(2, 4, 70))
    expected = walk(net, x, y, "sse")
    for passes in (None, ()):
        model = net.compile("sgd", "sse", dtype="float64", passes=passes)
        assert kinds(model).count("sparse") >= 2
        assert not differences(inspect(model, x, y), expected, 1e-9)
        assert not differences(train_step(model, x, y), expected, 1e-9)


def test_blocks_of_like_nodes_are_calculated_at_once() -> None:
    """Two layers that do not feed each other, with one activation: one product."""
    x = [ng.InputNode(f"x{k}") for k in range(3)]
    left = [ng.Node("tanh", name=f"left{k}") for k in range(2)]
    right = [ng.Node("tanh", name=f"right{k}") for k in range(2)]
    for up in x:
        for node in left + right:
            ng.Connection(up, node, weight=0.3)
    model = check(ng.Network(inputs=x, outputs=left + right), "dense")
    assert model.explain().rows[0].connections == 12


def test_frozen_connections_stay_and_removed_ones_are_gone() -> None:
    net = layered((4, 3, 2))
    net.find("x0->h1_1").trainable = False
    net.find("x1->h1_1").remove()
    frozen = net.find("x0->h1_1")
    before = frozen.weight
    model = check(net, "padded", "dense")
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))
    other = net.find("x0->h1_2")
    changed = other.weight
    for _ in range(3):
        model.train_on_batch(x, y)
    assert frozen.weight == before
    assert other.weight != changed
    assert len(net.connections) == 4 * 3 - 1 + 3 * 2


def test_removed_connections_of_a_library_layer_keep_their_zero() -> None:
    net = ng.Network([ng.Input((4,)), ng.Dense(3, activation="tanh"), ng.Dense(2)], seed=0)
    node = net.layer("dense")[1]
    gone = node.upstream[2]
    kernel = net.parameters["dense/kernel"]
    gone.remove()
    frozen = node.upstream[0]
    frozen.trainable = False
    before = frozen.weight
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))
    model = net.compile("adam", "mse")
    for _ in range(5):
        model.train_on_batch(x, y)
    assert kernel.value[2, 1] == 0.0
    assert frozen.weight == np.float32(before)
    found = net.compile("adam", "mse", dtype="float64")
    expected = walk(net, x, y, "mse")
    assert not differences(train_step(found, x, y), expected, 1e-9)
    assert len(node.upstream) == 4  # three inputs and the bias


# convolutions made by hand --------------------------------------------------------------------


def by_windows(geometry: Geometry2D, change: Any = None, order: int | None = None) -> ng.Network:
    """Return a convolution as hand-made nodes and connections; ``change`` edits their list.

    With ``order`` the nodes of both pictures are made, and given, in a random order.
    """
    source = ng.Input(geometry.in_shape)
    target = ng.graph.layer.Layer(geometry.out_shape, kind="map")
    kernel = ng.Parameter(shape=geometry.kernel_shape, initializer=_normal, name="kernel")
    bundle = ConvolutionConnections(source, target, kernel, geometry)
    ups, downs, addresses = bundle.edges()
    rng = None if order is None else np.random.default_rng(order)
    pixels = _nodes(geometry.in_shape, rng, lambda place: ng.InputNode(position=place))
    maps = _nodes(geometry.out_shape, rng, lambda place: ng.Node("tanh", position=place))
    table = list(zip(ups.tolist(), downs.tolist(), addresses.tolist(), strict=True))
    for up, down, address in change(table) if change else table:
        ng.Connection(pixels[up], maps[down], parameter=kernel, index=address)
    ends = [sorted(nodes, key=lambda node: node.serial) for nodes in (pixels, maps)]
    return ng.Network(inputs=ends[0], outputs=ends[1])


def _nodes(shape: Any, rng: Any, make: Any) -> list[Any]:
    """Return the nodes of a picture place by place, made in a random order if there is one."""
    places = list(np.ndindex(*shape))
    order = range(len(places)) if rng is None else rng.permutation(len(places)).tolist()
    made = {k: make(places[k]) for k in order}
    return [made[k] for k in range(len(places))]


def _normal(shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    return generator.normal(size=shape)


GEOMETRIES = {
    "plain": Geometry2D((4, 5, 2), (2, 3), 3),
    "strides": Geometry2D((7, 6, 1), (3, 2), 2, (2, 3)),
    "dilation": Geometry2D((6, 7, 1), (2, 2), 2, (1, 1), (0, 0, 0, 0), (2, 3)),
    "padding": Geometry2D((4, 4, 2), (3, 3), 2, (1, 1), (1, 1, 1, 1)),
    "one whole window": Geometry2D((5, 4, 1), (3, 3), 2, (2, 2), (1, 1, 1, 1)),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_windows_of_shared_weights_are_a_convolution(name: str) -> None:
    check(by_windows(GEOMETRIES[name]), "convolve")


def test_nodes_made_in_any_order_are_a_convolution() -> None:
    for order in range(3):
        model = check(by_windows(GEOMETRIES["plain"], order=order), "convolve")
        assert "scatter" in str(model.program)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda table: table[1:], id="one missing"),
        pytest.param(lambda table: [*table, table[0]], id="one twice"),
        pytest.param(
            lambda table: [(table[0][0], table[0][1], table[1][2]), *table[1:]],
            id="another weight",
        ),
        pytest.param(
            lambda table: [((table[0][0] + 1) % 40, *table[0][1:]), *table[1:]],
            id="another pixel",
        ),
    ],
)
def test_what_is_nearly_a_convolution_is_none(change: Any) -> None:
    net = by_windows(GEOMETRIES["plain"], change)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40)), rng.normal(size=(2, 27))
    model = net.compile("sgd", "sse", dtype="float64")
    assert "convolve" not in kinds(model)
    assert not differences(train_step(model, x, y), walk(net, x, y, "sse"), 1e-9)


def test_nodes_in_any_order_fill_a_grid_and_gaps_do_not() -> None:
    assert grid_of([(0, 1, 0), (1, 1, 0), (0, 0, 0), (1, 0, 0)]).nodes.tolist() == [2, 0, 3, 1]  # type: ignore[union-attr]
    assert grid_of([(0, 0, 0), (1, 1, 0)]) is None
    assert grid_of([(0, 0, 0), (0, 0, 0)]) is None
    assert grid_of([(0, 0, 0), None]) is None
    assert grid_of([(0, 0)]) is None
    assert grid_of([(-1, 0, 0), (0, 0, 0)]) is None


def test_weights_of_several_parameters_are_no_convolution() -> None:
    image = grid_of([(row, column, 0) for row in range(3) for column in range(3)])
    assert image is not None
    table = edges([(k, k) for k in range(9)], np.zeros(9, dtype=np.int64))
    assert convolution_of(table, image, image, 1) is not None
    mixed = Edges(table.ups, table.downs, np.arange(9) % 2, table.addresses)
    assert convolution_of(mixed, image, image, 1) is None
    assert convolution_of(table, image, image, 2) is None  # the parameter has weights besides


# the table of model.explain() -----------------------------------------------------------------


def test_explain_counts_connections_weights_and_work() -> None:
    net = ng.Network([ng.Input((6, 5, 2)), ng.Conv2D(3, 3), ng.Flatten(), ng.Dense(2)])
    explained = net.compile().explain()
    rows = {row.block: row for row in explained.rows}
    assert rows["input -> conv2d"].kernel == "convolve"
    assert rows["input -> conv2d"].connections == 4 * 3 * 9 * 2 * 3
    assert rows["input -> conv2d"].parameters == 54
    assert rows["flatten -> dense"].connections == 36 * 2
    assert sum(row.connections for row in explained.rows) == len(net.connections)


def test_explain_names_the_functions_of_whole_layers_with_their_weights() -> None:
    made = [ng.LayerNormalization(), ng.BatchNormalization(), ng.LocalResponseNormalization()]
    net = ng.Network([ng.Input((3,)), *made, ng.Dense(2, activation="softmax")])
    rows = [row for row in net.compile().explain().rows if not row.connections]
    assert [(row.block, row.kernel, row.parameters) for row in rows] == [
        ("layer_normalization", "layer_norm", 6),
        ("batch_normalization", "normalize", 12),
        ("local_response_normalization", "local_response", 0),
        ("dense", "softmax", 0),
    ]
    assert rows[0].reason == "each sample by its own mean and variance"


def test_explain_of_an_irregular_graph_is_a_table() -> None:
    assert str(compile_case("handmade_lateral").explain()) == (
        """\
block                       kernel      why                          connections  parameters  FLOPs  bytes
--------------------------  ----------  ---------------------------  -----------  ----------  -----  -----
a -> h0, h2                 dense       every node feeds every node            2           2      4     16
h1, h0 -> h0, h2 [delay 1]  one-to-one  node i feeds node i                    2           2      4     16
b, h0 -> h1                 dense       every node feeds every node            2           2      4     16
h2 -> h1 [delay 2]          dense       every node feeds every node            1           1      2      8
h0, h2, h1 -> y             dense       every node feeds every node            3           3      6     24
a -> y [delay 2]            dense       every node feeds every node            1           1      2      8
--------------------------  ----------  ---------------------------  -----------  ----------  -----  -----
all                                     6 blocks                              11          11     22     88"""  # noqa: E501
    )


# weights that are 1 for good --------------------------------------------------------------------


def _peepholes(**options: Any) -> tuple[ng.Network, list[ng.Node]]:
    """Return a loop through product nodes that no cell has."""
    x = [ng.InputNode(f"x{k}") for k in range(3)]
    gate = [ng.Node("sigmoid", name=f"gate{k}") for k in range(3)]
    memory = [ng.Node("tanh", name=f"memory{k}", initial=0.5) for k in range(3)]
    kept = [ng.Node("identity", "product", name=f"kept{k}") for k in range(3)]
    for k in range(3):
        ng.Connection(x[k], gate[k], weight=0.7)
        ng.Connection(memory[k - 1], gate[k], weight=-0.4, delay=1)
        ng.Connection(gate[k], kept[k], **options)
        ng.Connection(memory[k], kept[k], delay=1, **options)
        ng.Connection(kept[k], memory[k], weight=0.6)
        ng.Connection(x[k], memory[k], weight=0.3)
    return ng.Network(inputs=x, outputs=memory), kept


def _agree(net: ng.Network, model: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 3))
    expected = walk(net, x, y, "sse")
    assert not differences(train_step(model, x, y), expected, 1e-9)
    assert not differences(inspect(model, x, y), expected, 1e-9)


@pytest.mark.parametrize("passes", [None, ()])
def test_factors_of_constant_weight_one_are_read_where_they_lie(passes: Any) -> None:
    net, kept = _peepholes(weight=1.0, trainable=False)
    model = net.compile("sgd", "sse", dtype="float64", passes=passes)
    _agree(net, model)
    assert "signal" not in str(model.program)
    kept[1].upstream[0].weight = -0.5
    _agree(net, model)
    assert "signal" in str(model.program)


def test_factors_whose_weights_are_trained_are_scaled() -> None:
    net, _ = _peepholes(weight=1.0)
    model = net.compile("sgd", "sse", dtype="float64")
    _agree(net, model)
    assert "signal" in str(model.program)


def test_a_parameter_may_be_called_constant() -> None:
    shared = ng.Parameter(1.0, name="constant", trainable=False)
    net, _ = _peepholes(parameter=shared)
    model = net.compile("sgd", "sse", dtype="float64")
    _agree(net, model)
    shared.value = 0.3
    _agree(net, model)
