"""The recursive network over a batch of trees, all cells of one height in one product.

A node's vector is ``p = f([c1; c2; ...] W + b)``, made from the vectors of its ``k`` children by
the same weights everywhere (Pollack 1990; Goller & Küchler 1996; Socher et al. 2011). A missing
child counts as zeros. Rows are in the order of a `TreePlan`: the leaves first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurograph.kernels.recurrent import Activate, Slope
from neurograph.kernels.trees import TreePlan

Array = NDArray[Any]


def recursive_shapes(
    nodes: int, leaves: int, units: int, children: int = 2
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays for so many nodes, or more, as the kernels take a first part.

    >>> recursive_shapes(nodes=5, leaves=3, units=50)["joined"]
    (2, 100)
    """
    inner = nodes - leaves
    return {
        "values": (nodes + 1, units),
        "joined": (inner, children * units),
        "net": (inner, units),
        "d_values": (nodes, units),
        "d_net": (inner, units),
        "d_joined": (inner * children + 1, units),
        "work": (nodes, units),
    }


def recursive_forward(
    plan: TreePlan,
    W: Array,
    bias: Array | None,
    values: Array,
    joined: Array,
    net: Array,
    activate: Activate,
) -> None:
    """Fill in the vectors of all inner nodes, height by height.

    Parameters
    ----------
    plan : TreePlan
    W : (k * units, units)
        Weights; the first ``units`` rows belong to the first child.
    bias : (units,) or None
    values : (nodes + 1, units) or more rows
        The first ``plan.bounds[1]`` rows are the leaves' vectors, in the order ``plan.order``; the
        rows of the inner nodes and one row of zeros behind them are written.
    joined : (inner nodes, k * units) or more rows
        Written: the children's vectors side by side.
    net : (inner nodes, units) or more rows
        Written: the pre-activations.
    activate : callable
        ``activate(net, output)`` writes the output, elementwise.

    Examples
    --------
    >>> from neurograph.kernels.recurrent import identity
    >>> from neurograph.kernels.trees import Links, tree_plan
    >>> links = Links.of_matrix(np.array([[-1, -1], [-1, -1], [-1, -1], [0, 1], [3, 2]]))
    >>> plan = tree_plan(links, 2)
    >>> arrays = {k: np.zeros(v) for k, v in recursive_shapes(5, 3, 1).items()}
    >>> arrays["values"][:3, 0] = 1.0, 2.0, 3.0
    >>> W = np.array([[10.0], [1.0]])
    >>> rest = [arrays[k] for k in ("values", "joined", "net")]
    >>> recursive_forward(plan, W, None, *rest, identity)
    >>> arrays["values"][3:5].ravel()  # (1, 2) gives 12; (12, 3) gives 123
    array([ 12., 123.])
    """
    leaves, nodes = plan.bounds[1], plan.bounds[-1]
    k = plan.children.shape[1]
    values[nodes] = 0
    for start, stop in zip(plan.bounds[1:-1], plan.bounds[2:], strict=True):
        rows = slice(start - leaves, stop - leaves)
        parts, net_now = joined[rows], net[rows]
        joint = parts.reshape(stop - start, k, values.shape[1])
        values.take(plan.children[rows], 0, joint, "clip")
        np.matmul(parts, W, out=net_now)
        if bias is not None:
            np.add(net_now, bias, out=net_now)
        activate(net_now, values[start:stop])


def recursive_backward(
    plan: TreePlan,
    W: Array,
    values: Array,
    net: Array,
    slope: Slope,
    d_values: Array,
    d_net: Array,
    d_joined: Array,
    work: Array,
) -> None:
    """Carry the gradient of `recursive_forward` from the roots to the leaves (through structure).

    Parameters
    ----------
    plan, W, values, net
        As in the forward run; not changed.
    slope : callable
        ``slope(net, output, slope)`` writes the activation's derivative, elementwise.
    d_values : (nodes, units) or more rows
        On entry the gradient that reaches each node from outside (for a loss on the roots, zeros
        elsewhere); on exit the whole gradient, that of the leaves' vectors included.
    d_net : (inner nodes, units) or more rows
        Written: the gradient with respect to the pre-activations.
    d_joined : (k * inner nodes + 1, units) or more rows
        Work array.
    work : (nodes, units) or more rows
        Work array.

    Examples
    --------
    >>> from neurograph.kernels.recurrent import identity, identity_slope
    >>> from neurograph.kernels.trees import Links, tree_plan
    >>> links = Links.of_matrix(np.array([[-1, -1], [-1, -1], [-1, -1], [0, 1], [3, 2]]))
    >>> plan = tree_plan(links, 2)
    >>> arrays = {k: np.zeros(v) for k, v in recursive_shapes(5, 3, 1).items()}
    >>> W = np.array([[10.0], [1.0]])
    >>> arrays["d_values"][4] = 1.0
    >>> rest = [arrays[k] for k in "d_values d_net d_joined work".split()]
    >>> recursive_backward(plan, W, arrays["values"], arrays["net"], identity_slope, *rest)
    >>> arrays["d_values"].ravel()
    array([100.,  10.,   1.,  10.,   1.])
    """
    leaves, nodes = plan.bounds[1], plan.bounds[-1]
    inner, (k, units) = nodes - leaves, (plan.children.shape[1], values.shape[1])
    slope(net[:inner], values[leaves:nodes], d_net[:inner])
    d_joined[k * inner] = 0
    pairs = d_joined[: k * inner].reshape(inner, k * units)
    for level in range(len(plan.bounds) - 2, -1, -1):
        start, stop = plan.bounds[level : level + 2]
        d_now, part = d_values[start:stop], work[start:stop]
        d_joined.take(plan.slot[start:stop], 0, part, "clip")
        np.add(d_now, part, out=d_now)
        if level:
            rows = slice(start - leaves, stop - leaves)
            np.multiply(d_net[rows], d_now, out=d_net[rows])
            np.matmul(d_net[rows], W.T, out=pairs[rows])


def recursive_weight_gradient(
    plan: TreePlan, joined: Array, d_net: Array, d_W: Array, d_bias: Array | None
) -> None:
    """Write the gradients of the weights, over all nodes of all trees in one product.

    Parameters
    ----------
    plan, joined, d_net
        As the kernels left them.
    d_W : (k * units, units)
        Written.
    d_bias : (units,) or None
        Written.
    """
    inner = plan.bounds[-1] - plan.bounds[1]
    np.matmul(joined[:inner].T, d_net[:inner], out=d_W)
    if d_bias is not None:
        np.matmul(np.ones(inner, d_net.dtype), d_net[:inner], out=d_bias)
