"""Passes on programs of a few lines, text in and text out: mostly what they must not touch."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent, indent
from typing import Any

import numpy as np
import pytest

import neurograph as ng
from neurograph.compiler.passes import (
    FORWARD,
    LOSES_VALUES,
    PASSES,
    PLAN_PASSES,
    WHOLE,
    run_passes,
)
from neurograph.compiler.passes.bias import fold_bias
from neurograph.compiler.passes.copies import drop_copies
from neurograph.compiler.passes.dead import drop_dead
from neurograph.compiler.passes.fuse import fuse_loss
from neurograph.compiler.passes.hoist import hoist_products
from neurograph.compiler.passes.merge import merge_products
from neurograph.compiler.passes.normalize import fold_batch_norm, fuse_batch_norm
from neurograph.compiler.program import Program, parse
from neurograph.errors import FormatError, UnknownNameError
from neurograph.functions import ACTIVATIONS, Activation
from neurograph.train.categorical import CategoricalCrossentropy
from neurograph.train.losses import get_loss

CONSTANTS: dict[str, Any] = {
    **{name: ACTIVATIONS[name] for name in ("tanh", "sigmoid", "relu")},
    "classes": get_loss("categorical_crossentropy"),
    "yes_no": get_loss("binary_crossentropy"),
    "mse": get_loss("mse"),
}


def program(arrays: str, forward: str, backward: str = "", ends: str = "") -> Program:
    """Return a program from the lines of its four parts."""
    parts = [
        dedent(arrays).strip(),
        "forward:",
        indent(dedent(forward).strip(), "    "),
        "backward:",
        indent(dedent(backward).strip(), "    "),
        dedent(ends).strip(),
    ]
    return parse("\n".join(part for part in parts if part), CONSTANTS)


def forward_of(found: Program) -> str:
    """Return the lines of the forward pass."""
    return dedent(str(found).split("\nforward:\n")[1].split("\nbackward:")[0]).strip()


def backward_of(found: Program) -> str:
    """Return the lines of the backward pass."""
    text = str(found).split("\nbackward:\n")[1].split("inputs:")[0].split("outputs:")[0]
    return dedent(text).strip()


def arrays_of(found: Program) -> list[str]:
    """Return the declarations."""
    return str(found).split("\nforward:")[0].splitlines()


def untouched(change: Callable[[Program], Program], before: Program) -> bool:
    return str(change(before)) == str(before)


# text -----------------------------------------------------------------------------------------


def test_a_program_is_what_it_prints() -> None:
    text = """\
value h_all float32[T+2, B, 3]
view h float32[T, B, 3] = h_all[1:-1]
view first float32[1, B, 3] = h_all[0:1]
view last float32[1, B, 3] = h_all[-1:]
input x float32[T, B, 2] with ones
value rows nodes first float64[T, 4, B]
parameter w float32[2, 3] at 0
parameter scalar float32[] at 6
view flat float32[6] = w reshaped
view upper float32[2, 2] = w[0:, 0:2]
target labels int64[T, B]
forward:
    first = fill[value=0]()
    last = fill[value=-0.5]()
    h = product[turned=1](x, w)
    loop backward:
        h[t] += product(h[t-1], w)
        h[t] += product(h[t+1], w)
    h += op[shape=(2 3), name=abc, rate=1e-07](x)
backward:
    w = outer(x, h)
inputs: x, labels
outputs: h, rows"""
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("value x float32", "line 1: 'value x float32' declares no array"),
        ("forward:\n    y plus x", "line 2: 'y plus x' is no statement"),
        ("forward:\n    y = copy(x[t*2])", "line 2: 'x[t*2]' is no array"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(FormatError) as error:
        parse(text)
    assert message in str(error.value)


# choosing passes ------------------------------------------------------------------------------


def test_an_unknown_pass_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'fold_bias'"):
        ng.Network([2, 1]).compile(passes=["fold_bia"])


def test_every_pass_belongs_to_one_stage() -> None:
    assert set(PASSES) == {*FORWARD, *WHOLE}
    assert not set(PASSES) & set(PLAN_PASSES)
    assert set(LOSES_VALUES) <= set(PASSES)


def test_passes_that_lose_values_wait_while_values_are_kept() -> None:
    unused = program(
        "input x float32[B, 2]\nvalue y float32[B, 2]\nvalue z float32[B, 2]",
        "z = activate[function=tanh](x)\ny = copy(x)",
        ends="outputs: y",
    )
    assert "z =" not in str(run_passes(unused, None, "whole"))
    assert "z =" in str(run_passes(unused, None, "whole", keep=True))
    assert "z =" in str(run_passes(unused, ["fuse_loss"], "whole"))


# hoist products -------------------------------------------------------------------------------

LOOP = """
    input x float32[T, B, 2]
    value h_all float32[T+1, B, 3]
    view h float32[T, B, 3] = h_all[1:]
    value net float32[T, B, 3]
    value other float32[T, B, 3]
    parameter w float32[2, 3] at 0
    parameter u float32[3, 3] at 6
    parameter b float32[3] at 15
"""


def test_hoist_moves_what_does_not_depend_on_the_loop() -> None:
    before = program(
        LOOP,
        """
        loop forward:
            net[t] = product(x[t], w)
            net[t] += product(h[t-1], u)
            net[t] += bias(b)
            h[t] = activate[function=tanh](net[t])
        """,
    )
    assert forward_of(hoist_products(before)) == dedent(
        """\
        net = product(x, w)
        net += bias(b)
        loop forward:
            net[t] += product(h[t-1], u)
            h[t] = activate[function=tanh](net[t])"""
    )


def test_hoist_turns_the_first_statement_that_stays_into_an_addition() -> None:
    before = program(
        LOOP,
        """
        loop forward:
            net[t] = product(h[t-1], u)
            net[t] += product(x[t], w)
            h[t] = activate[function=tanh](net[t])
        """,
    )
    assert "    net[t] += product(h[t-1], u)" in forward_of(hoist_products(before))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("net[t] = product(h[t-1], u)", id="a delayed operand written in the loop"),
        pytest.param("net[t] = product(x[t-1], w)", id="a delayed operand from outside"),
        pytest.param("net[t] = product(h[t], u)", id="an operand written in the loop"),
        pytest.param("net[t] = activate[function=tanh](other[t])", id="no addition"),
        pytest.param(
            "net[t] = multiply(other[t], other[t])\n    net[t] = maximum(net[t], other[t])",
            id="an output that is no sum",
        ),
        pytest.param("net[t+1] += product(x[t], w)", id="an output of another step"),
        pytest.param("h[t] += product(x[t], w)", id="an output that is a part"),
    ],
)
def test_hoist_leaves(body: str) -> None:
    text = f"loop forward:\n    {body}\n    h[t] = activate[function=tanh](net[t])"
    assert untouched(hoist_products, program(LOOP, text))


def test_hoist_empties_a_loop_that_is_none() -> None:
    before = program(LOOP, "loop forward:\n    net[t] = product(x[t], w)")
    assert forward_of(hoist_products(before)) == "net = product(x, w)"


# merge products -------------------------------------------------------------------------------

GATES = """
    input x float32[B, 4]
    input z float32[B, 4]
    value a float32[B, 2]
    value b float32[B, 3]
    value h float32[B, 3]
    parameter w float32[4, 6] at 0
    view left float32[4, 2] = w[0:, 0:2]
    view middle float32[4, 3] = w[0:, 2:5]
    view right float32[4, 1] = w[0:, 5:]
    view upper float32[2, 2] = w[0:2, 0:2]
    view lower float32[2, 3] = w[2:4, 2:5]
    parameter v float32[2] at 24
    parameter u float32[3] at 26
"""


def test_merge_joins_siblings() -> None:
    found = merge_products(program(GATES, "a = product(x, left)\nb = product(x, middle)"))
    assert forward_of(found) == "a_merged = product(x, w_0_5)"
    assert "value a_merged float32[B, 5]" in arrays_of(found)
    assert "view a float32[B, 2] = a_merged[0:, 0:2]" in arrays_of(found)
    assert "view b float32[B, 3] = a_merged[0:, 2:5]" in arrays_of(found)
    assert "view w_0_5 float32[4, 5] = w[0:, 0:5]" in arrays_of(found)


def test_merge_puts_the_product_where_the_first_sibling_was() -> None:
    """Whatever the order of the columns: what is added later must still come later."""
    found = merge_products(
        program(
            GATES,
            """
            b = product(x, middle)
            b += bias(u)
            a = product(x, left)
            a += bias(v)
            """,
        )
    )
    assert forward_of(found) == "a_merged = product(x, w_0_5)\nb += bias(u)\na += bias(v)"


def test_merge_of_additions_waits_for_all_that_is_set_before() -> None:
    found = merge_products(
        program(
            GATES,
            """
            b = bias(u)
            b += product(x, middle)
            a = bias(v)
            a += product(x, left)
            """,
        )
    )
    assert forward_of(found) == "b = bias(u)\na = bias(v)\na_merged += product(x, w_0_5)"


def test_merge_of_additions_leaves_what_is_read_in_between() -> None:
    before = program(
        GATES,
        """
        b = bias(u)
        b += product(x, middle)
        h = activate[function=tanh](b)
        a = bias(v)
        a += product(x, left)
        """,
    )
    assert untouched(merge_products, before)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a = product(x, left)\nb = product(z, middle)", id="two operands"),
        pytest.param("a = product(x, left)\nh = product(x, right)", id="a gap between columns"),
        pytest.param("a = product(x, left)\na += product(x, left)", id="the same output twice"),
        pytest.param("a = product(x, upper)\nb = product(x, lower)", id="other rows"),
        pytest.param(
            "b = bias(u)\na = product(x, left)\nb += product(x, middle)", id="one set, one added"
        ),
        pytest.param(
            "a = product[turned=1](x, left)\nb = product[turned=1](x, middle)", id="turned"
        ),
    ],
)
def test_merge_leaves(text: str) -> None:
    assert untouched(merge_products, program(GATES, text))


def test_merge_leaves_outputs_that_are_parts_of_something_else() -> None:
    arrays = f"{dedent(GATES).rstrip()}\nvalue c float32[B, 9]\nview c_2 float32[B, 2] = c[0:, 4:6]"
    assert untouched(
        merge_products, program(arrays, "c_2 = product(x, left)\nb = product(x, middle)")
    )


def test_merge_leaves_outputs_that_are_read_in_another_shape() -> None:
    arrays = f"{dedent(GATES).rstrip()}\nview b_image float32[B, 3, 1] = b reshaped"
    assert untouched(
        merge_products, program(arrays, "a = product(x, left)\nb = product(x, middle)")
    )


def test_merge_does_not_mix_loops_with_what_is_outside() -> None:
    before = program(
        """
        input x float32[T, B, 4]
        value a float32[T, B, 2]
        value b float32[T, B, 3]
        parameter w float32[4, 5] at 0
        view left float32[4, 2] = w[0:, 0:2]
        view right float32[4, 3] = w[0:, 2:]
        """,
        """
        loop forward:
            a[t] = product(x[t], left)
        loop forward:
            b[t] = product(x[t], right)
        """,
    )
    assert untouched(merge_products, before)


# fold the bias --------------------------------------------------------------------------------

BIAS = """
    input x float32[B, 4]
    value y float32[B, 3]
    parameter w float32[4, 3] at 2
    parameter b float32[3] at 14
    parameter far float32[3] at 30
    value z float32[B, 3]
"""
FOLD = "y = product(x, w)\ny += bias(b)"


def test_fold_bias_needs_one_product() -> None:
    found = fold_bias(program(BIAS, FOLD))
    assert forward_of(found) == "y = product(x_and_1, w_and_bias)"
    assert arrays_of(found)[:2] == [
        "input x_and_1 float32[B, 5] with ones",
        "view x float32[B, 4] = x_and_1[0:, 0:4]",
    ]
    assert "parameter w_and_bias float32[5, 3] at 2" in arrays_of(found)
    assert "view w float32[4, 3] = w_and_bias[0:4, 0:]" in arrays_of(found)


@pytest.mark.parametrize(
    ("change", "forward"),
    [
        pytest.param(("", ""), "y = product(x, w)\ny += bias(far)", id="a bias elsewhere"),
        pytest.param(("", ""), "y = copy(z)\ny += product(x, w)\ny += bias(b)", id="an addition"),
        pytest.param(("", ""), "y = product(x, w)", id="no bias"),
        pytest.param(("x float32[B, 4]", "x float32[T, B, 4]"), FOLD, id="a sequence"),
        pytest.param(
            (
                "input x float32[B, 4]",
                "value all float32[B, 8]\nview x float32[B, 4] = all[0:, 4:]",
            ),
            FOLD,
            id="an operand that is a part",
        ),
        pytest.param(
            ("value z", "view image float32[B, 2, 2] = x reshaped\nvalue z"),
            FOLD,
            id="an operand that is read in another shape",
        ),
        pytest.param(
            ("input x float32[B, 4]", "value x float32[B, 4]"),
            f"x = copy(z)\nx += copy(z)\n{FOLD}",
            id="an operand made by several",
        ),
        pytest.param(("", ""), f"{FOLD}\nz = normalize(x)", id="an operand read in one piece"),
    ],
)
def test_fold_bias_leaves(change: tuple[str, str], forward: str) -> None:
    arrays = dedent(BIAS).replace(*change) if change[0] else BIAS
    assert untouched(fold_bias, program(arrays, forward))


def test_fold_bias_leaves_large_products() -> None:
    arrays = """
        input x float32[B, 65]
        value y float32[B, 3]
        parameter w float32[65, 3] at 0
        parameter b float32[3] at 195
    """
    assert untouched(fold_bias, program(arrays, FOLD))


def test_fold_bias_leaves_outputs_of_the_network() -> None:
    arrays = dedent(BIAS).replace("input x", "value x")
    assert untouched(fold_bias, program(arrays, f"x = copy(z)\n{FOLD}", ends="outputs: x, y"))


def test_fold_bias_leaves_the_kernel_to_others_too() -> None:
    """A kernel used twice is a part of the joint one, so both uses see the same weights."""
    arrays = f"{dedent(BIAS).rstrip()}\ninput x2 float32[B, 4]"
    found = fold_bias(program(arrays, f"{FOLD}\nz = product(x2, w)\nz += bias(b)"))
    assert forward_of(found) == (
        "y = product(x_and_1, w_and_bias)\nz = product(x2, w)\nz += bias(b)"
    )


def test_the_gradient_of_a_folded_bias_is_added_to_that_of_its_other_uses() -> None:
    """The second use is folded, so in the backward pass its gradient comes first."""
    rng = np.random.default_rng(3)
    x, other = ng.Input((4,)), ng.Input((4,))
    image = ng.Reshape((2, 2))(x)  # seen in another shape, x cannot get a column of ones
    shared = ng.Dense(3, activation="tanh")
    outputs = ng.Add()([shared(x), shared(other), ng.Dense(3)(ng.Flatten()(image))])
    net = ng.Network(inputs=[x, other], outputs=outputs, seed=1)
    xs, y = [rng.normal(size=(5, 4)), rng.normal(size=(5, 4))], rng.normal(size=(5, 3))
    gradients = []
    for passes in (None, ()):
        model = net.compile(loss="mse", dtype="float64", passes=passes)
        model.gradients(xs, y)
        gradients.append(net.parameters["dense/bias"].gradient.copy())
    assert "product(input_1_and_1" in str(net.compile(loss="mse").program)
    np.testing.assert_allclose(*gradients, rtol=1e-12)


def test_fold_bias_leaves_a_bias_that_is_declared_before_its_kernel() -> None:
    lines = dedent(BIAS).strip().splitlines()
    before = program("\n".join([lines[3], *lines[:3], *lines[4:]]), FOLD)
    assert untouched(fold_bias, before)


# drop copies ----------------------------------------------------------------------------------

COPIES = """
    input x float32[B, 2, 3]
    value h float32[B, 2, 3]
    value flat float32[B, 6]
    value net float32[B, 2, 3]
    value joint float32[B, 12]
    view left float32[B, 6] = joint[0:, 0:6]
    view h_flat float32[B, 6] = h reshaped
    view net_flat float32[B, 6] = net reshaped
    value y float32[B, 2, 3]
    value z float32[B, 2, 3]
    value s_all float32[T+1, B, 2]
    view s float32[T, B, 2] = s_all[1:]
    value v float32[T, B, 2]
    value r float32[T, B, 2]
    value once float32[B, 2]
"""
H = "h = activate[function=tanh](x)\n"


def copied(forward: str, last: str = "outputs: y") -> Program:
    return program(COPIES, forward, ends=last)


def test_drop_copies_reads_the_source_itself() -> None:
    found = drop_copies(copied(f"{H}net_flat = copy(h_flat)\ny = activate[function=relu](net)"))
    assert forward_of(found) == f"{H}y = activate[function=relu](h)"
    assert "view net_flat float32[B, 6] = h reshaped" in arrays_of(found)


def test_drop_copies_flattens_by_a_view() -> None:
    found = drop_copies(copied(f"{H}flat = copy(h_flat)\nleft = activate[function=relu](flat)"))
    assert forward_of(found) == f"{H}left = activate[function=relu](flat)"
    assert "view flat float32[B, 6] = h reshaped" in arrays_of(found)


def test_drop_copies_goes_through_a_chain() -> None:
    found = drop_copies(copied(f"{H}net = copy(h)\nz = copy(net)\ny = activate[function=relu](z)"))
    assert forward_of(found) == f"{H}y = activate[function=relu](h)"


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(copied(f"{H}net = copy[factor=2](h)"), id="a multiple"),
        pytest.param(copied(f"{H}net = copy(h)\nnet += copy(x)"), id="a sum"),
        pytest.param(copied(f"{H}net = copy(h)\nh += copy(x)"), id="a source that changes later"),
        pytest.param(copied(f"{H}y = copy(h)"), id="an output"),
        pytest.param(copied(f"{H}left = copy(h_flat)"), id="a part"),
        pytest.param(copied("joint = fill[value=1]()\nflat = copy(left)"), id="from a part"),
        pytest.param(copied("z = copy(y)\nh = copy(z)", "outputs: h, z"), id="a later source"),
        pytest.param(copied("v = copy(once)"), id="repeated over time"),
        pytest.param(
            copied("s_all = fill[value=0]()\nloop forward:\n    v[t] = copy(s[t-1])"), id="delayed"
        ),
    ],
)
def test_drop_copies_leaves(before: Program) -> None:
    assert untouched(drop_copies, before)


def test_drop_copies_works_in_loops() -> None:
    before = copied(
        """
        s_all = fill[value=0]()
        loop forward:
            v[t] = activate[function=tanh](s[t-1])
            r[t] = copy(v[t])
            s[t] = activate[function=relu](r[t])
        """
    )
    assert "s[t] = activate[function=relu](v[t])" in forward_of(drop_copies(before))


# fuse the loss --------------------------------------------------------------------------------

ENDS = """
    input net float32[B, 3]
    value y float32[B, 3]
    target labels float32[B, 3]
    value d_y float32[B, 3]
    value d_net float32[B, 3]
    gradient d_w float32[3] at 0
"""
SOFTMAX = ("y = softmax(net)", "d_net = softmax_gradient(d_y, y)")
SIGMOID = (
    "y = activate[function=sigmoid](net)",
    "d_net = activate_gradient[function=sigmoid, uses=y](d_y, y)",
)


def ends(forward: str, *backward: str) -> Program:
    return program(ENDS, forward, "\n".join(backward), "outputs: y")


def test_fuse_loss_takes_softmax_and_cross_entropy_together() -> None:
    found = fuse_loss(ends(SOFTMAX[0], "d_y = loss[loss=classes](y, labels)", SOFTMAX[1]))
    assert backward_of(found) == "d_net = loss[loss=classes, form=fused_softmax](y, labels)"


def test_fuse_loss_takes_sigmoid_and_binary_cross_entropy_together() -> None:
    found = fuse_loss(ends(SIGMOID[0], "d_y = loss[loss=yes_no](y, labels)", SIGMOID[1]))
    assert backward_of(found) == "d_net = loss[loss=yes_no, form=fused_sigmoid](y, labels)"


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(ends(SOFTMAX[0], "d_y = loss[loss=mse](y, labels)", SOFTMAX[1]), id="mse"),
        pytest.param(
            ends(SOFTMAX[0], "d_y = loss[loss=yes_no](y, labels)", SOFTMAX[1]),
            id="softmax with a loss for sigmoids",
        ),
        pytest.param(
            ends(SIGMOID[0], "d_y = loss[loss=classes](y, labels)", SIGMOID[1]),
            id="sigmoid with a loss for softmax",
        ),
        pytest.param(
            ends(
                "y = activate[function=tanh](net)",
                "d_y = loss[loss=yes_no](y, labels)",
                "d_net = activate_gradient[function=tanh, uses=y](d_y, y)",
            ),
            id="another activation",
        ),
        pytest.param(
            ends(
                SOFTMAX[0],
                "d_y = loss[loss=classes](y, labels)",
                "d_y += copy(labels)",
                SOFTMAX[1],
            ),
            id="an output that feeds something else",
        ),
        pytest.param(
            ends(
                SOFTMAX[0],
                "d_net = fill[value=0]()",
                "d_y = loss[loss=classes](y, labels)",
                "d_net += softmax_gradient(d_y, y)",
            ),
            id="a net whose gradient is a sum",
        ),
        pytest.param(
            ends(
                f"{SOFTMAX[0]}\ny += copy(net)",
                "d_y = loss[loss=classes](y, labels)",
                SOFTMAX[1],
            ),
            id="an output that is not only the softmax",
        ),
    ],
)
def test_fuse_loss_leaves(before: Program) -> None:
    assert untouched(fuse_loss, before)


def test_fuse_loss_leaves_logits() -> None:
    logits = CategoricalCrossentropy(from_logits=True)
    before = ends(SOFTMAX[0], "d_y = loss[loss=classes](y, labels)", SOFTMAX[1])
    before = parse(str(before), {**CONSTANTS, "classes": logits})
    assert untouched(fuse_loss, before)


def test_fuse_loss_leaves_a_function_that_is_only_called_sigmoid() -> None:
    own = Activation("sigmoid", lambda net: 0.0 * net + 0.5, lambda net, y: 0.0 * net)
    before = ends(SIGMOID[0], "d_y = loss[loss=yes_no](y, labels)", SIGMOID[1])
    before = parse(str(before), {**CONSTANTS, "sigmoid": own})
    assert untouched(fuse_loss, before)


# drop what nobody reads -----------------------------------------------------------------------


def test_drop_dead_drops_what_nobody_reads_and_what_only_that_reads() -> None:
    found = drop_dead(
        program(
            """
            input x float32[B, 2]
            value y float32[B, 2]
            value a float32[B, 2]
            value b float32[B, 2]
            table t float32[2]
            """,
            "a = activate[function=tanh](x)\nb = activate[function=tanh](a)\ny = copy(x)",
            ends="outputs: y",
        )
    )
    assert forward_of(found) == "y = copy(x)"
    assert arrays_of(found) == ["input x float32[B, 2]", "value y float32[B, 2]"]


def test_drop_dead_keeps_outputs_gradients_losses_and_what_they_need() -> None:
    before = program(
        """
        input x float32[B, 2]
        value y_all float32[B, 4]
        view y float32[B, 2] = y_all[0:, 0:2]
        value z float32[B, 2]
        parameter w float32[2] at 0
        gradient d_w float32[2] at 0
        target labels float32[B, 2]
        value d_z float32[B, 2]
        value d_y float32[B, 2]
        """,
        "y = scale(x, w)\nz = copy(y)",
        """
        d_z = loss[loss=mse](z, labels)
        d_y = copy(y)
        d_w = dots(x, d_y)
        """,
        "outputs: y",
    )
    assert untouched(drop_dead, before)


def test_drop_dead_keeps_what_a_later_step_of_the_loop_reads() -> None:
    before = program(
        LOOP,
        """
        loop forward:
            net[t] = product(h[t-1], u)
            h[t] = activate[function=tanh](other[t])
            other[t] = copy(net[t])
        """,
        ends="outputs: net",
    )
    found = drop_dead(before)
    assert forward_of(found) == forward_of(before)


@pytest.mark.parametrize("op", ["apply_gradient", "normalize_gradient", "layer_norm_gradient"])
def test_drop_dead_keeps_what_writes_gradients_beside_its_output(op: str) -> None:
    before = program(
        """
        input x float32[B, 2]
        value y float32[B, 2]
        value d_y float32[B, 2]
        value d_x float32[B, 2]
        gradient d_gamma float32[2] at 0
        """,
        "y = copy(x)",
        f"d_y = copy(y)\nd_gamma = fill[value=0]()\nd_x = {op}(d_y, x, y, d_gamma)",
        "outputs: y",
    )
    assert untouched(drop_dead, before)


# batch normalisation --------------------------------------------------------------------------

NORM = """
    input x float32[B, 4]
    value net float32[B, 3]
    value h float32[B, 3]
    value y float32[B, 3]
    parameter w float32[4, 3] at 0
    parameter b float32[3] at 12
    parameter gamma float32[3] at 15
    parameter beta float32[3] at 18
    parameter mean float32[3] at 21
    parameter variance float32[3] at 24
"""
RESCALE = "h = rescale[name=n, scale=1, center=1, epsilon=0.001](net, gamma, beta, mean, variance)"


def test_fold_batch_norm_goes_into_the_kernel_before_it() -> None:
    found = fold_batch_norm(
        program(NORM, f"net = product(x, w)\nnet += bias(b)\n{RESCALE}", ends="outputs: h")
    )
    kernel, shift, *rest = forward_of(found).splitlines()
    assert kernel.startswith("w_folded = fold_kernel")
    assert kernel.endswith("(w, gamma, beta, mean, variance)")
    assert shift.startswith("mean_folded = fold_shift")
    assert shift.endswith("(mean, gamma, beta, variance, b)")
    assert rest == ["h = product(x, w_folded)", "h += bias(mean_folded)"]


@pytest.mark.parametrize(
    "forward",
    [
        pytest.param(f"net = copy(h)\n{RESCALE}", id="no product before it"),
        pytest.param(f"net = product(x, w)\n{RESCALE}\ny = copy(net)", id="a net that others read"),
        pytest.param(f"net = product(x, w)\nnet += copy(y)\n{RESCALE}", id="a net of several"),
    ],
)
def test_fold_batch_norm_leaves(forward: str) -> None:
    assert untouched(fold_batch_norm, program(NORM, forward, ends="outputs: h"))


def test_fold_batch_norm_leaves_a_net_that_is_an_output() -> None:
    before = program(NORM, f"net = product(x, w)\n{RESCALE}", ends="outputs: h, net")
    assert untouched(fold_batch_norm, before)


NORMALIZE = "h = normalize[name=n, scale=1, center=1](net, gamma, beta)"


def test_fuse_batch_norm_takes_the_relu_in() -> None:
    found = fuse_batch_norm(program(NORM, f"{NORMALIZE}\ny = activate[function=relu](h)"))
    assert forward_of(found) == "y = normalize[name=n, scale=1, center=1, relu=1](net, gamma, beta)"


@pytest.mark.parametrize(
    "after",
    [
        pytest.param("y = activate[function=tanh](h)", id="another activation"),
        pytest.param("y = activate[function=relu](h)\nnet = copy(h)", id="read by others too"),
        pytest.param("y = copy(h)", id="no activation"),
    ],
)
def test_fuse_batch_norm_leaves(after: str) -> None:
    assert untouched(fuse_batch_norm, program(NORM, f"{NORMALIZE}\n{after}"))
