"""The data sets that ship inside the package; see LICENSES.md."""

from __future__ import annotations

import io
from importlib import resources
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurograph.datasets.checks import Array
from neurograph.datasets.dataset import Dataset, Part
from neurograph.datasets.series import from_series
from neurograph.datasets.table import Table, read_csv
from neurograph.errors import unknown
from neurograph.options import random_generator, whole


def digits() -> Dataset:
    """Return 1,797 handwritten digits, 8 by 8 pixels of 0 to 16.

    Of each class every fifth picture is held out for testing: 1,442 to train, 355 to test.

    Returns
    -------
    Dataset
        ``x`` (pictures, 8, 8) uint8, ``y`` (pictures,) int64

    Examples
    --------
    >>> print(digits())
    digits: 1,797 handwritten digits, 8x8 pixels
      train x (1442, 8, 8) uint8, y (1442,) int64
      test  x (355, 8, 8) uint8, y (355,) int64
      classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
      licence: CC BY 4.0 (E. Alpaydin, C. Kaynak, 1998; UCI)
    """
    raw = resources.files(__package__).joinpath("files/digits.npz").read_bytes()
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        x, y = arrays["x"], arrays["y"].astype(np.int64)
    train, test = _every_fifth(x, y)
    return Dataset(
        "digits",
        train,
        test,
        "pictures",
        "1,797 handwritten digits, 8x8 pixels",
        "CC BY 4.0 (E. Alpaydin, C. Kaynak, 1998; UCI)",
        class_names=tuple("0123456789"),
        top=16.0,
    )


def people(samples: int = 1000, *, seed: int = 0) -> Dataset:
    """Return made-up women and men by weight, height and age, which overlap.

    The three numbers are standard normal; men are a standard deviation heavier, taller and
    younger. So the best that anyone can do is about four in five. As many again are for testing.

    Returns
    -------
    Dataset
        ``x`` (samples, 3) float64, ``y`` (samples,) int64: 0 a woman, 1 a man

    Examples
    --------
    >>> data = people(5)
    >>> data.train.x.shape, data.class_names
    ((5, 3), ('woman', 'man'))
    """
    count = whole("people: samples", samples, least=1)
    generator = random_generator("people: seed", seed)
    men = generator.integers(2, size=2 * count)
    x = generator.standard_normal((2 * count, 3))
    x += np.where(men[:, None], [1.0, 1.0, -1.0], 0.0)
    return Dataset(
        "people",
        Part(x[:count], men[:count]),
        Part(x[count:], men[count:]),
        "table",
        f"{count} women and men by weight, height and age, drawn at random",
        "made by a formula",
        class_names=("woman", "man"),
        feature_names=("weight", "height", "age"),
    )


def iris() -> Dataset:
    """Return Fisher's 150 irises: four lengths in cm, three species.

    Of each species every fifth flower is held out for testing: 120 to train, 30 to test.

    Returns
    -------
    Dataset
        ``x`` (flowers, 4) float64, ``y`` (flowers,) int64

    Examples
    --------
    >>> data = iris()
    >>> data.feature_names, data.class_names
    (('sepal_length', 'sepal_width', 'petal_length', 'petal_width'), \
('setosa', 'versicolor', 'virginica'))
    >>> data.train.x[0], data.train.y[0]
    (array([5.1, 3.5, 1.4, 0.2]), np.int64(0))
    """
    table = _table("iris.csv.gz")
    features = [name for name in table if name != "species"]
    y, names = table.classes("species")
    train, test = _every_fifth(table.matrix(*features), y)
    return Dataset(
        "iris",
        train,
        test,
        "table",
        "150 irises of three species, measured by E. Anderson, published by R. A. Fisher",
        "CC BY 4.0 (R. A. Fisher, 1936; UCI)",
        class_names=names,
        feature_names=tuple(features),
        columns=dict(table),
    )


def sunspots(window: int = 10, *, horizon: int = 1, test: int = 60) -> Dataset:
    """Return the yearly number of sunspots, 1700 to 2008, as windows and the years after them.

    Parameters
    ----------
    window : int
        Years that are seen.
    horizon : int
        Years to predict.
    test : int
        The last years are held out: no target of the training part lies among them.

    Returns
    -------
    Dataset
        ``x`` (windows, window, 1), ``y`` (windows, 1), or (windows, horizon, 1) for longer
        horizons; ``columns`` holds ``year`` and ``sunspots``

    Examples
    --------
    >>> data = sunspots(window=20)
    >>> data.train.x.shape, data.test.y.shape, data.columns["year"][-1]
    ((229, 20, 1), (60, 1), np.int64(2008))
    """
    licence = "public domain (NOAA, National Geophysical Data Center)"
    about = "yearly number of sunspots, 1700-2008"
    return _series("sunspots", "sunspots", about, licence, window, horizon, test)


def airline(window: int = 12, *, horizon: int = 1, test: int = 36) -> Dataset:
    """Return the airline passengers of each month, 1949 to 1960, as windows and what follows.

    In thousands; series G of Box and Jenkins, Time Series Analysis (1976). Parameters and result
    as of ``sunspots``; ``columns`` holds ``month`` and ``passengers``.

    Examples
    --------
    >>> data = airline()
    >>> data.train.x[0].ravel()[:4], data.train.y[0], data.columns["month"][0]
    (array([112., 118., 132., 129.]), array([115.]), np.datetime64('1949-01'))
    """
    licence = "facts, not protected (G. E. P. Box, G. M. Jenkins, 1976)"
    about = "thousands of airline passengers a month, 1949-1960"
    return _series("airline", "passengers", about, licence, window, horizon, test)


def prices(window: int = 60, *, horizon: int = 1, test: int = 300) -> Dataset:
    """Return the daily price of crude oil, 1986 to 2019, as windows and what follows.

    West Texas Intermediate, spot, in US dollars a barrel; 8,321 trading days. Parameters and
    result as of ``sunspots``; ``columns`` holds ``date`` and ``price``.

    Examples
    --------
    >>> data = prices().scaled()
    >>> data.train.x.shape, data.test.x.shape, data.columns["date"][-1]
    ((7961, 60, 1), (300, 60, 1), np.datetime64('2019-01-03'))
    """
    licence = "public domain (Source: U.S. Energy Information Administration, Jan 2019)"
    about = "daily price of crude oil (WTI) in dollars a barrel, 1986-2019"
    return _series("prices", "price", about, licence, window, horizon, test)


def names(kind: Literal["first", "last"] = "first") -> Dataset:
    """Return names from the census of the United States of 1990, in lower case.

    Parameters
    ----------
    kind : "first" or "last"
        First names are labelled female or male; a name of both is left to the one that more
        bear. Last names, the 5,000 most frequent, have one class only.

    Returns
    -------
    Dataset
        ``x`` (names,) text, most frequent first; ``y`` (names,) int64. Of each class every fifth
        name is held out for testing. ``columns`` holds ``name`` and ``percent``, the part of
        the people that bear it.

    Examples
    --------
    >>> data = names()
    >>> data.train.x[:3], data.class_names, len(data.train.x) + len(data.test.x)
    (array(['james', 'john', 'robert'], dtype='<U11'), ('female', 'male'), 5163)
    """
    table = _table("names.csv.gz")
    if kind not in ("first", "last"):
        raise unknown("kind of names", kind, ("first", "last"))
    wanted = (table["kind"] == "last") == (kind == "last")
    column = {name: values[wanted] for name, values in table.items()}
    order = np.argsort(-column["percent"], kind="stable")
    column = {name: values[order] for name, values in column.items()}
    _, first = np.unique(column["name"], return_index=True)
    column = {name: values[np.sort(first)] for name, values in column.items()}
    y, classes = Table(column).classes("kind")
    x = np.array(column["name"].tolist())
    train, test = _every_fifth(x, y)
    return Dataset(
        "names",
        train,
        test,
        "text",
        f"{len(x):,} {kind} names from the census of the United States of 1990",
        "public domain (U.S. Census Bureau)",
        class_names=classes,
        columns={"name": x, "percent": column["percent"]},
    )


def _table(file: str) -> Table:
    with resources.as_file(resources.files(__package__).joinpath("files", file)) as path:
        return read_csv(path)


def _every_fifth(x: Array, y: NDArray[np.int64]) -> tuple[Part, Part]:
    """Hold out every fifth sample of each class, so that all are alike in both parts."""
    test = np.zeros(len(y), bool)
    for label in np.unique(y):
        test[np.flatnonzero(y == label)[4::5]] = True
    return Part(x[~test], y[~test]), Part(x[test], y[test])


def _series(
    name: str, column: str, about: str, licence: str, window: int, horizon: int, test: int
) -> Dataset:
    table = _table(f"{name}.csv.gz")
    columns = dict(table)
    for when, unit in (("date", "D"), ("month", "M")):
        if when in columns:
            columns[when] = columns[when].astype(f"datetime64[{unit}]")
    return from_series(
        table.matrix(column),
        window,
        test=test,
        horizon=horizon,
        name=name,
        description=about,
        licence=licence,
        feature_names=(column,),
        columns=columns,
    )
