"""Optimizers and schedules: step by step against kept Keras numbers, PyTorch and plain formulas."""

import json
import math
from functools import partial

import numpy as np
import pytest
from memory import taken

import neurograph as ng
from neurograph.errors import OptionError, ShapeError, UnknownNameError
from neurograph.train.inline import run_lines
from neurograph.train.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop, get_optimizer
from neurograph.train.schedules import (
    CosineDecay,
    ExponentialDecay,
    PiecewiseConstant,
    get_schedule,
)

GRADIENTS = np.array([[0.1, -0.2, 0.3], [0.05, 0.0, -1.0], [2.0, 0.1, 0.1], [-0.3, 0.4, 0.0]])

# the weights of Keras 3.15 in float64 after these four gradients, from [1, -2, 0.5]
KEPT = [
    ("sgd(0.1)", [0.815, -2.03, 0.56]),
    ("sgd(0.1, 0.9)", [0.60206, -1.99022, 0.64883]),
    ("sgd(0.1, 0.9, True)", [0.456854, -2.021198, 0.693947]),
    ("adagrad(0.1)", [0.870953178844763, -2.044209760298958, 0.5137164348903499]),
    ("rmsprop(0.1)", [0.2698573544870533, -2.1215002737748465, 0.45602672961061397]),
    (
        "rmsprop(0.1, momentum=0.9, centered=True)",
        [-1.1708150644304294, -1.4398482962484473, 0.13743499236439755],
    ),
    ("adam(0.1)", [0.6926747312653924, -1.8589324482255303, 0.5137831771787398]),
    ("adam(0.1, amsgrad=True)", [0.6926747312653924, -1.8589659584581957, 0.513769271258485]),
    ("adamw(0.1)", [0.6912973166147804, -1.8559150015025647, 0.5130484120492089]),
    (
        "sgd(0.1, weight_decay=0.1, clipnorm=1.0)",
        [0.8772452054077767, -1.9467237114315257, 0.5441390828027197],
    ),
    (
        "adam(0.1, clipvalue=0.2)",
        [0.6980271083592932, -1.8432231321547177, 0.3734800094811207],
    ),
]


# the same, with options set after the first two
KEPT_SET = [
    (
        *("sgd(0.1, 0.9)", {"momentum": 0.5, "nesterov": True}),
        [0.66575, -2.03275, 0.552875],
    ),
    (
        *("sgd(0.1, clipvalue=0.2)", {"clipvalue": None, "weight_decay": 0.1}),
        [0.7973985, -1.990498, 0.48015],
    ),
    (
        *("sgd(0.1)", {"clipnorm": 0.2}),
        [0.9770498123978766, -1.9969975093801062, 0.5690024906198938],
    ),
    (
        *("adagrad(0.1)", {"epsilon": 0.5}),
        [0.8756520158640366, -2.0033956886109587, 0.5151754939132661],
    ),
    (
        *("rmsprop(0.1, momentum=0.5, centered=True)", {"rho": 0.5}),
        [-0.1790122519763836, -1.7991430920464009, 0.35906730098725825],
    ),
    (
        *("adam(0.1, amsgrad=True)", {"beta_1": 0.5, "beta_2": 0.9}),
        [0.6770995392499314, -2.014813098449701, 0.42450159751150557],
    ),
    (
        *("adamw(0.1)", {"weight_decay": 0.5, "epsilon": 0.1}),
        [0.6843855678661334, -1.6572856263430866, 0.4225838045618845],
    ),
]


def run(optimizer, w, gradients, factor=None):
    """Return the weights after each gradient."""
    w, state, trail = w.copy(), optimizer.new_state(w), []
    for step, g in enumerate(gradients):
        optimizer.apply(w, g.astype(w.dtype), state, step, factor)
        trail.append(w.copy())
    return trail


@pytest.mark.parametrize(("spec", "kept"), KEPT)
def test_kept_keras_numbers(spec, kept):
    last = run(get_optimizer(spec), np.array([1.0, -2.0, 0.5]), GRADIENTS)[-1]
    assert last == pytest.approx(kept, rel=1e-7)


def random_steps(shape=(5, 3), steps=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape), rng.normal(size=(steps, *shape))


def plain_sgd(o, w, g, s, t, rate):
    if not o.momentum:
        return w - rate * g
    s["m"] = o.momentum * s.get("m", 0) - rate * g
    return w + (o.momentum * s["m"] - rate * g if o.nesterov else s["m"])


def plain_adagrad(o, w, g, s, t, rate):
    s["a"] = s.get("a", o.initial_accumulator_value) + g**2
    return w - rate * g / np.sqrt(s["a"] + o.epsilon)


def plain_rmsprop(o, w, g, s, t, rate):
    s["v"] = o.rho * s.get("v", 0) + (1 - o.rho) * g**2
    denominator = s["v"] + o.epsilon
    if o.centered:
        s["a"] = o.rho * s.get("a", 0) + (1 - o.rho) * g
        denominator = s["v"] - s["a"] ** 2 + o.epsilon
    increment = rate * g / np.sqrt(denominator)
    s["m"] = o.momentum * s.get("m", 0) + increment
    return w - s["m"]


def plain_adam(o, w, g, s, t, rate):
    s["m"] = s.get("m", 0) + (g - s.get("m", 0)) * (1 - o.beta_1)
    s["v"] = s.get("v", 0) + (g**2 - s.get("v", 0)) * (1 - o.beta_2)
    s["h"] = np.maximum(s.get("h", 0), s["v"]) if o.amsgrad else s["v"]
    alpha = rate * math.sqrt(1 - o.beta_2 ** (t + 1)) / (1 - o.beta_1 ** (t + 1))
    return w - alpha * s["m"] / (np.sqrt(s["h"]) + o.epsilon)


PLAIN = {SGD: plain_sgd, Adagrad: plain_adagrad, RMSprop: plain_rmsprop}
SCHEDULE = ExponentialDecay(0.1, 3, 0.7)
VARIANTS = [
    SGD(0.1),
    SGD(SCHEDULE, 0.9),
    SGD(SCHEDULE, 0.9, nesterov=True, weight_decay=0.1),
    Adagrad(0.1, 0.2, 1e-3),
    RMSprop(SCHEDULE, 0.8, epsilon=1e-3),
    RMSprop(SCHEDULE, momentum=0.5, weight_decay=0.01),
    RMSprop(0.1, centered=True),
    RMSprop(0.1, momentum=0.5, centered=True),
    Adam(SCHEDULE, 0.8, 0.95, 1e-3),
    Adam(lambda step: 0.1 / (1 + step), amsgrad=True),
    AdamW(SCHEDULE, 0.1),
]


@pytest.mark.parametrize("optimizer", VARIANTS, ids=lambda each: repr(each)[:60])
def test_every_step_is_the_formula(optimizer):
    """The running sums of the lines against the running averages of Keras's own words."""
    w, gradients = random_steps()
    trail, state = run(optimizer, w, gradients), {}
    for t, g in enumerate(gradients):
        rate = optimizer.rate(t)
        w = w - w * (optimizer.weight_decay or 0.0) * rate
        w = PLAIN.get(type(optimizer), plain_adam)(optimizer, w, g, state, t, rate)
        assert trail[t] == pytest.approx(w, rel=1e-11)


TORCH = [
    (SGD(0.1), "SGD", {"lr": 0.1}),
    (SGD(0.1, 0.9), "SGD", {"lr": 0.1, "momentum": 0.9}),
    (SGD(0.1, 0.9, nesterov=True), "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    # PyTorch adds epsilon after the root; without it the formulas are the same
    (
        Adagrad(0.1, epsilon=1e-300),
        *("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.1, "eps": 0}),
    ),
    (RMSprop(0.1, epsilon=1e-300), "RMSprop", {"lr": 0.1, "alpha": 0.9, "eps": 0}),
    (
        RMSprop(0.1, momentum=0.5, centered=True, epsilon=1e-300),
        *("RMSprop", {"lr": 0.1, "alpha": 0.9, "eps": 0, "momentum": 0.5, "centered": True}),
    ),
    (Adam(0.1, epsilon=1e-300), "Adam", {"lr": 0.1, "eps": 0}),
    (AdamW(0.1, 0.05, epsilon=1e-300), "AdamW", {"lr": 0.1, "eps": 0, "weight_decay": 0.05}),
]


@pytest.mark.parametrize(("ours", "name", "options"), TORCH, ids=lambda each: str(each)[:30])
def test_against_pytorch(ours, name, options):
    torch = pytest.importorskip("torch")
    w, gradients = random_steps()
    # a centred variance of one gradient is rounding noise: let both averages fill first
    gradients[0] *= 10
    parameter = torch.nn.Parameter(torch.tensor(w))
    theirs = getattr(torch.optim, name)([parameter], **options)
    for g, after in zip(gradients, run(ours, w, gradients), strict=True):
        parameter.grad = torch.tensor(g)
        theirs.step()
        assert after == pytest.approx(parameter.detach().numpy(), rel=1e-10)


@pytest.mark.parametrize("optimizer", VARIANTS, ids=lambda each: repr(each)[:60])
def test_factors_multiply_the_change_and_zero_freezes(optimizer):
    w, gradients = random_steps()
    ones = run(optimizer, w, gradients, np.ones_like(w))
    assert ones[-1] == pytest.approx(run(optimizer, w, gradients)[-1], rel=1e-12)
    factor = np.ones_like(w)
    factor[0] = 0.0
    factor[1] = 0.5
    first = run(optimizer, w, gradients[:1], factor)[0]
    last = run(optimizer, w, gradients, factor)[-1]
    assert np.array_equal(last[0], w[0])
    assert last[2:] == pytest.approx(ones[-1][2:], rel=1e-12)
    if not optimizer.weight_decay:
        assert first[1] - w[1] == pytest.approx((ones[0][1] - w[1]) / 2, rel=1e-9)


@pytest.mark.parametrize("optimizer", VARIANTS, ids=lambda each: repr(each)[:60])
def test_blocks_and_float32_give_the_same_numbers(optimizer):
    w, gradients = random_steps((1000,), steps=5)
    whole = run(optimizer, w, gradients)[-1]
    blocks, state = w.copy(), optimizer.new_state(w)
    lines = optimizer.lines()
    for step, g in enumerate(gradients):
        scalars = {slot: np.array(x) for slot, x in optimizer.scalars(step).items()}
        for start in range(0, w.size, 300):
            part = slice(start, start + 300)
            states = {name: array[part] for name, array in state.items()}
            run_lines(lines, blocks[part], w=blocks[part], g=g[part], **states, **scalars)
    assert np.array_equal(blocks, whole)
    single = run(optimizer, w.astype(np.float32), gradients)[-1]
    assert single.dtype == np.float32
    # the centred variance is a difference of near numbers
    assert single == pytest.approx(whole, abs=0.3 if getattr(optimizer, "centered", 0) else 1e-4)


@pytest.mark.parametrize("with_factor", [False, True])
@pytest.mark.parametrize("optimizer", VARIANTS, ids=lambda each: repr(each)[:60])
def test_lines_allocate_no_arrays(optimizer, with_factor):
    w = np.ones(50_000, np.float32)
    slots = {"w": w, "g": w.copy(), **optimizer.new_state(w), "factor": w.copy()}
    slots |= {slot: np.array(x, w.dtype) for slot, x in optimizer.scalars(0).items()}
    lines = optimizer.lines(with_factor)
    names = run_lines(lines, w, **slots)
    code = compile(lines.text, "lines", "exec")
    assert taken(partial(exec, code, names)) < 2000


def test_clipping_by_norm_value_and_global_norm():
    w, g = np.zeros(3), np.array([3.0, 0.0, -4.0])
    for spec, moved in [
        ("sgd(1.0, clipnorm=1.0)", [0.6, 0.0, -0.8]),
        ("sgd(1.0, global_clipnorm=10.0)", [3.0, 0.0, -4.0]),
        ("sgd(1.0, global_clipnorm=2.5)", [1.5, 0.0, -2.0]),
        ("sgd(1.0, clipvalue=3.5)", [3.0, 0.0, -3.5]),
    ]:
        assert run(get_optimizer(spec), w, [g])[0] == pytest.approx(-np.array(moved), rel=1e-12)
    assert SGD(clipnorm=1.0).clips_each_parameter
    assert not SGD(global_clipnorm=1.0).clips_each_parameter
    assert SGD(clipvalue=1.0).clip_lines() is None
    assert run(SGD(1.0, clipnorm=1.0), w, [np.zeros(3)])[0].tolist() == [0, 0, 0]


def test_frozen_weights_do_not_count_towards_the_norm():
    w, g = np.zeros(3), np.array([3.0, 100.0, -4.0])
    moved = run(SGD(1.0, clipnorm=1.0), w, [g], np.array([1.0, 0.0, 1.0]))[0]
    assert moved == pytest.approx([-0.6, 0.0, 0.8], rel=1e-12)


def test_learning_rates_are_numbers_schedules_or_functions():
    assert SGD(1).rate(7) == 1.0
    assert SGD(np.float32(0.5)).rate(7) == 0.5
    assert SGD(SCHEDULE).rate(3) == pytest.approx(0.07)
    assert SGD(lambda step: 0.1 * step).rate(7) == pytest.approx(0.7)
    assert get_optimizer("sgd('cosine_decay(0.2, 10)')").rate(5) == pytest.approx(0.1)
    sgd = SGD(0.1)
    sgd.learning_rate = 0.01
    assert sgd.scalars(0) == {"rate": 0.01}
    with pytest.raises(OptionError, match="learning_rate must be a number of at least 0, got -1"):
        sgd.learning_rate = -1
    assert sgd.learning_rate == 0.01
    with pytest.raises(OptionError, match=r"learning rate of step 4 must be .*got nan"):
        SGD(lambda step: float("nan")).scalars(4)


def test_defaults_are_those_of_keras():
    assert SGD() == SGD(0.01, 0.0, False)
    assert Adagrad() == Adagrad(0.001, 0.1, 1e-7)
    assert RMSprop() == RMSprop(0.001, 0.9, 0.0, 1e-7, False)
    assert Adam() == Adam(0.001, 0.9, 0.999, 1e-7, False)
    assert AdamW() == AdamW(0.001, 0.004, 0.9, 0.999, 1e-7, False)


def test_states_are_named_and_start_where_keras_starts():
    assert SGD().state_names == ()
    assert SGD(momentum=0.9).state_names == ("velocity",)
    assert RMSprop(momentum=0.9, centered=True).state_names == (
        *("square_sum", "gradient_sum", "velocity"),
    )
    assert Adam(amsgrad=True).state_names == ("gradient_sum", "square_sum", "largest_square_sum")
    state = Adagrad().new_state(np.zeros(2, np.float32))
    assert np.array_equal(state["square_sum"], np.full(2, 0.1, np.float32))


@pytest.mark.parametrize("optimizer", VARIANTS, ids=repr)
def test_configurations_survive_json(optimizer):
    config = json.dumps(optimizer.to_config())
    if "function" in config:
        with pytest.raises(OptionError, match="'<lambda>' is a function of your own"):
            get_optimizer(json.loads(config))
        return
    assert get_optimizer(json.loads(config)) == optimizer
    assert type(get_optimizer(type(optimizer))) is type(optimizer)


REFUSED = [
    ("rmsprp", UnknownNameError, "did you mean 'rmsprop'"),
    ("sgd(-0.1)", OptionError, "learning_rate must be a number of at least 0, got -0.1"),
    ("sgd('fast')", UnknownNameError, "unknown schedule 'fast'"),
    ("sgd(0.1, momentum=2)", OptionError, "sgd: momentum must be .*at most 1, got 2"),
    ("sgd(0.1, nesterov=1)", OptionError, "nesterov must be True or False"),
    ("adam(beta_1=1.0)", OptionError, "adam: beta_1 must be .*below 1, got 1.0"),
    ("adam(epsilon=0)", OptionError, "epsilon must be a number above 0"),
    ("adam(clipnorm=-1)", OptionError, "clipnorm must be a number above 0"),
    ("adam(clipnorm=1, clipvalue=1)", OptionError, "only one of clipnorm and clipvalue"),
    ("adam(weight_decay=-1)", OptionError, "weight_decay must be a number of at least 0"),
    ("adam(speed=1)", OptionError, "optimizer 'adam' cannot be made.*speed"),
    (0.1, OptionError, "an optimizer is given by its name"),
    (None, OptionError, "given by its name"),
]


@pytest.mark.parametrize(("spec", "error", "says"), REFUSED, ids=lambda each: str(each)[:30])
def test_bad_options_are_refused_in_a_sentence(spec, error, says):
    with pytest.raises(error, match=says):
        get_optimizer(spec)


@pytest.mark.parametrize(("spec", "options", "kept"), KEPT_SET, ids=str)
def test_options_set_between_steps_are_those_of_the_next(spec, options, kept):
    net = ng.Network([ng.Input((3,)), ng.Dense(1, use_bias=False)])
    net.set_weights([np.array([[1.0], [-2.0], [0.5]])])
    model = net.compile(spec, lambda _, y: (float(y.mean()), np.ones_like(y)), dtype="float64")
    for step, g in enumerate(GRADIENTS):
        if step == 2:
            for what, value in options.items():
                setattr(model.optimizer, what, value)
        model.train_on_batch(g[None], [[0.0]])
    assert net.get_weights()[0][:, 0] == pytest.approx(kept, rel=1e-7)


def test_momentum_may_come_and_go(tmp_path):
    net = ng.Network([ng.Input((1,)), ng.Dense(1, use_bias=False)], seed=0)
    model = net.compile("sgd(0.1)", "mse", dtype="float64")
    model.train_on_batch([[1.0]], [[3.0]])
    assert not model.update.state
    model.optimizer.momentum = 0.9
    model.save(tmp_path / "model.safetensors")
    assert ng.load(tmp_path / "model.safetensors").update.state["velocity"] == [0.0]
    model.train_on_batch([[1.0]], [[3.0]])
    velocity = 0.1 * net.parameters["dense/kernel"].gradient[0, 0]
    assert model.update.state["velocity"] == pytest.approx([velocity])
    net.layer("dense").activation = "tanh"
    model.optimizer.momentum = 0.0
    model.train_on_batch([[1.0]], [[0.5]])
    assert not model.update.state


def test_a_second_way_of_clipping_is_refused():
    adam = Adam(clipnorm=1)
    with pytest.raises(OptionError, match="give only one of clipnorm and clipvalue"):
        adam.clipvalue = 0.5
    adam.clipnorm = None
    adam.clipvalue = 0.5
    assert adam == Adam(clipvalue=0.5)


def test_an_option_that_there_is_not_cannot_be_set():
    with pytest.raises(UnknownNameError, match="unknown option 'momentun' of sgd: did you mean"):
        SGD().momentun = 0.9


def test_arrays_that_do_not_match_are_refused():
    with pytest.raises(
        ShapeError, match=r"g is float64 of shape \(3,\), but the weights are float64"
    ):
        SGD().apply(np.zeros(2), np.zeros(3), {}, 0)
    with pytest.raises(ShapeError, match="g is float32"):
        SGD().apply(np.zeros(2), np.zeros(2, np.float32), {}, 0)
    with pytest.raises(ShapeError, match="w is int64"):
        SGD().apply(np.zeros(2, np.int64), np.zeros(2, np.int64), {}, 0)


def test_schedules_follow_keras():
    decay = ExponentialDecay(0.1, 10, 0.5)
    assert decay(5) == pytest.approx(0.1 * 0.5**0.5)
    assert ExponentialDecay(0.1, 10, 0.5, staircase=True)(19) == pytest.approx(0.05)
    cosine = CosineDecay(0.1, 100, alpha=0.1)
    assert cosine(25) == pytest.approx(0.1 * (0.9 * 0.5 * (1 + math.cos(math.pi / 4)) + 0.1))
    assert cosine(100) == cosine(1000) == pytest.approx(0.01)
    warm = CosineDecay(0.02, 100, alpha=0.1, warmup_target=0.1, warmup_steps=10)
    assert [warm(0), warm(5), warm(10)] == pytest.approx([0.02, 0.06, 0.1])
    assert warm(35) == pytest.approx(0.1 * (0.9 * 0.5 * (1 + math.cos(math.pi / 4)) + 0.1))
    stairs = PiecewiseConstant([10, 20], [1.0, 0.5, 0.1])
    assert [stairs(step) for step in (0, 10, 11, 20, 21)] == [1.0, 1.0, 0.5, 0.5, 0.1]


@pytest.mark.parametrize(
    "schedule", [SCHEDULE, CosineDecay(0.1, 9), PiecewiseConstant([1], [1, 2])]
)
def test_schedules_survive_json(schedule):
    assert get_schedule(json.loads(json.dumps(schedule.to_config()))) == schedule


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ExponentialDecay(-0.1, 10, 0.5), "initial_learning_rate must be .*at least 0"),
        (lambda: ExponentialDecay(0.1, 0, 0.5), "decay_steps must be a number above 0"),
        (lambda: CosineDecay(0.1, 10, warmup_steps=-1), "warmup_steps must be"),
        (lambda: CosineDecay(0.1, float("inf")), "decay_steps must be"),
        (lambda: PiecewiseConstant([10, 20], [1.0, 0.5]), "2 boundaries need 3 values, got 2"),
        (lambda: PiecewiseConstant([20, 10], [1.0, 0.5, 0.1]), "boundaries must rise"),
        (lambda: PiecewiseConstant([10], [1.0, -0.5]), "values must be a number of at least 0"),
        (lambda: get_schedule([0.1]), "learning_rate must be a number"),
    ],
)
def test_bad_schedules_are_refused(make, says):
    with pytest.raises(OptionError, match=says):
        make()
