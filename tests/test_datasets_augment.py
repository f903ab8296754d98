"""Augmentation: what each step does to the pixels, and that the same seed gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.random import default_rng

from neurograph.datasets import Augmentation, Flip, RandomCrop, Rescale, Rotate, Shift, Zoom
from neurograph.datasets.resample import resample, resize
from neurograph.errors import DataError, OptionError, ShapeError, UnknownNameError

Array = np.ndarray[Any, Any]
BATCH = default_rng(7).random((40, 9, 6, 3), dtype=np.float32)
STEPS: list[Callable[..., Any]] = [
    Rescale(0.5, 1.0),
    Flip(True, True),
    RandomCrop((8, 6), padding=2),
    Shift(2, 1),
    Rotate(30.0, fill="reflect"),
    Zoom((0.7, 1.4), fill="nearest"),
    Augmentation(Rotate(20), Zoom(0.2), Shift(0.2), Flip()),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_the_same_seed_gives_the_same_bits_and_leaves_the_batch(step: Callable[..., Any]) -> None:
    before = BATCH.copy()
    first, second = step(BATCH, default_rng(3)), step(BATCH, default_rng(3))
    assert first.tobytes() == second.tobytes()
    assert np.array_equal(BATCH, before)
    assert not np.shares_memory(first, BATCH)
    assert first.dtype == np.float32
    if not isinstance(step, Rescale):
        assert step(BATCH, default_rng(4)).tobytes() != first.tobytes()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_pictures_without_channels_are_treated_as_those_with_one(step: Callable[..., Any]) -> None:
    grey = BATCH[..., 0]
    with_axis = step(grey[..., np.newaxis], default_rng(3))
    assert np.array_equal(step(grey, default_rng(3)), with_axis[..., 0])


def test_rescale_by_hand() -> None:
    x = np.array([[[[0], [255]]]], np.uint8)
    out = Rescale(2 / 255, -1)(x, default_rng(0))
    assert out.dtype == np.float32
    assert out.ravel().tolist() == [-1.0, 1.0]
    assert Rescale(0.1)(np.ones((1, 1, 1)), default_rng(0)).tolist() == [[[0.1]]]


@pytest.mark.parametrize(("horizontal", "vertical"), [(True, False), (False, True), (True, True)])
def test_every_flipped_picture_is_the_picture_or_its_mirror(
    horizontal: bool, vertical: bool
) -> None:
    x = default_rng(0).integers(0, 255, (200, 4, 5, 2), dtype=np.uint8)
    out = Flip(horizontal, vertical)(x, default_rng(1))
    assert out.dtype == np.uint8
    flips = [(v, h) for v in ({0, vertical}) for h in ({0, horizontal})]
    counts = dict.fromkeys(flips, 0)
    for picture, result in zip(x, out, strict=True):
        for v, h in flips:
            if np.array_equal(picture[:: -1 if v else 1, :: -1 if h else 1], result):
                counts[v, h] += 1
    assert sum(counts.values()) == 200
    assert min(counts.values()) > 150 / len(flips)


def test_every_crop_is_a_window_of_its_picture() -> None:
    x = default_rng(0).integers(1, 255, (60, 6, 7, 2), dtype=np.uint8)
    out = RandomCrop((5, 4), padding=1)(x, default_rng(1))
    assert out.shape == (60, 5, 4, 2)
    assert out.dtype == np.uint8
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = set()
    for picture, result in zip(padded, out, strict=True):
        found = {
            (r, c)
            for r in range(4)
            for c in range(6)
            if np.array_equal(picture[r : r + 5, c : c + 4], result)
        }
        assert len(found) == 1
        places |= found
    assert {r for r, _ in places} == set(range(4))
    assert {c for _, c in places} == set(range(6))
    edge = RandomCrop(6, padding=4, fill="nearest")(np.full((3, 6, 6), 9.0), default_rng(0))
    assert (edge == 9).all()


@pytest.mark.parametrize("fill", ["constant", "nearest", "reflect"])
def test_every_shifted_picture_is_the_picture_moved_by_whole_pixels(fill: str) -> None:
    mode: Any = {"constant": "constant", "nearest": "edge", "reflect": "reflect"}[fill]
    given = {"constant_values": 0.25} if fill == "constant" else {}
    out = Shift(2, 1, fill=fill, value=0.25)(BATCH, default_rng(1))  # type: ignore[arg-type]
    padded = np.pad(BATCH, ((0, 0), (2, 2), (1, 1), (0, 0)), mode, **given)
    places = set()
    for picture, result in zip(padded, out, strict=True):
        found = {
            (r, c)
            for r in range(5)
            for c in range(3)
            if np.array_equal(picture[r : r + 9, c : c + 6], result)
        }
        assert len(found) == 1
        places |= found
    assert len(places) > 10


def test_a_shift_below_one_is_a_part_of_the_size() -> None:
    x = np.zeros((300, 10, 20, 1))
    x[:, 5, 10] = 1
    out = Shift(0.2)(x, default_rng(0))
    rows, columns = np.nonzero(out[..., 0])[1:]
    assert len(rows) == 300
    assert (rows.min(), rows.max()) == (3, 7)
    assert (columns.min(), columns.max()) == (6, 14)


def test_turns_agree_with_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    x = default_rng(0).random((6, 11, 8, 2))
    out = Rotate(40)(x, default_rng(5))
    angles = default_rng(5).uniform(-40, 40, 6)
    for picture, result, angle in zip(x, out, angles, strict=True):
        # scipy cuts off at the outermost pixel centres, a zero frame makes both fade alike
        framed = np.pad(picture, ((1, 1), (1, 1), (0, 0)))
        want = ndimage.rotate(framed, angle, reshape=False, order=1)
        np.testing.assert_allclose(result, want[1:-1, 1:-1], atol=1e-5)


def test_right_angles_move_pixels_exactly() -> None:
    x = default_rng(0).random((1, 5, 5, 2))
    for turns in range(4):
        angle = turns * np.pi / 2
        maps = np.array([[[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0]]])
        out = resample(x, maps, "constant", 0.0)
        np.testing.assert_allclose(out[0], np.rot90(x[0], turns), atol=1e-6)


def test_a_zoom_by_two_doubles_what_is_in_the_middle() -> None:
    x = np.zeros((1, 9, 9))
    x[0, 3:6, 3:6] = 1
    out = Zoom((2.0, 2.0))(x, default_rng(0))
    np.testing.assert_allclose(out[0, 4], [0, 0.5, 1, 1, 1, 1, 1, 0.5, 0], atol=1e-6)
    assert (Zoom((0.5, 0.5), value=3.0)(x + 3, default_rng(0))[0, 0] == 3).all()


def test_neighbouring_moves_are_joined_into_one() -> None:
    steps = (Rotate(25), Zoom(0.3), Shift(3))
    joined = Augmentation(*steps)(BATCH, default_rng(2))
    generator = default_rng(2)
    one_by_one = BATCH
    for step in steps:
        one_by_one = step(one_by_one, generator)
    # the same moves, so the same pictures but for the blur of interpolating three times
    smooth = default_rng(0).random((40, 3, 2, 3))
    smooth = np.stack([resize(picture, (27, 18)) for picture in smooth])
    a = Augmentation(*steps)(smooth, default_rng(2))[:, 9:18, 6:12]
    generator, b = default_rng(2), smooth
    for step in steps:
        b = step(b, generator)
    assert abs(a - b[:, 9:18, 6:12]).mean() < 0.01
    assert abs(joined - one_by_one).max() > 0
    single = Augmentation([Rotate(25)])(BATCH, default_rng(2))
    assert np.array_equal(single, Rotate(25)(BATCH, default_rng(2)))


def test_moves_that_fill_differently_stay_apart() -> None:
    steps = (Shift(2, fill="nearest"), Shift(2, value=1.0))
    joined = Augmentation(*steps)(BATCH, default_rng(2))
    generator = default_rng(2)
    apart = steps[1](steps[0](BATCH, generator), generator)
    assert np.array_equal(joined, apart)


def test_any_function_is_a_step() -> None:
    def noise(x: Array, generator: np.random.Generator) -> Array:
        return x + generator.normal(0, 0.1, x.shape)

    augment = Augmentation(noise, Flip(False))
    want = BATCH + default_rng(0).normal(0, 0.1, BATCH.shape)
    assert np.array_equal(augment(BATCH, default_rng(0)), want)
    assert str(augment) == "noise -> Flip(horizontal=False, vertical=False)"
    assert repr(Augmentation(Rescale(0.5))) == "Augmentation(Rescale(factor=0.5, offset=0))"
    assert str(Augmentation()) == "no change"
    assert np.array_equal(Augmentation()(BATCH, default_rng(0)), BATCH)


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: Rescale("x"), OptionError, r"factor must be .*got 'x'"),  # type: ignore[arg-type]
        (lambda: Rescale(float("nan")), OptionError, r"factor must be .*got nan"),
        (lambda: RandomCrop(0), OptionError, r"size must be .*got 0"),
        (lambda: RandomCrop((3, 3, 3)), OptionError, "a number or"),  # type: ignore[arg-type]
        (lambda: RandomCrop(3, padding=-1), OptionError, r"padding must be .*got \-1"),
        (lambda: Shift(-0.1), OptionError, r"height must be .*got \-0\.1"),
        (lambda: Rotate(400), OptionError, r"degrees must be .*got 400"),
        (lambda: Zoom(1.0), OptionError, "Zoom goes from 0 to 2 times"),
        (lambda: Zoom((1.2, 0.8)), OptionError, "must be above 0 and rise"),
        (lambda: Zoom((1.2,)), OptionError, "a number or"),  # type: ignore[arg-type]
        (lambda: Shift(fill="nearst"), UnknownNameError, "did you mean 'nearest'"),  # type: ignore[arg-type]
        (lambda: Augmentation(Flip(), 3), OptionError, "3 is no augmentation"),  # type: ignore[arg-type]
    ],
)
def test_impossible_options(make: Callable[[], Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        make()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_batches_that_are_none(step: Callable[..., Any]) -> None:
    name = type(step).__name__
    with pytest.raises(OptionError, match=f"{name} needs a numpy.random.Generator, not 5"):
        step(BATCH, 5)
    with pytest.raises(ShapeError, match=rf"the batch for {name} has shape \(9, 6\)"):
        step(BATCH[0, :, :, 0], default_rng(0))
    with pytest.raises(DataError, match="is empty"):
        step(BATCH[:0], default_rng(0))
    with pytest.raises(DataError, match="holds <U1 values"):
        step([[["a"]]], default_rng(0))
    with pytest.raises(ShapeError, match="ragged"):
        step([[[1, 2], [3]]], default_rng(0))


def test_a_crop_larger_than_the_picture() -> None:
    with pytest.raises(ShapeError, match="cannot cut 12x12 from pictures of 11x8, padding"):
        RandomCrop(12, padding=1)(BATCH, default_rng(0))


def test_resizing_averages_or_interpolates() -> None:
    x = default_rng(0).random((8, 12, 3))
    np.testing.assert_allclose(resize(x, (4, 4)), x.reshape(4, 2, 4, 3, 3).mean((1, 3)))
    np.testing.assert_allclose(resize(x, (8, 12)), x)
    np.testing.assert_allclose(resize(x, (5, 7)).mean((0, 1)), x.mean((0, 1)))
    np.testing.assert_allclose(resize(np.array([[0.0, 1.0]]), (1, 4)), [[0, 0.25, 0.75, 1]])
