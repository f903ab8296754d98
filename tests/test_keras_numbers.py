"""Losses, optimizers, initializers and metrics against Keras itself, where it is installed."""

import numpy as np
import pytest

from neurograph.initializers import fans
from neurograph.train.losses import get_loss
from neurograph.train.metrics import get_metric
from neurograph.train.optimizers import get_optimizer

RNG = np.random.default_rng(11)
NET = RNG.normal(size=(6, 4))
CHANCE = 1 / (1 + np.exp(-NET))
CLASSES = RNG.integers(0, 4, 6)
ONEHOT = np.eye(4)[CLASSES]
YES = RNG.integers(0, 2, (6, 4)).astype(float)
NUMBERS = RNG.normal(size=(6, 4))
LOSSES = [
    ("mse", "MeanSquaredError", {}, NUMBERS, NET),
    ("mae", "MeanAbsoluteError", {}, NUMBERS, NET),
    ("huber", "Huber", {"delta": 0.5}, NUMBERS, NET),
    ("binary_crossentropy", "BinaryCrossentropy", {"label_smoothing": 0.1}, YES, CHANCE),
    ("binary_crossentropy", "BinaryCrossentropy", {"from_logits": True}, YES, NET),
    ("categorical_crossentropy", "CategoricalCrossentropy", {}, ONEHOT, CHANCE),
    (
        *("categorical_crossentropy", "CategoricalCrossentropy"),
        *({"from_logits": True, "label_smoothing": 0.1}, ONEHOT, NET),
    ),
    ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", {}, CLASSES, CHANCE),
    (
        *("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"),
        *({"from_logits": True}, CLASSES, NET),
    ),
]


@pytest.mark.parametrize(("name", "theirs", "options", "target", "output"), LOSSES)
def test_losses(keras, name, theirs, options, target, output):
    import torch

    y = torch.tensor(output, requires_grad=True)
    # Keras rounds the mean over the batch to float32, so it is taken here
    loss = getattr(keras.losses, theirs)(**options, reduction=None, dtype="float64")
    expected = loss(torch.tensor(target), y).mean()
    expected.backward()
    value, gradient = get_loss({"name": name, **options}).value_and_gradient(target, output)
    assert value == pytest.approx(expected.item(), rel=1e-6)
    assert gradient == pytest.approx(y.grad.numpy(), rel=1e-6, abs=1e-9)


OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adagrad", {"learning_rate": 0.1}),
    ("RMSprop", {"learning_rate": 0.1}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adam", {"learning_rate": 0.1}),
    ("Adam", {"amsgrad": True, "clipnorm": 0.5}),
    ("AdamW", {"learning_rate": 0.1}),
    ("Adam", {"global_clipnorm": 0.5}),
    ("SGD", {"clipvalue": 0.5}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS, ids=str)
def test_optimizers_step_by_step(keras, name, options):
    import torch

    rng = np.random.default_rng(12)
    w = rng.normal(size=(4, 3))
    theirs = getattr(keras.optimizers, name)(**options)
    variable = keras.Variable(w.copy(), dtype="float64")
    theirs.build([variable])
    ours = get_optimizer({"name": name, **options})
    state = ours.new_state(w)
    for step in range(8):
        g = rng.normal(size=(4, 3))
        theirs.apply([torch.tensor(g)], [variable])
        ours.apply(w, g.copy(), state, step)
        # Keras keeps its learning rate in float32
        assert w == pytest.approx(variable.value.detach().numpy(), rel=1e-6, abs=1e-7)


def test_schedules(keras):
    theirs = keras.optimizers.schedules
    for name, options in [
        ("ExponentialDecay", (0.1, 7, 0.9)),
        ("ExponentialDecay", (0.1, 7, 0.9, True)),
        ("CosineDecay", (0.1, 15, 0.1)),
        ("PiecewiseConstantDecay", ([3, 9], [0.3, 0.2, 0.1])),
    ]:
        schedule = getattr(theirs, name)(*options)
        ours = get_optimizer({"name": "sgd", "learning_rate": f"{name}{options}"})
        for step in range(20):
            assert ours.rate(step) == pytest.approx(float(schedule(step)), rel=1e-5)
    warm = theirs.CosineDecay(0.01, 10, warmup_target=0.1, warmup_steps=5)
    ours = get_optimizer("sgd('cosine_decay(0.01, 10, warmup_target=0.1, warmup_steps=5)')")
    for step in range(20):
        assert ours.rate(step) == pytest.approx(float(warm(step)), rel=1e-5, abs=1e-9)


def test_fans(keras):
    from keras.src.initializers.random_initializers import compute_fans

    for shape in [(), (5,), (3, 4), (2, 3, 4), (3, 5, 2, 7)]:
        assert fans(shape) == compute_fans(shape)


def test_metrics(keras):
    m = keras.metrics
    weights = np.linspace(0.1, 2.0, 6)
    for ours, theirs, target, output in [
        ("categorical_accuracy", m.CategoricalAccuracy(), ONEHOT, CHANCE),
        ("sparse_categorical_accuracy", m.SparseCategoricalAccuracy(), CLASSES, CHANCE),
        ("binary_accuracy", m.BinaryAccuracy(), YES, CHANCE),
        ("top_k(2)", m.SparseTopKCategoricalAccuracy(2), CLASSES, CHANCE),
        ("precision", m.Precision(), YES, CHANCE),
        ("recall(class_id=1)", m.Recall(class_id=1), YES, CHANCE),
        ("rmse", m.RootMeanSquaredError(), NUMBERS, NET),
        ("mae", m.MeanAbsoluteError(), NUMBERS, NET),
    ]:
        metric = get_metric(ours)
        metric.update(target, output)
        theirs.update_state(target, output)
        assert metric.result() == pytest.approx(float(theirs.result()), rel=1e-6), ours
        metric.update(target, output, weights)
        theirs.update_state(target, output, sample_weight=weights)
        assert metric.result() == pytest.approx(float(theirs.result()), rel=1e-6), ours
