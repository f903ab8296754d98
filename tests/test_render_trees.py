from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from test_render import SVG, drawn, lines, words_of

import neurograph as ng
from neurograph.graph.tree import Tree
from neurograph.render.style import text_width
from neurograph.render.trees import draw_tree

SENTENCE = "(3 (2 It) (4 (4 (2 's) (4 (3 lovely) (2 <film>))) (2 .)))"


def places(picture):
    """Return the place of each node of the tree, in order."""
    found = [re.search(r'pos="(-?[\d.]+),(-?[\d.]+)"', line) for line in lines(picture, "treenode")]
    return [(float(match[1]), float(match[2])) for match in found]


def test_leaves_stand_in_a_row_and_parents_above_their_children():
    tree = Tree.from_brackets(SENTENCE)
    where = places(draw_tree(tree))
    leaves = [where[leaf] for leaf in tree.leaves]
    assert {y for _, y in leaves} == {0.0}
    assert leaves == sorted(leaves)
    for node in range(len(tree)):
        for child in tree.children_of(node):
            assert where[node][1] > where[child][1]
    assert len(lines(draw_tree(tree), "branch")) == len(tree) - 1


@drawn
def test_words_and_labels_are_drawn():
    svg = draw_tree(Tree.from_brackets(SENTENCE), title="a phrase").pipe("svg")
    text = [each.text for each in ET.fromstring(svg).iter(f"{SVG}text")]
    for word in ("It", "'s", "lovely", "<film>", ".", "a phrase"):
        assert word in text
    assert text.count("4") == 3


def test_values_colour_the_nodes():
    picture = draw_tree(("not", "good"), values=[1.0, -1.0, 0.0])
    fills = [re.search(r'fillcolor="(#\w+)"', line)[1] for line in lines(picture, "treenode")]
    assert fills == ["#6aa3e2", "#fbc685", "#ffffff"]
    rows = draw_tree(("not", "good"), values=np.eye(3))
    assert rows.source.count('bgcolor="#6aa3e2"') == 3


def test_long_numbers_fit_into_their_nodes():
    def widths(values):
        rows = lines(draw_tree(("not", "good"), values=values), "treenode")
        return [72 * float(re.search(r" width=([.0-9]+)", row)[1]) for row in rows]

    assert min(widths([0.0036, -3.2e-5, 1.0])) > text_width("−3.2e−5", 9.0) + 6
    assert widths([0.5, -0.7, np.nan]) == widths([0.0, 1.0, 1.0])


def test_values_must_be_of_the_tree():
    with pytest.raises(ng.ShapeError, match="each of 3 nodes"):
        draw_tree(("not", "good"), values=[1.0, 2.0])


def test_a_network_along_trees_shows_what_it_left_at_the_nodes():
    net = ng.Network([ng.Input((None, 2)), ng.Recursive(2), ng.Dense(1)], seed=0)
    with pytest.raises(ng.OptionError, match="goes along trees: give the one to draw"):
        net.render(view="unrolled")
    tree = (([0.1, 0.2], [0.3, 0.4]), [0.5, 0.6])
    picture = net.render(view="unrolled", tree=tree)
    assert len(lines(picture, "treenode")) == 5
    assert "no output: model.inspect([tree]) leaves it" in words_of(picture)
    net.compile().inspect([tree])
    source = net.render(tree=tree).source
    assert source == net.render(view="unrolled", tree=tree).source
    assert "cells: output of 2 units" in source
    text = words_of(net.render(view="layers", expand="all"))
    assert re.search(r"\bchild\b", text)
    assert "nodes × 2" in text
    assert "the last node" in words_of(net.render(view="nodes", show="output"))
    net.compile().inspect([tree, tree])
    with pytest.raises(ng.DataError, match=r"values at 10 nodes, the tree has 5; .* alone"):
        net.render(tree=tree)
    text = words_of(net.render(view="nodes", numbers=True))
    assert "1, child" in text
    assert "t−1" not in text


def test_a_path_is_written(tmp_path):
    draw_tree((("a", "b"), "c"), tmp_path / "tree.dot")
    assert (tmp_path / "tree.dot").read_text(encoding="utf-8").startswith("digraph")
    with pytest.raises(ng.UnknownNameError, match="picture format"):
        draw_tree(("a", "b"), tmp_path / "tree.xyz")


def test_nodes_without_a_value_stay_empty():
    picture = draw_tree((("a", "b"), "c"), values=[np.nan, np.nan, 0.25, np.nan, -0.5])
    fills = [re.search(r'fillcolor="([^"]+)"', line)[1] for line in lines(picture, "treenode")]
    assert [fill == "#ffffff" for fill in fills] == [True, True, False, True, False]
    rows = np.full((5, 2), np.nan)
    rows[4] = 1, -1
    assert "<td" in lines(draw_tree((("a", "b"), "c"), values=rows), "treenode")[4]


def test_negative_cells_are_marked_for_grey_print():
    rows = [[0.5, -0.5], [0.0, 0.1], [-1.0, -2.0]]
    nodes = lines(draw_tree(("a", "b"), values=rows), "treenode")
    assert [node.count("−") for node in nodes] == [1, 0, 2]
