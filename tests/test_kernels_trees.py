"""The batched tree kernels against plain recursions, complex steps and PyTorch's autograd."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from neurograph.errors import DataError, ShapeError
from neurograph.kernels import recurrent as rnn
from neurograph.kernels import trees, trees_lstm, trees_recursive
from neurograph.kernels.trees import Links

N = 3


def random_tree(rng, leaves, k, full=True):
    """Return children (nodes, k): neighbours are joined until one is left; numbers are shuffled."""
    if k == 1:  # a chain
        children, pool, length = [[-1]], [0], leaves
    else:
        children, pool, length = [[-1] * k for _ in range(leaves)], list(range(leaves)), 0
    while len(pool) > 1 or len(children) < length:
        count = min(len(pool), k if full else int(rng.integers(1, k + 1)))
        at = int(rng.integers(len(pool) - count + 1))
        row = pool[at : at + count] + [-1] * (k - count)
        if not full:
            rng.shuffle(row)
        children.append(row)
        pool[at : at + count] = [len(children) - 1]
    numbers = rng.permutation(len(children))
    shuffled = np.full((len(children), k), -1)
    for node, row in enumerate(children):
        shuffled[numbers[node]] = [numbers[c] if c >= 0 else -1 for c in row]
    return shuffled


def csr(children):
    """Return starts and children as `Links.of_lists` takes them."""
    rows = [[c for c in row if c >= 0] for row in children]
    return np.cumsum([0, *map(len, rows)]), np.array([c for row in rows for c in row], int)


def tree_plan(children):
    return trees.tree_plan(Links.of_matrix(children), children.shape[1])


def child_sum_plan(children):
    return trees.child_sum_plan(Links.of_lists(*csr(children)))


def join(parts):
    """Return the children of several trees as one forest, numbered through."""
    starts = np.cumsum([0, *(len(part) for part in parts)])
    moved = [np.where(part < 0, -1, part + at) for part, at in zip(parts, starts, strict=False)]
    return np.concatenate(moved)


def forest(seed, k=2, count=4, full=True, most=8):
    rng = np.random.default_rng(seed)
    return [random_tree(rng, int(rng.integers(1, most)), k, full) for _ in range(count)]


def close(found, wanted, tolerance=1e-9):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def complex_step(error, given):
    gradients = {}
    for name, value in given.items():
        gradients[name] = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            nudged = value.astype(complex)
            nudged[place] += 1e-30j
            gradients[name][place] = error(given | {name: nudged}).imag / 1e-30
    return gradients


# -- plans


def heights_by_recursion(children):
    def height(node):
        return max((1 + height(c) for c in children[node] if c >= 0), default=0)

    return np.array([height(node) for node in range(len(children))])


@for_all(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_plan_puts_children_before_parents_and_finds_both(seed, k, count, full):
    children = join(forest(seed, k + 1, count, full))
    height = heights_by_recursion(children)
    plan = tree_plan(children)
    nodes, leaves = len(children), plan.bounds[1]
    assert sorted(plan.order) == list(range(nodes))
    assert plan.bounds == [0, *np.cumsum(np.bincount(height))]
    close(height[plan.order], np.sort(height))
    known = np.append(plan.order, -1)
    np.testing.assert_array_equal(known[plan.children], children[plan.order[leaves:]])
    slots = np.append(plan.children.ravel(), -1)
    for row in range(nodes):
        assert slots[plan.slot[row]] in (row, -1)
    assert (plan.slot == plan.children.size).sum() == count
    np.testing.assert_array_equal(
        plan.order[plan.roots], np.setdiff1d(np.arange(nodes), children.ravel())
    )


@for_all(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_a_child_sum_plan_has_every_edge_in_its_block(seed, k, count):
    children = join(forest(seed, k + 1, count, full=False))
    height = heights_by_recursion(children)
    plan = child_sum_plan(children)
    np.testing.assert_array_equal(height[plan.order], np.sort(height))
    found = set()
    for level, runs in enumerate(plan.runs):
        for begin, size, places in runs:
            for edge in range(begin, begin + size * places):
                parent = plan.order[plan.bounds[level] + (edge - begin) % size]
                child = plan.order[plan.child[edge]]
                found.add((parent, child))
                assert plan.edge[plan.child[edge]] == edge
    assert found == {(p, c) for p, row in enumerate(children) for c in row if c >= 0}
    assert len(found) == len(plan.child)
    np.testing.assert_array_equal(plan.edge[plan.roots], len(found) + np.arange(count))


def test_a_chain_of_two_thousand_needs_no_recursion():
    chain = np.full((2001, 1), -1)
    chain[1:, 0] = np.arange(2000)
    assert tree_plan(chain).bounds == list(range(2002))


def test_no_trees_at_all_have_an_empty_plan():
    plan = tree_plan(np.empty((0, 2), int))
    assert plan.bounds == [0, 0]
    assert trees.child_sum_plan(Links.of_lists(np.array([0]), np.array([], int))).bounds == [0, 0]


@pytest.mark.parametrize(
    ("children", "kind", "words"),
    [
        ([[-1, -1], [0, 5]], DataError, "child 5, but their nodes are 0 to 1"),
        ([[-1], [0], [0]], DataError, "Node 0 is a child of node 1 and of node 2"),
        ([[-1, -1], [0, 0]], DataError, "Node 0 is a child of node 1 more than once"),
        ([[1], [0]], DataError, "its own ancestor"),
        ([[-1, -1], [0, 2], [1, -1]], DataError, "its own ancestor"),
        ([-1, 0], ShapeError, "needs a matrix of integers"),
        ([[0.5, 1.0]], ShapeError, "dtype float64"),
    ],
)
def test_what_is_no_tree_is_refused(children, kind, words):
    with pytest.raises(kind, match=words):
        Links.of_matrix(np.array(children))
    if np.ndim(children) == 2 and kind is DataError:
        with pytest.raises(kind, match=words):
            Links.of_lists(*csr(children))


@pytest.mark.parametrize("starts", [[], [1, 1], [0, 2, 1], [0, 0]])
def test_starts_that_do_not_fit_are_refused(starts):
    with pytest.raises(ShapeError, match="from 0 to 1, the number of edges"):
        Links.of_lists(np.array(starts, int), np.array([0]))


# -- the recursive network

ACTIVATIONS = {"tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "identity": lambda x: x}


def plain_recursion(children, node, given, f):
    """Return the vectors of a node and of all below it."""
    if (children[node] < 0).all():
        return {node: given["leaves"][node]}
    parts, below = [], {}
    for child in children[node]:
        if child >= 0:
            below |= plain_recursion(children, child, given, f)
        parts.append(below[child] if child >= 0 else np.zeros(N))
    return below | {node: f(np.concatenate(parts) @ given["W"] + given["bias"])}


def recursive_case(seed, k=2, full=True, dtype=float):
    children = join(forest(seed, k, full=full))
    rng = np.random.default_rng(seed)
    given = {
        "leaves": rng.standard_normal((len(children), N)),
        "W": rng.standard_normal((k * N, N)) / 2,
        "bias": rng.standard_normal(N),
    }
    given = {name: value.astype(dtype) for name, value in given.items()}
    return children, given, rng.standard_normal((len(children), N)).astype(dtype)


def run_recursive(children, given, seeds, activation="tanh", spare=2):
    """Run both kernels on arrays with room to spare, full of NaN; gradients by node."""
    plan, dtype = tree_plan(children), given["W"].dtype
    nodes, leaves, k = len(children), plan.bounds[1], children.shape[1]
    shapes = trees_recursive.recursive_shapes(nodes + spare, leaves, N, k)
    a = {name: np.full(shape, np.nan, dtype) for name, shape in shapes.items()}
    activate, slope = rnn.ACTIVATIONS[activation]
    a["values"][:leaves] = given["leaves"][plan.order[:leaves]]
    a["d_values"][:nodes] = seeds[plan.order]
    trees_recursive.recursive_forward(
        plan, given["W"], given["bias"], a["values"], a["joined"], a["net"], activate
    )
    rest = [a[name] for name in ["values", "net"]]
    work = [a[name] for name in ["d_values", "d_net", "d_joined", "work"]]
    trees_recursive.recursive_backward(plan, given["W"], *rest, slope, *work)
    d_W, d_bias = np.empty_like(given["W"]), np.empty_like(given["bias"])
    trees_recursive.recursive_weight_gradient(plan, a["joined"], a["d_net"], d_W, d_bias)
    values, d_leaves = np.empty_like(given["leaves"]), np.zeros_like(given["leaves"])
    values[plan.order] = a["values"][:nodes]
    d_leaves[plan.order[:leaves]] = a["d_values"][:leaves]
    return plan, values, {"leaves": d_leaves, "W": d_W, "bias": d_bias}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("k", "full"), [(1, False), (2, True), (3, False), (4, False)])
def test_the_recursive_network_is_the_plain_recursion(activation, k, full):
    children, given, seeds = recursive_case(k, k, full)
    plan, values, gradients = run_recursive(children, given, seeds, activation)
    roots = plan.order[plan.roots]

    def plain(given):
        all_values = {}
        for root in roots:
            all_values |= plain_recursion(children, root, given, ACTIVATIONS[activation])
        return np.stack([all_values[node] for node in range(len(children))])

    close(values, plain(given), 1e-13)
    wanted = complex_step(lambda moved: (plain(moved) * seeds).sum(), given)
    for name, gradient in gradients.items():
        close(gradient, wanted[name])


def test_a_batch_of_trees_is_the_sum_of_its_trees():
    parts = forest(7, count=6)
    rng = np.random.default_rng(1)
    sizes = [len(part) for part in parts]
    leaves, seeds = rng.standard_normal((2, sum(sizes), N))
    weights = {"W": rng.standard_normal((2 * N, N)) / 2, "bias": rng.standard_normal(N)}
    _, values, together = run_recursive(join(parts), weights | {"leaves": leaves}, seeds)
    totals = {"W": 0, "bias": 0}
    for part, end in zip(parts, np.cumsum(sizes), strict=True):
        some = slice(end - len(part), end)
        _, alone, one = run_recursive(part, weights | {"leaves": leaves[some]}, seeds[some])
        close(values[some], alone)
        close(together["leaves"][some], one["leaves"])
        totals = {name: totals[name] + one[name] for name in totals}
    for name, total in totals.items():
        close(together[name], total)


def test_trees_of_one_leaf_pass_their_vector_on():
    children = np.full((3, 2), -1)
    given = {"leaves": np.arange(9.0).reshape(3, 3), "W": np.ones((6, 3)), "bias": np.ones(3)}
    _, values, gradients = run_recursive(children, given, given["leaves"] * 2)
    close(values, given["leaves"])
    close(gradients["leaves"], given["leaves"] * 2)
    assert not gradients["W"].any()


# -- the child-sum tree LSTM


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def plain_child_sum(children, node, given):
    """Return (h, c) of a node and of all below it, by equations 2 to 8."""
    below, kids = {}, [child for child in children[node] if child >= 0]
    for child in kids:
        below |= plain_child_sum(children, child, given)
    net, U = given["net"][node], given["U"]
    h_sum = sum((below[child][0] for child in kids), np.zeros(N))
    i, o, u = np.split(net[: 3 * N] + h_sum @ U[:, : 3 * N], 3)
    c = sigmoid(i) * np.tanh(u)
    for child in kids:
        h_k, c_k = below[child]
        c = c + sigmoid(net[3 * N :] + h_k @ U[:, 3 * N :]) * c_k
    return below | {node: (sigmoid(o) * np.tanh(c), c)}


def run_child_sum(children, given, seeds, arrays=None, d_roots=None):
    plan, dtype = child_sum_plan(children), given["U"].dtype
    nodes, edges, units = len(children), len(plan.child), given["U"].shape[0]
    shapes = trees_lstm.child_sum_shapes(nodes + 2, edges + 1, units)
    a = {name: np.full(shape, np.nan, dtype) for name, shape in shapes.items()}
    trees_lstm.child_sum_weights(given["U"], a["halved"])
    names = "halved gates h c h_sum tanh_c h_child c_child forget d_forget step"
    back = "U gates h tanh_c forget d_h d_c d_net d_forget d_h_child c_child work step turned"
    a["U"] = given["U"]
    for _ in range(1 if arrays is None else 2):
        trees_lstm.child_sum_weights(given["net"][plan.order], a["gates"][:, :nodes])
        a["d_h"][:nodes] = seeds[plan.order]
        tracemalloc.start()
        trees_lstm.child_sum_forward(plan, *[a[name] for name in names.split()])
        trees_lstm.child_sum_backward(plan, *[a[name] for name in back.split()], d_roots=d_roots)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    d_U = np.empty_like(given["U"])
    trees_lstm.child_sum_weight_gradient(
        plan, a["h_sum"], a["h_child"], a["d_net"], a["d_forget"], d_U
    )
    d_net = np.concatenate(a["d_net"][:, :nodes], axis=1)
    by_node = np.argsort(plan.order)
    h, c, d_net = (rows[:nodes][by_node] for rows in (a["h"], a["c"], d_net))
    return plan, h, c, {"net": d_net, "U": d_U}, peak


@pytest.mark.parametrize(("k", "full"), [(1, False), (2, True), (3, False), (6, False)])
def test_the_child_sum_lstm_is_the_plain_recursion(k, full):
    children = join(forest(k, k, full=full))
    rng = np.random.default_rng(k)
    given = {
        "net": rng.standard_normal((len(children), 4 * N)),
        "U": rng.standard_normal((N, 4 * N)),
    }
    seeds = rng.standard_normal((len(children), N))
    plan, h, c, gradients, _ = run_child_sum(children, given, seeds)

    def plain(given):
        states = {}
        for root in plan.order[plan.roots]:
            states |= plain_child_sum(children, root, given)
        return np.stack([np.stack(states[node]) for node in range(len(children))], axis=1)

    close([h, c], plain(given), 1e-13)
    wanted = complex_step(lambda moved: (plain(moved)[0] * seeds).sum(), given)
    for name, gradient in gradients.items():
        close(gradient, wanted[name])


def test_what_reaches_the_roots_alone_may_be_given_by_root():
    children = join(forest(4, 3, count=5, full=False))
    rng = np.random.default_rng(2)
    given = {
        "net": rng.standard_normal((len(children), 4 * N)),
        "U": rng.standard_normal((N, 4 * N)),
    }
    plan = child_sum_plan(children)
    seeds, unread = np.zeros((2, len(children), N))
    roots, unread[...] = plan.order[plan.roots], np.nan
    seeds[roots] = rng.standard_normal((5, N))
    *_, everywhere, _ = run_child_sum(children, given, seeds)
    *_, by_root, _ = run_child_sum(children, given, unread, d_roots=seeds[roots])
    for name, gradient in everywhere.items():
        np.testing.assert_array_equal(by_root[name], gradient)


def test_the_order_of_children_does_not_matter():
    children = forest(11, 4, count=1, full=False, most=20)[0]
    rng = np.random.default_rng(1)
    given = {
        "net": rng.standard_normal((len(children), 4 * N)),
        "U": rng.standard_normal((N, 4 * N)),
    }
    seeds = rng.standard_normal((len(children), N))
    _, h, _, gradients, _ = run_child_sum(children, given, seeds)
    _, h_2, _, gradients_2, _ = run_child_sum(children[:, ::-1], given, seeds)
    close(h, h_2, 1e-13)
    close(gradients["U"], gradients_2["U"], 1e-12)


def test_gradients_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    children, given, seeds = recursive_case(3)
    _, values, gradients = run_recursive(children, given, seeds)
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in given.items()}

    def vector(node):
        if (children[node] < 0).all():
            return tensors["leaves"][node]
        joined = torch.cat([vector(child) for child in children[node]])
        return torch.tanh(joined @ tensors["W"] + tensors["bias"])

    peer = torch.stack([vector(node) for node in range(len(children))])
    close(values, peer.detach().numpy())
    (peer * torch.tensor(seeds)).sum().backward()
    for name, gradient in gradients.items():
        close(gradient, tensors[name].grad.numpy())


def test_float32_and_no_arrays_made():
    children, given, seeds = recursive_case(5, dtype=np.float32)
    _, values, gradients = run_recursive(children, given, seeds)
    assert values.dtype == gradients["W"].dtype == np.float32
    rng = np.random.default_rng(0)
    many = join(forest(0, 3, count=60, full=False, most=40))
    units = 64
    given = {
        "net": rng.standard_normal((len(many), 4 * units)).astype(np.float32),
        "U": rng.standard_normal((units, 4 * units)).astype(np.float32) / 8,
    }
    seeds = rng.standard_normal((len(many), units)).astype(np.float32)
    *_, peak = run_child_sum(many, given, seeds, arrays="twice")
    assert peak < 3 * np.getbufsize() * 4 + 16384, f"{peak} of {given['net'].nbytes} bytes"
