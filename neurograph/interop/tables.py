"""Networks as files for other programs: edge lists (CSV) and GraphML."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurograph.errors import DataError, FormatError, GraphError, failed
from neurograph.graph.network import Network
from neurograph.interop.attributes import flag
from neurograph.interop.networkx import MOST, from_networkx, to_networkx
from neurograph.options import path_text
from neurograph.storage.atomic import StrPath, atomic_write
from neurograph.storage.values import read_json

if TYPE_CHECKING:
    import networkx as nx

EDGE_COLUMNS = ("upstream", "downstream", "weight", "delay", "trainable", "parameter", "index")
NODE_COLUMNS = ("name", "role", "output", "activation", "aggregation", "initial", "position")
_SPELLINGS = {
    "upstream": ("upstream", "source", "from", "src"),
    "downstream": ("downstream", "target", "to", "dst"),
    "name": ("name", "node", "id"),
}
_WRITTEN = "$json:"  # marks attributes that GraphML itself cannot hold


def to_edges(
    network: Network, edges: StrPath, nodes: StrPath | None = None, limit: int = MOST
) -> None:
    """Write the connections as CSV, and the nodes as a second one if a path is given.

    Columns: ``upstream, downstream, weight, delay, trainable, parameter, index``, and ``name, role,
    output, activation, aggregation, initial, position``; weights in the digits that give the same
    number back.

    Raises
    ------
    GraphError
        A layer has a whole-layer function (softmax, normalisation) or noise (dropout), or values
        cross between time and space: CSV has no place for that; GraphML and ``net.save`` have.
    StorageError
        A file cannot be written.
    """
    graph = to_networkx(network, limit)
    for layer in network.all_layers:
        if layer.function is not None or layer.role == "noise":
            what = "noise" if layer.function is None else layer.function.name
            raise GraphError(
                f"layer {layer.name!r}: an edge list has no place for its {what}; use "
                f"ng.to_graphml or net.save"
            )
    if any(layer.sequence for layer in network.all_layers) and any(
        not layer.sequence and layer.role != "const" for layer in network.all_layers
    ):
        raise GraphError(
            f"network {network.name!r}: an edge list has no place for values that cross between "
            f"time and space; use ng.to_graphml or net.save"
        )
    rows = [
        {"upstream": up, "downstream": down, **data} for up, down, data in graph.edges(data=True)
    ]
    _write_csv(edges, EDGE_COLUMNS, rows)
    if nodes is not None:
        outputs = set(graph.graph["outputs"])
        inputs = {name: place for place, name in enumerate(graph.graph["inputs"])}
        ordered = sorted(graph, key=lambda name: inputs.get(name, len(inputs)))
        _write_csv(
            nodes,
            NODE_COLUMNS,
            [
                {"name": name, "output": name in outputs, **graph.nodes[name]}
                for name in (*(n for n in ordered if n not in outputs), *graph.graph["outputs"])
            ],
        )


def _write_csv(path: StrPath, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value))
    return repr(value) if isinstance(value, float) else value


def from_edges(
    edges: StrPath | Iterable[Sequence[Any]], nodes: StrPath | None = None, **options: Any
) -> Network:
    """Return the network of an edge list.

    Parameters
    ----------
    edges : path or iterable of (upstream, downstream), (upstream, downstream, weight) or
        (upstream, downstream, weight, delay)
        A path is that of a CSV file with a heading; ``source, target`` and ``from, to`` are
        understood too. Columns other than the two names may be absent.
    nodes : path, optional
        A CSV file with the column ``name``; the inputs (role ``input``) and outputs (output
        ``True``) take its order.
    options
        Those of ``from_networkx``: ``inputs``, ``outputs``, ``activation``, ``weight``, ``name``.

    Raises
    ------
    FormatError
        A file is not such a table; the line is named.
    GraphError, DataError, UnknownNameError
        As ``from_networkx``.

    Examples
    --------
    >>> net = from_edges([("a", "h", 0.5), ("b", "h", -1.0), ("h", "y", 2.0)], activation="tanh")
    >>> print(net.find("b->h"))
    b -> h: weight -1, gradient 0
    """
    import networkx as nx

    graph: nx.MultiDiGraph[Any] = nx.MultiDiGraph()
    if nodes is not None:
        _add_nodes(graph, nodes, options)
    if isinstance(edges, (str, os.PathLike)):
        for number, row in _read_csv(edges, ("upstream", "downstream")):
            _add_edge(graph, f"{os.fspath(edges)}, line {number}", row, nodes is not None)
    elif not isinstance(edges, Iterable):
        raise DataError(f"from_edges: expected a file or a list of edges, got {edges!r}")
    else:
        for number, given in enumerate(edges):
            if not (isinstance(given, (tuple, list)) and 2 <= len(given) <= 4):
                raise DataError(
                    f"from_edges: edge {number} is {given!r}, expected (upstream, downstream), "
                    f"then a weight and a delay if wanted"
                )
            names = ("upstream", "downstream", "weight", "delay")
            row = dict(zip(names, given, strict=False))
            graph.add_edge(row.pop("upstream"), row.pop("downstream"), **row)
    return from_networkx(graph, **options)


def _add_nodes(graph: nx.MultiDiGraph[Any], path: StrPath, options: dict[str, Any]) -> None:
    inputs, outputs = [], []
    for number, cells in _read_csv(path, ("name",)):
        row: dict[str, Any] = dict(cells)
        name, what = row.pop("name"), f"{os.fspath(path)}, line {number}"
        if name in graph:
            raise FormatError(f"{what}: a second node {name!r}")
        if row.get("role") == "input":
            inputs.append(name)
        if "output" in row and flag(what, "output", row.pop("output")):
            outputs.append(name)
        if "position" in row:
            row["position"] = row["position"].split()
        graph.add_node(name, **row)
    for what, found in (("inputs", inputs), ("outputs", outputs)):
        if found:
            options.setdefault(what, found)


def _add_edge(graph: nx.MultiDiGraph[Any], what: str, row: dict[str, str], listed: bool) -> None:
    up, down = row.pop("upstream"), row.pop("downstream")
    for name in (up, down):
        if listed and name not in graph:
            raise FormatError(f"{what}: node {name!r} is not in the list of nodes")
    graph.add_edge(up, down, **row)


def _read_csv(path: StrPath, needed: Sequence[str]) -> Iterable[tuple[int, dict[str, str]]]:
    where = path_text("a table", path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: it is not text in UTF-8: {error.reason}") from error
    except OSError as error:
        raise failed("a table: cannot read", path, error) from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    found = []
    try:
        heading = [column.strip().lower() for column in next(rows, [])]
        spelled = {each: name for name, words in _SPELLINGS.items() for each in words}
        columns = [spelled.get(column, column) for column in heading]
        missing = [name for name in needed if name not in columns]
        if missing:
            raise FormatError(
                f"{where}: its first line is {','.join(heading)[:60]!r}, expected a heading with "
                f"{' and '.join(repr(name) for name in needed)}"
            )
        for cells in rows:
            if not cells:
                continue
            if len(cells) != len(columns):
                raise FormatError(
                    f"{where}, line {rows.line_num}: {len(cells)} cells, the heading has "
                    f"{len(columns)}"
                )
            row = {c: cell for c, cell in zip(columns, cells, strict=True) if cell != ""}
            lost = [name for name in needed if name not in row]
            if lost:
                raise FormatError(f"{where}, line {rows.line_num}: its {lost[0]} is empty")
            found.append((rows.line_num, row))
    except csv.Error as error:
        raise FormatError(f"{where}, line {rows.line_num}: {error}") from error
    return found


# GraphML ------------------------------------------------------------------------------------------


def to_graphml(network: Network, path: StrPath, limit: int = MOST) -> None:
    """Write a network as GraphML, which yEd, Gephi, Cytoscape and igraph read; nothing is lost.

    Raises
    ------
    GraphError
        A name has a character that XML cannot hold.
    StorageError
        The file cannot be written.
    """
    import networkx as nx

    graph = to_networkx(network, limit)
    for name in graph:
        if any(ord(letter) < 32 or letter in "\ufffe\uffff" for letter in name):
            raise GraphError(f"node {name!r}: XML cannot hold its control characters; rename it")
    for data in (graph.graph, *(d for _, d in graph.nodes(data=True))):
        for key, value in data.items():
            if isinstance(value, tuple):
                value = list(value)
            if isinstance(value, (dict, list)):
                data[key] = _WRITTEN + json.dumps(value)
    buffer = io.BytesIO()
    nx.write_graphml_xml(graph, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def from_graphml(path: StrPath, **options: Any) -> Network:
    """Return the network of a GraphML file: ours, or any directed graph.

    Parameters
    ----------
    path : path
    options
        Those of ``from_networkx``.

    Raises
    ------
    FormatError
        The file cannot be read or is not GraphML.
    GraphError, DataError, UnknownNameError
        As ``from_networkx``.
    """
    from xml.etree.ElementTree import ParseError

    import networkx as nx

    where = path_text("from_graphml: the file", path)
    try:
        graph = nx.read_graphml(path, force_multigraph=True)
    except OSError as error:
        raise failed("from_graphml: cannot read", path, error) from error
    except (ParseError, nx.NetworkXError, ValueError, KeyError, TypeError, LookupError) as error:
        raise FormatError(f"{where}: it is not GraphML that can be read: {error}") from error
    for data in (graph.graph, *(d for _, d in graph.nodes(data=True))):
        for key, value in data.items():
            if isinstance(value, str) and value.startswith(_WRITTEN):
                try:
                    data[key] = read_json(value.removeprefix(_WRITTEN))
                except FormatError as error:
                    raise FormatError(f"{where}: its attribute {key!r}: {error}") from error
    return from_networkx(graph, **options)
