"""A folder of pictures and a text file of ``name label`` lines as arrays."""

from __future__ import annotations

import glob
import hashlib
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurograph.datasets.checks import Array, as_text, contents, existing_file
from neurograph.errors import (
    DataError,
    FormatError,
    MissingDependencyError,
    OptionError,
    StorageError,
)
from neurograph.options import whole
from neurograph.storage.atomic import atomic_write

Mode = Literal["auto", "grey", "colour"]


class Images(NamedTuple):
    """Pictures, their class numbers, and the names of the classes.

    Attributes
    ----------
    x : (pictures, height, width) uint8 for grey pictures, (pictures, height, width, 3) in colour
    y : (pictures,) int64
    class_names : tuple of str
    """

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    class_names: tuple[str, ...]


def read_images(
    folder: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    mode: Mode = "auto",
    class_names: Sequence[str] | None = None,
    cache: str | os.PathLike[str] | None = "",
) -> Images:
    """Read the pictures that a text file lists, one ``name label`` a line.

    The arrays are kept as ``.npy`` files after the first run and read from there as long as the
    list, the options and the pictures (size and time of change) stay as they were.

    Parameters
    ----------
    folder : folder of the pictures, in any form that Pillow reads
    labels : the text file; a label is a class number or a name without spaces
    size : (height, width), optional
        Bring every picture to this size; without it all must have the same one.
    mode : "auto", "grey" or "colour"
        "auto" goes by the first picture.
    class_names : sequence of str, optional
        The names in the order of their class numbers, so that a training and a test list agree.
        When left out: the sorted names that occur, or "0", "1", … for numbers.
    cache : folder of the ``.npy`` files, optional
        Beside the text file when left out; None keeps nothing.

    Returns
    -------
    Images
        unpacks as ``x, y, class_names``

    Raises
    ------
    FormatError
        For a line without name and label, or a picture that cannot be read, each by its name.
    DataError
        For pictures that are missing or of different size.

    Examples
    --------
    ``x, y, names = ng.datasets.read_images("digits/", "digits.txt", size=(28, 28), mode="grey")``
    """
    if mode not in ("auto", "grey", "colour"):
        raise OptionError(f"mode is {mode!r}: it must be 'auto', 'grey' or 'colour'")
    if size is not None:
        if not isinstance(size, tuple) or len(size) != 2:
            raise OptionError(f"size is {size!r}: it must be (height, width)")
        size = (whole("the height", size[0], least=1), whole("the width", size[1], least=1))
    listing = existing_file("read_images()", labels)
    names, marks = _read_list(listing)
    y, classes = _class_numbers(marks, class_names, listing.name)
    paths = _find(Path(folder), names, listing.name)
    if cache is None:
        return Images(_read_pictures(paths, size, mode), y, classes)
    home = Path(cache) if cache else listing.parent
    x = _cached(home, listing.stem, paths, lambda: _read_pictures(paths, size, mode), (size, mode))
    return Images(x, y, classes)


def _read_list(listing: Path) -> tuple[list[str], list[str]]:
    """Return the names and the labels of a list."""
    raw, name = contents("read_images()", listing)
    lines = as_text(raw, name).splitlines()
    names, marks = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        # a file name may hold spaces, a label may not
        parts = line.rsplit(maxsplit=1)
        if len(parts) != 2:
            raise FormatError(
                f"line {number} of {name} is {line.strip()!r}: "
                "it must be the name of a picture and its label"
            )
        names.append(parts[0].strip())
        marks.append(parts[1])
    if not names:
        raise DataError(f"{name} lists no pictures")
    return names, marks


def _class_numbers(
    marks: list[str], class_names: Sequence[str] | None, source: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    numbers = all(mark.isascii() and mark.isdigit() and len(mark) < 7 for mark in marks)
    if class_names is None and numbers:
        y = np.array(marks, np.int64)
        return y, tuple(str(each) for each in range(int(y.max()) + 1))
    classes = tuple(sorted(set(marks)) if class_names is None else map(str, class_names))
    place = {name: number for number, name in enumerate(classes)}
    if len(place) != len(classes):
        raise OptionError(f"class_names has a name twice: {', '.join(classes)}")
    for mark in marks:
        if mark not in place and not (numbers and int(mark) < len(classes)):
            raise DataError(
                f"{source!r} has the label {mark!r}, which is not among the classes "
                f"{', '.join(classes[:20])}"
            )
    return np.array([place[m] if m in place else int(m) for m in marks], np.int64), classes


def _find(folder: Path, names: Iterable[str], source: str) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"read_images() found no folder {str(folder)!r}")
    paths = [folder / name for name in names]
    gone = [path for path in paths if not path.is_file()]
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise DataError(
            f"{source!r} lists {gone[0].name!r}{more}, which {str(folder)!r} does not hold"
        )
    return paths


def _read_pictures(
    paths: Sequence[Path], size: tuple[int, int] | None, mode: Mode
) -> NDArray[np.uint8]:
    pillow = import_pillow("read_images()")
    pictures: list[Array] = []
    for path in paths:
        with opened(pillow, path) as picture:
            if mode == "auto":
                grey = picture.mode in ("1", "L", "LA", "I", "I;16", "F")
                mode = "grey" if grey else "colour"
            plain = picture.convert("L" if mode == "grey" else "RGB")
            if size is not None and plain.size != size[::-1]:
                plain = plain.resize(size[::-1], pillow.Resampling.BILINEAR)
            pictures.append(np.asarray(plain, np.uint8))
        if pictures[-1].shape != pictures[0].shape:
            first, this = (f"{p.shape[0]}x{p.shape[1]}" for p in (pictures[0], pictures[-1]))
            raise DataError(
                f"{path.name!r} is {this} and {paths[0].name!r} is {first}: "
                "pass size=(height, width) to bring all pictures to one size"
            )
    return np.stack(pictures)


def import_pillow(what: str) -> Any:
    """Return the module ``PIL.Image``."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(
            f"{what} reads pictures with Pillow, which is not installed: pip install pillow"
        ) from error
    return Image


def opened(pillow: Any, path: Path) -> Any:
    """Return a picture that Pillow has read completely."""
    try:
        with warnings.catch_warnings():
            # a picture of absurd size is an error here, not a warning
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with path.open("rb") as file:
                picture = pillow.open(file)
                picture.load()
        return picture
    except pillow.UnidentifiedImageError as error:
        raise FormatError(
            f"the picture {path.name!r} cannot be read: Pillow knows no such format"
        ) from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        raise FormatError(f"the picture {path.name!r} cannot be read: {error}") from error


def _cached(
    home: Path,
    stem: str,
    paths: Sequence[Path],
    make: Callable[[], NDArray[np.uint8]],
    options: object,
) -> NDArray[np.uint8]:
    """Return the array kept for exactly these files and options; make and keep it otherwise."""
    mark = hashlib.sha256(repr(options).encode())
    for path in paths:
        state = path.stat()
        mark.update(f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    kept = home / f"{stem}-{mark.hexdigest()[:16]}.npy"
    if kept.is_file():
        try:
            known = np.load(kept, allow_pickle=False)
            if known.dtype == np.uint8 and len(known) == len(paths):
                return np.asarray(known)
        except (ValueError, OSError, EOFError):
            kept.unlink()  # damaged: the pictures themselves are still there
    x = make()
    try:
        with atomic_write(kept) as file:
            np.save(file, x, allow_pickle=False)
        for old in home.glob(f"{glob.escape(stem)}-{'[0-9a-f]' * 16}.npy"):
            if old != kept:
                old.unlink()
    except StorageError as error:
        warnings.warn(
            f"read_images() could not keep its arrays, so the pictures will be read again next "
            f"time (cache=None says that on purpose): {error}",
            stacklevel=3,
        )
    return x
