"""Explain: the arithmetic of one node, forward and backward, with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose

from neurograph.errors import GraphError
from neurograph.graph.connection import Connection
from neurograph.graph.layer import ZEROS
from neurograph.graph.node import Node, aggregate
from neurograph.graph.trees import goes_along_trees
from neurograph.inspect.reading import Reading, extent
from neurograph.inspect.writing import number
from neurograph.options import whole
from neurograph.words import count

_COMBINED = {
    "sum": "net = the sum of weight * output over",
    "mean": "net = the mean of weight * output over",
    "max": "net = the largest weight * output of",
    "product": "net = the product of weight * output over",
}

CLOSE = 1e-5  # so far apart, relatively, float32 may be
_PARTIAL = " * d net / d (weight * output)"


def explain_node(node: Node, sample: int = 0, step: int = -1, limit: int = 8) -> str:
    """Return how a node came to its values in the last run, as text.

    Parameters
    ----------
    node : Node
    sample : int
        Which of the batch.
    step : int
        Which step of time; -1 is the last.
    limit : int
        How many terms of a sum to show: the largest.

    Raises
    ------
    OptionError
        If the last run had no such sample or step.
    GraphError
        If the network goes along trees, and so does the node or one beside it.

    Examples
    --------
    >>> import neurograph as ng
    >>> a, y = ng.InputNode("a"), ng.Node("sigmoid", name="y")
    >>> w, bias = ng.Connection(a, y, weight=0.5), ng.Connection(ng.ConstNode("one"), y, weight=0.1)
    >>> net = ng.Network(inputs=[a], outputs=[y])
    >>> gradients = net.get_gradient([1.0], [2.0])
    >>> print(explain_node(y))
    y: sigmoid of sum, an output
    <BLANKLINE>
    forward
      net = the sum of weight * output over 2 connections
        a    0.5 * 2 =   1
        one  0.1 * 1 = 0.1
                 net = 1.1
      output = sigmoid(1.1) = 0.75026
    <BLANKLINE>
    backward
      what comes back = 0.24974, from the loss itself
      delta = sigmoid'(net) * what comes back = 0.18737 * 0.24974 = 0.0467937  (-dE/d net)
    <BLANKLINE>
    gradients, dE/d weight = -delta * output
        a    -0.0467937 * 2 = -0.0935875
        one  -0.0467937 * 1 = -0.0467937
    """
    limit = whole(f"{node.label}.explain: limit", limit, least=1)
    _refuse_trees(node)
    reading = Reading.of(node, sample, step)
    parts = [_title(node, reading)]
    if node.is_constant:
        parts.append(f"its output is always 1; it feeds {len(node.downstream):,} connections")
    elif node.layer._output is ZEROS:
        parts.append("no run has gone through it yet")
    elif node.takes_connections and node.layer.role != "noise":
        parts.append(_forward(node, reading, limit))
    else:
        parts.append(f"its output is given: {number(reading.value(node, 'output'))}")
    if not node.is_constant and node.layer._delta is not ZEROS:
        parts.append(_backward(node, reading, limit))
        if node.takes_connections and node.layer.role != "noise":
            parts.append(_gradients(node, reading, limit))
    return "\n\n".join(part for part in parts if part)


def _refuse_trees(node: Node) -> None:
    """Raise GraphError where only the tree knows which nodes are joined."""
    network, layer = node.layer.network, node.layer
    if network is None or layer._output is ZEROS or not goes_along_trees(network):
        return
    beside = [bundle.source for bundle in layer.incoming]
    beside += [bundle.target for bundle in layer.outgoing]
    if any(each.sequence for each in (layer, *beside)):
        raise GraphError(
            f"{node.label}.explain: network {network.name!r} goes along trees, and what a node "
            f"takes from its children is known for one tree: ng.tree_network(net, tree) makes the "
            f"network of that tree, whose nodes can be explained"
        )


def _title(node: Node, reading: Reading) -> str:
    kind = f"{node.layer.activation_name if node.layer.function else node.activation.name}"
    how = f"{kind} of {node.aggregation}" if node.takes_connections else "an input"
    if node.is_constant:
        how = "a constant"
    elif node.layer.role == "noise":
        how = "noise"
    output = ", an output" if _is_output(node) else ""
    batch, steps = extent(node.layer)
    places = [f"sample {reading.sample} of {batch}"] if batch is not None else []
    places += [f"step {reading.step} of {steps}"] if steps is not None else []
    return f"{node.label}: {how}{output}" + (f" ({', '.join(places)})" if places else "")


def _is_output(node: Node) -> bool:
    network = node.layer.network
    return network is not None and any(
        port.layer is node.layer and (port.indices is None or node.index in port.indices)
        for port in network.outputs
    )


# forward --------------------------------------------------------------------------------------


def _forward(node: Node, reading: Reading, limit: int) -> str:
    if reading.held(node):
        kept = number(reading.value(node, "output"))
        return f"forward\n  output = {kept}, that of the step before: the step is masked"
    signals = reading.signals(node)
    net, output = reading.value(node, "net"), reading.value(node, "output")
    products = [weight * arriving for _, weight, arriving in signals]
    terms = [Term(_source(each), weight, value, weight * value) for each, weight, value in signals]
    if node.aggregation == "max" and terms:
        for term, win in zip(terms, aggregate("max", products)[1], strict=True):
            term.note = "  the largest" if win else ""
    elif node.aggregation == "mean":
        total = sum(products)
        terms.append(Term(f"their sum {number(total)}, divided by {len(signals)}", result=None))
    lines = ["forward", f"  {_COMBINED[node.aggregation]} {count(len(signals), 'connection')}"]
    lines += _rows(terms, limit, "net", net, node.aggregation == "sum")
    function = node.layer.function
    if function is None:
        lines.append(f"  output = {node.activation.name}({number(net)}) = {number(output)}")
    else:
        lines.append(
            f"  output = {function.name} over the whole layer {node.layer.name}, of which this is "
            f"{number(output)}"
        )
    return "\n".join(lines)


def _source(connection: Connection) -> str:
    name = connection.upstream_node.label
    return f"{name}[t{-connection.delay:+d}]" if connection.delay else name


# backward -------------------------------------------------------------------------------------


def _backward(node: Node, reading: Reading, limit: int) -> str:
    delta = reading.value(node, "delta")
    if reading.held(node):
        return f"backward\n  delta = {number(delta)}, the step is masked"
    terms = [
        Term(name, weight, back, weight * back) for name, weight, back in reading.sent_back(node)
    ]
    partials = (
        _PARTIAL
        if any(each.downstream_node.aggregation != "sum" for each in node.downstream)
        else ""
    )
    returned = sum(term.result or 0.0 for term in terms)
    function = node.layer.function
    if function is not None:
        lines = _sent_back(terms, limit, returned, partials) if terms else ["backward"]
        ways = f"through {function.name} over the whole layer"
        return "\n".join([*lines, f"  delta = {number(delta)}  (-dE/d net, {ways})"])
    slope = float(
        node.activation.derivative(reading.value(node, "net"), reading.value(node, "output"))
    )
    rest = delta / slope - returned if slope else 0.0
    if _is_output(node) and slope:
        terms.append(Term("the loss itself", result=rest))
        returned += rest
    elif _has_masks(node) and abs(rest) > CLOSE * sum(abs(term.result or 0.0) for term in terms):
        terms.append(Term("masked steps, which repeat it", result=rest))
        returned += rest
    lines = _sent_back(terms, limit, returned, partials)
    if node.takes_connections:
        product = f"{number(slope)} * {number(returned)} = {number(delta)}"
        how = f"{node.activation.name}'(net) * what comes back"
        lines.append(f"  delta = {how} = {product}  (-dE/d net)")
    else:
        lines.append(f"  delta = {number(delta)}  (-dE/d output)")
    return "\n".join(lines)


def _has_masks(node: Node) -> bool:
    network = node.layer.network
    return network is not None and any(each.mask is not None for each in network.all_layers)


def _sent_back(terms: list[Term], limit: int, returned: float, partials: str) -> list[str]:
    """Return the lines of the sum that comes back to a node."""
    total = "what comes back"
    if all(term.factor is None for term in terms):
        source = ", from the loss itself" if terms else ""
        return ["backward", f"  {total} = {number(returned)}{source}"]
    many = count(sum(term.factor is not None for term in terms), "connection")
    head = f"  {total} = the sum of weight * downstream delta{partials} over {many}"
    return ["backward", head, *_rows(terms, limit, total, returned, True)]


def _gradients(node: Node, reading: Reading, limit: int) -> str:
    delta = reading.value(node, "delta")
    terms = []
    for connection, _, arriving in reading.signals(node):
        if connection.parameter is None:
            continue
        back = -delta * reading.partial(connection)
        term = Term(_source(connection), back, arriving, back * arriving)
        if not isclose(connection.gradient, back * arriving, rel_tol=CLOSE):
            term.note = f"  of {number(connection.gradient)} in all"
        terms.append(term)
    if not terms:
        return ""
    partial = "" if node.aggregation == "sum" else _PARTIAL
    lines = [f"gradients, dE/d weight = -delta * output{partial}"]
    return "\n".join([*lines, *_rows(terms, limit)])


# tables ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Term:
    """A line of a sum: ``name  factor * value = result  note``."""

    name: str
    factor: float | None = None
    value: float | None = None
    result: float | None = None
    note: str = ""


def _rows(
    terms: Sequence[Term],
    limit: int,
    total: str = "",
    value: float = 0.0,
    summed: bool = False,
) -> list[str]:
    """Return the largest terms in their order, how much the others make, and the total."""
    shown = list(terms)
    if len(terms) > limit:
        order = sorted(range(len(terms)), key=lambda k: -abs(terms[k].result or 0.0))
        kept = sorted(order[:limit])
        rest = [terms[k] for k in order[limit:]]
        sum_of_rest = sum(term.result or 0.0 for term in rest) if summed else None
        shown = [terms[k] for k in kept]
        shown.append(Term(f"… {len(rest):,} more", result=sum_of_rest))
    texts = _aligned(shown)
    if total:
        shown.append(Term(total, result=value))
        texts.append(total)
    left = max((len(text) for text in texts), default=0)
    results = ["" if term.result is None else number(term.result) for term in shown]
    right = max(map(len, results), default=0)
    if total:
        texts[-1] = f"{total:>{left}}"
    lines = []
    for text, result, term in zip(texts, results, shown, strict=True):
        equals = f" = {result:>{right}}" if result else ""
        lines.append(f"    {text:<{left}}{equals}{term.note}".rstrip())
    return lines


def _aligned(terms: Sequence[Term]) -> list[str]:
    """Return ``name  factor * value`` of each term, in columns."""
    products = [term for term in terms if term.factor is not None and term.value is not None]
    names = max((len(term.name) for term in products), default=0)
    factors = max((len(number(term.factor or 0.0)) for term in products), default=0)
    values = max((len(number(term.value or 0.0)) for term in products), default=0)
    return [
        term.name
        if term.factor is None or term.value is None
        else f"{term.name:<{names}}  {number(term.factor):>{factors}} * "
        f"{number(term.value):<{values}}"
        for term in terms
    ]
