"""Pictures as files: the format that a path asks for, and figures of matplotlib, written whole."""

from __future__ import annotations

import io
import os
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurograph.errors import MissingDependencyError, OptionError, UnknownNameError, unknown
from neurograph.storage.atomic import StrPath, atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf", "dot")


def picture_format(path: StrPath, known: tuple[str, ...] = FORMATS) -> str:
    """Return the format that a path's ending asks for.

    Raises
    ------
    UnknownNameError
        If it is none that can be written.
    OptionError
        If it is no path.

    >>> picture_format("net.SVG"), picture_format("net.gv")
    ('svg', 'dot')
    """
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"a picture is written to a path such as 'net.svg', got {path!r}")
    ending = Path(path).suffix.lower().lstrip(".")
    found = "dot" if ending == "gv" else ending
    if not ending:
        raise UnknownNameError(
            f"{os.fspath(path)!r} has no ending that names a format; known: .{', .'.join(known)}"
        )
    if found not in known:
        raise unknown("picture format", ending, known, of=repr(os.fspath(path)))
    return found


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


def new_figure(what: str, width: float, height: float, title: str = "") -> Figure:
    """Return an empty matplotlib figure of a size in inches, which shows itself in notebooks.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed; the message says ``what`` needs it.
    """
    needed("matplotlib", what)
    figure: Figure = _figure_class()(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title)
    return figure


@cache
def _figure_class() -> type[Figure]:
    """Return a class of figures for notebooks in which nobody imported pyplot."""
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self) -> bytes:
            return _drawn(self, "png")

    return Shown


def _drawn(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    figure.savefig(buffer, format=kind, dpi=144, metadata=metadata)
    return buffer.getvalue()


def write_figure(figure: Figure, path: StrPath | None) -> Figure:
    """Write a figure, whole or not at all, if a path is given; return the figure.

    Raises
    ------
    UnknownNameError, OptionError
        The path ends in none of .svg, .png, .pdf; it is no path.
    StorageError
        The file cannot be written.
    """
    if path is not None:
        content = _drawn(figure, picture_format(path, ("svg", "png", "pdf")))
        with atomic_write(path) as file:
            file.write(content)
    return figure
