"""Cells that run at once give the numbers of cells in turn, and only those run at once that may."""

import runpy
from itertools import combinations

import numpy as np
import pytest

import neurograph as ng

X = np.random.default_rng(0).normal(size=(130, 5, 3))
Y = np.random.default_rng(1).normal(size=(130, 5, 2))


def both_ways(layer, depth=1, **options):
    layers = [ng.Bidirectional(layer(4, return_sequences=True, **options)) for _ in range(depth)]
    return ng.Network([ng.Input((5, 3)), *layers, ng.Dense(2)], seed=0)


def compiled(net, threads, **options):
    return net.compile("sgd(0.1)", "mse", dtype="float64", threads=threads, **options)


def pairs(source):
    """Return how many groups run at once in a step of training."""
    return source.count("at_once(team, lambda: cell_")


@pytest.mark.parametrize("layer", [ng.LSTM, ng.GRU, ng.SimpleRNN])
@pytest.mark.parametrize("depth", [1, 2])
def test_two_threads_give_the_numbers_of_one(layer, depth):
    pytest.importorskip("threadpoolctl")
    found = []
    for threads in (1, 2, 3):
        net = both_ways(layer, depth)
        model = compiled(net, threads)
        model.gradients(X, Y)
        gradients = [each.gradient.copy() for each in net.parameters.values()]
        losses = [model.train_on_batch(X, Y) for _ in range(3)]
        # of two layers the upper one's ways back add to the same deltas, one after the other
        assert pairs(model.source) == (0 if threads == 1 else 2 * depth - (depth > 1))
        found.append([*gradients, np.array(losses), model.predict(X, batch_size=130)])
    for others in found[1:]:
        for mine, theirs in zip(found[0], others, strict=True):
            np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-13)


def test_what_one_reads_is_not_overwritten_by_the_other_at_its_side():
    pytest.importorskip("threadpoolctl")
    shared = []
    for threads in (1, 2):
        model = compiled(both_ways(ng.LSTM), threads)
        model.train_on_batch(X, Y)
        names = [f"bidirectional_{way}{what}" for way in ("forward", "backward")
                 for what in ("", "_fold")]  # fmt: skip
        used = [model.plan.arrays[name] for name in names]
        met = [np.shares_memory(one, other) for one, other in combinations(used, 2)]
        shared.append(sum(met))
    assert shared == [1, 0]  # in turn, the second cell writes where the first has read


def test_cells_that_need_each_other_or_are_small_run_in_turn():
    pytest.importorskip("threadpoolctl")
    stack = ng.Network([
        ng.Input((5, 3)), ng.LSTM(4, return_sequences=True), ng.LSTM(4, return_sequences=True),
        ng.Dense(2),
    ], seed=0)  # fmt: skip
    model = compiled(stack, 2)
    model.train_on_batch(X, Y)
    assert pairs(model.source) == 0
    model = compiled(both_ways(ng.LSTM), 2)
    model.train_on_batch(X[:8], Y[:8])
    assert pairs(model.source) == 0
    model.train_on_batch(X, Y)
    assert pairs(model.source) == 2


def test_states_and_masks_of_both_ways_are_kept_apart():
    pytest.importorskip("threadpoolctl")
    found = []
    for threads in (1, 2):
        source = ng.Input((None, 3))
        masked = ng.Masking(0.0)(source)
        values, *states = ng.Bidirectional(ng.LSTM(4, return_sequences=True, return_state=True))(
            masked
        )
        after = ng.Concatenate()([ng.Dense(2)(each) for each in states])
        net = ng.Network(inputs=source, outputs=[ng.Dense(2)(values), after], seed=0)
        model = net.compile("sgd(0.1)", "mse", dtype="float64", threads=threads)
        x = X.copy()
        x[::2, 3:] = 0
        targets = [Y, np.tile(Y[:, 0], 4)]
        losses = [model.train_on_batch(x, targets) for _ in range(3)]
        found.append([np.array(losses), *model.predict(x, batch_size=130), *net.get_weights()])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-13)


def test_the_script_of_such_a_network_runs_alone(tmp_path):
    pytest.importorskip("threadpoolctl")
    model = compiled(both_ways(ng.GRU), 2)
    model.predict(X, batch_size=130)
    model.export(tmp_path / "net.py")
    predict = runpy.run_path(str(tmp_path / "net.py"))["predict"]
    np.testing.assert_allclose(predict(X), model.predict(X), rtol=0, atol=1e-12)
