"""The perceptron and the linear unit: what they learn, what they print, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

import neurograph as ng

AND = ([[1, 1], [0, 0], [1, 0], [0, 1]], [1, 0, 0, 0])


def test_starts_at_zero_and_says_so():
    unit = ng.Perceptron(2)
    assert unit.weights == [0.0, 0.0]
    assert unit.bias == 0.0
    assert str(unit) == "weights [0, 0], bias 0"
    assert repr(ng.LinearUnit(1)) == "<LinearUnit of 1 input: weights [0], bias 0>"
    assert all(type(each) is float for each in (*unit.weights, unit.bias, unit.predict([0, 1])))


def test_one_correction_is_rate_times_error_times_input():
    unit = ng.LinearUnit(2)
    unit.train([[2.0, -3.0]], [10.0], 1, 0.1)
    assert unit.weights == [2.0, -3.0]
    assert unit.bias == 1.0
    unit.train([[1.0, 1.0]], [1.0], 1, 0.5)  # output 2 - 3 + 1 = 0, error 1
    assert unit.weights == [2.5, -2.5]
    assert unit.bias == 1.5


def test_learns_or_but_not_exclusive_or():
    vectors = AND[0]
    either = ng.Perceptron(2)
    either.train(vectors, [1, 0, 1, 1], 10, 0.1)
    assert [either.predict(vector) for vector in vectors] == [1, 0, 1, 1]
    exclusive = ng.Perceptron(2)
    exclusive.train(vectors, [0, 0, 1, 1], 100, 0.1)
    assert [exclusive.predict(vector) for vector in vectors] != [0, 0, 1, 1]


def test_takes_an_activation_of_its_own():
    unit = ng.Perceptron(1, activation="tanh")
    unit.connections[0].weight = 0.5
    assert unit.predict([2.0]) == pytest.approx(np.tanh(1.0), rel=1e-15)


def test_is_made_of_nodes_that_can_be_looked_at():
    unit = ng.Perceptron(2)
    unit.train(*AND, 10, 0.1)
    unit.predict([1, 1])
    assert unit.network.node("y") is unit.node
    assert [each.label for each in unit.connections] == ["x0 -> y", "x1 -> y", "bias -> y"]
    assert unit.network.find("x1->y").weight == unit.weights[1]
    assert "output = step(0.1) = 1" in unit.node.explain()
    assert unit.network.predict([[1, 1], [1, 0]], explicit=True).tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize(
    ("error", "message", "inputs"),
    [
        (ng.OptionError, "give the number of inputs, 1 or more", [0]),
        (ng.OptionError, "give the number of inputs, 1 or more", [1.5]),
        (ng.UnknownNameError, "did you mean 'step'", [1, "stepp"]),
    ],
)
def test_cannot_be_made_of_anything(error, message, inputs):
    with pytest.raises(error, match=message):
        ng.Perceptron(*inputs)


@pytest.mark.parametrize(
    ("error", "message", "vector"),
    [
        (ng.ShapeError, r"shape \(3,\), expected \(2,\)", [1, 1, 1]),
        (ng.DataError, "expected a vector, finite numbers, got", ["a", "b"]),
        (ng.DataError, "expected a vector, finite numbers, got", [np.nan, 1]),
    ],
)
def test_refuses_a_vector_in_one_sentence(error, message, vector):
    with pytest.raises(error, match=message):
        ng.Perceptron(2).predict(vector)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ng.DataError, "4 vectors and 3 labels", (AND[0], [1, 1, 1], 1, 1)),
        (ng.DataError, "at least one", ([], [], 1, 1)),
        (ng.DataError, "expected a list of vectors, got None", (None, [1], 1, 1)),
        (ng.DataError, "list of labels, finite numbers, got", ([[1, 1]], [np.inf], 1, 1)),
        (ng.DataError, "list of labels, finite numbers, got", ([[1, 1]], ["one"], 1, 1)),
        (ng.OptionError, "rate must be a number of at least 0, got -1", (*AND, 1, -1)),
        (ng.OptionError, "rate must be a number of at least 0, got 'x'", (*AND, 1, "x")),
        (ng.OptionError, "iteration must be a whole number, got 1.5", (*AND, 1.5, 1)),
    ],
)
def test_refuses_to_train_in_one_sentence(error, message, arguments):
    with pytest.raises(error, match=message):
        ng.Perceptron(2).train(*arguments)


def test_nothing_is_learned_from_data_of_which_a_part_is_wrong():
    unit = ng.Perceptron(2)
    with pytest.raises(ng.ShapeError):
        unit.train([[1, 1], [1]], [1, 0], 5, 0.1)
    assert unit.weights == [0.0, 0.0]


def test_weights_and_bias_can_be_set_by_hand():
    both = ng.Perceptron(2)
    both.weights, both.bias = [0.5, 0.5], -0.8
    assert [both.predict(vector) for vector in AND[0]] == AND[1]
    with pytest.raises(ng.ShapeError, match=r"shape \(1,\), expected \(2,\)"):
        both.weights = [1]
    with pytest.raises(ng.DataError, match="weight cannot be 'much'; give a finite number"):
        both.bias = "much"
