"""Losses: against PyTorch, kept Keras numbers, finite differences, and form against form."""

import json
from functools import partial

import numpy as np
import pytest
from memory import taken

from neurograph.errors import DataError, OptionError, ShapeError, UnknownNameError
from neurograph.train.categorical import log_softmax
from neurograph.train.inline import run_lines
from neurograph.train.losses import (
    TABLE,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
    SumSquaredError,
    get_loss,
)

ONEHOT = np.array([[0.0, 1, 0], [1, 0, 0]])
YES_NO = np.array([[0.0, 1, 1], [1, 0, 0]])
NUMBERS = np.array([[0.5, 2, -1], [0, 1, 3]])
NET = np.array([[1.0, -2, 0.5], [0.3, 0.1, -4]])
SHARES = np.array([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]])

# loss, target, output, Keras 3.15's loss, its loss with sample weights 1/2 and 2, its gradient
KEPT = [
    (
        MeanSquaredError(),
        *(NUMBERS, NET, 11.4, 18.175),
        [[1 / 6, -4 / 3, 0.5], [0.1, -0.3, -7 / 3]],
    ),
    (
        MeanAbsoluteError(),
        *(NUMBERS, NET, 2.3666666667, 3.2333333333),
        [[1 / 6, -1 / 6, 1 / 6], [1 / 6, -1 / 6, -1 / 6]],
    ),
    (
        Huber(),
        *(NUMBERS, NET, 1.9291666667, 2.7020833333),
        [[1 / 12, -1 / 6, 1 / 6], [0.05, -0.15, -1 / 6]],
    ),
    (
        BinaryCrossentropy(),
        *(YES_NO, SHARES, 0.4675737545, 0.4050816298),
        [[0.20833333, -0.33333333, -0.55555556], [-0.23809524, 0.20833333, 0.18518518]],
    ),
    (
        BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
        *(YES_NO, NET, 0.8860280812, 0.8247394562),
        [[0.1135097665, -0.1384661838, -0.0545901131], [-0.0625929157, 0.0791632, -0.0053356318]],
    ),
    (
        CategoricalCrossentropy(),
        *(ONEHOT, SHARES * [[2], [1]], 0.5249110622, 0.5299617391),
        [[0.25, -0.25, 0.25], [-0.2142857143, 0.5, 0.5]],
    ),
    (
        CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        *(ONEHOT, NET, 2.0384176009, 1.5858875251),
        [[0.2852077814, -0.4516372229, 0.1664294415], [-0.1937854858, 0.2067495481, -0.0129640623]],
    ),
    (
        SparseCategoricalCrossentropy(from_logits=True),
        *([1, 0], NET, 2.0550842676, 1.4817208585),
        [[0.3018744481, -0.4849705562, 0.1830961081], [-0.2271188191, 0.2234162147, 0.0037026044]],
    ),
]


@pytest.mark.parametrize(
    ("loss", "target", "output", "value", "weighted", "gradient"),
    KEPT,
    ids=lambda each: str(each)[:40],
)
def test_kept_keras_numbers(loss, target, output, value, weighted, gradient):
    got, d_output = loss.value_and_gradient(target, output)
    assert got == pytest.approx(value, rel=1e-7)
    assert loss(target, output) == got
    # Keras on PyTorch rounds the factor of a mean to float32
    assert d_output == pytest.approx(np.array(gradient), rel=1e-6)
    assert loss.value_and_gradient(target, output, [0.5, 2.0])[0] == pytest.approx(
        weighted, rel=1e-7
    )


def test_sse_is_half_the_sum_of_squares_of_a_sample():
    got, d_output = SumSquaredError().value_and_gradient(NUMBERS, NET)
    assert got == pytest.approx(((NUMBERS - NET) ** 2).sum() / 2 / 2, rel=1e-12)
    assert np.array_equal(d_output, (NET - NUMBERS) / 2)
    # over time it is the sum of all steps, where mse is their mean
    steps = np.stack([NUMBERS, NUMBERS], axis=1), np.stack([NET, NET], axis=1)
    assert SumSquaredError()(*steps) == pytest.approx(2 * got, rel=1e-12)
    assert MeanSquaredError()(*steps) == pytest.approx(MeanSquaredError()(NUMBERS, NET), rel=1e-12)


def test_one_sample_needs_no_batch_axis():
    loss, d_output = SumSquaredError().value_and_gradient([0.0, 1.0], [0.5, 0.5])
    assert loss == 0.25
    assert np.array_equal(d_output, [0.5, -0.5])
    loss, d_output = SparseCategoricalCrossentropy().value_and_gradient(1, [0.5, 0.5])
    assert loss == pytest.approx(np.log(2))
    assert np.array_equal(d_output, [1.0, -1.0])


def random_case(loss, shape, dtype=np.float64, seed=0):
    """Return a target and an output that suit the loss."""
    rng = np.random.default_rng(seed)
    net = rng.normal(scale=2.0, size=shape)
    classes = rng.integers(0, shape[-1], shape[:-1])
    logits = getattr(loss, "from_logits", True)
    if isinstance(loss, SparseCategoricalCrossentropy):
        target = classes
    elif isinstance(loss, CategoricalCrossentropy):
        target = np.eye(shape[-1])[classes] * 0.7 + 0.3 / shape[-1]
    elif isinstance(loss, BinaryCrossentropy):
        target = rng.integers(0, 2, shape) * 0.8 + 0.1
    else:
        target = rng.normal(scale=2.0, size=shape)
    if not logits:
        sigmoid = isinstance(loss, BinaryCrossentropy)
        net = 1 / (1 + np.exp(-net)) if sigmoid else rng.random(shape) + 0.05
    if not loss.class_numbers:
        target = target.astype(dtype)
    return target, net.astype(dtype)


LOSSES = [
    SumSquaredError(),
    MeanSquaredError(),
    MeanAbsoluteError(),
    Huber(),
    Huber(0.3),
    BinaryCrossentropy(),
    BinaryCrossentropy(label_smoothing=0.2),
    BinaryCrossentropy(from_logits=True),
    BinaryCrossentropy(from_logits=True, label_smoothing=0.2),
    CategoricalCrossentropy(),
    CategoricalCrossentropy(label_smoothing=0.2),
    CategoricalCrossentropy(from_logits=True),
    CategoricalCrossentropy(from_logits=True, label_smoothing=0.2),
    SparseCategoricalCrossentropy(),
    SparseCategoricalCrossentropy(from_logits=True),
    SparseCategoricalCrossentropy(from_logits=True, ignore_class=1),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 3)])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_gradients_are_the_central_differences(loss, shape, weighted):
    target, output = random_case(loss, shape)
    weight = np.random.default_rng(1).random(shape[:-1]) if weighted else None
    _, gradient = loss.value_and_gradient(target, output, weight)
    for where in np.ndindex(output.shape):
        step = np.zeros(shape)
        step[where] = 1e-6
        up, _ = loss.value_and_gradient(target, output + step, weight)
        down, _ = loss.value_and_gradient(target, output - step, weight)
        assert gradient[where] == pytest.approx((up - down) / 2e-6, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(4, 3), (1, 2), (3, 5, 7), (130, 10)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_lines_are_the_definition(loss, weighted, shape, dtype):
    lines = loss.lines(weighted)
    if lines is None:
        assert loss.ignore_class is not None
        return
    target, output = random_case(loss, shape, dtype)
    compare(loss, lines, target, output, weighted, lambda gradient: gradient)


def compare(loss, lines, target, output, weighted, to_net):
    """Run lines and check loss and gradient; `to_net` carries a gradient back to the net."""
    rng, shape = np.random.default_rng(2), output.shape
    weight = rng.random(shape[0]).astype(output.dtype) if weighted else None
    slots = {"target": target, "output": output, "batch": shape[0]}
    if weighted:
        slots["weight"] = weight.reshape(-1, *(1,) * (output.ndim - 1))
    before = output.copy(), target.copy()
    names = run_lines(lines, output, d_output=np.full_like(output, np.nan), **slots)
    assert np.array_equal(before[0], output)
    assert np.array_equal(before[1], target)
    value, gradient = loss.value_and_gradient(target, output, weight)
    rough = 1e-12 if output.dtype == np.float64 else 3e-5
    assert isinstance(names["loss"], float)
    assert names["loss"] == pytest.approx(value, rel=rough, abs=rough)
    scale = float(np.abs(gradient).max())
    assert names["d_output"] == pytest.approx(to_net(gradient), rel=rough, abs=rough * scale)
    assert names["d_output"].dtype == output.dtype


FUSED = [each for each in LOSSES if each.fused_softmax() or each.fused_sigmoid()]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(4, 3), (1, 2), (3, 5, 7), (130, 10)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", FUSED, ids=str)
def test_fused_lines_are_the_definition_through_the_activation(loss, weighted, shape, dtype):
    target, _ = random_case(loss, shape, dtype)
    net = np.random.default_rng(3).normal(scale=2, size=shape)
    if isinstance(loss, BinaryCrossentropy):
        output = 1 / (1 + np.exp(-net))
        to_net = lambda d: d * output * (1 - output)  # noqa: E731 (read beside its activation)
        lines = loss.fused_sigmoid(weighted)
    else:
        output = np.exp(log_softmax(net))
        to_net = lambda d: output * (d - (d * output).sum(-1, keepdims=True))  # noqa: E731
        lines = loss.fused_softmax(weighted)
    output = output.astype(dtype)
    compare(loss, lines, target, output, weighted, to_net)


def test_there_are_five_losses_to_fuse_and_logits_are_not_among_them():
    assert len(FUSED) == 5
    assert not any(loss.from_logits for loss in FUSED)
    assert MeanSquaredError().fused_softmax() is None
    assert CategoricalCrossentropy().fused_sigmoid() is None


@pytest.mark.parametrize("loss", [each for each in LOSSES if not getattr(each, "from_logits", 1)])
def test_certain_outputs_stay_finite_in_both_forms(loss):
    output = np.array([[0.0, 1.0], [1.0, 0.0], [1e-9, 1 - 1e-9]])
    target = np.array([0, 0, 1]) if loss.class_numbers else np.array([[1.0, 0], [1, 0], [0, 1]])
    value, gradient = loss.value_and_gradient(target, output)
    assert np.isfinite(value)
    names = run_lines(
        loss.lines(), output, target=target, output=output, d_output=output.copy(), batch=3
    )
    assert names["loss"] == pytest.approx(value, rel=1e-12)
    assert names["d_output"] == pytest.approx(gradient, rel=1e-9)
    # what was held at a bound gives no gradient, as in Keras
    if not getattr(loss, "label_smoothing", 0):
        assert not gradient[0].any()


def test_huge_logits_neither_overflow_nor_lose_the_loss():
    net = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]])
    for loss, target in [
        (CategoricalCrossentropy(from_logits=True), np.array([[0.0, 1], [0, 1]])),
        (SparseCategoricalCrossentropy(from_logits=True), np.array([1, 1])),
    ]:
        assert loss(target, net) == 1000.0
        names = run_lines(
            loss.lines(), net, target=target, output=net, d_output=net.copy(), batch=2
        )
        assert names["loss"] == 1000.0
        assert np.array_equal(names["d_output"], [[0.5, -0.5], [0, 0]])
    assert BinaryCrossentropy(from_logits=True)([[0.0]], [[1000.0]]) == 1000.0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [each for each in LOSSES if each.lines()], ids=str)
def test_lines_allocate_no_arrays(loss, weighted):
    target, output = random_case(loss, (64, 2000), np.float32)
    fused = (loss.fused_softmax(weighted), loss.fused_sigmoid(weighted))
    for lines in filter(None, (loss.lines(weighted), *fused)):
        slots = {"target": target, "output": output, "d_output": output.copy(), "batch": 64}
        if weighted:
            slots["weight"] = np.ones((64, 1), np.float32)
        names = run_lines(lines, output, **slots)
        code = compile(lines.text, "lines", "exec")
        # NumPy itself takes a buffer of 8,192 entries to broadcast or to cast; 128,000 are at hand
        assert taken(partial(exec, code, names)) < 80_000


def test_against_pytorch():
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    rng = np.random.default_rng(5)
    net, numbers = rng.normal(size=(6, 4)) * 2, rng.normal(size=(6, 4)) * 2
    classes, yes = rng.integers(0, 4, 6), rng.integers(0, 2, (6, 4)).astype(float)
    onehot, chance = np.eye(4)[classes], 1 / (1 + np.exp(-net))
    rows = [
        (MeanSquaredError(), numbers, net, f.mse_loss),
        (MeanAbsoluteError(), numbers, net, f.l1_loss),
        (Huber(0.7), numbers, net, lambda y, t: f.huber_loss(y, t, delta=0.7)),
        (BinaryCrossentropy(), yes, chance, f.binary_cross_entropy),
        (BinaryCrossentropy(True), yes, net, f.binary_cross_entropy_with_logits),
        (CategoricalCrossentropy(True), onehot, net, f.cross_entropy),
        (
            CategoricalCrossentropy(True, 0.2),
            *(onehot, net, lambda y, t: f.cross_entropy(y, t, label_smoothing=0.2)),
        ),
        (SparseCategoricalCrossentropy(True), classes, net, f.cross_entropy),
        (
            SparseCategoricalCrossentropy(True, ignore_class=2),
            *(classes, net, lambda y, t: f.cross_entropy(y, t, ignore_index=2)),
        ),
    ]
    for loss, target, output, theirs in rows:
        y = torch.tensor(output, requires_grad=True)
        expected = theirs(y, torch.tensor(target))
        expected.backward()
        value, gradient = loss.value_and_gradient(target, output)
        assert value == pytest.approx(expected.item(), rel=1e-12), loss
        assert gradient == pytest.approx(y.grad.numpy(), rel=1e-12, abs=1e-15), loss


def profit_and_cost(target, output):
    """Selling too few loses a profit of 99 apiece, making too many a cost of 1."""
    over = output > target
    loss = np.where(over, output - target, 99 * (target - output)).sum(axis=-1).mean()
    return loss, np.where(over, 1.0, -99.0) / len(output)


def test_a_loss_of_ones_own():
    loss = get_loss(profit_and_cost)
    value, gradient = loss.value_and_gradient([[10.0], [5.0]], [[9.0], [7.0]])
    assert value == (99 + 2) / 2
    assert np.array_equal(gradient, [[-49.5], [0.5]])
    value, gradient = loss.value_and_gradient([[10.0], [5.0]], [[9.0], [7.0]], [2.0, 1.0])
    assert value == (2 * 99 + 2) / 2
    assert np.array_equal(gradient, [[-99.0], [0.5]])
    assert loss.name == "profit_and_cost"
    assert loss.lines() is None
    assert loss.check([[1.0]], (1,)).shape == (1, 1)
    with pytest.raises(OptionError, match="'profit_and_cost' is a function of your own"):
        get_loss(loss.to_config())


def test_a_loss_of_ones_own_that_returns_nonsense_is_refused():
    def only_the_loss(target, output):
        return 1.0

    def wrong_gradient(target, output):
        return 1.0, output[0]

    with pytest.raises(DataError, match=r"only_the_loss must return .*gradient.*got float"):
        get_loss(only_the_loss)([[1.0, 2.0]], [[1.0, 2.0]])
    with pytest.raises(ShapeError, match=r"wrong_gradient returned a gradient of shape \(2,\)"):
        get_loss(wrong_gradient)([[1.0, 2.0]], [[1.0, 2.0]])


def test_targets_come_back_in_the_shape_the_loss_works_on():
    assert get_loss("mse").check([1.0, 2.0], (1,)).shape == (2, 1)
    assert get_loss("mse").check(np.zeros((2, 7, 3)), (None, 3)).shape == (2, 7, 3)
    sparse = get_loss("sparse_categorical_crossentropy")
    checked = sparse.check(np.array([[0], [2]], np.uint8), (3,))
    assert (checked.shape, checked.dtype) == ((2,), np.intp)
    assert np.array_equal(sparse.check([0.0, 2.0], (3,)), [0, 2])
    assert sparse.check(np.zeros((2, 7), int), (None, 3)).shape == (2, 7)
    assert get_loss("categorical_crossentropy").check(np.eye(3, dtype=bool), (3,)).dtype == bool


NAN, INF = float("nan"), float("inf")
BAD_TARGETS = [
    ("mse", [[1.0], [NAN]], (1,), DataError, "mse: sample 1 holds nan, expected finite numbers"),
    ("sse", [[1.0], [INF]], (1,), DataError, "sse: sample 1 holds inf"),
    ("mse", [["cat"]], (1,), DataError, "targets must be numbers, got an array of str"),
    ("mse", [[1j]], (1,), DataError, "targets must be numbers, got an array of complex"),
    ("mse", np.zeros((0, 2)), (2,), DataError, "there are no targets"),
    ("mse", 3.0, (1,), ShapeError, "do not fit"),
    (
        "mse",
        np.zeros((5, 3)),
        (2,),
        ShapeError,
        r"\(5, 3\) do not fit outputs of shape \(batch, 2\)",
    ),
    ("mse", np.arange(5), (3,), ShapeError, "class numbers need the loss sparse_categorical"),
    (
        "binary_crossentropy",
        [[0.5], [2.0]],
        (1,),
        DataError,
        "sample 1 holds 2.0, .*between 0 and 1",
    ),
    ("binary_crossentropy", [[0], [2]], (1,), DataError, "sample 1 holds 2, .*sparse_categorical"),
    (
        "categorical_crossentropy",
        [0, 1, 2],
        (3,),
        ShapeError,
        "sparse_categorical_crossentropy, or",
    ),
    ("categorical_crossentropy", [[0.5, 0.1]], (2,), DataError, "sample 0 add up to 0.6"),
    ("categorical_crossentropy", [[1, 0], [1, 1]], (2,), DataError, "sample 1 add up to 2"),
    ("categorical_crossentropy", [[2, -1]], (2,), DataError, "between 0 and 1"),
    ("categorical_crossentropy", [[1.0]], (1,), ShapeError, "single yes-or-no .*binary_cross"),
    ("sparse_categorical_crossentropy", [0, 5], (3,), DataError, "sample 1 is class 5, .*0 to 2"),
    ("sparse_categorical_crossentropy", [-1, 1], (3,), DataError, "sample 0 is class -1"),
    (
        "sparse_categorical_crossentropy",
        [0.5, 1],
        (3,),
        DataError,
        "sample 0 is 0.5, .*class number",
    ),
    ("sparse_categorical_crossentropy", [NAN, 1], (3,), DataError, "sample 0 holds nan"),
    ("sparse_categorical_crossentropy", np.eye(3), (3,), ShapeError, "one-hot targets need cat"),
]


@pytest.mark.parametrize(
    ("name", "target", "shape", "error", "says"),
    BAD_TARGETS,
    ids=[each[4][:30] for each in BAD_TARGETS],
)
def test_targets_that_cannot_be_learned_are_refused(name, target, shape, error, says):
    with pytest.raises(error, match=says):
        get_loss(name).check(target, shape)


def test_targets_and_weights_that_do_not_fit_the_output_are_refused():
    loss = get_loss("mse")
    with pytest.raises(ShapeError, match="3 targets for 2 outputs"):
        loss(np.zeros((3, 1)), np.zeros((2, 1)))
    with pytest.raises(ShapeError, match=r"weights of shape \(3,\) do not fit 2 samples"):
        loss.value_and_gradient(np.zeros((2, 1)), np.zeros((2, 1)), np.ones(3))
    with pytest.raises(DataError, match=r"sample weights: sample 1 holds -1\.0, .*of at least 0"):
        loss.value_and_gradient(np.zeros((2, 1)), np.zeros((2, 1)), [1.0, -1.0])
    with pytest.raises(DataError, match="there are no outputs"):
        loss(np.zeros((0, 1)), np.zeros((0, 1)))
    with pytest.raises(DataError, match="is class 7"):
        get_loss("sparse_categorical_crossentropy")([7], [[0.5, 0.5]])


def test_activations_that_a_loss_cannot_judge_are_refused():
    with pytest.raises(OptionError, match="activation 'identity': use a softmax or sigmoid"):
        get_loss("categorical_crossentropy").check_activation("identity")
    with pytest.raises(OptionError, match="activation 'softmax': from_logits=True takes the net"):
        CategoricalCrossentropy(from_logits=True).check_activation("softmax")
    CategoricalCrossentropy().check_activation("softmax")
    get_loss("mse").check_activation("identity")


@pytest.mark.parametrize("name", sorted(TABLE.rows))
def test_configurations_survive_json(name):
    made = get_loss(name)
    assert get_loss(json.loads(json.dumps(made.to_config()))) == made
    assert get_loss(type(made)) == made
    assert made.name in TABLE.rows


def test_options_survive_json():
    for made in LOSSES:
        assert get_loss(json.loads(json.dumps(made.to_config()))) == made


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("binary_crosentropy", UnknownNameError, "did you mean 'binary_crossentropy'"),
        ("huber(-1)", OptionError, "huber: delta must be a number above 0"),
        ("categorical_crossentropy(label_smoothing=2)", OptionError, "label_smoothing must be"),
        ("binary_crossentropy(from_logits=3)", OptionError, "from_logits must be True or False"),
        ("mse(3)", OptionError, "loss 'mse' cannot be made"),
        (7, OptionError, "a loss is given by its name"),
    ],
)
def test_bad_specifications_are_refused(spec, error, says):
    with pytest.raises(error, match=says):
        get_loss(spec)
