"""One-hot rows, characters, windows, scaling and splitting."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from neurograph import datasets
from neurograph.datasets import (
    CharacterEncoding,
    MinMaxScaler,
    Scaler,
    Standardizer,
    pad_sequences,
    split,
    to_categorical,
    windows,
)
from neurograph.errors import (
    DataError,
    FormatError,
    NeurographError,
    OptionError,
    ShapeError,
    UnknownNameError,
)

# classes


def test_one_hot_rows_of_any_shape_and_type() -> None:
    rows = to_categorical([[1, 0], [2, 1]], 4, dtype="float64")
    assert np.array_equal(rows, np.eye(4)[[[1, 0], [2, 1]]])
    assert rows.dtype == np.float64
    assert to_categorical(np.array([1.0, 0.0])).tolist() == [[0, 1], [1, 0]]
    assert to_categorical([True, False]).tolist() == [[0, 1], [1, 0]]
    assert to_categorical(2).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("labels", "classes", "kind", "says"),
    [
        ([0, 3], 3, DataError, r"holds 3 at position \[1\]: with 3 classes labels go from 0 to 2"),
        ([[0, -1]], None, DataError, r"holds -1 at position \[0, 1\]: labels go from 0 up"),
        ([0.5], None, DataError, "class numbers are whole"),
        ([0, float("nan")], None, DataError, "holds nan"),
        ([1e300], None, DataError, "no class has such a number"),
        ([], None, DataError, "is empty"),
        (["a"], None, DataError, r"holds <U1 values \(such as"),
        ([[1], [1, 2]], None, ShapeError, "ragged"),
        (None, None, DataError, "holds object values"),
        ([1], 0, OptionError, r"classes must be .*got 0"),
        ([1], 2.5, OptionError, "classes must be a whole number, got 2.5"),
        ([2_000_000], None, DataError, "a million classes"),
    ],
)
def test_labels_that_are_none(labels: Any, classes: Any, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        to_categorical(labels, classes)


# characters


def test_the_alphabet_of_texts_is_sorted_and_the_padding_comes_first() -> None:
    encoding = CharacterEncoding.of(["hello", "you_"], padding="_")
    assert encoding.alphabet == "ehlouy"
    assert len(encoding) == 7
    coded = encoding.encode(["hello", "you"])
    assert coded.tolist() == [[2, 1, 3, 3, 4], [6, 4, 5, 0, 0]]
    assert coded.dtype == np.int64
    assert encoding.decode(coded) == ["hello", "you"]
    assert encoding.encode("you", 5).tolist() == [6, 4, 5, 0, 0]
    assert encoding.one_hot(["you"], 4).shape == (1, 4, 7)
    assert encoding.decode(encoding.one_hot(["you"], 4)) == ["you"]
    assert CharacterEncoding.of("banana").alphabet == "abn"


def test_probabilities_are_read_as_their_likeliest_character() -> None:
    encoding = CharacterEncoding("abc")
    assert encoding.decode([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]]) == "ba"
    assert encoding.decode([[[0.0, 0.0, 1.0]]]) == ["c"]
    assert encoding.decode([]) == ""
    # three texts of three whole numbers are no probabilities
    assert encoding.decode([[0, 1, 2], [2, 1, 0], [0, 0, 0]]) == ["abc", "cba", "aaa"]


@settings(deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1).filter(any))
def test_any_texts_come_back(texts: list[str]) -> None:
    padding = "\0"
    texts = [text.replace(padding, "x") for text in texts]
    encoding = CharacterEncoding.of(texts, padding=padding)
    assert encoding.decode(encoding.encode(texts)) == texts
    again = CharacterEncoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    assert again == encoding
    assert hash(again) == hash(encoding)


def test_what_an_encoding_refuses() -> None:
    encoding = CharacterEncoding("abc")
    for call, kind, says in (
        (lambda: encoding.encode("abd"), DataError, "'d' of the text 'abd' is not in the alphabet"),
        (
            lambda: encoding.encode(["a", "ab"]),
            ShapeError,
            "'a' has 1 characters where 2 are needed",
        ),
        (lambda: encoding.encode("abc", 2), DataError, "'abc' has 3 characters, over 2"),
        (lambda: encoding.encode([]), DataError, "an empty list"),
        (lambda: encoding.encode(["a", 3]), DataError, "3 was given where a text"),
        (lambda: encoding.encode(3), DataError, "not 3"),
        (lambda: encoding.decode([3]), DataError, r"holds 3 at position \[0\]"),
        (lambda: encoding.decode([[[0]]]), ShapeError, r"shape \(1, 1, 1\)"),
        (lambda: encoding.decode([[float("nan"), 0.0, 1.0]]), DataError, "nan"),
        (lambda: encoding.decode(["a"]), DataError, "numbers are expected"),
        (lambda: CharacterEncoding(""), OptionError, "at least one character"),
        (lambda: CharacterEncoding("aba"), OptionError, "'a' is in the alphabet twice"),
        (lambda: CharacterEncoding("ab", padding="a"), OptionError, "'a' is in the alphabet twice"),
        (lambda: CharacterEncoding("ab", padding="--"), OptionError, "the padding is '--'"),
        (lambda: CharacterEncoding.of(["", ""]), DataError, "the texts are empty"),
        (lambda: CharacterEncoding.from_dict({"alphabet": "a"}), FormatError, "is described by"),
    ):
        with pytest.raises(kind, match=says):
            call()  # type: ignore[no-untyped-call]


# windows


@pytest.mark.parametrize("features", [None, 1, 3])
@pytest.mark.parametrize(
    ("length", "horizon", "step"), [(4, 1, 1), (3, 2, 1), (5, 3, 2), (1, 1, 7)]
)
def test_windows_against_a_plain_loop(
    features: int | None, length: int, horizon: int, step: int
) -> None:
    shape = (23,) if features is None else (23, features)
    series = default_rng(0).random(shape)
    x, y = windows(series, length, horizon=horizon, step=step)
    starts = range(0, 23 - length - horizon + 1, step)
    assert np.array_equal(x, [series[s : s + length] for s in starts])
    after = [series[s + length : s + length + horizon] for s in starts]
    assert np.array_equal(y, [each[0] for each in after] if horizon == 1 else after)
    assert x.flags.writeable
    assert x.flags.c_contiguous
    seen = windows(series, length, horizon=horizon, step=step, copy=False)
    assert np.array_equal(seen.x, x)
    assert np.array_equal(seen.y, y)
    assert np.shares_memory(seen.x, series)


def test_some_features_as_targets() -> None:
    series = np.arange(20.0).reshape(10, 2)
    assert windows(series, 3, targets=1).y.tolist() == [7, 9, 11, 13, 15, 17, 19]
    assert windows(series, 3, targets=[1]).y[0].tolist() == [7.0]
    assert windows(series, 3, targets=[1, 0], horizon=2).y[0].tolist() == [[7, 6], [9, 8]]
    assert windows(series, 3, targets=0, horizon=2).y[0].tolist() == [6, 8]


def test_windows_that_cannot_be() -> None:
    for call, kind, says in (
        (lambda: windows([1, 2, 3], 3), DataError, "got 3 time steps.*need at least 4"),
        (lambda: windows([1, 2, 3], 0), OptionError, r"length must be .*got 0"),
        (lambda: windows([1, 2, 3], 1, horizon=0), OptionError, r"horizon must be .*got 0"),
        (lambda: windows([1, 2, 3], 1, step=1.5), OptionError, r"step must be .*got 1\.5"),
        (lambda: windows(np.zeros((3, 2, 2)), 1), ShapeError, r"shape \(3, 2, 2\)"),
        (lambda: windows([1, np.nan, 3], 1), DataError, r"holds nan at position \[1\]"),
        (lambda: windows([], 1), DataError, "is empty"),
        (lambda: windows([1, 2, 3], 1, targets=0), ShapeError, "which has no features"),
        (lambda: windows(np.zeros((5, 2)), 1, targets=2), DataError, "holds 2"),
    ):
        with pytest.raises(kind, match=says):
            call()  # type: ignore[no-untyped-call]


# scaling


@pytest.mark.parametrize("make", [MinMaxScaler, Standardizer, lambda: MinMaxScaler(-1, 3)])
@pytest.mark.parametrize("kind", ["float64", "float32"])
def test_scalers_turn_back_and_survive_json(make: Any, kind: str) -> None:
    x = (default_rng(0).normal(5, 3, (50, 4)) * [1, 10, 1e3, 1e-3]).astype(kind)
    scaler = make().fit(x)
    scaled = scaler.transform(x)
    assert scaled.dtype == kind
    np.testing.assert_allclose(scaler.inverse(scaled), x, rtol=1e-4 if kind == "float32" else 1e-9)
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert type(again) is type(scaler)
    assert np.array_equal(again.transform(x), scaled)
    np.testing.assert_allclose(scaler.inverse(scaled[:, 2:3], columns=2), x[:, 2:3], rtol=1e-4)
    np.testing.assert_allclose(
        scaler.inverse(scaled[:, [3, 1]], columns=[3, 1]), x[:, [3, 1]], rtol=1e-4
    )


def test_scaling_against_scikit_learn() -> None:
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    train, test = default_rng(0).random((2, 30, 3))
    for mine, theirs in (
        (MinMaxScaler(), preprocessing.MinMaxScaler()),
        (MinMaxScaler(-1, 1), preprocessing.MinMaxScaler((-1, 1))),
        (Standardizer(), preprocessing.StandardScaler()),
    ):
        np.testing.assert_allclose(
            mine.fit_transform(train), theirs.fit_transform(train), atol=1e-12
        )
        np.testing.assert_allclose(mine.transform(test), theirs.transform(test), atol=1e-12)


def test_a_feature_that_never_changes_is_only_moved() -> None:
    x = [[4.0, 1.0], [4.0, 3.0]]
    assert MinMaxScaler().fit(x).transform([[4.0, 2.0], [7.0, 2.0]]).tolist() == [
        [0, 0.5],
        [3, 0.5],
    ]
    assert MinMaxScaler(-1, 1).fit_transform(x).tolist() == [[-1, -1], [-1, 1]]
    assert Standardizer().fit(x).transform([[5.0, 2.0]]).tolist() == [[1, 0]]


def test_all_axes_but_the_last_are_taken_together() -> None:
    x = default_rng(0).random((5, 7, 2))
    scaled = MinMaxScaler().fit_transform(x)
    np.testing.assert_allclose(scaled.min((0, 1)), 0)
    np.testing.assert_allclose(scaled.max((0, 1)), 1)
    assert MinMaxScaler().fit_transform([[1], [3]]).tolist() == [[0.0], [1.0]]


def test_what_scalers_refuse() -> None:
    fitted = MinMaxScaler().fit([[1.0, 2.0], [2.0, 3.0]])
    for call, kind, says in (
        (
            lambda: Standardizer().transform([[1.0]]),
            DataError,
            r"transform\(\) was called before fit",
        ),
        (lambda: MinMaxScaler().to_dict(), DataError, r"to_dict\(\) was called before fit"),
        (lambda: MinMaxScaler().fit([1.0, 2.0]), ShapeError, r"values\[:, np.newaxis\]"),
        (lambda: MinMaxScaler().fit([[np.inf]]), DataError, r"MinMaxScaler.fit\(\) holds inf"),
        (lambda: MinMaxScaler().fit(np.zeros((0, 2))), DataError, "is empty"),
        (lambda: MinMaxScaler().fit([[-1.7e308], [1.7e308]]), DataError, "too large to scale"),
        (lambda: Standardizer().fit([[-1.7e308], [1.7e308]]), DataError, "too large to scale"),
        (lambda: fitted.transform([[1.0]]), ShapeError, "its last axis must hold 2 features"),
        (lambda: fitted.inverse([[1.0]]), ShapeError, "its last axis must hold 2 features"),
        (lambda: fitted.inverse([[1.0]], columns=2), DataError, "columns holds 2"),
        (lambda: fitted.transform([["a", "b"]]), DataError, "numbers are expected"),
        (lambda: MinMaxScaler(1, 1), OptionError, "low below high"),
        (lambda: Scaler().fit([[1.0]]), OptionError, "use MinMaxScaler or Standardizer"),
        (lambda: Scaler.from_dict({"kind": "minmax"}), FormatError, "is described by"),
        (
            lambda: Scaler.from_dict({"kind": "minmux", "offset": [0], "unit": [1]}),
            UnknownNameError,
            "did you mean 'minmax'",
        ),
        (
            lambda: Scaler.from_dict({"kind": "minmax", "offset": [0, 1], "unit": [1]}),
            FormatError,
            "one number a feature",
        ),
        (
            lambda: Scaler.from_dict({"kind": "minmax", "offset": [0], "unit": [0]}),
            FormatError,
            "above 0",
        ),
    ):
        with pytest.raises(kind, match=says):
            call()  # type: ignore[no-untyped-call]


@settings(deadline=None)
@given(
    st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2
        ),
        min_size=1,
    )
)
def test_any_finite_numbers_are_scaled_or_refused(rows: list[list[float]]) -> None:
    for make in (MinMaxScaler, Standardizer):
        try:
            scaled = make().fit_transform(rows)
        except NeurographError:
            continue
        assert np.isfinite(scaled).all()


# splitting


def test_without_a_generator_the_last_samples_are_held_out() -> None:
    train, test = split(np.arange(10), np.arange(10) * 2, 0.3)
    assert train.x.tolist() == list(range(7))
    assert test.y.tolist() == [14, 16, 18]


def test_a_shuffled_and_stratified_split() -> None:
    y = np.repeat([0, 1, 2], [50, 30, 20])
    train, test = split(np.arange(100), y, 0.2, generator=default_rng(0), stratify=True)
    assert np.bincount(test.y).tolist() == [10, 6, 4]
    assert sorted([*train.x, *test.x]) == list(range(100))
    assert np.array_equal(y[train.x], train.y)
    assert train.x.tolist() != sorted(train.x)
    again = split(np.arange(100), y, 0.2, generator=default_rng(0), stratify=True)
    assert np.array_equal(again[0].x, train.x)


def test_splits_that_cannot_be() -> None:
    x = np.zeros((4, 2))
    for call, kind, says in (
        (lambda: split(x, np.zeros(3)), ShapeError, "4 samples and 3 targets"),
        (lambda: split(x, np.zeros(4), 1.0), OptionError, "above 0 and below 1, got 1.0"),
        (lambda: split(x, np.zeros(4), float("nan")), OptionError, r"test must be .*got nan"),
        (lambda: split(x, np.zeros(4), 0.01), DataError, "a part stays empty"),
        (lambda: split(x, np.zeros(4), generator=3), OptionError, "needs a numpy.random.Generator"),
        (lambda: split(x, np.zeros((4, 2)), stratify=True), DataError, "one class a sample"),
    ):
        with pytest.raises(kind, match=says):
            call()  # type: ignore[no-untyped-call]


# sequences


@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 1, 3, 9])
def test_sequences_are_filled_and_cut_as_keras_does(keras, maxlen, padding, truncating) -> None:
    rng = default_rng(4)
    for shape in ((), (2,)):
        sequences = [rng.normal(size=(steps, *shape)) for steps in (3, 1, 7, 4)]
        options = {"maxlen": maxlen, "padding": padding, "truncating": truncating, "value": -2}
        expected = keras.utils.pad_sequences(sequences, dtype="float64", **options)
        assert np.array_equal(pad_sequences(sequences, **options), expected)


def test_sequences_keep_their_kind_of_number() -> None:
    assert pad_sequences([[1], [2, 3]]).dtype.kind == "i"
    assert pad_sequences([[1], [2.5, 3]]).tolist() == [[0, 1], [2.5, 3]]
    assert pad_sequences([[], [2, 3]], value=9).tolist() == [[9, 9], [2, 3]]
    assert pad_sequences([[1], [2, 3]], dtype="float32").dtype == np.float32


@pytest.mark.parametrize(
    ("sequences", "options", "message"),
    [
        ([[[1, 2]], [[1, 2, 3]]], {}, r"sequence 1 has shape \(1, 3\), expected \(steps, 2\)"),
        ([[1], 3], {}, r"sequence 1 has shape \(\), expected \(steps,\)"),
        ([[1], ["a"]], {}, "sequence 1 holds <U1 values"),
        ([[1], [[1, 2], [3]]], {}, "sequence 1 is ragged"),
        ([[], []], {}, "no sequence with a step in it"),
        (None, {}, "takes a list of sequences, got None"),
        ([[1]], {"maxlen": 0}, "maxlen must be"),
        ([[1]], {"padding": "pst"}, "did you mean 'post'"),
    ],
)
def test_what_cannot_be_one_array_is_refused(sequences, options, message) -> None:
    with pytest.raises(NeurographError, match=message):
        pad_sequences(sequences, **options)


def test_a_series_of_ones_own_is_what_a_shipped_one_is() -> None:
    shipped = datasets.airline(window=5, horizon=2, test=30)
    own = datasets.from_series(shipped.columns["passengers"], 5, horizon=2, test=30, name="own")
    for mine, theirs in zip(own, shipped, strict=True):
        assert np.array_equal(mine.x, theirs.x)
        assert np.array_equal(mine.y, theirs.y)
    assert "licence" not in str(own)
    rows = np.arange(20.0).reshape(10, 2)
    data = datasets.from_series(rows, 3, test=2).scaled()
    assert data.scaler is not None
    assert data.scaler.to_dict()["unit"] == [14.0, 14.0]  # of the first eight rows alone
    assert np.allclose(data.scaler.inverse(data.test.y), rows[-2:])
    with pytest.raises(DataError, match=r"own has 6 values: .* between 1 and 2, not 3"):
        datasets.from_series(range(6), 3, test=3, name="own")
    with pytest.raises(ShapeError, match="it takes"):
        datasets.from_series(np.zeros((9, 2, 2)), 3, test=3)


# drawing classes


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_classes_are_drawn_as_often_as_they_are_likely(temperature: float) -> None:
    shares = np.array([[0.1, 0.6, 0.3, 0.0], [4.0, 2.0, 0.0, 2.0]])
    drawn = datasets.sample_classes(np.tile(shares, (20000, 1, 1)), temperature, default_rng(0))
    assert drawn.shape == (20000, 2)
    for column, row in zip(drawn.T, shares ** (1 / temperature), strict=True):
        likely = row / row.sum()
        assert np.abs(np.bincount(column, minlength=4) / 20000 - likely).max() < 0.015
        assert (np.bincount(column, minlength=4)[likely == 0] == 0).all()


def test_drawing_classes_is_settled_at_zero_and_refuses_what_is_no_row_of_shares() -> None:
    assert datasets.sample_classes([[0.2, 0.5, 0.3]], temperature=0).tolist() == [1]
    assert datasets.sample_classes([0.0, 1.0]) == 1
    assert datasets.sample_classes([0.1, 0.9], temperature=1e-320) == 1
    for wrong in ([[0.5, -0.5]], [[1.0, 0.0], [0.0, 0.0]], 0.5):
        with pytest.raises(DataError, match="no rows of numbers"):
            datasets.sample_classes(wrong)
    with pytest.raises(OptionError, match="temperature"):
        datasets.sample_classes([0.5, 0.5], temperature=-1)
    with pytest.raises(OptionError, match=r"needs a numpy.random.Generator, not 3"):
        datasets.sample_classes([0.5, 0.5], generator=3)
