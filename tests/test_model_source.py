"""The source text is what runs: executing it gives the same bits, and a step allocates nothing."""

from __future__ import annotations

import ast
import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest
from both_ways import compile_case
from cases import CASES, SHIPPED
from memory import taken

import neurograph as ng
from neurograph.compiler.executable import TRAIN, Mode
from neurograph.compiler.names import RESERVED
from neurograph.compiler.storage import Sizes
from neurograph.graph.network import Network
from neurograph.train.model import Model

NAMES = [
    "dense_three_regularized",
    "dense_not_trainable",
    "activation_gelu",
    "conv2d_two",
    "pooled_convolution",
    "batch_normalization_image",
    "several_ends",
    "siamese",
    "pruned",
    "delay_two",
    "fold_and_step",
    "tutorial_342",
    "handmade",
    "handmade_aggregations",
    "handmade_lateral",
    "handmade_both_ways",
    "handmade_convolution",
    "handmade_lstm",
    "handmade_pooling",
    "handmade_in_library",
]


def text_of(model: Model) -> dict[str, Any]:
    """Execute the printed source on its own, with what it says is given."""
    names: dict[str, Any] = {"given": model.given, "team": model.executable.team}
    exec(compile(model.source, "<source>", "exec"), names)
    return names


def feed(names: dict[str, Any], model: Model, x: Any, y: Any) -> None:
    """Give a batch to the arrays of an executed source text."""
    built = model.executable.built(TRAIN)
    lead = model.plan.lead
    batches = [x if isinstance(x, list) else [x], y if isinstance(y, list) else [y]]
    for places, arrays in zip((built.program.inputs, built.targets), batches, strict=True):
        for name, array in zip(places, arrays, strict=True):
            names[name][...] = array if lead[name] == 1 else array.swapaxes(0, 1)


@pytest.mark.parametrize("optimizer", ["sgd(0.1)", "adam", "rmsprop"])
@pytest.mark.parametrize("name", NAMES)
def test_executing_the_source_gives_the_same_bits(name: str, optimizer: str) -> None:
    case = CASES[name]
    model = case.network().compile(optimizer, case.loss, seed=3)
    x, y = case.data(model.network)
    model.gradients(x, y)  # so that the text is for this batch
    names = text_of(model)
    arena = model.executable.arena
    assert names["parameters"] is not arena.parameters
    names["parameters"][...] = arena.parameters
    for step in range(3):
        feed(names, model, x, y)
        names["forward"]()
        loss = names["backward"]()
        for key, value in model.optimizer.scalars(step).items():
            names[key][...] = value
        names["update"]()
        assert loss == np.ravel(model.train_on_batch(x, y))[0]
        for key in model.executable.program(TRAIN).outputs:
            np.testing.assert_array_equal(names[key], model.plan.arrays[key])
        trained = arena.trainable
        np.testing.assert_array_equal(names["gradients"], arena.gradients)
        np.testing.assert_array_equal(names["parameters"][:trained], arena.parameters[:trained])
        names["parameters"][...] = arena.parameters  # moving statistics, which the text leaves


def test_no_name_of_a_node_disturbs_the_text() -> None:
    """Nodes called like what the text uses itself: same numbers as with plain names."""
    clashes = [*sorted(RESERVED), "scratch_0", "scratch_0_2x3", "mask_1", "memory_3", "loss_1"]
    clashes += [
        "d_h",
        "h_net",
        "one",
        "scale",
        "ones_3",
        "w",
        "g",
        "a",
        "k",
        "n",
        "input",
        "lambda",
    ]
    clashes += [
        "input",
        "lambda",
        "h_index",
        "inputs",
        "outputs",
        "target",
        "nodes",
        "d_nodes",
        "x_rows",
    ]

    def build(names: list[str]) -> Network:
        rng = np.random.default_rng(0)
        inputs = [ng.InputNode("h"), ng.InputNode("x0")]
        kinds = ("tanh", "sigmoid", "relu", "sin", "softplus", "swish")
        unique = dict.fromkeys(names)
        nodes = [ng.Node(kinds[k % 6], name=name) for k, name in enumerate(unique)]
        for k, node in enumerate(nodes):
            for up in (*inputs, *nodes[max(0, k - 4) : k]):
                if rng.random() < 0.6 or up is inputs[0]:
                    ng.Connection(up, node, weight=float(rng.normal() * 0.5))
        return Network(inputs=inputs, outputs=nodes[-3:])

    x = np.random.default_rng(1).normal(size=(4, 2))
    y = np.random.default_rng(2).normal(size=(4, 3))
    found = []
    for names in (clashes, [f"node{k}" for k in range(len(set(clashes)))]):
        for optimizer in ("rmsprop", "adam", "sgd(0.1, momentum=0.5, nesterov=True)"):
            net = build(names)
            model = net.compile(optimizer, "sse")
            losses = [model.train_on_batch(x, y) for _ in range(3)]
            text = text_of(model)
            text["parameters"][...] = model.executable.arena.parameters
            feed(text, model, x, y)
            text["forward"]()
            assert text["backward"]() == model.gradients(x, y)
            found.append((losses, model.predict(x).tobytes()))
    assert found[:3] == found[3:]


def test_what_the_update_calls_its_own_is_reserved() -> None:
    specs = ["sgd", "sgd(0.1, momentum=0.9, nesterov=True)", "adagrad", "rmsprop", "adam", "adamw"]
    specs += ["rmsprop(momentum=0.5, centered=True)", "adam(amsgrad=True)", "adam(clipnorm=1.0)"]
    specs += ["sgd(global_clipnorm=1.0)", "sgd(clipvalue=1.0)", "adam(weight_decay=0.1)"]
    for spec in specs:
        net = Network([2, 1])
        model = net.compile(spec)
        next(iter(net.parameters.values())).freeze(0)
        model.refresh()
        for statement in ast.parse(model.update.source).body:
            if isinstance(statement, ast.Assign):
                names = {each.id for each in statement.targets if isinstance(each, ast.Name)}
                assert names <= RESERVED


def test_the_source_can_be_read() -> None:
    net = Network([ng.Input((3,)), ng.Dense(4, activation="tanh"), ng.Dense(2)], name="small")
    model = net.compile("sgd(0.1)", "mse")
    model.train_on_batch(np.zeros((5, 3)), np.zeros((5, 2)))
    text = model.source
    assert text.startswith('"""small: training, batch 5, float32."""\nimport numpy as np\n')
    for line in (
        "# what is fed",
        "dense_kernel_and_bias = parameters[0:16].reshape((4, 4))",
        "def forward():\n    np.dot(input_and_1, dense_kernel_and_bias, out=dense_net)",
        "    np.tanh(dense_net, out=dense)",
        "    return loss_1",
        '"""The update: sgd over all trainable weights."""',
        "rate = np.array(0.1, np.float32)",
        "blocks = [(parameters[:26], gradients[:26], change)]",
        "    for w, g, change in blocks:",
    ):
        assert line in text, line


def test_many_frozen_weights_are_given_and_few_are_written_out() -> None:
    net = Network([ng.Input((30,)), ng.Dense(30)], seed=0)
    kernel = net.parameters["dense/kernel"]
    model = net.compile("sgd(0.1)", "mse")
    kernel.freeze(np.arange(3))
    assert "factor[[0, 1, 2]] = 0.0  # frozen" in model.source
    kernel.freeze(np.arange(100))
    assert "factor = given['factor']" in model.source
    assert len(model.source) < 6000
    text = text_of(model)
    np.testing.assert_array_equal(np.flatnonzero(text["factor"] == 0), np.arange(100))


@pytest.mark.parametrize("count", [0, 1, 65_536, 100_000, 100_001, 131_072, 140_000])
def test_the_blocks_of_the_update_cover_every_weight_once(count: int) -> None:
    rows = max(count, 1)
    net = Network([ng.Input((rows,)), ng.Dense(1, use_bias=False, trainable=count > 0)], seed=0)
    fixed = ng.Node("identity", name="fixed")
    model = net.compile("sgd(1.0)", "mse", dtype="float64")
    arena = model.executable.arena
    assert arena.trainable == count
    assert fixed.label == "fixed"
    arena.gradients[:] = np.arange(1.0, rows + 1)
    before = arena.parameters.copy()
    model.update.run()
    expected = before - (arena.gradients if count else 0)
    np.testing.assert_array_equal(arena.parameters, expected)


# memory ---------------------------------------------------------------------------------------

STEADY = [
    "dense_three_regularized",
    "people",
    "conv2d_two",
    "pooled_convolution",
    "layer_normalization_axes",
    "layer_normalization_sequence",
    "local_response",
    "skip",
    "pruned",
    "delay_two",
    "handmade_lateral",
    "handmade_aggregations",
    "handmade_convolution",
    "handmade_gru_before",
    "handmade_pooling",
]


@pytest.mark.parametrize("name", STEADY)
def test_a_step_allocates_nothing_in_steady_state(name: str) -> None:
    """NumPy takes a transient buffer for operands it broadcasts; no array is made."""
    case = CASES[name]
    model = case.network().compile("adam", case.loss, threads=1)
    x, y = case.data(model.network, 256)
    inputs, targets = model._checked(x, y)
    for _ in range(3):
        model.step(inputs, targets)
    plan = model.plan
    tracemalloc.start()
    held = []
    for _ in range(3):
        for _ in range(5):
            model.step(inputs, targets)
        gc.collect(1)  # what these steps made
        held.append(tracemalloc.get_traced_memory()[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.plan is plan
    assert plan.bytes > 10_000
    assert f"{plan.bytes:,} bytes without parameters" in repr(plan)
    assert peak < 100_000
    assert held[2] - held[1] < 1_000


@pytest.mark.parametrize("name", SHIPPED)
def test_the_text_has_every_activation_and_its_derivative_in_place(name: str) -> None:
    source = compile_case(f"activation_{name}").source
    assert "given[" not in source
    assert "get_activation" not in source


@pytest.mark.parametrize("name", ["leaky_lstm", "lstm_activations", "handmade_aggregations"])
def test_parts_of_arrays_are_neither_copied_nor_gathered_anew(name: str) -> None:
    """NumPy copies what has gaps for np.dot, and gathers what ``x[rows] += y`` adds to."""
    case = CASES[name]
    model = case.network().compile("adam", case.loss, threads=1)
    inputs, targets = model._checked(*case.data(model.network, 8192))
    assert taken(lambda: model.step(inputs, targets)) < 140_000


@pytest.mark.parametrize(("units", "alone"), [(4, True), (4000, False)])
def test_blas_starts_no_threads_beside_a_team(units: int, alone: bool) -> None:
    """Unless much of the work is in products that the team does not divide."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    layers = [ng.Input((8, 8, 3)), ng.Conv2D(4, 3), ng.Flatten(), ng.Dense(units), ng.Dense(1)]
    model = Network(layers).compile(threads=2)
    plan, seen = model.executable.plan(Mode(), Sizes(2)), []
    model.executable.feed(Mode(), plan, [np.zeros((2, 8, 8, 3))])

    class Numbers:
        """NumPy, but the threads of BLAS are written down at every product."""

        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def dot(self, *args: Any, **options: Any) -> Any:
            found = threadpoolctl.threadpool_info()
            seen.append({each["num_threads"] for each in found if each["user_api"] == "blas"})
            return np.dot(*args, **options)

    plan.arrays["np"] = Numbers()
    with threadpoolctl.threadpool_limits(2):
        plan.forward()
    assert seen == [{1} if alone else {2}] * 2


def test_a_large_network_allocates_no_more_than_a_small_one() -> None:
    peaks = []
    for units in (8, 1024):
        net = Network([ng.Input((units,)), ng.Dense(units, activation="relu"), ng.Dense(10)])
        model = net.compile("rmsprop", "mse")
        inputs, targets = model._checked(np.ones((256, units)), np.ones((256, 10)))
        inputs = [each.astype(np.float32) for each in inputs]
        targets = [each.astype(np.float32) for each in targets]
        for _ in range(2):
            model.step(inputs, targets)
        tracemalloc.start()
        for _ in range(3):
            model.step(inputs, targets)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 60_000


def test_plans_of_other_batch_sizes_are_kept() -> None:
    net = Network([ng.Input((3,)), ng.Dense(2)])
    model = net.compile()
    rng = np.random.default_rng(0)
    plans = []
    for _ in range(2):
        for batch in (5, 3):
            model.train_on_batch(rng.normal(size=(batch, 3)), rng.normal(size=(batch, 2)))
    plans = [key for key in model.executable._plans if key[0] == TRAIN]
    assert sorted(sizes.batch for _, sizes in plans) == [3, 5]
