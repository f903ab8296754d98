"""How the bundles between time and space are lowered."""

from __future__ import annotations

from neurograph.compiler.lower import BUNDLES, Lowering
from neurograph.compiler.program import Ref
from neurograph.graph.temporal import (
    FoldConnections,
    ReverseConnections,
    StepConnections,
    UnfoldConnections,
)


def _fold(lowering: Lowering, bundle: FoldConnections, net: Ref) -> None:
    source, shape = lowering.read(bundle.source), bundle.target.shape
    image = lowering.builder.reshape(source.name, ("B", bundle.steps, *shape))
    lowering.note(bundle, "swap", "rows become steps of time")
    lowering.builder.emit("swap", Ref(net.name), image)


def _unfold(lowering: Lowering, bundle: UnfoldConnections, net: Ref) -> None:
    source, shape = lowering.read(bundle.source), bundle.source.shape
    image = lowering.builder.reshape(net.name, ("B", bundle.steps, *shape))
    lowering.note(bundle, "swap", "steps of time become rows")
    lowering.builder.emit("swap", image, source)


def _step(lowering: Lowering, bundle: StepConnections, net: Ref) -> None:
    final = lowering.finals.get(id(bundle.source))
    if final is not None:
        lowering.note(bundle, "step", "the memory after the last step")
        lowering.builder.emit(
            "copy", net, lowering.builder.reshape(final, ("B", *bundle.target.shape))
        )
        return
    source = lowering.reshaped(lowering.read(bundle.source), bundle.target.shape)
    lowering.note(bundle, "step", f"step {bundle.step} of the sequence")
    lowering.builder.emit("step", net, source, at=bundle.step)


def _reverse(lowering: Lowering, bundle: ReverseConnections, net: Ref) -> None:
    source = lowering.reshaped(lowering.read(bundle.source), bundle.target.shape)
    lowering.note(bundle, "reverse", "time turned round")
    lowering.builder.emit("reverse", net, source)


BUNDLES[ReverseConnections] = _reverse
BUNDLES[FoldConnections] = _fold
BUNDLES[UnfoldConnections] = _unfold
BUNDLES[StepConnections] = _step
