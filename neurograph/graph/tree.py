"""Tree: one tree as arrays, for networks whose cells go along trees instead of time."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, GraphError, short, unknown

if TYPE_CHECKING:
    import networkx as nx

Array = NDArray[Any]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Tree:
    """A tree whose nodes are numbered children first, the root last.

    Attributes
    ----------
    starts : array of int, (nodes + 1,)
    children : array of int, (edges,)
        Node j has the children ``children[starts[j] : starts[j + 1]]``, in order.
    values : array, (nodes, shape), or None
        What each node is given: a vector, or an index; anything where ``given`` is False.
    given : array of bool, (nodes,)
        Which nodes have a value.
    words : tuple of str or None
        What stands at each node, in trees made from text.
    labels : array or None, (nodes,)
        What each node should give, in trees that say so.

    Examples
    --------
    >>> tree = Tree.of((([1, 2], [3, 4]), [5, 6]))
    >>> len(tree), tree.children_of(4), tree.values[2].tolist()
    (5, [2, 3], [0.0, 0.0])
    >>> tree.path(1)
    '[0][1]'
    """

    starts: Indices
    children: Indices
    values: Array | None
    given: NDArray[np.bool_]
    words: tuple[str | None, ...] = ()
    labels: Array | None = None

    # making ---------------------------------------------------------------------------------------

    @classmethod
    def of(cls, nested: Any, shape: Sequence[int] | None = None) -> Tree:
        """Return a tree written as nested tuples whose leaves are vectors, numbers or words.

        Parameters
        ----------
        nested : tuple, vector, number, str or Tree
        shape : tuple of int, optional
            That of a leaf's value: with ``()`` a tuple of numbers is a node above leaves, else it
            is a vector.

        Raises
        ------
        DataError
            A leaf is no vector, or the vectors differ; with the place in the tree.

        Examples
        --------
        >>> Tree.of((("not", "good"), "enough")).words[:2]
        ('not', 'good')
        """
        return _made(nested, lambda node: _split_nested(node, shape), shape)

    @classmethod
    def with_values(cls, nested: Any, shape: Sequence[int] | None = None) -> Tree:
        """Return a tree every node of which is written as ``(value or None, [children])``.

        Raises
        ------
        DataError
            A node is not of that form, or the values differ in shape; with the place in the tree.

        Examples
        --------
        >>> tree = Tree.with_values((None, [([1.0, 2.0], []), ([3.0, 4.0], [])]))
        >>> tree.given.tolist(), tree.children_of(2)
        ([True, True, False], [0, 1])
        """
        return _made(nested, _split_pair, shape)

    @classmethod
    def from_brackets(cls, text: str) -> Tree:
        """Return a tree of words from brackets, as the Stanford Sentiment Treebank writes them.

        The first word in a bracket is the label of the node; a bracket of two words is a leaf.

        Raises
        ------
        DataError
            The brackets do not match, or a bracket holds no word; with the place in the text.

        Examples
        --------
        >>> tree = Tree.from_brackets("(3 (2 It) (4 (2 's) (4 lovely)))")
        >>> tree.words[:3], tree.labels.tolist(), len(tree)
        (('It', "'s", 'lovely'), [2, 2, 4, 4, 3], 5)
        """
        from neurograph.graph.tree_text import read_brackets

        return _made(read_brackets(text), _split_labelled, None)

    @classmethod
    def from_networkx(cls, graph: nx.DiGraph[Any], root: Any = None) -> Tree:
        """Return a directed networkx tree, edges from parent to child, children in their order.

        Nodes may have the attributes ``value`` (a vector or an index), ``word`` and ``label``.

        Parameters
        ----------
        graph : networkx.DiGraph
        root : node, optional
            The one without parent if absent.

        Raises
        ------
        GraphError
            The graph is no tree; the message names a node.
        """
        from neurograph.graph.tree_text import read_networkx

        return _made(read_networkx(graph, root), _split_labelled, None)

    @classmethod
    def from_ast(cls, code: str | ast.AST) -> Tree:
        """Return Python code as a tree of words.

        They are the names of variables, parameters and attributes, constants as they are written,
        and for all other nodes their kind: ``"BinOp"``, ``"Call"``.

        Parameters
        ----------
        code : str or ast.AST
            A text that is an expression becomes the tree of the expression alone.

        Raises
        ------
        DataError
            The text is not Python.

        Examples
        --------
        >>> Tree.from_ast("x + 2 * y").words
        ('x', 'Add', '2', 'Mult', 'y', 'BinOp', 'BinOp')
        """
        from neurograph.graph.tree_text import read_ast

        return _made(read_ast(code), _split_labelled, None)

    def encode(self, vocabulary: Mapping[str, int], unknown_word: int | None = None) -> Tree:
        """Return the tree with the index of each word as its value.

        Parameters
        ----------
        vocabulary : mapping of word to index
        unknown_word : int, optional
            The index of words that are not in it.

        Raises
        ------
        UnknownNameError
            If a word is not in it and no index is given for such words.

        Examples
        --------
        >>> Tree.of(("not", "good")).encode({"good": 0, "not": 1}).values.tolist()
        [1, 0, 0]
        """
        indices = np.zeros(len(self), np.int64)
        given = np.zeros(len(self), bool)
        for node, word in enumerate(self.words):
            if word is None:
                continue
            index = vocabulary.get(word, unknown_word)
            if index is None:
                raise unknown("word", word, vocabulary)
            indices[node], given[node] = index, True
        return replace(self, values=indices, given=given)

    # looking --------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.given)

    def children_of(self, node: int) -> list[int]:
        """Return the children of a node, in order."""
        found: list[int] = self.children[self.starts[node] : self.starts[node + 1]].tolist()
        return found

    @property
    def parents(self) -> Indices:
        """The parent of each node, -1 for the root; shape (nodes,)."""
        found = np.full(len(self), -1, np.int64)
        found[self.children] = np.repeat(np.arange(len(self)), np.diff(self.starts))
        return found

    @property
    def leaves(self) -> Indices:
        """The nodes without children, in order."""
        return np.flatnonzero(np.diff(self.starts) == 0)

    @property
    def height(self) -> int:
        """The longest way from the root to a leaf."""
        heights = [0] * len(self)
        for node in range(len(self)):
            heights[node] = max((1 + heights[child] for child in self.children_of(node)), default=0)
        return heights[-1]

    def path(self, node: int) -> str:
        """Return how to find a node from the root: ``"[0][1]"`` is child 1 of child 0."""
        parents, places = self.parents, []
        while parents[node] >= 0:
            above = int(parents[node])
            places.append(self.children_of(above).index(node))
            node = above
        return "".join(f"[{place}]" for place in reversed(places)) or "the root"

    def __repr__(self) -> str:
        return f"<Tree of {len(self)} nodes, {len(self.leaves)} leaves>"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A node of a tree that was read from a text or a graph."""

    children: Sequence[Labelled]
    word: str | None = None
    label: Any = None
    value: Any = None


Parts = tuple[Any, Sequence[Any], str | None, Any]  # value, children, word, label


def _split_labelled(node: Labelled) -> Parts:
    return node.value, node.children, node.word, node.label


def _split_pair(node: Any) -> Parts:
    if isinstance(node, (tuple, list)) and len(node) == 2 and isinstance(node[1], (list, tuple)):
        word = node[0] if isinstance(node[0], str) else None
        return None if word is not None else node[0], node[1], word, None
    raise DataError(f"{short(node)} is no node; write (value or None, [children])")


def _split_nested(node: Any, shape: Sequence[int] | None) -> Parts:
    if isinstance(node, str):
        return None, (), node, None
    if isinstance(node, (tuple, list)):
        if not node:
            raise DataError("an empty tuple is neither a leaf nor a node with children")
        inside = any(isinstance(each, (tuple, list, str, np.ndarray)) for each in node)
        scalars = shape is not None and len(shape) == 0 and isinstance(node, tuple)
        if inside or scalars:
            return None, node, None, None
    if node is None:
        raise DataError("None is no leaf; give a vector")
    return node, (), None, None


def _made(root: Any, split: Callable[[Any], Parts], shape: Sequence[int] | None) -> Tree:
    """Return a tree, its nodes numbered children first; without recursion, so of any depth."""
    if isinstance(root, Tree):
        return root
    rows: list[Parts] = []
    below: list[list[int]] = []
    stack: list[tuple[Any, Parts | None, list[int]]] = [(root, None, [])]
    while stack:
        node, parts, done = stack.pop()
        if parts is None:
            try:
                parts = split(node)
            except DataError as error:
                raise DataError(f"{_place([len(each[2]) for each in stack])}: {error}") from error
        if len(done) < len(parts[1]):
            stack.append((node, parts, done))
            stack.append((parts[1][len(done)], None, []))
            continue
        rows.append(parts)
        below.append(done)
        if stack:
            stack[-1][2].append(len(rows) - 1)
    return _gathered(rows, below, shape)


def _place(path: Sequence[int]) -> str:
    return f"at {''.join(f'[{step}]' for step in path)}" if path else "at the root"


def _gathered(rows: list[Parts], below: list[list[int]], shape: Sequence[int] | None) -> Tree:
    starts = np.cumsum([0, *map(len, below)])
    children = np.array([child for each in below for child in each], np.int64)
    words = tuple(word for _, _, word, _ in rows)
    given = np.array([value is not None for value, _, _, _ in rows])
    labels = [label for _, _, _, label in rows]
    tree = Tree(
        starts.astype(np.int64),
        children,
        None,
        given,
        words if any(word is not None for word in words) else (),
        None if all(label is None for label in labels) else np.array(labels),
    )
    if not given.any():
        return tree
    return replace(tree, values=_values(tree, [value for value, _, _, _ in rows], shape))


def _values(tree: Tree, given: list[Any], shape: Sequence[int] | None) -> Array:
    wanted = None if shape is None else tuple(shape)
    found: Array | None = None
    for node in np.flatnonzero(tree.given).tolist():
        try:
            value = np.asarray(given[node])
        except ValueError:
            value = np.empty(0, dtype=object)
        wanted = value.shape if wanted is None else wanted
        fault = ""
        if value.dtype.kind not in "fiub":
            fault = f"{short(given[node])} is no vector of numbers"
        elif value.shape != wanted:
            fault = f"the value has shape {value.shape}, expected {wanted}"
        elif not np.isfinite(value).all():
            fault = f"{short(given[node])} is not finite"
        if fault:
            raise DataError(f"at {tree.path(node)}: {fault}")
        if found is None:
            found = np.zeros((len(tree), *wanted), np.float64)
        found[node] = value
    assert found is not None
    return found


def check_arity(tree: Tree, children: int) -> None:
    """Refuse a tree with a node that has neither no children nor a given number of them.

    Raises
    ------
    GraphError
        With the place of the first such node.
    """
    counts = np.diff(tree.starts)
    wrong = np.flatnonzero((counts != 0) & (counts != children))
    if len(wrong):
        node = int(wrong[0])
        some = "1 child" if counts[node] == 1 else f"{counts[node]} children"
        raise GraphError(f"at {tree.path(node)}: the node has {some}, expected {children}")
