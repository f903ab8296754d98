"""Drop what nobody reads: statements without effect, and arrays without statements."""

from __future__ import annotations

from dataclasses import replace

from neurograph.compiler.program import Loop, Program, Statement, Step, map_statements, statements

# operations that write more than their output: a loss, or gradients of parameters beside it
WRITES_MORE = (
    "loss",
    "penalty",
    "normalize_gradient",
    "layer_norm_gradient",
    "apply_gradient",
    "cell_gradient",
)


def drop_dead(program: Program) -> Program:
    """Return the program without statements whose results are never used."""
    wanted = program.results
    wanted |= {name for name, array in program.arrays.items() if array.role == "gradient"}
    steps: list[Step] = [*program.forward, *program.backward]
    grew = True
    while grew:  # backward through loops: what a later step of time reads counts too
        before = len(wanted)
        for step in reversed(steps):
            for statement in step.body if isinstance(step, Loop) else (step,):
                if _is_wanted(program, statement, wanted):
                    wanted |= {program.base(ref.name) for ref in statement.inputs}
        grew = len(wanted) > before

    def kept(statement: Statement) -> Statement | None:
        return statement if _is_wanted(program, statement, wanted) else None

    forward, backward = (map_statements(s, kept) for s in (program.forward, program.backward))
    return drop_arrays(program.with_steps(forward, backward))


def _is_wanted(program: Program, statement: Statement, wanted: set[str]) -> bool:
    return program.base(statement.out.name) in wanted or statement.op in WRITES_MORE


def drop_arrays(program: Program) -> Program:
    """Return the program without the declarations that no statement needs."""
    used = {*program.outputs, *program.kept, *program.inputs}
    for statement in statements((*program.forward, *program.backward)):
        used |= {statement.out.name, *(ref.name for ref in statement.inputs)}
    for name in list(used):
        view = program.arrays[name].view
        while view is not None:
            used.add(view.base)
            view = program.arrays[view.base].view
    outside = ("input", "target", "noise", "parameter", "gradient", "state")
    arrays = {n: a for n, a in program.arrays.items() if n in used or a.role in outside}
    values = {key: name for key, name in program.values.items() if name in arrays}
    return replace(program, arrays=arrays, values=values)
