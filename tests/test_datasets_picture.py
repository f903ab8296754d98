"""Pictures from anywhere, prepared as the training pictures were."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from neurograph import datasets
from neurograph.datasets import prepare_picture
from neurograph.errors import DataError, FormatError, NeurographError, OptionError, ShapeError

DATA = os.environ.get("NEUROGRAPH_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="NEUROGRAPH_DATA names no folder of data sets")
Array = np.ndarray[Any, Any]

CHANGES = ("inverted", "enlarged", "moved", "coloured", "light on dark", "uneven light", "noisy")


def seven() -> Array:
    """Return a seven of 28 by 28 pixels, prepared by the protocol: a fixed point of it."""
    picture = np.zeros((200, 140))
    picture[20:45, 10:125] = 1
    for row in range(45, 180):
        left = round(110 - 0.6 * (row - 45))
        picture[row, left - 12 : left + 12] = 1
    return prepare_picture(picture)


def changed(picture: Array, how: str, generator: np.random.Generator) -> Array:
    """Return a picture 0..1 as somebody else might have drawn and photographed it."""
    if how == "inverted":
        return np.round(255 * (1 - picture)).astype(np.uint8)
    big = picture.repeat(9, 0).repeat(9, 1)
    if how == "enlarged":
        return np.round(255 * big).astype(np.uint8)
    margins = generator.integers(0, 150, 4)
    big = np.pad(big, (margins[:2], margins[2:]))
    if how == "moved":
        return np.round(255 * (1 - big)).astype(np.uint8)
    paper, ink = np.array([235.0, 228, 205]), np.array([25.0, 40, 130])
    if how == "light on dark":
        paper, ink = ink, paper
    photo = paper + (ink - paper) * big[..., np.newaxis]
    if how == "uneven light":
        rows, columns = (np.linspace(0, 1, n) for n in big.shape)
        photo *= (1 - 0.5 * rows[:, np.newaxis] * columns)[..., np.newaxis]
    if how == "noisy":
        photo += generator.normal(0, 10, photo.shape)
    return np.clip(np.round(photo), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("how", CHANGES)
def test_however_a_digit_is_drawn_the_network_sees_the_same(how: str) -> None:
    want = seven()
    assert want.dtype == np.float32
    assert (want.min(), want.max()) == (0, 1)
    got = prepare_picture(changed(want, how, default_rng(0)))
    assert got.shape == (28, 28)
    assert abs(got - want).mean() < (0.01 if how != "noisy" else 0.02)


@pytest.fixture(scope="module")
def mnist() -> datasets.Dataset:
    return datasets.mnist()


@needs_data
@pytest.mark.parametrize("how", CHANGES)
def test_real_digits_come_back_and_are_recognised_as_before(
    mnist: datasets.Dataset, how: str
) -> None:
    known, labels = mnist.train.x[:5000].reshape(5000, -1) / np.float32(255), mnist.train.y[:5000]
    originals = mnist.test.x[:40] / np.float32(255)
    generator = default_rng(0)
    prepared = np.array([prepare_picture(changed(x, how, generator)) for x in originals])

    def nearest(pictures: Array) -> Array:
        flat = pictures.reshape(len(pictures), -1)
        return labels[((known**2).sum(1) - 2 * flat @ known.T).argmin(1)]

    pairs = zip(prepared, originals, strict=True)
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]
    assert np.mean(alike) > 0.97
    assert abs(prepared - originals).mean() < 0.02
    assert (nearest(prepared) == nearest(originals)).sum() >= 38


@needs_data
def test_mnist_itself_is_left_as_it_is(mnist: datasets.Dataset) -> None:
    originals = mnist.test.x[:200]
    prepared = np.array([prepare_picture(x) for x in originals])
    off = abs(prepared - originals / 255).mean((1, 2))
    assert np.median(off) < 0.001
    assert (off < 0.01).mean() > 0.95


@needs_data
def test_clothes_come_back_with_their_shades() -> None:
    clothes = datasets.fashion_mnist().test.x[:60]
    prepared = []
    for picture in clothes:
        photo = 255 - np.pad(picture.repeat(7, 0).repeat(7, 1), 25)
        prepared.append(prepare_picture(photo, like="fashion_mnist"))
    off = abs(np.array(prepared) - clothes / (clothes.max((1, 2), keepdims=True))).mean((1, 2))
    assert np.median(off) < 0.01


def test_the_box_and_the_centre() -> None:
    paper = np.ones((100, 100))
    paper[10:50, 20:24] = 0
    paper[46:50, 20:40] = 0
    by_mass, by_box = prepare_picture(paper), prepare_picture(paper, centre="box")
    rows, columns = (np.flatnonzero((by_box > 0.5).any(axis)) for axis in (1, 0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (4, 23, 9, 18)
    weight = by_mass.sum(1) @ np.arange(28) / by_mass.sum()
    assert 13.5 <= weight <= 14.5
    assert prepare_picture(paper, box=28, centre="box").max(1).min() > 0
    assert prepare_picture(paper, (40, 36), box=10).shape == (40, 36)
    assert prepare_picture(paper, (28, 28, 1)).shape == (28, 28, 1)
    assert prepare_picture(paper, like="digits").shape == (8, 8)
    assert np.array_equal(prepare_picture(paper, invert=True), by_mass)


def test_colours_of_equal_brightness_are_told_apart() -> None:
    paper = np.full((60, 60, 3), (150, 50, 100), np.uint8)
    paper[15:45, 28:32] = (50, 150, 100)
    got = prepare_picture(paper)
    rows, columns = (np.flatnonzero((got > 0.5).any(axis)) for axis in (1, 0))
    assert (len(rows), len(columns)) == (20, 3)


def test_colour_pictures_are_cut_to_shape_and_scaled() -> None:
    picture = default_rng(0).integers(0, 256, (64, 100, 3), dtype=np.uint8)
    got = prepare_picture(picture, (32, 32, 3))
    middle = picture[:, 18:82].reshape(32, 2, 32, 2, 3).mean((1, 3)) / 255
    np.testing.assert_allclose(got, middle, atol=1e-6)
    assert np.array_equal(prepare_picture(picture, like="cifar10"), got)
    grey = prepare_picture(picture[..., 0], (32, 32, 3))
    assert np.array_equal(grey[..., 0], grey[..., 2])


@pytest.mark.parametrize("form", ["L", "RGB", "RGBA", "P", "1", "LA", "I;16", "F", "turned"])
def test_files_of_every_kind(tmp_path: Path, form: str) -> None:
    image = pytest.importorskip("PIL.Image")
    want = seven()
    drawn = changed(want, "moved", default_rng(1))
    picture = image.fromarray(drawn)
    path = tmp_path / ("seven.tif" if form == "F" else "seven.png")
    if form in ("RGBA", "LA"):
        # black ink on nothing: what is transparent counts as paper
        picture = image.fromarray(np.zeros_like(drawn)).convert(form)
        picture.putalpha(image.fromarray(255 - drawn))
    elif form == "I;16":
        picture = image.fromarray(drawn.astype(np.uint16) * 257)
    elif form == "F":
        picture = image.fromarray(drawn.astype(np.float32))
    elif form != "turned":
        picture = picture.convert(form)
    if form == "turned":
        # a telephone held upright: pixels lie on their side, a note says how to turn them
        exif = picture.getexif()
        exif[0x0112] = 6
        path = path.with_suffix(".jpg")
        picture.transpose(image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
    else:
        picture.save(path)
    got = prepare_picture(path)
    assert abs(got - want).mean() < 0.02
    with image.open(path) as opened:
        assert np.array_equal(prepare_picture(opened), got)


def test_light_ink_on_nothing() -> None:
    want = seven()
    alpha = np.round(255 * want).astype(np.uint8)
    white = np.dstack([np.full((28, 28, 3), 255, np.uint8), alpha])
    np.testing.assert_allclose(prepare_picture(white), want, atol=0.02)


def test_types_of_arrays_give_the_same() -> None:
    drawn = changed(seven(), "moved", default_rng(2))
    want = prepare_picture(drawn)
    for same in (
        drawn / 255,
        drawn.astype(np.int64),
        drawn.astype(np.uint16) * 257,
        drawn[..., np.newaxis],
        drawn.tolist(),
        np.dstack([drawn] * 3),
    ):
        np.testing.assert_allclose(prepare_picture(same), want, atol=1e-6)
    assert prepare_picture(drawn > 128).max() == 1


def test_dust_is_left_out() -> None:
    drawn = changed(seven(), "moved", default_rng(3))
    want = prepare_picture(drawn)
    drawn[2:4, 2:4] = 0
    drawn[-5:-3, 40:43] = 0
    np.testing.assert_allclose(prepare_picture(drawn), want, atol=1e-6)


def test_what_is_no_picture(tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image")
    (tmp_path / "text.png").write_text("no picture")
    good = np.eye(9)
    for call, kind, says in (
        (lambda: prepare_picture(tmp_path / "gone.png"), DataError, "found no file"),
        (lambda: prepare_picture(tmp_path), DataError, "is a folder"),
        (lambda: prepare_picture(tmp_path / "text.png"), FormatError, "'text.png' cannot be read"),
        (lambda: prepare_picture(np.zeros((30, 30))), DataError, "nothing is drawn"),
        (lambda: prepare_picture(np.full((1, 1), 7)), DataError, "nothing is drawn"),
        (lambda: prepare_picture(np.zeros((3, 30, 30, 3))), ShapeError, "one picture at a time"),
        (lambda: prepare_picture(np.zeros((30, 30, 2))), ShapeError, "1, 3 or 4 channels"),
        (lambda: prepare_picture(np.zeros(30)), ShapeError, "must be"),
        (lambda: prepare_picture(-good), DataError, "holds -1.0"),
        (lambda: prepare_picture(good * 300), DataError, "holds 300.0"),
        (lambda: prepare_picture(good * np.nan), DataError, "holds nan"),
        (lambda: prepare_picture([]), DataError, "is empty"),
        (lambda: prepare_picture(good, 28), OptionError, "size is 28"),
        (lambda: prepare_picture(good, (28, 28, 2)), OptionError, "size is"),
        (lambda: prepare_picture(good, (0, 28)), OptionError, r"the height must be .*got 0"),
        (lambda: prepare_picture(good, box=29), OptionError, "must fit into 28x28"),
        (lambda: prepare_picture(good, like="minst"), NeurographError, "did you mean 'mnist'"),
        (lambda: prepare_picture(good, centre="midst"), NeurographError, "unknown centre"),
    ):
        with pytest.raises(kind, match=says):
            call()  # type: ignore[no-untyped-call]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_small_picture_is_prepared_or_refused(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    levels = data.draw(st.sampled_from([2, 3, 256]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    drawn = default_rng(seed).integers(0, levels, shape).astype(np.uint8)
    if data.draw(st.booleans()):
        drawn[1:, :] = drawn[0, 0]
    invert = data.draw(st.sampled_from([None, True, False]))
    try:
        got = prepare_picture(drawn, like="mnist", invert=invert)
    except DataError:
        return
    assert got.shape == (28, 28)
    assert np.isfinite(got).all()
    assert 0 <= got.min() < got.max() <= 1
