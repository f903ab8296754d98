"""Stateful layers: a batch begins where the one before ended, by nodes, compiled and in Keras.

Keras calculates products in float32 even when told otherwise, hence the tolerance there.
"""

import copy

import numpy as np
import pytest
from both_ways import differences, inspect, train_step, walk

import neurograph as ng
from neurograph.interpret.forward import carry, forward

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BATCH, STEPS, FEATURES = 3, 4, 2
CLOSE = {"rtol": 1e-9, "atol": 1e-11}
KERAS = {"rtol": 1e-6, "atol": 1e-6}


def recurrent(kind, **options):
    """Return a recipe and the same layer of Keras, as ``(ours, make theirs)``."""
    options = {"stateful": True} | options
    # Keras's fused kernels keep PyTorch from going back through a state that is written to
    plain = options | ({} if kind == "SimpleRNN" else {"use_cudnn": False})
    if kind == "Bidirectional":
        ours = ng.Bidirectional(ng.LSTM(3, **options))
        return ours, lambda k: k.layers.Bidirectional(k.layers.LSTM(3, **plain))
    return getattr(ng, kind)(3, **options), lambda k: getattr(k.layers, kind)(3, **plain)


ROWS = {
    "simple_rnn": lambda: [recurrent("SimpleRNN")],
    "lstm": lambda: [recurrent("LSTM")],
    "gru": lambda: [recurrent("GRU")],
    "gru_before": lambda: [recurrent("GRU", reset_after=False)],
    "backwards": lambda: [recurrent("LSTM", go_backwards=True)],
    "bidirectional": lambda: [recurrent("Bidirectional")],
    "two": lambda: [recurrent("GRU", return_sequences=True), recurrent("LSTM")],
    "not_the_first": lambda: [
        recurrent("GRU", return_sequences=True, stateful=False),
        recurrent("LSTM", activation="sigmoid"),
    ],
    "masked": lambda: [(ng.Masking(), lambda k: k.layers.Masking()), recurrent("LSTM")],
}


def built(row, seed=1):
    """Return a network of a row with weights of its own."""
    layers = [ours for ours, _ in ROWS[row]()]
    net = ng.Network([ng.Input((None, FEATURES)), *layers, ng.Dense(2)])
    generator = np.random.default_rng(seed)
    for parameter in net.parameters.values():
        parameter.value = generator.normal(0.0, 0.6, parameter.shape)
    return net


def drawn(batches, row="", seed=2):
    """Return batches of inputs and targets; for masks with steps of 0, not the first."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(batches, BATCH, STEPS, FEATURES))
    if row == "masked":
        x[:, 1, -2:] = x[:, 2, 2] = 0.0
    return x, generator.normal(size=(batches, BATCH, 2))


def theirs(keras, row, net):
    """Return Keras's model of a row with the weights of a network."""
    first = keras.Input(batch_shape=(BATCH, STEPS, FEATURES))
    model = keras.Sequential(
        [first, *(make(keras) for _, make in ROWS[row]()), keras.layers.Dense(2)]
    )
    model.set_weights(net.get_weights())
    model.compile(keras.optimizers.SGD(0.125), "mse")
    return model


def keras_states(model):
    found = []
    for layer in model.layers:
        for one in (getattr(layer, "forward_layer", layer), getattr(layer, "backward_layer", None)):
            if one is not None and getattr(one, "stateful", False):
                found += [np.array(state.value.detach()) for state in one.states]
    return found


@pytest.mark.parametrize("row", ROWS)
def test_training_and_predicting_go_on_as_in_keras(keras_float64, row):
    torch = pytest.importorskip("torch")
    net = built(row)
    other = theirs(keras_float64, row, net)
    model = net.compile("sgd(0.125)", "mse", dtype="float64")
    x, y = drawn(6, row)
    for k in range(3):
        ours = model.train_on_batch(x[k], y[k])
        assert ours == pytest.approx(float(other.train_on_batch(x[k], y[k])), rel=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(model.predict(x[3]), other(x[3]).numpy(), **KERAS)
    longer = x[3:5].reshape(2 * BATCH, STEPS, FEATURES), y[3:5].reshape(2 * BATCH, 2)
    expected = float(other.evaluate(*longer, batch_size=BATCH, verbose=0))
    assert model.evaluate(*longer, batch_size=BATCH) == pytest.approx(expected, rel=1e-6)
    options = {"batch_size": BATCH, "epochs": 2, "shuffle": False, "verbose": 0}
    held = {"validation_data": (x[5], y[5])}
    history = model.fit(*longer, **options, **held).history
    expected = other.fit(*longer, **options, **held).history
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-6)
    for one, its in zip(net.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, its, **KERAS)
    states = [state for layer in net.layers for state in layer.states]
    for one, its in zip(states, keras_states(other), strict=True):
        np.testing.assert_allclose(one, its, **KERAS)


@pytest.mark.parametrize("row", ROWS)
def test_nodes_and_compiled_begin_with_the_same_states(row):
    net = built(row)
    x, y = drawn(3, row)
    by_nodes = [np.array(net.predict(each, explicit=True)) for each in x[:2]]
    remembered = [layer.state for layer in net.all_layers if layer.stateful]
    assert all(state.shape == (BATCH, 3) for state in remembered)
    net.reset_states()
    model = net.compile("sgd", "mse", dtype="float64")
    for each, expected in zip(x, by_nodes, strict=False):
        np.testing.assert_allclose(model.predict(each), expected, **CLOSE)
    for layer, state in zip(
        [each for each in net.all_layers if each.stateful], remembered, strict=True
    ):
        np.testing.assert_allclose(layer.state, state, **CLOSE)
        layer.state = state

    expected = walk(net, x[2], y[2], "mse")  # values, deltas and all gradients
    assert not differences(inspect(model, x[2], y[2]), expected, 1e-10)
    assert not differences(train_step(model, x[2], y[2]), expected, 1e-10)
    assert ng.parity_check(net, x[2], y[2]).ok
    carry(net)  # where the walk that a check ends with ended
    assert ng.gradient_check(net, x[2], y[2], "mse", samples=20).ok


def test_looking_changes_no_state_and_running_does():
    net = built("two")
    model = net.compile("sgd", "mse", dtype="float64")
    x, y = drawn(1)
    kinds = ("gru", "lstm")
    assert [net.layer(kind).states for kind in kinds] == [[None], [None, None]]
    model.predict(x[0])
    before = [state.copy() for kind in kinds for state in net.layer(kind).states]
    model.inspect(x[0], y[0])
    model.gradients(x[0], y[0])
    forward(net, x[0])
    ng.gradient_check(net, x[0], y[0], "mse", samples=3)
    for one, other in zip(before, [s for k in kinds for s in net.layer(k).states], strict=True):
        np.testing.assert_array_equal(one, other)
    model.test_on_batch(x[0], y[0])
    assert not np.array_equal(before[0], net.layer("gru").states[0])
    net.layer("gru").reset_states()
    assert net.layer("gru").states == [None]
    net.layer("lstm").reset_states([np.zeros((BATCH, 3)), np.ones((BATCH, 3))])
    assert net.layer("lstm").states[1].tolist() == [[1.0] * 3] * BATCH
    model.reset_states()
    assert net.layer("lstm").states == [None, None]


def test_a_long_sequence_in_pieces_is_the_whole_sequence():
    net = built("two")
    model = net.compile("sgd", "mse", dtype="float32")
    x = np.random.default_rng(0).normal(size=(BATCH, 12, FEATURES))
    whole = model.predict(x)
    model.reset_states()
    for start, stop in ((0, 5), (5, 6), (6, 12)):
        found = model.predict(x[:, start:stop])
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-6)
    assert net.layer("lstm").states[0].dtype == np.float32


def test_given_states_are_where_every_batch_begins():
    x, h = ng.Input((None, FEATURES), name="x"), ng.Input((3,), name="h")
    net = ng.Network(inputs=[x, h], outputs=ng.GRU(3, stateful=True)(x, initial_state=h))
    assert net.layer("gru").states == []
    model = net.compile("sgd", "mse", dtype="float64")
    values = [drawn(1)[0][0], np.ones((BATCH, 3))]
    np.testing.assert_array_equal(model.predict(values), model.predict(values))


def test_the_tutorials_verbs_go_on_too():
    both = []
    for explicit in (True, False):
        net = built("lstm")
        x, y = drawn(1)
        errors = net.train(y[0], x[0], 0.1, 2, explicit=explicit)
        both.append([*errors, *net.predict(x[0][0], explicit=explicit)])
        assert net.layer("lstm").states[0].shape == (1, 3)
    np.testing.assert_allclose(*both, **CLOSE)


def test_a_resumed_training_ends_with_the_same_states(tmp_path):
    x, y = (each.reshape(4 * BATCH, *each.shape[2:]) for each in drawn(4))
    path = tmp_path / "run.safetensors"

    def trained(model, **more):
        model.fit(x, y, BATCH, epochs=3, shuffle=False, verbose=0, **more)
        net = model.network
        return [*net.get_weights(), *net.layer("gru").states, *net.layer("lstm").states]

    def fresh():
        return built("two").compile("adam(0.02)", "mse")

    class Crash(ng.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if (self.model.session.epoch, batch) == (1, 2):
                raise MemoryError

    straight = trained(fresh())
    with pytest.raises(MemoryError):
        trained(fresh(), callbacks=[Crash(), ng.ModelCheckpoint(path, save_freq=2)])
    loaded = ng.resume(path)
    assert loaded.session.get_state()["batch"] == 2
    assert loaded.network.layer("lstm").states[1].shape == (BATCH, 3)
    for again in (trained(fresh(), resume=path), trained(loaded, resume=True)):
        for one, other in zip(straight, again, strict=True):
            np.testing.assert_array_equal(one, other)


def test_files_keep_that_a_layer_is_stateful(tmp_path):
    net = built("bidirectional")
    net.save(tmp_path / "net.safetensors")
    loaded = ng.load(tmp_path / "net.safetensors")
    assert [layer.name for layer in loaded.all_layers if layer.stateful] == [
        layer.name for layer in net.all_layers if layer.stateful
    ]
    x = drawn(2)[0]
    model, other = (each.compile("sgd", "mse") for each in (net, loaded))
    for each in x:
        np.testing.assert_array_equal(model.predict(each), other.predict(each))


def test_copies_go_on_where_the_original_is():
    net = built("two")
    model = net.compile("sgd", "mse")
    x = drawn(2)[0]
    model.predict(x[0])
    twin = copy.deepcopy(model)
    np.testing.assert_array_equal(model.predict(x[1]), twin.predict(x[1]))
    assert twin.network.layer("gru").state is not net.layer("gru").state


def test_an_exported_script_begins_anew_with_every_call(tmp_path):
    net = built("two")
    model = net.compile("sgd", "mse", dtype="float64")
    x = drawn(1)[0][0]
    first = model.predict(x)
    model.export(tmp_path / "net.py", steps=STEPS)
    names = {"__file__": str(tmp_path / "net.py"), "__name__": "net"}
    exec((tmp_path / "net.py").read_text(), names)
    for _ in range(2):
        np.testing.assert_allclose(names["predict"](x), first, **CLOSE)


def test_what_cannot_be_is_refused_in_one_sentence():
    net = built("lstm")
    model = net.compile("sgd", "mse")
    x, y = drawn(2)
    model.predict(x[0])
    with pytest.raises(ng.ShapeError, match=r"'lstm' is stateful and holds the states of 3 samp"):
        model.predict(x[0][:2])
    with pytest.raises(ng.ShapeError, match=r"this batch has 1; give batches of 3"):
        net.predict(x[0][0], explicit=True)
    with pytest.raises(ng.DataError, match=r"predict: .* 3 samples in batches of 2 leave 1 over"):
        model.predict(x[0], batch_size=2)
    with pytest.raises(ng.DataError, match=r"evaluate: layer 'lstm' is stateful"):
        model.evaluate(x[0], y[0], batch_size=2)
    with pytest.raises(ng.OptionError, match=r"fit: layer 'lstm' is stateful.*give shuffle=False"):
        model.fit(x[0], y[0], batch_size=3, verbose=0)
    with pytest.raises(ng.DataError, match=r"fit: layer 'lstm' is stateful.*divides 3"):
        model.fit(x[0], y[0], batch_size=2, shuffle=False, verbose=0)
    more = np.concatenate(x)[:5], np.concatenate(y)[:5]
    with pytest.raises(ng.DataError, match=r"validation data: layer 'lstm'"):
        model.fit(x[0], y[0], 3, shuffle=False, verbose=0, validation_data=more)
    with pytest.raises(ng.GraphError, match=r"got 1 states for 2 \(lstm/hidden, lstm/cell\)"):
        net.layer("lstm").reset_states(np.zeros((3, 3)))
    with pytest.raises(ng.ShapeError, match=r"'lstm/cell' is float64 of shape \(2, 3\)"):
        net.layer("lstm").reset_states([np.zeros((3, 3)), np.zeros((2, 3))])
    with pytest.raises(ng.GraphError, match=r"layer 'dense' is not stateful.*stateful=True"):
        net.layer("dense").reset_states(np.zeros((3, 2)))
    with pytest.raises(ng.OptionError, match=r"stateful is True one way and False the other"):
        ng.Bidirectional(ng.LSTM(2, stateful=True), backward_layer=ng.LSTM(2, go_backwards=True))
    assert net.layer("lstm").states[0].shape == (3, 3)
