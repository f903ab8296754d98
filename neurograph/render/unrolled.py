"""The unrolled view: a recurrent network with one copy of its nodes for every step of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from neurograph.errors import OptionError
from neurograph.graph.connections import Bundle
from neurograph.graph.layer import Layer
from neurograph.graph.node import ConstNode
from neurograph.graph.temporal import FoldConnections, StepConnections, UnfoldConnections
from neurograph.render.arrange import Sizes, fit
from neurograph.render.boxes import is_packed
from neurograph.render.columns import unit_columns
from neurograph.render.curves import Spot
from neurograph.render.fill import lead_of
from neurograph.render.key import note_of_steps, title_of
from neurograph.render.options import Options
from neurograph.render.painter import Painter
from neurograph.render.picture import Picture
from neurograph.render.scene import Disc, Scene, Wire
from neurograph.render.style import clip, text_width
from neurograph.render.wires import Strengths, strongest

if TYPE_CHECKING:
    from neurograph.graph.network import Network

FEW_NODES = 16
USUAL_STEPS = 4
MOST_STEPS = 6
LEVEL = 88.0
WIDEST_NAME = 150.0  # of the layers of a row, in points
Place = tuple[Layer, int]


def unrolled_picture(network: Network, options: Options) -> Picture:
    """Return the picture of a recurrent network over some steps of time.

    Raises
    ------
    OptionError
        If nothing in the network has a time axis.
    """
    if options.tree is not None or any(bundle.along_trees for bundle in network.bundles):
        from neurograph.render.trees import tree_picture

        return tree_picture(network, options)
    if not network.is_recurrent:
        raise OptionError(
            f"network {network.name!r} has no delays and no sequences, so there is no time to "
            f"unroll; use view='nodes' or view='layers'"
        )
    run = steps_of_run(network)
    steps = options.steps or (min(run, MOST_STEPS) if run else USUAL_STEPS)
    if run and options.values:
        steps = min(steps, run)
    levels = _levels(network)
    if options.expand or sum(len(level) for level in levels) > FEW_NODES:
        from neurograph.render.unrolled_boxes import boxes_unrolled

        return boxes_unrolled(network, options, steps, run)
    scene = _arrange(network, levels, steps, options)
    _connect(network, scene, steps, Strengths(options.strength))
    scene.wires = strongest(scene.wires, options)
    picture = Picture(network.name)
    painter = Painter(picture, scene, options, network.outputs)
    notes = [*notes_on_time(network, steps, run), *note_of_steps(scene, options)]
    painter.paint(title_of(network, options), notes)
    return picture


def notes_on_time(network: Network, steps: int, run: int) -> list[str]:
    """Say which steps are shown and what stands for the others."""
    shown = f"steps 0 to {steps - 1}" + (f" of {run}" if run > steps else "")
    biased = any(layer.role == "const" for layer in network.all_layers) or any(
        isinstance(node, ConstNode) for node in network.handmade.nodes
    )
    late = "outputs before the first step are the initial state, 0 unless given"
    return [f"{shown}; {late}" + ("; biases not drawn" if biased else "")]


def steps_of_run(network: Network) -> int:
    """Return how many steps the last run had, 0 if there was none, or what the layers fix."""
    for layer in network.all_layers:
        lead = lead_of(layer) if layer.sequence else ()
        if lead:
            return int(lead[-1])
    return next((layer.steps for layer in network.all_layers if layer.steps), 0)


def _levels(network: Network) -> list[list[Place]]:
    """Return the nodes of one step by level, inputs first; constants and noise left out."""
    library = network._library
    nodes, group = network.handmade.nodes, network.handmade.group
    found: list[list[Place]] = []
    for units in unit_columns(network):
        level: list[Place] = []
        for unit in units:
            if unit >= len(library):
                if not isinstance(nodes[unit - len(library)], ConstNode):
                    level.append((group, unit - len(library)))
            elif library[unit].role not in ("const", "noise") and not is_packed(library[unit]):
                level += [(library[unit], k) for k in range(min(library[unit].size, FEW_NODES + 1))]
        if level:
            found.append(level)
    return found


def _arrange(network: Network, levels: list[list[Place]], steps: int, options: Options) -> Scene:
    timed = Sizes.fitting(network, options)
    tall = timed.half_height + 4.0 * len(options.values)
    sizes = Sizes(max(timed.half_width, tall), tall, 0.0)
    wide = max(len(level) for level in levels)
    nowhere = Spot(0.0, 0.0, 0.0, 0.0)
    half = max(
        sizes.half_width_of(Disc(layer, k, 0, nowhere)) for level in levels for layer, k in level
    )
    pitch = 2 * half + 16.0
    stride = wide * pitch + 40.0
    after = _after_time(network)
    scene = Scene(unrolled=True)
    for time in range(-1, steps + 1):
        for height, level in enumerate(levels):
            here = [place for place in level if _stands_at(place[0], time, steps, after)]
            for number, (layer, index) in enumerate(here):
                x = time * stride + (number - (len(here) - 1) / 2) * pitch
                disc = Disc(layer, index, time, Spot(x, height * LEVEL, 0.0, 0.0))
                disc.time = time if layer.sequence else None
                fit(disc, sizes)
                scene.add(disc)
        if 0 <= time < steps:
            scene.texts.append((time * stride, -46.0, f"t = {time}"))
    left = scene.left
    for height, level in enumerate(levels):
        names = [layer.name for layer, _ in level if layer.members is None]
        text = clip(", ".join(dict.fromkeys(names)), WIDEST_NAME, 9.0)
        if text:
            scene.texts.append((left - 16.0 - text_width(text, 9.0) / 2, height * LEVEL, text))
    return scene


def _stands_at(layer: Layer, time: int, steps: int, after: set[int]) -> bool:
    if layer.sequence:
        return 0 <= time < steps
    return time == (steps if id(layer) in after else -1)


def _after_time(network: Network) -> set[int]:
    """Return the layers without time that get something from a layer with time."""
    found: set[int] = set()
    for layer in network.all_layers:
        fed = [bundle.source for bundle in layer.incoming]
        if not layer.sequence and any(each.sequence or id(each) in found for each in fed):
            found.add(id(layer))
    return found


def _connect(network: Network, scene: Scene, steps: int, strengths: Strengths) -> None:
    at = {(id(disc.layer), disc.index, disc.time): disc for disc in scene.discs}
    for disc in list(scene.discs):
        for bundle in disc.layer.incoming:
            ups, addresses = bundle.into(disc.index)
            numbers = strengths.of(bundle.parameter, addresses, bundle.constant)
            rows = zip(ups.tolist(), addresses.tolist(), numbers, strict=True)
            for place, (up, address, number) in enumerate(rows):
                for time in times_of(bundle, place, disc.index, disc.time, steps):
                    source = at.get((id(bundle.source), up, time))
                    if source is not None:
                        parameter = bundle.parameter
                        free = parameter is not None and parameter.is_trainable_at(address)
                        wire = Wire(source, disc, parameter, address, bundle.delay, number, free)
                        scene.wires.append(wire)
    _connect_handmade(network, scene, at, strengths)
    scene.between = len(scene.wires)


def times_of(
    bundle: Bundle, place: int, down: int, time: int | None, steps: int
) -> Iterator[int | None]:
    """Return the steps of the source from which the target's step (or None) gets something."""
    if isinstance(bundle, FoldConnections):
        if place == time:
            yield None
    elif isinstance(bundle, UnfoldConnections):
        yield down // bundle.source.size
    elif isinstance(bundle, StepConnections):
        yield bundle.step if bundle.step >= 0 else steps + bundle.step
    elif not bundle.source.sequence:
        yield None
    elif bundle.reverses and time is not None:
        yield steps - 1 - time
    elif time is not None and 0 <= time - bundle.delay < steps:
        yield time - bundle.delay


def _connect_handmade(
    network: Network,
    scene: Scene,
    at: dict[tuple[int, int, int | None], Disc],
    strengths: Strengths,
) -> None:
    table = network.handmade.table()
    offsets = np.array([layer.offset for layer in network.all_layers])
    for k in range(len(table.ups)):
        ends = []
        for number in (int(table.ups[k]), int(table.downs[k])):
            layer = network.all_layers[int(np.searchsorted(offsets, number, side="right")) - 1]
            ends.append((layer, number - layer.offset))
        (source, up), (target, down) = ends
        parameter, address = table.parameters[int(table.owners[k])], int(table.addresses[k])
        (number_shown,) = strengths.of(parameter, [address], 1.0)
        delay, free = int(table.delays[k]), parameter.is_trainable_at(address)
        times = {disc.time for disc in scene.discs if disc.layer is target}
        for time in sorted(times, key=lambda each: -1 if each is None else each):
            before = time - delay if time is not None and source.sequence else None
            one, other = at.get((id(source), up, before)), at.get((id(target), down, time))
            if one is not None and other is not None:
                wire = Wire(one, other, parameter, address, delay, number_shown, free)
                scene.wires.append(wire)
