"""Pooling made by hand: recognised where every weight is 1 for good, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from both_ways import differences, inspect, train_step, walk

import neurograph as ng
from neurograph.graph.layer import Layer
from neurograph.graph.network import Network
from neurograph.graph.spatial import PoolingConnections
from neurograph.kernels.geometry import Geometry2D

GEOMETRIES = {
    "plain": Geometry2D.pooling((4, 6, 2), (2, 3)),
    "overlapping": Geometry2D.pooling((5, 7, 2), (3, 2), (2, 1)),
    "same": Geometry2D.pooling((5, 6, 1), (3, 2), (2, 2), "same"),
    "remainder": Geometry2D.pooling((5, 7, 2), (2, 2)),
    "whole": Geometry2D.pooling((3, 4, 3), (3, 4)),
    "dense": Geometry2D.pooling((4, 5, 2), (2, 3), (1, 1)),
    "dense and padded": Geometry2D.pooling((4, 5, 2), (3, 3), (2, 1), "same"),
}
DENSE = [name for name in GEOMETRIES if name.startswith("dense")]
Table = list[tuple[int, int]]


class Pool:
    """A hand-made pooling between a layer of tanh nodes and outputs that read everything."""

    def __init__(
        self,
        geometry: Geometry2D,
        aggregation: str = "max",
        change: Callable[[Table], Table] | None = None,
        activation: str = "identity",
        sequence: bool = False,
        **options: Any,
    ) -> None:
        source, target = ng.Input(geometry.in_shape), Layer(geometry.out_shape, kind="map")
        ups, downs, _ = PoolingConnections(source, target, geometry).edges()
        rng = np.random.default_rng(2)
        table: Table = list(zip(ups.tolist(), downs.tolist(), strict=True))
        inputs = [ng.InputNode(f"x{k}") for k in range(3)]
        self.pixels = [ng.Node("tanh", position=place) for place in np.ndindex(*geometry.in_shape)]
        self.maps = [
            ng.Node(activation, aggregation, position=place)
            for place in np.ndindex(*geometry.out_shape)
        ]
        for pixel in self.pixels:
            for x in inputs:
                ng.Connection(x, pixel, weight=float(rng.normal()))
        for up, down in change(table) if change else table:
            given = options or {"weight": 1.0, "trainable": False}
            ng.Connection(self.pixels[up], self.maps[down], **given)
        y = ng.Node("identity", name="y")
        for k, node in enumerate(self.maps):
            ng.Connection(node, y, weight=0.1 * k - 0.3)
        if sequence:
            ng.Connection(y, y, weight=0.3, delay=1)
        self.net = Network(inputs=inputs, outputs=[y])

    def data(self) -> tuple[Any, Any]:
        rng = np.random.default_rng(3)
        time = (4,) if self.net.is_recurrent else ()
        return rng.normal(size=(3, *time, 3)), rng.normal(size=(3, *time, 1))

    def check(self, *kernels: str, passes: Any = None) -> Any:
        """Compile, compare with the nodes, and see which pooling kernels were chosen."""
        x, y = self.data()
        model = self.net.compile("sgd", "sse", dtype="float64", passes=passes)
        expected = walk(self.net, x, y, "sse")
        assert not differences(train_step(model, x, y), expected, 1e-9)
        assert not differences(inspect(model, x, y), expected, 1e-9)
        assert kernels_of(model) == list(kernels)
        return model


def kernels_of(model: Any) -> list[str]:
    return [row.kernel for row in model.explain().rows if row.kernel.endswith("pool")]


@pytest.mark.parametrize(
    ("name", "aggregation"),
    [*((name, "max") for name in GEOMETRIES), *((name, "mean") for name in DENSE)],
)
def test_windows_of_weight_one_are_a_pooling(name: str, aggregation: str) -> None:
    for passes in (None, ()) if name == "overlapping" else (None,):
        pool = Pool(GEOMETRIES[name], aggregation, activation="tanh")
        model = pool.check(f"{aggregation} pool", passes=passes)
    rows = {row.kernel: row for row in model.explain().rows}
    assert rows[f"{aggregation} pool"].connections == sum(len(n.upstream) for n in pool.maps)
    assert sum(row.connections for row in model.explain().rows) == len(pool.net.connections)
    assert f"{'max_pool' if aggregation == 'max' else 'average_pool'}(" in model.source


@pytest.mark.parametrize("aggregation", ["max", "mean"])
def test_pictures_may_come_one_after_the_other(aggregation: str) -> None:
    Pool(GEOMETRIES["dense"], aggregation, sequence=True).check(f"{aggregation} pool")


def test_one_constant_for_all_connections_will_do() -> None:
    one = ng.Parameter(1.0, name="unit", trainable=False)
    Pool(GEOMETRIES["plain"], parameter=one).check("max pool")


def test_means_of_few_windows_are_a_sparse_product() -> None:
    model = Pool(GEOMETRIES["plain"], "mean").check()
    assert "pool" not in model.source


def test_its_gradients_are_those_of_finite_differences() -> None:
    for aggregation in ("max", "mean"):
        pool = Pool(Geometry2D.pooling((3, 3, 1), (2, 2), (1, 1)), aggregation)
        report = ng.gradient_check(pool.net, *pool.data(), loss="sse")
        assert report.ok, str(report)


def test_of_equal_values_the_first_wins_as_node_by_node() -> None:
    pool = Pool(GEOMETRIES["overlapping"])
    for pixel in pool.pixels:
        for connection in pixel.upstream:
            connection.weight = 0.5
    pool.check("max pool")


@pytest.mark.parametrize("order", range(3))
def test_the_order_in_which_connections_were_made_does_not_matter(order: int) -> None:
    rng = np.random.default_rng(order)
    pool = Pool(GEOMETRIES["plain"], change=lambda table: [table[k] for k in rng.permutation(48)])
    pool.check("max pool")


@pytest.mark.parametrize("aggregation", ["max", "mean"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda table: table[1:], id="one missing"),
        pytest.param(lambda table: [*table, table[0]], id="one twice"),
        pytest.param(lambda table: [*table[1:], table[1]], id="one instead of another"),
        pytest.param(lambda table: [(table[0][0] + 1, table[0][1]), *table[1:]],
                     id="another channel"),
        pytest.param(lambda table: [*table, (39, 0)], id="one more"),
    ],
)  # fmt: skip
def test_what_is_nearly_a_pooling_is_none(aggregation: str, change: Any) -> None:
    Pool(GEOMETRIES["dense"], aggregation, change=change).check()


@pytest.mark.parametrize("options", [{"weight": 1.0}, {"weight": 0.5, "trainable": False}])
def test_weights_that_are_trained_or_not_one_are_kept(options: Any) -> None:
    for aggregation in ("max", "mean"):
        Pool(GEOMETRIES["dense"], aggregation, **options).check()


def test_one_weight_among_all_decides() -> None:
    for change in ("trainable", "weight"):
        pool = Pool(GEOMETRIES["plain"])
        connection = pool.maps[1].upstream[2]
        setattr(connection, change, {"trainable": True, "weight": 1.5}[change])
        pool.check()


def test_nodes_out_of_order_would_choose_another_winner() -> None:
    """The node-by-node maximum goes by the order of the nodes, the kernel by their places."""
    places = [(row, column, 0) for row in range(2) for column in range(2)]
    for order, found in (([0, 1, 2, 3], ["max pool"]), ([0, 2, 1, 3], [])):
        x = [ng.InputNode(position=places[k]) for k in order]
        y = ng.Node("identity", "max", position=(0, 0, 0))
        for node in x:
            ng.Connection(node, y, weight=1.0, trainable=False)
        model = Network(inputs=x, outputs=[y]).compile("sgd", "sse", dtype="float64")
        assert kernels_of(model) == found


def test_nodes_without_a_place_are_no_picture() -> None:
    pool = Pool(GEOMETRIES["plain"])
    pool.maps[0].position = None
    pool.net.version.number += 1
    pool.check()


def test_a_weight_that_is_changed_is_noticed_at_the_next_call() -> None:
    pool = Pool(GEOMETRIES["plain"])
    x, y = pool.data()
    model = pool.net.compile("sgd", "sse", dtype="float64")
    model.train_on_batch(x, y)
    assert kernels_of(model) == ["max pool"]
    pool.maps[3].upstream[1].weight = -2.0
    assert not differences(train_step(model, x, y), walk(pool.net, x, y, "sse"), 1e-9)
    assert kernels_of(model) == []
