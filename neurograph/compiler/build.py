"""Build: the whole way from a network to a program, forward and backward, through the passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neurograph.compiler import lowerings, normalization, spatial, temporal  # noqa: F401 (tables)
from neurograph.compiler.backward import Backward
from neurograph.compiler.lower import Lowering, Row
from neurograph.compiler.passes import run_passes
from neurograph.compiler.program import (
    Array,
    Attribute,
    Dim,
    Program,
    Ref,
    Statement,
    statements,
)
from neurograph.compiler.settle import settle
from neurograph.graph.layer import Layer
from neurograph.graph.masks import output_masks
from neurograph.graph.network import Network
from neurograph.graph.states import stateful_layers
from neurograph.parameter import Parameter

# operations whose gradient adds to those of parameters, beside its output; first these become zero
ADDS_TO_PARAMETERS = ("apply", "normalize", "layer_norm")


@dataclass(frozen=True, slots=True)
class Options:
    """What kind of program is wanted."""

    training: bool = False
    dtype: str = "float32"
    losses: tuple[Any, ...] = ()
    loss_weights: tuple[float, ...] = ()
    weighted: bool = False
    keep: bool = False
    inputs_too: bool = False
    truncate: int | None = None
    passes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """A program and what it was made from.

    ``fixed`` are places in the vector of all parameters, and the weights that the program takes to
    be there for good.
    ``states`` are the stateful layers, each with the array that it begins with ("": nobody reads
    it) and the one that the next batch is to begin with. ``masks`` has for each output the array
    that says which of its steps count, "" if all do.
    """

    program: Program
    rows: tuple[Row, ...]
    parameter_of: dict[str, Parameter]
    targets: tuple[str, ...]
    row_of_node: Any
    fixed: tuple[tuple[Any, Any], ...]
    states: tuple[tuple[Layer, str, str], ...]
    masks: tuple[str, ...]


def build(network: Network, options: Options, offsets: Mapping[int, int]) -> Built:
    """Return the program of a network.

    Parameters
    ----------
    offsets : mapping
        ``id(parameter)`` to its place in the vector of all parameters.
    """
    lowering = Lowering(
        network,
        options.training,
        options.dtype,
        offsets,
        bool(options.losses),
        options.keep,
        options.truncate,
    )
    program = run_passes(settle(lowering.run()), options.passes, "forward", keep=options.keep)
    targets: tuple[str, ...] = ()
    if options.losses:
        program, targets = add_backward(program, lowering, options)
    program = run_passes(program, options.passes, "whole", keep=options.keep)
    return Built(
        program,
        tuple(lowering.rows),
        lowering.parameter_of,
        targets,
        lowering.irregular.row,
        tuple(lowering.fixed),
        tuple(
            (layer, lowering.states.get(id(layer), ""), after)
            for layer, after in zip(stateful_layers(network), lowering.next_states, strict=True)
        ),
        tuple("" if each is None else lowering.outputs[id(each)] for each in output_masks(network)),
    )


def add_backward(
    program: Program, lowering: Lowering, options: Options
) -> tuple[Program, tuple[str, ...]]:
    """Return the program with losses and the backward pass, and the names of the targets."""
    roots = _roots(program, lowering, options)
    backward = Backward(program, options.dtype, roots, options.truncate)
    targets = _add_losses(backward, lowering, options)
    for statement in statements(program.forward):
        if statement.op in ADDS_TO_PARAMETERS:
            for ref in statement.inputs[1:]:
                if statement.op == "apply" or backward.wanted(ref):
                    backward.builder.emit("fill", backward.of(ref), accumulate=False, value=0)
    backward.run(program.forward)
    _add_penalties(backward, lowering)
    _zero_untouched(backward)
    gradients = tuple(
        backward.name_of(name)
        for name in (program.inputs if options.inputs_too else ())
        if program.base(name) in backward.names
    )
    values = dict(program.values)
    for (layer, what), name in program.values.items():
        kind, mark, place = what.partition(":")
        if kind in ("net", "in") and program.base(name) in backward.names:
            values[layer, f"delta{mark}{place}"] = backward.name_of(name)
    found = settle(
        replace(
            program,
            arrays=backward.builder.arrays,
            constants=backward.builder.constants,
            forward=(),
            backward=tuple(backward.builder.steps),
        )
    )
    whole = replace(found, forward=program.forward, values=values, kept=gradients + program.kept)
    return whole, targets


def _roots(program: Program, lowering: Lowering, options: Options) -> list[str]:
    """Return the arrays whose gradients are asked for."""
    roots = [
        name
        for name, parameter in lowering.parameter_of.items()
        if parameter.trainable or options.keep
    ]
    if options.inputs_too or options.keep:
        roots += [
            name
            for name, array in program.arrays.items()
            if array.role == "input" and array.dtype == options.dtype
        ]
    if options.keep:
        roots += [name for (_, what), name in program.values.items() if what != "output"]
    return roots


def _add_losses(backward: Backward, lowering: Lowering, options: Options) -> tuple[str, ...]:
    """Add the loss of every output; return the names of the targets, then of their weights."""
    outputs, builder = backward.program.outputs, backward.builder
    masks = output_masks(lowering.network)
    targets: list[str] = []
    weights: list[str] = []
    for number, (output, loss, mask) in enumerate(zip(outputs, options.losses, masks, strict=True)):
        array = backward.program.arrays[output]
        several = f"_{number}" if len(outputs) > 1 else ""
        targets.append(_target(backward, array, loss, f"target{several}"))
        weighting: list[Ref] = []
        if options.weighted:
            lead = tuple(dim for dim in array.dims if isinstance(dim, str))
            dims: tuple[Dim, ...] = (*lead, *(1 for dim in array.dims if isinstance(dim, int)))
            weights.append(builder.array(f"sample_weight{several}", dims, "target"))
            weighting = [Ref(weights[-1])]
        if mask is not None and loss.counts_steps is not None:
            steps = lowering.outputs[id(mask)]
            weighting = [_step_weight(backward, array, steps, weighting, loss.counts_steps)]
        attributes: dict[str, Attribute] = {
            "loss": builder.constant(f"loss_{number}_function", loss)
        }
        if options.loss_weights and options.loss_weights[number] != 1.0:
            attributes["factor"] = options.loss_weights[number]
        d_output = own = backward.of(Ref(output))
        if output in outputs[:number]:  # a loss writes its gradient, so it cannot add
            own = Ref(builder.like(f"{d_output.name}{several}", d_output.name))
        builder.emit("loss", own, output, targets[-1], *weighting, given=attributes)
        if own is not d_output:
            backward.add("copy", d_output, own)
    return (*targets, *weights)


def _step_weight(
    backward: Backward, output: Array, mask: str, weight: Sequence[Ref], mean: bool
) -> Ref:
    """Return the weights of steps by their mask, times those of samples that are given."""
    builder, nodes = backward.builder, output.dims[output.lead :]
    if output.lead > builder.arrays[mask].lead:  # an image of steps, but an output in time
        turned = builder.array(f"{mask}_in_time", (*output.dims[: output.lead], 1))
        builder.emit("swap", turned, mask, accumulate=False)
        mask = turned
    array = builder.arrays[mask]
    rest = (1,) * (len(nodes) - len(array.dims) + array.lead)
    mask = builder.reshape(mask, (*array.dims, *rest))
    found = builder.array("step_weight", builder.arrays[mask].dims)
    builder.emit("step_weight", found, mask, *weight, accumulate=False, mean=int(mean))
    return Ref(found)


def _target(backward: Backward, output: Array, loss: Any, name: str) -> str:
    if getattr(loss, "class_numbers", False):
        return backward.builder.array(name, output.dims[:-1], "target", dtype="int64")
    return backward.builder.array(name, output.dims, "target")


def _zero_untouched(backward: Backward) -> None:
    """Fill with zeros the gradients that are read but to which nothing adds (those of a mask)."""
    builder = backward.builder
    made = Program(builder.arrays)
    written = {made.base(statement.out.name) for statement in statements(builder.steps)}
    for name in sorted({made.base(name) for name in backward.names.values()} - written):
        builder.steps.insert(0, Statement("fill", Ref(name), (), False, (("value", 0),)))


def _add_penalties(backward: Backward, lowering: Lowering) -> None:
    for name, parameter in lowering.parameter_of.items():
        penalty = parameter.regularizer
        if penalty is not None and parameter.trainable and (penalty.l1 or penalty.l2):
            backward.builder.emit(
                "penalty",
                backward.of(Ref(name)),
                Ref(name),
                l1=float(penalty.l1),
                l2=float(penalty.l2),
            )
