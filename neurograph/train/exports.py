"""Exports: models as files that other programs run, by the ending of the name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurograph.errors import OptionError, unknown

if TYPE_CHECKING:
    from neurograph.storage.atomic import StrPath
    from neurograph.train.model import Model


def _script(model: Model, path: StrPath, steps: int | None) -> None:
    from neurograph.compiler.export import script
    from neurograph.storage.atomic import atomic_write

    model.refresh()
    place = Path(path)
    text, arrays = script(model.executable, place, steps)
    if arrays is not None:
        with atomic_write(place.with_suffix(".npz")) as file:
            np.savez(file, **arrays)
    with atomic_write(place) as file:
        file.write(text.encode())


def _onnx(model: Model, path: StrPath, steps: int | None) -> None:
    from neurograph.storage.onnx_export import export_onnx

    export_onnx(model.network, path)


EXPORTS: dict[str, Callable[[Model, StrPath, int | None], None]] = {
    ".onnx": _onnx,
    ".py": _script,
}


def export(model: Model, path: StrPath, steps: int | None = None) -> None:
    """Write a model for other programs; see ``Model.export``."""
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"export: a file to write is given by its path, got {path!r}")
    ending = Path(path).suffix.lower()
    if ending not in EXPORTS:
        raise unknown("format", ending, EXPORTS, of=repr(str(path)))
    EXPORTS[ending](model, path, steps)
