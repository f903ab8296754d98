"""Initializers and regularizers: Keras's formulas, checked by moments, bounds and kept numbers."""

import json
import math

import numpy as np
import pytest

from neurograph import initializers as init
from neurograph.errors import OptionError, ShapeError, UnknownNameError
from neurograph.initializers import get_initializer
from neurograph.regularizers import L1, L1L2, L2, get_regularizer


def rng(seed=0):
    return np.random.default_rng(seed)


# name, shape, limit of |w| (None where unbounded), standard deviation; Keras's formulas
SPREADS = [
    ("glorot_uniform", (300, 100), math.sqrt(6 / 400), math.sqrt(2 / 400)),
    ("glorot_normal", (300, 100), None, math.sqrt(2 / 400)),
    ("he_uniform", (300, 100), math.sqrt(6 / 300), math.sqrt(2 / 300)),
    ("he_normal", (300, 100), None, math.sqrt(2 / 300)),
    ("lecun_uniform", (300, 100), math.sqrt(3 / 300), math.sqrt(1 / 300)),
    ("lecun_normal", (300, 100), None, math.sqrt(1 / 300)),
    ("glorot_uniform", (3, 5, 30, 70), math.sqrt(6 / 1500), math.sqrt(2 / 1500)),
    ("he_normal", (3, 5, 30, 70), None, math.sqrt(2 / 450)),
    ("lecun_uniform", (3, 100, 100), math.sqrt(3 / 300), math.sqrt(1 / 300)),
    ("random_uniform", (200, 200), 0.05, 0.05 / math.sqrt(3)),
    ("random_normal", (200, 200), None, 0.05),
    ("truncated_normal", (200, 200), 0.1, 0.05 * 0.87962566103423978),
    ("variance_scaling(3.0, 'fan_out', 'uniform')", (100, 300), 0.1 * 3**0.5, 0.1),
    ("variance_scaling(2.0, 'fan_avg', 'untruncated_normal')", (100, 300), None, 0.1),
]


@pytest.mark.parametrize(("name", "shape", "limit", "spread"), SPREADS)
def test_spread_and_limit_are_the_formulas(name, shape, limit, spread):
    drawn = get_initializer(name)(shape, rng())
    assert drawn.shape == shape
    assert drawn.dtype == np.float64
    assert drawn.std() == pytest.approx(spread, rel=0.03)
    assert abs(drawn.mean()) < 4 * spread / math.sqrt(drawn.size)
    if limit is not None:
        assert 0.99 * limit < np.abs(drawn).max() <= limit


def test_truncated_draws_stay_within_two_standard_deviations():
    spread = math.sqrt(2 / 300) / 0.87962566103423978
    assert np.abs(init.HeNormal()((300, 100), rng())).max() <= 2 * spread


def test_the_same_seed_gives_the_same_weights_and_kept_numbers():
    drawn = init.HeNormal()((2, 3), rng(7))
    assert np.array_equal(drawn, init.HeNormal()((2, 3), rng(7)))
    uniform = init.RandomUniform(-0.1, 0.1)((3,), rng(0))
    kept = [0.027392337464290872, -0.04604265724722594, -0.09180529521276107]
    assert uniform == pytest.approx(kept, rel=1e-12)


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (2, 3, 4, 5), (2, 2, 8)])
def test_orthogonal_has_orthonormal_vectors_on_the_shorter_side(shape):
    drawn = init.Orthogonal(gain=2.0)(shape, rng()).reshape(-1, shape[-1])
    small = drawn.T @ drawn if drawn.shape[0] >= drawn.shape[1] else drawn @ drawn.T
    assert small == pytest.approx(4 * np.eye(len(small)), abs=1e-12)


def test_orthogonal_matrices_are_not_all_alike_in_sign():
    signs = [np.sign(init.Orthogonal()((4, 4), rng(seed))[0, 0]) for seed in range(20)]
    assert set(signs) == {-1.0, 1.0}


def test_plain_values():
    assert np.array_equal(get_initializer("zeros")((2, 3), rng()), np.zeros((2, 3)))
    assert np.array_equal(get_initializer("ones")((2,), rng()), np.ones(2))
    assert np.array_equal(get_initializer(0.5)((2, 2), rng()), np.full((2, 2), 0.5))
    assert np.array_equal(get_initializer("identity(2.0)")((2, 3), rng()), 2 * np.eye(2, 3))
    values = rng().normal(size=(4, 2))
    assert np.array_equal(get_initializer(values)((4, 2), rng()), values)
    assert init.Zeros()((), rng()) == 0.0


def test_a_function_of_ones_own():
    def ramp(shape, generator):
        return np.arange(math.prod(shape)).reshape(shape) + generator.integers(1)

    assert np.array_equal(get_initializer(ramp)((2, 2), rng()), [[0.0, 1.0], [2.0, 3.0]])
    with pytest.raises(ShapeError, match="asked for shape \\(2,\\) and returned \\(3,\\)"):
        get_initializer(lambda shape, generator: np.zeros(3))((2,), rng())
    with pytest.raises(OptionError, match="finite"):
        get_initializer(lambda shape, generator: np.full(shape, np.nan))((2,), rng())


@pytest.mark.parametrize("name", sorted(init.TABLE.rows))
def test_configurations_survive_json(name):
    made = get_initializer(name)
    again = get_initializer(json.loads(json.dumps(made.to_config())))
    assert again == made
    assert get_initializer(type(made)) == made
    if name != "identity":
        assert np.array_equal(again((3, 4), rng(1)), made((3, 4), rng(1)))


def test_constant_arrays_survive_json():
    made = init.Constant(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert get_initializer(json.loads(json.dumps(made.to_config()))) == made


def test_own_functions_are_named_when_they_cannot_be_loaded():
    config = get_initializer(test_plain_values).to_config()
    with pytest.raises(OptionError, match="'test_plain_values' is a function of your own"):
        get_initializer(config)


REFUSED = [
    ("he_norml", UnknownNameError, "did you mean 'he_normal'"),
    ("uniform(0.1, -0.1)", OptionError, "minval 0.1 is above maxval -0.1"),
    ("uniform(1, 2, 3, 4)", OptionError, "cannot be made"),
    ("uniform(__import__('os'))", OptionError, "cannot be read"),
    ("uniform(" + "(" * 600, OptionError, "cannot be read"),
    ("variance_scaling(-1)", OptionError, "scale must be a number above 0"),
    ("variance_scaling(1.0, 'fan')", OptionError, "mode must be one of fan_in, fan_out"),
    ("random_normal(0, -1)", OptionError, "stddev must be a number of at least 0"),
    ("orthogonal('x')", OptionError, "gain must be a finite number"),
    (np.array([np.nan]), OptionError, "finite"),
    (None, OptionError, "given by its name"),
]


@pytest.mark.parametrize(("spec", "error", "says"), REFUSED, ids=lambda each: str(each)[:25])
def test_bad_options_are_refused_in_a_sentence(spec, error, says):
    with pytest.raises(error, match=says):
        get_initializer(spec)


def test_bad_shapes_and_generators_are_refused():
    with pytest.raises(ShapeError, match="not a shape"):
        init.Zeros()(5, rng())
    with pytest.raises(ShapeError, match="not a shape"):
        init.Zeros()((2, -1), rng())
    with pytest.raises(ShapeError, match="at least two axes"):
        init.Orthogonal()((5,), rng())
    with pytest.raises(ShapeError, match="two axes"):
        init.Identity()((5, 5, 5), rng())
    with pytest.raises(ShapeError, match="do not fill weights of shape"):
        init.Constant([1.0, 2.0])((3,), rng())
    with pytest.raises(OptionError, match=r"numpy\.random\.default_rng\(0\)"):
        init.Ones()((2,), 42)


WEIGHTS = np.array([[1.5, -2.0], [0.0, 0.5]])
PENALTIES = [
    (L1(0.1), 0.4, [[0.1, -0.1], [0.0, 0.1]]),
    (L2(0.1), 0.65, [[0.3, -0.4], [0.0, 0.1]]),
    (L1L2(0.1, 0.1), 1.05, [[0.4, -0.5], [0.0, 0.2]]),
]


@pytest.mark.parametrize(("regularizer", "penalty", "gradient"), PENALTIES)
def test_penalties_and_their_gradients(regularizer, penalty, gradient):
    assert regularizer(WEIGHTS) == pytest.approx(penalty, rel=1e-12)
    assert regularizer.gradient(WEIGHTS) == pytest.approx(np.array(gradient), rel=1e-12)
    config = json.loads(json.dumps(regularizer.to_config()))
    assert get_regularizer(config) == regularizer


def test_regularizers_by_name():
    assert get_regularizer("l2") == L2(0.01)
    assert get_regularizer("l1_l2(0.1, 0.2)") == L1L2(0.1, 0.2)
    assert get_regularizer(L1) == L1(0.01)
    assert get_regularizer(None) is None
    assert (L2(0.3).l1, L2(0.3).l2, L1(0.3).l1, L1(0.3).l2) == (0.0, 0.3, 0.3, 0.0)
    with pytest.raises(OptionError, match="L2: l2 must be a number of at least 0, got -1"):
        L2(-1)
    with pytest.raises(UnknownNameError, match="did you mean 'l2'"):
        get_regularizer("l22")
    with pytest.raises(OptionError, match="given by its name"):
        get_regularizer(0.1)
