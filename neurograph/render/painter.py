"""Painter: puts the nodes and connections of a scene onto a picture."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from neurograph.graph.network import Port
from neurograph.render.curves import STEP, Curve, Spot, bend, loop, route
from neurograph.render.fill import Fill
from neurograph.render.key import caption_rows
from neurograph.render.options import Options
from neurograph.render.picture import Picture, words
from neurograph.render.scene import NAME_SIZE, Disc, Gap, Header, Scene, Wire, late
from neurograph.render.style import (
    BELOW,
    FAINT,
    GRADIENT_HUES,
    GROUPS,
    INK,
    NEUTRAL,
    WEIGHT_HUES,
    clip,
    clip_path,
    markup,
    short,
    signed_colour,
    text_width,
)

THIN, THICK = 0.6, 3.4
FEW_WIRES = 60
FEW_LATE = 18
CROWD = 300  # wires that are led around nodes with care; more would take seconds
MANY_WIRES = 1500
ARROW, BAR = 6.0, 2.0  # the lengths of an arrow's head and of a bar
SKIP_BULGES = (0, 26, -26, 46, -46, 70, -70, 100, -100, 140, -140, 190, -190)
BACK_BULGES = (30, -30, 48, -48, 72, -72, 100, -100, 140, -140, 190, -190, 240, -240)
LABEL_SHARES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.28, 0.72, 0.22, 0.78, 0.17, 0.83)


class Painter:
    """Draws a scene.

    Parameters
    ----------
    picture : Picture
    scene : Scene
    options : Options
    outputs : sequence of Port
        Their nodes get a bold outline.
    """

    def __init__(
        self, picture: Picture, scene: Scene, options: Options, outputs: Sequence[Port]
    ) -> None:
        self.picture, self.scene, self.options, self.outputs = picture, scene, options, outputs
        self.arrows = len(scene.wires) <= FEW_WIRES
        strengths = [abs(wire.strength) for wire in scene.wires if wire.parameter is not None]
        self.largest = max(filter(math.isfinite, strengths), default=0.0)
        self.hues = GRADIENT_HUES if options.strength == "gradient" else WEIGHT_HUES
        delays = [wire.delay for wire in scene.wires if wire.delay]
        self.delays_differ = len(set(delays)) > 1  # which no key below can tell apart
        few = len(delays) <= FEW_LATE
        self.names_delays = few and (self.arrows or self.delays_differ)
        self.looped = {wire.up.serial for wire in scene.wires if wire.up is wire.down}
        self.groups = shared_groups(scene.wires)
        self.labels: list[tuple[float, float, float, float]] = []
        self.fill = Fill(scene.discs, options, scene.along_trees)
        self.bottom = scene.bottom
        crowd = 1.0 if self.arrows else 0.65 if len(scene.wires) < 400 else 0.4
        self.thick = THICK * crowd

    def paint(self, title: str, notes: Sequence[str]) -> None:
        """Draw everything, and write what must be said below."""
        for header in self.scene.headers:
            self.header(header)
        for disc in self.scene.discs:
            self.disc(disc)
        for number, (x, y, text) in enumerate(self.scene.texts):
            label = f'<<font point-size="9" color="{FAINT}">{markup(text)}</font>>'
            self.plain(f"text{number}", x, y, label, "time")
        for number, gap in enumerate(self.scene.gaps):
            self.gap(number, gap)
        for number, (wire, curve) in enumerate(zip(self.scene.wires, self.curves(), strict=True)):
            self.wire(number, wire, curve)
        x, y = (self.scene.left + self.scene.right) / 2, self.bottom - 24.0
        for number, row in enumerate(caption_rows(self, title, notes)):
            self.plain(f"caption{number}", x, y, row, "caption")
            y -= 15.0

    # nodes ----------------------------------------------------------------------------------------

    def disc(self, disc: Disc) -> None:
        """Draw one node with its name and numbers."""
        spot = disc.spot
        name = clip(disc.name, 2 * spot.half_width - 6.0, NAME_SIZE)
        label = f'<font point-size="{NAME_SIZE:g}">{markup(name)}</font>'
        lines = [f'<font point-size="8">{markup(line)}</font>' for line in self.fill.lines(disc)]
        if lines:
            label += BELOW + "<br/>".join(lines)
        bold = any(
            port.layer is disc.layer and (port.indices is None or disc.index in port.indices)
            for port in self.outputs
        )
        self.picture.node(
            f"n{disc.serial}",
            label=f"<{label}>",
            shape="ellipse",
            style="filled",
            fillcolor=self.fill.colour(disc),
            penwidth="2.4" if bold else "1",
            color=FAINT if disc.kind in ("constant", "input") else INK,
            pos=f"{spot.x:.1f},{spot.y:.1f}",
            width=f"{2 * spot.half_width / 72:.3f}",
            height=f"{2 * spot.half_height / 72:.3f}",
            fixedsize="true",
            tooltip=words(self.fill.tooltip(disc)),
            **{"class": f"neuron {disc.kind}"},
        )

    def header(self, header: Header) -> None:
        """Write the name of a layer, its size and its activation."""
        layer = header.layer
        how = layer.activation_name if layer.role == "units" else layer.role
        if layer.aggregation != "sum":
            how = layer.aggregation
        name = clip_path(layer.name, 130.0, 10.0)
        size = "×".join(map(str, layer.shape))
        below = f"{size} {how}"
        if self.delays_differ and not self.names_delays:
            delays = sorted({bundle.delay for bundle in layer.incoming if bundle.delay})
            below = ", ".join([below, *(late(delay, self.scene.along_trees) for delay in delays)])
        label = (
            f'<font point-size="10"><b>{markup(name)}</b></font>{BELOW}'
            f'<font point-size="8" color="{FAINT}">{markup(below)}</font>'
        )
        self.plain(f"h{layer.offset}", header.x, header.y, on_white(label), "header")
        half = max(text_width(name, 10.5), text_width(below, 8.0)) / 2
        self.labels.append((header.x, header.y, half, 11.0))

    def gap(self, number: int, gap: Gap) -> None:
        """Draw the three dots that stand for nodes left out, and say how many."""
        for dot in range(3):
            self.picture.node(
                f"gap{number}.{dot}",
                label="",
                shape="circle",
                style="filled",
                fillcolor=FAINT,
                color=FAINT,
                width="0.03",
                height="0.03",
                fixedsize="true",
                pos=f"{gap.x:.1f},{gap.y + 15.0 - 5.0 * dot:.1f}",
                **{"class": "gap"},
            )
        text = markup(f"… {gap.hidden:,} more")
        label = f'<<font point-size="9" color="{FAINT}">{text}</font>>'
        self.plain(f"gap{number}", gap.x, gap.y - 6.0, label, "gap")

    def plain(self, name: str, x: float, y: float, label: str, kind: str) -> None:
        """Put a label without outline at a point."""
        self.picture.node(
            name,
            label=label,
            shape="plaintext",
            pos=f"{x:.1f},{y:.1f}",
            width="0",
            height="0",
            margin="0",
            tooltip=" ",
            **{"class": kind},
        )

    # connections ----------------------------------------------------------------------------------

    def curves(self) -> list[Curve]:
        """Return the way of every connection, and keep labels off nodes and loops."""
        taken: dict[tuple[int, int], list[float]] = {}
        found = []
        for wire in self.scene.wires:
            used = taken.setdefault((wire.up.serial, wire.down.serial), [])
            curve, bulge = self.curve(wire, used)
            used.append(bulge)
            found.append(curve)
            self.bottom = min(self.bottom, *(curve.at(share)[1] for share in (0.3, 0.5, 0.7)))
            if wire.up is wire.down:
                x, y = curve.at(0.5)
                self.labels.append((x, y, 9.0, 8.0))
        spots = [disc.spot for disc in self.scene.discs]
        self.labels += [(s.x, s.y, s.half_width, s.half_height) for s in spots]
        return found

    def curve(self, wire: Wire, used: Sequence[float]) -> tuple[Curve, float]:
        """Return the way of a connection and its bulge, other than those in use already."""
        up, down = wire.up, wire.down
        arrow = (BAR if wire.strength < 0 else ARROW) if self.has_head(wire) else 0.0
        if up is down:
            return loop(up.spot, len(used), arrow), float(len(used))
        ahead = down.column > up.column or self.scene.unrolled
        beside = down.column == up.column + 1 and not self.scene.unrolled
        many = len(self.scene.wires) > MANY_WIRES
        if ahead and not used and (beside or many):
            return bend(up.spot, down.spot, 0.0, arrow), 0.0
        if many:
            bulge = (0.0 if ahead else -40.0) + 20.0 * len(used)
            return bend(up.spot, down.spot, bulge, arrow), bulge
        bulges = [each for each in (SKIP_BULGES if ahead else BACK_BULGES) if each not in used]
        spots = self.obstacles(up, down)
        step = STEP if len(self.scene.wires) <= CROWD else math.inf
        return route(up.spot, down.spot, bulges or [250.0 + len(used)], spots, arrow, step)

    def obstacles(self, up: Disc, down: Disc) -> list[Spot]:
        """Return the nodes that may stand in the way from one node to another."""
        low, high = sorted((up.column, down.column))
        near = [disc for disc in self.scene.discs if low <= disc.column <= high]
        loops = [disc.spot for disc in near if disc.serial in self.looped]
        return [
            *(disc.spot for disc in near if disc is not up and disc is not down),
            *(Spot(s.x, s.y + s.half_height + 16.0, 13.0, 12.0) for s in loops),
        ]

    def has_head(self, wire: Wire) -> bool:
        """Whether a connection is drawn with an arrow or bar at its end."""
        return self.arrows or (bool(wire.delay) and not self.scene.unrolled)

    def look(self, strength: float) -> tuple[str, float]:
        """Return colour and width of a line."""
        if not math.isfinite(strength):
            return INK, self.thick
        share = abs(strength) / self.largest if self.largest else 0.0
        colour = signed_colour(strength, self.largest, self.hues)
        return colour, THIN + (self.thick - THIN) * share

    def wire(self, number: int, wire: Wire, curve: Curve) -> None:
        """Draw one connection."""
        colour, width = self.look(wire.strength)
        group = self.groups.get((id(wire.parameter), wire.address))
        if "sharing" in self.options.show:
            colour = GROUPS[group % len(GROUPS)] if group is not None else NEUTRAL
        style = "solid" if wire.trainable else "dashed"
        if wire.parameter is None:
            colour, width, style = FAINT, THIN + 0.15 * (self.thick - THIN), "dotted"
        head = self.has_head(wire)
        self.picture.edge(
            f"n{wire.up.serial}",
            f"n{wire.down.serial}",
            pos=curve.text(head),
            color=colour,
            penwidth=f"{width:.2f}",
            style=style,
            arrowhead=("tee" if wire.strength < 0 else "normal") if head else "none",
            arrowsize=f"{ARROW / 10:g}",
            edgetooltip=words(self.wire_tooltip(wire)),
            id=f"wire{number}",
            **{"class": "connection"},
        )
        text = self.wire_text(wire, group)
        if text:
            self.wire_label(number, curve, text, wire.up is wire.down)

    def wire_text(self, wire: Wire, group: int | None) -> str:
        """Return what is written at a connection."""
        parts = []
        few = len(self.scene.wires) <= FEW_WIRES
        if self.options.numbers and "sharing" not in self.options.show:
            parts.append(short(wire.strength))
        if group is not None and few and wire.parameter is not None and not self.scene.unrolled:
            where = f"[{wire.address}]" if wire.parameter.size > 1 else ""
            name = wire.parameter.name.rsplit("/")[-1]
            parts = [" = ".join([f"{name}{where}", *parts])]
        if wire.delay and self.names_delays and not self.scene.unrolled:
            parts.append(late(wire.delay, self.scene.along_trees))
        return ", ".join(parts)

    def wire_label(self, number: int, curve: Curve, text: str, looped: bool) -> None:
        """Write beside a connection, where no other label is."""
        half = text_width(text, 8.0) / 2 + 1.0
        best = (1e9, 0.0, 0.0)
        lift = 8.0 if looped else 0.0
        for share in (0.5,) if looped else LABEL_SHARES:
            x, y = curve.at(share)
            y += lift
            covered = sum(
                max(0.0, half + wide - abs(x - left)) * max(0.0, 5.5 + tall - abs(y - low))
                for left, low, wide, tall in self.labels
            )
            if covered < best[0]:
                best = (covered, x, y)
            if covered == 0.0:
                break
        _, x, y = best
        self.labels.append((x, y, half, 5.5))
        label = on_white(f'<font point-size="8">{markup(text)}</font>')
        self.plain(f"w{number}", x, y, label, "number")

    def wire_tooltip(self, wire: Wire) -> str:
        """Return what a viewer shows when the pointer rests on a connection."""
        delay = f" [delay {wire.delay}]" if wire.delay else ""
        where = f", {wire.parameter.name}[{wire.address}]" if wire.parameter else ", constant"
        frozen = ", frozen" if wire.parameter is not None and not wire.trainable else ""
        ends = f"{wire.up.label} -> {wire.down.label}{delay}"
        return f"{ends}: {self.options.strength} {wire.strength:.6g}{where}{frozen}"


def on_white(content: str) -> str:
    """Return a label that hides the lines behind it."""
    return (
        '<<table border="0" cellborder="0" cellspacing="0" cellpadding="2"><tr>'
        f'<td bgcolor="white">{content}</td></tr></table>>'
    )


def shared_groups(wires: Sequence[Wire]) -> dict[tuple[int, int], int]:
    """Return the number of the group of each weight that several of the connections share."""
    uses = Counter((id(wire.parameter), wire.address) for wire in wires if wire.parameter)
    return {address: k for k, address in enumerate(a for a, n in uses.items() if n > 1)}
