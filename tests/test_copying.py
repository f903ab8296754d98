"""Copies in memory: networks, their parts and models, by ``copy`` and by ``pickle``."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import CASES
from storage_cases import assert_same

import neurograph as ng
from neurograph.errors import GraphError
from neurograph.graph.network import Network

WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda each: pickle.loads(pickle.dumps(each)),
}
NAMES = [name for name in CASES if name.startswith("handmade") or name in (
    "dense", "conv2d_two", "batch_normalization", "lstm_fixed_state", "gru_states", "embedding",
    "bidirectional_states", "given_mask", "tutorial_231", "recursive",
)]  # fmt: skip


@pytest.fixture(params=WAYS)
def copied(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WAYS[request.param]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_and_its_copy_are_equal_and_share_nothing(name: str, copied: Any) -> None:
    net = CASES[name].network()
    twin = copied(net)
    assert type(twin) is type(net)
    assert_same(net, twin)
    for one, other in zip(net.parameters.values(), twin.parameters.values(), strict=True):
        assert one is not other
        other.value = other.value + 1.0
        assert not np.array_equal(one.value, other.value)
    x, _ = CASES[name].data(net)
    assert not np.array_equal(first(net.predict(x)), first(twin.predict(x)))


def first(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, list) else outputs


def test_a_compiled_network_is_copied_with_the_weights_of_now(copied: Any) -> None:
    case = CASES["handmade"]
    net = case.network()
    x, y = case.data(net)
    model = net.compile("sgd(0.5)", "sse")
    model.train_on_batch(x, y)
    twin = copied(net)
    before = twin.find("h->y").weight, twin.find("a->h").weight
    assert before == (net.find("h->y").weight, net.find("a->h").weight)
    model.train_on_batch(x, y)
    assert net.find("a->h").weight != before[1]
    assert twin.find("a->h").weight == before[1]
    assert twin.find("b->h").parameter is twin.find("a->y").parameter
    assert not twin.find("h->y").trainable


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
def test_a_model_and_its_copy_take_the_same_steps_apart(way: str) -> None:
    net = ng.Network(
        [ng.Input((4,)), ng.Dense(5, activation="tanh"), ng.Dropout(0.3), ng.Dense(2)], seed=0
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(12, 2))
    model = net.compile("adam(0.1)", "mse", metrics=["mae"], dtype="float64")
    model.fit(x, y, epochs=2, batch_size=5, verbose=0)
    twin = WAYS[way](model)
    assert twin.network is not net
    histories = [each.fit(x, y, epochs=4, batch_size=5, verbose=0) for each in (model, twin)]
    assert histories[0].history == histories[1].history
    assert model.evaluate(x, y) == twin.evaluate(x, y)
    np.testing.assert_array_equal(model.predict(x), twin.predict(x))


def test_a_model_with_functions_of_its_own_is_copied_but_not_pickled() -> None:
    def half(target: Any, output: Any) -> tuple[float, Any]:
        return float(((target - output) ** 2).sum()) / 2, output - target

    net = ng.Network([2, 1], seed=0)
    model = net.compile("sgd", half, dtype="float64")
    twin = copy.deepcopy(model)
    x, y = np.ones((3, 2)), np.zeros((3, 1))
    assert twin.train_on_batch(x, y) == model.train_on_batch(x, y)
    with pytest.raises((AttributeError, pickle.PicklingError), match="half"):
        pickle.dumps(model)


def test_parts_are_found_in_the_copy_of_their_network() -> None:
    net = CASES["handmade_in_library"].network()
    parts = (net, net.layers[1], net.layers[1][2], net.node("extra"), net.find("extra->dense_1[0]"))
    for way in ("deepcopy", "pickle"):
        twin, layer, library_node, node, connection = WAYS[way](parts)
        assert twin is not net
        assert layer is twin.layers[1]
        assert library_node is twin.layers[1][2]
        assert node is twin.node("extra")
        assert connection is twin.find("extra->dense_1[0]")


def test_a_parameter_alone_has_an_equal_copy(copied: Any) -> None:
    drawn = ng.Parameter([[0.5, -1.0]], name="w")
    drawn.gradient = [[2.0, 3.0]]
    drawn.freeze(1)
    twin = copied(drawn)
    twin.value[0, 0] = 7.0
    assert (twin.value.tolist(), drawn.value.tolist()) == ([[7.0, -1.0]], [[0.5, -1.0]])
    assert twin.gradient.tolist() == [[2.0, 3.0]]
    assert [twin.is_trainable_at(k) for k in (0, 1)] == [True, False]
    twin.trainable = False
    later = copied(ng.Parameter(shape=(2,), name="later"))
    assert not later.is_materialised
    assert later.value.shape == (2,)


def test_loose_nodes_are_copied_with_what_they_are_joined_to() -> None:
    a, y = ng.InputNode("a"), ng.Node("tanh", name="y")
    ng.Connection(a, y, weight=0.5)
    twin = copy.deepcopy(y)
    (connection,) = twin.upstream
    assert (connection.weight, connection.upstream_node.name) == (0.5, "a")
    assert connection.upstream_node is not a
    net = Network(inputs=[connection.upstream_node], outputs=[twin])
    assert net.predict([1.0]) == pytest.approx([np.tanh(0.5)])


def test_a_removed_connection_has_no_copy() -> None:
    net = CASES["handmade"].network()
    gone = net.find("a->h")
    gone.remove()
    with pytest.raises(GraphError, match=r"a -> h: it was removed from its network"):
        copy.deepcopy(gone)


def test_a_network_of_many_nodes_is_copied_without_deep_recursion() -> None:
    node: Any = ng.InputNode("x")
    start = node
    for _ in range(3000):
        after = ng.Node("tanh")
        ng.Connection(node, after, weight=0.9)
        node = after
    twin = copy.deepcopy(ng.Network(inputs=[start], outputs=[node]))
    assert len(twin.connections) == 3000
