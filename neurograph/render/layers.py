"""The view of layers: one box a layer, skips and branches, repeated blocks folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import graphviz

from neurograph.render.boxes import Box, boxes_of, count_parameters, with_followers
from neurograph.render.folding import Run, find_runs
from neurograph.render.key import title_of
from neurograph.render.options import Options
from neurograph.render.picture import Picture, words
from neurograph.render.scene import late
from neurograph.render.style import BELOW, FAINT, INK, clip, markup, text_width
from neurograph.words import count

if TYPE_CHECKING:
    from neurograph.graph.network import Network

NAME_WIDTH = 150.0
MANY = 40


def layers_picture(network: Network, options: Options) -> Picture:
    """Return the picture of the layers of a network."""
    boxes = boxes_of(network, options.expand)
    merged = len(boxes) > MANY
    if merged:
        boxes = with_followers(boxes)
    count_parameters(boxes)
    kept = frozenset(
        k
        for k, box in enumerate(boxes)
        if box.cluster or "all" in options.expand or box.layer.name in options.expand
    )
    ends = {id(port.layer) for port in [*network.inputs, *network.outputs]}
    kinds = [(box.alike(), id(box.output) if id(box.output) in ends else 0) for box in boxes]
    runs = find_runs(kinds, [box.sources for box in boxes], kept)
    picture = Picture(
        network.name,
        "dot",
        rankdir="TB",
        ranksep="0.22",
        nodesep="0.25",
        splines="true",
        labelloc="b",
        label=_caption(network, options, runs, merged),
    )
    _Plan(picture, boxes, runs, {id(port.layer) for port in network.outputs}).paint()
    return picture


def _caption(network: Network, options: Options, runs: list[Run], merged: bool) -> str:
    title = markup(title_of(network, options))
    folded = sum(run.length * (run.times - 1) for run in runs)
    notes = [f"{count(folded, 'more box', 'more boxes')} in repeated blocks"] if folded else []
    if merged:
        notes.append("normalisation, activation and dropout are in the box of the layer before")
    note = (
        f'{BELOW}<font point-size="9" color="{FAINT}">{markup("; ".join(notes))}</font>'
        if notes
        else ""
    )
    return f'<<font point-size="10"> <br/>{title}</font>{note}>'


class _Plan:
    """Boxes and arrows put onto a picture."""

    def __init__(
        self, picture: Picture, boxes: list[Box], runs: list[Run], outputs: set[int]
    ) -> None:
        self.picture, self.boxes, self.runs, self.outputs = picture, boxes, runs, outputs
        self.shown = [k for k in range(len(boxes)) if self.stands_for(k) == k]
        self.spine = _spine(boxes)
        self.left = max(
            max(text_width(self.heading(k), 10.5), text_width(boxes[k].manner, 8.5))
            for k in self.shown
        )
        self.right = max(
            max(text_width(boxes[k].shape, 8.5), text_width(self.weights(k), 8.5))
            for k in self.shown
        )

    def name(self, box: Box) -> str:
        """Return a box's heading."""
        name = box.layer.name or box.layer.kind
        return clip(name.removeprefix(f"{box.cluster}/"), NAME_WIDTH, 10.0)

    def times(self, k: int) -> int:
        """Return how many equal boxes in a row a box stands for."""
        return next((r.times for r in self.runs if r.start == k and r.length == 1), 1)

    def heading(self, k: int) -> str:
        """Return the heading of a box, with how many it stands for."""
        times = self.times(k)
        return self.name(self.boxes[k]) + (f"   × {times}" if times > 1 else "")

    def weights(self, k: int) -> str:
        """Return how many parameters a box has, or each of those it stands for."""
        box = self.boxes[k]
        if box.shared:
            return "shared parameters"
        each = " each" if self.times(k) > 1 else ""
        return count(box.parameters, "parameter") + each if box.parameters else ""

    def stands_for(self, box: int) -> int:
        """Return the box that is drawn for a box."""
        run = next((r for r in self.runs if r.start <= box < r.stop), None)
        return box if run is None else run.first_copy(box)

    def paint(self) -> None:
        """Draw everything."""
        groups: dict[str, list[int]] = {}
        for number, run in enumerate(self.runs):
            if run.length == 1:
                continue
            groups[f"run{number}"] = list(range(run.start, run.start + run.length))
        for k in self.shown:
            if self.boxes[k].cluster:
                groups.setdefault(f"of{self.boxes[k].cluster}", []).append(k)
        inside = {k for members in groups.values() for k in members}
        for k in self.shown:
            if k not in inside:
                self.box(self.picture, k)
        for number, (key, members) in enumerate(groups.items()):
            times = self.runs[int(key[3:])].times if key.startswith("run") else 0
            self.cluster(number, members, f"× {times}" if times else key[2:])
        drawn: set[tuple[int, int]] = set()
        for k, box in enumerate(self.boxes):
            for source in box.sources:
                self.arrow(self.stands_for(source), self.stands_for(k), k, drawn)
        for k in self.shown:
            delays: dict[int, set[int]] = {}
            for source, delay in self.boxes[k].late:
                delays.setdefault(self.stands_for(source), set()).add(delay)
            for up, found in delays.items():
                self.late(up, k, found)

    def cluster(self, number: int, members: list[int], title: str) -> None:
        """Draw a frame around boxes."""
        frame = graphviz.Digraph(name=f"cluster{number}")
        frame.attr(
            label=f'<<b><font point-size="12">{markup(title)}</font></b>>',
            labeljust="r",
            style="rounded,dashed",
            color=FAINT,
            fontcolor=INK,
            margin="9",
            tooltip=words(title),
        )
        for k in members:
            self.box(frame, k)
        self.picture.subgraph(frame)

    def box(self, picture: Any, k: int) -> None:
        """Draw one layer."""
        box = self.boxes[k]
        cells = [
            (self.heading(k), '<b><font point-size="10">{}</font></b>', "left", self.left),
            (box.shape, '<font point-size="8">{}</font>', "right", self.right),
            (box.manner, '<font point-size="8">{}</font>', "left", self.left),
            (
                self.weights(k),
                f'<font point-size="8" color="{FAINT}">{{}}</font>',
                "right",
                self.right,
            ),
        ]
        done = [
            f'<td align="{side}" width="{width:.0f}">{style.format(markup(text) or " ")}</td>'
            for text, style, side, width in cells
        ]
        table = "".join(f"<tr>{done[row]}{done[row + 1]}</tr>" for row in (0, 2))
        picture.node(
            f"b{k}",
            label=f'<<table border="0" cellspacing="0" cellpadding="1">{table}</table>>',
            shape="box",
            style="rounded,filled",
            fillcolor=box.fill,
            color=INK if id(box.output) in self.outputs else FAINT,
            penwidth="2" if id(box.output) in self.outputs else "1",
            margin="0.08,0.03",
            group="spine" if k in self.spine else "",
            tooltip=words(f"{box.layer.name}: {box.manner}, {box.shape}, {self.weights(k)}"),
            **{"class": "layer"},
        )

    def arrow(self, up: int, down: int, place: int, drawn: set[tuple[int, int]]) -> None:
        """Draw the way of values from one box to the next, once."""
        if up == down or (up, down) in drawn or up > down:
            return
        if self.stands_for(place) != place and self.stands_for(place - 1) != place - 1:
            return
        drawn.add((up, down))
        main = down == up + 1
        self.picture.edge(
            f"b{up}",
            f"b{down}",
            color=INK,
            arrowsize="0.6",
            weight="12" if main else "1",
            **{"class": "way"},
        )

    def late(self, up: int, down: int, delays: set[int]) -> None:
        """Draw the connections through time from one box to another as one arrow."""
        shown = sorted(delays, key=lambda delay: (delay < 0, abs(delay)))
        along = self.boxes[down].axis == "nodes"
        text = ", ".join(dict.fromkeys(late(delay, along) for delay in shown))
        self.picture.edge(
            f"b{up}",
            f"b{down}",
            label=f'<<font point-size="8"> {text}</font>>',
            color=FAINT,
            arrowsize="0.6",
            constraint="false",
            **{"class": "late way"},
        )


def _spine(boxes: list[Box]) -> set[int]:
    """Return the boxes of the longest way through the network, which is drawn straight."""
    if not boxes:
        return set()
    length = [0] * len(boxes)
    before = [-1] * len(boxes)
    for k, box in enumerate(boxes):
        for source in box.sources:
            if source < k and length[source] + 1 > length[k]:
                length[k], before[k] = length[source] + 1, source
    place = max(range(len(boxes)), key=lambda k: length[k])
    found = set()
    while place >= 0:
        found.add(place)
        place = before[place]
    return found
