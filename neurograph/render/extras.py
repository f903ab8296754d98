"""Packages of the extra ``plot``, imported when they are needed; figures written safely."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

from neurograph.errors import MissingDependencyError
from neurograph.render.engines import picture_format
from neurograph.storage.atomic import StrPath, atomic_write


def needed(module: str, what: str) -> Any:
    """Return a module of the extra ``plot``, or say what needs it and how to get it.

    >>> needed("matplotlib", "a heat map").__name__
    'matplotlib'
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = {"PIL": "pillow"}.get(module.split(".")[0], module.split(".")[0])
        raise MissingDependencyError(
            f"{what} needs {package}: pip install 'neurograph[plot]'"
        ) from error


def new_figure(what: str, width: float, height: float) -> Any:
    """Return an empty matplotlib figure of a size in inches."""
    needed("matplotlib", what)
    return needed("matplotlib.figure", what).Figure(figsize=(width, height), layout="constrained")


def write_figure(figure: Any, path: StrPath | None) -> Any:
    """Write a figure, whole or not at all, if a path is given; return the figure."""
    if path is None:
        return figure
    kind = picture_format(path, ("svg", "png", "pdf"))
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(buffer, format=kind, dpi=144, metadata=metadata)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())
    return figure
