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
            and (maker := _only_maker(program, step.inputs[0])) is not None
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
        if isinstance(step, Statement) and step.op == "rescale":
            folded = _fold(program, step)
            if folded is not None:
                return fold_batch_norm(folded)
    return program


def _only_maker(program: Program, ref: Ref) -> Statement | None:
    """Return the statement that makes an operand, if it is alone and so is the reader."""
    base = program.base(ref.name)
    if program.arrays[ref.name].view is not None or base in program.outputs:
        return None
    makers = [s for s in statements(program.forward) if program.base(s.out.name) == base]
    readers = [
        s for s in statements(program.forward) for r in s.inputs if program.base(r.name) == base
    ]
    if len(makers) != 1 or len(readers) != 1 or makers[0] not in program.forward:
        return None
    return makers[0]


def _fold(program: Program, rescale: Statement) -> Program | None:
    x, *rest = rescale.inputs
    *affine, mean, variance = rest
    base = program.base(x.name)
    if program.arrays[x.name].view is not None or base in program.outputs:
        return None
    makers = [s for s in statements(program.forward) if program.base(s.out.name) == base]
    readers = [
        s for s in statements(program.forward) for r in s.inputs if program.base(r.name) == base
    ]
    products = [s for s in makers if s.op in ("convolve", "product") and not s.get("turned")]
    biases = [s for s in makers if s.op == "bias"]
    if len(products) != 1 or len(products) + len(biases) != len(makers) or len(biases) > 1:
        return None
    if len(readers) != 1 or products[0] not in program.forward or products[0].accumulate:
        return None
    product = products[0]
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
    options = tuple((k, v) for k, v in rescale.attributes if k != "relu")
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
        elif step is rescale:
            if rescale.get("relu"):
                return None
        elif step not in biases:
            forward.append(step)
    return replace(program, arrays=arrays, forward=tuple(forward))
