"""Exports: models as files that other programs run, by the ending of the name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from neurograph.errors import OptionError, unknown

if TYPE_CHECKING:
    from neurograph.storage.atomic import StrPath
    from neurograph.train.model import Model


def _onnx(model: Model, path: StrPath) -> None:
    from neurograph.storage.onnx_export import export_onnx

    export_onnx(model.network, path)


EXPORTS: dict[str, Callable[[Model, StrPath], None]] = {".onnx": _onnx}


def export(model: Model, path: StrPath) -> None:
    """Write a model for other programs; see ``Model.export``."""
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"export: a file to write is given by its path, got {path!r}")
    ending = Path(path).suffix.lower()
    if ending not in EXPORTS:
        raise unknown(f"format of {str(path)!r}", ending, EXPORTS)
    EXPORTS[ending](model, path)
