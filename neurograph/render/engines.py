"""Whatever can turn a .dot text into a picture: Graphviz, graphviz-pure or pygraphviz."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from neurograph.errors import (
    MissingDependencyError,
    NeurographError,
)
from neurograph.render.style import FONT
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.figures import picture_format

DOTS_PER_INCH = 144
THREE_WAYS = (
    "install the extra (pip install 'neurograph[viz]'), or install Graphviz (graphviz.org) so that "
    "the command dot is found, or open the .dot file in any Graphviz viewer"
)
SVG_FONTS = "Verdana,DejaVu Sans,Geneva,sans-serif"  # equally wide; one of them is everywhere
_FIRST_WIDE = 0x2E80  # Chinese, Japanese, Korean and the rest: not in the fonts of graphviz-pure


def draw(source: str, kind: str) -> bytes:
    """Return a picture of a .dot text.

    Parameters
    ----------
    source : str
    kind : {"svg", "png", "pdf"}

    Raises
    ------
    MissingDependencyError
        If nothing here can draw that format.
    NeurographError
        If every program found refuses the text.
    """
    if kind == "svg":  # it shows the fonts of its reader: leave room for the widest
        source = source.replace(f"fontname={FONT}", "fontname=Verdana", 3)
    complaints = []
    for name, engine in _engines(source, kind):
        try:
            content = bytes(engine(source, kind))
            return re.sub(rb'(?<=font-family=")Verdana[^"]*', SVG_FONTS.encode(), content)
        except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as error:
            complaints.append(f"{name}: {_first_line(error)}")
    if complaints:
        raise NeurographError(f"no {kind.upper()} could be drawn: {'; '.join(complaints)}")
    if kind == "pdf" and _command("graphviz-pure"):
        raise MissingDependencyError(
            "graphviz-pure draws no PDF: install Graphviz (graphviz.org) or pip install "
            "pygraphviz, or write .svg"
        )
    raise MissingDependencyError(f"nothing here can draw {kind.upper()}: {THREE_WAYS}")


def _engines(source: str, kind: str) -> Iterator[tuple[str, Any]]:
    """Return what can draw the format, the best first."""
    wide = any(ord(each) >= _FIRST_WIDE for each in source)
    command = _command("dot")
    if command:
        yield "dot", lambda text, form: _run(command, text, form)
    pure = _command("graphviz-pure") if kind != "pdf" else None
    if pure and not (wide and kind == "png"):
        yield "graphviz-pure", lambda text, form: _run(pure, text, form)
    if _has_pygraphviz():
        yield "pygraphviz", _run_pygraphviz
    if pure and wide and kind == "png":
        warn(
            "the fonts of graphviz-pure have no Chinese, Japanese or Korean letters: write .svg, "
            "or install Graphviz or pygraphviz"
        )
        yield "graphviz-pure", lambda text, form: _run(pure, text, form)


def _command(name: str) -> str | None:
    """Return the path of a program on PATH, or beside this Python."""
    beside = [os.path.dirname(sys.executable), sysconfig.get_path("scripts")]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(beside))


def _run(command: str, source: str, kind: str) -> bytes:
    options = [f"-Gdpi={DOTS_PER_INCH}"] if kind == "png" else []
    done = subprocess.run(
        [command, f"-T{kind}", *options], input=source.encode(), capture_output=True, check=False
    )
    if done.returncode or not done.stdout:
        raise ValueError(done.stderr.decode(errors="replace") or f"status {done.returncode}")
    return done.stdout


def _has_pygraphviz() -> bool:
    return find_spec("pygraphviz") is not None


def _run_pygraphviz(source: str, kind: str) -> bytes:
    pygraphviz = import_module("pygraphviz")
    with warnings.catch_warnings():  # it repeats the layout's remarks as warnings
        warnings.simplefilter("ignore")
        graph = pygraphviz.AGraph(string=source)
        if kind == "png":
            graph.graph_attr["dpi"] = str(DOTS_PER_INCH)
        return bytes(graph.draw(format=kind, prog=graph.graph_attr["layout"] or "dot"))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    bad = [line for line in lines if line.lower().startswith("error")]
    return (bad or lines or [type(error).__name__])[0]


def warn(message: str) -> None:
    """Warn at the line outside neurograph from which a picture was asked for."""
    package = os.path.dirname(os.path.dirname(__file__)) + os.sep
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def write_picture(source: str, path: StrPath) -> Path:
    """Write a picture; without anything that draws, write the .dot text beside it and say so.

    Returns the path that was written.

    Raises
    ------
    UnknownNameError
        If the path ends in no known format.
    StorageError
        If the file cannot be written; nothing is left of it then.
    """
    kind = picture_format(path)
    target = Path(path)
    if kind == "dot":
        content = source.encode()
    else:
        try:
            content = draw(source, kind)
        except MissingDependencyError as error:
            target = target.with_suffix(".dot")
            content = source.encode()
            warn(f"{target} was written instead of {path}: {error}")
    with atomic_write(target) as file:
        file.write(content)
    return target
