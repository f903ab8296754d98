"""Drop copies: an array that only repeats another becomes a name for it."""

from __future__ import annotations

from dataclasses import replace

from neurograph.compiler.program import (
    Array,
    Program,
    Statement,
    Step,
    View,
    map_statements,
    statements,
)


def drop_copies(program: Program) -> Program:
    """Return the program with every ``out = copy(x)`` of a whole array left out.

    Flattening, reshaping, and the layers that only apply a function to another one copy. ``out``
    becomes ``x`` itself, or a view of it where the dimensions differ. It happens only where nothing
    else sets or adds to ``out``, and nothing adds to ``x`` afterwards.
    """
    found, place = list(statements(program.forward)), 0
    while place < len(found):
        copy = found[place]
        plain = copy.op == "copy" and not copy.accumulate and not copy.attributes
        shorter = _without(program, copy) if plain else None
        if shorter is None:
            place += 1
        else:
            program, found = shorter, list(statements(shorter.forward))
    return program


def _without(program: Program, copy: Statement) -> Program | None:
    (x,) = copy.inputs
    source = _unshaped(program, x.name)
    target = program.arrays[program.base(copy.out.name)]
    if target.role != "value" or target.name in program.results or target.ones_column:
        return None
    if _unshaped(program, copy.out.name) is not target or x.offset != copy.out.offset:
        return None
    if x.offset or not _is_like(program, source, target) or not _is_one_piece(program, source):
        return None
    if not _is_last_change(program, copy, target.name, program.base(x.name)):
        return None
    order = list(program.arrays)
    if order.index(source.name) > order.index(target.name):
        return None
    if source.dims == target.dims:
        return _renamed(program, copy, target.name, source.name)
    arrays = dict(program.arrays)
    arrays[target.name] = replace(target, view=View(source.name))
    return replace(program, arrays=arrays, forward=_rest(program, copy))


def _unshaped(program: Program, name: str) -> Array:
    """Return the array of which another is only a reshaped view."""
    array = program.arrays[name]
    while array.view is not None and array.view.index is None:
        array = program.arrays[array.view.base]
    return array


def _is_one_piece(program: Program, array: Array) -> bool:
    """Whether an array lies in one piece of memory, so that it can be reshaped."""
    while array.view is not None:
        if array.view.index is not None and len(array.view.index) > 1:
            return False
        array = program.arrays[array.view.base]
    return not array.ones_column


def _is_like(program: Program, source: Array, target: Array) -> bool:
    """Whether two arrays have the same type, batch, time and number of nodes."""

    def nodes(array: Array) -> int:
        found = 1
        for dim in array.dims:
            found *= dim if isinstance(dim, int) else 1
        return found

    symbols = [[dim for dim in array.dims if isinstance(dim, str)] for array in (source, target)]
    return (
        symbols[0] == symbols[1]
        and len(symbols[0]) > 0
        and nodes(source) == nodes(target)
        and source.dtype == target.dtype
        and source.nodes_first == target.nodes_first
        and program.arrays[program.base(source.name)].role in ("value", "input")
    )


def _is_last_change(program: Program, copy: Statement, target: str, source: str) -> bool:
    """Whether ``copy`` alone sets the target, and the source is complete when it does."""
    done = False
    for statement in statements(program.forward):
        base = program.base(statement.out.name)
        if statement is copy:
            done = True
        elif base == target or (base == source and done):
            return False
    return True


def _rest(program: Program, copy: Statement) -> tuple[Step, ...]:
    return map_statements(program.forward, lambda s: None if s is copy else s)


def _renamed(program: Program, copy: Statement, old: str, new: str) -> Program:
    """Return the program without the copy and with another name for its target."""

    def named(name: str) -> str:
        return new if name == old else name

    def changed(statement: Statement) -> Statement | None:
        if statement is copy:
            return None
        inputs = tuple(replace(ref, name=named(ref.name)) for ref in statement.inputs)
        return replace(statement, inputs=inputs)

    arrays = {
        name: array
        if array.view is None
        else replace(array, view=replace(array.view, base=named(array.view.base)))
        for name, array in program.arrays.items()
        if name != old
    }
    values = {key: named(name) for key, name in program.values.items()}
    forward = map_statements(program.forward, changed)
    return replace(program, arrays=arrays, forward=forward, values=values)
