"""Passes for batch normalisation: with the relu after it in training, into the kernel before it."""

from __future__ import annotations

from dataclasses import replace

from neurograph.compiler.program import Array, Program, Ref, Statement, Step, statements


def fuse_batch_norm(program: Program) -> Program:
    """Return the program with a batch normalisation and the relu after it as one operation.

    It happens only where nobody else reads what comes between.
    """
    for step in program.forward:
        if (
            isinstance(step, Statement)
            and step.op == "activate"
            and step.get("function") == "relu"
            and program.arrays[step.out.name].view is None
            and len(makers := _makers(program, step.inputs[0])) == 1
            and (maker := makers[0]) in program.forward
            and maker.op in ("normalize", "rescale")
            and not maker.get("relu")
        ):
            fused = replace(maker, out=step.out, attributes=(*maker.attributes, ("relu", 1)))
            forward = [fused if s is step else s for s in program.forward if s is not maker]
            return fuse_batch_norm(replace(program, forward=tuple(forward)))
    return program


def fold_batch_norm(program: Program) -> Program:
    """Return the program with ``rescale`` after a convolution or product folded into its kernel.

    Only in inference, where the statistics are constants, and only where nobody else reads what
    comes between.
    """
    for step in program.forward:
        if isinstance(step, Statement) and step.op == "rescale" and not step.get("frozen"):
            folded = _fold(program, step)
            if folded is not None:
                return fold_batch_norm(folded)
    return program


def _makers(program: Program, ref: Ref) -> list[Statement]:
    """Return the statements that make an operand; none if others may see it, or part of it."""
    base = program.base(ref.name)
    if program.arrays[ref.name].view is not None or base in program.outputs:
        return []
    readers = [r for s in statements(program.forward) for r in s.inputs]
    if sum(program.base(reader.name) == base for reader in readers) != 1:
        return []
    return [s for s in statements(program.forward) if program.base(s.out.name) == base]


def _rescaled(program: Program, rescale: Statement) -> tuple[Statement, list[Statement]] | None:
    """Return the one product that a statement rescales, and its bias if there is one."""
    makers = _makers(program, rescale.inputs[0])
    products = [s for s in makers if s.op in ("convolve", "product") and not s.get("turned")]
    biases = [s for s in makers if s.op == "bias"]
    if len(products) != 1 or len(products) + len(biases) != len(makers) or len(biases) > 1:
        return None
    if products[0] not in program.forward or products[0].accumulate or rescale.get("relu"):
        return None
    return products[0], biases


def _fold(program: Program, rescale: Statement) -> Program | None:
    found = _rescaled(program, rescale)
    if found is None:
        return None
    product, biases = found
    _, *affine, mean, variance = rescale.inputs
    kernel = program.arrays[product.inputs[1].name]
    channels = program.arrays[mean.name].dims[0]
    if kernel.dims[-1] != channels or any(
        program.arrays[b.inputs[0].name].dims[0] != channels for b in biases
    ):
        return None
    arrays = dict(program.arrays)
    folded = replace(kernel, name=f"{kernel.name}_folded", role="value", view=None, offset=-1)
    shift = Array(f"{mean.name}_folded", (channels,), kernel.dtype)
    if folded.name in arrays or shift.name in arrays:
        return None
    arrays |= {folded.name: folded, shift.name: shift}
    options = rescale.attributes
    bias = [each.inputs[0] for each in biases]
    new = [
        Statement(
            "fold_kernel",
            Ref(folded.name),
            (product.inputs[1], *affine, mean, variance),
            False,
            options,
        ),
        Statement("fold_shift", Ref(shift.name), (mean, *affine, variance, *bias), False, options),
        replace(product, inputs=(product.inputs[0], Ref(folded.name)), out=rescale.out),
        Statement("bias", rescale.out, (Ref(shift.name),), True),
    ]
    forward: list[Step] = []
    for step in program.forward:
        if step is product:
            forward += new
        elif step is not rescale and step not in biases:
            forward.append(step)
    return replace(program, arrays=arrays, forward=tuple(forward))
