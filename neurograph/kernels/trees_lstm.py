"""The child-sum tree LSTM over a batch of trees, all cells of one height in one product.

Tai, Socher & Manning 2015, equations 2 to 8: with h~ the sum of the children's states, ``i, o =
sigmoid(x W + h~ U + b)``, ``u = tanh(x W + h~ U + b)``, one forget gate for every child, ``f_k =
sigmoid(x W_f + h_k U_f + b_f)``, the cell ``c = i u + sum f_k c_k`` and the state ``h = o
tanh(c)``. The columns of all weights come in the order i, o, u, f, so that what multiplies h~ lies
side by side. Rows are in the order of a `ChildSumPlan`, edges too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.kernels.trees import ChildSumPlan

Array = NDArray[Any]


def child_sum_shapes(nodes: int, edges: int, units: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays for so many nodes and edges; the kernels may be given more.

    >>> child_sum_shapes(nodes=5, edges=4, units=50)["gates"]
    (5, 150)
    """
    rows = (
        (nodes, ("h", "c", "h_sum", "tanh_c", "d_h", "d_c", "work")),
        (edges, ("h_child", "c_child", "forget", "through", "d_forget")),
        (edges + 1, ("d_h_child", "d_c_child")),
    )
    shapes: dict[str, tuple[int, ...]] = {
        "net": (nodes, 4 * units),
        "gates": (nodes, 3 * units),
        "d_net": (nodes, 4 * units),
    }
    for count, names in rows:
        shapes |= dict.fromkeys(names, (count, units))
    return shapes


def child_sum_forward(
    plan: ChildSumPlan,
    net: Array,
    U: Array,
    h: Array,
    c: Array,
    h_sum: Array,
    gates: Array,
    tanh_c: Array,
    h_child: Array,
    c_child: Array,
    forget: Array,
    through: Array,
) -> None:
    """Fill in the states and cells of all nodes, height by height.

    Parameters
    ----------
    plan : ChildSumPlan
    net : (nodes, 4 units)
        Input projection plus bias of every node, in the order ``plan.order``; the bias alone for a
        node without input. Not changed.
    U : (units, 4 units)
        Recurrent weights.
    h, c, tanh_c : (nodes, units)
        Written: states, cells, and the tanh of the cells.
    h_sum : (nodes, units)
        Written: the sum of the children's states.
    gates : (nodes, 3 units)
        Written: i, o, u after their activations.
    h_child, c_child, forget : (edges, units)
        Written: the child's state, its cell, and the forget gate of each edge.
    through : (edges, units)
        Work array.

    Examples
    --------
    >>> from neurograph.kernels.trees import child_sum_plan
    >>> plan = child_sum_plan(np.array([0, 0, 0, 2]), np.array([0, 1]))
    >>> arrays = {k: np.zeros(v) for k, v in child_sum_shapes(3, 2, 1).items()}
    >>> arrays["net"][:] = [0.0, 0.0, 1.0, 0.0]
    >>> U = np.zeros((1, 4))
    >>> names = "h c h_sum gates tanh_c h_child c_child forget through".split()
    >>> child_sum_forward(plan, arrays["net"], U, *[arrays[k] for k in names])
    >>> arrays["c"].round(3).ravel()  # tanh(1) / 2, and for the parent that and half of two such
    array([0.381, 0.381, 0.762])
    """
    units = h.shape[1]
    two, three = 2 * units, 3 * units
    for start, stop, blocks in zip(plan.bounds[:-1], plan.bounds[1:], plan.blocks, strict=True):
        a, c_now, net_now = gates[start:stop], c[start:stop], net[start:stop]
        if blocks:
            edges = slice(blocks[0][0], blocks[-1][1])
            total, f, kept = h_sum[start:stop], forget[edges], through[edges]
            np.take(h, plan.child[edges], axis=0, out=h_child[edges], mode="clip")
            np.take(c, plan.child[edges], axis=0, out=c_child[edges], mode="clip")
            np.matmul(h_child[edges], U[:, three:], out=f)
            total[...] = 0
            for begin, end in blocks:
                rows = slice(None, end - begin)
                np.add(total[rows], h_child[begin:end], out=total[rows])
                np.add(forget[begin:end], net_now[rows, three:], out=forget[begin:end])
            np.multiply(f, 0.5, out=f)
            np.tanh(f, out=f)
            np.multiply(f, 0.5, out=f)
            np.add(f, 0.5, out=f)
            np.multiply(f, c_child[edges], out=kept)
            np.matmul(total, U[:, :three], out=a)
            np.add(a, net_now[:, :three], out=a)
        else:
            h_sum[start:stop] = 0
            np.copyto(a, net_now[:, :three])
        np.multiply(a[:, :two], 0.5, out=a[:, :two])
        np.tanh(a, out=a)
        np.multiply(a[:, :two], 0.5, out=a[:, :two])
        np.add(a[:, :two], 0.5, out=a[:, :two])
        np.multiply(a[:, :units], a[:, two:], out=c_now)
        for begin, end in blocks:
            np.add(c_now[: end - begin], through[begin:end], out=c_now[: end - begin])
        np.tanh(c_now, out=tanh_c[start:stop])
        np.multiply(a[:, units:two], tanh_c[start:stop], out=h[start:stop])


def child_sum_backward(
    plan: ChildSumPlan,
    U: Array,
    gates: Array,
    tanh_c: Array,
    c_child: Array,
    forget: Array,
    d_h: Array,
    d_c: Array,
    d_net: Array,
    d_forget: Array,
    d_h_child: Array,
    d_c_child: Array,
    work: Array,
) -> None:
    """Carry the gradient of `child_sum_forward` from the roots to the leaves.

    Parameters
    ----------
    plan, U, gates, tanh_c, c_child, forget
        As in the forward run; not changed.
    d_h, d_c : (nodes, units)
        On entry the gradient that reaches each state and cell from outside (for a loss on the
        roots' states, zeros elsewhere); on exit the whole gradient.
    d_net : (nodes, 4 units)
        Written: the gradient with respect to ``net``.
    d_forget : (edges, units)
        Written: the gradient with respect to the pre-activations of the forget gates.
    d_h_child, d_c_child : (edges + 1, units)
        Work arrays.
    work : (nodes, units)
        Work array.

    Examples
    --------
    >>> from neurograph.kernels.trees import child_sum_plan
    >>> plan = child_sum_plan(np.array([0, 0, 0, 2]), np.array([0, 1]))
    >>> arrays = {k: np.zeros(v) for k, v in child_sum_shapes(3, 2, 1).items()}
    >>> arrays["net"][:], arrays["d_c"][2] = [0.0, 0.0, 1.0, 0.0], 1.0
    >>> U = np.zeros((1, 4))
    >>> names = "h c h_sum gates tanh_c h_child c_child forget through".split()
    >>> child_sum_forward(plan, arrays["net"], U, *[arrays[k] for k in names])
    >>> names = "gates tanh_c c_child forget d_h d_c d_net d_forget d_h_child d_c_child work"
    >>> child_sum_backward(plan, U, *[arrays[k] for k in names.split()])
    >>> arrays["d_c"].ravel(), arrays["d_forget"].round(3).ravel()
    (array([0.5, 0.5, 1. ]), array([0.095, 0.095]))
    """
    units = d_h.shape[1]
    three, edge_count = 3 * units, len(plan.child)
    d_h_child[edge_count], d_c_child[edge_count] = 0, 0
    for level in range(len(plan.blocks) - 1, -1, -1):
        start, stop = plan.bounds[level : level + 2]
        now = slice(start, stop)
        dh, dc, up, part = d_h[now], d_c[now], plan.edge[now], work[now]
        for total, by_edge in ((dh, d_h_child), (dc, d_c_child)):
            np.take(by_edge, up, axis=0, out=part, mode="clip")
            np.add(total, part, out=total)
        child_sum_gate_gradients(gates[now], tanh_c[now], dh, dc, d_net[now], part)
        to_forget = d_net[now, three:]
        to_forget[...] = 0
        if not plan.blocks[level]:
            continue
        np.matmul(d_net[now, :three], U[:, :three].T, out=part)  # with respect to h~
        edges = slice(plan.blocks[level][0][0], plan.blocks[level][-1][1])
        f, df = forget[edges], d_forget[edges]
        np.subtract(1, f, out=df)
        np.multiply(df, f, out=df)
        np.multiply(df, c_child[edges], out=df)
        for begin, end in plan.blocks[level]:
            rows, block = slice(None, end - begin), slice(begin, end)
            np.multiply(d_forget[block], dc[rows], out=d_forget[block])
            np.multiply(forget[block], dc[rows], out=d_c_child[block])
            np.add(to_forget[rows], d_forget[block], out=to_forget[rows])
        np.matmul(df, U[:, three:].T, out=d_h_child[edges])
        for begin, end in plan.blocks[level]:
            np.add(d_h_child[begin:end], part[: end - begin], out=d_h_child[begin:end])


def child_sum_gate_gradients(
    gates: Array, tanh_c: Array, d_h: Array, d_c: Array, d_net: Array, work: Array
) -> None:
    """Add the state's gradient to the cell's; write the gradients of the gates i, o and u."""
    units = d_h.shape[1]
    i, o, u = (gates[:, k * units : (k + 1) * units] for k in range(3))
    d_i, d_o, d_u = (d_net[:, k * units : (k + 1) * units] for k in range(3))
    np.multiply(d_h, o, out=work)
    np.add(d_c, work, out=d_c)
    np.multiply(work, tanh_c, out=work)
    np.multiply(work, tanh_c, out=work)
    np.subtract(d_c, work, out=d_c)  # d_h o (1 - tanh^2), in two parts
    np.subtract(1, o, out=d_o)
    np.multiply(d_o, o, out=d_o)
    np.multiply(d_o, tanh_c, out=d_o)
    np.multiply(d_o, d_h, out=d_o)
    np.multiply(i, d_c, out=work)
    np.subtract(1, i, out=d_i)
    np.multiply(d_i, work, out=d_i)
    np.multiply(d_i, u, out=d_i)
    np.multiply(u, u, out=d_u)
    np.subtract(1, d_u, out=d_u)
    np.multiply(d_u, work, out=d_u)


def child_sum_weight_gradient(
    plan: ChildSumPlan, h_sum: Array, h_child: Array, d_net: Array, d_forget: Array, d_U: Array
) -> None:
    """Write the gradient of the recurrent weights, over all nodes of all trees at once.

    The input weights' gradient is ``x^T d_net``, the bias's the sum of the rows of ``d_net``.

    Parameters
    ----------
    plan, h_sum, h_child, d_net, d_forget
        As the kernels left them.
    d_U : (units, 4 units)
        Written.
    """
    inner, edges = slice(plan.bounds[1], plan.bounds[-1]), len(plan.child)
    three = 3 * h_sum.shape[1]
    np.matmul(h_sum[inner].T, d_net[inner, :three], out=d_U[:, :three])
    np.matmul(h_child[:edges].T, d_forget[:edges], out=d_U[:, three:])
