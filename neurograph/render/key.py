"""What is written below a picture of nodes: its title, what is not drawn, the key to colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from neurograph.render.options import Options
from neurograph.render.scene import Scene, late
from neurograph.render.style import FAINT, INK, NEUTRAL, Hues, markup, short, signed_colour
from neurograph.words import count

if TYPE_CHECKING:
    from neurograph.graph.network import Network
    from neurograph.render.painter import Painter

STEPS = (-1.0, -0.6, -0.25, 0.0, 0.25, 0.6, 1.0)


def title_of(network: Network, options: Options) -> str:
    """Return the title: the one given, or the network's line."""
    return str(network).replace("->", "→") if options.title is None else options.title or " "


def notes_of(network: Network, scene: Scene, options: Options) -> list[str]:
    """Return what a reader must know is not drawn."""
    notes: list[str] = []
    total, drawn = len(network.connections), len(scene.wires)
    if scene.hidden_nodes:
        notes.append(f"{count(scene.hidden_nodes, 'node')} not drawn")
    if drawn < total:
        notes.append(f"{drawn:,} of {count(total, 'connection')} drawn{_chosen(scene, options)}")
    if scene.folds_bias:
        notes.append("biases not drawn as nodes")
    return notes


def _chosen(scene: Scene, options: Options) -> str:
    """Say how the connections that are drawn were chosen among those between the nodes drawn."""
    if len(scene.wires) == scene.between:
        return ""
    how = ": the strongest" if options.top is not None else ""
    if how and scene.hidden_nodes:
        how += " between these nodes"
    return how + (f", at least {options.threshold:g} strong" if options.threshold else "")


def note_of_steps(scene: Scene, options: Options) -> list[str]:
    """Say which of the connections of all steps are not drawn."""
    if len(scene.wires) == scene.between:
        return []
    total = count(scene.between, "connection")
    return [f"{len(scene.wires):,} of {total} of these steps drawn{_chosen(scene, options)}"]


def caption_rows(painter: Painter, title: str, notes: Sequence[str]) -> list[str]:
    """Return HTML-like labels, one a row: the title, notes and the key."""
    said = [*notes, *painter.fill.notes()]
    rows = [(title, 10, INK), *((note, 9, FAINT) for note in said)]
    found = [
        f'<<font point-size="{size}" color="{colour}">{markup(text)}</font>>'
        for text, size, colour in rows
    ]
    return [*found, f"<{_key(painter)}>"]


def _key(painter: Painter) -> str:
    wires, options = painter.scene.wires, painter.options
    cells = ""
    if "sharing" in options.show:
        cells += cell("one colour: one weight that several lines share; grey: no other line has it")
    elif painter.largest:
        cells += scale(options.strength, painter.largest, painter.hues)
    for what, hues, largest in painter.fill.scales():
        cells += cell("   ") + scale(what, largest, hues)
    if painter.arrows and any(wire.strength < 0 for wire in wires):
        cells += cell("   arrow: positive, bar: negative")
    along = painter.scene.along_trees
    delays = sorted({wire.delay for wire in wires if wire.delay})
    if delays and not painter.names_delays and not painter.scene.unrolled:
        cells += cell("   curves: " + ", ".join(late(delay, along) for delay in delays[:4]))
    if not all(math.isfinite(wire.strength) for wire in wires):
        cells += cell("   black: not a finite number")
    if any(wire.parameter and not wire.trainable for wire in wires):
        cells += cell("   dashed: frozen")
    if any(wire.parameter is None for wire in wires):
        cells += cell("   dotted: constant")
    cells = cells or cell(" ")
    return f'<table border="0" cellspacing="0" cellpadding="1"><tr>{cells}</tr></table>'


def cell(text: str) -> str:
    """Return one cell of small grey text."""
    return f'<td><font point-size="8" color="{FAINT}">{markup(text)}</font></td>'


def scale(what: str, largest: float, hues: Hues) -> str:
    """Return cells with the colours from the least to the largest value."""
    boxes = "".join(
        f'<td width="14" height="7" fixedsize="true" border="1" color="{NEUTRAL}" '
        f'bgcolor="{signed_colour(step, 1.0, hues)}"></td>'
        for step in STEPS
    )
    return cell(f"{what} {short(-largest)} ") + boxes + cell(f" {short(largest)}")
