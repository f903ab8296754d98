"""Picture: a graphviz graph that shows itself in notebooks, whatever draws it."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Any

import graphviz

from neurograph.errors import MissingDependencyError
from neurograph.render.engines import draw, warn, write_picture
from neurograph.render.style import FONT, INK, printable
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.figures import picture_format


class Picture(graphviz.Digraph):  # type: ignore[misc]  # graphviz ships no types
    """A ``graphviz.Digraph`` of a network.

    Parameters
    ----------
    name : str
        Names the graph in its text.
    layout : str
        ``"nop2"``: every place and curve is given; ``"dot"``: Graphviz arranges boxes in ranks.
    attributes : str
        Of the graph.
    """

    def __init__(self, name: str = "network", layout: str = "nop2", **attributes: str) -> None:
        super().__init__(
            name="network",
            graph_attr={
                "layout": layout,
                "bgcolor": "white",
                "fontname": FONT,
                "fontcolor": INK,
                "outputorder": "edgesfirst",
                "tooltip": words(name) or " ",
                **attributes,
            },
            node_attr={"fontname": FONT, "fontcolor": INK, "color": INK},
            edge_attr={"fontname": FONT, "fontcolor": INK, "color": INK},
        )

    def write(self, path: StrPath) -> None:
        """Write the picture as the ending of ``path`` says: .svg, .png, .pdf or .dot."""
        write_picture(str(self.source), path)

    def render(
        self,
        filename: StrPath | None = None,
        directory: StrPath | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
        outfile: StrPath | None = None,
        **_: Any,
    ) -> str:
        """Write the text and the picture as ``graphviz.Digraph.render``; return the picture's path.

        Drawn by whatever is there, as with ``Network.render``, which takes the path alone.
        """
        text = Path(directory or "", filename or self.filename)
        target = Path(outfile) if outfile is not None else Path(f"{text}.{format or self.format}")
        picture_format(target)
        with atomic_write(text) as file:
            file.write(str(self.source).encode())
        written = write_picture(str(self.source), target)
        if cleanup and text != written:
            text.unlink()
        if view:
            webbrowser.open(written.resolve().as_uri())
        return str(written)

    def pipe(self, format: str | None = None, encoding: str | None = None, **_: Any) -> Any:
        """Return the picture in a format, drawn by whatever is there."""
        content = draw(str(self.source), format or "svg")
        return content.decode(encoding) if encoding else content

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> Any:
        try:
            return {"image/svg+xml": self.pipe("svg", encoding="utf-8")}
        except MissingDependencyError as error:
            warn(str(error))
            return {"text/plain": str(self.source)}


def words(text: str) -> Any:
    """Return text for an attribute in which nothing is taken for an escape or for HTML."""
    return graphviz.escape(printable(text).replace("&", "&amp;"))
