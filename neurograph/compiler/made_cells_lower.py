"""How a cell made by hand is lowered: its rows in and out, and the joint matrix of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neurograph.compiler.blocks import Block
from neurograph.compiler.edge_kernels import Into
from neurograph.compiler.made_cells import MadeCell
from neurograph.compiler.names import identifier, joint_label

if TYPE_CHECKING:
    from neurograph.compiler.handmade import Irregular


def lower_made_cell(irregular: Irregular, cell: MadeCell, states: Block) -> None:
    """Lower a cell whose states are the rows of a block."""
    arrangement, kernels = irregular.arrangement, irregular.kernels
    name = identifier(arrangement.name(states))
    weighted = arrangement.all_edges(cell.weighted)
    weights = kernels.gathered(weighted, cell.places, cell.shape, f"{name}_weights")
    irregular.builder.emit(
        "cell",
        irregular.part(states.start, states.stop),
        _features(irregular, cell, name),
        weights,
        *_first_states(irregular, cell, name),
        accumulate=False,
        kind=cell.kind,
        name=name,
        features=len(cell.features),
        bias=int(cell.bias),
        turned=int(cell.delay < 0),
        activation=states.activation.name if cell.kind == "simple" else "tanh",
        given=irregular.lowering.pieces(),
    )
    everything = arrangement.all_edges(np.concatenate([cell.weighted, cell.fixed]))
    label = joint_label(range(len(cell.features)), lambda k: _label(irregular, cell, k))
    kernels.note(
        f"{label} -> {arrangement.label(states)}",
        f"{cell.kind} cell",
        "made by hand: all gates and steps in one operation",
        everything,
    )
    kernels.keep_constants(arrangement.all_edges(cell.fixed), cell.constants)


def _label(irregular: Irregular, cell: MadeCell, feature: int) -> str:
    (source,), (row,) = irregular.arrangement.rows_of(cell.features[feature : feature + 1])
    return irregular.arrangement.labels_in(int(source))(int(row))


def _features(irregular: Irregular, cell: MadeCell, name: str) -> str:
    """Return the rows of what the cell reads: where they lie, or brought together."""
    sources, rows = irregular.arrangement.rows_of(cell.features)
    changes = np.flatnonzero(np.diff(sources) | np.diff(cell.late)) + 1
    groups = np.split(np.arange(len(rows)), changes)
    parts = []
    for group in groups:
        source, late = int(sources[group[0]]), int(cell.late[group[0]])
        into = Into(name, name, irregular.arrangement.labels_in(source), late)
        parts.append(irregular.kernels.rows(irregular.source_rows(source, late), rows[group], into))
    if len(parts) == 1:
        return parts[0].name
    joined = irregular.rows_array(f"{name}_read", len(rows))
    for group, part in zip(groups, parts, strict=True):
        place = irregular.builder.part(joined, ((0, None), (int(group[0]), int(group[-1]) + 1)))
        irregular.builder.emit("copy", place, part)
    return joined


def _first_states(irregular: Irregular, cell: MadeCell, name: str) -> list[str]:
    """Return the arrays (B, units) of the initial states, if they are not 0."""
    lowering, nodes = irregular.lowering, irregular.network.handmade.nodes
    parts = [part for part in ("hidden", "cell") if part in cell.nodes]
    initial = {part: [nodes[n].initial for n in cell.nodes[part].tolist()] for part in parts}
    if not any(map(any, initial.values())):
        return []
    found = []
    for part, values in initial.items():
        first = lowering.builder.array(f"{name}_{part}_first", ("B", len(values)))
        table = lowering.table(f"{name}_{part}_state", values, (len(values),))
        lowering.builder.emit("copy", first, table)
        found.append(first)
    return found
