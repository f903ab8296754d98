"""Callbacks, history and progress: what is told, written, drawn and shown of a training."""

import csv
import importlib.util
import io
import struct

import numpy as np
import pytest

import neurograph as ng
from neurograph.train import progress as progress_module
from neurograph.train.monitoring import Monitor

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 3))
Y = np.eye(2)[(X.sum(axis=1) > 0).astype(int)]


def make(optimizer="sgd(0.1)", metrics=("accuracy",), **options):
    layers = [ng.Input((3,)), ng.Dense(4, activation="tanh"), ng.Dense(2, activation="softmax")]
    net = ng.Network(layers, seed=1)
    return net.compile(optimizer, "categorical_crossentropy", metrics, dtype="float64", **options)


def weights(model):
    return np.concatenate([each.value.ravel() for each in model.network.parameters.values()])


class Fixed(ng.Callback):
    """Gives a monitored number the values of a list, before the others look."""

    def __init__(self, values, name="val_loss"):
        self.values, self.name = values, name

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]


def fit(model, *callbacks, epochs=2, **options):
    options = {"validation_data": (X, Y), "verbose": 0} | options
    return model.fit(X, Y, 16, epochs=epochs, callbacks=list(callbacks), **options)


# what is told -------------------------------------------------------------------------------------


def test_events_in_order():
    told = []

    class Tell(ng.Callback):
        pass

    def teller(name):
        def method(self, *args):
            numbers = [each for each in args if not isinstance(each, dict)]
            keys = [tuple(each) for each in args if isinstance(each, dict)]
            told.append((name, *numbers, *keys))

        return method

    hooks = [name for name in dir(ng.Callback) if name.startswith("on_")]
    for name in hooks:
        setattr(Tell, name, teller(name))
    callback = Tell()
    model = make()
    fit(model, callback, epochs=1)
    both = ("loss", "accuracy")
    validation = ("val_loss", "val_accuracy")
    assert told == [
        ("on_train_begin", ()),
        ("on_epoch_begin", 0, ()),
        *(
            event
            for batch in range(3)
            for event in [
                ("on_train_batch_begin", batch, ()),
                ("on_train_batch_end", batch, both),
            ]
        ),
        ("on_test_begin", ()),
        ("on_test_end", both),
        ("on_epoch_end", 0, both + validation),
        ("on_train_end", both + validation),
    ]
    assert callback.model is model
    assert callback.params["metrics"] == [*both, *validation]
    assert (callback.params["steps"], callback.params["epochs"]) == (3, 1)


def test_logs_of_batches_are_running_means():
    seen = []
    model, other = make(), make()
    keep = ng.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    fit(model, keep, epochs=1, shuffle=False)
    losses = [other.train_on_batch(X[k : k + 16], Y[k : k + 16])[0] for k in (0, 16, 32)]
    sizes = np.array([16, 16, 8])
    expected = np.cumsum(sizes * losses) / np.cumsum(sizes)
    assert seen == pytest.approx(expected, rel=1e-12)


def test_what_callbacks_add_to_the_logs_is_kept():
    history = fit(make(), Fixed([7.0, 8.0], "mine"))
    assert history.history["mine"] == [7.0, 8.0]


def test_stop_training_within_an_epoch():
    model = make()

    def stop(batch, logs):
        model.stop_training = True

    history = fit(model, ng.LambdaCallback(on_train_batch_end=stop), epochs=5)
    assert model.update.step == 1
    assert list(history.rows[0]) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert fit(model, epochs=1).epoch == [0]


def test_callbacks_are_told_of_the_end_once():
    ended = []
    watch = ng.LambdaCallback(on_train_end=lambda logs: ended.append(sorted(logs)))

    class Bad(ng.Callback):
        def on_train_end(self, logs=None):
            raise RuntimeError("too late")

    with pytest.raises(RuntimeError, match="too late"):
        fit(make(), Bad(), watch)
    assert ended == [["accuracy", "loss", "val_accuracy", "val_loss"]]


# stopping and slowing down ------------------------------------------------------------------------


def test_early_stopping():
    values = [5.0, 4.0, 4.05, 3.0, 3.5, 3.5, 1.0]
    stopping = ng.EarlyStopping(patience=2)
    history = fit(make(), Fixed(values), stopping, epochs=7)
    assert history.epoch == [0, 1, 2, 3, 4, 5]
    assert (stopping.stopped_epoch, stopping.best_epoch, stopping.best) == (5, 3, 3.0)
    assert history.stopped == "EarlyStopping: val_loss was best in epoch 4, 3"
    small = ng.EarlyStopping(patience=1, min_delta=1.5)
    assert fit(make(), Fixed(values), small, epochs=7).epoch == [0, 1]
    late = ng.EarlyStopping(patience=1, min_delta=1.5, start_from_epoch=2)
    assert fit(make(), Fixed(values), late, epochs=7).epoch == [0, 1, 2, 3]
    base = ng.EarlyStopping(patience=2, baseline=2.0)
    assert fit(make(), Fixed(values), base, epochs=7).epoch == [0, 1, 2]


def test_early_stopping_restores_the_best_weights():
    model, other = make("sgd(5.0)"), make("sgd(5.0)")
    values = [0.1, 0.5, 0.3, 0.3]
    stopping = ng.EarlyStopping("val_accuracy", patience=2, restore_best_weights=True, verbose=0)
    history = fit(model, Fixed(values, "val_accuracy"), stopping, epochs=9)
    assert history.epoch == [0, 1, 2, 3]
    fit(other, epochs=2)
    assert np.array_equal(weights(model), weights(other))


def test_a_number_that_is_nan_is_never_better():
    monitor = Monitor("a test", "val_loss")
    assert not monitor.is_better(float("nan"), monitor.worst)
    assert not monitor.is_better(float("nan"), 1.0)
    assert monitor.is_better(1.0, monitor.worst)
    assert Monitor("a test", "val_top_k_categorical_accuracy").sign == 1
    assert Monitor("a test", "val_loss").sign == -1
    assert Monitor("a test", "loss", "max").sign == 1
    with pytest.raises(ng.UnknownNameError, match="did you mean 'min'"):
        Monitor("a test", "loss", "minn")


def test_the_rate_falls_on_a_plateau(capsys):
    values = [5.0, 5.0, 5.0, 5.0, 5.0, 1.0, 1.0, 1.0]
    plateau = ng.ReduceLROnPlateau(factor=0.5, patience=2, cooldown=1, min_lr=0.03, verbose=1)
    model = make()
    history = fit(model, Fixed(values), plateau, epochs=8)
    expected = [0.1, 0.1, 0.1, 0.05, 0.05, 0.03, 0.03, 0.03]
    assert history.history["learning_rate"] == pytest.approx(expected)
    assert capsys.readouterr().out.startswith("epoch 3: the learning rate is now 0.05\n")
    with pytest.raises(ng.OptionError, match=r"follows CosineDecay.*compile with a number"):
        fit(make(ng.SGD(ng.CosineDecay(0.1, 10))), ng.ReduceLROnPlateau())
    with pytest.raises(ng.OptionError, match="factor must be a number above 0 and below 1"):
        ng.ReduceLROnPlateau(factor=1.0)


def test_a_scheduled_rate(capsys):
    model = make()
    halve = ng.LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    assert fit(model, halve, epochs=3).history["learning_rate"] == [0.05, 0.025, 0.0125]
    assert "epoch 3: the learning rate is 0.0125" in capsys.readouterr().out
    table = ng.LearningRateScheduler(lambda epoch: [0.3, 0.2][epoch])
    assert fit(model, table).history["learning_rate"] == [0.3, 0.2]
    other = make("sgd(0.3)")
    fit(other, epochs=1)
    first = make()
    fit(first, table, epochs=1)
    assert np.array_equal(weights(first), weights(other))
    with pytest.raises(ng.OptionError, match="the rate must be a number of at least 0, got -1"):
        fit(model, ng.LearningRateScheduler(lambda epoch: -1))


# writing ------------------------------------------------------------------------------------------


def table(path):
    return list(csv.reader(path.read_text().splitlines()))


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    history = fit(make(), ng.CSVLogger(path), validation_freq=2)
    rows = table(path)
    assert rows[0] == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert [float(row[1]) for row in rows[1:]] == history.history["loss"]
    assert [row[3] for row in rows[1:]] == ["", str(history.history["val_loss"][0])]
    fit(make(), ng.CSVLogger(path, append=True), epochs=1)
    assert [row[0] for row in table(path)] == ["epoch", "1", "2", "1"]
    fit(make(), ng.CSVLogger(path, separator=";"), epochs=1)
    assert path.read_text().splitlines()[0] == "epoch;loss;accuracy;val_loss;val_accuracy"
    with pytest.raises(ng.StorageError, match="cannot write"):
        fit(make(), ng.CSVLogger(tmp_path / "no" / "folder.csv"))
    with pytest.raises(ng.OptionError, match="expected one character"):
        ng.CSVLogger(path, separator="")


def test_model_checkpoint_names_and_choice(tmp_path, capsys):
    name = tmp_path / "{epoch:02d}-{val_loss:.1f}.safetensors"
    best = ng.ModelCheckpoint(name, save_best_only=True, save_weights_only=True, verbose=1)
    fit(make(), Fixed([3.0, 4.0, 2.0, 2.5]), best, epochs=4)
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "01-3.0.safetensors",
        "03-2.0.safetensors",
    ]
    assert isinstance(ng.load(tmp_path / "03-2.0.safetensors"), ng.Network)
    assert capsys.readouterr().out.startswith("epoch 1: saved ")
    every = ng.ModelCheckpoint(tmp_path / "e{epoch}.safetensors", every=2)
    batches = ng.ModelCheckpoint(tmp_path / "b{epoch}-{batch}.safetensors", save_freq=4)
    bar = ng.ModelCheckpoint(
        tmp_path / "never.safetensors", save_best_only=True, initial_value_threshold=0.0
    )
    model = make()
    fit(model, every, batches, bar, epochs=4)
    names = {each.name.removesuffix(".safetensors") for each in tmp_path.iterdir()}
    assert names >= {"e2", "e4", "b2-1", "b3-2", "b4-3"}
    assert not names & {"e1", "e3", "never"}
    assert np.array_equal(weights(ng.load(tmp_path / "e4.safetensors")), weights(model))
    for options, message in [
        ({"filepath": "model.h5"}, "should end in .safetensors"),
        ({"filepath": "a.safetensors", "save_freq": "batch"}, "save_freq must be a number"),
        ({"filepath": "a.safetensors", "every": 0}, "every must be"),
    ]:
        with pytest.raises(ng.OptionError, match=message):
            ng.ModelCheckpoint(**options)
    with pytest.raises(ng.OptionError, match="it names epoch, f1, there are epoch, batch, loss"):
        fit(make(), ng.ModelCheckpoint("{epoch}-{f1}.safetensors"))
    with pytest.raises(ng.UnknownNameError, match="number to monitor"):
        fit(make(), ng.ModelCheckpoint("a.safetensors", "val_f1", save_best_only=True))


def events(folder):
    """Return the events of a TensorBoard folder, read back record by record, checksums checked."""
    from tensorboardX.crc32c import crc32c
    from tensorboardX.proto.event_pb2 import Event

    def masked(data):
        crc = crc32c(data)
        return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF

    found = []
    (path,) = folder.iterdir()
    data = path.read_bytes()
    while data:
        (length,), (head,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        body = data[12 : 12 + length]
        (tail,) = struct.unpack("<I", data[12 + length : 16 + length])
        assert (head, tail) == (masked(data[:8]), masked(body))
        event = Event()
        event.ParseFromString(body)
        found += [(value.tag, event.step, value) for value in event.summary.value]
        data = data[16 + length :]
    return found


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    model = make()
    board = ng.TensorBoard(tmp_path, histogram_freq=2, update_freq=2)
    history = fit(model, board, epochs=2)
    train, validation = events(tmp_path / "train"), events(tmp_path / "validation")
    for part, prefix in ((train, ""), (validation, "val_")):
        for name in ("loss", "accuracy"):
            found = [(step, v.simple_value) for tag, step, v in part if tag == f"epoch_{name}"]
            assert [step for step, _ in found] == [0, 1]
            expected = history.history[prefix + name]
            assert [value for _, value in found] == pytest.approx(expected, rel=1e-6)
    assert [step for tag, step, _ in train if tag == "batch_loss"] == [2, 4, 6]
    rates = [value.simple_value for tag, _, value in train if tag == "epoch_learning_rate"]
    assert rates == pytest.approx([0.1, 0.1])
    (kernel,) = [(step, v.histo) for tag, step, v in train if tag == "dense/kernel"]
    assert kernel[0] == 1
    assert kernel[1].num == 12
    assert kernel[1].sum == pytest.approx(model.network.parameters["dense/kernel"].value.sum())
    with pytest.raises(ng.OptionError, match="choose 'epoch', 'batch' or a number"):
        ng.TensorBoard(tmp_path, update_freq="step")


def test_tensorboard_itself_reads_the_files(tmp_path):
    if importlib.util.find_spec("tensorboard") is None:
        pytest.skip("tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = fit(make(), ng.TensorBoard(tmp_path), epochs=2)
    reader = EventAccumulator(str(tmp_path / "train")).Reload()
    values = [event.value for event in reader.Scalars("epoch_loss")]
    assert values == pytest.approx(history.history["loss"], rel=1e-6)


# probes -------------------------------------------------------------------------------------------


def test_probes_see_what_the_nodes_hold():
    model, other = make(), make()
    net = model.network
    probes = {
        "weight": ng.Probe("dense[1] -> dense_1[0]", "weight"),
        "gradient": ng.Probe(net.find("dense[1] -> dense_1[0]"), "gradient"),
        "kernel": ng.Probe("dense/kernel", "weight", every=2),
        "all": ng.Probe(net, "weight"),
        "output": ng.Probe("dense[2]", "output", x=X[:5]),
        "net": ng.Probe(net.node("dense[2]"), "net", x=X[:5]),
        "delta": ng.Probe(net.node("dense_1[1]"), "delta", x=X[:5], y=Y[:5]),
    }
    fit(model, *probes.values(), epochs=2, shuffle=False)
    plain = make()
    fit(plain, epochs=2, shuffle=False)
    assert np.array_equal(weights(model), weights(plain))  # looking changes nothing
    seen = {name: [] for name in probes}
    connection, node = other.network.find("dense[1] -> dense_1[0]"), other.network.node("dense[2]")
    last = other.network.node("dense_1[1]")

    def look(gradient=True):
        seen["weight"].append(connection.weight)
        seen["kernel"].append(other.network.parameters["dense/kernel"].value.copy())
        seen["all"].append(weights(other))
        other.inspect(X[:5], Y[:5])
        seen["output"].append(node.output.copy())
        seen["net"].append(node.net.copy())
        seen["delta"].append(last.delta.copy())

    look()
    for step in range(6):
        rows = slice(16 * (step % 3), 16 * (step % 3) + 16)
        other.train_on_batch(X[rows], Y[rows])
        seen["gradient"].append(connection.gradient)
        look()
    for name, probe in probes.items():
        expected = seen[name][::2] if name == "kernel" else seen[name]
        expected = expected[1:] if name == "delta" else expected
        assert np.allclose(probe.history.values, expected, rtol=1e-9, atol=1e-12), name
    last_kernel = probes["all"].snapshots[-1]["dense/kernel"]
    assert np.array_equal(last_kernel, net.parameters["dense/kernel"].value)
    assert probes["kernel"].history.steps.tolist() == [0, 2, 4, 6]
    assert probes["gradient"].history.steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert probes["delta"].history.values.shape == (6, 5)


def test_a_probe_without_samples_takes_the_first_of_the_data():
    model = make()
    probe = ng.Probe("dense_1[0]", "output", every=3)
    fit(model, probe, epochs=1)
    assert probe.history.values[-1] == pytest.approx(model.predict(X[:32])[:, 0], rel=1e-9)
    with pytest.raises(ng.OptionError, match="the training data are a stream"):
        model.fit([(X, Y)], callbacks=[ng.Probe("dense[0]", "output")], verbose=0)


def test_probes_are_refused():
    net = make().network
    for target, what, message in [
        (net.node("dense[0]"), "weight", "a node has no weight, only output, delta, net"),
        (net.find("dense[0] -> dense_1[0]"), "output", "a connection has no output"),
        (3, "weight", "no connection, node, parameter or network"),
        ("dense[0]", "wieght", "did you mean 'weight'"),
    ]:
        with pytest.raises(ng.NeurographError, match=message):
            ng.Probe(target, what)
    for probe, message in [
        (ng.Probe("dense[7]", "output"), "dense"),
        (ng.Probe("dense[0]", "weight"), "a node has no weight"),
        (ng.Probe(net.node("dense[0]"), "output"), "is not of network"),
        (ng.Probe(net), "is not the one that is trained"),
        (ng.Probe("dense[0]", "delta", x=X), "needs targets"),
    ]:
        with pytest.raises((ng.NeurographError, IndexError), match=message):
            fit(make(), probe)
    with pytest.raises(ng.DataError, match="nothing was recorded"):
        ng.Probe("dense[0]", "output").plot()


def test_probes_draw(tmp_path):
    pytest.importorskip("matplotlib")
    one, many = ng.Probe("dense/bias", "weight"), ng.Probe("dense[0]", "output")
    fit(make(), one, many, epochs=2)
    figure = one.plot(tmp_path / "bias.svg")
    assert "<svg" in (tmp_path / "bias.svg").read_text()
    lines = figure.axes[0].get_lines()
    assert len(lines) == 4
    assert np.array_equal(lines[2].get_ydata(), one.history.values[:, 2])
    (mean,) = many.plot().axes[0].get_lines()
    assert mean.get_ydata() == pytest.approx(many.history.values.mean(axis=1))


# history ------------------------------------------------------------------------------------------


def test_history_shows_itself(tmp_path):
    history = fit(make(), epochs=3, validation_freq=2)
    lines = str(history).splitlines()
    assert lines[0].split() == ["epoch", "seconds", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert len(lines) == 4
    assert f"{history.history['loss'][2]:.4g}" in lines[3]
    assert repr(history).startswith("<History of 3 epochs: loss ")
    history.to_csv(tmp_path / "history.csv")
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == history.history["loss"]
    assert [row["val_loss"] for row in rows] == ["", repr(history.history["val_loss"][0]), ""]
    again = ng.History.from_config(history.to_config())
    assert (again.rows, again.epoch, again.seconds) == (history.rows, [0, 1, 2], history.seconds)
    assert str(ng.History()) == "no epochs"
    for _ in range(100):
        history.add(len(history.epoch), {"loss": 1.0})
    assert len(str(history).splitlines()) == 42


def test_history_plots(tmp_path):
    pytest.importorskip("matplotlib")
    history = fit(make(), epochs=4, validation_freq=2)
    figure = history.plot(tmp_path / "curves.png", title="curves")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    loss, accuracy = figure.axes
    assert (loss.get_title(), accuracy.get_title()) == ("loss", "accuracy")
    training, validation = loss.get_lines()
    assert list(training.get_ydata()) == history.history["loss"]
    assert list(validation.get_xdata()) == [2, 4]
    with pytest.raises(ng.UnknownNameError, match="picture format"):
        history.plot(tmp_path / "curves.txt")
    with pytest.raises(ng.DataError, match="nothing to draw"):
        ng.History().plot()


# progress -----------------------------------------------------------------------------------------


def test_plain_lines(capsys):
    history = fit(make(), verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2/2 ")
    assert f"loss {history.history['loss'][1]:.4f}" in lines[1]
    assert f"val_accuracy {history.history['val_accuracy'][1]:.4f}" in lines[1]
    fit(make(), verbose=0)
    assert capsys.readouterr().out == ""


def test_a_line_that_fills(monkeypatch):
    console_module = pytest.importorskip("rich.console")
    screen = io.StringIO()
    console = console_module.Console(
        file=screen, force_terminal=True, width=120, color_system=None, legacy_windows=False
    )
    monkeypatch.setattr(progress_module.Bar, "interval", 0.0)
    monkeypatch.setattr(
        "neurograph.train.fit.make_progress",
        lambda verbose, epochs: progress_module.Bar(epochs, console),
    )
    history = fit(make(), epochs=2)
    text = screen.getvalue()
    assert "1/2 " in text
    assert " 1/3 " in text  # a batch of three
    assert " left" in text
    assert f"loss {history.history['loss'][1]:.4f}" in text
    assert f"val_loss {history.history['val_loss'][1]:.4f}" in text
    assert "━" * progress_module.WIDTH in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")  # the cursor is there again
    narrow = console_module.Console(file=screen, force_terminal=True, width=40)
    bar = progress_module.Bar(10, narrow)
    bar.start_epoch(3, 100)
    bar.show(7, {"loss": 0.5})
    bar.say("interrupted")
    bar.end_epoch(100, 3.0, {"loss": 0.5, "accuracy": 0.25})
    assert "interrupted" in screen.getvalue()
