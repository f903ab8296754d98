"""Options by name: whatever is given, it becomes an object or one clear error."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurograph.errors import NeurographError, OptionError
from neurograph.initializers import get_initializer
from neurograph.options import number, whole
from neurograph.regularizers import get_regularizer
from neurograph.train.losses import get_loss
from neurograph.train.metrics import get_metric
from neurograph.train.optimizers import get_optimizer
from neurograph.train.schedules import get_schedule

GETTERS = [
    *(get_initializer, get_loss, get_metric, get_optimizer, get_regularizer, get_schedule),
]
NAMES = st.sampled_from(
    [
        "sgd",
        "adam",
        "huber",
        "mse",
        "uniform",
        "constant",
        "l2",
        "top_k",
        "precision",
        "cosine_decay",
        "orthogonal",
    ]
)
OPTIONS = st.sampled_from(
    [
        "learning_rate",
        "momentum",
        "clipnorm",
        "delta",
        "from_logits",
        "k",
        "class_id",
        "value",
        "minval",
        "boundaries",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
CALLS = st.builds("{}{}".format, NAMES, st.text("()0.,-1e=ab'\"[]*", max_size=20))
CONFIGS = st.builds(lambda n, o: {"name": n, **o}, NAMES, st.dictionaries(OPTIONS, VALUES))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(GETTERS), CALLS | CONFIGS | VALUES | st.text())
def test_anything_becomes_an_object_or_a_clear_error(get, spec):
    try:
        made = get(spec)
    except NeurographError:
        return
    if hasattr(made, "to_config"):
        json.dumps(made.to_config())


def test_numbers_of_every_kind_are_taken():
    for value in (2, 2.0, np.float32(2), np.int8(2), np.array(2.0)):
        assert number("x", value) == 2.0
        assert isinstance(number("x", value), float)
    assert whole("k", np.int64(3)) == 3


@pytest.mark.parametrize("value", [True, "2", None, math.nan, math.inf, 10**400, [2], np.ones(1)])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(OptionError, match="x must be a finite number, got"):
        number("x", value)


def test_bounds_are_said():
    with pytest.raises(OptionError, match="x must be a number of at least 0 and below 1, got 1"):
        number("x", 1, least=0, below=1)
