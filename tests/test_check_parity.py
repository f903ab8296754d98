"""The parity check: compiled and node by node agree; where they do not, the first node is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_network

import neurograph as ng
from neurograph.functions import ACTIVATIONS
from neurograph.graph.bundles import DenseConnections
from neurograph.graph.layer import Layer
from neurograph.lines import Lines

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(4, 2)), RNG.random((4, 2))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), smooth=st.booleans())
def test_random_graphs_agree(seed, smooth):
    net, x, y = random_network(seed, smooth=smooth)
    before = [parameter.value.tobytes() for parameter in net.parameters.values()]
    report = ng.parity_check(net, x, y)
    assert report.ok, str(report)
    assert report.worst.relative < 1e-12
    assert [parameter.value.tobytes() for parameter in net.parameters.values()] == before


def test_a_row_for_everything_that_is_calculated():
    net = ng.Network([2, 3, 2], seed=0)
    report = ng.parity_check(net, X, Y)
    assert report.ok
    assert bool(report)
    assert report.first_wrong == ""
    kinds = sorted(row.what.split("[")[0].split("(")[0].strip() for row in report.rows)
    assert kinds.count("output of") == 3
    assert kinds.count("net of") == kinds.count("delta of") == 2
    assert sum(kind.startswith("gradient of") for kind in kinds) == 4
    assert "11 arrays, all equal (tolerance 1e-09)" in str(report)
    assert ng.parity_check(net, X[0], Y[0]).ok


@pytest.mark.parametrize("training", [False, True])
def test_batch_normalization_in_both_modes(training):
    net = ng.Network([ng.Input(2), ng.Dense(3), ng.BatchNormalization(), ng.Dense(2)], seed=0)
    assert ng.parity_check(net, X, Y, "mse", training=training).ok


def report_on(wrong):
    """Return the report on a network whose hidden node has a wrong activation."""
    x, h, y = ng.InputNode("x"), ng.Node(wrong, name="h"), ng.Node("sigmoid", name="y")
    ng.Connection(x, h, 0.5)
    ng.Connection(h, y, 0.7)
    report = ng.parity_check(ng.Network(inputs=[x], outputs=[y]), X[:, :1], Y[:, :1])
    assert not report.ok
    return report


def test_wrong_forward_form_is_found_at_its_node():
    wrong = replace(
        ACTIVATIONS["tanh"], name="wrong_tanh", lines=Lines("np.tanh(x, out=y)\ny *= 1.0005")
    )
    report = report_on(wrong)
    assert report.first_wrong.startswith(
        "going forward from the inputs, the first node that differs is h: its output is "
    )
    assert "differ (tolerance" in str(report)


def test_wrong_backward_form_is_found_at_its_node():
    wrong = replace(
        ACTIVATIONS["sin"], name="wrong_sin",
        gradient_lines=Lines("np.cos(x, out=t)\nd *= t\nd *= 1.0005", scratch=("t",)),
    )  # fmt: skip
    report = report_on(wrong)
    assert report.first_wrong.startswith(
        "coming back from the outputs, the first node that differs is h: its delta is "
    )


class ForgetfulConnections(DenseConnections):
    """Asked what comes into a node, it forgets the first."""

    def into(self, down: int) -> Any:
        """Return all connections but one."""
        ups, addresses = super().into(down)
        return ups[1:], addresses[1:]


class CrossedConnections(DenseConnections):
    """Asked what comes into a node, it tells of its neighbour's weights."""

    def into(self, down: int) -> Any:
        """Return the connections of the next node."""
        return super().into((down + 1) % self.units)


def with_bundle(kind: type[DenseConnections]) -> ng.Network:
    x, y = Layer((2,), role="input", name="x"), Layer((2,), name="y")
    y.parameters = {"kernel": ng.Parameter(RNG.normal(size=(2, 2)))}
    kind(x, y, y.parameters["kernel"])
    return ng.Network(inputs=x, outputs=y)


def test_planted_bundle_is_caught():
    report = ng.parity_check(with_bundle(ForgetfulConnections), X, Y)
    assert not report.ok
    assert "the first node that differs is y[0]: its net is " in report.first_wrong


def test_a_bundle_that_contradicts_itself_is_refused():
    with pytest.raises(ng.GraphError, match=r"x\[0\] -> y\[0\]: .* two different weights"):
        ng.parity_check(with_bundle(CrossedConnections), X, Y)
