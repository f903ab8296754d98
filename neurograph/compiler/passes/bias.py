"""Fold the bias: product and bias become one product, with a column of ones in the operand."""

from __future__ import annotations

from dataclasses import replace

from neurograph.compiler.program import Array, Program, Ref, Statement, View, statements

ELEMENTWISE = ("activate", "multiply", "softmax", "copy")  # they write to any view
WHOLE = ("normalize", "rescale", "layer_norm")  # they read arrays in one piece
SMALL = 64  # above so many inputs or outputs the product is worth more than the calls saved


def fold_bias(program: Program) -> Program:
    """Return the program with ``net = x @ w; net += b`` as ``net = [x, 1] @ [w; b]``.

    It happens for small layers, whose kernel and bias lie one after the other in memory, and whose
    operand is an array of its own that nobody but products reads in another shape.
    """
    place = 0
    while place < len(program.forward):
        step = program.forward[place]
        folded = None
        if isinstance(step, Statement) and step.op == "product":
            folded = _fold(program, step)
        if folded is None:
            place += 1
        else:
            program = folded
    return program


def _fold(program: Program, product: Statement) -> Program | None:
    x, w = (program.arrays[ref.name] for ref in product.inputs)
    bias = next(
        (
            s
            for s in program.forward
            if isinstance(s, Statement) and s.op == "bias" and s.out == product.out
        ),
        None,
    )
    if bias is None or product.accumulate or product.get("turned") or x.nodes_first:
        return None
    b = program.arrays[bias.inputs[0].name]
    if not _adjacent(w, b) or len(x.dims) != 2 or not _is_own(program, x):
        return None
    k, n = w.dims
    assert isinstance(k, int)
    assert isinstance(n, int)
    if k > SMALL or n > SMALL:
        return None
    arrays = dict(program.arrays)
    wide, joint, row = f"{x.name}_and_1", f"{w.name}_and_bias", f"{b.name}_row"
    order = list(arrays)
    if {wide, joint, row} & arrays.keys() or order.index(b.name) < order.index(w.name):
        return None
    arrays = _insert(
        arrays, x.name, replace(x, name=wide, dims=(x.dims[0], k + 1), ones_column=True)
    )
    arrays[x.name] = replace(x, view=View(wide, ((0, None), (0, k))), role="value")
    arrays = _insert(arrays, w.name, replace(w, name=joint, dims=(k + 1, n)))
    arrays[w.name] = replace(w, view=View(joint, ((0, k), (0, None))), role="value", offset=-1)
    arrays = _insert(arrays, b.name, replace(b, name=row, dims=(1, n), role="value", offset=-1))
    arrays[row] = replace(arrays[row], view=View(joint, ((k, k + 1), (0, None))))
    arrays[b.name] = replace(b, view=View(row), role="value", offset=-1)
    new = replace(product, inputs=(Ref(wide), Ref(joint)))
    forward = [new if s is product else s for s in program.forward if s is not bias]
    return replace(program, arrays=arrays, forward=tuple(forward))


def _adjacent(w: Array, b: Array) -> bool:
    """Whether a bias follows its kernel in the vector of parameters."""
    if w.role != "parameter" or b.role != "parameter" or len(w.dims) != 2 or len(b.dims) != 1:
        return False
    k, n = w.dims
    return b.dims[0] == n and b.offset == w.offset + int(k) * int(n)


def _is_own(program: Program, x: Array) -> bool:
    """Whether an operand is an array of its own, read and written whole."""
    if x.view is not None or x.role not in ("value", "input"):
        return False
    if any(
        array.view is not None and array.view.base == x.name for array in program.arrays.values()
    ):
        return False
    makers = [s for s in statements(program.forward) if s.out.name == x.name]
    readers = [s for s in statements(program.forward) if Ref(x.name) in s.inputs]
    return (
        len(makers) <= 1
        and all(maker.op in ELEMENTWISE for maker in makers)
        and not any(reader.op in WHOLE for reader in readers)
        and x.name not in program.results
    )


def _insert(arrays: dict[str, Array], before: str, array: Array) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, other in arrays.items():
        if name == before:
            found[array.name] = array
        found[name] = other
    return found
