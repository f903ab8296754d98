"""The child-sum tree LSTM over a batch of trees, all cells of one height in one product.

Tai, Socher & Manning 2015, equations 2 to 8: with h~ the sum of the children's states, ``i, o =
sigmoid(x W + h~ U + b)``, ``u = tanh(x W + h~ U + b)``, one forget gate for every child, ``f_k =
sigmoid(x W_f + h_k U_f + b_f)``, the cell ``c = i u + sum f_k c_k`` and the state ``h = o
tanh(c)``. Gates come in the order i, o, u, f, each in a contiguous array of its own, which NumPy
runs through in one stride. As sigmoid(a) = (1 + tanh(a / 2)) / 2, one tanh serves all gates if the
weights of i, o and f are taken by half, as `child_sum_weights` does. Rows are in the order of a
`ChildSumPlan`, edges too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.kernels.trees import ChildSumPlan

Array = NDArray[Any]
HALVED = (0, 1, 3)  # the gates that are sigmoids


def child_sum_shapes(nodes: int, edges: int, units: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays for so many nodes and edges; the kernels may be given more.

    >>> child_sum_shapes(nodes=5, edges=4, units=50)["gates"]
    (4, 5, 50)
    """
    rows = (
        ((nodes, units), ("h", "c", "h_sum", "tanh_c", "d_h", "d_c", "work")),
        ((nodes, units), ("c_child", "d_h_child")),
        ((edges, units), ("h_child", "forget", "d_forget")),
        ((4, nodes, units), ("gates", "d_net")),
        ((3, nodes, units), ("step",)),
        ((4, units, units), ("halved", "turned")),
    )
    return {name: shape for shape, names in rows for name in names}


def by_gate(weights: Array) -> Array:
    """Return weights (rows, 4 units) as a view with a matrix for each gate, (4, rows, units)."""
    rows, columns = weights.shape
    return weights.reshape(rows, 4, columns // 4).transpose(1, 0, 2)


def child_sum_weights(weights: Array, halved: Array) -> None:
    """Write weights (rows, 4 units) gate by gate, (4, rows, units), half of those of sigmoids.

    >>> halved = np.empty((4, 1, 1))
    >>> child_sum_weights(np.array([[2.0, 4.0, 6.0, 8.0]]), halved)
    >>> halved.ravel()
    array([1., 2., 6., 4.])
    """
    np.copyto(halved, by_gate(weights))
    for gate in HALVED:
        np.multiply(halved[gate], 0.5, out=halved[gate])


def child_sum_forward(
    plan: ChildSumPlan,
    halved: Array,
    gates: Array,
    h: Array,
    c: Array,
    h_sum: Array,
    tanh_c: Array,
    h_child: Array,
    c_child: Array,
    forget: Array,
    d_forget: Array,
    step: Array,
) -> None:
    """Fill in the states and cells of all nodes, height by height.

    Parameters
    ----------
    plan : ChildSumPlan
    halved : (4, units, units)
        Recurrent weights, from `child_sum_weights`.
    gates : (4, nodes, units)
        On entry the input projection plus bias of every node (the bias alone for a node without
        input), of i, o and f the half, in the order ``plan.order``; that of f at leaves is not
        read. On exit i, o, u after their activations, and in the place of f what is written to the
        cell, i u.
    h, c, tanh_c : (nodes, units)
        Written: states, cells, and the tanh of the cells.
    h_sum : (nodes, units)
        Written: the sum of the children's states.
    h_child, c_child, forget : (edges, units)
        Written: the child's state, its cell, and the forget gate of each edge.
    d_forget : (edges, units)
        Written: what the gate keeps of the child's cell.
    step : (3, nodes, units)
        Work array.

    Examples
    --------
    >>> from neurograph.kernels.trees import Links, child_sum_plan
    >>> plan = child_sum_plan(Links.of_lists(np.array([0, 0, 0, 2]), np.array([0, 1])))
    >>> arrays = {k: np.zeros(v) for k, v in child_sum_shapes(3, 2, 1).items()}
    >>> arrays["gates"][2] = 1.0
    >>> names = "halved gates h c h_sum tanh_c h_child c_child forget d_forget step".split()
    >>> child_sum_forward(plan, *[arrays[k] for k in names])
    >>> arrays["c"].round(3).ravel()  # tanh(1) / 2, and for the parent that and half of two such
    array([0.381, 0.381, 0.762])
    """
    half = np.array(0.5, h.dtype)
    h_sum[: plan.bounds[1]] = 0
    for start, stop, runs in zip(plan.bounds[:-1], plan.bounds[1:], plan.runs, strict=True):
        now = slice(start, stop)
        a, c_now, tanh_now, h_now = gates[:3, now], c[now], tanh_c[now], h[now]
        written = gates[3, now]
        if runs:
            edges, total = _edges(runs), h_sum[now]
            child, f, kept = plan.child[edges], forget[edges], d_forget[edges]
            h_parts, c_parts = h_child[edges], c_child[edges]
            h.take(child, 0, h_parts, "clip")
            c.take(child, 0, c_parts, "clip")
            np.matmul(h_parts, halved[3], out=f)
            for begin, rows, places in runs:
                part = _by_place(forget, begin, rows, places)
                np.add(part, gates[3, start : start + rows], out=part)
            np.tanh(f, out=f)
            np.multiply(f, half, out=f)
            np.add(f, half, out=f)
            np.multiply(f, c_parts, out=kept)
            _sum_places(runs, h_child, total, tanh_now)
            from_below = step[:, : stop - start]
            np.matmul(total, halved[:3], out=from_below)
            np.add(a, from_below, out=a)
        np.tanh(a, out=a)
        sigmoids = a[:2]
        np.multiply(sigmoids, half, out=sigmoids)
        np.add(sigmoids, half, out=sigmoids)
        np.multiply(a[0], a[2], out=written)
        if runs:
            _sum_places(runs, d_forget, c_now, h_now)
            np.add(c_now, written, out=c_now)
        else:
            np.copyto(c_now, written)
        np.tanh(c_now, out=tanh_now)
        np.multiply(a[1], tanh_now, out=h_now)


def child_sum_backward(
    plan: ChildSumPlan,
    U: Array,
    gates: Array,
    h: Array,
    tanh_c: Array,
    forget: Array,
    d_h: Array,
    d_c: Array,
    d_net: Array,
    d_forget: Array,
    d_h_child: Array,
    d_c_child: Array,
    work: Array,
    step: Array,
    turned: Array,
    *,
    d_roots: Array | None = None,
) -> None:
    """Carry the gradient of `child_sum_forward` from the roots to the leaves.

    Parameters
    ----------
    plan, gates, h, tanh_c, forget
        As in the forward run; not changed.
    U : (units, 4 units)
        Recurrent weights.
    d_h : (nodes, units)
        On entry the gradient that reaches each state from outside, not read if ``d_roots`` is
        given; on exit the whole gradient.
    d_c : (nodes, units)
        Written: the gradient with respect to the cells.
    d_net : (4, nodes, units)
        Written: the gradient with respect to the pre-activations, of f the sum over the children.
    d_forget : (edges, units)
        On entry as in the forward run; on exit the gradient with respect to the pre-activations of
        the forget gates.
    d_h_child, d_c_child : (nodes, units)
        Work arrays: rows of the edges, then of the roots. The second may be ``c_child`` of the
        forward run.
    work : (nodes, units)
        Work array.
    step : (3, nodes, units)
        Work array.
    turned : (4, units, units)
        Work array.
    d_roots : (trees, units), optional
        The gradient that reaches the states of the roots from outside, if it reaches no others.

    Examples
    --------
    >>> from neurograph.kernels.trees import Links, child_sum_plan
    >>> plan = child_sum_plan(Links.of_lists(np.array([0, 0, 0, 2]), np.array([0, 1])))
    >>> arrays = {k: np.zeros(v) for k, v in child_sum_shapes(3, 2, 1).items()}
    >>> arrays["gates"][2], arrays["d_h"][2] = 1.0, 1.0
    >>> names = "halved gates h c h_sum tanh_c h_child c_child forget d_forget step".split()
    >>> child_sum_forward(plan, *[arrays[k] for k in names])
    >>> names = "gates h tanh_c forget d_h d_c d_net d_forget d_h_child c_child work step turned"
    >>> child_sum_backward(plan, np.zeros((1, 4)), *[arrays[k] for k in names.split()])
    >>> arrays["d_c"].round(3).ravel(), arrays["d_forget"].round(3).ravel()
    (array([0.147, 0.147, 0.294]), array([0.028, 0.028]))
    """
    nodes, edge_count = plan.bounds[-1], len(plan.child)
    np.copyto(turned, by_gate(U).transpose(0, 2, 1))
    to_cell = work[:nodes]
    child_sum_slopes(gates[:, :nodes], h[:nodes], tanh_c[:nodes], d_net[:3, :nodes], to_cell)
    kept, lost = d_forget[:edge_count], d_c_child[:edge_count]
    np.multiply(kept, forget[:edge_count], out=lost)
    np.subtract(kept, lost, out=kept)  # f c (1 - f)
    d_net[3, : plan.bounds[1]] = 0
    d_h_child[edge_count:nodes] = 0 if d_roots is None else d_roots
    d_c_child[edge_count:nodes] = 0
    for level in range(len(plan.runs) - 1, -1, -1):
        start, stop = plan.bounds[level : level + 2]
        now, runs = slice(start, stop), plan.runs[level]
        dh, dc, up, part = d_h[now], d_c[now], plan.edge[now], work[now]
        d_gates, by_gate_now = d_net[:3, now], step[:, : stop - start]
        d_h_child.take(up, 0, dc if d_roots is None else dh, "clip")
        if d_roots is None:
            np.add(dh, dc, out=dh)
        d_c_child.take(up, 0, dc, "clip")
        np.multiply(part, dh, out=part)
        np.add(dc, part, out=dc)
        np.multiply(d_gates[::2], dc, out=d_gates[::2])
        np.multiply(d_gates[1], dh, out=d_gates[1])
        if not runs:
            continue
        np.matmul(d_gates, turned[:3], out=by_gate_now)  # with respect to h~
        np.add(by_gate_now[0], by_gate_now[1], out=part)
        np.add(part, by_gate_now[2], out=part)
        for begin, rows, places in runs:
            forgets, to_child = (
                _by_place(each, begin, rows, places) for each in (d_forget, d_c_child)
            )
            np.multiply(forgets, dc[:rows], out=forgets)
            np.multiply(_by_place(forget, begin, rows, places), dc[:rows], out=to_child)
        _sum_places(runs, d_forget, d_net[3, now], by_gate_now[0])
        edges = _edges(runs)
        np.matmul(d_forget[edges], turned[3], out=d_h_child[edges])
        for begin, rows, places in runs:
            to_child = _by_place(d_h_child, begin, rows, places)
            np.add(to_child, part[:rows], out=to_child)


def child_sum_slopes(gates: Array, h: Array, tanh_c: Array, slopes: Array, to_cell: Array) -> None:
    """Write what multiplies the gradients of cell and state, for all nodes.

    ``slopes`` (3, nodes, units): d c / d a of the gates i and u, d h / d a of the gate o, where a
    is the pre-activation; ``to_cell`` (nodes, units): d h / d c. With w = i u they are w - w i,
    i - w u, h - h o and o - h tanh(c).
    """
    i, o, _, written = gates
    np.multiply(gates[:3:2], written, out=slopes[::2])
    np.multiply(o, h, out=slopes[1])
    for slope, whole in zip(slopes, (written, h, i), strict=True):
        np.subtract(whole, slope, out=slope)
    np.multiply(h, tanh_c, out=to_cell)
    np.subtract(o, to_cell, out=to_cell)


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
    gates = by_gate(d_U)
    np.matmul(h_sum[inner].T, d_net[:3, inner], out=gates[:3])
    np.matmul(h_child[:edges].T, d_forget[:edges], out=gates[3])


def _edges(runs: list[tuple[int, int, int]]) -> slice:
    """Return the edges of a height."""
    begin, rows, places = runs[-1]
    return slice(runs[0][0], begin + rows * places)


def _by_place(values: Array, begin: int, rows: int, places: int) -> Array:
    """Return the edges of a run as (places, rows, units)."""
    return values[begin : begin + rows * places].reshape(places, rows, values.shape[1])


def _sum_places(runs: list[tuple[int, int, int]], values: Array, total: Array, work: Array) -> None:
    """Write the sum over each node's edges; the first run has an edge of every node."""
    for number, (begin, rows, places) in enumerate(runs):
        part = _by_place(values, begin, rows, places)
        if not number:
            _sum_first(part, total)
        else:
            _sum_first(part, work[:rows])
            np.add(total[:rows], work[:rows], out=total[:rows])


def _sum_first(part: Array, total: Array) -> None:
    """Write the sum over the first axis; two terms, as in binary trees, without a reduction."""
    if len(part) == 2:
        np.add(part[0], part[1], out=total)
    else:
        np.add.reduce(part, axis=0, out=total)
