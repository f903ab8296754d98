"""Live objects: weights, gradients, values and structure are those of the model, at any moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from both_ways import differences, inspect, walk
from cases import CASES

import neurograph as ng
from neurograph.graph.connection import Connection
from neurograph.graph.network import Network

WHAT = ("net", "output", "delta")
Step = Callable[[float, float, dict[str, float], int], float]


def by_hand(seed: int = 0) -> Network:
    """Return a small irregular network; the same seed, the same weights."""
    rng = np.random.default_rng(seed)
    x = [ng.InputNode(f"x{k}") for k in range(3)]
    h = [ng.Node("tanh", name=f"h{k}") for k in range(3)]
    y = [ng.Node("identity", name=f"y{k}") for k in range(2)]
    one = ng.ConstNode("one")
    for down in h:
        for up in (*x, one):
            ng.Connection(up, down, weight=float(rng.normal()))
    for down in y:
        for up in (*h, x[0]):
            ng.Connection(up, down, weight=float(rng.normal()))
    return Network(inputs=x, outputs=y)


def data(seed: int = 1, samples: int = 5) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, 3)), rng.normal(size=(samples, 2))


def weights(net: Network) -> dict[str, float]:
    return {each.label: each.weight for each in net.connections}


# weights and gradients ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tutorial_231", "handmade", "conv2d_two", "delay_one"])
def test_weights_and_gradients_are_the_current_ones_after_every_step(name: str) -> None:
    case = CASES[name]
    net = case.network()
    x, y = case.data(net)
    model = net.compile("sgd(0.1)", case.loss, dtype="float64")
    some = [each for each in net.connections if each.parameter is not None][::3]
    for _ in range(3):
        before = [each.weight for each in some]
        parameters = {k: p.value.copy() for k, p in net.parameters.items()}
        model.train_on_batch(x, y)
        for each, weight in zip(some, before, strict=True):
            assert each.parameter is not None
            assert each.gradient == each.parameter.gradient.reshape(-1)[each.index]
            assert each.weight == each.parameter.value.reshape(-1)[each.index]
            moved = weight - 0.1 * each.gradient if each.trainable else weight
            assert each.weight == pytest.approx(moved, abs=1e-15)
        for key, parameter in net.parameters.items():
            assert parameter.trainable
            changed = parameters[key] - 0.1 * parameter.gradient
            if parameter.frozen is not None:
                changed = np.where(parameter.frozen, parameters[key], changed)
            np.testing.assert_allclose(parameter.value, changed, atol=1e-15)


def test_a_weight_set_between_steps_is_used_in_the_next() -> None:
    net, other = by_hand(), by_hand()
    x, y = data()
    model = net.compile("sgd(0.1)", "mse", dtype="float64")
    model.train_on_batch(x, y)
    net.find("x1->h2").weight = 0.25
    net.parameters["connections/weight"].value[3] = -0.5
    for ours, theirs in zip(net.connections, other.connections, strict=True):
        theirs.weight = ours.weight
    fresh = other.compile("sgd(0.1)", "mse", dtype="float64")
    assert model.train_on_batch(x, y) == fresh.train_on_batch(x, y)
    assert weights(net) == weights(other)
    net.parameters["connections/weight"].value = np.full(20, 0.125)
    assert set(weights(net).values()) == {0.125}
    expected = walk(other_with(net), x, y, "mse").outputs[0]
    np.testing.assert_allclose(model.predict(x), expected, 1e-12)


def other_with(net: Network) -> Network:
    """Return a network that was never compiled, with the same connections and weights."""
    found = by_hand()
    for each in list(found.connections):
        if each.label not in weights(net):
            each.remove()
    for label, weight in weights(net).items():
        found.find(label).weight = weight
    return found


def test_a_float32_model_shows_its_float32_weights() -> None:
    net = by_hand()
    model = net.compile("sgd(0.1)", "mse")
    net.find("x1->h2").weight = 0.1
    assert net.find("x1->h2").weight == float(np.float32(0.1))
    model.train_on_batch(*data())
    assert net.parameters["connections/weight"].value.dtype == np.float32


# structure ------------------------------------------------------------------------------------


def momentum(weight: float, gradient: float, state: dict[str, float], step: int) -> float:
    state["velocity"] = 0.9 * state.get("velocity", 0.0) - 0.1 * gradient
    return weight + state["velocity"]


def adam(weight: float, gradient: float, state: dict[str, float], step: int) -> float:
    state["m"] = 0.9 * state.get("m", 0.0) + 0.1 * gradient
    state["v"] = 0.999 * state.get("v", 0.0) + 0.001 * gradient**2
    rate = 0.01 * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
    return float(weight - rate * state["m"] / (np.sqrt(state["v"]) + 1e-7))


OPTIMIZERS = {"sgd(0.1, momentum=0.9)": momentum, "adam(0.01)": adam}


class HandTrained:
    """A twin that is trained connection by connection, from gradients found node by node."""

    def __init__(self, net: Network, step: Step) -> None:
        self.net = net
        self.rule = step
        self.states: dict[Connection, dict[str, float]] = {}
        self.step = 0

    def train(self, x: Any, y: Any, loss: str = "mse") -> None:
        walk(self.net, x, y, loss)
        connections = list(self.net.connections)
        gradients = [each.gradient for each in connections]
        for each, gradient in zip(connections, gradients, strict=True):
            state = self.states.setdefault(each, {})
            weight = self.rule(each.weight, gradient, state, self.step)
            if each.trainable:  # a frozen weight stays, while its averages go on
                each.weight = weight
        self.step += 1


def edits() -> dict[str, Callable[[Network], Any]]:
    def freeze(net: Network) -> None:
        net.find("h0->y0").trainable = False

    def thaw(net: Network) -> None:
        net.find("h0->y0").trainable = True

    def add_a_node(net: Network) -> None:
        node = ng.Node("sigmoid", name="late")
        ng.Connection(net.node("x2"), node, weight=0.3)
        ng.Connection(node, net.node("y1"), weight=-0.6)

    return {
        "remove": lambda net: net.find("x0->h1").remove(),
        "connect": lambda net: net.connect("x1", "y0", weight=0.4),
        "freeze": freeze,
        "thaw": thaw,
        "prune": lambda net: net.prune(0.2),
        "a new node": add_a_node,
        "another activation": lambda net: setattr(net.node("h2"), "activation", "sin"),
        "another slope of learning": lambda net: None,
    }


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_edits_between_steps_are_noticed_and_the_optimizer_keeps_its_state(optimizer: str) -> None:
    net = by_hand()
    twin = HandTrained(by_hand(), OPTIMIZERS[optimizer])  # type: ignore[arg-type]
    model = net.compile(optimizer, "mse", dtype="float64")
    for number, (name, edit) in enumerate(edits().items()):
        for k in range(2):
            x, y = data(10 * number + k)
            model.train_on_batch(x, y)
            twin.train(x, y)
        ours, theirs = weights(net), weights(twin.net)
        assert ours.keys() == theirs.keys()
        for label in ours:
            assert ours[label] == pytest.approx(theirs[label], rel=1e-10), f"{label}, before {name}"
        edit(net)
        edit(twin.net)
    assert model.update.step == 2 * len(edits())


def test_edits_of_library_layers_are_noticed() -> None:
    def build() -> Network:
        return Network([ng.Input((3,)), ng.Dense(4, activation="tanh"), ng.Dense(2)], seed=3)

    net, twin = build(), HandTrained(build(), momentum)
    model = net.compile("sgd(0.1, momentum=0.9)", "mse", dtype="float64")

    def remove(net: Network) -> None:
        net.layer("dense")[1].upstream[0].remove()

    def freeze(net: Network) -> None:
        net.parameters["dense_1/bias"].trainable = False

    def thaw(net: Network) -> None:
        net.parameters["dense_1/bias"].trainable = True
        twin.states = {  # a parameter that is not trained for a while begins anew
            each: state
            for each, state in twin.states.items()
            if each.parameter is None or each.parameter.name != "dense_1/bias"
        }

    def shortcut(net: Network) -> None:
        net.connect(net.layer("input")[0], net.layer("dense_1")[1], weight=0.2)

    def activation(net: Network) -> None:
        net.layer("dense").activation = "sigmoid"

    def prune(net: Network) -> None:
        net.prune(0.1)

    for edit in (remove, freeze, shortcut, activation, thaw, prune, remove):
        x, y = data()
        for _ in range(2):
            model.train_on_batch(x, y)
            twin.train(x, y)
        for ours, theirs in zip(net.connections, twin.net.connections, strict=True):
            assert ours.weight == pytest.approx(theirs.weight, rel=1e-10), ours.label
        edit(net)
        edit(twin.net)


def test_all_connections_of_a_bundle_and_of_a_layer_can_be_removed() -> None:
    x = ng.Input((2,))
    h = ng.Dense(1, activation="tanh", name="h")(x)
    net = Network(inputs=x, outputs=ng.Dense(2)(ng.Concatenate()([x, h])), seed=0)
    model = net.compile("sgd", "mse", dtype="float64")
    values, target = np.random.default_rng(0).normal(size=(2, 3, 2))
    for bundle in reversed(net.layer("h").incoming):
        for connection in list(bundle):
            connection.remove()
        assert not differences(
            inspect(model, values, target), walk(net, values, target, "mse"), 1e-12
        )
    assert not net.layer("h").output.any()


def test_what_a_parameter_does_in_training_can_be_changed() -> None:
    net = Network([ng.Input((3,)), ng.Dense(2)], seed=0)
    kernel = net.parameters["dense/kernel"]
    model = net.compile("sgd(0.1)", "mse", dtype="float64")
    x, y = data()
    model.train_on_batch(x, y)
    kernel.learning_rate_factor = 0.5
    before = kernel.value.copy()
    model.train_on_batch(x, y)
    np.testing.assert_allclose(kernel.value, before - 0.05 * kernel.gradient, 1e-12)
    plain = model.gradients(x, y)
    gradient = kernel.gradient.copy()
    kernel.regularizer = ng.L2(0.25)
    assert model.gradients(x, y) == pytest.approx(plain + 0.25 * (kernel.value**2).sum(), rel=1e-12)
    np.testing.assert_allclose(kernel.gradient, gradient + 0.5 * kernel.value, 1e-12)


def test_initial_states_can_be_changed() -> None:
    net = CASES["handmade_lateral"].network()
    x, _ = CASES["handmade_lateral"].data(net)
    model = net.compile(dtype="float64")
    before = model.predict(x)
    net.node("h1").initial = 0.9
    after = model.predict(x)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, net.predict(x, explicit=True), 1e-12)
    net = CASES["delay_one"].network()
    x, _ = CASES["delay_one"].data(net)
    model = net.compile(dtype="float64")
    model.predict(x)
    net.layer("state").initial = np.array([1.0, 2.0, -1.0, 0.0])
    np.testing.assert_allclose(model.predict(x), net.predict(x, explicit=True), 1e-12)


def test_an_edit_that_cannot_be_compiled_changes_nothing() -> None:
    net = by_hand()
    model = net.compile("sgd(0.1)", "mse", dtype="float64")
    x, y = data()
    model.train_on_batch(x, y)
    before = weights(net)
    with pytest.raises(ng.GraphError, match="a cycle without delay"):
        net.connect("y0", "h0", weight=1.0)
    loss = model.gradients(x, y)
    assert weights(net) == before
    assert loss == pytest.approx(walk(other_with(net), x, y, "mse").loss, rel=1e-12)


# several models -------------------------------------------------------------------------------


def test_two_models_of_one_network_take_turns() -> None:
    """They share the weights; each has its own optimizer and its own precision."""
    net = by_hand()
    fine = net.compile("sgd(0.1, momentum=0.9)", "mse", dtype="float64")
    coarse = net.compile("sgd(0.05)", "mse", dtype="float32")
    twin = by_hand()
    velocity: dict[str, float] = {}
    x, y = data()
    for _ in range(3):
        fine.train_on_batch(x, y)
        walk(twin, x, y, "mse")
        for each in twin.connections:
            velocity[each.label] = 0.9 * velocity.get(each.label, 0.0) - 0.1 * each.gradient
        for each in twin.connections:
            each.weight += velocity[each.label]
        coarse.train_on_batch(x, y)
        walk(twin, x, y, "mse")
        for each, gradient in [(each, each.gradient) for each in twin.connections]:
            each.weight -= 0.05 * gradient
        for label, weight in weights(net).items():
            assert weight == pytest.approx(twin.find(label).weight, abs=2e-6)
    assert fine.predict(x).dtype == np.float64
    assert coarse.predict(x).dtype == np.float32
    np.testing.assert_allclose(fine.predict(x), coarse.predict(x), atol=1e-5)


def test_two_models_of_one_precision_share_one_home() -> None:
    net = by_hand()
    one, other = net.compile("sgd(0.1)", "mse"), net.compile("adam", "mse")
    x, y = data()
    for _ in range(2):
        one.train_on_batch(x, y)
        other.train_on_batch(x, y)
    assert one.executable.arena is other.executable.arena
    assert one.update.step == other.update.step == 2


def test_walking_the_nodes_between_steps_does_not_disturb_the_model() -> None:
    x, y = data()
    losses = []
    for between in (False, True):
        net = by_hand()
        model = net.compile("adam", "mse", dtype="float64")
        for _ in range(3):
            model.train_on_batch(x, y)
            if between:
                net.predict(x, explicit=True)
                walk(net, x, y, "sse")
        losses.append((model.gradients(x, y), weights(net)))
    assert losses[0] == losses[1]


# looking at values ----------------------------------------------------------------------------


def test_inspect_shows_every_sample_of_any_node() -> None:
    case = CASES["residual"]
    net = case.network()
    x, y = case.data(net)
    model = net.compile("sgd", case.loss, dtype="float64")
    loss = model.inspect(x, y)
    shown = {
        (layer.name, index): [
            np.array(getattr(layer[index], w)) for w in ("net", "output", "delta")
        ]
        for layer in net.all_layers
        if layer.role == "units"
        for index in (0, layer.size - 1)
    }
    expected = walk(net, x, y, case.loss)
    assert loss == pytest.approx(expected.loss, rel=1e-12)
    for (name, index), values in shown.items():
        for what, value in zip(WHAT, values, strict=True):
            theirs = expected.values[name, what].reshape(3, -1)[:, index]
            assert value.shape == (3,)
            np.testing.assert_allclose(value, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["handmade_lateral", "handmade_both_ways", "delay_two"])
def test_inspect_shows_every_step_of_time(name: str) -> None:
    case = CASES[name]
    net = case.network()
    x, y = case.data(net)
    model = net.compile("sgd", case.loss, dtype="float64")
    model.inspect(x, y)
    nodes = [
        node for layer in net.all_layers if layer.role in ("units", "group") for node in layer.nodes
    ]
    shown = [[np.array(getattr(n, w)) for w in ("net", "output", "delta")] for n in nodes]
    assert all(value.shape == (3, 5) for values in shown for value in values)
    walk(net, x, y, case.loss)
    for node, values in zip(nodes, shown, strict=True):
        for what, value in zip(WHAT, values, strict=True):
            theirs = getattr(node, what)
            np.testing.assert_allclose(value, theirs, rtol=1e-9, atol=1e-12, err_msg=node.label)


@pytest.mark.parametrize("name", ["dropout", "dropout_sequence", "lstm_dropout"])
def test_noise_is_1_where_it_is_left_out(name: str) -> None:
    case = CASES[name]
    net = case.network()
    x, y = case.data(net)
    model = net.compile("sgd", case.loss, dtype="float64")
    noises = [layer for layer in net.all_layers if layer.role == "noise"]
    model.inspect(x, y, training=True)
    drawn = [np.array(layer.output) for layer in noises]
    model.inspect(x, y)
    for layer, before in zip(noises, drawn, strict=True):
        assert (before != 1.0).all()
        np.testing.assert_array_equal(layer.output, np.ones_like(before))


def test_inspect_without_targets_leaves_deltas_alone() -> None:
    net = by_hand()
    x, _ = data()
    assert net.compile().inspect(x) is None
    assert net.node("h0").output.shape == (5,)


def test_looking_at_one_node_makes_no_other() -> None:
    """A layer of many nodes: values are read where they are, connections made when touched."""
    net = Network([ng.Input((64, 64, 1)), ng.Conv2D(32, 5, activation="relu"), ng.Flatten()])
    model = net.compile()
    x = np.random.default_rng(0).normal(size=(2, 64, 64, 1))
    model.inspect(x)
    layer = net.layer("conv2d")
    node = layer[10, 20, 3]
    window = x[:, 10:15, 20:25, 0].astype(np.float32)
    kernel = net.parameters["conv2d/kernel"].value[:, :, 0, 3]
    expected = (window * kernel).sum(axis=(1, 2)) + net.parameters["conv2d/bias"].value[3]
    np.testing.assert_allclose(node.net, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(node.output, np.maximum(expected, 0), rtol=1e-4, atol=1e-5)
    assert node.upstream[7].weight == kernel[1, 2]
    assert node.upstream[7].upstream_node is net.layer("input")[11, 22, 0]
    assert len(layer._handles) == 1
    assert layer.size == 60 * 60 * 32


def test_what_inspect_shows_stays_when_the_model_goes_on() -> None:
    net = by_hand()
    x, y = data()
    model = net.compile("sgd(0.1)", "mse")
    model.inspect(x, y)
    node = net.node("h1")
    before = [np.array(v) for v in (node.net, node.output, node.delta)]
    for _ in range(3):
        model.train_on_batch(*data(7))
    model.predict(data(8)[0])
    for value, earlier in zip((node.net, node.output, node.delta), before, strict=True):
        np.testing.assert_array_equal(value, earlier)


def test_the_sum_of_deltas_times_outputs_is_the_gradient() -> None:
    """After inspect the textbook's formula holds for any connection, by hand."""
    net = by_hand()
    x, y = data()
    net.compile("sgd", "mse", dtype="float64").inspect(x, y)
    for each in net.connections:
        share = -(each.downstream_node.delta * each.upstream_node.output).sum()
        assert each.gradient == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("name", ["dense", "batch_norm", "lstm", "both_ways"])
def test_a_layer_is_frozen_and_trained_again(name, tmp_path):
    layer, below = {
        "dense": (ng.Dense(3, activation="tanh", name="z"), []),
        "batch_norm": (ng.BatchNormalization(name="z"), [ng.Dense(3)]),
        "lstm": (ng.LSTM(3, name="z"), [ng.Reshape((3, 2))]),
        "both_ways": (ng.Bidirectional(ng.GRU(2), name="z"), [ng.Reshape((3, 2))]),
    }[name]
    net = ng.Network([ng.Input(6), *below, layer, ng.Dense(2)], seed=0)
    x, y = np.random.default_rng(0).normal(size=(7, 6)), np.ones((7, 2))
    model = net.compile("sgd(0.1)", "mse", dtype="float64")

    def own(network):
        return [p.value.tolist() for key, p in network.parameters.items() if key.startswith("z")]

    assert net.layer("z").trainable
    net.layer("z").trainable = False
    before = own(net)
    model.train_on_batch(x, y)
    assert own(net) == before
    assert not net.layer("z").trainable
    assert ng.parity_check(net, x, y, training=True).ok
    net.save(tmp_path / "net.safetensors")
    twin = ng.load(tmp_path / "net.safetensors")
    twin.compile("sgd(0.1)", "mse", dtype="float64").train_on_batch(x, y)
    assert own(twin) == before
    net.layer("z").trainable = True
    model.train_on_batch(x, y)
    after = own(net)
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_a_delay_changed_by_hand_is_seen_by_both_ways():
    x, h, y = ng.InputNode("x"), ng.Node("tanh", name="h"), ng.Node("tanh", name="y")
    ng.Connection(x, h, 0.5), ng.Connection(h, y, 0.7), ng.Connection(h, h, 0.3, delay=1)
    net = ng.Network(inputs=[x], outputs=[y])
    model = net.compile(dtype="float64")
    steps = np.arange(4.0)[:, None]
    before = net.predict(steps)
    net.find("h->y").delay = 2
    late = np.concatenate([np.zeros((2, 1)), before[:2]])
    np.testing.assert_allclose(net.predict(steps, explicit=True), late, rtol=1e-12)
    np.testing.assert_allclose(model.predict(steps[None])[0], late, rtol=1e-12)
    with pytest.raises(ng.GraphError, match="a cycle without delay: h -> h"):
        net.find("h->h").delay = 0
    with pytest.raises(ng.OptionError, match="a whole number of steps, got"):
        net.find("h->h").delay = 0.5
    np.testing.assert_allclose(model.predict(steps[None])[0], late, rtol=1e-12)
    library = ng.Network([ng.Input((None, 2)), ng.SimpleRNN(2)])
    with pytest.raises(ng.GraphError, match="delay of a layer's connections cannot be changed"):
        library.layer("simple_rnn")[0].upstream[0].delay = 2


def test_another_name_is_the_one_that_counts_in_all_there_is(tmp_path):
    net = ng.Network([ng.Input((None, 3)), ng.LSTM(2), ng.Dense(1)], seed=0)
    h, y = ng.Node("tanh", name="h"), ng.Node("tanh", name="y")
    ng.Connection(ng.InputNode("a"), h, weight=0.3)
    ng.Connection(h, y, weight=0.4)
    made = ng.Network(inputs=[h.upstream[0].upstream_node], outputs=[y])
    model, small = net.compile("adam"), made.compile("adam")
    x, target = np.ones((2, 4, 3)), np.zeros((2, 1))
    losses = [model.train_on_batch(x, target), model.train_on_batch(x, target)]
    small.train_on_batch([[1.0]], [[0.0]])
    net.layer("lstm").name, h.name, made.layer("nodes").name = "memory", "hidden", "all"
    assert list(net.parameters)[:2] == ["memory/kernel", "memory/recurrent_kernel"]
    assert [each.name for each in net.parameters.values()] == list(net.parameters)
    assert net.layer("memory/forget") is net.layer("memory").gate("forget")
    assert "memory_" in model.source
    assert "lstm_" not in model.source
    losses.append(model.train_on_batch(x, target))
    assert losses[0] > losses[1] > losses[2]
    assert made.node("hidden") is made.find("hidden->y").upstream_node is h
    with pytest.raises(ng.UnknownNameError, match="unknown node 'h'"):
        made.node("h")
    small.inspect([[1.0]], [[0.0]])
    assert h.delta.shape == (1,)
    for each in (model, small):
        each.save(tmp_path / "model.safetensors")
        again = ng.load(tmp_path / "model.safetensors").network
        assert list(again.parameters) == list(each.network.parameters)
        assert [layer.name for layer in again.all_layers] == [
            layer.name for layer in each.network.all_layers
        ]
    assert again.node("hidden").downstream[0].weight == h.downstream[0].weight


def test_the_tutorial_s_nodes_keep_their_numbers_when_a_layer_is_renamed():
    net = ng.Network([2, 3, 1])
    net.layer("layer_1").name = "middle"
    assert net.node("(1-2)") is net.node("middle[2]")


@pytest.mark.parametrize("aggregation", ["sum", "mean", "max", "product"])
def test_an_aggregation_changed_by_hand_is_seen_by_both_ways(aggregation, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    for before in ("sum", "product"):
        net = by_hand()
        for k in range(3):
            net.node(f"h{k}").aggregation = before
        model = net.compile("sgd(0.1)", "sse", dtype="float64")
        model.train_on_batch(x, y)
        net.predict(x, explicit=True)
        net.calc_delta(y)
        net.node("h1").aggregation = aggregation
        net.node("h2").activation = "sin"
        assert ng.parity_check(net, x, y, loss="sse").ok
        assert ng.gradient_check(net, x, y, loss="sse").ok
        net.predict(x, explicit=True)
        values = np.broadcast_arrays(*(each.signal() for each in net.node("h1").upstream))
        by = {"sum": np.sum, "mean": np.mean, "max": np.max, "product": np.prod}[aggregation]
        np.testing.assert_allclose(net.node("h1").net, by(values, axis=0), rtol=1e-12)
        np.testing.assert_allclose(
            model.predict(x), net.predict(x, explicit=True), rtol=1e-12, atol=1e-15
        )
        model.save(tmp_path / "model.safetensors")
        again = ng.load(tmp_path / "model.safetensors")
        assert np.array_equal(again.predict(x), model.predict(x))
