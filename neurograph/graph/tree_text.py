"""Trees from brackets, networkx graphs and Python code."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from neurograph.errors import DataError, GraphError
from neurograph.graph.tree import Labelled

if TYPE_CHECKING:
    import networkx as nx

_TOKEN = re.compile(r"\(|\)|[^ \t\r\n()]+")  # the treebank has no-break spaces inside of words


def read_brackets(text: str) -> Labelled:
    """Return the tree that brackets describe; see ``Tree.from_brackets``."""
    if not isinstance(text, str):
        raise DataError(f"a bracketed tree is text, got {type(text).__name__}")
    open_brackets: list[tuple[int, list[str], list[Labelled]]] = []
    done: Labelled | None = None
    for match in _TOKEN.finditer(text):
        token, place = match.group(), match.start()
        if done is not None:
            raise DataError(f"character {place}: the tree is closed already, then comes {token!r}")
        if token == "(":
            open_brackets.append((place, [], []))
        elif not open_brackets:
            raise DataError(f"character {place}: {token!r} stands outside of any bracket")
        elif token == ")":
            node = _closed(*open_brackets.pop())
            if open_brackets:
                open_brackets[-1][2].append(node)
            else:
                done = node
        elif open_brackets[-1][2]:
            raise DataError(f"character {place}: the word {token!r} follows a bracket")
        else:
            open_brackets[-1][1].append(token)
    left = len(open_brackets)
    if not left and done is None:
        raise DataError("a bracketed tree is text such as '(3 (2 not) (4 bad))', got an empty one")
    if done is None:
        many = "1 bracket is" if left == 1 else f"{left} brackets are"
        raise DataError(f"{many} left open at the end of the text")
    return done


def _closed(place: int, words: list[str], children: list[Labelled]) -> Labelled:
    """Return the node of a bracket: ``(label child …)``, ``(label word)`` or ``(word)``."""
    if children:
        if len(words) > 1:
            raise DataError(f"character {place}: a bracket with brackets inside has one label")
        return Labelled(children, None, _label(words[0]) if words else None)
    if not words or len(words) > 2:
        raise DataError(
            f"character {place}: a bracket without brackets inside is (label word), it holds "
            f"{len(words)} words"
        )
    return Labelled((), words[-1], _label(words[0]) if len(words) == 2 else None)


def _label(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return text


def read_networkx(graph: nx.DiGraph[Any], root: Any = None) -> Labelled:
    """Return a networkx tree; see ``Tree.from_networkx``."""
    plain = hasattr(graph, "is_directed") and graph.is_directed() and not graph.is_multigraph()
    if not plain:
        raise GraphError(
            f"a tree is a networkx.DiGraph, with edges from parent to child; got a "
            f"{type(graph).__name__}"
        )
    if not len(graph):
        raise GraphError("the networkx graph has no nodes, so it is no tree")
    if root is None:
        roots = [node for node, count in graph.in_degree() if count == 0]
        if len(roots) != 1:
            shown = ", ".join(map(repr, roots[:5]))
            fault = f"{len(roots)} of its nodes have no parent ({shown})"
            raise GraphError(
                f"the networkx graph is no tree: {fault if roots else 'it goes round in a circle'}"
            )
        root = roots[0]
    elif root not in graph:
        raise GraphError(f"the networkx graph has no node {root!r} to be the root of a tree")
    order, seen = [root], {root}
    for node in order:
        for child in graph.successors(node):
            if child in seen:
                raise GraphError(f"the networkx graph is no tree: two ways lead to {child!r}")
            seen.add(child)
            order.append(child)
    missed = next((node for node in graph if node not in seen), None)
    if missed is not None:
        raise GraphError(f"the networkx graph is no tree: no way leads from {root!r} to {missed!r}")
    made: dict[Any, Labelled] = {}
    for node in reversed(order):
        data = graph.nodes[node]
        made[node] = Labelled(
            [made[child] for child in graph.successors(node)],
            data.get("word"),
            data.get("label"),
            data.get("value"),
        )
    return made[root]


def read_ast(code: str | ast.AST) -> Labelled:
    """Return Python code as a tree; see ``Tree.from_ast``."""
    root = _parsed(code) if isinstance(code, str) else code
    if not isinstance(root, ast.AST):
        raise DataError(f"from_ast takes Python text or an ast node, got {type(code).__name__}")
    order = [root]
    for node in order:
        order.extend(_below(node))
    made: dict[int, Labelled] = {}
    for node in reversed(order):
        children = [made[id(child)] for child in _below(node)]
        made[id(node)] = Labelled(children, _word(node))
    return made[id(root)]


def _parsed(code: str) -> ast.AST:
    try:
        return ast.parse(code, mode="eval").body
    except SyntaxError:
        pass
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"from_ast: the text is not Python: {error}") from error


def _below(node: ast.AST) -> list[ast.AST]:
    """Return the children; how a name is used (load, store, delete) is no child."""
    return [
        child
        for child in ast.iter_child_nodes(node)
        if not isinstance(child, (ast.Load, ast.Store, ast.Del))
    ]


def _word(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant):
        return repr(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.arg):
        return node.arg
    return type(node).__name__
