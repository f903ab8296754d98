"""Fill: what is in the nodes, from the values of the last run: colour, lines of text, tooltip."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from neurograph.errors import OptionError
from neurograph.graph.layer import ZEROS, Layer
from neurograph.graph.node import ConstNode
from neurograph.render.options import Options
from neurograph.render.scene import Disc
from neurograph.render.style import DELTA_HUES, VALUE_HUES, Hues, short, signed_colour

SYMBOLS = {"net": "n", "output": "o", "delta": "δ"}  # where a node tells several of them
WHAT = tuple(SYMBOLS)


class Fill:
    """Colours and texts of some nodes, on one scale.

    Parameters
    ----------
    discs : sequence of Disc
    options : Options
    along_trees : bool
        Whether what stands for a step is a node of a tree.
    """

    def __init__(self, discs: Sequence[Disc], options: Options, along_trees: bool = False) -> None:
        self.options = options
        self.moment = "node" if along_trees else "step"
        self.values = {
            what: [value_of(each.layer, each.index, what, options, each.time) for each in discs]
            for what in WHAT
        }
        self.largest = {
            what: max((abs(each) for each in self.values[what] if isfinite(each)), default=0.0)
            for what in WHAT
        }
        run = any(each.layer._output is not ZEROS for each in discs if not each.constant)
        self.shown = options.values if run else []
        self.missed = options.values if not run else []
        self.unrolled = any(disc.time is not None for disc in discs)
        self.batched = any(_samples(disc.layer) > 1 for disc in discs)
        self.timed = any(
            disc.layer.sequence and lead_of(disc.layer) and disc.time is None for disc in discs
        )

    def colour(self, disc: Disc) -> str:
        """Return the fill of a node."""
        if disc.constant:
            return "#e8e8e8"
        if not self.shown:
            return "#ffffff"
        what = self.shown[0]
        return signed_colour(self.values[what][disc.serial], self.largest[what], hues_of(what))

    def lines(self, disc: Disc) -> list[str]:
        """Return what is written below the name."""
        if disc.constant:
            return []
        lines = []
        node = disc.layer.members[disc.index] if disc.layer.members is not None else None
        if "activation" in self.options.show and disc.kind != "input":
            lines.append(disc.layer.activation_name if node is None else node.activation.name)
        if "bias" in self.options.show:
            bias = bias_of(disc)
            lines += [] if bias is None else [f"b {short(bias, 2)}"]
        if self.options.numbers or self.unrolled:
            several = len(self.shown) > 1
            lines += [
                (f"{SYMBOLS[what]} " if several else "") + short(self.values[what][disc.serial])
                for what in self.shown
            ]
        return lines

    def scales(self) -> list[tuple[str, Hues, float]]:
        """Return what the fill means: what, hues, largest."""
        chosen = self.shown[:1]
        return [(what, hues_of(what), self.largest[what]) for what in chosen if self.largest[what]]

    def notes(self) -> list[str]:
        """Say which sample and step the values are of."""
        where = [f"sample {self.options.sample}"] if self.batched else []
        if self.timed:
            step = self.options.step
            where.append(f"the last {self.moment}" if step == -1 else f"{self.moment} {step}")
        if self.missed and not self.unrolled:
            return [f"no {' and '.join(self.missed)}: the network was not run yet"]
        notes = [f"values of {', '.join(where)}"] if self.shown and where else []
        if len(self.shown) > 1 and (self.options.numbers or self.unrolled):
            notes.append(", ".join(f"{SYMBOLS[what]}: {what}" for what in self.shown))
        return notes

    def tooltip(self, disc: Disc) -> str:
        """Return what a viewer shows when the pointer rests on a node."""
        numbers = ", ".join(f"{what} {self.values[what][disc.serial]:.6g}" for what in WHAT)
        late = "" if disc.time is None else f" at step {disc.time}"
        return f"{disc.label}{late}: " + ("always 1" if disc.constant else numbers)


def hues_of(what: str) -> Hues:
    """Return the colours of a kind of value."""
    return DELTA_HUES if what == "delta" else VALUE_HUES


def signs_of(what: str) -> str:
    """Return which colour of a kind of value is positive, in words."""
    if what == "delta":
        return "purple positive, green negative"
    return "blue positive, orange negative"


def value_cell(value: float, largest: float, hues: Hues, side: float) -> str:
    """Return a coloured cell of a table; a minus tells in grey print that a value is negative."""
    minus = '<font point-size="5">−</font>' if value < 0.0 else ""
    return (
        f'<td border="1" width="{side:g}" height="{side:g}" fixedsize="true" '
        f'bgcolor="{signed_colour(value, largest, hues)}">{minus}</td>'
    )


def lead_of(layer: Layer) -> tuple[int, ...]:
    """Return the leading axes of the values of the last run: (), (batch,), (time,) or both."""
    store: Any = layer._output
    return () if store is ZEROS or layer.role == "const" else np.shape(store)[1:]


def _samples(layer: Layer) -> int:
    """Return how many samples the last run had."""
    lead = lead_of(layer)
    return lead[0] if len(lead) > layer.sequence else 1


def value_of(
    layer: Layer, index: int, what: str, options: Options, time: int | None = None
) -> float:
    """Return a value of the last run: of one sample, and of one step if there are several.

    Raises
    ------
    OptionError
        If the run had no such sample or step.
    """
    if layer.role == "const":
        return 0.0 if what == "delta" else 1.0
    store = getattr(layer, f"_{what}")
    if store is ZEROS:
        return 0.0
    value = np.asarray(store[index])
    step = options.step if time is None else time
    place = (step,) if layer.sequence else ()
    if value.ndim > len(place):
        place = (options.sample, *place)
    if value.ndim < len(place):
        return float(value)
    try:
        return float(value[place])
    except IndexError:
        raise OptionError(
            f"layer {layer.name!r}: the last run left values of shape {value.shape} in each node; "
            f"it has no sample {options.sample}, step {step}"
        ) from None


def bias_of(disc: Disc) -> float | None:
    """Return the sum of the weights from constants into a node, or None if there are none."""
    bundles = [each for each in disc.layer.incoming if each.source.role == "const"]
    weights = []
    for bundle in bundles:
        _, addresses = bundle.into(disc.index)
        if bundle.parameter is None:
            weights.append(bundle.constant * len(addresses))
        else:
            weights.append(float(bundle.parameter.value.reshape(-1)[addresses].sum()))
    if disc.layer.members is not None:
        node = disc.layer.members[disc.index]
        weights += [c.weight for c in node.upstream if isinstance(c.upstream_node, ConstNode)]
    return sum(weights) if weights else None
