from __future__ import annotations

import runpy
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from cases import CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from render_networks import by_hand, tutorial

import neurograph as ng


def same_graph(one, other):
    """Assert that two graphs are equal in everything, weights to the last bit."""
    assert one.graph == other.graph
    assert dict(one.nodes(data=True)) == dict(other.nodes(data=True))
    assert edges_of(one) == edges_of(other)


def edges_of(graph):
    rows = [(up, down, sorted(data.items(), key=str)) for up, down, data in graph.edges(data=True)]
    return sorted(rows, key=str)


def same_numbers(net, twin, x):
    got, expected = twin.predict(x, explicit=True), net.predict(x, explicit=True)
    for a, b in zip(listed(got), listed(expected), strict=True):
        assert np.array_equal(a, b)


def listed(found):
    return found if isinstance(found, list) else [found]


# there and back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_every_case_comes_back_as_it_was(name):
    net = CASES[name].network()
    if len(net.connections) > 8_000:
        with pytest.raises(ng.GraphError, match="raise limit="):
            net.to_networkx(limit=8_000)
        return
    graph = net.to_networkx()
    assert graph.number_of_edges() == len(net.connections)
    same_graph(graph, ng.from_networkx(graph).to_networkx())


@pytest.mark.parametrize("name", ["dense", "lstm", "conv2d", "batch_normalization", "several_ends"])
def test_what_comes_back_calculates_the_same(name):
    if name not in CASES:
        pytest.skip(f"there is no case {name}")
    case = CASES[name]
    net = case.network()
    same_numbers(net, ng.from_networkx(net.to_networkx()), case.data(net)[0])


def test_attributes_of_nodes_and_edges():
    net = by_hand()
    net.predict(np.ones((1, 2, 2)), explicit=True)
    graph = net.to_networkx()
    assert graph.nodes["h"] == {
        "layer": "nodes",
        "index": 2,
        "activation": "tanh",
        "aggregation": "sum",
        "role": "units",
        "initial": 0.0,
    }
    assert [graph.nodes[name]["role"] for name in ("a", "one", "y")] == ["input", "const", "units"]
    (frozen,) = graph.get_edge_data("a", "h").values()
    assert frozen == {"weight": 0.3, "delay": 0, "trainable": False, "gradient": 0.0}
    (shared,) = graph.get_edge_data("a", "y").values()
    assert (shared["parameter"], shared["index"], shared["weight"]) == ("w", 0, 0.5)
    (late,) = graph.get_edge_data("y", "h").values()
    assert (late["weight"], late["delay"]) == (-0.7, 2)
    assert graph.graph["inputs"] == ["a", "b"]
    assert graph.graph["outputs"] == ["y"]


def test_library_nodes_have_places_and_parameters():
    net = ng.Network([ng.Input((3, 3, 1)), ng.Conv2D(2, 2, activation="relu")], seed=0)
    graph = net.to_networkx()
    node = graph.nodes["conv2d[1, 0, 1]"]
    assert (node["position"], node["index"], node["activation"]) == ((1, 0, 1), 5, "relu")
    uses = [d["index"] for *_, d in graph.edges(data=True) if d["parameter"] == "conv2d/kernel"]
    assert np.bincount(uses).tolist() == [4] * 8  # every weight at each of four places


def test_sharing_freezing_and_delays_come_back():
    twin = ng.from_networkx(by_hand().to_networkx())
    assert not twin.find("a->h").trainable
    assert twin.find("h->h").delay == 1
    twin.find("a->y").weight = 0.25
    assert twin.find("b->h").weight == 0.25
    assert list(twin.parameters) == ["connections/weight", "w"]


def test_gradients_and_regularizers_come_back():
    net = ng.Network([ng.Input((3,)), ng.Dense(2, kernel_regularizer=ng_l2(0.1), name="d")], seed=0)
    net.get_gradient([0.0, 1.0], [1.0, 2.0, 3.0])
    twin = ng.from_networkx(net.to_networkx())
    kernel = net.parameters["d/kernel"]
    assert np.array_equal(twin.parameters["d/kernel"].gradient, kernel.gradient)
    assert twin.parameters["d/kernel"].regularizer == kernel.regularizer


def ng_l2(factor):
    from neurograph.regularizers import L2

    return L2(factor)


def test_too_many_connections_are_refused():
    net = ng.Network([100, 100])
    with pytest.raises(ng.GraphError, match=r"10,100 connections, a graph may have 10,000"):
        net.to_networkx(limit=10_000)


# changed in between -------------------------------------------------------------------------------


def test_removed_edges_are_gone_and_their_weights_stay_zero():
    net = tutorial()
    graph = net.to_networkx()
    weak = [
        (up, down, key)
        for up, down, key, data in graph.edges(keys=True, data=True)
        if abs(data["weight"]) < 0.5
    ]
    graph.remove_edges_from(weak)
    twin = ng.from_networkx(graph)
    assert len(twin.connections) == 26 - len(weak)
    assert sorted(abs(c.weight) for c in twin.connections)[0] >= 0.5
    kernel = twin.parameters["layer_1/kernel"]
    dropped = np.abs(net.parameters["layer_1/kernel"].value) < 0.5
    assert np.array_equal(kernel.value == 0.0, dropped)
    assert np.array_equal(kernel.frozen, dropped)
    same_graph(twin.to_networkx(), ng.from_networkx(twin.to_networkx()).to_networkx())
    expected = np.where(dropped, 0.0, net.parameters["layer_1/kernel"].value)
    net.parameters["layer_1/kernel"].value = expected
    for name, rest in net.parameters.items():
        rest.value = np.where(np.abs(rest.value) < 0.5, 0.0, rest.value)
        assert name in twin.parameters
    x = [0.3, -0.2, 0.9]
    assert np.array_equal(net.predict(x, explicit=True), twin.predict(x, explicit=True))


def test_a_removed_node_makes_its_layer_smaller():
    net = tutorial()
    graph = net.to_networkx()
    graph.remove_node("(1-2)")
    twin = ng.from_networkx(graph)
    assert twin.layer("layer_1").shape == (3,)
    assert len(twin.connections) == 26 - 4 - 2
    kernel = net.parameters["layer_2/kernel"].value.copy()
    kernel[2] = 0.0  # what the node sent no longer arrives
    net.parameters["layer_2/kernel"].value = kernel
    x = [0.3, -0.2, 0.9]
    got, expected = twin.predict(x, explicit=True), net.predict(x, explicit=True)
    assert np.allclose(got, expected, rtol=0, atol=1e-15)
    assert str(twin.layer("layer_1").nodes[-1].label) == "(1-3)"


def test_added_nodes_and_edges_join_in():
    net = tutorial()
    graph = net.to_networkx()
    graph.add_node("extra", activation="tanh")
    graph.add_edge("(0-0)", "extra", weight=0.5)
    graph.add_edge("extra", "(2-1)", weight=2.0, trainable=False)
    twin = ng.from_networkx(graph)
    x = [0.3, -0.2, 0.9]
    twin.predict(x, explicit=True)
    net.predict(x, explicit=True)
    before = float(net.layer("layer_2")[1].net)
    assert float(twin.layer("layer_2")[1].net) == pytest.approx(before + 2 * np.tanh(0.15))
    assert not twin.find("extra->(2-1)").trainable
    same_graph(twin.to_networkx(), ng.from_networkx(twin.to_networkx()).to_networkx())


def test_changed_weights_activations_and_trainability_are_taken():
    graph = tutorial().to_networkx()
    for key in ("(1-0)", "(1-1)", "(1-2)", "(1-3)"):
        graph.nodes[key]["activation"] = "relu"
    data = next(iter(graph.get_edge_data("(0-1)", "(1-2)").values()))
    data["weight"], data["trainable"] = 0.125, False
    twin = ng.from_networkx(graph)
    assert twin.layer("layer_1").activation_name == "relu"
    connection = twin.find("(0-1)->(1-2)")
    assert connection.weight == 0.125
    assert not connection.trainable
    assert twin.find("(0-1)->(1-1)").trainable


def test_renamed_nodes_come_back():
    net = by_hand()
    graph = nx.relabel_nodes(net.to_networkx(), {"h": "hidden", "y": "answer"})
    with pytest.raises(ng.GraphError, match=r"graph.graph\['outputs'\] names 'y'"):
        ng.from_networkx(graph)
    twin = ng.from_networkx(graph, outputs=["answer"])
    x = np.ones((1, 3, 2))
    same_numbers(net, twin, x)
    assert twin.node("hidden").name == "hidden"


def test_a_layer_function_needs_all_its_nodes():
    net = ng.Network([ng.Input((3,)), ng.Dense(4, activation="softmax"), ng.Dense(1)], seed=0)
    graph = net.to_networkx()
    graph.remove_node("dense[1]")
    with pytest.raises(ng.GraphError, match="'dense' lost nodes, but its function needs all"):
        ng.from_networkx(graph)


def test_a_layer_whose_nodes_disagree_is_refused():
    graph = tutorial().to_networkx()
    graph.nodes["(1-2)"]["activation"] = "relu"
    with pytest.raises(ng.GraphError, match="activations relu, sigmoid"):
        ng.from_networkx(graph)
    del graph.nodes["(1-2)"]["layer"]
    assert ng.from_networkx(graph).node("(1-2)").activation.name == "relu"


def test_one_weight_cannot_have_two_values():
    graph = by_hand().to_networkx()
    next(iter(graph.get_edge_data("a", "y").values()))["weight"] = 0.75
    with pytest.raises(ng.GraphError, match="share weight 0 of parameter 'w'"):
        ng.from_networkx(graph)


def test_pruning_example(capsys):
    path = Path(__file__).parent.parent / "examples" / "networkx_pruning.py"
    before, after, tuned = runpy.run_path(str(path))["main"](quick=True)
    out = capsys.readouterr().out
    assert before >= 0.9
    assert tuned >= max(after, 0.85) - 0.02
    assert "131 connections" in out
    assert "strongest path from petal_length to virginica: input[2] dense[" in out
    assert "components: 1" in out


# any graph ----------------------------------------------------------------------------------------


def test_plain_graphs_get_sensible_defaults():
    net = ng.from_networkx(nx.DiGraph([("a", "h"), ("b", "h"), ("h", "y"), ("a", "y")]))
    assert [port.name for port in net.inputs] == ["a, b"]
    assert [port.name for port in net.outputs] == ["y"]
    assert net.node("h").activation.name == "sigmoid"
    hidden = 1 / (1 + np.exp(-3.0))
    assert net.predict([1.0, 2.0], explicit=True)[0] == pytest.approx(
        1 / (1 + np.exp(-(hidden + 1.0)))
    )


def test_attributes_of_plain_graphs_are_read():
    graph = nx.MultiDiGraph(name="mine")
    graph.add_node("h", activation="tanh", aggregation="product", initial=0.5, position=(1, 2))
    graph.add_node("y", activation="identity", bias=-0.25)
    graph.add_edge("x", "h", weight=2.0, parameter="w")
    graph.add_edge("x", "h", weight=2.0, parameter="w", delay=1)
    graph.add_edge("h", "y", weight="1.5", trainable="no")
    net = ng.from_networkx(graph)
    assert net.name == "mine"
    node = net.node("h")
    assert (node.aggregation, node.initial, node.position) == ("product", 0.5, (1, 2))
    assert net.find("const->y").weight == -0.25
    assert net.find("h->y").weight == 1.5
    assert not net.find("h->y").trainable
    assert len(net.parameters["w"].value.shape) == 0
    outputs = net.predict(np.array([[[3.0], [0.5]]]), explicit=True)
    first, second = np.tanh(6.0 * 0.0), np.tanh(1.0 * 6.0)
    assert outputs.reshape(-1) == pytest.approx([1.5 * first - 0.25, 1.5 * second - 0.25])


def test_cycles_without_delays_carry_the_step_before():
    net = ng.from_networkx(nx.DiGraph([("x", "a"), ("a", "b"), ("b", "a"), ("b", "y")]))
    assert net.find("a->b").delay == net.find("b->a").delay == 1
    assert net.find("x->a").delay == net.find("b->y").delay == 0


def test_a_cycle_with_wrong_delays_is_explained():
    graph = nx.DiGraph([("x", "a"), ("a", "b"), ("b", "a"), ("b", "y")])
    graph.edges["x", "a"]["delay"] = 1
    with pytest.raises(ng.GraphError, match="a cycle without delay"):
        ng.from_networkx(graph)


def test_inputs_with_incoming_edges_get_a_node_of_their_own():
    graph = nx.gnp_random_graph(12, 0.4, seed=3, directed=True)
    with pytest.raises(ng.GraphError, match=r"no node without incoming edges.*give inputs="):
        ng.from_networkx(graph)
    net = ng.from_networkx(graph, inputs=[0, 1], outputs=[5], activation="tanh")
    assert net.find("0/in->0").weight == 1.0
    assert net.predict(np.ones((1, 4, 2)), explicit=True).shape == (1, 4, 1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 12))
def test_random_acyclic_graphs_come_back(seed, size):
    generator = np.random.default_rng(seed)
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(size))
    for down in range(1, size):
        for up in range(down):
            if generator.random() < 0.4 or up == down - 1:
                graph.add_edge(up, down, weight=float(generator.normal()))
    net = ng.from_networkx(graph, activation="tanh")
    twin = ng.from_networkx(net.to_networkx())
    same_graph(net.to_networkx(), twin.to_networkx())
    found = {(c.upstream_node.name, c.downstream_node.name): c.weight for c in net.connections}
    assert found == {(str(u), str(v)): d["weight"] for u, v, d in graph.edges(data=True)}


@pytest.mark.parametrize(
    ("graph", "error", "words"),
    [
        (nx.path_graph(3), ng.GraphError, "not directed"),
        (nx.DiGraph(), ng.GraphError, "no nodes"),
        ([1, 2], ng.GraphError, "got list, expected a networkx.DiGraph"),
        (nx.DiGraph([(1, 2), ("1", 3)]), ng.GraphError, "the nodes 1 and '1' have one name"),
        (nx.DiGraph([("a", "b", {"weight": "x"})]), ng.DataError, "edge 'a' -> 'b': its weight"),
        (nx.DiGraph([("a", "b", {"weight": np.nan})]), ng.DataError, "expected a finite number"),
        (nx.DiGraph([("a", "b", {"delay": 0.5})]), ng.DataError, "its delay is 0.5"),
        (nx.DiGraph([("a", "b", {"trainable": 3})]), ng.DataError, "expected true or false"),
        (nx.DiGraph([("a", "b", {"parameter": "w", "index": -1})]), ng.DataError, "its index"),
    ],
)
def test_graphs_that_cannot_be_networks(graph, error, words):
    with pytest.raises(error, match=words):
        ng.from_networkx(graph)


def test_unknown_activations_and_roles_are_named():
    graph = nx.DiGraph([("a", "b")])
    graph.nodes["b"]["activation"] = "sigmoyd"
    with pytest.raises(ng.UnknownNameError, match="did you mean 'sigmoid'"):
        ng.from_networkx(graph)
    graph.nodes["b"].update(activation="tanh", role="unit")
    with pytest.raises(ng.UnknownNameError, match="role 'unit' of node 'b': did you mean 'units'"):
        ng.from_networkx(graph)


@pytest.mark.parametrize(
    "damage",
    [
        lambda g: g.graph["structure"].pop("layers"),
        lambda g: g.graph["structure"]["layers"][0].pop("shape"),
        lambda g: g.graph["structure"]["layers"][1].update(role="nonsense"),
        lambda g: g.graph["structure"]["parameters"].clear(),
        lambda g: g.graph["structure"].update(generator={}),
        lambda g: g.graph.update(structure=5),
        lambda g: g.graph.update(inputs="abc"),
        lambda g: g.graph["structure"]["layers"][2]["incoming"][0].update(type="Nothing"),
        lambda g: g.graph["structure"]["layers"][2]["incoming"][0].update(source=99),
    ],
)
def test_damaged_structures_are_said_in_a_sentence(damage):
    graph = tutorial().to_networkx()
    damage(graph)
    with pytest.raises(ng.NeurographError):
        ng.from_networkx(graph)


# files --------------------------------------------------------------------------------------------

FILE_CASES = [name for k, name in enumerate(CASES) if k % 6 == 0]


@pytest.mark.parametrize("name", FILE_CASES)
def test_graphml_loses_nothing(name, tmp_path):
    net = CASES[name].network()
    if len(net.connections) > 5_000:
        pytest.skip("large files are written as small ones are")
    ng.to_graphml(net, tmp_path / "net.graphml")
    same_graph(net.to_networkx(), ng.from_graphml(tmp_path / "net.graphml").to_networkx())


def test_graphml_of_others_is_read(tmp_path):
    graph = nx.DiGraph([("权", "h"), ('<"&">', "h"), ("h", "y")])
    graph.edges["h", "y"]["weight"] = 0.1
    nx.write_graphml(graph, tmp_path / "other.graphml")
    net = ng.from_graphml(tmp_path / "other.graphml", activation="relu")
    assert net.find("h->y").weight == 0.1
    assert net.node('<"&">').name == '<"&">'


@pytest.mark.parametrize("text", ["", "not xml", "<graphml><graph", "<html></html>", "\0"])
def test_damaged_graphml_is_said(text, tmp_path):
    path = tmp_path / "bad.graphml"
    path.write_text(text)
    with pytest.raises((ng.FormatError, ng.GraphError), match=r"bad.graphml|no nodes"):
        ng.from_graphml(path)
    with pytest.raises(ng.StorageError, match="cannot read"):
        ng.from_graphml(tmp_path / "none.graphml")


def test_graphml_refuses_names_that_xml_cannot_hold(tmp_path):
    a, y = ng.InputNode("a\0b"), ng.Node("tanh", name="y")
    ng.Connection(a, y, weight=1.0)
    with pytest.raises(ng.GraphError, match="control characters"):
        ng.to_graphml(ng.Network(inputs=[a], outputs=[y]), tmp_path / "net.graphml")
    assert not list(tmp_path.iterdir())


def test_edge_lists_come_back(tmp_path):
    net = by_hand()
    ng.to_edges(net, tmp_path / "edges.csv", tmp_path / "nodes.csv")
    twin = ng.from_edges(tmp_path / "edges.csv", tmp_path / "nodes.csv")
    x = np.random.default_rng(0).normal(size=(2, 4, 2))
    assert np.array_equal(net.predict(x, explicit=True), twin.predict(x, explicit=True))
    assert not twin.find("a->h").trainable
    twin.find("a->y").weight = 0.125
    assert twin.find("b->h").weight == 0.125


def test_edge_lists_keep_the_order_of_inputs_and_outputs(tmp_path):
    net = tutorial()
    ng.to_edges(net, tmp_path / "edges.csv", tmp_path / "nodes.csv")
    twin = ng.from_edges(tmp_path / "edges.csv", tmp_path / "nodes.csv")
    x = [0.3, -0.2, 0.9]
    assert np.allclose(net.predict(x, explicit=True), twin.predict(x, explicit=True), atol=1e-15)


def test_edges_can_be_given_as_rows():
    net = ng.from_edges(
        [("a", "y", 0.5), ("y", "y", 0.25, 1)], outputs=["y"], activation="identity"
    )
    outputs = net.predict(np.array([[[1.0], [1.0]]]), explicit=True)
    assert outputs.reshape(-1).tolist() == [0.5, 0.625]
    with pytest.raises(ng.DataError, match="edge 0 is 'ab'"):
        ng.from_edges(["ab"])


def test_other_headings_are_understood(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("\ufeffSource,Target,Weight\na,y,0.5\n\nb,y,-1\n", encoding="utf-8")
    net = ng.from_edges(path)
    assert [c.weight for c in net.connections] == [0.5, -1.0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a heading with 'upstream' and 'downstream'"),
        ("a,b\n1,2\n", "expected a heading"),
        ("upstream,downstream\na\n", "line 2: 1 cells, the heading has 2"),
        ("upstream,downstream\na,\n", "line 2: its downstream is empty"),
        ('upstream,downstream\n"a,b\n', "line"),
    ],
)
def test_damaged_edge_lists_name_the_line(text, words, tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text(text)
    with pytest.raises(ng.FormatError, match=words):
        ng.from_edges(path)


def test_edges_outside_the_list_of_nodes_are_named(tmp_path):
    (tmp_path / "nodes.csv").write_text("name,role\na,input\ny,\n")
    (tmp_path / "edges.csv").write_text("from,to\na,y\na,z\n")
    with pytest.raises(ng.FormatError, match=r"line 3: node 'z' is not in the list of nodes"):
        ng.from_edges(tmp_path / "edges.csv", tmp_path / "nodes.csv")
    (tmp_path / "edges.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ng.FormatError, match="not text in UTF-8"):
        ng.from_edges(tmp_path / "edges.csv")


def test_edge_lists_refuse_what_they_cannot_hold(tmp_path):
    net = ng.Network([ng.Input((3,)), ng.Dense(2, activation="softmax")])
    with pytest.raises(ng.GraphError, match="no place for its softmax"):
        ng.to_edges(net, tmp_path / "edges.csv")
    assert not list(tmp_path.iterdir())
