"""``neurograph inspect``: one node, its strongest inputs and outputs; or one connection."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from math import isclose

from neurograph.cli.data import add_data, data_of, fitted, loss_for
from neurograph.cli.networks import add_network, model_of
from neurograph.cli.runs import read_settings
from neurograph.errors import OptionError
from neurograph.graph.connection import Connection
from neurograph.graph.node import Node
from neurograph.inspect.reading import Reading
from neurograph.inspect.writing import number
from neurograph.train.model import Model
from neurograph.words import count

WHOLE = "all connections that share the weight, at all steps"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_network(parser)
    parser.add_argument("place", metavar="NODE", help="'dense[3]', 'h', or a connection 'a -> b'")
    add_data(parser, "run one of its samples; left out, what the model was trained on")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="the held-out one (0)")
    parser.add_argument("--top", type=int, default=8, metavar="N", help="connections shown (8)")
    parser.add_argument("--arithmetic", action="store_true", help="write the node's sums down")


def run(arguments: argparse.Namespace) -> int:
    """Print the node or the connection."""
    if arguments.top < 1:
        raise OptionError(f"--top is {arguments.top}: show at least 1 connection")
    model = model_of(arguments.network)
    if "->" in arguments.place:
        connection = model.network.find(arguments.place)
        show_connection(connection, _run_sample(model, arguments))
        return 0
    node = model.network.node(arguments.place)
    ran = _run_sample(model, arguments)
    if arguments.arithmetic:
        print(node.explain(limit=arguments.top))
    else:
        show_node(node, arguments.top, ran)
    return 0


def _run_sample(model: Model, arguments: argparse.Namespace) -> bool:
    """Let a sample go through, so that there are values; say which."""
    data = data_of(arguments, read_settings(arguments.network))
    if data is None:
        print("no data: weights only (--data NAME runs a sample)\n")
        return False
    ready = fitted(data, model.network)
    chosen = arguments.sample
    if not 0 <= chosen < len(ready.x_test):
        raise OptionError(
            f"there is no sample {chosen}: {data.name} holds out {len(ready.x_test):,}, counted "
            f"from 0"
        )
    if model.losses[0].name == "mse":
        model = Model(model.network, loss=loss_for(data, model.network))
    loss = model.inspect(ready.x_test[chosen : chosen + 1], ready.y_test[chosen : chosen + 1])
    what = f" ({data.class_names[int(data.y_test[chosen])]})" if data.class_names else ""
    print(f"sample {chosen} of {data.name}{what}: loss {loss:.6g}\n")
    return True


def show_node(node: Node, top: int, ran: bool) -> None:
    """Print a node's values, and its strongest connections both ways."""
    up, down = list(node.upstream), list(node.downstream)
    kind = node.layer.activation_name if node.layer.function else node.activation.name
    how = f"{kind} of {node.aggregation}" if node.takes_connections else "given from outside"
    print(f"{node.label}: {how}, {count(len(up), 'connection')} in, {len(down):,} out")
    reading = Reading.of(node, 0, -1) if ran else None
    if reading is not None:
        values = {what: reading.value(node, what) for what in ("net", "output", "delta")}
        if not node.takes_connections:
            del values["net"]
        print("  " + ", ".join(f"{what} {number(value)}" for what, value in values.items()))

    def carried(each: Connection) -> float:
        return 0.0 if reading is None else (reading.arriving(each) or 0.0)

    def sent_back(each: Connection) -> float:
        return 0.0 if reading is None else reading.returning(each)

    _show("strongest in", up, top, ran, ("output", "weight * output"), carried)
    _show("strongest out", down, top, ran, ("delta there", "weight * delta"), sent_back)
    if reading is not None and any(_is_more(each, reading) for each in (*up, *down)):
        print(f"\n  gradient: of {WHOLE}")


def _is_more(connection: Connection, reading: Reading) -> bool:
    """Whether a gradient is more than what this connection brings to it at this step."""
    if connection.parameter is None:
        return False
    delta = reading.value(connection.downstream_node, "delta") * reading.partial(connection)
    own = -delta * (reading.arriving(connection) or 0.0)
    return not isclose(connection.gradient, own, rel_tol=1e-4, abs_tol=1e-30)


def _show(
    title: str,
    connections: Sequence[Connection],
    top: int,
    ran: bool,
    names: tuple[str, str],
    signal: Callable[[Connection], float],
) -> None:
    if not connections:
        return
    rows = []
    for each in connections:
        value = signal(each)
        rows.append((each, value, each.weight * value))
    rows.sort(key=lambda row: -abs(row[2] if ran else row[0].weight))
    table = [(title, "weight", *((*names, "gradient") if ran else ()))]
    for each, value, product in rows[:top]:
        numbers = (each.weight, *((value, product, each.gradient) if ran else ()))
        table.append((each.label, *map(number, numbers)))
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    print()
    for row in table:
        cells = [
            cell.rjust(width) if k else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  " + "  ".join(cells).rstrip())
    if len(rows) > top:
        print(f"  … {len(rows) - top:,} more")


def show_connection(connection: Connection, ran: bool) -> None:
    """Print a connection: its weight, gradient, and two nodes."""
    print(connection.label)
    rows = [("weight", number(connection.weight)), ("trained", str(connection.trainable).lower())]
    if connection.delay:
        rows.append(("delay", str(connection.delay)))
    parameter = connection.parameter
    if parameter is not None:
        rows.append(("weight's home", f"{parameter.name}, number {connection.index}"))
    if ran:
        up, down = connection.upstream_node, connection.downstream_node
        output = Reading.of(up, 0, -1).value(up, "output") if not up.is_constant else 1.0
        delta = Reading.of(down, 0, -1).value(down, "delta")
        whole = f", of {WHOLE}" if _is_more(connection, Reading.of(down, 0, -1)) else ""
        rows.append(("gradient", f"{number(connection.gradient)}, dE/d weight{whole}"))
        rows.append(("upstream node", f"{up.label}, output {number(output)}"))
        rows.append(("downstream node", f"{down.label}, delta {number(delta)}"))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name.ljust(width)}  {value}")
