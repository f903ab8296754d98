"""Metrics: worked by hand, against scikit-learn, and over batches as over the whole."""

import json
import math

import numpy as np
import pytest

from neurograph.errors import DataError, OptionError, ShapeError, UnknownNameError
from neurograph.train.losses import CategoricalCrossentropy, MeanSquaredError
from neurograph.train.metrics import (
    F1,
    TABLE,
    Accuracy,
    BinaryAccuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopK,
    get_metric,
)

SHARES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.3, 0.4, 0.3]])
CLASSES = np.array([1, 1, 2, 0])
ONEHOT = np.eye(3)[CLASSES]
CHANCE = np.array([[0.9], [0.4], [0.5], [0.8]])
YES = np.array([[1.0], [1.0], [0.0], [0.0]])
WEIGHTS = np.array([1.0, 2.0, 3.0, 4.0])

# metric, target, output, result, result with the weights
WORKED = [
    ("accuracy", CLASSES, SHARES, 1 / 2, 4 / 10),
    ("accuracy", CLASSES[:, None], SHARES, 1 / 2, 4 / 10),
    ("accuracy", ONEHOT, SHARES, 1 / 2, 4 / 10),
    ("accuracy", YES, CHANCE, 1 / 2, 4 / 10),
    ("accuracy", YES[:, 0], CHANCE, 1 / 2, 4 / 10),
    ("accuracy", CLASSES.reshape(2, 2), SHARES.reshape(2, 2, 3), 1 / 2, None),
    ("categorical_accuracy", ONEHOT, SHARES, 1 / 2, 4 / 10),
    ("sparse_categorical_accuracy", CLASSES, SHARES, 1 / 2, 4 / 10),
    ("binary_accuracy", YES, CHANCE, 1 / 2, 4 / 10),
    ("binary_accuracy(0.3)", YES, CHANCE, 1 / 2, 3 / 10),
    ("binary_accuracy", ONEHOT, SHARES, 10 / 12, (3 * 1 + 2 * 2 + 3 * 3 + 2 * 4) / 30),
    ("top_k(1)", CLASSES, SHARES, 1 / 2, 4 / 10),
    ("top_k(2)", CLASSES, SHARES, 1, 1),
    ("top_k(2)", ONEHOT, SHARES, 1, 1),
    ("mse", YES, CHANCE, (0.01 + 0.36 + 0.25 + 0.64) / 4, (0.01 + 0.72 + 0.75 + 2.56) / 10),
    ("mae", YES, CHANCE, (0.1 + 0.6 + 0.5 + 0.8) / 4, (0.1 + 1.2 + 1.5 + 3.2) / 10),
    ("rmse", YES, CHANCE, 0.315**0.5, 0.404**0.5),
    ("sse", YES, CHANCE, 1.26 / 8, 4.04 / 20),
    (
        "categorical_crossentropy",
        *(ONEHOT, SHARES, -np.log([0.7, 0.3, 0.6, 0.3]).mean()),
        -np.log([0.7, 0.3, 0.6, 0.3]) @ WEIGHTS / 10,
    ),
    ("precision", YES, CHANCE, 1 / 2, 1 / 5),
    ("recall", YES, CHANCE, 1 / 2, 1 / 3),
    ("f1", YES, CHANCE, 2 / 4, 2 / 8),
    ("precision(0.25, class_id=1)", ONEHOT, SHARES, 2 / 3, 3 / 7),
    ("recall(0.25, class_id=0)", CLASSES, SHARES, 1, 1),
    ("confusion_matrix", CLASSES, SHARES, 1 / 2, 4 / 10),
    ("confusion_matrix", YES, CHANCE, 1 / 2, 4 / 10),
]


@pytest.mark.parametrize(
    ("spec", "target", "output", "result", "weighted"), WORKED, ids=lambda each: str(each)[:20]
)
def test_worked_by_hand(spec, target, output, result, weighted):
    metric = get_metric(spec)
    assert math.isnan(metric.result()) or isinstance(metric, (Precision, Recall, F1))
    metric.update(target, output)
    assert metric.result() == pytest.approx(result, rel=1e-12)
    assert isinstance(metric.result(), float)
    if weighted is not None:
        metric.reset()
        metric.update(target, output, WEIGHTS)
        assert metric.result() == pytest.approx(weighted, rel=1e-12)


@pytest.mark.parametrize(
    ("spec", "target", "output", "result", "weighted"), WORKED, ids=lambda each: str(each)[:20]
)
def test_uneven_batches_add_up_to_the_whole(spec, target, output, result, weighted):
    metric = get_metric(spec)
    split = 1 if len(output) == 2 else 3
    for part in (slice(None, split), slice(split, None)):
        metric.update(target[part], output[part])
    assert metric.result() == pytest.approx(result, rel=1e-12)


def test_ties_count_for_the_right_class_and_nan_against_it():
    metric = TopK(1)
    metric.update(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]]))
    assert metric.result() == 1.0
    metric.reset()
    metric.update(np.array([0]), np.array([[np.nan, 0.5]]))
    assert metric.result() == 0.0


def test_confusion_matrix_by_class():
    confusion = ConfusionMatrix()
    confusion.update(CLASSES, SHARES)
    assert confusion.matrix.tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert confusion.precision == pytest.approx([0, 1 / 2, 1])
    assert confusion.recall == pytest.approx([0, 1 / 2, 1])
    assert confusion.f1 == pytest.approx([0, 1 / 2, 1])
    confusion.update(CLASSES, SHARES, [1, 1, 1, 9])
    assert confusion.matrix[0].tolist() == [0, 10, 0]
    assert str(confusion).splitlines() == [
        "right \\ answer   0   1   2",
        "             0   0  10   0",
        "             1   2   2   0",
        "             2   0   0   2",
    ]


def test_against_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    target, output = rng.integers(0, 2, 500), rng.random(500)
    answer = output > 0.5
    for metric, theirs in [
        (Precision(), sklearn.precision_score),
        (Recall(), sklearn.recall_score),
        (F1(), sklearn.f1_score),
        (Accuracy(), sklearn.accuracy_score),
        (get_metric("mae"), None),
    ]:
        metric.update(target, output[:, None])
        expected = theirs(target, answer) if theirs else np.abs(target - output).mean()
        assert metric.result() == pytest.approx(expected, rel=1e-12)
    classes, shares = rng.integers(0, 4, 300), rng.random((300, 4))
    confusion = ConfusionMatrix()
    confusion.update(classes, shares)
    assert np.array_equal(confusion.matrix, sklearn.confusion_matrix(classes, shares.argmax(1)))
    assert confusion.f1 == pytest.approx(
        sklearn.f1_score(classes, shares.argmax(1), average=None), rel=1e-12
    )
    top = TopK(2)
    top.update(classes, shares)
    assert top.result() == pytest.approx(sklearn.top_k_accuracy_score(classes, shares, k=2))


def test_a_metric_of_ones_own():
    def worst(target, output):
        return np.abs(target - output).max()

    metric = get_metric(worst)
    metric.update(YES[:3], CHANCE[:3])
    metric.update(YES[3:], CHANCE[3:])
    assert metric.result() == pytest.approx((3 * 0.6 + 0.8) / 4)
    assert metric.name == "worst"
    metric.reset()
    metric.update(YES[:2], CHANCE[:2], [1.0, 3.0])
    assert metric.result() == pytest.approx((0.1 + 3 * 0.6) / 4)
    with pytest.raises(DataError, match="the metric <lambda> must return a number, got ndarray"):
        get_metric(lambda target, output: output).update(YES, CHANCE)
    with pytest.raises(OptionError, match="'worst' is a function of your own"):
        get_metric(metric.to_config())


def test_names_for_the_history():
    assert get_metric("acc").name == "acc"
    assert get_metric("accuracy").name == "accuracy"
    assert get_metric("top_k").name == "top_k"
    assert get_metric(TopK(3)).name == "top_k_categorical_accuracy"
    assert get_metric("mean_squared_error").name == "mean_squared_error"
    assert get_metric(MeanSquaredError()).name == "mse"
    assert get_metric(CategoricalCrossentropy(from_logits=True)).name == "categorical_crossentropy"


@pytest.mark.parametrize("name", sorted(TABLE.rows))
def test_configurations_survive_json(name):
    made = get_metric(name)
    again = get_metric(json.loads(json.dumps(made.to_config())))
    assert type(again) is type(made)
    assert again.to_config() == made.to_config()


def test_options_survive_json():
    config = json.loads(json.dumps(Precision(0.3, class_id=2).to_config()))
    assert get_metric(config) == Precision(0.3, class_id=2)
    assert get_metric(json.loads(json.dumps(TopK(3).to_config()))).k == 3
    assert get_metric(BinaryAccuracy).threshold == 0.5


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("acuracy", UnknownNameError, "did you mean 'accuracy'"),
        ("top_k(0)", OptionError, "k must be a number of at least 1, got 0"),
        ("top_k(1.5)", OptionError, "k must be a whole number, got 1.5"),
        ("binary_accuracy('x')", OptionError, "threshold must be a finite number"),
        ("precision(class_id=-1)", OptionError, "class_id must be a number of at least 0"),
        ("accuracy(a=1)", OptionError, "metric 'accuracy' cannot be made"),
        (3, OptionError, "a metric is given by its name"),
    ],
)
def test_bad_specifications_are_refused(spec, error, says):
    with pytest.raises(error, match=says):
        get_metric(spec)


@pytest.mark.parametrize("spec", ["accuracy", "top_k(1)", "precision", "confusion_matrix", "rmse"])
def test_targets_that_do_not_fit_are_refused(spec):
    with pytest.raises(ShapeError, match=r"targets of shape \(3, 2\) do not fit outputs of shape"):
        get_metric(spec).update(np.zeros((3, 2)), np.zeros((3, 4)))


def test_classes_that_do_not_exist_are_refused():
    with pytest.raises(DataError, match="targets run from 0 to 9, expected classes 0 to 2"):
        ConfusionMatrix().update(np.array([0, 9, 1, 1]), SHARES)
    with pytest.raises(OptionError, match="class_id 3 needs more than the 3 outputs"):
        Precision(class_id=3).update(ONEHOT, SHARES)
