"""Receptive fields against the gradient: what a node cannot see, it does not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES

import neurograph as ng


def test_two_small_windows_see_what_one_large_one_sees() -> None:
    two = ng.Network([ng.Input((9, 8, 2)), ng.Conv2D(3, 3), ng.Conv2D(1, 3)])
    one = ng.Network([ng.Input((9, 8, 2)), ng.Conv2D(1, 5)])
    for place in ((0, 0, 0), (2, 3, 0), (4, 3, 0)):
        seen_twice = ng.receptive_field(two.layer("conv2d_1")[place]).seen["input"]
        seen_once = ng.receptive_field(one.layer("conv2d")[place]).seen["input"]
        assert np.array_equal(seen_twice, seen_once)
        assert seen_once.sum() == 50


def test_a_border_cuts_the_field() -> None:
    net = ng.Network([ng.Input((6, 6, 1)), ng.Conv2D(1, 3, padding="same")])
    field = ng.receptive_field(net.layer("conv2d")[0, 0, 0])
    assert len(field) == 4
    assert field.box("input") == (slice(0, 2), slice(0, 2), slice(0, 1))


def test_hand_made_nodes_see_what_their_connections_reach() -> None:
    a, b, c = (ng.InputNode(name) for name in "abc")
    h, y = ng.Node("tanh", name="h"), ng.Node("tanh", name="y")
    ng.Connection(a, h, 0.1)
    ng.Connection(b, y, 0.1)
    ng.Connection(h, y, 0.1, delay=1)
    ng.Connection(y, h, 0.1, delay=1)
    net = ng.Network(inputs=[a, b, c], outputs=[y])
    assert ng.receptive_field(net.node("h")).seen["nodes"].tolist()[:3] == [True, True, False]


@pytest.mark.parametrize("name", ["inception", "residual", "pooled_convolution", "skip"])
def test_the_output_depends_on_nothing_outside_its_field(name: str) -> None:
    case = CASES[name]
    net = case.network()
    x, _ = case.data(net)
    model = net.compile("sgd", case.loss, dtype="float64")
    layer = [each for each in net.layers if each.role == "units"][1]
    node = layer[layer.size // 2]
    seen = ng.receptive_field(node).seen["input"]
    model.inspect(x)
    before = np.array(node.output)
    model.inspect(np.where(seen, x, x + 1.0))
    np.testing.assert_array_equal(node.output, before)
    model.inspect(x + 0.3)
    assert not np.array_equal(node.output, before)


def test_a_node_of_no_network_is_refused() -> None:
    with pytest.raises(ng.GraphError, match="put the node into a network"):
        ng.receptive_field(ng.Node("tanh", name="lonely"))
    with pytest.raises(ng.GraphError, match="got 3, expected a node"):
        ng.receptive_field(3)
