"""Learning made visible: pictures of the weights over training, animated and as a strip."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurograph.errors import DataError, OptionError, ShapeError, unknown
from neurograph.options import number as checked_number
from neurograph.options import whole
from neurograph.render.arrange import arrange
from neurograph.render.engines import draw
from neurograph.render.key import notes_of, title_of
from neurograph.render.options import Options, read_options
from neurograph.render.painter import Painter
from neurograph.render.picture import Picture
from neurograph.render.scene import Scene
from neurograph.render.wires import Strengths, add_wires
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.figures import needed, picture_format
from neurograph.train.probe import Probe
from neurograph.words import count

if TYPE_CHECKING:
    from neurograph.graph.network import Network

Array = NDArray[Any]
Snapshot = Mapping[str, ArrayLike] | Sequence[ArrayLike]
Snapshots = Sequence[Snapshot] | Probe
SVG = "http://www.w3.org/2000/svg"
MOST_FRAMES = 120


def animate(
    network: Network,
    snapshots: Snapshots,
    path: StrPath,
    *,
    labels: Sequence[str] = (),
    seconds: float = 6.0,
    **options: Any,
) -> None:
    """Write an animated picture of the weights over training.

    Parameters
    ----------
    network : Network
        Small enough to be drawn node by node.
    snapshots : Probe, or sequence of mapping of name to array or of lists as from ``get_weights``
        The weights at several times, at least two; a ``Probe(net)`` of a training has them.
    path : path
        Ends in .svg (plays in browsers) or .gif (needs Pillow, of the extra ``plot``).
    labels : sequence of str, optional
        What is written below each picture: ``"epoch 3"``.
    seconds : float
        How long one run takes; it repeats.
    options
        Those of ``Network.render``.

    Raises
    ------
    DataError, ShapeError
        There are fewer than two snapshots, or one does not fit the network.
    OptionError
        Something to show is not known over time, such as gradients.
    MissingDependencyError
        Nothing here can draw, or Pillow is needed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from neurograph import Network
    >>> net = Network([2, 2, 1], seed=0)
    >>> before = net.get_weights()
    >>> after = [3 * weights for weights in before]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "learning.svg")
    ...     animate(net, [before, after], path)
    ...     path.read_text().count("<animate ")
    20
    """
    kind = picture_format(path, ("svg", "gif"))
    seconds = checked_number("animate: seconds", seconds, above=0.0)
    film = _Film(network, snapshots, labels, read_options(options, "nodes"))
    content = film.animated_svg(seconds) if kind == "svg" else film.gif(seconds)
    with atomic_write(path) as file:
        file.write(content)


def film_strip(
    network: Network,
    snapshots: Snapshots,
    path: StrPath,
    *,
    labels: Sequence[str] = (),
    columns: int = 4,
    **options: Any,
) -> None:
    """Write the pictures of ``animate`` side by side, as one .svg or .png.

    Parameters
    ----------
    network, snapshots, labels, options
        As for ``animate``.
    path : path
        Ends in .svg, or .png (needs Pillow, of the extra ``plot``).
    columns : int
        How many pictures stand in a row.

    Raises
    ------
    DataError, ShapeError, MissingDependencyError
        As ``animate``.
    """
    kind = picture_format(path, ("svg", "png"))
    columns = whole("film_strip: columns", columns, least=1)
    film = _Film(network, snapshots, labels, read_options(options, "nodes"))
    content = film.strip_svg(columns) if kind == "svg" else film.strip_png(columns)
    with atomic_write(path) as file:
        file.write(content)


class _Film:
    """Pictures of one scene with the weights of several times, on one scale of colours."""

    def __init__(
        self,
        network: Network,
        snapshots: Snapshots,
        labels: Sequence[str],
        options: Options,
    ) -> None:
        if isinstance(snapshots, Probe):
            steps = snapshots.history.steps.tolist()
            labels = labels or [f"after {count(step, 'batch', 'batches')}" for step in steps]
            snapshots = snapshots.snapshots
        if not isinstance(snapshots, Sequence) or len(snapshots) < 2:
            got = len(snapshots) if isinstance(snapshots, Sequence) else repr(snapshots)
            raise DataError(f"an animation needs a list of at least two snapshots, got {got}")
        if options.strength == "gradient":
            raise OptionError("an animation shows weights over training, it has no gradients")
        if labels and len(labels) != len(snapshots):
            raise DataError(f"got {len(labels)} labels for {len(snapshots)} snapshots")
        chosen = np.arange(len(snapshots))
        if len(chosen) > MOST_FRAMES:
            chosen = np.unique(np.linspace(0, len(snapshots) - 1, MOST_FRAMES).astype(int))
        self.labels = [labels[k] if labels else f"{k}" for k in chosen.tolist()]
        shown = tuple(each for each in options.show if each != "bias")  # of the present weights
        self.network, self.options = network, replace(options, show=shown)
        weights = [_by_parameter(network, snapshots[k], k) for k in chosen.tolist()]
        self.scene = arrange(network, self.options)
        add_wires(network, self.scene, replace(self.options, top=None, threshold=None))
        self.strengths = np.array([self._strengths(each) for each in weights])
        self._keep_strongest()
        weighted = [wire.parameter is not None for wire in self.scene.wires]
        numbers = self.strengths[:, weighted]
        self.largest = float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0))

    def _strengths(self, snapshot: Mapping[int, Array]) -> list[float]:
        source = Strengths("weight", snapshot)
        return [
            source.of(wire.parameter, [wire.address], wire.strength)[0] for wire in self.scene.wires
        ]

    def _keep_strongest(self) -> None:
        peak = np.abs(self.strengths).max(axis=0)
        kept = np.ones(len(peak), dtype=bool)
        if self.options.threshold is not None:
            kept &= peak >= self.options.threshold
        if self.options.top is not None and kept.sum() > self.options.top:
            order = np.argsort(np.where(kept, -peak, np.inf), kind="stable")
            kept[order[self.options.top :]] = False
        self.strengths = self.strengths[:, kept]
        wires = zip(self.scene.wires, kept.tolist(), strict=True)
        self.scene.wires = [wire for wire, keep in wires if keep]

    def frame(self, number: int) -> tuple[Painter, Picture]:
        """Return the picture of one time."""
        scene: Scene = replace(
            self.scene,
            wires=[
                replace(wire, strength=float(strength))
                for wire, strength in zip(self.scene.wires, self.strengths[number], strict=True)
            ],
        )
        picture = Picture(self.network.name)
        painter = Painter(picture, scene, self.options, self.network.outputs)
        painter.largest = self.largest
        painter.arrows = False
        notes = [self.labels[number], *notes_of(self.network, scene, self.options)]
        painter.paint(title_of(self.network, self.options), notes)
        return painter, picture

    def animated_svg(self, seconds: float) -> bytes:
        """Return one picture in which colour and width of the connections change with time."""
        painter, picture = self.frame(0)
        root = ElementTree.fromstring(draw(str(picture.source), "svg"))
        groups = {group.get("id"): group for group in root.iter(f"{{{SVG}}}g")}
        timing = {"dur": f"{seconds:g}s", "repeatCount": "indefinite"}
        for number, wire in enumerate(self.scene.wires):
            if wire.parameter is None:  # it stays as it is
                continue
            looks = [painter.look(float(strength)) for strength in self.strengths[:, number]]
            colours = ";".join(colour for colour, _ in looks)
            widths = ";".join(f"{width:.2f}" for _, width in looks)
            line = groups[f"wire{number}"].find(f".//{{{SVG}}}path")
            if line is not None:
                for name, values in (("stroke", colours), ("stroke-width", widths)):
                    attributes = {"attributeName": name, "values": values, **timing}
                    ElementTree.SubElement(line, f"{{{SVG}}}animate", attributes)
        self._animate_label(root, timing)
        return _svg_bytes(root)

    def _animate_label(self, root: ElementTree.Element, timing: dict[str, str]) -> None:
        """Show the label of each time while it lasts."""
        parents = {child: parent for parent in root.iter() for child in parent}
        captions = [g for g in root.iter(f"{{{SVG}}}g") if g.get("class") == "node caption"]
        texts = [text for group in captions for text in group.iter(f"{{{SVG}}}text")]
        below = [text for text in texts if text.text == self.labels[0]]
        for first in below[:1]:
            for number, label in enumerate(self.labels):
                text = (
                    first
                    if not number
                    else ElementTree.SubElement(parents[first], first.tag, dict(first.attrib))
                )
                text.text = label
                text.set("opacity", str(int(number == 0)))  # in viewers that show one moment
                shown = ["1" if k == number else "0" for k in range(len(self.labels))]
                attributes = {
                    "attributeName": "opacity",
                    "values": ";".join(shown),
                    "calcMode": "discrete",
                    **timing,
                }
                ElementTree.SubElement(text, f"{{{SVG}}}animate", attributes)

    def images(self) -> list[Any]:
        """Return the pictures as Pillow images of one size."""
        pillow = needed("PIL.Image", "an animated GIF or a PNG strip")
        frames = [
            pillow.open(io.BytesIO(draw(str(self.frame(k)[1].source), "png"))).convert("RGB")
            for k in range(len(self.labels))
        ]
        size = (max(f.width for f in frames), max(f.height for f in frames))
        found = []
        for frame in frames:
            sheet = pillow.new("RGB", size, "white")
            sheet.paste(frame, ((size[0] - frame.width) // 2, 0))
            found.append(sheet)
        return found

    def gif(self, seconds: float) -> bytes:
        """Return the pictures as an animated GIF."""
        frames = self.images()
        buffer = io.BytesIO()
        frames[0].save(
            buffer,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=max(round(1000 * seconds / len(frames)), 20),
            loop=0,
        )
        return buffer.getvalue()

    def strip_png(self, columns: int) -> bytes:
        """Return the pictures side by side as PNG."""
        pillow = needed("PIL.Image", "a PNG strip")
        frames = self.images()
        width, height = frames[0].size
        rows = -(-len(frames) // columns)
        sheet = pillow.new("RGB", (width * min(columns, len(frames)), height * rows), "white")
        for number, frame in enumerate(frames):
            sheet.paste(frame, (number % columns * width, number // columns * height))
        buffer = io.BytesIO()
        sheet.save(buffer, format="PNG")
        return buffer.getvalue()

    def strip_svg(self, columns: int) -> bytes:
        """Return the pictures side by side as SVG."""
        frames = [
            ElementTree.fromstring(draw(str(self.frame(k)[1].source), "svg"))
            for k in range(len(self.labels))
        ]
        sizes = [
            [float(f.get(side, "0").removesuffix("pt")) for side in ("width", "height")]
            for f in frames
        ]
        width, height = (max(size[k] for size in sizes) for k in (0, 1))
        rows = -(-len(frames) // columns)
        total = (width * min(columns, len(frames)), height * rows)
        sheet = ElementTree.Element(
            f"{{{SVG}}}svg",
            {
                "width": f"{total[0]:g}pt",
                "height": f"{total[1]:g}pt",
                "viewBox": f"0 0 {total[0]:g} {total[1]:g}",
            },
        )
        for number, (frame, size) in enumerate(zip(frames, sizes, strict=True)):
            for element in frame.iter():
                element.attrib.pop("id", None)  # they would occur once a frame
            frame.set("x", f"{number % columns * width + (width - size[0]) / 2:g}")
            frame.set("y", f"{number // columns * height:g}")
            frame.set("width", f"{size[0]:g}")
            frame.set("height", f"{size[1]:g}")
            sheet.append(frame)
        return _svg_bytes(sheet)


def _svg_bytes(root: ElementTree.Element) -> bytes:
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _by_parameter(network: Network, snapshot: Snapshot, place: int) -> dict[int, Array]:
    """Return the flat weights of a snapshot by the identity of their parameter."""
    parameters = network.parameters
    if isinstance(snapshot, Mapping):
        extra = next((name for name in snapshot if name not in parameters), None)
        if extra is not None:
            raise unknown("parameter", extra, parameters, of=f"network {network.name!r}")
        rows = [(name, parameters[name], each) for name, each in snapshot.items()]
    else:
        if len(snapshot) != len(parameters):
            raise DataError(
                f"snapshot {place} has {len(snapshot)} arrays, network {network.name!r} has "
                f"{len(parameters)} parameters"
            )
        rows = [
            (name, parameter, each)
            for (name, parameter), each in zip(parameters.items(), snapshot, strict=True)
        ]
    found = {}
    for name, parameter, each in rows:
        array = np.asarray(each)
        if array.shape != parameter.shape:
            raise ShapeError(
                f"snapshot {place}: parameter {name!r} has shape {array.shape}, expected "
                f"{parameter.shape}"
            )
        found[id(parameter)] = array.reshape(-1)
    return found
