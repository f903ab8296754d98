"""Networks along trees: batches against the network of each tree, and against plain recursions."""

import ast
import os
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

import neurograph as ng
from neurograph.graph.tree_fit import fitted_tree
from neurograph.interpret import backward, calc_gradients, forward
from neurograph.train.losses import get_loss

EXACT = {"rtol": 1e-9, "atol": 1e-12}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def nested(rng, depth, leaf, k=2):
    """Return a random tree in the form that Recursive takes."""
    if depth == 0 or rng.random() < 0.25:
        return leaf()
    return tuple(nested(rng, depth - 1, leaf, k) for _ in range(k))


def branching(rng, depth, leaf):
    """Return a random tree in the form that ChildSumTreeLSTM takes."""
    count = int(rng.integers(0, 4)) if depth else 0
    value = leaf() if not count or rng.random() < 0.6 else None
    return (value, [branching(rng, depth - 1, leaf) for _ in range(count)])


def words(rng):
    return lambda: int(rng.integers(0, 6))


def vectors(rng, size=3):
    return lambda: rng.normal(size=size)


def recursive_of_roots():
    return [ng.Input((3,)), ng.Recursive(3, kernel_regularizer="l2(0.1)", name="cell"),
            ng.Dense(2, activation="tanh")]  # fmt: skip


def recursive_of_nodes():
    return [ng.Input((None, 3)), ng.Dense(4, activation="tanh"),
            ng.Recursive(4, activation="softplus", return_sequences=True, name="cell"),
            ng.Dense(2)]  # fmt: skip


def recursive_alone():
    return [ng.Input((3,)), ng.Recursive(3, use_bias=False, return_sequences=True, name="cell")]


def recursive_of_words():
    return [ng.Input((None,)), ng.Embedding(6, 4), ng.Recursive(4, 3, name="cell"), ng.Dense(2)]


def lstm_of_roots():
    return [ng.Input((3,)), ng.ChildSumTreeLSTM(4, recurrent_regularizer="l1(0.1)", name="cell"),
            ng.Dense(2, activation="sigmoid")]  # fmt: skip


def lstm_of_nodes():
    return [ng.Input((None, 3)), ng.Dense(5, activation="tanh"),
            ng.ChildSumTreeLSTM(4, return_sequences=True, name="cell"),
            ng.Dense(3, activation="tanh"), ng.Dense(2)]  # fmt: skip


def lstm_of_words():
    return [ng.Input((None,)), ng.Embedding(6, 4),
            ng.ChildSumTreeLSTM(4, use_bias=False, name="cell"), ng.Dense(2)]  # fmt: skip


MAKERS = {
    recursive_of_roots: lambda rng: nested(rng, 4, vectors(rng)),
    recursive_of_nodes: lambda rng: nested(rng, 4, vectors(rng)),
    recursive_alone: lambda rng: nested(rng, 4, vectors(rng)),
    recursive_of_words: lambda rng: nested(rng, 3, words(rng), 3),
    lstm_of_roots: lambda rng: branching(rng, 3, vectors(rng)),
    lstm_of_nodes: lambda rng: branching(rng, 3, vectors(rng)),
    lstm_of_words: lambda rng: branching(rng, 3, words(rng)),
}


def drawn(make, count=6, seed=0):
    """Return a network with weights of its own, and trees for it."""
    rng = np.random.default_rng(seed)
    net = ng.Network(make())
    for parameter in net.parameters.values():
        parameter.value = rng.normal(0.0, 0.4, parameter.shape)
    return net, [MAKERS[make](rng) for _ in range(count)], rng


def walk(net, tree):
    """Run the network of one tree node by node; return it and its outputs."""
    grown = ng.tree_network(net, tree)
    values = ng.tree_values(net, tree)
    return grown, forward(grown, values if len(values) > 1 else values[0])


def at_nodes(net):
    return net.outputs[0].layer.sequence


def targets_for(net, trees, rng):
    if not at_nodes(net):
        return rng.normal(size=(len(trees), 2))
    size = net.outputs[0].shape[0]
    return [rng.normal(size=(len(fitted_tree(net, tree)), size)) for tree in trees]


@pytest.mark.parametrize("nodes", [False, True], ids=["roots", "nodes"])
def test_several_outputs_are_given_alike_by_batches_and_by_the_nodes_of_each_tree(nodes):
    x = ng.Input((2,))
    h = ng.Recursive(2, return_sequences=nodes)(x)
    net = ng.Network(inputs=x, outputs=[ng.Dense(3)(h), ng.Dense(1, name="b")(h)], seed=0)
    leaves = [np.array([k, -0.5]) for k in range(4)]
    trees = [((leaves[0], leaves[1]), leaves[2]), leaves[3], (leaves[1], leaves[3])]
    counts = [5, 1, 3]
    compiled, explicit = net.predict(trees), net.predict(trees, explicit=True)
    for units, found, expected in zip((3, 1), compiled, explicit, strict=True):
        if nodes:
            assert [each.shape for each in found] == [(count, units) for count in counts]
        else:
            assert found.shape == (3, units)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    for k, tree in enumerate(trees):
        for alone in (net.predict(tree), net.predict(tree, explicit=True)):
            for one, together in zip(alone, compiled, strict=True):
                assert one.shape == together[k].shape
                np.testing.assert_allclose(one, together[k], rtol=0, atol=1e-12)
    y = [[each + 1.0 for each in found] if nodes else found + 1.0 for found in compiled]
    model = net.compile(loss="mse", dtype="float64")
    np.testing.assert_allclose(model.evaluate(trees, y), [2.0, 1.0, 1.0], rtol=1e-12)


# batches against the networks of single trees ---------------------------------------------------


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_batches_give_what_the_nodes_of_each_tree_give(make):
    net, trees, rng = drawn(make)
    y = targets_for(net, trees, rng)
    walks = [walk(net, tree) for tree in trees]
    outputs = [np.stack(found) if at_nodes(net) else found[0] for _, found in walks]
    together = np.concatenate(outputs) if at_nodes(net) else np.stack(outputs)
    loss, d_outputs = get_loss("mse").value_and_gradient(
        np.concatenate(y) if at_nodes(net) else y, together
    )
    total = {name: np.zeros(each.shape) for name, each in net.parameters.items()}
    expected, first = [], 0
    for tree in trees:
        for parameter in net.parameters.values():
            parameter.gradient = 0.0
        grown, found = walk(net, tree)
        backward(grown, list(d_outputs[first : first + len(found)]))
        calc_gradients(grown)
        first += len(found)
        for name, parameter in net.parameters.items():
            total[name] += parameter.gradient
        expected.append(grown)
    model = net.compile("sgd", "mse", dtype="float64")
    for one, other in zip(model.predict(trees, batch_size=4), outputs, strict=True):
        np.testing.assert_allclose(one, other, **EXACT)
    found_loss = model.inspect(trees, y)
    assert np.isclose(found_loss, loss + model.penalty(), rtol=1e-12)
    for name, parameter in net.parameters.items():
        penalty = parameter.regularizer
        total[name] += 0 if penalty is None else penalty.gradient(parameter.value)
        np.testing.assert_allclose(parameter.gradient, total[name], **EXACT)
    assert compare_values(net, trees, expected) > 10 * len(trees)


def compare_values(net, trees, expected):
    """Compare every net, output and delta of a batch with those of each tree's own network."""
    starts = np.cumsum([0, *(len(fitted_tree(net, tree)) for tree in trees)])
    below = {layer.name for layer in net.all_layers if layer.sequence and "cell" not in layer.name}
    below -= {layer.name for layer in net.all_layers[net.all_layers.index(net.layer("cell")) :]}
    seen = 0
    for number, (tree, grown) in enumerate(zip(trees, expected, strict=True)):
        fitted = fitted_tree(net, tree)
        for copy in grown.all_layers:
            name, _, node = copy.name.partition("@")
            layer = net.layer(name)
            if layer.role == "const":
                continue
            if not layer.sequence:
                row = number
            elif node:
                row = starts[number] + int(node)
            elif name in below:
                row = starts[number] + np.flatnonzero(fitted.given)[-1]
            else:
                row = starts[number + 1] - 1
            for what in (
                ("output", "delta") if layer.role == "input" else ("net", "output", "delta")
            ):
                np.testing.assert_allclose(
                    getattr(layer, what)[row],
                    getattr(copy, what),
                    **EXACT,
                    err_msg=f"{name} {what}",
                )
                seen += 1
    return seen


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_the_checks_take_trees(make):
    net, trees, rng = drawn(make, count=3)
    y = targets_for(net, trees, rng)
    report = ng.gradient_check(net, trees, y, loss="mse")
    assert report.ok, str(report)
    assert len(report.rows) == sum(each.size for each in net.parameters.values())
    parity = ng.parity_check(net, trees, y, loss="mse")
    assert parity.ok, str(parity)
    assert len(parity.rows) > 30

    def wrong(network, *_):
        for parameter in network.parameters.values():
            parameter.gradient = 0.0

    assert not ng.gradient_check(net, trees, y, loss="mse", against=wrong, samples=5).ok


@pytest.mark.parametrize("below", [[], [ng.Dense(3, activation="tanh", trainable=False)]])
def test_the_checks_take_inputs_and_leaves_alone(below):
    rng = np.random.default_rng(0)
    cell = ng.ChildSumTreeLSTM(3, recurrent_regularizer="l2(0.1)")
    net = ng.Network([ng.Input((2,)), *below, cell], seed=0)
    leaves = [(rng.normal(size=2), []) for _ in range(2)]
    tree = (rng.normal(size=2), leaves)
    y = rng.normal(size=(2, 3))
    for trees in (leaves, [tree, leaves[0]]):  # without inner nodes, nobody uses all weights
        report = ng.gradient_check(net, trees, y, inputs=True)
        weights = sum(each.size for each in net.parameters.values() if each.trainable)
        assert report.ok, str(report)
        assert len(report.rows) == weights + 2 * (len(trees) if trees is leaves else 4)
        parity = ng.parity_check(net, trees, y)
        assert parity.ok, str(parity)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_batch_is_the_mean_of_its_trees_whatever_its_size(make):
    net, trees, rng = drawn(make, count=9, seed=3)
    y = targets_for(net, trees, rng)
    model = net.compile("sgd", "mse", dtype="float64")
    sizes = [len(fitted_tree(net, tree)) if at_nodes(net) else 1 for tree in trees]
    penalty = model.penalty()
    for start, stop in ((0, 9), (2, 3), (1, 8)):
        part, total = range(start, stop), 0.0
        gradients = dict.fromkeys(net.parameters, 0.0)
        weights = np.array([sizes[k] for k in part], float)
        weights /= weights.sum()
        for k, weight in zip(part, weights, strict=True):
            loss = model.gradients(trees[k : k + 1], y[k : k + 1], training=False)
            total += weight * (loss - penalty)
            for name, parameter in net.parameters.items():
                gradients[name] = gradients[name] + weight * parameter.gradient
        loss = model.gradients(trees[start:stop], y[start:stop], training=False)
        assert np.isclose(loss - penalty, total, rtol=1e-12)
        for name, parameter in net.parameters.items():
            np.testing.assert_allclose(parameter.gradient, gradients[name], **EXACT)
        assert np.isclose(model.evaluate(trees[start:stop], y[start:stop], batch_size=4), loss)


@pytest.mark.parametrize(
    "make", [recursive_of_nodes, lstm_of_words], ids=lambda make: make.__name__
)
def test_gradients_are_those_of_finite_differences(make):
    net, trees, rng = drawn(make, count=3, seed=5)
    y = targets_for(net, trees, rng)
    model = net.compile("sgd", "mse", dtype="float64")
    model.gradients(trees, y, training=False)
    for parameter in net.parameters.values():
        gradient = parameter.gradient.copy()
        way = rng.normal(size=parameter.shape)
        losses = []
        for step in (1e-5, -1e-5):
            parameter.value += step * way
            losses.append(model.evaluate(trees, y))
            parameter.value -= step * way
        slope = (losses[0] - losses[1]) / 2e-5
        assert np.isclose((gradient * way).sum(), slope, rtol=1e-6, atol=1e-9)


# against plain recursions -----------------------------------------------------------------------


def test_the_published_numbers_of_a_recursive_network():
    golden = {
        "W": [[0.1, 0.2, 0.3, 0.4], [-0.1, 0.0, 0.1, 0.2]], "b": [0.01, -0.02],
        "leaves": [[1, 2], [3, 4], [5, 6]], "parent01": [3.01, 0.98], "root": [4.407, 1.379],
        "root_delta": [0.5, 0.8],
        "dW": [[1.475, 0.43, 2.41, 2.88], [2.508, 0.984, 4.3, 5.2]], "db": [0.47, 0.9],
    }  # fmt: skip
    net = ng.Network([ng.Input((2,)), ng.Recursive(2, activation="identity", name="p")])
    net.parameters["p/kernel"].value = np.array(golden["W"]).T
    net.parameters["p/bias"].value = golden["b"]
    l0, l1, l2 = golden["leaves"]
    grown, (root,) = walk(net, ((l0, l1), l2))
    np.testing.assert_allclose(root, golden["root"], rtol=1e-14)
    np.testing.assert_allclose(grown.layer("p/inner@2").output, golden["parent01"], rtol=1e-14)
    backward(grown, [golden["root_delta"]])
    calc_gradients(grown)
    kernel, bias = net.parameters["p/kernel"], net.parameters["p/bias"]
    np.testing.assert_allclose(kernel.gradient.T, golden["dW"], rtol=1e-13)
    np.testing.assert_allclose(bias.gradient, golden["db"], rtol=1e-13)

    def loss(target, output):  # its gradient is given
        return 0.0, np.array([golden["root_delta"]])

    net.compile("sgd", loss, dtype="float64").gradients([((l0, l1), l2)], [[0.0, 0.0]])
    np.testing.assert_allclose(kernel.gradient.T, golden["dW"], rtol=1e-13)
    np.testing.assert_allclose(bias.gradient, golden["db"], rtol=1e-13)


def test_a_recursive_network_is_a_plain_recursion():
    net, trees, _ = drawn(recursive_of_words)
    table, kernel, bias, out, end = net.get_weights()

    def vector(tree):
        if isinstance(tree, int):
            return table[tree]
        return np.tanh(np.concatenate([vector(each) for each in tree]) @ kernel + bias)

    expected = [vector(tree) @ out + end for tree in trees]
    np.testing.assert_allclose(net.predict(trees), expected, **EXACT)
    np.testing.assert_allclose(net.predict(trees, explicit=True), expected, **EXACT)
    one = (1, (2, 3, 4), 5)
    np.testing.assert_allclose(net.predict(one), vector(one) @ out + end, **EXACT)
    np.testing.assert_allclose(net.predict(one, explicit=True), vector(one) @ out + end, **EXACT)


def test_a_child_sum_lstm_is_a_plain_recursion():
    net, trees, _ = drawn(lstm_of_roots, seed=2)
    w, u, b, out, end = net.get_weights()
    split = lambda a: np.split(a, 4, axis=-1)  # noqa: E731
    (wi, wo, wg, wf), (ui, uo, ug, uf), (bi, bo, bg, bf) = split(w), split(u), split(b)

    def states(tree):
        x, children = tree
        x = np.zeros(3) if x is None else x
        below = [states(child) for child in children]
        s = sum((h for h, _ in below), np.zeros(4))
        i, o = sigmoid(x @ wi + s @ ui + bi), sigmoid(x @ wo + s @ uo + bo)
        c = i * np.tanh(x @ wg + s @ ug + bg)
        for h, cell in below:
            c = c + sigmoid(x @ wf + h @ uf + bf) * cell
        return o * np.tanh(c), c

    expected = [sigmoid(states(tree)[0] @ out + end) for tree in trees]
    np.testing.assert_allclose(net.predict(trees), expected, **EXACT)
    np.testing.assert_allclose(net.predict(trees[0], explicit=True), expected[0], **EXACT)


# the network of one tree --------------------------------------------------------------------------


def test_the_network_of_a_tree_can_be_checked_and_shares_its_weights():
    net, _, rng = drawn(lstm_of_roots)
    tree = (None, [([1.0, 0.5, -1.0], []), ([0.0, 1.0, 2.0], [(None, []), ([1.0] * 3, [])])])
    grown = ng.tree_network(net, tree)
    assert list(grown.parameters) == list(net.parameters)
    assert all(net.parameters[name] is each for name, each in grown.parameters.items())
    assert [each.name for each in net.parameters.values()] == list(net.parameters)
    values = [each[None] for each in ng.tree_values(net, tree)]
    report = ng.gradient_check(grown, values, rng.normal(size=(1, 2)), loss="mse")
    assert report.ok, str(report)
    node = grown.layer("cell/forget@0")[1]
    kernel = net.parameters["cell/recurrent_kernel"]
    assert {each.parameter for each in node.upstream if each.parameter is not None} == {kernel}
    model = net.compile("sgd", "mse", dtype="float64")
    before = model.predict([tree])
    found = grown.compile("sgd", "mse", dtype="float64").predict(values)
    np.testing.assert_allclose(found, before, **EXACT)
    kernel.value[...] = 0.0
    assert abs(model.predict([tree]) - before).max() > 1e-3
    np.testing.assert_allclose(model.predict([tree])[0], forward(grown, values)[0][0], **EXACT)
    kernel.trainable = False
    y = rng.normal(size=(1, 2))
    model.train_on_batch([tree], y)
    assert not kernel.value.any()


def test_gates_of_a_batch_can_be_looked_at_node_by_node():
    net, trees, _ = drawn(lstm_of_roots)
    model = net.compile("sgd", "mse", dtype="float64")
    model.inspect(trees)
    forget = net.layer("cell").gate("forget").output
    assert forget.shape == (sum(len(fitted_tree(net, tree)) for tree in trees), 4)
    last = len(fitted_tree(net, trees[0])) - 1
    assert not forget[last].any()  # a root has no parent
    node = net.layer("cell").gate("cell")[2]
    np.testing.assert_array_equal(node.output, net.layer("cell/cell").output[:, 2])


# trees --------------------------------------------------------------------------------------------

TEXT = "(3 (2 (1 not) (4 good)) (2 enough))"


def test_trees_are_read_from_brackets():
    tree = ng.Tree.from_brackets(TEXT)
    assert tree.words == ("not", "good", None, "enough", None)
    assert tree.labels.tolist() == [1, 4, 2, 2, 3]
    assert [tree.path(node) for node in range(5)] == [
        "[0][0]", "[0][1]", "[0]", "[1]", "the root",
    ]  # fmt: skip
    assert (tree.height, tree.leaves.tolist(), tree.parents.tolist()) == (
        2, [0, 1, 3], [2, 2, 4, 4, -1],
    )  # fmt: skip
    coded = tree.encode({"good": 7, "not": 3}, unknown_word=0)
    assert coded.values.tolist() == [3, 7, 0, 0, 0]
    assert coded.given.tolist() == [True, True, False, True, False]
    assert ng.Tree.from_brackets("(S (NP cats) (VP sleep))").labels.tolist() == ["NP", "VP", "S"]
    assert ng.Tree.from_brackets("((a) (b))").labels is None
    assert ng.Tree.from_brackets("(2 8\xa01\\/2)").words == ("8\xa01\\/2",)
    assert repr(tree) == "<Tree of 5 nodes, 3 leaves>"


def test_a_networkx_tree_goes_into_a_network_as_it_is():
    graph = nx.DiGraph([("top", "left"), ("top", "right")])
    for name, value in {"left": [1.0, 2.0], "right": [3.0, 4.0]}.items():
        graph.nodes[name]["value"] = value
    net = recursive()
    np.testing.assert_array_equal(
        net.compile().predict([graph]), net.compile().predict([([1.0, 2.0], [3.0, 4.0])])
    )


def test_trees_are_read_from_networkx():
    graph = nx.DiGraph([("s", "b"), ("s", "a"), ("b", "c")])
    nx.set_node_attributes(graph, {"a": [1.0, 2.0], "c": [3.0, 4.0]}, "value")
    nx.set_node_attributes(graph, {"a": 1, "b": 2, "c": 3, "s": 0}, "label")
    tree = ng.Tree.from_networkx(graph)
    assert tree.labels.tolist() == [3, 2, 1, 0]
    assert tree.values[tree.given].tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert len(ng.Tree.from_networkx(graph.subgraph(["b", "c"]))) == 2
    for edges, message in (
        ([(0, 1), (2, 1), (0, 2)], "two ways lead to 1"),
        ([(0, 1), (2, 3)], r"2 of its nodes have no parent \(0, 2\)"),
        ([(0, 1), (1, 0)], "it goes round in a circle"),
    ):
        with pytest.raises(ng.GraphError, match=message):
            ng.Tree.from_networkx(nx.DiGraph(edges))
    for graph in (nx.Graph([(0, 1)]), "a graph"):
        with pytest.raises(ng.GraphError, match=f"networkx.DiGraph.*{type(graph).__name__}"):
            ng.Tree.from_networkx(graph)
    with pytest.raises(ng.GraphError, match="has no node 7 to be the root"):
        ng.Tree.from_networkx(nx.DiGraph([(0, 1)]), root=7)


def test_trees_are_read_from_python():
    tree = ng.Tree.from_ast("f(x, 1 + 2)")
    assert tree.words == ("f", "x", "1", "Add", "2", "BinOp", "Call")
    assert ng.Tree.from_ast("x = 1\ny = x").words[-1] == "Module"
    assert ng.Tree.from_ast("lambda x: x.y").words == ("x", "arguments", "x", "y", "Lambda")
    with pytest.raises(ng.DataError, match="not Python"):
        ng.Tree.from_ast("1 +")


def test_deep_trees_need_no_recursion():
    deep: object = [0.1, 0.2]
    for _ in range(3000):
        deep = (deep, [0.3, -0.1])
    net = ng.Network([ng.Input((2,)), ng.Recursive(2)], seed=0)
    model = net.compile("sgd", "mse", dtype="float64")
    kernel, bias = net.get_weights()
    vector = np.array([0.1, 0.2])
    for _ in range(3000):
        vector = np.tanh(np.concatenate([vector, [0.3, -0.1]]) @ kernel + bias)
    np.testing.assert_allclose(model.predict([deep])[0], vector, **EXACT)
    assert ng.Tree.of(deep).height == 3000
    assert np.isfinite(model.train_on_batch([deep], [[0.0, 0.0]]))


def test_sentences_of_the_treebank():
    folder = os.environ.get("NEUROGRAPH_DATA")
    if folder is None or not (Path(folder) / "sst").is_dir():
        pytest.skip("NEUROGRAPH_DATA names no folder with the sentiment treebank")
    lines = ng.datasets.read_trees(Path(folder) / "sst" / "dev.txt")[:60]
    trees = [ng.Tree.from_brackets(line) for line in lines]
    assert {len(tree.children_of(node)) for tree in trees for node in range(len(tree))} <= {0, 2}
    known = sorted({word for tree in trees for word in tree.words if word is not None})
    index = {word: number for number, word in enumerate(known)}
    coded = [tree.encode(index) for tree in trees]
    labels = [tree.labels for tree in trees]
    net = ng.Network(
        [
            ng.Input((None,)),
            ng.Embedding(len(known), 8),
            ng.Recursive(8, return_sequences=True),
            ng.Dense(5, activation="softmax"),
        ],
        seed=0,
    )
    model = net.compile("adam(0.02)", "sparse_categorical_crossentropy", ["accuracy"], seed=0)
    history = model.fit(coded, labels, batch_size=16, epochs=6, verbose=0).history
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert history["accuracy"][-1] > 0.7


# training -----------------------------------------------------------------------------------------


def logic(rng, depth):
    """Return an expression of and, or and not over constants, with its value."""
    if depth == 0 or rng.random() < 0.15:
        value = bool(rng.integers(2))
        return (np.eye(5)[int(value)], []), value
    if rng.random() < 0.2:
        below, value = logic(rng, depth - 1)
        return (np.eye(5)[4], [below]), not value
    pairs = [logic(rng, depth - 1) for _ in range(2)]
    both = rng.random() < 0.5
    values = [value for _, value in pairs]
    value = all(values) if both else any(values)
    return (np.eye(5)[2 + both], [tree for tree, _ in pairs]), value


def test_a_tree_lstm_learns_boolean_expressions_and_goes_on_to_deeper_ones():
    rng = np.random.default_rng(1)
    train, test = [logic(rng, 4) for _ in range(400)], [logic(rng, 7) for _ in range(100)]
    net = ng.Network(
        [ng.Input((5,)), ng.ChildSumTreeLSTM(12), ng.Dense(1, activation="sigmoid")], seed=0
    )
    model = net.compile("adam(0.02)", "binary_crossentropy", ["accuracy"], seed=0)
    history = model.fit(
        [tree for tree, _ in train],
        np.array([[value] for _, value in train], float),
        batch_size=32,
        epochs=30,
        verbose=0,
        validation_split=0.1,
    )
    assert history.history["val_accuracy"][-1] == 1.0
    loss, accuracy = model.evaluate(
        [tree for tree, _ in test], np.array([[value] for _, value in test], float)
    )
    assert accuracy >= 0.97
    assert loss < 0.2


def test_small_batches_keep_blas_to_one_thread(monkeypatch):
    pool = pytest.importorskip("threadpoolctl")
    net = ng.Network([ng.Input((50,)), ng.ChildSumTreeLSTM(50)], seed=0)
    trees = [(None, [(np.ones(50), [])] * 3)] * 30
    found = []
    with pool.threadpool_limits(2, "blas"):
        model = net.compile("sgd", "mse")
        cell, forward = model.executable.cell, model.executable.cell.forward

        def observed(*given):
            infos = pool.threadpool_info()
            found.append({each["num_threads"] for each in infos if each["user_api"] == "blas"})
            forward(*given)

        monkeypatch.setattr(cell, "forward", observed)
        model.predict(trees)
        model.predict(trees[:2])  # too little for BLAS to divide
    assert found == [{1}, {2}]


def test_training_counts_nodes_weighs_them_and_can_be_taken_up_again(tmp_path):
    net, trees, rng = drawn(lstm_of_nodes, count=10)
    y = targets_for(net, trees, rng)
    weights = [rng.integers(0, 3, len(each)).astype(float) for each in y]
    model = net.compile("adam", "mse", ["mae"], dtype="float64", seed=4)
    outputs = np.concatenate(model.predict(trees))
    wanted, weight = np.concatenate(y), np.concatenate(weights)
    error = outputs - wanted
    assert np.allclose(model.evaluate(trees, y), [(error**2).mean(), abs(error).mean()])
    loss = model.gradients(trees, y, weights)
    assert np.isclose(loss, (weight * (error**2).mean(axis=1)).mean())
    logs = model.fit(trees, y, batch_size=4, epochs=2, verbose=0, validation_data=(trees, y))
    found = model.evaluate(trees, y)
    assert np.allclose([logs.history["val_loss"][-1], logs.history["val_mae"][-1]], found)
    path = tmp_path / "model.safetensors"
    model.save(path)
    model.fit(trees, y, batch_size=4, epochs=4, verbose=0, shuffle=True, resume=True)
    twin = ng.resume(path)
    assert type(twin) is type(model)
    twin.fit(trees, y, batch_size=4, epochs=4, verbose=0, shuffle=True, resume=True)
    for one, other in zip(net.get_weights(), twin.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_batches_can_come_from_a_function():
    net, trees, rng = drawn(recursive_of_nodes)
    y = targets_for(net, trees, rng)
    model = net.compile("sgd(0.1)", "mse", ["mae"], dtype="float64")
    batches = [(trees[:4], y[:4]), (trees[4:], y[4:])]
    history = model.fit(batches, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_dropout_and_normalisation_work_beside_a_tree_layer():
    rng = np.random.default_rng(0)
    net = ng.Network(
        [
            ng.Input((3,)),
            ng.Dropout(0.3),
            ng.Dense(4, activation="tanh"),
            ng.Recursive(4, return_sequences=True),
            ng.BatchNormalization(),
            ng.Dropout(0.2),
            ng.Dense(2),
        ],
        seed=0,
    )
    trees = [nested(rng, 3, vectors(rng)) for _ in range(7)]
    y = targets_for(net, trees, rng)
    model = net.compile("sgd(0.1)", "mse", dtype="float64", seed=0)
    moving = net.parameters["batch_normalization/moving_mean"].value.copy()
    losses = model.fit(trees, y, batch_size=3, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert (net.parameters["batch_normalization/moving_mean"].value != moving).all()
    assert "np.matmul" in model.source or "np.dot" in model.source
    blocks = [row.block for row in model.explain().rows]
    assert "recursive" in blocks
    assert ng.parity_check(net, trees, y).ok
    assert blocks[0] == "input -> dropout"
    assert model.plan.arrays


def test_training_stops_before_a_loss_that_is_no_number():
    net, trees, rng = drawn(recursive_of_roots)
    net.parameters["dense/kernel"].value = np.full((3, 2), 1e38)
    model = net.compile("sgd", "sse")
    with pytest.warns(UserWarning, match="the loss became (nan|inf)"):
        model.fit(trees, rng.normal(size=(6, 2)) * 1e30, verbose=0)
    net, trees, rng = drawn(recursive_of_nodes)
    net.parameters["cell/bias"].value = np.full(4, 3e38)
    model = net.compile("sgd", "sse")
    with pytest.warns(UserWarning, match="layer 'cell' is (inf|nan)"):
        model.fit(trees, targets_for(net, trees, rng), verbose=0)


def test_a_tree_network_is_saved_with_its_connections(tmp_path):
    net, trees, _ = drawn(lstm_of_words)
    net.save(tmp_path / "net.safetensors")
    twin = ng.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(twin.predict(trees), net.predict(trees))


# what cannot be -----------------------------------------------------------------------------------

GOOD = ([1.0, 2.0], [3.0, 4.0])


def recursive(*more):
    return ng.Network([ng.Input((2,), name="x"), ng.Recursive(2, name="p"), *more])


def lstm():
    return ng.Network([ng.Input((2,)), ng.ChildSumTreeLSTM(2)])


def coded():
    return ng.Network([ng.Input((None,)), ng.Embedding(4, 2), ng.Recursive(2)])


def fit(net, trees, y=None):
    net.compile("sgd", "mse").fit(trees, [[0.0, 0.0]] * len(trees) if y is None else y, verbose=0)


def classed(y, weights=None):
    net = ng.Network([
        ng.Input((2,)), ng.Recursive(2, return_sequences=True), ng.Dense(3, activation="softmax")
    ])  # fmt: skip
    model = net.compile("sgd", "sparse_categorical_crossentropy")
    model.fit([GOOD] * len(y), y, sample_weight=weights, verbose=0)


REFUSED = [
    (lambda: fit(recursive(), [GOOD, ([1.0, 2.0], (GOOD, GOOD, GOOD))]), ng.GraphError,
     r"x: tree 1: at \[1\]: the node has 3 children, expected 2"),
    (lambda: fit(recursive(), [([1.0, 2.0], [1.0, 2.0, 3.0])]), ng.DataError,
     r"tree 0: at \[1\]: the value has shape \(3,\), expected \(2,\)"),
    (lambda: fit(recursive(), [([1.0, np.nan], [1.0, 2.0])]), ng.DataError, "is not finite"),
    (lambda: fit(recursive(), [(None, [1.0, 2.0])]), ng.DataError, "None is no leaf"),
    (lambda: fit(recursive(), [((), [1.0, 2.0])]), ng.DataError, "an empty tuple"),
    (lambda: fit(recursive(), [("not", "good")]), ng.GraphError,
     "at .0.: the tree holds the word 'not'; Tree.encode"),
    (lambda: fit(recursive(), GOOD), ng.DataError, "a batch .* is a list of trees, got one tuple"),
    (lambda: fit(recursive(), []), ng.DataError, "there are no trees"),
    (lambda: fit(recursive(), [GOOD], [[0.0]]), ng.ShapeError, "do not fit"),
    (lambda: fit(recursive(), [GOOD, GOOD], [[0.0, 0.0]]), ng.ShapeError, "2 samples of x, but 1"),
    (lambda: fit(lstm(), [([1.0, 2.0], [GOOD])]), ng.DataError,
     r"at \[0\]\[0\]: .* is no node; write"),
    (lambda: fit(lstm(), [([1.0], [])]), ng.DataError, "at the root: the value has shape"),
    (lambda: fit(recursive(), [GOOD, ([1.0, 2.0],)]), ng.GraphError, "the node has 1 child, exp"),
    (lambda: fit(recursive(), [GOOD, ([1.0, 2.0], "good")]), ng.GraphError,
     r"tree 1: at \[1\]: the tree holds the word 'good'"),
    (lambda: recursive().predict([GOOD, (GOOD, GOOD, GOOD)], explicit=True), ng.GraphError,
     "x: tree 1: at the root: the node has 3"),
    (lambda: ng.parity_check(recursive(), [GOOD, (GOOD,)], [[0.0, 0.0]] * 2), ng.GraphError,
     "tree 1: at the root: the node has 1"),
    (lambda: recursive().compile().predict("abc"), ng.DataError, "got one str; give .tree. for"),
    (lambda: fit(recursive(), [nx.DiGraph([(0, 1)])]), ng.GraphError, "the node has 1 child"),
    (lambda: recursive().compile().fit([GOOD], [[0.0, 0.0]], augment=lambda x, _: x),
     ng.OptionError, "augment changes arrays, but the samples are trees"),
    (lambda: classed([[0, 1, 2], [0, 1, 3]]), ng.DataError,
     "y: tree 1, a sample for each node: .* of sample 2 is class 3, expected 0 to 2"),
    (lambda: classed([[0, 1, 2]] * 2, [[1, 1, 1], [1, 1]]), ng.ShapeError,
     "sample_weight: tree 1 has 3 nodes, but 2 rows"),
    (lambda: classed([[0, 1, 2]] * 2, [[1, 1, 1]]), ng.ShapeError, "1 arrays for 2 trees"),
    (lambda: classed([[0, 1, 2]] * 2, [[1, 1, 1], [1, 1, -1]]), ng.DataError,
     "sample_weight: tree 1, a sample for each node: .* sample 2 holds -1"),
    (lambda: fit(coded(), [(1, (2, 4))]), ng.DataError,
     r"tree 0: at \[1\]\[1\]: 4 is no index from 0 to 3, the rows of the embedding"),
    (lambda: fit(ng.Network([ng.Input((2,)), ng.Recursive(2, return_sequences=True)]), [GOOD],
                 [np.zeros((2, 2))]), ng.ShapeError, "tree 0 has 3 nodes, but 2 rows"),
    (lambda: fit(ng.Network([ng.Input((2,)), ng.Recursive(2, return_sequences=True)]), [GOOD],
                 np.zeros((1, 2))), ng.ShapeError, "a list with one array for each tree"),
    (lambda: ng.Network([ng.Input((3,)), ng.Recursive(2)]), ng.ShapeError,
     r"have length 3, those of the layer 2; they must be as long, ng.Dense\(2\)"),
    (lambda: ng.Network([ng.Input((6, 2), sequence=True), ng.Recursive(2)]), ng.ShapeError,
     "is a sequence of 6 steps; trees have any number"),
    (lambda: ng.Network([ng.Input((2, 2)), ng.Recursive(2)]), ng.ShapeError, "at each node of"),
    (lambda: recursive(ng.Recursive(2)), ng.GraphError, "a tree layer below it already"),
    (lambda: ng.Recursive(2, activation="softmax")(ng.Input((2,))), ng.OptionError, "of one node"),
    (lambda: ng.Recursive(2, children=0), ng.OptionError, "children must be .* at least 1"),
    (lambda: forward(recursive(), [[1.0, 2.0]]), ng.GraphError, "tree at a time"),
    (lambda: recursive().train([[0.0, 0.0]], [GOOD], 0.1, 1), ng.GraphError, "use fit"),
    (lambda: ng.tree_network(ng.Network([2, 1]), GOOD), ng.GraphError, "no layer that goes along"),
    (lambda: recursive().layer("p/inner")[0].upstream[0].weight and recursive().layer("p")[0]
     .upstream[0].remove(), ng.GraphError, "along trees cannot be removed"),
    (lambda: fit(recursive(), [GOOD, nx.Graph([(0, 1)])]), ng.GraphError,
     "tree 1: a tree is a networkx.DiGraph"),
    (lambda: fit(coded(), [ast.parse("not x", mode="eval").body]), ng.GraphError,
     "tree 0: at .0.: the tree holds the word 'Not'; .*encode"),
    (lambda: recursive().compile().predict({"y": [GOOD]}), ng.UnknownNameError,
     "unknown input 'y' .* known: x"),
    (lambda: classed([[0, 1, 2], [0, [1, 2], 2]]), ng.ShapeError, "the rows of tree 1 differ in"),
    (lambda: ng.Tree.from_brackets("(3 (2 a) (1 b)"), ng.DataError, "1 bracket is left open"),
    (lambda: ng.Tree.from_brackets("(3 (2 a)) (1 b)"), ng.DataError, "character 10: the tree is"),
    (lambda: ng.Tree.from_brackets("(3 (2 a) b)"), ng.DataError, "the word 'b' follows a bracket"),
    (lambda: ng.Tree.from_brackets("(3 (2 a b c))"), ng.DataError, r"\(label word\), it holds 4"),
    (lambda: ng.Tree.from_brackets(" "), ng.DataError, "got an empty one"),
    (lambda: ng.Tree.from_brackets("a"), ng.DataError, "outside of any bracket"),
    (lambda: ng.Tree.of(("a", "b")).encode({"a": 0}), ng.UnknownNameError, "unknown word 'b'"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "error", "message"), REFUSED)
def test_what_cannot_be_is_refused_in_one_sentence(build, error, message):
    with pytest.raises(error, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)
