"""Training: fit does what a loop of single steps would do, on data of every form."""

import signal

import numpy as np
import pytest

import neurograph as ng
from neurograph.train.session import TrainingWarning

RNG = np.random.default_rng(5)
X = RNG.normal(size=(50, 3))
Y = np.eye(2)[(X.sum(axis=1) > 0).astype(int)]


def make(optimizer="rmsprop", loss="categorical_crossentropy", metrics=("accuracy",), **options):
    layers = [ng.Input((3,)), ng.Dense(4, activation="tanh"), ng.Dense(2, activation="softmax")]
    net = ng.Network(layers, seed=1)
    return net.compile(optimizer, loss, metrics, dtype="float64", **options)


def weights(model):
    return np.concatenate([each.value.ravel() for each in model.network.parameters.values()])


def test_fit_is_a_loop_of_steps():
    model, other = make(seed=3), make(seed=3)
    history = model.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    for epoch in range(3):
        order = other.generator.permutation(50)
        total, right = 0.0, 0
        for start in range(0, 50, 8):
            rows = order[start : start + 8]
            plan, loss = other.step([X[rows]], [Y[rows]])
            total += loss * len(rows)
            output = other.executable.outputs(plan)[0]
            right += int((output.argmax(1) == Y[rows].argmax(1)).sum())
        assert history.history["loss"][epoch] == pytest.approx(total / 50, rel=1e-12)
        assert history.history["accuracy"][epoch] == pytest.approx(right / 50)
    assert np.array_equal(weights(model), weights(other))
    assert model.history is history
    assert history.epoch == [0, 1, 2]


def test_without_shuffling_the_generator_rests():
    model = make()
    before = model.generator.bit_generator.state
    model.fit(X, Y, verbose=0, shuffle=False)
    assert model.generator.bit_generator.state == before


def test_evaluate_agrees_with_validation():
    model = make()
    history = model.fit(X[:30], Y[:30], epochs=2, validation_data=(X[30:], Y[30:]), verbose=0)
    loss, accuracy = model.evaluate(X[30:], Y[30:])
    assert history.history["val_loss"][-1] == pytest.approx(loss, rel=1e-12)
    assert history.history["val_accuracy"][-1] == pytest.approx(accuracy)


def test_the_last_samples_validate():
    model, other = make(), make()
    kept = model.fit(X, Y, epochs=2, validation_split=0.21, verbose=0)
    given = other.fit(X[:39], Y[:39], epochs=2, validation_data=(X[39:], Y[39:]), verbose=0)
    assert kept.history == given.history


def test_validation_frequency():
    every_second = make().fit(X, Y, epochs=5, validation_data=(X, Y), validation_freq=2, verbose=0)
    assert ["val_loss" in row for row in every_second.rows] == [False, True, False, True, False]
    chosen = make().fit(X, Y, epochs=3, validation_data=(X, Y), validation_freq=[1, 3], verbose=0)
    assert ["val_loss" in row for row in chosen.rows] == [True, False, True]


def test_validation_weights_and_regularizers_count():
    layers = [ng.Input((3,)), ng.Dense(2, activation="softmax", kernel_regularizer=ng.L2(0.1))]
    model = ng.Network(layers, seed=1).compile(loss="categorical_crossentropy", dtype="float64")
    weight = RNG.random(50)
    history = model.fit(X, Y, validation_data=(X, Y, weight), epochs=1, verbose=0)
    output, kernel = model.predict(X), model.network.parameters["dense/kernel"].value
    rows = -np.log((Y * output).sum(axis=1))
    expected = (weight * rows).mean() + 0.1 * (kernel**2).sum()
    assert history.history["val_loss"][0] == pytest.approx(expected, rel=1e-9)


def test_regularizers_of_what_is_not_trained_count_nowhere():
    layers = [ng.Input((3,)), ng.Dense(2, kernel_regularizer="l2(0.5)", trainable=False)]
    model = ng.Network(layers, seed=1).compile("sgd", "mse", dtype="float64")
    plain = np.mean((model.predict(X) - Y) ** 2)
    found = [model.evaluate(X, Y), model.gradients(X, Y), model.train_on_batch(X, Y)]
    np.testing.assert_allclose(found, plain, rtol=1e-12)


def batches(size=8):
    return [(X[k : k + size], Y[k : k + size]) for k in range(0, 50, size)]


def test_batches_from_anywhere():
    model = make()
    model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    expected = weights(model)
    sources = {
        "list": (batches(), {}),
        "function": (lambda: iter(batches()), {}),
        "iterator": (iter(batches() * 2), {"steps_per_epoch": 7}),
        "part of a list": (batches() * 5, {"steps_per_epoch": 7}),
    }
    for name, (source, options) in sources.items():
        other = make()
        history = other.fit(source, epochs=2, verbose=0, **options)
        assert np.array_equal(weights(other), expected), name
        assert len(history.history["loss"]) == 2


def test_a_stream_may_hold_weights_and_be_validated_on():
    weight = RNG.random(50)
    model, other = make(), make()
    stream = [(x, y, weight[8 * k : 8 * k + 8]) for k, (x, y) in enumerate(batches())]
    history = model.fit(stream, validation_data=batches(), verbose=0)
    whole = other.fit(
        X, Y, 8, sample_weight=weight, shuffle=False, validation_data=(X, Y), verbose=0
    )
    assert np.array_equal(weights(model), weights(other))
    assert history.history["val_loss"] == pytest.approx(whole.history["val_loss"], rel=1e-12)
    endless = (batch for _ in iter(int, 1) for batch in batches())
    history = make().fit(stream, epochs=3, validation_data=endless, validation_steps=7, verbose=0)
    assert len(history.history["val_loss"]) == 3


def test_a_used_up_iterator_ends_the_training():
    model = make()
    with pytest.warns(TrainingWarning, match="used up after 1 of 3 epochs; give steps_per_epoch"):
        history = model.fit(iter(batches()), epochs=3, verbose=0)
    assert history.epoch == [0]
    with pytest.raises(ng.DataError, match="gives no batches"):
        model.fit(iter([]), verbose=0)


def test_weights_of_samples_and_classes():
    """A weight of 2 is a sample given twice; a class weight is that of all its samples."""
    weight = np.where(np.arange(50) % 3 == 0, 2.0, 1.0)
    model = make("sgd(0.5)")
    model.fit(X, Y, 50, shuffle=False, sample_weight=weight, verbose=0)
    other = make("sgd(0.5)")
    twice = np.repeat(np.arange(50), weight.astype(int))
    gradients_by_50 = other.network.parameters
    other.gradients(X[twice], Y[twice])
    for parameter in gradients_by_50.values():
        parameter.value -= 0.5 * parameter.gradient * len(twice) / 50
    assert weights(model) == pytest.approx(weights(other), rel=1e-12)
    by_class, by_sample = make(), make()
    by_class.fit(X, Y, class_weight={1: 3.0}, verbose=0)
    by_sample.fit(X, Y, sample_weight=np.where(Y[:, 1] == 1, 3.0, 1.0), verbose=0)
    assert np.array_equal(weights(by_class), weights(by_sample))
    sparse = make(loss="sparse_categorical_crossentropy")
    sparse.fit(X, Y.argmax(1), class_weight={1: 3.0}, verbose=0)
    assert weights(sparse) == pytest.approx(weights(by_class), rel=1e-9)


CROSS = "categorical_crossentropy"


def two_ended(loss=(CROSS, "mse"), **options):
    a, b = ng.Input((3,), name="a"), ng.Input((2,), name="b")
    h = ng.Concatenate()([ng.Dense(4, activation="tanh")(a), b])
    one = ng.Dense(2, activation="softmax", name="one")(h)
    two = ng.Dense(1, name="two")(h)
    net = ng.Network(inputs=[a, b], outputs=[one, two], seed=2)
    return net.compile(loss=loss, dtype="float64", **options)


def test_several_inputs_and_outputs():
    b, z = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 1))
    model, named, weighted, alone = two_ended(), two_ended(), two_ended(), two_ended()
    model.fit([X, b], [Y, z], epochs=2, verbose=0, validation_split=0.2)
    named.fit({"b": b, "a": X}, {"two": z, "one": Y}, epochs=2, verbose=0, validation_split=0.2)
    assert np.array_equal(weights(model), weights(named))
    weighted.fit([X, b], [Y, z], sample_weight={"two": np.zeros(50)}, verbose=0)
    alone.fit([X, b], [Y, z], sample_weight=[None, np.zeros(50)], verbose=0)
    assert np.array_equal(weights(weighted), weights(alone))
    start = two_ended().network.parameters["two/kernel"].value
    assert np.array_equal(weighted.network.parameters["two/kernel"].value, start)
    _, _, loss_of_two = model.evaluate([X, b], [Y, z], sample_weight={"two": np.full(50, 0.5)})
    assert loss_of_two == pytest.approx(model.evaluate([X, b], [Y, z])[2] / 2)
    twice = model.gradients([X, b], [Y, z], sample_weight={"one": np.zeros(50)})
    assert twice == pytest.approx(2 * loss_of_two)


def test_losses_and_metrics_are_of_their_own_output(tmp_path):
    """Each output has its loss and metrics, and the whole loss is their weighted sum."""
    b, z = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 1))
    model = two_ended(metrics={"two": ["mae"], "one": ["accuracy"]}, loss_weights={"two": 0.5})
    ours = model.fit([X, b], [Y, z], epochs=2, verbose=0, validation_split=0.2, batch_size=7)
    names = ["loss", "one_loss", "two_loss", "one_accuracy", "two_mae"]
    assert model.score_names == names
    assert list(ours.history) == names + [f"val_{each}" for each in names]
    scores = dict(zip(names, model.evaluate([X, b], [Y, z]), strict=True))
    one, two = model.predict([X, b])
    assert scores["one_loss"] == pytest.approx(-np.log(one[Y == 1]).mean())
    assert scores["two_loss"] == pytest.approx(((two - z) ** 2).mean())
    assert scores["one_accuracy"] == (one.argmax(1) == Y.argmax(1)).mean()
    assert scores["two_mae"] == pytest.approx(abs(two - z).mean())
    assert scores["loss"] == pytest.approx(scores["one_loss"] + 0.5 * scores["two_loss"])
    loss = model.gradients([X, b], [Y, z])
    assert loss == pytest.approx(scores["loss"])
    model.save(tmp_path / "model.safetensors")
    again = ng.load(tmp_path / "model.safetensors")
    assert again.score_names == names
    assert again.evaluate([X, b], [Y, z]) == list(scores.values())


def test_one_metric_is_for_every_output_and_lists_need_an_entry_for_each():
    model = two_ended(metrics="mse")
    assert model.score_names[3:] == ["one_mse", "two_mse"]
    same = ng.RootMeanSquaredError()
    assert len({id(each) for each in two_ended(metrics={"one": same, "two": same}).metrics}) == 2
    for wrong, said in (
        ({"metrics": ["mse"]}, "1 metrics for 2 outputs; give one for each, in the order one, two"),
        ({"metrics": {"tow": "mse"}}, "did you mean 'two'"),
        ({"loss": {"one": "mse"}}, "no loss is given for output 'two'"),
        ({"loss_weights": [1.0]}, "1 loss_weights for 2 outputs"),
    ):
        with pytest.raises(ng.NeurographError, match=said):
            two_ended(**wrong)


def sequences(seed=0):
    a, h, y = ng.InputNode("a"), ng.Node("tanh", name="h"), ng.Node("identity", name="y")
    for ends, weight, delay in (((a, h), 0.5, 0), ((h, h), 0.3, 1), ((h, y), 1.0, 0)):
        ng.Connection(*ends, weight=weight, delay=delay)
    return ng.Network(inputs=[a], outputs=[y]).compile("sgd(0.1)", loss="mse", dtype="float64")


def test_sequences_and_their_weights():
    x = RNG.normal(size=(20, 5, 1))
    y = np.cumsum(x, axis=1)
    model, other = sequences(), sequences()
    model.fit(x, y, 8, shuffle=False, verbose=0)
    for start in range(0, 20, 8):
        other.train_on_batch(x[start : start + 8], y[start : start + 8])
    assert np.array_equal(weights(model), weights(other))
    steps = RNG.random((20, 5))
    model, other = sequences(), sequences()
    history = model.fit(
        x, y, 20, sample_weight=steps, shuffle=False, verbose=0, validation_data=(x, y, steps)
    )
    loss = (steps * ((other.predict(x) - y) ** 2)[..., 0]).mean()
    assert history.history["loss"][0] == pytest.approx(loss, rel=1e-9)


def test_accumulated_batches_are_one_large_batch():
    model, other = make("adam(0.1)"), make("adam(0.1)")
    model.fit(X, Y, 10, epochs=3, shuffle=False, accumulate=3, verbose=0)
    for _ in range(3):
        for start in (0, 30):
            other.train_on_batch(X[start : start + 30], Y[start : start + 30])
    assert weights(model) == pytest.approx(weights(other), rel=1e-9)
    assert model.update.step == 6


def test_augmentation_changes_inputs_only():
    seen = []

    def flip(x, generator):
        seen.append(len(x))
        return -x * generator.choice([1.0, 1.0])

    model, other = make(), make()
    history = model.fit(
        X, Y, 16, epochs=2, augment=flip, shuffle=False, validation_split=0.2, verbose=0
    )
    other.fit(-X[:40], Y[:40], 16, epochs=2, shuffle=False, verbose=0)
    assert weights(model) == pytest.approx(weights(other), rel=1e-12)
    assert history.history["val_loss"][-1] == pytest.approx(model.evaluate(X[40:], Y[40:])[0])
    assert set(seen) == {16, 8}


def test_augmentation_may_give_the_shape():
    model = make()
    model.fit(np.pad(X, [(0, 0), (1, 1)]), Y, augment=lambda x, generator: x[:, 1:-1], verbose=0)
    other = make()
    other.fit(X, Y, verbose=0)
    assert np.array_equal(weights(model), weights(other))


def test_initial_epoch_counts_on():
    model, other = make(), make()
    model.fit(X, Y, epochs=4, verbose=0)
    other.fit(X, Y, epochs=2, verbose=0)
    history = other.fit(X, Y, epochs=4, initial_epoch=2, verbose=0)
    assert history.epoch == [2, 3]
    assert np.array_equal(weights(model), weights(other))
    assert make().fit(X, Y, epochs=0, verbose=0).history == {}


def test_a_callback_may_change_the_network():
    model = make()
    connection = model.network.layer("dense_1")[0].upstream[1]

    def freeze(epoch, logs):
        connection.trainable = False

    start = connection.weight
    model.fit(X, Y, epochs=1, callbacks=[ng.LambdaCallback(on_epoch_begin=freeze)], verbose=0)
    assert connection.weight == start
    kernel = model.network.parameters["dense_1/kernel"].value
    model.fit(X, Y, epochs=1, verbose=0)
    assert model.network.parameters["dense_1/kernel"].value is kernel


def test_a_second_model_of_the_network_may_move_the_weights():
    def compile_again(batch, logs):
        if batch == 2:
            model.network.compile(loss="categorical_crossentropy", dtype="float32")

    model, other = make("adam(0.1)"), make("adam(0.1)")
    move = ng.LambdaCallback(on_train_batch_end=compile_again)
    model.fit(X, Y, 8, epochs=2, callbacks=[move], verbose=0)
    other.fit(X, Y, 8, epochs=2, verbose=0)
    assert weights(model).dtype == np.float64
    assert weights(model) == pytest.approx(weights(other), rel=1e-3)
    gradients = ng.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ng.gradient_check(
            model.network, X[:3], Y[:3], loss="categorical_crossentropy"
        )
    )
    model.fit(X, Y, 32, callbacks=[gradients], verbose=0)
    assert model.update.step == 16


def test_evaluating_in_the_middle_disturbs_nothing():
    model, other = make(), make()
    look = ng.LambdaCallback(on_train_batch_end=lambda batch, logs: model.evaluate(X, Y))
    watched = model.fit(X, Y, 8, epochs=2, callbacks=[look], verbose=0)
    plain = other.fit(X, Y, 8, epochs=2, verbose=0)
    assert watched.history == plain.history


def test_metrics_of_the_epoch_stay_in_the_metric():
    matrix = ng.ConfusionMatrix()
    model = make(metrics=[matrix])
    history = model.fit(X, Y, verbose=0)
    assert matrix.matrix.sum() == 50
    assert matrix.result() == pytest.approx(history.history["confusion_matrix"][0])


def test_own_functions_see_batches():
    def largest(target, output):
        return float(np.abs(target - output).max())

    def squares(target, output):
        error = output - target
        return float((error**2).sum()) / len(error), 2 * error / len(error)

    model, other = make(loss=squares, metrics=[largest]), make(loss=squares, metrics=[largest])
    history = model.fit(X, Y, 8, shuffle=False, verbose=0)
    total = 0.0
    for x, y in batches():
        total += largest(y, other.predict(x)) * len(x)
        other.train_on_batch(x, y)
    assert np.array_equal(weights(model), weights(other))
    assert history.history["largest"][0] == pytest.approx(total / 50)


# stopping -----------------------------------------------------------------------------------------


def test_ctrl_c_ends_after_the_batch():
    told = []

    def press(batch, logs):
        if batch == 3 and len(told) == 1:
            signal.raise_signal(signal.SIGINT)

    watch = ng.LambdaCallback(
        on_epoch_end=lambda epoch, logs: told.append(epoch),
        on_train_batch_end=press,
        on_train_end=lambda logs: told.append("end"),
    )
    model, other = make(), make()
    before = signal.getsignal(signal.SIGINT)
    history = model.fit(X, Y, 8, epochs=5, callbacks=[watch], verbose=0)
    assert signal.getsignal(signal.SIGINT) is before
    assert told == [0, "end"]
    assert history.epoch == [0]
    assert history.stopped == "interrupted by Ctrl-C in epoch 2 after 4 batches"
    assert model.update.step == 7 + 4
    # what was begun can be ended, as if nothing had happened
    model.fit(X, Y, 8, epochs=5, resume=True, verbose=0)
    whole = other.fit(X, Y, 8, epochs=5, verbose=0)
    assert np.array_equal(weights(model), weights(other))
    assert model.history.history == whole.history


def test_ctrl_c_in_a_callback_and_during_validation():
    def interrupt(*_):
        raise KeyboardInterrupt

    model = make()
    history = model.fit(
        X, Y, epochs=3, callbacks=[ng.LambdaCallback(on_epoch_begin=interrupt)], verbose=0
    )
    assert history.stopped.startswith("interrupted")

    class Press(ng.Callback):
        def on_test_begin(self, logs=None):
            signal.raise_signal(signal.SIGINT)

    history = model.fit(X, Y, epochs=3, validation_data=(X, Y), callbacks=[Press()], verbose=0)
    assert history.rows == []
    rest = model.fit(X, Y, epochs=1, validation_data=(X, Y), resume=True, verbose=0)
    assert list(rest.rows[0]) == ["loss", "accuracy", "val_loss", "val_accuracy"]


def test_a_callback_that_raises_leaves_the_model_usable():
    ended = []

    class Bad(ng.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                raise RuntimeError("not my day")

    other = ng.LambdaCallback(on_train_end=lambda logs: ended.append(True))
    model = make()
    with pytest.raises(RuntimeError, match="not my day"):
        model.fit(X, Y, 8, callbacks=[Bad(), other], verbose=0)
    assert ended == [True]
    assert model.update.step == 3
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_a_loss_that_is_no_number_is_explained():
    x = np.abs(X)
    x[37] *= 1e200
    model = make()
    model.network.parameters["dense/kernel"].value = np.full((3, 4), 1e150)
    model.network.layer("dense").activation = "identity"
    before = weights(model)
    with pytest.warns(TrainingWarning, match=r"batch 4: the loss became nan; the net of node") as w:
        history = model.fit(x, Y, 8, shuffle=False, epochs=3, verbose=0)
    sentence = str(w[0].message)
    assert "'dense[0]' is inf" in sentence
    assert "made by the operation `dense = product(" in sentence
    assert "for sample 37 of x" in sentence
    assert history.stopped == sentence
    assert np.isnan(history.history["loss"]).all()
    assert np.isfinite(weights(model)).all()
    assert not np.array_equal(weights(model), before)
    with pytest.warns(TrainingWarning, match="loss 'mean' made it so"):
        make(loss=mean).fit(X, Y, verbose=0)
    loose = make(loss=mean)
    loose.fit(X, Y, callbacks=[ng.TerminateOnNaN(active=False)], verbose=0)
    assert np.isnan(weights(loose)).any()
    with pytest.warns(TrainingWarning, match="parameter 'dense/kernel' was already nan at"):
        loose.fit(X, Y, verbose=0)


def _exploding(activation, backwards):
    """A state that grows 1e100 times with each step, from what sample 1 gives it at one step."""
    x, h, y = ng.InputNode("x"), ng.Node(activation, name="h"), ng.Node("identity", name="y")
    ng.Connection(x, h, 1.0)
    ng.Connection(h, h, 1e100, delay=-1 if backwards else 1)
    ng.Connection(h, y, 1.0)
    return ng.Network(inputs=[x], outputs=[y])


def _recurrent(backwards):
    layer = ng.SimpleRNN(2, activation="softplus", return_sequences=True, go_backwards=backwards)
    net = ng.Network([ng.Input((None, 1)), layer], seed=0)
    net.parameters["simple_rnn/recurrent_kernel"].value = 1e100 * np.eye(2)
    return net


# softplus(0) = 0.7 at the first step, then 1e100, 1e200, 1e300 and too much at the fifth
LOOPS = {
    "forwards": (_exploding("identity", False), "net of node 'h' at step 5 is inf", "(h[t-1], ", 1),
    "backwards": (_exploding("identity", True), "net of node 'h' at step 0 is inf", "(h[t+1], ", 1),
    "activated": (_exploding("exp", False), "output of node 'h' at step 1 is inf", "exp](h_net", 0),
    "activated, backwards": (_exploding("exp", True), "at step 4 is inf", "exp](h_net", 0),
    "hoisted": (_recurrent(False), "'simple_rnn[0]' at step 4 is inf", "simple_rnn_net[t] +=", 0),
    "hoisted, backwards": (_recurrent(True), "hidden[0]' at step 1 is inf", "hidden_net[t] +=", 0),
}


@pytest.mark.parametrize("name", LOOPS)
def test_the_step_and_operation_of_a_loop_that_is_no_number_are_named(name):
    net, node, operation, sample = LOOPS[name]
    x = np.zeros((3, 6, 1))
    x[1, 4 if name == "backwards" else 1] = 1.0
    model = net.compile("sgd", dtype="float64")
    with pytest.warns(TrainingWarning, match="batch 0: the loss became") as caught:
        model.fit(x, np.zeros((3, 6, net.outputs[0].shape[0])), shuffle=False, verbose=0)
    sentence = str(caught[0].message)
    assert node in sentence
    assert operation in sentence
    assert f"for sample {sample} of x" in sentence


def mean(target, output):
    return float("nan"), np.full_like(output, np.nan)


# refusals -----------------------------------------------------------------------------------------

BAD_X, BAD_Y = X.copy(), Y.copy()
BAD_X[7, 1] = np.nan
BAD_Y[9] = [1, 1]
REFUSED = {
    "empty": ({"x": X[:0], "y": Y[:0]}, "no samples"),
    "shape": ({"x": X[:, :2]}, r"takes arrays of shape \(samples, 3\), got \(50, 2\)"),
    "nan": ({"x": BAD_X}, "sample 7 holds nan"),
    "lengths": ({"y": Y[:49]}, "50 samples of x, but 49 of y"),
    "targets": ({"y": BAD_Y}, "targets of sample 9 add up to 2"),
    "words": ({"x": [["a"] * 3] * 50}, "expected numbers"),
    "no y": ({"y": None}, "y is missing"),
    "one sample": ({"x": X[0]}, "one sample needs a leading axis"),
    "ragged": ({"x": [[1.0], [1.0, 2.0]]}, r"sample 1 has shape \(2,\)"),
    "batch_size": ({"batch_size": 0}, "batch_size must be a number of at least 1"),
    "half a batch": ({"batch_size": 2.5}, "must be a whole number"),
    "epochs": ({"epochs": -1}, "epochs must be a number of at least 0"),
    "initial_epoch": ({"initial_epoch": -1}, "initial_epoch must be"),
    "split": ({"validation_split": 1.0}, "validation_split must be"),
    "negative split": ({"validation_split": -0.1}, "validation_split must be"),
    "nothing left": ({"validation_split": 0.99}, "leaves 0 to train on and 50 to validate"),
    "both": ({"validation_split": 0.1, "validation_data": (X, Y)}, "not both"),
    "validation": ({"validation_data": (X[:, :2], Y)}, "validation_data: input 'input' takes"),
    "validation nan": ({"validation_data": (BAD_X, Y)}, "validation_data: sample 7 holds nan"),
    "validation once": ({"validation_data": iter([(X, Y)])}, "validation_steps"),
    "freq": ({"validation_freq": 0}, "validation_freq must be"),
    "callback": ({"callbacks": [print]}, "no callback; derive it from ng.Callback"),
    "callback class": ({"callbacks": [ng.EarlyStopping]}, r"did you mean EarlyStopping\(\)"),
    "monitor": ({"callbacks": [ng.EarlyStopping()]}, "give validation_data.*'val_loss'"),
    "verbose": ({"verbose": 3}, "verbose is 3"),
    "shuffle": ({"shuffle": "batch"}, "shuffle must be True or False"),
    "weights": ({"sample_weight": np.ones(49)}, "one weight for each"),
    "negative weight": ({"sample_weight": -np.ones(50)}, "sample weights: sample 0 holds -1"),
    "class weight": ({"class_weight": {2: 1.0}}, "class 2, expected 0 to 1"),
    "class weights": ({"class_weight": [1, 2]}, "maps class numbers"),
    "accumulate": ({"accumulate": 0}, "accumulate must be"),
    "augment": ({"augment": "flip"}, "expected a function"),
    "augmented": ({"augment": lambda x, generator: x[:, :2]}, "augment: input 'input' takes"),
    "fewer": ({"augment": lambda x, generator: x[:5]}, "returned 5 samples for a batch of 32"),
    "steps": ({"steps_per_epoch": 3}, "is for iterables"),
    "resume": ({"resume": True}, "never been trained"),
    "pair": ({"x": (X, Y), "y": None}, r"batch 0 of the iterable is of type ndarray.*fit\(x, y\)"),
    "stream": ({"x": [(X, Y, X, Y)], "y": None}, "a tuple of 4"),
    "stream split": ({"x": [(X, Y)], "y": None, "validation_split": 0.1}, "is for arrays"),
    "stream shape": ({"x": [(X[:, :2], Y)], "y": None}, "batch 0: input 'input' takes"),
    "no stream": ({"x": 3, "y": None}, "iterable of batches"),
    "empty stream": ({"x": [], "y": None}, "list of batches is empty"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_any_weight_changes(case):
    options, message = REFUSED[case]
    model = make()
    before, state = weights(model).copy(), model.generator.bit_generator.state
    with pytest.raises(ng.NeurographError, match=message) as error:
        model.fit(**{"x": X, "y": Y, "verbose": 0, **options})
    assert "\n" not in str(error.value)
    assert np.array_equal(weights(model), before)
    assert model.generator.bit_generator.state == state
    assert model.update.step == 0


def test_class_numbers_out_of_range_are_refused():
    model = make(loss="sparse_categorical_crossentropy")
    with pytest.raises(ng.DataError, match="sample 2 is class 2, expected 0 to 1"):
        model.fit(X[:3], [0, 1, 2], verbose=0)
