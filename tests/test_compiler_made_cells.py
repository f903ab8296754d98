"""Cells made by hand: recognised where they are cells, live, and left alone where they are not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from both_ways import differences, inspect, train_step, walk
from made_cells import KINDS, Cell, fixed, one_cell, read

import neurograph as ng
from neurograph.compiler.made_cells import CellFinder
from neurograph.errors import GraphError
from neurograph.functions import Activation
from neurograph.graph.network import Network


def data(net: Network, steps: int = 4, batch: int = 2) -> tuple[Any, Any]:
    rng = np.random.default_rng(4)
    return tuple(rng.normal(size=(batch, steps, *p.shape)) for p in (*net.inputs, *net.outputs))  # type: ignore[return-value]


def cells(model: Any) -> list[str]:
    """Return the kinds of cell in the table of ``explain``."""
    return [row.kernel for row in model.explain().rows if row.kernel.endswith(" cell")]


def check(net: Network, *kinds: str, passes: Any = None) -> Any:
    """Compile, compare with the nodes, and see which cells were found."""
    x, y = data(net)
    model = net.compile("sgd", "sse", dtype="float64", passes=passes)
    expected = walk(net, x, y, "sse")
    assert not differences(train_step(model, x, y), expected, 1e-9)
    assert not differences(inspect(model, x, y), expected, 1e-9)
    assert cells(model) == [f"{kind} cell" for kind in kinds]
    return model


# what is a cell --------------------------------------------------------------------------------


@pytest.mark.parametrize(("delay", "bias"), [(1, True), (-1, True), (1, False)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_made_by_hand_is_one_operation(kind: str, delay: int, bias: bool) -> None:
    for passes in (None, ()) if delay < 0 else (None,):
        net, _ = one_cell(kind, bias=bias, delay=delay, initial=bias)
        model = check(net, kind, passes=passes)
        assert "for t in" not in model.source.partition("def backward")[0]
    row = model.explain().rows[0]
    assert row.block.startswith("x0, x1, x2 -> hidden0")
    assert sum(row.connections for row in model.explain().rows) == len(net.connections)


@pytest.mark.parametrize("kind", KINDS)
def test_its_gradients_are_those_of_finite_differences(kind: str) -> None:
    net, _ = one_cell(kind, 2, 2, initial=True)
    x, y = data(net, steps=4, batch=2)
    report = ng.gradient_check(net, x, y, loss="sse")
    assert report.ok, str(report)
    assert cells(net.compile("sgd", "sse")) == [f"{kind} cell"]


def test_one_unit_is_a_cell() -> None:
    for kind in KINDS:
        check(one_cell(kind, 1, 1)[0], kind)


def test_its_inner_nodes_take_no_memory_but_can_be_looked_at() -> None:
    net, cell = one_cell("lstm", initial=True)
    x, y = data(net)
    model = net.compile("sgd", "sse", dtype="float64")
    model.train_on_batch(x, y)
    assert model.plan.arrays["nodes"].shape[1] == 3 + 1 + 4 + 2  # inputs, one, states, outputs
    model.inspect(x, y)
    found = [np.array(node.output) for node in cell["forget"]]
    walk(net, x, y, "sse")
    for node, output in zip(cell["forget"], found, strict=True):
        np.testing.assert_allclose(output, node.output, rtol=1e-9)


def test_cells_feed_each_other_and_run_both_ways() -> None:
    x = [ng.InputNode(f"x{k}") for k in range(2)]
    one = ng.ConstNode("one")
    first = Cell("lstm", x, 3, one, tag="a_")
    back = Cell("gru", x, 2, one, delay=-1, tag="b_", seed=1)
    second = Cell("gru_before", [*first["hidden"], *back["hidden"]], 3, one, tag="c_", seed=2)
    check(Network(inputs=x, outputs=read(second)), "gru", "lstm", "gru_before")


def test_states_may_be_read_late_and_inputs_too() -> None:
    x = [ng.InputNode(f"x{k}") for k in range(2)]
    cell = Cell("lstm", x, 3, ng.ConstNode("one"), initial=True)
    for gate in ("input", "forget", "candidate", "output"):
        for down in cell[gate]:
            ng.Connection(x[0], down, weight=0.3, delay=2)
            ng.Connection(x[1], down, weight=-0.2, delay=-1)
    y = read(cell)
    ng.Connection(cell["hidden"][1], y[0], weight=0.7, delay=1)
    ng.Connection(cell["hidden"][2], y[1], weight=0.5, delay=-2)
    check(Network(inputs=x, outputs=[*y, cell["hidden"][0]]), "lstm")


def test_it_may_read_layers_of_the_library_and_feed_them() -> None:
    x = ng.Input((None, 3))
    h = ng.Dense(4, activation="tanh")(x)
    out = ng.Dense(2)(h)
    net = Network(inputs=x, outputs=out)
    cell = Cell("gru", [h[1], h[2], x[0]], 3, ng.ConstNode("one"))
    for state in cell["hidden"]:
        ng.Connection(state, out[1], weight=0.4)
    check(net, "gru")


def test_weights_may_live_in_shared_parameters() -> None:
    kernel = ng.Parameter(np.random.default_rng(3).normal(size=7), name="kernel")
    count = iter(range(10_000))

    def join(up: Any, down: Any, delay: int = 0) -> None:
        ng.Connection(up, down, parameter=kernel, index=next(count) % 7, delay=delay)

    net, _ = one_cell("lstm", join=join)
    model = check(net, "lstm")
    assert model.explain().rows[0].parameters == 7 + 9 * 4


def test_constants_may_live_in_a_parameter_that_is_not_trained() -> None:
    one = ng.Parameter(1.0, name="unit", trainable=False)
    net, cell = one_cell("lstm")
    for part in ("keep", "write", "cell", "squash", "hidden"):
        for node in cell[part]:
            for connection in list(node.upstream):
                up, delay = connection.upstream_node, connection.delay
                connection.remove()
                ng.Connection(up, node, parameter=one, delay=delay)
    model = check(net, "lstm")
    one.value = 0.5
    x, y = data(net)
    assert not differences(train_step(model, x, y), walk(net, x, y, "sse"), 1e-9)
    assert cells(model) == []


def test_any_node_may_be_in_any_unit() -> None:
    net, cell = one_cell("lstm")
    for k in range(4):
        _link(cell["squash"][k], cell["hidden"][k]).remove()
        fixed(cell["squash"][k], cell["hidden"][(k + 1) % 4])
    check(net, "lstm")


def test_a_few_missing_weights_are_zeros() -> None:
    for kind in KINDS:
        net, cell = one_cell(kind)
        net.find(f"x1->{(cell.parts.get('candidate') or cell['hidden'])[2].name}").remove()
        part = "update" if kind.startswith("gru") else "forget" if kind == "lstm" else "hidden"
        net.find(f"hidden0->{cell[part][1].name} [delay 1]").remove()
        net.find(f"one->{cell[part][3].name}").remove()
        check(net, kind)


def _changed(net: Network, rng: np.random.Generator) -> None:
    """Remove, freeze, change or add a connection."""
    connections = list(net.connections)
    some, way = connections[rng.integers(len(connections))], rng.integers(4)
    if way == 0:
        some.remove()
    elif way == 1:
        some.trainable = not some.trainable
    elif way == 2:
        some.weight = float(rng.normal())
    else:
        nodes = net.handmade.nodes
        up, down = (nodes[k] for k in rng.integers(len(nodes), size=2))
        with contextlib.suppress(GraphError):  # a cycle without delay, or one into an input
            net.connect(up, down, 0.3, delay=int(rng.integers(-1, 3)))


@pytest.mark.parametrize("part", range(4))
def test_random_cells_with_random_changes_agree(part: int) -> None:
    found = 0
    for seed in range(3 * part, 3 * part + 3):
        rng = np.random.default_rng(seed)
        x = [ng.InputNode(f"x{k}") for k in range(rng.integers(1, 4))]
        one, nodes, outputs = ng.ConstNode("one"), list(x), []
        for k in range(rng.integers(1, 4)):
            source = [nodes[n] for n in rng.permutation(len(nodes))[: rng.integers(1, 5)]]
            cell = Cell(
                KINDS[rng.integers(4)], source, int(rng.integers(1, 4)), one,
                delay=int(rng.choice([1, -1])), tag=f"c{k}_", initial=bool(k), seed=seed,
            )  # fmt: skip
            nodes += cell["hidden"]
            outputs += read(cell, 1)
        net = Network(inputs=x, outputs=outputs)
        for _ in range(rng.integers(0, 3)):
            _changed(net, rng)
        x, y = data(net, 4, 2)
        model = net.compile("sgd", "sse", dtype="float64")
        assert not differences(train_step(model, x, y), walk(net, x, y, "sse"), 1e-9)
        found += len(cells(model))
    assert found


# what is none ----------------------------------------------------------------------------------


def _link(up: ng.Node, down: ng.Node) -> Any:
    return next(each for each in down.upstream if each.upstream_node is up)


def _activation(net: Network, cell: Cell) -> None:
    cell["candidate"][1].activation = "hard_sigmoid"


def _own_activation(net: Network, cell: Cell) -> None:
    cell["squash"][0].activation = Activation("tanh", np.sin, lambda net, output: np.cos(net))


def _trained(net: Network, cell: Cell) -> None:
    cell["keep"][2].upstream[0].trainable = True


def _other_weight(net: Network, cell: Cell) -> None:
    cell["keep"][2].upstream[1].weight = 0.5


def _reader(net: Network, cell: Cell) -> None:
    net.connect(cell["forget"][0], "y1", weight=0.4)


def _late_reader(net: Network, cell: Cell) -> None:
    net.connect(cell["cell"][0], "y1", weight=0.4, delay=1)


def _peephole(net: Network, cell: Cell) -> None:
    net.connect(cell["cell"][0], cell["output"][0], weight=0.3)


def _late_peephole(net: Network, cell: Cell) -> None:
    net.connect(cell["cell"][0], cell["input"][0], weight=0.3, delay=1)


def _no_keep(net: Network, cell: Cell) -> None:
    _link(cell["keep"][1], cell["cell"][1]).remove()


def _twice(net: Network, cell: Cell) -> None:
    net.connect(cell["hidden"][1], cell["input"][0], weight=0.3, delay=1)


def _two_steps(net: Network, cell: Cell) -> None:
    net.connect(cell["hidden"][1], cell["input"][0], weight=0.3, delay=2)


def _third_factor(net: Network, cell: Cell) -> None:
    net.connect("x0", cell["write"][0], weight=1.0, trainable=False)


def _biased_memory(net: Network, cell: Cell) -> None:
    net.connect("one", cell["cell"][0], weight=0.1)


def _two_biases(net: Network, cell: Cell) -> None:
    net.connect("one", cell["input"][0], weight=0.1)


def _shared_squash(net: Network, cell: Cell) -> None:
    _link(cell["squash"][1], cell["hidden"][1]).remove()
    fixed(cell["squash"][0], cell["hidden"][1])


def _detour(net: Network, cell: Cell) -> None:
    extra = ng.Node("tanh", name="extra")
    ng.Connection(cell["hidden"][0], extra, weight=0.5)
    ng.Connection(extra, cell["input"][0], weight=0.5, delay=1)


def _sparse(net: Network, cell: Cell) -> None:
    for gate in ("input", "forget", "candidate", "output"):
        for k, node in enumerate(cell[gate]):
            for other in (k + 1, k + 2):
                _link(cell["hidden"][other % 4], node).remove()


CHANGES = [
    _activation, _own_activation, _trained, _other_weight, _reader, _late_reader, _peephole,
    _late_peephole, _no_keep, _twice, _two_steps, _third_factor, _biased_memory, _two_biases,
    _shared_squash, _detour, _sparse,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_nearly_a_cell_goes_step_by_step(change: Callable[..., None]) -> None:
    net, cell = one_cell("lstm")
    change(net, cell)
    model = check(net)
    assert "for t in" in model.source.partition("def backward")[0]


def test_a_gate_that_is_an_output_is_calculated() -> None:
    x = [ng.InputNode(f"x{k}") for k in range(2)]
    cell = Cell("lstm", x, 2, None)
    check(Network(inputs=x, outputs=[*read(cell), cell["output"][1]]))


@pytest.mark.parametrize("aggregation", ["mean", "max"])
def test_other_aggregations_are_no_simple_layer(aggregation: str) -> None:
    x = [ng.InputNode(f"x{k}") for k in range(2)]
    h = [ng.Node("tanh", aggregation, name=f"h{k}") for k in range(2)]
    for node in h:
        for up in x:
            ng.Connection(up, node, weight=0.7)
        for other in h:
            ng.Connection(other, node, weight=0.5, delay=1)
    check(Network(inputs=x, outputs=h))


@pytest.mark.parametrize("kind", ["gru", "gru_before"])
def test_a_mixture_that_does_not_add_up_to_one_is_no_gru(kind: str) -> None:
    for wrong in (2.0, -1.0):
        net, cell = one_cell(kind)
        _link(net.node("one"), cell["rest"][0]).weight = wrong
        check(net)


# live ------------------------------------------------------------------------------------------


def test_a_constant_that_is_changed_is_noticed_at_the_next_call() -> None:
    net, cell = one_cell("lstm")
    x, y = data(net)
    model = net.compile("adam", "sse", dtype="float64")
    model.train_on_batch(x, y)
    for change, found in ((0.5, []), (1.0, ["lstm cell"])):
        cell["keep"][0].upstream[0].weight = change
        assert not differences(train_step(model, x, y), walk(net, x, y, "sse"), 1e-9)
        net.version.number += found != []  # a weight that becomes 1 again waits for a compilation
        assert cells(model) == found


def test_a_constant_that_a_callback_changes_is_noticed_in_the_same_epoch() -> None:
    losses = []
    for fuse in (True, False):
        net, cell = one_cell("lstm")
        x, y = data(net, batch=8)
        if not fuse:
            net.connect(cell["forget"][0], "y1", weight=0.0, trainable=False)

        def change(batch: int, logs: Any, cell: Cell = cell) -> None:
            if batch == 1:
                weights = cell["keep"][0].upstream[0].parameter
                weights.value[cell["keep"][0].upstream[0].index] = 0.25

        model = net.compile("sgd(0.1)", "sse", dtype="float64")
        assert bool(cells(model)) == fuse
        callback = ng.LambdaCallback(on_train_batch_end=change)
        history = model.fit(
            x, y, batch_size=2, epochs=2, verbose=0, shuffle=False, callbacks=[callback]
        )
        losses.append(history.history["loss"])
        assert not cells(model)
    np.testing.assert_allclose(*losses, rtol=1e-9)


@pytest.mark.parametrize("optimizer", ["adamw(0.1, weight_decay=0.2)", "rmsprop(0.1)"])
def test_training_changes_weights_and_no_constants(optimizer: str) -> None:
    found = []
    for fuse in (True, False):
        net, cell = one_cell("gru", initial=True)
        frozen = net.find(f"x0->{cell['update'][2].name}")
        frozen.trainable = False
        x, y = data(net)
        with pytest.MonkeyPatch.context() as patch:
            if not fuse:
                patch.setattr(CellFinder, "find", lambda self, stage: None)
            model = net.compile(optimizer, "sse", dtype="float64")
            before = frozen.weight
            for _ in range(4):
                model.train_on_batch(x, y)
            assert bool(cells(model)) == fuse
        assert frozen.weight == before
        assert {each.weight for each in cell["hidden"][0].upstream} == {1.0}
        found.append([each.weight for each in net.connections])
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_weights_that_are_changed_are_seen_at_once() -> None:
    net, cell = one_cell("gru")
    x, _ = data(net)
    model = net.compile("sgd", "sse", dtype="float64")
    before = model.predict(x)
    net.find(f"hidden1->{cell['reset'][0].name} [delay 1]").weight = 3.0
    after = model.predict(x)
    assert abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, net.predict(x, explicit=True), rtol=1e-9)
    assert cells(model) == ["gru cell"]


def test_a_run_that_keeps_every_value_has_the_gradients_of_constants_too() -> None:
    net, cell = one_cell("lstm")
    x, y = data(net)
    model = net.compile("sgd", "sse", dtype="float64")
    model.inspect(x, y)
    found = [each.gradient for each in cell["keep"][0].upstream]
    walk(net, x, y, "sse")
    np.testing.assert_allclose(found, [each.gradient for each in cell["keep"][0].upstream])
    assert min(map(abs, found)) > 1e-6
