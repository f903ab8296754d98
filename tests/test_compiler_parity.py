"""compiled == node by node, over the table of cases and over random graphs, whatever the passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from both_ways import (
    Result,
    as_list,
    case_by_nodes,
    compile_case,
    differences,
    inspect,
    mixed_by_nodes,
    random_by_nodes,
    train_step,
    values_of,
    walk,
)
from cases import CASES
from random_graphs import random_network
from random_mixed import random_mixed

import neurograph as ng
from neurograph.compiler.passes import PASSES, PLAN_PASSES
from neurograph.functions import ACTIVATIONS
from neurograph.lines import Lines

EXACT = 1e-9
SINGLE = 2e-4
ALL: tuple[str, ...] | None = None
NONE: tuple[str, ...] = ()
EACH_ALONE = [*PASSES, *PLAN_PASSES]
SOME = [
    "dense",
    "dense_softmax",
    "dense_image",
    "dense_one",
    "dense_three_regularized",
    "dense_not_trainable",
    "activation_elu",
    "conv2d_two",
    "pooled_convolution",
    "max_pooling2d_overlap",
    "flatten_sequence",
    "add_over_time",
    "concatenate",
    "batch_normalization_image",
    "layer_normalization",
    "people",
    "cbapd",
    "residual",
    "several_ends",
    "siamese",
    "pruned",
    "one_minus",
    "delay_one",
    "delay_minus_one",
    "fold_and_step",
    "handmade",
    "handmade_aggregations",
    "handmade_lateral",
    "handmade_both_ways",
    "handmade_convolution",
    "handmade_in_library",
]
NOISY = [name for name, case in CASES.items() if "noise" in case.tags]
NORMALISED = [name for name in CASES if "normalization" in name] + ["residual"]
SEEDS = range(120)


def agree(found: Result, expected: Result, relative: float = EXACT) -> None:
    assert not differences(found, expected, relative)


@pytest.mark.parametrize("passes", [ALL, NONE], ids=["all_passes", "no_pass"])
@pytest.mark.parametrize("name", CASES)
def test_every_case_agrees_with_its_nodes(name: str, passes: Any) -> None:
    x, y, expected = case_by_nodes(name)
    model = compile_case(name, passes)
    agree(inspect(model, x, y), expected)
    agree(train_step(model, x, y), expected)


@pytest.mark.parametrize("alone", EACH_ALONE)
@pytest.mark.parametrize("name", SOME)
def test_each_pass_alone_changes_no_number(name: str, alone: str) -> None:
    x, y, expected = case_by_nodes(name)
    model = compile_case(name, (alone,))
    agree(inspect(model, x, y), expected)
    agree(train_step(model, x, y), expected)


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("name", SOME)
def test_other_batches_agree(name: str, batch: int) -> None:
    x, y, expected = case_by_nodes(name, batch)
    agree(train_step(compile_case(name), x, y), expected)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_near_float64(name: str) -> None:
    x, y, expected = case_by_nodes(name)
    model = compile_case(name, dtype="float32")
    found = train_step(model, x, y)
    agree(found, expected, 2e-2 if name == "activation_reciprocal" else SINGLE)
    assert all(each.dtype == np.float32 for each in found.outputs)
    assert all(each.dtype == np.float32 for each in found.gradients.values())


@pytest.mark.parametrize("name", [*NOISY, *NORMALISED])
def test_training_agrees_on_the_same_noise(name: str) -> None:
    """Dropout draws noise, batch normalisation takes the statistics of the batch."""
    case = CASES[name]
    model = compile_case(name)
    net = model.network
    x, y = case.data(net, 5)
    found = inspect(model, x, y, training=True)
    noise = {
        layer.name: np.array(layer.output) for layer in net.all_layers if layer.role == "noise"
    }
    expected = walk(net, x, y, case.loss, noise, training=True)
    agree(replace(found, outputs=[]), replace(expected, outputs=[]))

    found = train_step(model, x, y, training=True)
    plan = model.plan
    for layer in noise:
        array = plan.program.values[layer, "output"]
        drawn = plan.arrays[array]
        noise[layer] = drawn.swapaxes(0, 1) if plan.lead[array] == 2 else drawn
    expected = walk(net, x, y, case.loss, noise, training=True)
    agree(replace(found, outputs=[]), replace(expected, outputs=[]))


@pytest.mark.parametrize("name", ["people", "residual", "delay_one", "handmade_both_ways"])
def test_the_last_batch_may_be_smaller(name: str) -> None:
    x, y, expected = case_by_nodes(name, 7)
    model = compile_case(name)
    for size in (2, 3, 4, 7, 9):
        np.testing.assert_allclose(model.predict(x, batch_size=size), expected.outputs[0], 1e-9)
        assert model.evaluate(x, y, batch_size=size) == pytest.approx(expected.loss, rel=1e-9)


def test_a_list_of_outputs_is_cut_into_batches_too() -> None:
    x, _, expected = case_by_nodes("several_ends", 7)
    found = as_list(compile_case("several_ends").predict(x, batch_size=3))
    for ours, theirs in zip(found, expected.outputs, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-9)


@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("passes", [ALL, NONE], ids=["all_passes", "no_pass"])
def test_random_graphs_agree_with_their_nodes(part: int, passes: Any) -> None:
    for seed in SEEDS[part::10]:
        x, y, expected = random_by_nodes(seed)
        model = random_network(seed)[0].compile("sgd", "sse", dtype="float64", passes=passes)
        found = inspect(model, x, y)
        assert not differences(found, expected, EXACT), f"random_network({seed})"
        found = train_step(model, x, y)
        assert not differences(found, expected, EXACT), f"random_network({seed}), training"


@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("passes", [ALL, NONE], ids=["all_passes", "no_pass"])
def test_layers_mixed_with_nodes_agree(part: int, passes: Any) -> None:
    """Any bundle into any aggregation, shared weights, delays, hand-made nodes in between."""
    for seed in range(part, 80, 5):
        x, y, expected = mixed_by_nodes(seed)
        net = random_mixed(seed)[0]
        model = net.compile("sgd", "sse", dtype="float64", passes=passes)
        assert not differences(inspect(model, x, y), expected, EXACT), f"random_mixed({seed})"
        found = train_step(model, x, y)
        assert not differences(found, expected, EXACT), f"random_mixed({seed}), training"


def test_sequences_of_any_length_agree() -> None:
    rng = np.random.default_rng(0)
    for name in ("delay_two", "delay_minus_one", "handmade_lateral", "handmade_both_ways"):
        model = compile_case(name)
        net = model.network
        for steps in (1, 2, 9):
            x = rng.normal(size=(2, steps, *net.inputs[0].shape))
            y = rng.normal(size=(2, steps, *net.outputs[0].shape))
            found = inspect(model, x, y)
            agree(found, walk(net, x, y, CASES[name].loss))


def test_a_derivative_that_is_slightly_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison must be able to fail: a slope wrong by 0.05 % makes most gradients differ."""
    wrong = Lines("np.multiply(y, y, out=t)\nnp.subtract(1.0005, t, out=t)\nd *= t", scratch=("t",))
    planted = replace(ACTIVATIONS["tanh"], gradient_lines=wrong)
    monkeypatch.setitem(ACTIVATIONS, "tanh", planted)
    x, y, expected = case_by_nodes("delay_one")
    found = differences(inspect(compile_case("delay_one", NONE), x, y), expected, EXACT)
    assert "gradient of state/recurrent" in " ".join(found)
    assert "output" not in " ".join(found)


def test_parity_check_says_so() -> None:
    case = CASES["handmade_lateral"]
    net = case.network()
    report = ng.parity_check(net, *case.data(net))
    assert report.ok
    assert report.worst.relative < EXACT


def test_a_layer_reads_its_delayed_source_from_the_present_run() -> None:
    """A run of 9 steps must leave nothing behind that a run of 3 steps could see."""
    rng = np.random.default_rng(1)
    model = compile_case("delay_two")
    net = model.network
    long, short = rng.normal(size=(2, 9, 3)), rng.normal(size=(2, 3, 3))
    before = np.array(model.predict(short))
    model.predict(long)
    np.testing.assert_array_equal(model.predict(short), before)
    assert set(values_of(net))
