"""Explain: the arithmetic of a node is printed as it was calculated."""

from __future__ import annotations

import re

import numpy as np
import pytest
from cases import CASES

import neurograph as ng
from neurograph.inspect.reading import Reading, extent

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?")


def through_time() -> tuple[ng.Network, np.ndarray]:
    x, h = ng.InputNode("x"), ng.Node("tanh", name="h", initial=0.25)
    m, y = ng.Node("identity", "max", name="m"), ng.Node("sin", "product", name="y")
    for up, down, weight, delay in (
        (x, h, 0.5, 0), (h, h, 0.4, 1), (h, m, 1, 0), (x, m, -0.5, -1), (m, y, 0.7, 0), (h, y, 2, 0)
    ):  # fmt: skip
        ng.Connection(up, down, float(weight), delay=delay)
    net = ng.Network(inputs=[x], outputs=[y])
    return net, np.random.default_rng(0).normal(size=(2, 4, 1))


def products(text: str) -> list[tuple[float, float, float]]:
    """Return the numbers of every line that ends with ``a * b = c``."""
    rows = []
    for line in text.splitlines():
        left, _, right = line.rpartition(" = ")
        if line.startswith(("    ", "  delta = ")) and " * " in left:
            first, second = NUMBER.findall(left)[-2:]
            rows.append((float(first), float(second), float(NUMBER.findall(right)[0])))
    return rows


def test_a_node_of_the_tutorials_network():
    net = ng.Network([2, 2])
    net.parameters["layer_1/kernel"].value = [[0.5, 0.1], [-0.25, 0.2]]
    net.parameters["layer_1/bias"].value = [0.125, 0.3]
    net.get_gradient([1.0, 0.0], [1.0, 2.0])
    assert net.node("(1-0)").explain() == "\n".join(
        [
            "(1-0): sigmoid of sum, an output",
            "",
            "forward",
            "  net = the sum of weight * output over 3 connections",
            "    (0-0)    0.5 * 1 =   0.5",
            "    (0-1)  -0.25 * 2 =  -0.5",
            "    (0-2)  0.125 * 1 = 0.125",
            "                 net = 0.125",
            "  output = sigmoid(0.125) = 0.531209",
            "",
            "backward",
            "  what comes back = 0.468791, from the loss itself",
            "  delta = sigmoid'(net) * what comes back = 0.249026 * 0.468791 = 0.116741  "
            "(-dE/d net)",
            "",
            "gradients, dE/d weight = -delta * output",
            "    (0-0)  -0.116741 * 1 = -0.116741",
            "    (0-1)  -0.116741 * 2 = -0.233482",
            "    (0-2)  -0.116741 * 1 = -0.116741",
        ]
    )


def test_inputs_and_constants():
    net = ng.Network([2, 2], seed=0)
    assert net.node("(0-0)").explain().endswith("no run has gone through it yet")
    net.get_gradient([1.0, 0.0], [1.5, 2.0])
    text = net.node("(0-0)").explain()
    assert text.startswith("(0-0): an input\n\nits output is given: 1.5\n\nbackward\n")
    assert f"delta = {net.node('(0-0)').delta:.6g}  (-dE/d output)" in text
    assert net.node("(0-2)").explain() == (
        "(0-2): a constant\n\nits output is always 1; it feeds 2 connections"
    )


@pytest.mark.parametrize("compiled", [False, True])
def test_the_arithmetic_holds_at_every_step(compiled):
    net, x = through_time()
    if compiled:
        net.compile(loss="sse", dtype="float64").inspect(x, np.zeros((2, 4, 1)))
    else:
        net.get_gradient(np.zeros((2, 4, 1)), x)
    for name in ("h", "m", "y", "x"):
        node = net.node(name)
        for sample, step in np.ndindex(2, 4):
            text = node.explain(sample=sample, step=step)
            assert f"(sample {sample} of 2, step {step} of 4)" in text
            found = products(text)
            assert len(found) >= 2
            for first, second, product in found:
                assert first * second == pytest.approx(product, rel=1e-4, abs=1e-9)
            if name != "x":
                squeezed = re.sub(r" +", " ", text)
                assert f"net = {node.net[sample, step]:.6g}" in squeezed
                assert f"= {node.output[sample, step]:.6g}" in text
            assert f"{node.delta[sample, step]:.6g}" in text


def test_explicit_and_compiled_runs_read_the_same():
    net, x = through_time()
    net.get_gradient(np.zeros((2, 4, 1)), x)
    before = [net.node(name).explain(1, 2) for name in "xhmy"]
    net.compile(loss="sse", dtype="float64").inspect(x, np.zeros((2, 4, 1)))
    assert [net.node(name).explain(1, 2) for name in "xhmy"] == before


def test_delays_and_their_edges():
    net, x = through_time()
    net.get_gradient(np.zeros((2, 4, 1)), x)
    first, last = net.node("h").explain(0, 0), net.node("h").explain(0, -1)
    assert re.search(r"h\[t-1\] +0\.4 \* 0\.25 +=", first)  # the initial state
    assert re.search(r"h\[t\+1\] +0\.4 \* 0 +=", last)  # nothing comes back from after the end
    assert re.search(r"x\[t\+1\] +-0\.5 \* 0 +=", net.node("m").explain(0, 3))
    assert "the largest" in net.node("m").explain(0, 0)
    assert "of 2 connections" in net.node("m").explain(0, 0)


def test_long_sums_show_their_largest_terms():
    net = ng.Network([784, 10], seed=0)
    net.get_gradient(np.eye(10)[3], np.random.default_rng(0).random(784))
    node = net.layer("layer_1")[3]
    text = node.explain(limit=5)
    assert text.count("… 780 more") == 2
    forward = text.split("backward")[0]
    shown = [product for _, _, product in products(forward)]
    terms = sorted((abs(c.weight * c.upstream_node.output) for c in node.upstream), reverse=True)
    assert sorted((abs(each) for each in shown), reverse=True) == pytest.approx(terms[:5], rel=1e-5)
    rest = float(forward.split("… 780 more")[1].split("=")[1].split()[0])
    assert sum(shown) + rest == pytest.approx(node.net, abs=1e-6)
    assert len(node.explain(limit=1000).splitlines()) > 1570


def test_functions_of_a_whole_layer():
    net = ng.Network([ng.Input(2), ng.Dense(3, activation="softmax")], seed=0)
    net.compile(loss="categorical_crossentropy", dtype="float64").inspect([[1.0, 2.0]], [[0, 1, 0]])
    node = net.layer("dense")[1]
    text = node.explain()
    assert f"softmax over the whole layer dense, of which this is {node.output[0]:.6g}" in text
    assert f"delta = {node.delta[0]:.6g}  (-dE/d net, through softmax" in text


def test_noise_and_pooling():
    net = ng.Network([ng.Input((2, 2, 1)), ng.MaxPooling2D(2), ng.Flatten(), ng.Dropout(0.5)])
    net.predict([[[1.0], [3.0]], [[2.0], [3.0]]], explicit=True)
    text = net.layer("max_pooling2d")[0, 0, 0].explain()
    assert "net = the largest weight * output of 4 connections" in text
    assert text.count("the largest") == 2  # the first of the two threes wins
    noise = next(layer for layer in net.all_layers if layer.role == "noise")
    assert "noise" in noise[0].explain().splitlines()[0]
    assert "its output is given: 1" in noise[0].explain()


def test_what_was_not_run_cannot_be_explained():
    net, x = through_time()
    net.predict(x, explicit=True)
    with pytest.raises(ng.OptionError, match=r"h\.explain: there is no sample 2; .* had 2"):
        net.node("h").explain(sample=2)
    with pytest.raises(ng.OptionError, match="there is no step 4; the last run had 4"):
        net.node("h").explain(step=4)
    with pytest.raises(ng.OptionError, match="limit must be a number of at least 1, got 0"):
        net.node("h").explain(limit=0)


def test_a_gradient_is_told_in_all_only_where_more_connections_share_it():
    net = ng.Network([ng.Input((5, 1)), ng.Conv1D(2, 3), ng.Flatten(), ng.Dense(2)], seed=0)
    x, y = np.linspace(-1.0, 1.0, 5).reshape(1, 5, 1), [[1.0, 0.0]]
    net.compile(dtype="float32").inspect(x, y)
    assert "in all" in net.layer("conv1d")[0, 0].explain()
    assert not any("in all" in node.explain() for node in net.layer("dense").nodes)


def test_nodes_along_trees_are_explained_in_the_network_of_one_tree():
    net = ng.Network([ng.Input((2,)), ng.Recursive(2, name="tree"), ng.Dense(1)], seed=0)
    tree = (([0.1, -0.2], [0.3, 0.4]), [0.5, 0.6])
    assert "no run" in net.layer("tree/hidden")[0].explain()
    net.compile().inspect([tree], [[1.0]])
    for name in ("input", "tree/joined", "tree/inner", "tree"):
        with pytest.raises(ng.GraphError, match=r"goes along trees.*ng.tree_network\(net, tree\)"):
            net.layer(name)[0].explain()
    assert "net = the sum of weight * output over 3 connections" in net.layer("dense")[0].explain()


BRIDGES = [
    "fold_and_step", "flatten_sequence", "reshape_sequence", "conv1d_sequence", "add_over_time",
    "time_distributed", "repeat_vector", "lstm_turned", "bidirectional_sequences",
    "delay_minus_one",
]  # fmt: skip


@pytest.mark.parametrize("name", BRIDGES)
def test_what_a_node_takes_and_gets_back_across_bridges_adds_up(name):
    """Between time and space a connection is used at some steps only."""
    case = CASES[name]
    net = case.network()
    net.compile(loss=case.loss, dtype="float64").inspect(*case.data(net))
    hidden = [layer for layer in net.all_layers if layer.role not in ("const", "noise")]
    for layer in hidden:
        node, steps = layer[(0,) * len(layer.shape)], extent(layer)[1]
        for step in range(steps or 1):
            reading, text = Reading(1, step), node.explain(sample=1, step=step)
            assert text.startswith(node.label)
            values = [weight * arriving for _, weight, arriving in reading.signals(node)]
            if node.aggregation == "sum" and values:
                assert sum(values) == pytest.approx(reading.value(node, "net"), abs=1e-12)
            if all(port.layer is not layer for port in net.outputs):
                back = sum(weight * delta for _, weight, delta in reading.sent_back(node))
                values = reading.value(node, "net"), reading.value(node, "output")
                slope = node.activation.derivative(*values)
                assert slope * back == pytest.approx(reading.value(node, "delta"), abs=1e-12)


def test_what_goes_back_in_time_and_begins_with_given_states_adds_up():
    """What a step takes is read where it was; initial states get what the first step returns."""
    x, begin = ng.Input((None, 2)), ng.Dense(3, name="begin")
    first = ng.Input((2,))
    turned = ng.SimpleRNN(3, go_backwards=True, return_sequences=True, name="turned")
    h = turned(x, initial_state=begin(first))
    net = ng.Network(inputs=[x, first], outputs=ng.Dense(1)(h), seed=0)
    generator = np.random.default_rng(0)
    inputs = [generator.normal(size=(2, 4, 2)), generator.normal(size=(2, 2))]
    net.compile(dtype="float64").inspect(inputs, generator.normal(size=(2, 4, 1)))
    checked = 0
    for name in ("turned/hidden", "turned", "begin", "input"):
        layer = net.layer(name)
        for step in range(4 if layer.sequence else 1):
            text = layer[1].explain(sample=1, step=step if layer.sequence else -1)
            for total in ("net", "what comes back"):
                for block in re.findall(rf"((?:    .+\n)+) +{total} = (.+)", text):
                    rows = [float(row.rsplit("= ")[1]) for row in block[0].splitlines()]
                    assert sum(rows) == pytest.approx(float(block[1]), rel=1e-4, abs=1e-5)
                    checked += 1
            assert "masked" not in text
    assert checked > 15
    assert "turned/hidden[0][begin]" in net.layer("begin")[1].explain()


def test_masked_steps_are_told():
    net = ng.Network([ng.Input((None, 2)), ng.Masking(), ng.GRU(2, name="gru"), ng.Dense(1)])
    x = np.ones((1, 4, 2))
    x[0, 2] = 0.0
    net.compile(dtype="float64").inspect(x, [[1.0]])
    hidden = net.layer("gru/hidden")[0]
    assert "that of the step before: the step is masked" in hidden.explain(step=2)
    assert "the step is masked" not in hidden.explain(step=3)
    assert "masked steps, which repeat it" in hidden.explain(step=1)
    with pytest.raises(ng.DataError, match="masked steps of layer 'gru"):
        net.trace(x[0], [1.0])


def test_kept_states_are_not_guessed():
    net = ng.Network([ng.Input((None, 1)), ng.SimpleRNN(2, stateful=True, name="rnn")], seed=0)
    net.trace([[1.0], [2.0]], [0.5, 0.5])  # begins anew
    net.predict([[1.0], [2.0]])
    with pytest.raises(ng.DataError, match=r"goes on from the batch before.*net.reset_states\(\)"):
        net.trace([[1.0], [2.0]], [0.5, 0.5])
    net.compile(dtype="float64").inspect([[[1.0], [2.0]]], [[0.5, 0.5]])
    hidden = net.layer("rnn/hidden")[0]
    assert "net = the sum" in hidden.explain(step=1)
    with pytest.raises(ng.DataError, match="is not kept; look at a later step"):
        hidden.explain(step=0)
