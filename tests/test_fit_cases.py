"""Every case of the table trains: as single steps would, and stopped, saved and gone on with."""

import numpy as np
import pytest
from cases import CASES

import neurograph as ng
from neurograph.train.arrays import as_inputs, as_targets

# batches that go on from each other are neither shuffled nor of two sizes: see test_stateful
ANY_ORDER = [name for name, case in CASES.items() if "stateful" not in case.tags]


class StopError(Exception):
    """What ends a training in the middle."""


def model_of(case):
    return case.network().compile("adam(0.01)", case.loss, seed=3)


def values(model):
    return {name: each.value.copy() for name, each in model.network.parameters.items()}


def by_hand(model, x, y, epochs):
    """Train in batches of 2, drawing orders as fit does."""
    xs, ys = as_inputs(model.network, x), as_targets(model.network, model.losses, y)
    for _ in range(epochs):
        order = model.generator.permutation(len(xs[0]))
        for start in range(0, len(order), 2):
            rows = order[start : start + 2]
            model.step([each[rows] for each in xs], [each[rows] for each in ys])


@pytest.mark.parametrize("name", ANY_ORDER)
def test_fit_is_a_loop_of_steps_and_goes_on(name, tmp_path):
    case = CASES[name]
    model, other = model_of(case), model_of(case)
    x, y = case.data(model.network, batch=5)
    model.fit(x, y, 2, epochs=2, verbose=0)
    by_hand(other, x, y, 2)
    for key, value in values(model).items():
        assert np.array_equal(value, values(other)[key]), key

    seen = []

    def stop(batch, logs):
        seen.append(batch)
        if len(seen) == 5:
            raise StopError

    path = tmp_path / "model.safetensors"
    saver = ng.ModelCheckpoint(path, save_freq=2)
    watch = ng.LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(StopError):
        model_of(case).fit(x, y, 2, epochs=2, callbacks=[saver, watch], verbose=0)
    resumed = ng.resume(path)
    resumed.fit(x, y, 2, epochs=2, resume=True, verbose=0)
    for key, value in values(resumed).items():
        assert np.array_equal(value, values(model)[key]), key
