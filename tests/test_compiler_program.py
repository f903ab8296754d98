"""What holds for every program: the verifier, settling, and memory that is never shared wrongly."""

from __future__ import annotations

from itertools import product
from textwrap import dedent, indent
from typing import Any

import numpy as np
import pytest
from cases import CASES
from random_graphs import random_network

from neurograph.compiler.executable import Mode
from neurograph.compiler.operations import OPERATIONS
from neurograph.compiler.program import Loop, Program, Statement, parse, statements
from neurograph.compiler.settle import settle
from neurograph.compiler.storage import OUTSIDE, Sizes, assign
from neurograph.compiler.verify import verify
from neurograph.errors import CompileError
from neurograph.train.model import Model

Models = dict[tuple[str, bool], Model]

ARRAYS = """
    input x float32[B, 4]
    value y float32[B, 3]
    value z float32[B, 3]
    parameter w float32[4, 3] at 0
    value s_all float32[T+1, B, 3]
    view s float32[T, B, 3] = s_all[1:]
    target labels float32[B, 3]
    table kept float32[4, 3]
"""


def program(forward: str, backward: str = "", ends: str = "outputs: y") -> Program:
    """Return a program of the arrays above."""
    lines = [dedent(ARRAYS).strip(), "forward:", indent(dedent(forward).strip(), "    ")]
    lines += ["backward:", indent(dedent(backward).strip(), "    "), ends]
    return parse("\n".join(line for line in lines if line))


# the verifier ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        ("y = produkt(x, w)", "y = produkt(x, w): there is no operation 'produkt'"),
        ("y = product(x, v)", "y = product(x, v): 'v' is not declared"),
        ("n = product(x, w)", "n = product(x, w): 'n' is not declared"),
        ("y = copy(z)", "y = copy(z): 'z' is read before it is set"),
        ("y += product(x, w)", "y += product(x, w): 'y' is read before it is set"),
        ("y = product(w, x)", "y = product(w, x): the sizes of a product do not fit"),
        ("y = product[turned=1](x, w)", "the sizes of a product do not fit"),
        ("y = copy(x)", "y = copy(x): its operands have different nodes"),
        ("y = copy(x[t])", "y = copy(x[t]): 'x' has no time axis"),
        ("w = copy(kept)", "w = copy(kept): 'w' is a parameter, not to be set"),
        ("kept = copy(w)", "kept = copy(w): 'kept' is a table, not to be set"),
        ("labels = product(x, w)", "labels = product(x, w): 'labels' is a target, not to be set"),
    ],
)
def test_the_verifier_refuses(forward: str, message: str) -> None:
    with pytest.raises(CompileError) as error:
        verify(program(forward))
    assert message in str(error.value)


def test_the_verifier_names_types_and_the_pass() -> None:
    with pytest.raises(CompileError) as error:
        verify(program("y = product(w, x)"), "fold_bias")
    assert "y: float32[B, 3], w: float32[4, 3], x: float32[B, 4]" in str(error.value)
    with pytest.raises(CompileError, match="after fold_bias"):
        verify(program("y = copy(z)"), "fold_bias")


def test_the_verifier_wants_outputs_to_be_declared() -> None:
    with pytest.raises(CompileError, match="the output 'q' is not declared"):
        verify(program("y = product(x, w)", ends="outputs: q"))


def test_the_verifier_lets_a_loop_read_what_it_writes_at_other_steps() -> None:
    verify(
        program(
            """
            s_all = fill[value=0]()
            y = product(x, w)
            loop forward:
                s[t] = activate[function=tanh](s[t-1])
            """
        )
    )


@pytest.fixture(scope="module")
def models() -> Models:
    """Every case, compiled with all passes and with none."""
    return {
        (name, passed): case.network().compile("sgd", case.loss, passes=None if passed else ())
        for name, case in CASES.items()
        for passed in (True, False)
    }


def test_what_every_case_is_lowered_to_passes_the_verifier_and_is_explained(models: Models) -> None:
    for (name, _), model in models.items():
        verify(model.program, name)
        told = sum(row.connections for row in model.explain().rows)
        assert told == len(model.network.connections), name


def test_every_operation_is_used_by_some_case(models: Models) -> None:
    """An operation that no case reaches would go untested."""
    used = set()
    for (name, _), model in models.items():
        for mode in (Mode(), Mode(True, True), Mode(False, True)):
            found = model.executable.program(mode)
            used |= {s.op for s in statements([*found.forward, *found.backward])}
        assert used <= set(OPERATIONS), name
    unused = set(OPERATIONS) - used - {"sparse", "sparse_turned", "edge_dots"}  # larger graphs
    assert not unused


# settling -------------------------------------------------------------------------------------

HALVES = """
    input x float32[B, 2]
    value y float32[B, 4]
    view left float32[B, 2] = y[0:, 0:2]
    view right float32[B, 2] = y[0:, 2:]
    view middle float32[B, 2] = y[0:, 1:3]
    value s_all float32[T+1, B, 2]
    view s float32[T, B, 2] = s_all[1:]
    view s_first float32[1, B, 2] = s_all[0:1]
    value v float32[T, B, 2]
"""


def settled(forward: str) -> str:
    text = "\n".join(
        [dedent(HALVES).strip(), "forward:", indent(dedent(forward).strip(), "    "), "backward:"]
    )
    found = str(settle(parse(text)))
    return dedent(found.split("\nforward:\n")[1].split("\nbackward:")[0]).strip()


def test_the_first_addition_sets() -> None:
    assert settled("y += copy(x)\ny += copy(x)") == "y = copy(x)\ny += copy(x)"


def test_parts_that_fill_an_array_are_set_each() -> None:
    text = "left += copy(x)\nright += copy(x)\nleft += copy(x)"
    assert settled(text) == "left = copy(x)\nright = copy(x)\nleft += copy(x)"


def test_parts_that_overlap_start_from_zero() -> None:
    text = "left += copy(x)\nmiddle += copy(x)\nright += copy(x)"
    assert settled(text) == (
        "y = fill[value=0]()\nleft = copy(x)\nmiddle += copy(x)\nright += copy(x)"
    )


def test_parts_that_leave_a_gap_start_from_zero() -> None:
    assert settled("left += copy(x)") == "y = fill[value=0]()\nleft = copy(x)"


def test_a_part_of_what_is_set_is_added_to() -> None:
    assert settled("y += copy(x)\nmiddle += copy(x)") == "y = copy(x)\nmiddle += copy(x)"


def test_the_whole_after_a_part_is_added_to_zero() -> None:
    assert settled("middle += copy(x)\ny += copy(x)") == (
        "y = fill[value=0]()\nmiddle = copy(x)\ny += copy(x)"
    )


def test_what_one_step_adds_to_another_is_never_set_in_a_loop() -> None:
    text = """
        loop backward:
            s[t] += copy(v[t])
            s[t-1] += copy(v[t])
    """
    assert settled(text) == (
        "s_all = fill[value=0]()\nloop backward:\n    s[t] += copy(v[t])\n    s[t-1] += copy(v[t])"
    )


def test_a_sequence_with_its_state_needs_no_zeros() -> None:
    text = """
        s_first += fill[value=0]()
        loop forward:
            s[t] += copy(v[t])
    """
    assert settled(text) == ("s_first = fill[value=0]()\nloop forward:\n    s[t] = copy(v[t])")


# memory ---------------------------------------------------------------------------------------


def check_memory(found: Program, sizes: Sizes, reuse: bool, in_place: bool) -> None:
    """Follow every buffer through a run: whoever reads an array must find it where it was left.

    Buffers are handed over statement by statement, loops are gone through twice; this knows nothing
    of lives and of how ``assign`` finds them.
    """
    storage = assign(found, sizes, reuse, in_place)
    for name, buffer in storage.buffer_of.items():
        dtype, size = storage.buffers[buffer]
        assert found.arrays[name].dtype == dtype
        assert sizes.count(found.arrays[name].dims) <= size
    holder: dict[int, str] = {}
    ones = {storage.buffer_of[n] for n, a in found.arrays.items() if a.ones_column}

    def run(statement: Statement) -> None:
        out = found.base(statement.out.name)
        for ref in statement.inputs:
            base = found.base(ref.name)
            if base in storage.buffer_of and found.arrays[base].role not in OUTSIDE:
                assert holder[storage.buffer_of[base]] == base, f"{statement} reads a lost {base}"
        if out not in storage.buffer_of:
            return
        buffer = storage.buffer_of[out]
        assert buffer not in ones or found.arrays[out].ones_column, f"{statement} overwrites ones"
        if statement.accumulate:
            assert holder[buffer] == out, f"{statement} adds to a lost {out}"
        sharing = [
            found.base(ref.name)
            for ref in statement.inputs
            if storage.buffer_of.get(found.base(ref.name)) == buffer and found.base(ref.name) != out
        ]
        if sharing:
            assert sharing == [statement.inputs[0].name], f"{statement} overwrites what it reads"
            assert in_place
            assert OPERATIONS[statement.op].in_place
        holder[buffer] = out

    for step in (*found.forward, *found.backward):
        for statement in step.body * 2 if isinstance(step, Loop) else (step,):
            run(statement)
    for base in found.results:
        if base in storage.buffer_of and found.arrays[base].role not in OUTSIDE:
            assert holder[storage.buffer_of[base]] == base, f"the result {base} is lost"


MODES = (Mode(), Mode(True, True), Mode(True, True, weighted=True, inputs_too=True))


def test_no_two_arrays_in_use_share_memory(models: Models) -> None:
    executables = [model.executable for (_, passed), model in models.items() if passed]
    executables += [random_network(seed)[0].compile("sgd", "sse").executable for seed in range(60)]
    for executable, mode in product(executables, MODES):
        for reuse, in_place in product((False, True), repeat=2):
            check_memory(executable.program(mode), Sizes(3, (4,) * 8), reuse, in_place)


# without rows whose inputs may not be moved a little: indices, and zeros that stand for no step
SMOOTH = [
    name
    for name, case in CASES.items()
    if "noise" not in case.tags and not case.vocabulary and not case.gaps
]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_of_inputs_are_kept_through_all_passes(name: str) -> None:
    case = CASES[name]
    net = case.network()
    executable = net.compile("sgd", case.loss, dtype="float64").executable
    inputs, targets = (each if isinstance(each, list) else [each] for each in case.data(net))
    mode = Mode(backward=True, inputs_too=True)
    inputs = [np.asarray(each) for each in inputs]
    plan = executable.plan(mode, executable.sizes(inputs))
    executable.feed(mode, plan, inputs)
    executable.feed_targets(mode, plan, [np.asarray(each) for each in targets])

    def loss() -> float:
        plan.forward()
        assert plan.backward is not None
        return plan.backward()

    loss()
    generator = np.random.default_rng(0)
    gradients = plan.program.kept[: len(plan.program.inputs)]
    for entry, gradient in zip(plan.program.inputs, gradients, strict=True):
        x, found = plan.arrays[entry], plan.arrays[gradient].copy()
        assert found.shape == x.shape
        start, way = x.copy(), generator.normal(size=x.shape)
        step = 1e-6
        x[...] = start + step * way
        above = loss()
        x[...] = start - step * way
        slope = (above - loss()) / (2 * step)
        x[...] = start
        assert slope == pytest.approx(float((found * way).sum()), rel=1e-5, abs=1e-8)


def test_the_check_of_memory_notices_a_shared_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = CASES["skip"].network().compile("sgd", "mse")
    real = assign

    def wrong(*arguments: Any) -> Any:
        storage = real(*arguments)
        values = [n for n in storage.buffer_of if model.program.arrays[n].role == "value"]
        storage.buffer_of = dict.fromkeys(values, storage.buffer_of[values[0]])
        storage.buffers = [(d, 1000) for d, _ in storage.buffers]
        return storage

    monkeypatch.setitem(globals(), "assign", wrong)
    with pytest.raises((AssertionError, KeyError)):
        check_memory(model.program, Sizes(3), True, True)


@pytest.mark.parametrize("name", [name for name in CASES if "noise" not in CASES[name].tags])
def test_sharing_memory_changes_no_bit(name: str) -> None:
    results = []
    case = CASES[name]
    for plan_passes in ((), ("reuse_memory",), ("reuse_memory", "in_place")):
        net = case.network()
        model = net.compile("sgd", case.loss, passes=("fold_bias", "drop_dead", *plan_passes))
        x, y = case.data(net)
        losses = [model.train_on_batch(x, y) for _ in range(3)]
        results.append((losses, model.executable.arena.parameters.tobytes()))
    assert results[0] == results[1] == results[2]


def test_sharing_memory_changes_no_bit_of_random_graphs() -> None:
    for seed in range(40):
        results = []
        for passes in (("drop_dead",), ("drop_dead", "reuse_memory", "in_place")):
            net, x, y = random_network(seed)
            model = net.compile("sgd", "sse", passes=passes)
            losses = [model.train_on_batch(x, y) for _ in range(2)]
            results.append((losses, np.array(model.executable.arena.parameters).tobytes()))
        assert results[0] == results[1], f"random_network({seed})"


def test_memory_is_shared_at_all() -> None:
    program = CASES["residual"].network().compile().executable.program(Mode())
    sizes = Sizes(64)
    assert (
        assign(program, sizes, True, True).bytes < 0.6 * assign(program, sizes, False, False).bytes
    )
