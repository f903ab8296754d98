"""The unrolled view of larger networks: one box for a layer at every step of time."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from neurograph.errors import OptionError
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import ZEROS, Layer
from neurograph.graph.temporal import StepConnections, UnfoldConnections
from neurograph.render.boxes import Box, boxes_of, is_packed
from neurograph.render.curves import Curve, Spot, bend, cross, route
from neurograph.render.fill import hues_of, signs_of, value_cell
from neurograph.render.key import title_of
from neurograph.render.options import Options
from neurograph.render.picture import Picture, words
from neurograph.render.style import FAINT, INK, clip, markup, text_width
from neurograph.words import count

if TYPE_CHECKING:
    from neurograph.graph.network import Network

CELLS = 8
CELL = 9.0
HALF_WIDTH, HALF_HEIGHT = 52.0, 17.0  # at least
WIDEST = 80.0
GAP, ROW = 46.0, 66.0
ARROW = 6.0
BULGES = (0, 40, -40, 62, -62, 90, -90, 130, -130)


def boxes_unrolled(network: Network, options: Options, steps: int, run: int) -> Picture:
    """Return the picture of the layers of a recurrent network over some steps of time."""
    from neurograph.render.unrolled import notes_on_time

    picture = Picture(network.name)
    pairs = [layer.name for layer in network.all_layers if _joins_ways(layer)]
    boxes = boxes_of(network, [*options.expand, *pairs])
    sheet = _Sheet(boxes, options, steps, picture, cut=run > steps)
    sheet.paint()
    lines = [(title_of(network, options), 10, INK)]
    lines += [(note, 9, FAINT) for note in notes_on_time(network, steps, run)]
    if sheet.has_values:
        what = options.values[0]
        cells = f"cells: {what}, {signs_of(what)}, each layer on its own scale"
        lines.append((cells, 8, FAINT))
    left_out = [name for name in ("numbers", "top", "threshold") if getattr(options, name)]
    if left_out:
        many = f"a box a layer, which has no place for {', '.join(left_out)}"
        lines.append((many, 8, FAINT))
    y = -HALF_HEIGHT - 54.0
    x = (sheet.right + sheet.left) / 2
    for number, (text, size, colour) in enumerate(lines):
        label = f'<<font point-size="{size}" color="{colour}">{markup(text)}</font>>'
        sheet.text(f"caption{number}", x, y - 15.0 * number, label)
    return picture


def _joins_ways(layer: Layer) -> bool:
    """Whether it joins recurrent layers that go both ways, which are then drawn one by one."""
    return any(
        part.parts and "recipe" in part.config and part is not layer
        for part in layer.parts.values()
    )


class _Sheet:
    """Boxes by step (left to right) and depth (upwards)."""

    def __init__(
        self, boxes: list[Box], options: Options, steps: int, picture: Picture, cut: bool
    ) -> None:
        self.boxes, self.options, self.cut = boxes, options, cut
        self.steps, self.picture = steps, picture
        self.packed = [is_packed(box.layer) for box in boxes]
        self.timed = [
            packed or any(layer.sequence for layer in box.layers)
            for box, packed in zip(boxes, self.packed, strict=True)
        ]
        self.after = self._after()
        self.stores = [self._store(box) for box in boxes]
        self.has_values = any(store is not None for store in self.stores)
        self.names = _names(boxes)
        self.half_width = self._half_width()
        self.stride = self._stride()
        self.spots = {
            (k, time): self._spot(k, time * self.stride)
            for k in range(len(boxes))
            for time in self.times(k)
        }
        self.left = min(spot.x for spot in self.spots.values()) - self.half_width
        self.right = max(spot.x for spot in self.spots.values()) + self.half_width

    def _spot(self, k: int, x: float) -> Spot:
        return Spot(x, k * ROW, self.half_width, HALF_HEIGHT, square=True)

    def _half_width(self) -> float:
        """Return half the width that all boxes have."""
        rows = [text_width(name, 10.5) for name in self.names]
        rows += [
            text_width(self.told(k), 8.0) for k, store in enumerate(self.stores) if store is None
        ]
        return min(max(HALF_WIDTH, max(rows) / 2 + 4.0), WIDEST)

    def _stride(self) -> float:
        """Return the distance of two steps, with room for ways around the boxes of a step."""
        column = {k: self._spot(k, 0.0) for k in range(len(self.boxes)) if self.timed[k]}
        gap = GAP
        for k in column:
            for source in self.boxes[k].sources:
                if source in column and abs(k - source) > 1:
                    curve = _around(column, source, k)
                    gap = max(gap, abs(curve.at(0.5)[0]) - self.half_width + 0.4 * GAP)
        return 2 * self.half_width + gap

    def _after(self) -> list[bool]:
        """Return which boxes without time come after those with time."""
        after: list[bool] = []
        for k, box in enumerate(self.boxes):
            fed = any(self.timed[s] or after[s] for s in box.sources if s < k)
            after.append(fed and not self.timed[k])
        return after

    def times(self, k: int) -> range:
        """Return the steps at which a box stands."""
        if self.timed[k]:
            return range(self.steps)
        return range(self.steps, self.steps + 1) if self.after[k] else range(-1, 0)

    def paint(self) -> None:
        """Draw everything but the caption."""
        for (k, time), spot in self.spots.items():
            self.box(k, time, spot)
        for k, box in enumerate(self.boxes):
            for source in box.sources:
                for up, down in self.pairs(source, k):
                    self.arrow((source, up), (k, down), INK)
            for source, delay in box.late:
                for time in self.times(k):
                    if (source, time - delay) in self.spots:
                        self.arrow((source, time - delay), (k, time), "#0a4b96")
        for time in range(self.steps):
            label = f'<<font point-size="9" color="{FAINT}">t = {time}</font>>'
            self.text(f"t{time}", time * self.stride, -HALF_HEIGHT - 20.0, label)
        if self.cut:
            label = f'<<font point-size="14" color="{FAINT}">…</font>>'
            self.text("more", (self.steps - 0.5) * self.stride, -HALF_HEIGHT - 18.0, label)

    def pairs(self, source: int, target: int) -> list[tuple[int, int]]:
        """Return the steps of two boxes that are joined without delay."""
        ups, downs = self.times(source), self.times(target)
        if self.timed[source] and self.timed[target]:
            turned = any(bundle.reverses for bundle in self.between(source, target))
            return [(self.steps - 1 - time if turned else time, time) for time in downs]
        if not self.timed[source]:
            return [(ups[0], time) for time in downs]
        bundles = self.between(source, target)
        if any(isinstance(bundle, UnfoldConnections) for bundle in bundles):
            return [(time, downs[0]) for time in ups]
        bundles += self.between(source, source)  # a layer may take a step of its own parts
        step = next((b.step for b in bundles if isinstance(b, StepConnections)), -1)
        return [(step if 0 <= step < self.steps else self.steps - 1, downs[0])]

    def between(self, source: int, target: int) -> list[Bundle]:
        """Return the bundles from one box to another."""
        return [
            bundle
            for layer in self.boxes[target].layers
            for bundle in layer.incoming
            if bundle.source in self.boxes[source].layers
        ]

    def box(self, k: int, time: int, spot: Spot) -> None:
        """Draw a layer at one step."""
        box = self.boxes[k]
        name = clip(self.names[k], 2 * self.half_width - 8.0, 10.5)
        rows = f'<tr><td><b><font point-size="10">{markup(name)}</font></b></td></tr>'
        values = self.values(k, time)
        if values is None:
            text = markup(clip(self.told(k), 2 * self.half_width - 8.0, 8.0))
            rows += f'<tr><td><font point-size="8" color="{FAINT}">{text}</font></td></tr>'
        else:
            hues = hues_of(self.options.values[0])
            largest = float(np.abs(self.stores[k]).max(initial=0.0))
            size = f'width="{CELL}" height="{CELL}" fixedsize="true"'
            cells = "".join(
                value_cell(float(value), largest, hues, CELL) for value in values[:CELLS]
            )
            dots = f'<td border="0" {size}><font point-size="7">…</font></td>'
            more = dots if len(values) > CELLS else ""
            wide = CELL * (min(len(values), CELLS) + bool(more)) + 2.0
            rows += (  # of a fixed size, or the cells would be spread to the width of the name
                '<tr><td><table border="0" cellborder="1" cellspacing="0" cellpadding="0" '
                f'fixedsize="true" width="{wide:g}" height="{CELL + 2.0:g}">'
                f"<tr>{cells}{more}</tr></table></td></tr>"
            )
        self.picture.node(
            f"b{k}.{time}",
            label=f'<<table border="0" cellspacing="1" cellpadding="0">{rows}</table>>',
            shape="box",
            style="rounded,filled",
            fillcolor=box.fill,
            color=FAINT,
            pos=f"{spot.x:.1f},{spot.y:.1f}",
            width=f"{2 * spot.half_width / 72:.3f}",
            height=f"{2 * spot.half_height / 72:.3f}",
            fixedsize="true",
            margin="0",
            tooltip=words(f"{box.layer.name}: {box.manner}, {box.shape}"),
            **{"class": "layer"},
        )

    def told(self, k: int) -> str:
        """Return what a box is: its type, and the shape of its output at one step."""
        layer, manner = self.boxes[k].output, self.boxes[k].manner
        shape = layer.shape[1:] if self.packed[k] else layer.shape
        if layer.members is not None or not shape:
            return manner
        return f"{manner}: {' × '.join(map(str, shape))}"

    def _store(self, box: Box) -> Any:
        """Return what the last run left in a box, nodes first, then time if it has one."""
        if not self.options.values:
            return None
        layer = _showing(box)
        store: Any = getattr(layer, f"_{self.options.values[0]}")
        if store is ZEROS:
            return None
        array = np.asarray(store)
        if array.ndim > 1 + layer.sequence:
            array = _of_sample(array, self.options.sample, layer)
        if is_packed(layer):
            return np.moveaxis(array.reshape(layer.shape[0], -1), 0, -1)
        return array

    def values(self, k: int, time: int) -> Any:
        """Return the values to show in a box, or None."""
        store = self.stores[k]
        return store[:, time] if store is not None and store.ndim > 1 else store

    def arrow(self, up: tuple[int, int], down: tuple[int, int], colour: str) -> None:
        """Draw the way of values from one box to another."""
        start, end = self.spots[up], self.spots[down]
        curve: Curve
        if up[0] == down[0] and abs(up[1] - down[1]) == 1:
            curve = bend(start, end, 0.0, ARROW)
        elif abs(up[1] - down[1]) == 1:
            curve = cross(start, end, ARROW)
        else:
            low, high = sorted((up[1], down[1]))
            near = {each: self.spots[each] for each in self.spots if low <= each[1] <= high}
            curve = _around(near, up, down)
        self.picture.edge(
            f"b{up[0]}.{up[1]}",
            f"b{down[0]}.{down[1]}",
            pos=curve.text(True),
            color=colour,
            style="dashed" if self.cut and down[1] == self.steps else "solid",
            arrowsize=f"{ARROW / 10:g}",
            **{"class": "way" if up[1] == down[1] else "late way"},
        )

    def text(self, name: str, x: float, y: float, label: str) -> None:
        """Put a label at a point."""
        self.picture.node(
            name,
            label=label,
            shape="plaintext",
            pos=f"{x:.1f},{y:.1f}",
            width="0",
            height="0",
            margin="0",
            **{"class": "caption"},
        )


def _around(spots: dict[Any, Spot], up: Any, down: Any) -> Curve:
    """Return a way from one box to another that goes around those between."""
    between = [spot for place, spot in spots.items() if place not in (up, down)]
    curve, _ = route(spots[up], spots[down], BULGES, between, ARROW)
    return curve


def _names(boxes: list[Box]) -> list[str]:
    """Return a name for each box: without that of the whole it is part of, if it stays the only."""
    full = [box.layer.name or box.layer.kind for box in boxes]
    short = [name.removeprefix(f"{box.cluster}/") for name, box in zip(full, boxes, strict=True)]
    uses = Counter(short)
    return [own if uses[own] == 1 else name for own, name in zip(short, full, strict=True)]


def _of_sample(array: Any, sample: int, layer: Layer) -> Any:
    samples = array.shape[1]
    if not -samples <= sample < samples:
        raise OptionError(
            f"layer {layer.name!r}: the last run had {count(samples, 'sample')}; it has no sample "
            f"{sample}"
        )
    return array[:, sample]


def _showing(box: Box) -> Layer:
    """Return the layer whose values a box shows: its own, or of its parts the one like it."""
    layer = box.layer
    timed = [each for each in box.layers if each.sequence and each.shape == layer.shape]
    return layer if layer.sequence or is_packed(layer) or not timed else timed[-1]
