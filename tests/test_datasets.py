"""The data sets that ship, their one shape, and loading by name."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurograph import datasets
from neurograph.datasets import Dataset, Part, Standardizer
from neurograph.errors import DataError, OptionError, ShapeError, UnknownNameError

SHIPPED = ("digits", "iris", "sunspots", "airline", "prices", "names")
FOLDER = Path(datasets.__file__).parent


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_set_unpacks_as_keras_users_expect(name: str) -> None:
    data = datasets.load(name)
    (x_train, y_train), (x_test, y_test) = data
    assert x_train is data.x_train is data.train.x
    assert y_train is data.y_train is data.train.y
    assert x_test is data.x_test is data.test.x
    assert y_test is data.y_test is data.test.y
    assert isinstance(data.test, tuple)
    assert len(x_train) == len(y_train) > len(x_test) == len(y_test) > 0
    assert data.name == name
    assert data.licence
    if data.class_names:
        assert set(np.unique(y_train)) == set(range(len(data.class_names)))


def test_what_ships_is_small_and_every_file_has_its_licence() -> None:
    files = sorted((FOLDER / "files").iterdir())
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.suffix != ".pyc") < 600_000
    text = (FOLDER / "LICENSES.md").read_text("utf-8")
    assert [file.name for file in files if f"`files/{file.name}`" not in text] == []


def test_digits_and_iris_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    for mine, theirs in ((datasets.digits(), sklearn.load_digits()), (datasets.iris(), None)):
        theirs = theirs or sklearn.load_iris()
        flat = np.concatenate([part.x.reshape(len(part.x), -1) for part in mine])
        rows = np.column_stack([flat, np.concatenate([mine.train.y, mine.test.y])])
        want = np.column_stack([theirs.data, theirs.target])
        assert np.array_equal(rows[np.lexsort(rows.T)], want[np.lexsort(want.T)])


def test_the_parts_of_digits_hold_every_class_alike_and_share_nothing() -> None:
    data = datasets.digits()
    shares = np.bincount(data.test.y) / np.bincount(np.concatenate([data.train.y, data.test.y]))
    assert shares.min() > 0.19
    assert shares.max() < 0.21
    seen = {picture.tobytes() for picture in data.train.x}
    assert not any(picture.tobytes() in seen for picture in data.test.x)


def test_known_values_of_the_series() -> None:
    sun, air, oil = datasets.sunspots(), datasets.airline(), datasets.prices()
    assert sun.columns["sunspots"][sun.columns["year"] == 1957].tolist() == [190.2]
    assert (sun.columns["year"] == np.arange(1700, 2009)).all()
    assert air.columns["passengers"].sum() == 40363
    assert air.columns["month"][-1] == np.datetime64("1960-12")
    day = oil.columns["date"] == np.datetime64("2008-07-03")
    assert oil.columns["price"][day].tolist() == [145.31]
    assert (np.diff(oil.columns["date"]) > np.timedelta64(0, "D")).all()


@pytest.mark.parametrize(("window", "horizon", "test"), [(10, 1, 60), (7, 3, 30), (1, 1, 1)])
def test_the_test_part_of_a_series_begins_where_training_ends(
    window: int, horizon: int, test: int
) -> None:
    data = datasets.sunspots(window, horizon=horizon, test=test)
    values = data.columns["sunspots"][:, np.newaxis]
    first = len(values) - test
    assert data.test.x.shape == (test - horizon + 1, window, 1)
    assert np.array_equal(data.test.x[0], values[first - window : first])
    targets = data.test.y.reshape(len(data.test.x), horizon)
    assert np.array_equal(targets[-1], values[-horizon:, 0])
    assert np.array_equal(data.train.y.reshape(-1, horizon)[-1], values[first - horizon : first, 0])


def test_names_have_two_classes_and_no_name_twice() -> None:
    data = datasets.names()
    everyone = np.concatenate([data.train.x, data.test.x])
    assert len(set(everyone.tolist())) == len(everyone) == 5163
    label = dict(zip(everyone.tolist(), [*data.train.y, *data.test.y], strict=True))
    assert [data.class_names[label[name]] for name in ("mary", "john", "kim")] == [
        "female",
        "male",
        "female",
    ]
    last = datasets.names("last")
    assert last.class_names == ("last",)
    assert last.train.x[0] == "smith"
    assert len(last.train.x) + len(last.test.x) == 5000


def test_scaled_flat_and_one_hot_give_what_a_network_takes() -> None:
    raw = datasets.digits()
    data = raw.scaled().flat().one_hot()
    assert data.train.x.dtype == np.float32
    assert np.array_equal(data.train.x, raw.train.x.reshape(-1, 64) / np.float32(16))
    assert np.array_equal(data.test.y.argmax(1), raw.test.y)
    assert (data.test.y.sum(1) == 1).all()
    with pytest.raises(DataError, match="one_hot"):
        data.one_hot()
    assert raw.with_channels().test.x.shape == (355, 8, 8, 1)
    assert raw.scaled(dtype="float64").train.x.dtype == np.float64


def test_scaling_learns_from_the_training_part_alone() -> None:
    raw = datasets.prices(test=300)
    data = raw.scaled()
    known = raw.columns["price"][:-300]
    span = known.max() - known.min()
    want = (raw.test.x - known.min()) / span
    np.testing.assert_allclose(data.test.x, want, atol=1e-6)
    np.testing.assert_allclose(data.test.y, (raw.test.y - known.min()) / span, atol=1e-6)
    assert data.scaler is not None
    np.testing.assert_allclose(data.scaler.inverse(data.test.y), raw.test.y, rtol=1e-5)
    flowers = datasets.iris().scaled(Standardizer(), dtype="float64")
    np.testing.assert_allclose(flowers.train.x.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(flowers.train.x.std(0), 1)
    assert abs(flowers.test.x.mean(0)).max() > 1e-3
    with pytest.raises(DataError, match="scaled already"):
        data.scaled()
    with pytest.raises(DataError, match="text"):
        datasets.names().scaled()
    with pytest.raises(OptionError, match="float32 or float64"):
        datasets.iris().scaled(dtype="int32")


def test_take_cuts_and_refuses_nothing_to_train_on() -> None:
    data = datasets.digits().take(50)
    assert [len(part.x) for part in data] == [50, 355]
    with pytest.raises(OptionError, match=r"train must be .*got 0"):
        data.take(0)
    with pytest.raises(DataError, match="with_channels"):
        datasets.iris().with_channels()


def test_load_takes_names_folders_and_options() -> None:
    assert datasets.load("Airline", window=6).train.x.shape[1] == 6
    with pytest.raises(UnknownNameError, match="did you mean 'iris'"):
        datasets.load("irsi")
    with pytest.raises(OptionError, match="takes no folder"):
        datasets.load("iris", "somewhere")
    with pytest.raises(OptionError, match="cannot be called so"):
        datasets.load("iris", window=3)
    with pytest.raises(OptionError, match=r"window must be .*got 0"):
        datasets.load("sunspots", window=0)
    with pytest.raises(DataError, match=r"sunspots has 309 values"):
        datasets.load("sunspots", window=300)
    with pytest.raises(UnknownNameError, match="kind of names"):
        datasets.names("middle")  # type: ignore[arg-type]
    assert set(SHIPPED) < set(datasets.available())


def test_samples_and_targets_of_different_number_are_no_data_set() -> None:
    good, bad = Part(np.zeros((3, 2)), np.zeros(3)), Part(np.zeros((3, 2)), np.zeros(4))
    with pytest.raises(ShapeError, match="'mine' got 3 samples and 4 targets"):
        Dataset("mine", good, bad, "table")


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, neurograph.datasets as d; d.iris(); d.digits(); "
        "print([m for m in ('pooch', 'PIL', 'rich', 'scipy', 'requests') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_shipped_files_are_the_known_ones() -> None:
    mark = hashlib.sha256()
    for name in SHIPPED:
        for part in datasets.load(name):
            for array in part:
                mark.update(np.ascontiguousarray(array).tobytes())
    assert mark.hexdigest() == ("8e2563ac066c3c4a95ef4f916ea5a1ae17a466ec405d13596deee0b68efd2768")
