"""What cannot be a network is refused in one sentence that names the nodes and the cure."""

from __future__ import annotations

import numpy as np
import pytest

import neurograph as ng
from neurograph.graph.bundles import DenseConnections
from neurograph.graph.layer import Layer
from neurograph.graph.verbs import _OF_A_MODEL


def nodes(*names: str) -> list[ng.Node]:
    return [ng.Node("tanh", name=name) for name in names]


def test_cycle_without_delay_shows_its_path_and_the_cure():
    x = ng.InputNode("x")
    a, b, c = nodes("a", "b", "c")
    for up, down in ((x, a), (a, b), (b, c), (c, a)):
        ng.Connection(up, down, weight=0.1)
    with pytest.raises(ng.GraphError, match=r"a cycle without delay: c -> a -> b -> c; .* delay=1"):
        ng.Network(inputs=[x], outputs=[c])


def test_self_loop_without_delay():
    x, (a,) = ng.InputNode("x"), nodes("a")
    ng.Connection(x, a, weight=0.1)
    ng.Connection(a, a, weight=0.1)
    with pytest.raises(ng.GraphError, match="a cycle without delay: a -> a"):
        ng.Network(inputs=[x], outputs=[a])


def test_cycle_with_delays_of_both_signs():
    x, (a, b) = ng.InputNode("x"), nodes("a", "b")
    ng.Connection(x, a, weight=0.1)
    ng.Connection(a, b, weight=0.1, delay=1)
    ng.Connection(b, a, weight=0.1, delay=-1)
    with pytest.raises(ng.GraphError, match="through a, b has delays of both signs"):
        ng.Network(inputs=[x], outputs=[b])


def test_a_connection_that_would_close_a_cycle_leaves_the_network_as_it_was():
    x, (a, b) = ng.InputNode("x"), nodes("a", "b")
    ng.Connection(x, a, weight=0.5)
    ng.Connection(a, b, weight=0.5)
    net = ng.Network(inputs=[x], outputs=[b])
    before = net.predict([1.0], explicit=True)
    with pytest.raises(ng.GraphError, match=r"a -> b -> a|b -> a -> b"):
        net.connect("b", "a", weight=1.0)
    assert len(net.connections) == 2
    assert net.predict([1.0], explicit=True) == before


def test_connection_that_joins_two_networks():
    first, second = (small(name) for name in ("first", "second"))
    with pytest.raises(ng.GraphError, match=r"'y' belongs to network 'first' .* network 'second'"):
        ng.Connection(first.node("y"), second.node("y"), weight=0.1)
    assert len(first.connections) == len(second.connections) == 1


def small(name: str) -> ng.Network:
    x, (y,) = ng.InputNode("x"), nodes("y")
    ng.Connection(x, y, weight=0.1)
    return ng.Network(inputs=[x], outputs=[y], name=name)


def test_nodes_and_layers_of_another_network():
    net = small("first")
    with pytest.raises(ng.GraphError, match="already belongs to network 'first'"):
        ng.Network(inputs=[net.node("x")], outputs=[net.node("y")])
    library = ng.Network([ng.Input(2), ng.Dense(1)], name="library")
    with pytest.raises(ng.GraphError, match="already belongs to network 'library'"):
        ng.Network(inputs=library.layers[0], outputs=library.layer("dense"))


def test_unknown_names_offer_the_nearest():
    net = small("net")
    x, (hidden,) = ng.InputNode("x"), nodes("hidden")
    ng.Connection(x, hidden, weight=0.1)
    made = ng.Network(inputs=[x], outputs=[hidden])
    with pytest.raises(ng.UnknownNameError, match=r"node 'hiden' of network 'network'.*'hidden'"):
        made.node("hiden")
    with pytest.raises(ng.UnknownNameError, match="did you mean 'layer_1'"):
        ng.Network([2, 2]).layer("layer1")
    with pytest.raises(
        ng.UnknownNameError, match=r"unknown connection 'y->x' of those into 'x'; there are none"
    ):
        net.find("y->x")
    with pytest.raises(ng.OptionError, match="two nodes with an arrow"):
        net.find("y")
    with pytest.raises(ng.UnknownNameError, match="did you mean 'sigmoid'"):
        ng.Node("sigmoyd")
    with pytest.raises(ng.UnknownNameError, match="did you mean 'product'"):
        ng.Node("tanh", "produkt")


def test_duplicate_names():
    x, (a, b) = ng.InputNode("x"), nodes("same", "same")
    ng.Connection(x, a, weight=0.1)
    ng.Connection(a, b, weight=0.1)
    with pytest.raises(ng.GraphError, match="two nodes are called 'same'"):
        ng.Network(inputs=[x], outputs=[b])
    with pytest.raises(ng.GraphError, match="two layers are called 'd'"):
        ng.Network([ng.Input(2), ng.Dense(2, name="d"), ng.Dense(1, name="d")])


def test_output_that_no_input_reaches():
    x, (a, b) = ng.InputNode("x"), nodes("a", "b")
    ng.Connection(x, a, weight=0.1)
    ng.Connection(ng.ConstNode("one"), b, weight=0.1)
    with pytest.raises(ng.GraphError, match="no input reaches output 'b'; connect it"):
        ng.Network(inputs=[x], outputs=[a, b])


@pytest.mark.parametrize("weight", [np.nan, np.inf, -np.inf])
def test_weight_that_is_not_finite(weight):
    x, (y,) = ng.InputNode("x"), nodes("y")
    with pytest.raises(ng.DataError, match="x -> y: its weight is"):
        ng.Connection(x, y, weight=weight)
    assert not y.upstream
    connection = ng.Connection(x, y, weight=0.1)
    with pytest.raises(ng.DataError, match="x -> y: its weight cannot be"):
        connection.weight = weight
    assert connection.weight == 0.1
    with pytest.raises(ng.DataError, match="not finite"):
        ng.Parameter(weight, name="w")


@pytest.mark.parametrize("weight", ["1", [1.0], 1j, 10**400])
def test_weight_that_is_no_number(weight):
    x, (y,) = ng.InputNode("x"), nodes("y")
    with pytest.raises(ng.DataError, match="x -> y: its weight is"):
        ng.Connection(x, y, weight=weight)
    connection = ng.Connection(x, y, weight=0.1)
    with pytest.raises(ng.DataError, match="x -> y: its weight cannot be"):
        connection.weight = weight
    assert connection.weight == 0.1


def test_connection_between_names_or_with_half_a_step():
    x, (y,) = ng.InputNode("x"), nodes("y")
    with pytest.raises(ng.GraphError, match=r"Connection\('x', 'y'\): give two nodes"):
        ng.Connection("x", "y")
    for delay in (0.5, "1", None):
        with pytest.raises(ng.OptionError, match="a connection's delay is a whole number of steps"):
            ng.Connection(x, y, 0.1, delay=delay)
    assert not y.upstream
    assert ng.Connection(x, y, 0.1, delay=np.int64(2)).delay == 2


def test_connection_into_an_input_or_a_constant():
    x, one, (y,) = ng.InputNode("x"), ng.ConstNode("one"), nodes("y")
    with pytest.raises(ng.GraphError, match="'x' is an input, which takes no incoming"):
        ng.Connection(y, x, weight=0.1)
    with pytest.raises(ng.GraphError, match="'one' is a ConstNode, which takes no incoming"):
        ng.Connection(y, one, weight=0.1)


def test_weight_and_parameter_at_once_and_an_index_outside():
    x, (y,) = ng.InputNode("x"), nodes("y")
    w = ng.Parameter([0.1, 0.2], name="w")
    with pytest.raises(ng.GraphError, match="a weight or a shared parameter, not both"):
        ng.Connection(x, y, weight=0.1, parameter=w)
    with pytest.raises(ng.GraphError, match="index 2 is outside parameter 'w' of 2 weights"):
        ng.Connection(x, y, parameter=w, index=2)
    assert not x.downstream
    assert not y.upstream


@pytest.mark.parametrize("explicit", [True, False])
def test_sample_of_the_wrong_length(explicit):
    net = ng.Network([2, 1])
    with pytest.raises(ng.ShapeError, match=r"input 'layer_0' (takes|got) .*3"):
        net.predict([1.0, 2.0, 3.0], explicit=explicit)
    with pytest.raises(ng.DataError, match=r"layer_0|sample 0"):
        net.predict([1.0, np.nan], explicit=explicit)
    with pytest.raises(ng.NeurographError, match=r"layer_0|predict"):
        net.predict([[1.0, 2.0], [1.0]], explicit=explicit)


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize(
    ("labels", "samples", "rate", "iteration"),
    [
        ([[1.0]], [[1.0, 2.0, 3.0]], 0.1, 1),
        ([[1.0, 2.0]], [[1.0, 2.0]], 0.1, 1),
        ([[1.0], [2.0]], [[1.0, 2.0]], 0.1, 1),
        ([[np.nan]], [[1.0, 2.0]], 0.1, 1),
        ([[1.0]], [[1.0, 2.0]], -0.1, 1),
        ([[1.0]], [[1.0, 2.0]], np.nan, 1),
        ([[1.0]], [[1.0, 2.0]], "0.1", 1),
        ([[1.0]], [[1.0, 2.0]], 0.1, "1"),
        ([[1.0]], [[1.0, 2.0]], 0.1, -1),
        ([[1.0]], [[1.0, 2.0]], 0.1, 1.5),
        ([["1"]], [[1.0, 2.0]], 0.1, 1),
        ([[1.0]], ["ab"], 0.1, 1),
        (None, [[1.0, 2.0]], 0.1, 1),
        ([[1.0]], None, 0.1, 1),
        ([], [], 0.1, 1),
        ([[1.0], [np.nan]], [[1.0, 2.0], [1.0, 2.0]], 0.1, 1),
        ([[1.0], [1.0, 2.0]], [[1.0, 2.0], [1.0, 2.0]], 0.1, 1),
        ([[1.0], [1.0]], [[1.0, 2.0], [1.0]], 0.1, 1),
    ],
)
def test_training_data_that_cannot_be(explicit, labels, samples, rate, iteration):
    net = ng.Network([2, 1], seed=0)
    before = [parameter.value.copy() for parameter in net.parameters.values()]
    with pytest.raises(ng.NeurographError):
        net.train(labels, samples, rate, iteration, explicit=explicit)
    for old, parameter in zip(before, net.parameters.values(), strict=True):
        assert old.tolist() == parameter.value.tolist()


def test_bad_sizes_and_shapes():
    for sizes in ([3], [3, 0], [3, -1]):
        with pytest.raises(ng.OptionError, match="at least two layer sizes"):
            ng.Network(sizes)
    with pytest.raises(ng.OptionError, match="give layer sizes"):
        ng.Network([])
    with pytest.raises(ng.OptionError, match="both inputs= and outputs="):
        ng.Network()
    with pytest.raises(ng.OptionError, match="Network: seed is -1; give a whole number from 0"):
        ng.Network([2, 1], seed=-1)
    with pytest.raises(ng.ShapeError, match=r"kernel has shape \(2, 2\), expected 3 rows"):
        DenseConnections(Layer((3,)), Layer((2,)), ng.Parameter(np.zeros((2, 2))))
    layer = ng.Network([2, 3]).layer("layer_1")
    with pytest.raises(ng.UnknownNameError, match=r"'layer_1' is a layer .*such as '\(1-0\)'"):
        ng.Network([2, 3, 1]).node("layer_1")
    with pytest.raises(IndexError, match="nodes 0 to 2, there is no node 3"):
        layer[3]
    with pytest.raises(ng.UnknownNameError, match="nodes 0 to 2, there is no node 3"):
        ng.Network([ng.Input(3), ng.Dense(2)]).node("input[3]")
    with pytest.raises(ng.GraphError, match=r"the first of the layers is Dense; start with ng\."):
        ng.Network([ng.Dense(2)])
    with pytest.raises(ng.OptionError, match=r"prune\('0.1'\): the threshold must be a number"):
        ng.Network([3, 2]).prune("0.1")
    with pytest.raises(ng.ShapeError, match="2 coordinates"):
        layer[0, 0]
    with pytest.raises(ng.ShapeError, match="got 2 values, it has 3 nodes"):
        layer.set_output([1.0, 2.0])


def test_constant_weights_are_not_trained():
    net = ng.Network([ng.Input(2), ng.Activation("tanh")])
    connection = net.layer("activation")[0].upstream[0]
    assert connection.weight == 1.0
    assert not connection.trainable
    with pytest.raises(ng.GraphError, match="constant weight 1"):
        connection.weight = 2.0
    with pytest.raises(ng.GraphError, match="never trained"):
        connection.trainable = True


def test_calculating_a_delayed_connection_outside_of_time():
    x, (h,) = ng.InputNode("x"), nodes("h")
    ng.Connection(x, h, weight=0.1)
    ng.Connection(h, h, weight=0.1, delay=1)
    with pytest.raises(
        ng.GraphError, match=r"h -> h \[delay 1\]: .* run the network on a sequence"
    ):
        h.calc_output()


def test_delta_before_any_prediction():
    with pytest.raises(ng.GraphError, match="call predict first"):
        ng.Network([2, 1]).calc_delta([1.0])


@pytest.fixture
def layered() -> ng.Network:
    return ng.Network([2, 3, 1], seed=0)


X, Y = ng.InputNode("x"), ng.Node("tanh", name="y")
WRONG_KINDS = {
    "upstream": (lambda net: ng.Connection(None, Y, 0.1), "give two nodes"),
    "downstream": (lambda net: ng.Connection(X, 5, 0.1), "give two nodes"),
    "parameter": (lambda net: ng.Connection(X, Y, parameter=0.5), "expected an ng.Parameter"),
    "index": (lambda net: ng.Connection(X, Y, parameter=ng.Parameter(1), index="0"), "is outside"),
    "value": (lambda net: ng.Parameter([[1], [1, 2]], "w"), "'w': its value is no array of num"),
    "new value": (lambda net: setattr(ng.Parameter([1]), "value", ["a"]), "is no array of numbers"),
    "node name": (lambda net: ng.Node(name=5), "a node's name must be a string, got 5"),
    "layer name": (lambda net: ng.Dense(2, name=5), "Dense: name must be a string, got 5"),
    "input name": (lambda net: ng.Input(2, name=5), "Input: name must be a string, got 5"),
    "network name": (lambda net: ng.Network([2, 1], name=5), "Network: name must be a string"),
    "parameter name": (lambda net: ng.Parameter(1, name=5), "parameter's name must be a string"),
    "position": (lambda net: ng.Node(position="ab"), "position is whole numbers such as"),
    "initial": (lambda net: ng.Node(initial=np.nan), "initial output must be a finite number"),
    "new initial": (lambda net: setattr(Y, "initial", "0"), "y: the initial output must be"),
    "activation": (lambda net: ng.Node(abs), "ng.register_activation"),
    "sizes": (lambda net: ng.Network(5), r"Network\(5\): give a list of layer sizes"),
    "outputs": (lambda net: ng.Network(inputs=X, outputs=[]), "outputs has nothing, expected"),
    "recipe": (lambda net: ng.Network(inputs=X, outputs=ng.Dense(2)), "outputs has Dense, expect"),
    "no layer": (lambda net: ng.Network([ng.Input(2), print]), "layers has NoneType, expected"),
    "weights": (lambda net: net.set_weights(None), "expected a list of weights, got None"),
    "node": (lambda net: net.node(5), r"node\(5\): give a name"),
    "find": (lambda net: net.find(None), r"find\(None\): write two nodes with an arrow"),
    "found": (lambda net: net.find("(0-9)->(1-0)"), "nodes 0 to 1, there is no node 9"),
    "place": (lambda net: net.layers[1][1.5], "1.5 is no node's place"),
    "places": (lambda net: net.layers[1]["a"], "'a' is no node's place"),
    "nodes": (lambda net: net.layers[1].nodes["a"], "'a' is no node's place"),
    "output": (lambda net: net.node("(0-0)").set_output("1"), r"\(0-0\): its output cannot be '1'"),
    "outputs of a layer": (lambda net: net.layers[0].set_output(None), "are 2 values, got None"),
    "label": (lambda net: net.node("(2-0)").calc_output_layer_delta("1"), "its label is '1'"),
    "rate": (lambda net: net.update_weight("0.1"), "rate must be a number of at least 0"),
    "rate of one": (lambda net: net.find("(0-0)->(1-0)").update_weight(-1), "rate must be a num"),
    "rate of a step": (lambda net: net.train_one_sample([1], [1, 2], np.inf), "rate must be a num"),
    "derivative": (lambda net: ng.register_activation("mine", abs, 1), "a name, a function and it"),
}


@pytest.mark.parametrize("case", WRONG_KINDS)
def test_what_is_of_the_wrong_kind_is_refused_in_a_sentence(layered, case):
    attempt, message = WRONG_KINDS[case]
    before = [weights.tolist() for weights in layered.get_weights()]
    with pytest.raises(ng.NeurographError, match=message):
        attempt(layered)
    assert [weights.tolist() for weights in layered.get_weights()] == before
    assert not X.downstream
    assert not Y.upstream


def test_a_label_may_be_a_number_where_there_is_one_output(layered):
    rows, labels = [[0.0, 1.0], [1.0, 0.5]], [1.0, 0.0]
    same = ng.Network([2, 3, 1], seed=0)
    errors = layered.train(labels, rows, 0.5, 3, explicit=True)
    assert errors == pytest.approx(same.train(labels, rows, 0.5, 3), rel=1e-12)
    walked, compiled = ng.Network([1, 1], seed=0), ng.Network([1, 1], seed=0)
    errors = walked.train(labels, [0.5, 2], 0.5, 3, explicit=True)
    assert errors == pytest.approx(compiled.train(labels, [0.5, 2], 0.5, 3), rel=1e-12)
    assert layered.train_one_sample(1, rows[0], 0.5) == pytest.approx(
        same.train_one_sample([1.0], rows[0], 0.5), rel=1e-12
    )


def test_places_count_from_the_end_too(layered):
    layer = layered.layers[1]
    assert layer.nodes[-1] is layer.nodes[3] is layer.const[0]
    assert layer.nodes[-2] is layer[-1] is layer[2] is layered.node("layer_1[-1]")
    with pytest.raises(IndexError, match="there is no node"):
        layer.nodes[-5]


def test_long_values_are_shown_in_one_short_line():
    with pytest.raises(ng.DataError) as error:
        ng.Perceptron(2).predict(np.full((50, 40), np.nan))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_what_only_a_model_can_do_says_to_compile(layered):
    with pytest.raises(AttributeError, match=r"no attribute 'fit'; compile it first: net\.compile"):
        layered.fit([[1.0, 2.0]], [1.0])
    with pytest.raises(AttributeError, match=r"no attribute 'pedict'$"):
        layered.pedict([1.0, 2.0])
    assert all(hasattr(layered.compile(), name) for name in _OF_A_MODEL)
    assert not hasattr(layered, "fit")


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        (lambda net: setattr(net.node("h"), "name", "y"), "node 'h' cannot be called 'y': another"),
        (lambda net: setattr(net.node("h"), "name", ""), "h: a node of a network needs a name"),
        (lambda net: setattr(net.node("h"), "name", 3), "h: its name must be a string, got 3"),
        (lambda net: setattr(net.node("p[0]"), "name", "q"), r"p\[0\]: .* set layer.name instead"),
        (lambda net: setattr(net.layer("p"), "name", "q"), "layer 'p' cannot be called 'q': anoth"),
        (lambda net: setattr(net.layer("p"), "name", ""), "'p': a layer of a network needs a name"),
        (lambda net: setattr(net.layer("p"), "name", None), "'p': its name must be a string, got"),
        (
            lambda net: setattr(net.parameters["p/bias"], "name", 3),
            "a parameter's name must be a string, got 3",
        ),
    ],
)
def test_a_name_that_cannot_be_changes_nothing(rename, message):
    x, h, y = ng.Input((2,), name="x"), ng.Node(name="h"), ng.Node(name="y")
    p, q = ng.Dense(2, name="p")(x), ng.Dense(1, name="q")(x)
    ng.Connection(p[0], h, weight=0.5)
    ng.Connection(h, y, weight=0.5)
    net = ng.Network(inputs=x, outputs=[q, y])
    layers = [each.name for each in net.all_layers]
    with pytest.raises(ng.NeurographError, match=message):
        rename(net)
    assert [each.name for each in net.all_layers] == layers
    assert net.node("h") is h
    assert net.node("y") is y
    assert {each.name for each in net.parameters.values()} == set(net.parameters)


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("sample", [[1j, 2.0], [[1.0, 2.0], [0.0, 1j]]])
def test_complex_numbers_are_no_inputs(layered, explicit, sample):
    for given in (sample, np.array(sample), np.array(sample, dtype=object)):
        with pytest.raises(ng.DataError, match="'layer_0' are not all real numbers; it takes"):
            layered.predict(given, explicit=explicit)
    with pytest.raises(ng.DataError, match="x: expected numbers, got an array of complex128"):
        layered.compile().predict(np.atleast_2d(sample))


@pytest.mark.parametrize("explicit", [True, False])
def test_arrays_of_python_s_numbers_are_numbers(layered, explicit):
    rows = [np.array([0.5, 1], dtype=object), np.array([2, True], dtype=object)]
    plain = [[0.5, 1.0], [2.0, 1.0]]
    assert np.array_equal(
        layered.predict(rows, explicit=explicit), layered.predict(plain, explicit=explicit)
    )
    model = layered.compile()
    assert np.array_equal(model.predict(np.array(rows)), model.predict(plain))
    for wrong in (None, "a"):
        rows[1][1] = wrong
        with pytest.raises(ng.DataError, match="'layer_0' are not all numbers; it takes"):
            layered.predict(rows, explicit=explicit)
        with pytest.raises(ng.DataError, match="x: expected numbers, got an array of "):
            model.predict(rows)


@pytest.mark.parametrize("value", [[1j], ["1"], np.array(["2026-01-01"], "M8[D]")])
def test_what_only_looks_like_a_number_is_no_weight(value):
    with pytest.raises(ng.DataError, match="is no array of numbers"):
        ng.Parameter(value)
    with pytest.raises(ng.DataError, match="a vector, finite numbers, got"):
        ng.Perceptron(1).predict(value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda net: setattr(net.node("a"), "aggregation", "max"),
            "a: an input has no aggregation",
        ),
        (lambda net: setattr(net.node("one"), "activation", "relu"), "one: a ConstNode has no act"),
        (lambda net: setattr(net.node("h"), "aggregation", "maxx"), "did you mean 'max'"),
        (lambda net: setattr(net.node("h"), "activation", "relo"), "did you mean 'relu'"),
        (lambda net: setattr(net.node("p[0]"), "aggregation", "max"), "make the node by hand inst"),
        (lambda net: setattr(net.node("p[0]"), "activation", "relu"), "set layer.activation inst"),
        (
            lambda net: setattr(net.layer("p"), "aggregation", "max"),
            "'p': its aggregation, sum, st",
        ),
    ],
)
def test_what_a_node_cannot_become_leaves_it_as_it_was(change, message):
    x, a, h, one = (
        ng.Input((2,), name="x"),
        ng.InputNode("a"),
        ng.Node(name="h"),
        ng.ConstNode("one"),
    )
    for up in (a, one):
        ng.Connection(up, h, weight=0.5)
    net = ng.Network(inputs=[x, a], outputs=[ng.Dense(2, name="p")(x), h])
    before, version = str(net.node("p[0]")) + str(h), net.version.number
    with pytest.raises(ng.NeurographError, match=message):
        change(net)
    assert str(net.node("p[0]")) + str(h) == before
    assert net.version.number == version


def test_what_a_network_refused_makes_another_when_it_is_mended():
    x, h, y = ng.InputNode("x"), ng.Node("tanh", name="h"), ng.Node("tanh", name="x")
    up, round_ = ng.Connection(x, h, 0.5), ng.Connection(h, h, 0.25)
    down = ng.Connection(h, y, -2.0, trainable=False)
    for _ in range(2):
        with pytest.raises(ng.GraphError, match="two nodes are called 'x'"):
            ng.Network(inputs=[x], outputs=[y])
    y.name = "y"
    with pytest.raises(ng.GraphError, match="cycle"):
        ng.Network(inputs=[x], outputs=[y])
    round_.delay = 1
    net = ng.Network(inputs=[x], outputs=[y])
    assert [each.weight for each in (up, round_, down)] == [0.5, 0.25, -2.0]
    assert {each.parameter for each in (up, round_, down)} == {net.parameters["connections/weight"]}
    assert not down.trainable
    np.testing.assert_allclose(net.predict([[1.0]]), np.tanh(-2 * np.tanh([[0.5]])))


def test_layers_that_a_network_refused_make_another_with_its_seed():
    def made(second):
        x = ng.Input((3,))
        return x, ng.Dense(2, name=second)(ng.Dense(2, name="first")(x))

    x, end = made("first")
    with pytest.raises(ng.GraphError, match="two layers are called 'first'"):
        ng.Network(inputs=x, outputs=end, seed=5)
    end.name = "second"
    net, (x, end) = ng.Network(inputs=x, outputs=end, seed=6), made("second")
    other = ng.Network(inputs=x, outputs=end, seed=6)
    assert net.predict([1, 2, 3]).tolist() == other.predict([1, 2, 3]).tolist()
    assert ng.parity_check(net, [1, 2, 3], [1, 0]).ok


def test_connection_to_a_node_whose_name_is_taken_leaves_the_network_as_it_is():
    x, y, other = ng.InputNode("x"), ng.Node("tanh", name="y"), ng.Node("tanh", name="y")
    ng.Connection(x, y, 0.5)
    net = ng.Network(inputs=[x], outputs=[y])
    before = str(net)
    with pytest.raises(ng.GraphError, match="two nodes are called 'y'"):
        ng.Connection(x, other, 0.3)
    assert (str(net), len(x.downstream), len(other.upstream)) == (before, 1, 0)
    other.name = "z"
    ng.Connection(x, other, 0.3)
    assert net.node("z") is other
