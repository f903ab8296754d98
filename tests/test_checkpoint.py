"""Checkpoints: whatever happens to a training, it goes on as if nothing had."""

import copy
import functools
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import textwrap

import numpy as np
import pytest

import neurograph as ng
from neurograph.storage.file import Loaded
from neurograph.storage.file import load as load_file
from neurograph.storage.file import save as save_file
from neurograph.train.restore import restore_model

RNG = np.random.default_rng(9)
X = RNG.normal(size=(60, 4))
Y = RNG.integers(0, 3, 60)
LOSS = "sparse_categorical_crossentropy"


def make(optimizer="adam(0.05)", metrics=("accuracy",), units=5, **options):
    layers = [
        ng.Input((4,)),
        ng.Dense(units, activation="tanh"),
        ng.Dropout(0.3),
        ng.BatchNormalization(),
        ng.Dense(3, activation="softmax"),
    ]
    return ng.Network(layers, seed=1).compile(optimizer, LOSS, metrics, seed=2, **options)


def weights(model):
    return {name: each.value.copy() for name, each in model.network.parameters.items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def train(model, *callbacks, epochs=4, **options):
    return model.fit(
        X,
        Y,
        8,
        epochs=epochs,
        validation_split=0.2,
        callbacks=list(callbacks),
        verbose=0,
        **options,
    )


class StopError(Exception):
    """What ends a training in the middle."""


def stop_after(steps):
    def check(batch, logs):
        stop_after.seen += 1
        if stop_after.seen == steps:
            raise StopError

    stop_after.seen = 0
    return ng.LambdaCallback(on_train_batch_end=check)


# saving and loading a model -----------------------------------------------------------------------


def test_a_model_comes_back_whole(tmp_path):
    schedule = ng.CosineDecay(0.05, 40)
    model = make(ng.Adam(schedule), ["acc", "top_k(2)"], dtype="float64", passes=[])
    history = train(model, epochs=2)
    model.save(tmp_path / "model.safetensors")
    back = ng.load(tmp_path / "model.safetensors")
    assert isinstance(back, ng.Model)
    assert (back.dtype, back.passes, back.update.step) == ("float64", (), model.update.step)
    assert back.optimizer == ng.Adam(schedule)
    assert [each.name for each in back.metrics] == ["acc", "top_k_categorical_accuracy"]
    assert back.history.history == history.history
    assert same(weights(model), weights(back))
    for name, state in model.update.state.items():
        assert np.array_equal(state, back.update.state[name])
    assert np.array_equal(model.predict(X), back.predict(X))
    # and it goes on as the first would have
    rest, mine = train(back, initial_epoch=2), train(model, initial_epoch=2)
    assert rest.history == mine.history
    assert same(weights(model), weights(back))


def test_an_edit_since_the_last_step_is_saved_too(tmp_path):
    a, y = ng.InputNode("a"), ng.Node(name="y")
    net = ng.Network(inputs=[a], outputs=[ng.Connection(a, y, weight=0.3).downstream_node])
    model = net.compile("sgd(0.1, momentum=0.9)")
    model.train_on_batch([[1.0]], [[0.0]])
    velocity = model.update.state["velocity"].tolist()
    net.connect(a, ng.Node(name="z"), 0.5)
    model.save(tmp_path / "model.safetensors")
    back = ng.load(tmp_path / "model.safetensors")
    assert back.network.find("a->z").weight == 0.5
    assert back.update.state["velocity"].tolist() == [*velocity, 0.0]
    assert velocity != [0.0]


def test_networks_and_models_are_told_apart(tmp_path):
    model = make()
    model.network.save(tmp_path / "net.safetensors")
    assert isinstance(ng.load(tmp_path / "net.safetensors"), ng.Network)
    model.save(tmp_path / "model.safetensors")
    net = make().network
    net.load_weights(tmp_path / "model.safetensors")
    assert same(weights(model), {name: each.value for name, each in net.parameters.items()})


def test_functions_of_ones_own_are_asked_for(tmp_path):
    def profit(target, output):
        return float(((output - target) ** 2).sum()) / len(output), 2 * (output - target) / len(
            output
        )

    def rate(step):
        return 0.1 / (1 + step)

    net = ng.Network([ng.Input((4,)), ng.Dense(3)], seed=0)
    model = net.compile(ng.SGD(rate), profit)
    path = tmp_path / "own.safetensors"
    model.fit(X, np.eye(3)[Y], epochs=2, verbose=0)
    model.save(path)
    with pytest.raises(ng.OptionError, match=r"a function of your own.*ng.resume\(path, optimizer"):
        ng.load(path)
    with pytest.raises(ng.OptionError, match=r"'profit' is a function.*ng.resume\(path, loss=…"):
        ng.resume(path, optimizer=ng.SGD(rate))
    back = ng.resume(path, optimizer=ng.SGD(rate), loss=profit)
    back.fit(X, np.eye(3)[Y], epochs=4, verbose=0, resume=True)
    model.fit(X, np.eye(3)[Y], epochs=4, verbose=0, resume=True)
    assert same(weights(model), weights(back))


# going on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("steps", [1, 5, 6, 7, 11, 17])
def test_stopped_anywhere_it_ends_the_same(tmp_path, steps, accumulate):
    """The training set has 48 samples: 6 batches an epoch."""
    options = {"epochs": 4, "accumulate": accumulate}
    whole = make()
    expected = train(whole, **options)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(StopError):
        train(make(), ng.ModelCheckpoint(path, save_freq=3), stop_after(steps), **options)
    model = make()
    history = train(model, resume=path, **options)
    assert same(weights(model), weights(whole))
    assert history.history == expected.history
    assert history.epoch == [0, 1, 2, 3]
    assert model.generator.bit_generator.state == whole.generator.bit_generator.state
    # the model itself can go on too, without a file
    model = make()
    with pytest.raises(StopError):
        train(model, stop_after(steps), **options)
    assert train(model, resume=True, **options).history == expected.history
    assert same(weights(model), weights(whole))


def callbacks(folder):
    return [
        ng.ModelCheckpoint(folder / "best.safetensors", "val_accuracy", save_best_only=True),
        ng.ModelCheckpoint(folder / "last-{epoch:02d}.safetensors"),
        ng.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.02),
        ng.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
        ng.LearningRateScheduler(lambda epoch, rate: rate * 0.99),
        ng.CSVLogger(folder / "log.csv"),
        ng.Probe("dense/kernel", "gradient", every=4),
    ]


@pytest.mark.parametrize("epoch", [0, 2, 4])
def test_callbacks_go_on_too(tmp_path, epoch):
    whole, part, model = make("adam(0.3)"), make("adam(0.3)"), make("adam(0.3)")
    first, second = tmp_path / "whole", tmp_path / "part"
    first.mkdir(), second.mkdir()
    ours = callbacks(first)
    expected = train(whole, *ours, epochs=12)
    assert 5 < len(expected.epoch) < 12
    assert len(set(expected.history["learning_rate"])) > 2

    def fail(number, logs):
        if number == epoch + 1:
            raise StopError

    with pytest.raises(StopError):
        train(part, *callbacks(second), ng.LambdaCallback(on_epoch_end=fail), epochs=12)
    theirs = callbacks(second)
    history = train(model, *theirs, epochs=12, resume=second)
    assert same(weights(model), weights(whole))
    assert history.history == expected.history
    assert history.stopped == expected.stopped
    assert (first / "log.csv").read_text() == (second / "log.csv").read_text()
    assert np.array_equal(ours[-1].history.values, theirs[-1].history.values)
    assert sorted(os.listdir(first)) == sorted(os.listdir(second))
    for name in os.listdir(first):
        if name.endswith(".safetensors"):
            one, other = load_file(first / name), load_file(second / name)
            assert same(weights(one), weights(other)) if hasattr(one, "update") else True
            assert all(np.array_equal(one.tensors[k], other.tensors[k]) for k in one.tensors)
    # a training that was stopped early stays stopped
    again = make("adam(0.3)")
    assert train(again, *callbacks(second), epochs=12, resume=second).epoch == expected.epoch
    assert same(weights(again), weights(whole))


def test_streams_go_on_too(tmp_path):
    def batches():
        generator = np.random.default_rng(4)
        while True:
            rows = generator.integers(0, 60, 8)
            yield X[rows], Y[rows]

    whole, model = make(), make()
    whole.fit(batches(), epochs=3, steps_per_epoch=5, verbose=0)
    path = tmp_path / "stream.safetensors"
    saver = ng.ModelCheckpoint(path, save_freq=2)
    with pytest.raises(StopError):
        make().fit(
            batches(), epochs=3, steps_per_epoch=5, callbacks=[saver, stop_after(9)], verbose=0
        )
    model.fit(batches(), epochs=3, steps_per_epoch=5, verbose=0, resume=path)
    assert same(weights(model), weights(whole))


def test_a_training_can_be_made_longer(tmp_path):
    path = tmp_path / "model.safetensors"
    train(make(), ng.ModelCheckpoint(path), epochs=2)
    model, whole = make(), make()
    train(model, resume=path, epochs=5)
    train(whole, epochs=5)
    assert same(weights(model), weights(whole))
    model = ng.resume(path)
    train(model, resume=True, epochs=5)
    assert same(weights(model), weights(whole))


def test_nothing_to_go_on_with_means_to_begin(tmp_path, capsys):
    model, other = make(), make()
    model.fit(X, Y, verbose=2, resume=tmp_path / "none.safetensors")
    assert "no checkpoint" in capsys.readouterr().out
    other.fit(X, Y, verbose=0, resume=tmp_path)
    assert same(weights(model), weights(other))
    with pytest.raises(ng.StorageError, match="there is no checkpoint"):
        ng.resume(tmp_path)


def test_the_furthest_checkpoint_of_a_folder(tmp_path, capsys):
    saver = ng.ModelCheckpoint(tmp_path / "{epoch}-{batch}.safetensors", save_freq=4)
    model = make()
    train(model, saver, epochs=3)
    model.network.save(tmp_path / "weights.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 30)
    names = [f"{epoch}-{batch}.safetensors" for epoch, batch in [(1, 4), (2, 2), (2, 6), (3, 4)]]
    assert sorted(os.listdir(tmp_path)) == sorted(
        [*names, "weights.safetensors", "broken.safetensors"]
    )
    model = make()
    model.fit(X[:48], Y[:48], 8, epochs=3, resume=tmp_path, verbose=2)
    assert "3-4.safetensors: epoch 3, batch 5" in capsys.readouterr().out
    for name in names:
        os.remove(tmp_path / name)
    os.remove(tmp_path / "weights.safetensors")
    with pytest.raises(ng.FormatError, match=r"broken.safetensors' is truncated or damaged"):
        ng.resume(tmp_path)


OTHERS = {
    "data": ({}, {"x": X + 1}, "had data"),
    "batch": ({}, {"batch_size": 9}, "had batch_size 8, this one has 9"),
    "order": ({}, {"shuffle": False}, "had shuffle True, this one has False"),
    "groups": ({}, {"accumulate": 2}, "had accumulate 1, this one has 2"),
    "epoch": ({}, {"initial_epoch": 1}, "leave initial_epoch out"),
    "optimizer": ({"optimizer": "adam(beta_1=0.5)"}, {}, "its optimizer is"),
    "dtype": ({"dtype": "float64"}, {}, "its dtype is float32, this model has float64"),
    "metrics": ({"metrics": ()}, {}, r"its metrics is \['accuracy'\], this model has \[\]"),
    "units": ({"units": 6}, {}, "parameter 'dense/kernel' has shape .4, 5., in this .* .4, 6."),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_does_not_fit_is_refused(tmp_path, case):
    compiled, fitted, message = OTHERS[case]
    path = tmp_path / "model.safetensors"
    train(make(), ng.ModelCheckpoint(path, save_freq=4), epochs=1)
    model = make(**compiled)
    before = weights(model)
    options = {"x": X[:48], "y": Y[:48], "batch_size": 8, "epochs": 3, "verbose": 0} | fitted
    options["x"] = options["x"][:48]
    with pytest.raises(ng.NeurographError, match=message):
        model.fit(**options, resume=path)
    assert same(before, weights(model))
    assert model.update.step == 0


def test_another_structure_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    train(make(), ng.ModelCheckpoint(path), epochs=1)
    model = make()
    model.network.layer("dense").activation = "relu"
    with pytest.raises(ng.DataError, match=r"layer 'dense' has activation 'tanh', .* has 'relu'"):
        train(model, resume=path)
    make().save(path)
    with pytest.raises(ng.DataError, match="saved outside of any training"):
        train(make(), resume=path)


# files that are not what they should be -----------------------------------------------------------


def change(path, edit):
    loaded = load_file(path)
    section = loaded.extras["model"]
    tensors = dict(loaded.tensors)
    edit(section, tensors)
    save_file(path, loaded.network, tensors, {"model": section})


WRONG = {
    "no optimizer": (lambda s, t: s.pop("optimizer"), "optimizer"),
    "foreign optimizer": (
        lambda s, t: s["optimizer"].update(name="eve"),
        "unknown optimizer 'eve'",
    ),
    "option": (lambda s, t: s["optimizer"].update(beta_1=7), "beta_1 must be"),
    "losses": (lambda s, t: s.update(losses="mse"), "expected a list"),
    "metric": (lambda s, t: s["metrics"][0].pop("name"), "its field 'name' is missing"),
    "dtype": (lambda s, t: s.update(dtype="float16"), "dtype is 'float16'"),
    "step": (lambda s, t: s.update(step=-1), "its field 'step' is -1"),
    "generator": (lambda s, t: s.update(generator={"state": {}}), "random generator is damaged"),
    "history": (lambda s, t: s["history"].update(epoch=[0]), "not a history"),
    "epoch": (lambda s, t: s["training"].update(epoch="two"), "its field 'epoch' is 'two'"),
    "order": (lambda s, t: s["training"].update(batch=2, order=None), "random generator"),
    "state": (
        lambda s, t: t.pop("optimizer/momentum_sum/dense/kernel", None) or t.pop(next(iter(t))),
        r"the optimizer's \w+ of parameter '.*' is missing",
    ),
    "shape": (
        lambda s, t: t.update({next(iter(t)): np.zeros(2)}),
        r"the optimizer's \w+ of parameter '.*' is float64 of shape \(2,\), expected",
    ),
    "model": (lambda s, t: s.clear(), "cannot load"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_contents_are_explained(tmp_path, case):
    edit, message = WRONG[case]
    path = tmp_path / "model.safetensors"
    train(make(), ng.ModelCheckpoint(path), epochs=2)
    change(path, edit)
    with pytest.raises(ng.NeurographError, match=message) as error:
        ng.load(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


JUNK = [None, -1, 3, 10**30, 1.5, float("nan"), "", "x", [], {}, [1], True, np.zeros(2), (1, 2)]


def places(value, before=()):
    """Yield the way to every value inside nested mappings and lists."""
    rows = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in rows:
        yield (*before, key)
        if isinstance(each, (dict, list)):
            yield from places(each, (*before, key))


def test_any_wrong_value_is_refused_or_harmless(tmp_path):
    """One value after the other is replaced, at random; nothing but our own errors may come."""
    path = tmp_path / "model.safetensors"
    watch = [ng.ModelCheckpoint(path, save_freq=4), ng.EarlyStopping("loss", patience=9)]
    with pytest.raises(StopError):
        train(make(metrics=["acc", "confusion_matrix"]), *watch, stop_after(11), accumulate=3)
    good, chance = load_file(path), random.Random(4)
    section = good.extras["model"]
    ways = list(places(section))
    refused = 0
    for _ in range(60):
        changed, way = copy.deepcopy(section), chance.choice(ways)
        inside = functools.reduce(lambda value, key: value[key], way[:-1], changed)
        inside[way[-1]] = chance.choice(JUNK)
        network = make().network
        try:
            model = restore_model(Loaded(network, good.tensors, {"model": changed}, "a file"))
            train(model, ng.EarlyStopping("loss", patience=9), resume=True, accumulate=3)
        except ng.NeurographError:
            refused += 1
    assert 30 < refused < 60


def test_a_cut_file_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    make().save(path)
    content = path.read_bytes()
    for length in (0, 5, 100, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ng.FormatError, match=r"model\.safetensors"):
            ng.load(path)
        with pytest.raises(ng.FormatError):
            train(make(), resume=path)


def test_a_folder_that_cannot_be_written_to(tmp_path):
    path = tmp_path / "model.safetensors"
    model = make()
    model.save(path)
    content = path.read_bytes()
    target = tmp_path / "model.safetensors" / "inside.safetensors"
    with pytest.raises(ng.StorageError, match="a part of this path is a file"):
        train(model, ng.ModelCheckpoint(target), epochs=2)
    assert path.read_bytes() == content
    assert model.update.step == 6  # the training itself was not hurt
    assert train(model, epochs=3, resume=True).epoch == [0, 1, 2]


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """The operating system refuses files over a limit, as a full disk does in the middle of one."""
    path = tmp_path / "model.safetensors"
    code = """
        import resource, signal, sys
        import tests.test_checkpoint as t
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        model = t.make()
        t.train(model, t.ng.ModelCheckpoint(sys.argv[1]), epochs=1)
        whole = open(sys.argv[1], "rb").read()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2,) * 2)
        try:
            t.train(model, t.ng.ModelCheckpoint(sys.argv[1]), epochs=2)
        except t.ng.StorageError as error:
            print(error)
        assert open(sys.argv[1], "rb").read() == whole
    """
    out = python(code, path)
    assert "the file that was there is whole" in out
    assert os.listdir(tmp_path) == ["model.safetensors"]
    assert ng.load(path).history.epoch == [0]


# killed -------------------------------------------------------------------------------------------

KILLER = """
    import os, random, signal, sys, time
    import tests.test_checkpoint as t

    path, kills, chance = sys.argv[1], 0, random.Random(int(sys.argv[2]))
    t.killed_training(path + ".first.safetensors")  # imports everything, once for all children
    t.killed_training(path + ".first.safetensors")
    while True:
        ready, begun = os.pipe()
        child = os.fork()
        if not child:
            t.killed_training(path, t.ng.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: os.write(begun, b"1"),
                on_train_batch_begin=lambda batch, logs: os.write(begun, b"1"),
            ))
            os._exit(0)
        os.close(begun)
        if kills % 3:  # else anywhere from the very beginning
            os.read(ready, 1)
        time.sleep(chance.uniform(0.0, 0.03 + 0.001 * kills))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(ready)
        if os.WIFEXITED(status):
            break
        kills += 1
    print(kills, os.WEXITSTATUS(status))
"""


def killed_training(path, *callbacks):
    model = make(metrics=["accuracy", ng.ConfusionMatrix()])
    train(
        model,
        *callbacks,
        ng.ModelCheckpoint(path, save_freq=1),
        ng.ReduceLROnPlateau("loss", factor=0.7, patience=1, min_delta=0.01),
        epochs=14,
        resume=path,
    )
    model.save(path)


def python(code, *arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
        timeout=120,
    )
    assert not run.returncode, run.stderr
    return run.stdout


@pytest.fixture
def memory(tmp_path):
    """Return a folder in memory, where there is one: a disk takes long to sync 120 files."""
    if not os.path.isdir("/dev/shm"):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield pathlib.Path(folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_moments_it_ends_the_same(memory):
    """SIGKILL takes the process anywhere: while it trains, writes or has just begun."""
    whole, path = memory / "whole.safetensors", memory / "killed.safetensors"
    python("import sys, tests.test_checkpoint as t; t.killed_training(sys.argv[1])", whole)
    kills, status = map(int, python(KILLER, path, 1).split())
    assert status == 0
    assert kills >= 1  # how many depends on how busy the machine is
    one, other = load_file(whole), load_file(path)
    for name, parameter in one.network.parameters.items():
        assert np.array_equal(parameter.value, other.network.parameters[name].value), name
    assert one.tensors.keys() == other.tensors.keys()
    assert all(np.array_equal(one.tensors[k], other.tensors[k]) for k in one.tensors)
    mine, theirs = one.extras["model"], other.extras["model"]
    for section in (mine, theirs):
        section["history"].pop("seconds")
        section["training"].pop("callbacks")
    assert json.dumps(mine, default=str) == json.dumps(theirs, default=str)
