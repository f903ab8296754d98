"""The object graph: handles, homes of values, exact lengths, editing, printing."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import islice

import numpy as np
import pytest
from cases import CASES

import neurograph as ng
from neurograph.graph.bundles import (
    BiasConnections,
    DenseConnections,
    OneToOneConnections,
    TableConnections,
)
from neurograph.graph.layer import Layer


def diamond() -> tuple[ng.Network, ng.Parameter]:
    """Return a, b -> h -> y with a skip a -> y that shares its weight with b -> h, and a bias."""
    a, b = ng.InputNode("a"), ng.InputNode("b")
    h, y = ng.Node("tanh", name="h"), ng.Node("sigmoid", name="y")
    one, w = ng.ConstNode("one"), ng.Parameter(0.5, name="w")
    ng.Connection(a, h, weight=0.3)
    ng.Connection(b, h, parameter=w)
    ng.Connection(a, y, parameter=w)
    ng.Connection(one, h, weight=0.1)
    ng.Connection(h, y, weight=-1.2)
    return ng.Network(inputs=[a, b], outputs=[y]), w


# one home of every value -----------------------------------------------------------------------


def test_shared_weight_is_one_number():
    net, w = diamond()
    net.find("b->h").weight = 0.7
    assert net.find("a->y").weight == 0.7
    assert float(w.value) == 0.7
    w.value = -0.2
    assert [net.find(name).weight for name in ("b->h", "a->y")] == [-0.2, -0.2]


def test_weight_of_a_library_layer_is_an_element_of_its_parameter():
    net = ng.Network([3, 2])
    kernel, bias = net.parameters["layer_1/kernel"], net.parameters["layer_1/bias"]
    kernel.value = np.arange(6.0).reshape(3, 2)
    bias.value = [10.0, 20.0]
    weights = [connection.weight for connection in net.layer("layer_1")[1].upstream]
    assert weights == [1.0, 3.0, 5.0, 20.0]
    net.find("(0-2)->(1-0)").weight = -4.0
    assert kernel.value[2, 0] == -4.0


def test_weight_follows_its_parameter_into_a_new_home():
    net, _ = diamond()
    connection = net.find("h->y")
    parameter = connection.parameter
    value, gradient = np.empty(parameter.shape), np.empty(parameter.shape)
    parameter.move(value, gradient)
    assert connection.weight == -1.2
    value[connection.index] = 4.0
    assert connection.weight == 4.0


def test_values_are_read_and_written_through_node_and_layer():
    layer = Layer((2, 3), name="image")
    layer.keep("output", np.arange(24.0).reshape(4, 2, 3))
    assert layer[1, 2].output.tolist() == [5.0, 11.0, 17.0, 23.0]
    assert layer.output.tolist() == np.arange(24.0).reshape(4, 2, 3).tolist()
    layer.reset(())
    layer[1, 0].output = 2.5
    assert layer.output.tolist() == [[0.0, 0.0, 0.0], [2.5, 0.0, 0.0]]
    assert type(layer[3].output) is float


# handles -----------------------------------------------------------------------------------------


def test_same_node_and_connection_every_time():
    net = ng.Network([4, 3, 2])
    hidden = net.layer("layer_1")
    assert hidden[1] is hidden[1] is hidden.nodes[1] is net.node("(1-1)") is net.node("layer_1[1]")
    assert hidden[1].upstream[2] is net.layer("layer_0")[2].downstream[1]
    assert net.find("(0-2)->(1-1)") is hidden[1].upstream[2]
    assert hidden[1].upstream[2].upstream_node is net.layer("layer_0")[2]
    assert next(iter(net.connections)).downstream_node is hidden[0]


def test_handles_cost_nothing_until_touched_and_are_let_go():
    net = ng.Network([784, 300, 10])
    bundles = net.bundles
    assert not any(bundle.handles() for bundle in bundles)
    node = net.layer("layer_2")[3]
    assert len(node.upstream) == 301
    assert sum(len(bundle.handles()) for bundle in bundles) == 301
    del node
    gc.collect()
    assert not any(bundle.handles() for bundle in bundles)


def test_last_node_of_a_tutorial_layer_is_its_constant():
    layer = ng.Network([2, 3]).layer("layer_0")
    assert len(layer.nodes) == 3
    assert isinstance(layer.nodes[-1], ng.ConstNode)
    assert layer.nodes[2].output == 1.0
    assert [node.label for node in layer.nodes[1:]] == ["(0-1)", "(0-2)"]
    with pytest.raises(ng.GraphError, match="always 1"):
        layer.nodes[2].output = 2.0


def test_a_changed_activation_of_a_layer_reaches_its_nodes():
    net = ng.Network([1, 1])
    node = net.layer("layer_1")[0]
    version = net.version.number
    net.layer("layer_1").activation = "tanh"
    assert node.activation.name == net.layer("layer_1")[0].activation.name == "tanh"
    assert net.version.number > version
    with pytest.raises(ng.GraphError, match=r"set layer\.activation instead"):
        node.activation = "relu"


# exact numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "connections"), [([3, 4, 2], 26), ([784, 300, 10], 238510), ([2, 2], 6)]
)
def test_number_of_connections_is_exact(sizes, connections):
    net = ng.Network(sizes)
    assert len(net.connections) == connections
    assert sum(parameter.size for parameter in net.parameters.values()) == connections
    if connections < 100:
        assert sum(1 for _ in net.connections) == connections


def test_number_of_connections_of_a_giant_is_instant_and_exact():
    below, above = Layer((100_000,), name="below"), Layer((100_000,), name="above")
    kernel = ng.Parameter(shape=(100_000, 100_000), name="kernel")
    bundle = DenseConnections(below, above, kernel)
    assert len(bundle) == 10**10
    assert not kernel.is_materialised
    assert bundle.into(7)[0].tolist()[:3] == [0, 1, 2]
    assert bundle.into(7)[1].tolist()[:2] == [7, 100_007]


def test_a_connection_is_looked_at_without_drawing_all_weights():
    net = ng.Network([ng.Input(3), ng.Dense(2, bias_initializer="ones")], seed=0)
    connections = net.layer("dense")[1].upstream
    kernel, bias = net.parameters.values()
    assert [each.upstream_node.label for each in connections[:2]] == ["input[0]", "input[1]"]
    assert not kernel.is_materialised
    assert connections[3].weight == 1.0
    assert bias.is_materialised
    assert not kernel.is_materialised
    connections[0].weight = 0.25
    assert kernel.value[0, 1] == 0.25
    assert connections[0].gradient == 0.0


def bundles() -> dict[str, object]:
    """Return one small bundle of each plain kind."""

    def pair(low: int, high: int) -> tuple[Layer, Layer]:
        return Layer((low,), name="low"), Layer((high,), name="high")

    def matrix(*shape: int) -> ng.Parameter:
        return ng.Parameter(np.random.default_rng(0).normal(size=shape), name="kernel")

    return {
        "dense": DenseConnections(*pair(3, 2), matrix(3, 2)),
        "dense columns": DenseConnections(*pair(3, 2), matrix(3, 6), first_column=2),
        "dense positions": DenseConnections(*pair(6, 4), matrix(3, 2), positions=2),
        "bias": BiasConnections(Layer((1,), role="const"), Layer((6,)), matrix(3), channels=3),
        "one to one": OneToOneConnections(*pair(4, 4)),
        "one to one block": OneToOneConnections(
            *pair(12, 20), matrix(2), source_shape=(3, 4), target_shape=(5, 4), block=(2, 2),
            source_start=(1, 2), target_start=(3, 0),
        ),
        "table": TableConnections(
            *pair(4, 3), matrix(5), ups=[0, 3, 1, 0], downs=[2, 0, 1, 1], addresses=[4, 0, 2, 4]
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", bundles())
def test_a_bundle_enumerates_the_same_connections_in_every_way(name):
    bundle = bundles()[name]
    ups, downs, addresses = bundle.edges()
    edges = list(zip(ups.tolist(), downs.tolist(), addresses.tolist(), strict=True))
    assert len(bundle) == len(edges) == len(set(edges))
    into = [
        (up, down, address)
        for down in range(bundle.target.size)
        for up, address in zip(*(each.tolist() for each in bundle.into(down)), strict=True)
    ]
    assert sorted(into) == sorted(edges)
    listed = [(each.upstream_node.index, each.downstream_node.index, each.index) for each in bundle]
    assert listed == edges == sorted(edges)
    by_hand = np.zeros((bundle.source.size, bundle.target.size))
    for connection in bundle:
        by_hand[connection.upstream_node.index, connection.downstream_node.index] += (
            connection.weight
        )
    assert bundle.matrix().tolist() == by_hand.tolist()
    every = list(bundle)
    assert all(bundle[k] is each for k, each in enumerate(every))
    assert bundle[-1] is every[-1]
    assert bundle[::-1] == every[::-1]


@pytest.mark.parametrize("name", CASES)
def test_connections_have_the_numbers_of_their_order(name):
    net = CASES[name].build()
    for _ in range(2):  # the second time with connections taken out
        connections, count = net.connections, len(net.connections)
        every = list(islice(connections, 500))
        assert connections[:500] == every
        assert connections[400:2:-3] == every[400:2:-3]
        assert connections[len(every) - 1] is every[-1]
        assert len(connections[-500:]) == len(every)
        if count <= 500:
            assert connections[-1] is every[-1]
            assert connections[-count] is every[0]
        net.prune(0.2)


def test_looking_at_some_connections_of_a_giant_makes_no_others():
    vgg = ng.zoo.vgg16()
    connections = vgg.connections
    found = connections[0], connections[7_000_000_000], connections[-1]
    assert [each.downstream_node.layer.name for each in found] == ["conv2d", "conv2d_5", "dense_2"]
    assert found[1].label == "conv2d_4[43, 38, 252] -> conv2d_5[44, 38, 0]"
    assert sum(len(layer._handles) for layer in vgg.all_layers) == 6
    assert not any(each.is_materialised for each in vgg.parameters.values())
    with pytest.raises(IndexError, match=r"there are 14,989,543,656 connections, there is no num"):
        connections[2 * 10**10]
    with pytest.raises(ng.OptionError, match=r"'h->y'\]: give a whole number or a slice; network"):
        connections["h->y"]


# editing -----------------------------------------------------------------------------------------


def test_connect_and_remove_by_name():
    net, _ = diamond()
    count = len(net.connections)
    new = net.connect("b", "y", weight=0.2)
    assert net.find("b->y") is new
    assert len(net.connections) == count + 1
    assert new.weight == 0.2
    weights = [each.weight for each in net.connections]
    new.remove()
    assert len(net.connections) == count
    assert sorted(weights) == sorted([0.2, *(each.weight for each in net.connections)])
    with pytest.raises(ng.UnknownNameError, match="unknown connection"):
        net.find("b->y")


def test_a_connection_between_layers_that_is_removed_is_no_longer_seen():
    net = ng.Network([ng.Input((3,), name="x"), ng.Dense(2, name="d")], seed=0)
    node, before = net.layer("d")[1], net.predict(np.ones(3), explicit=True)
    new = net.connect("x[0]", "d[1]", weight=0.5)
    assert node.upstream[-1] is new
    new.remove()
    assert [each.upstream_node.index for each in node.upstream] == [0, 1, 2, 0]
    np.testing.assert_array_equal(net.predict(np.ones(3), explicit=True), before)


def test_connect_adopts_a_new_node():
    net, _ = diamond()
    extra = ng.Node("relu", name="extra")
    ng.Connection(net.node("a"), extra, weight=1.0)
    net.connect(extra, "y", weight=0.4)
    assert net.node("extra") is extra
    assert net.predict([1.0, 0.0], explicit=True) == pytest.approx(
        1 / (1 + np.exp(-(0.5 + 0.4 - 1.2 * np.tanh(0.4)))), abs=1e-15
    )


def test_every_edit_is_noticed_by_the_version():
    net, _ = diamond()
    seen = [net.version.number]
    net.find("h->y").trainable = False
    seen.append(net.version.number)
    net.node("h").activation = "relu"
    seen.append(net.version.number)
    net.connect("b", "y", weight=0.5)
    seen.append(net.version.number)
    net.find("b->y").remove()
    seen.append(net.version.number)
    assert seen == sorted(set(seen))


def test_prune_takes_out_weak_connections_and_leaves_biases():
    net = ng.Network([2, 2])
    net.parameters["layer_1/kernel"].value = [[0.5, 0.01], [-0.001, -0.6]]
    net.parameters["layer_1/bias"].value = [0.0, 0.001]
    assert net.prune(0.1) == 2
    assert len(net.connections) == 4
    names = [each.label for each in net.connections]
    assert names == ["(0-0) -> (1-0)", "(0-1) -> (1-1)", "(0-2) -> (1-0)", "(0-2) -> (1-1)"]
    made, _ = diamond()
    assert made.prune(0.35) == 1  # a -> h; biases and shared weights stay
    assert len(made.connections) == 4


def test_removed_dense_connection_stays_out():
    net = ng.Network([2, 2])
    connection = net.find("(0-1)->(1-0)")
    connection.remove()
    assert len(net.connections) == 5
    assert [each.upstream_node.label for each in net.node("(1-0)").upstream] == ["(0-0)", "(0-2)"]
    kernel = net.parameters["layer_1/kernel"]
    assert kernel.value[1, 0] == 0.0
    for _ in range(3):
        net.train_one_sample([1.0, 0.0], [1.0, 1.0], 0.5)
    assert kernel.value[1, 0] == 0.0


def test_a_weight_that_another_connection_uses_stays_when_one_is_removed():
    a, b = ng.Input((2,), name="a"), ng.Input((2,), name="b")
    both = ng.Dense(3, name="both")
    net = ng.Network(inputs=[a, b], outputs=[both(a), both(b)], seed=0)
    here, there = (net.layer(each)[1].upstream[0] for each in ("both", "both_1"))
    weight = here.weight
    here.remove()
    assert (there.weight, there.trainable, len(net.connections)) == (weight, True, 17)
    there.remove()
    kernel = net.parameters["both/kernel"]
    assert (kernel.value[0, 1], kernel.is_trainable_at(1), len(net.connections)) == (0.0, False, 16)


def test_a_bundle_that_a_table_has_replaced_says_so():
    net = ng.Network([ng.Input((5, 1)), ng.Conv1D(1, 2)], seed=0)
    first, second = list(net.layer("conv1d").incoming[0])[:2]
    bundle = net.layer("conv1d").incoming[0]
    first.remove()
    second.remove()
    assert len(net.connections) == 4 * 3 - 2
    with pytest.raises(ng.GraphError, match="input -> conv1d: this bundle is no longer there, a"):
        list(bundle)[2].remove()


def test_frozen_connection_does_not_learn():
    net, _ = diamond()
    net.find("h->y").trainable = False
    assert not net.find("h->y").trainable
    assert net.find("a->h").trainable
    before = net.find("a->h").weight
    net.train_one_sample([1.0], [0.5, -1.0], 0.5)
    assert net.find("h->y").weight == -1.2
    assert net.find("a->h").weight != before
    net.find("h->y").update_weight(0.5)
    assert net.find("h->y").weight == -1.2


# printing ----------------------------------------------------------------------------------------


def test_texts_worth_reading():
    net, _ = diamond()
    net.predict([1.0, 2.0], explicit=True)
    net.calc_delta([1.0])
    assert str(net) == "network: 2 -> 1, 5 hand-made nodes, 5 connections, 4 parameters"
    assert str(net.node("h")) == (
        "h: tanh of sum, output 0.885352, delta -0.0382058, 3 upstream, 1 downstream"
    )
    assert str(net.node("a")) == "a: input, output 1"
    assert str(net.node("one")) == "one: constant, output 1"
    assert str(net.find("h->y")) == "h -> y: weight -1.2, gradient 0"
    assert repr(net.find("h->y")) == "<Connection h -> y, weight -1.2>"
    assert repr(net.node("h")) == "<Node h>"
    tutorial = ng.Network([2, 3, 1])
    assert str(tutorial) == (
        "network: 2 -> 1, 2 layers with weights, 13 connections, 13 parameters"
    )
    assert str(tutorial.layer("layer_1")) == "layer_1: units of shape (3,), sigmoid"
    assert len(tutorial.dump().splitlines()) == 3 + 4 + 2 + 13
    assert tutorial.connections.dump(limit=2).splitlines()[-1] == "… 11 more"


# memory ------------------------------------------------------------------------------------------


def test_a_hundred_thousand_connections_take_under_300_bytes_each():
    count = 100_000
    nodes = [ng.Node("tanh") for _ in range(1000)]
    weights = [0.001 * k for k in range(count)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for k, weight in enumerate(weights):
        ng.Connection(nodes[k % 499], nodes[500 + k % 500], weight)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert (after - before) / count < 300
