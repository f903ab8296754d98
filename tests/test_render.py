from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cases import CASES
from render_networks import by_hand, chain, ran, residual, sequence, tutorial

import neurograph as ng
from neurograph.graph.connections import Bundle
from neurograph.render import engines
from neurograph.render.program import render_program
from neurograph.render.style import DELTA_HUES, GRADIENT_HUES, VALUE_HUES, WEIGHT_HUES, luminance
from neurograph.render.trees import draw_tree

GOLDEN = Path(__file__).parent / "golden"
SVG = "{http://www.w3.org/2000/svg}"


def has_engine() -> bool:
    return any(True for _ in engines._engines("digraph {}", "svg"))


drawn = pytest.mark.skipif(not has_engine(), reason="nothing here can draw")


def lines(picture, kind):
    """Return the lines of a .dot text that have a class."""
    return [line for line in picture.source.splitlines() if re.search(rf'class="?{kind}', line)]


def groups(svg: bytes, kind: str) -> list[ET.Element]:
    root = ET.fromstring(svg)
    return [g for g in root.iter(f"{SVG}g") if kind in (g.get("class") or "").split()]


def bezier(points: list[str]) -> np.ndarray:
    """Return places all along a curve of a .dot text."""
    a, b, c, d = (np.array(point.split(","), dtype=float) for point in points)
    share = np.linspace(0.0, 1.0, 500)[:, None]
    rest = 1 - share
    return rest**3 * a + 3 * share * rest**2 * b + 3 * share**2 * rest * c + share**3 * d


def words_of(picture) -> str:
    text = re.sub(r"<[^>]*>", " ", picture.source)
    return re.sub(r"&#(\d+);", lambda match: chr(int(match[1])), text)


GOLDEN_PICTURES = {
    "nodes_tutorial": lambda: tutorial().render(view="nodes"),
    "nodes_numbers": lambda: tutorial().render(
        view="nodes", show=("weight", "bias"), numbers=True, bias="fold", top=6
    ),
    "nodes_by_hand": lambda: by_hand().render(view="nodes", numbers=True),
    "nodes_sharing": lambda: by_hand().render(view="nodes", show="sharing"),
    "layers_residual": lambda: residual().render(view="layers"),
    "layers_opened": lambda: residual().render(view="layers", expand="all"),
    "layers_gates": lambda: sequence().render(view="layers", expand="lstm"),
    "unrolled_by_hand": lambda: by_hand().render(view="unrolled", steps=3),
    "unrolled_layers": lambda: ran(sequence()).render(view="unrolled"),
    "unrolled_tree": lambda: draw_tree((("not", "good"), "<b>"), values=[0.1, -1.0, 0.5, 0.0, 1.0]),
    "program": lambda: render_program(by_hand().compile(passes=()).program, title="by hand"),
}


@pytest.mark.parametrize("name", GOLDEN_PICTURES)
def test_picture_is_that_of_the_golden_file(name):
    source = GOLDEN_PICTURES[name]().source
    path = GOLDEN / f"{name}.dot"
    if os.environ.get("NEUROGRAPH_WRITE_GOLDEN"):
        path.write_text(source, encoding="utf-8")
    assert source == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("view", ["nodes", "layers"])
def test_every_case_is_drawn(name, view):
    net = CASES[name].network()
    options = {"bias": "nodes", "limit": 4} if view == "nodes" else {}
    picture = net.render(view=view, **options)
    if view == "layers":
        assert 1 <= len(lines(picture, "layer")) <= len(net.layers)
    else:
        shown = lines(picture, "neuron")
        fed = [b.source for b in net.bundles]
        used = [la for la in net.all_layers if la.role not in ("const", "noise") or la in fed]
        if not net.handmade.nodes:
            assert len(shown) == sum(min(layer.size, 4 - (layer.size > 4)) for layer in used)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "sequence" in case.tags])
def test_every_sequence_is_unrolled(name):
    case = CASES[name]
    net = case.network()
    if net.is_recurrent:
        picture = net.render(view="unrolled", steps=3)
        assert "t = 2" in words_of(picture)
        assert "t = 3" not in words_of(picture)


# the view of nodes --------------------------------------------------------------------------------


@drawn
def test_svg_has_every_node_and_connection():
    svg = tutorial().render(view="nodes").pipe("svg")
    assert len(groups(svg, "neuron")) == 3 + 4 + 2 + 2
    assert len(groups(svg, "connection")) == 26
    assert len(groups(svg, "header")) == 3


@drawn
def test_nodes_stand_in_straight_columns_in_their_order():
    svg = tutorial().render(view="nodes", bias="fold").pipe("svg")
    found = {group.find(f"{SVG}title").text: group for group in groups(svg, "neuron")}
    ellipses = [found[f"n{number}"].find(f".//{SVG}ellipse") for number in range(9)]
    places = [(float(e.get("cx")), float(e.get("cy"))) for e in ellipses]
    columns = {x for x, _ in places}
    assert len(columns) == 3
    assert places == sorted(places)


def test_large_layers_end_in_an_ellipsis_that_counts():
    picture = ng.Network([784, 30, 10], seed=0).render(view="nodes")
    text = words_of(picture)
    assert "… 775 more" in text
    assert "… 21 more" in text
    assert "190 of 23,860 connections drawn" in text
    assert "796 nodes not drawn" in text
    assert len(lines(picture, "neuron")) == 9 + 9 + 10 + 2


def test_a_single_node_is_drawn():
    node = ng.InputNode("alone")
    text = words_of(ng.Network(inputs=[node], outputs=[node]).render())
    assert "alone" in text
    assert "1 hand-made node, 0 connections" in text


def test_weights_that_are_no_numbers_are_black_and_leave_the_scale_to_others():
    net = tutorial()
    largest = max(abs(connection.weight) for connection in net.connections)
    net.parameters["layer_1/kernel"].value[0, :2] = np.nan, np.inf
    net.parameters["layer_1/kernel"].value[1, 0] = 0.1
    picture = net.render(view="nodes")
    black = [line for line in lines(picture, "connection") if 'color="#222222"' in line]
    assert len(black) == 2
    text = words_of(picture)
    assert "black: not a finite number" in text
    assert f" {largest:g} " in text


def test_top_keeps_the_strongest_and_says_so():
    picture = tutorial().render(view="nodes", top=5)
    assert len(lines(picture, "connection")) == 5
    assert "5 of 26 connections drawn: the strongest" in words_of(picture)
    found = sorted(float(w) for w in re.findall(r"weight (-?[\d.]+), layer", picture.source))
    every = sorted((c.weight for c in tutorial().connections), key=abs)[-5:]
    assert sorted(map(abs, found)) == pytest.approx(sorted(map(abs, every)))


def test_threshold_keeps_strong_connections():
    net = tutorial()
    strong = sum(1 for each in net.connections if abs(each.weight) >= 0.9)
    picture = net.render(view="nodes", threshold=0.9)
    assert len(lines(picture, "connection")) == strong
    assert f"{strong} of 26 connections drawn, at least 0.9 strong" in words_of(picture)


def test_signs_differ_in_colour_and_at_the_end():
    source = by_hand().render(view="nodes").source
    weak = next(line for line in source.splitlines() if "h -> y:" in line)
    strong = next(line for line in source.splitlines() if "a -> y:" in line)
    assert "arrowhead=tee" in weak
    assert "arrowhead=normal" in strong
    assert WEIGHT_HUES[0] in weak


def test_hues_differ_in_grey_and_zero_is_the_lightest():
    for hues in (WEIGHT_HUES, GRADIENT_HUES, VALUE_HUES, DELTA_HUES):
        negative, zero, positive = map(luminance, hues)
        assert zero - max(negative, positive) > 0.15
        assert abs(negative - positive) > 0.15


def test_frozen_is_dashed_constant_is_dotted():
    source = by_hand().render(view="nodes").source
    assert "style=dashed" in next(line for line in source.splitlines() if "a -> h:" in line)
    assert source.count("style=dashed") == 1
    net = ng.Network([ng.Input((2, 2, 1)), ng.MaxPooling2D(2)])
    assert net.render(view="nodes").source.count("style=dotted") == 4


def test_shared_weights_have_one_colour():
    source = by_hand().render(view="nodes", show="sharing").source
    shared = [line for line in source.splitlines() if ", w[0]" in line]
    colours = {re.search(r'color="(#\w+)"', line)[1] for line in shared}
    assert len(shared) == 2
    assert colours == {"#0072b2"}


def test_recurrent_connections_say_their_delay():
    text = words_of(by_hand().render(view="nodes"))
    assert "t−1" in text
    assert "t−2" in text


@pytest.mark.parametrize("units", [3, 8])
def test_delays_of_both_ways_are_told_apart(units):
    ways = ng.Bidirectional(ng.SimpleRNN(units), name="ways")
    picture = ng.Network([ng.Input((None, 2)), ways, ng.Dense(1)]).render(view="nodes")
    text = words_of(picture)
    for way, delay in (("forward", "t−1"), ("backward", "t+1")):
        told = re.search(rf"ways/{way}/hidden +{units} tanh(, t.1)?", text)
        if units == 3:  # at every connection
            assert text.count(delay) == 9
            assert told[1] is None
        else:
            assert told[1] == f", {delay}"


def test_parallel_connections_do_not_lie_on_each_other():
    a, y = ng.InputNode("a"), ng.Node("tanh", name="y")
    for delay in range(4):
        ng.Connection(a, y, weight=0.5, delay=delay)
    source = ng.Network(inputs=[a], outputs=[y]).render(view="nodes").source
    ways = re.findall(r'pos="(e,[^"]+)"', source)
    assert len(ways) == len(set(ways)) == 4


def test_skips_go_around_the_nodes_between():
    a, h, y = ng.InputNode("a"), ng.Node("tanh", name="h"), ng.Node("tanh", name="y")
    ng.Connection(a, h, weight=1.0)
    ng.Connection(h, y, weight=1.0)
    ng.Connection(a, y, weight=1.0)
    source = ng.Network(inputs=[a], outputs=[y]).render(view="nodes").source
    skip = next(line for line in source.splitlines() if "a -> y:" in line)
    heights = [float(y) for _, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", skip.split("pos=")[1])]
    assert max(map(abs, heights[1:5])) > 17.0


def test_long_skips_pass_under_no_node():
    nodes = [ng.InputNode("a"), *(ng.Node("tanh", name=f"n{k}") for k in range(12))]
    for before, after in pairwise(nodes):
        ng.Connection(before, after, weight=1.0)
    for start, end in ((0, 11), (1, 6), (3, 12)):
        ng.Connection(nodes[start], nodes[end], weight=1.0)
    picture = ng.Network(inputs=nodes[:1], outputs=nodes[-1:]).render(view="nodes")
    spots = {}
    for line in lines(picture, "neuron"):
        name = re.search(r'"?(n\d+)"? \[', line)[1]
        spots[name] = np.array(re.search(r'pos="([^"]+)"', line)[1].split(","), dtype=float)
    for line in lines(picture, "connection"):
        ends = re.findall(r"n\d+", line.partition("[")[0])
        points = re.search(r'pos="e,\S+ ([^"]+)"', line)[1].split()
        way = bezier(points)
        for name, spot in spots.items():
            if name not in ends:
                assert np.linalg.norm(way - spot, axis=1).min() > 17.0, (line, name)


def test_values_fill_the_nodes_on_one_scale():
    net = tutorial()
    net.predict([1.0, 0.0, -1.0], explicit=True)
    picture = net.render(view="nodes", show=("weight", "output"), numbers=True)
    fills = re.findall(r'fillcolor="(#\w+)"', "\n".join(lines(picture, "neuron input")))
    assert fills == ["#6aa3e2", "#ffffff", "#fbc685"]
    assert "output −1" in words_of(picture)
    output = float(net.layer("layer_2")[0].output)
    assert f"{output:.3g}" in words_of(picture)


def test_several_numbers_of_a_node_are_told_apart():
    net = tutorial()
    net.get_gradient([0.0, 1.0], [1.0, 2.0, 3.0])
    text = words_of(net.render(view="nodes", show=("output", "delta"), numbers=True))
    node = net.layer("layer_2")[0]
    assert f"o {node.output:.3g}" in text
    assert f"δ {node.delta:.3g}".replace("-", "−") in text
    assert "o: output, δ: delta" in text


def test_all_that_is_written_into_a_node_lies_within_it():
    net = tutorial()
    net.get_gradient([0.0, 1.0], [1.0, 2.0, 3.0])
    shown = ("weight", "bias", "activation", "output", "net", "delta")
    heights = []
    for line in lines(net.render(view="nodes", show=shown, numbers=True), "neuron units"):
        height = 72 * float(re.search(r"[^p]height=([\d.]+)", line)[1])
        written = sum(float(size) for size in re.findall(r'point-size="(\d+)"', line))
        heights.append(height)
        assert len(re.findall(r'point-size="8"', line)) == 5
        assert height > 1.25 * written
    assert len(heights) == 6


def test_noise_stands_apart_from_the_layer_above_it():
    net = ng.Network([ng.Input((3,)), ng.Dropout(0.5, name="drop"), ng.Dense(2)])
    assert "drop/noise 3 noise" in re.sub(r" +", " ", words_of(net.render(view="nodes")))
    assert "noise" not in words_of(net.render(view="nodes", bias="fold"))


def test_gradients_give_width():
    net = tutorial()
    net.get_gradient([0.0, 1.0], [1.0, 2.0, 3.0])
    picture = net.render(view="nodes", show="gradient")
    strongest = max(net.connections, key=lambda each: abs(each.gradient))
    line = max(lines(picture, "connection"), key=lambda each: float(penwidth(each)))
    gradient = float(re.search(r"gradient (-?[\d.e-]+),", line)[1])
    assert abs(gradient) == pytest.approx(abs(strongest.gradient), rel=0.01)


def penwidth(line):
    return re.search(r"penwidth=([\d.]+)", line)[1]


def test_sample_and_step_choose_the_values():
    net = by_hand()
    x = np.arange(12.0).reshape(2, 3, 2) / 10
    net.predict(x, explicit=True)
    picture = net.render(view="nodes", show="output", numbers=True, sample=1, step=0)
    assert f"{x[1, 0, 0]:.3g}" in words_of(picture)
    assert "values of sample 1, step 0" in words_of(picture)
    with pytest.raises(ng.OptionError, match="it has no sample 5, step -1"):
        net.render(view="nodes", show="output", sample=5)


# the view of layers -------------------------------------------------------------------------------


def test_repeated_blocks_are_folded():
    picture = residual().render(view="layers")
    text = words_of(picture)
    assert "× 3" in text
    assert "8 more boxes in repeated blocks" in text
    assert len(lines(picture, "layer")) == 1 + 1 + 4 + 3
    assert len(lines(picture, "way")) == 9  # 8 from box to box, one skip


def test_folded_blocks_open_on_request():
    picture = residual().render(view="layers", expand="all")
    assert len(lines(picture, "layer")) == 1 + 1 + 12 + 3
    assert len(lines(picture, "way")) == 16 + 3


def test_boxes_tell_type_shape_and_parameters():
    text = words_of(residual().render(view="layers"))
    assert "Conv2D 3×3, stride 2×2" in text
    assert "8 × 8 × 4" in text
    assert "112 parameters" in text
    assert "Dense, softmax" in text


def test_equal_boxes_in_a_row_say_that_each_has_so_many_parameters():
    layers = [ng.Dense(4) for _ in range(3)]
    text = words_of(ng.Network([ng.Input((4,)), *layers, ng.Dense(2)]).render(view="layers"))
    assert "× 2" in text or "× 3" in text
    assert "20 parameters each" in text
    assert "10 parameters each" not in text


def test_shared_parameters_are_counted_once():
    x = h = ng.Input((4,))
    layer = ng.Dense(4, name="again")
    for _ in range(3):
        h = layer(h)
    source = ng.Network(inputs=x, outputs=ng.Dense(2)(h)).render(view="layers").source
    assert source.count(">20 parameters<") == 1
    assert source.count(">shared parameters<") == 1  # folded
    assert "6 parameters" in words_of(by_hand().render(view="layers"))


def test_a_huge_network_is_drawn_without_looking_at_its_connections(monkeypatch):
    def never(*_):
        raise AssertionError("connections were listed")

    net = chain()
    for kind in [Bundle, *Bundle.__subclasses__()]:
        for method in ("edges", "into", "out_of", "__iter__"):
            monkeypatch.setattr(kind, method, never, raising=False)
    picture = net.render()
    assert f"{len(net.connections):,} connections" in words_of(picture)
    assert len(net.connections) > 10**10


def test_followers_share_a_box_where_there_are_many():
    x = h = ng.Input((16,))
    for units in range(16, 40):
        h = ng.Activation("relu")(ng.BatchNormalization()(ng.Dense(units)(h)))
    picture = ng.Network(inputs=x, outputs=h).render(view="layers")
    assert len(lines(picture, "layer")) == 25
    assert "Dense + BatchNorm + relu" in words_of(picture)


# the unrolled view --------------------------------------------------------------------------------


def test_unrolled_network_has_every_step():
    picture = by_hand().render(view="unrolled", steps=4)
    assert len(lines(picture, "neuron")) == 4 * 4
    # without delay 4 a step, delay 1 three times, delay 2 twice
    assert len(lines(picture, "connection")) == 4 * 4 + 3 + 2


def test_rows_of_an_unrolled_network_bear_the_names_of_their_layers():
    layers = [ng.Input((None, 1), name="price"), ng.SimpleRNN(2, name="memory"), ng.Dense(1)]
    picture = ng.Network(layers).render(view="unrolled", steps=3)
    texts = [re.sub(r"<[^>]*>", "", line) for line in lines(picture, "time")]
    assert [sum(name in text for text in texts) for name in ("price", "memory", "dense")] == [
        1, 2, 1,
    ]  # fmt: skip
    nodes = [float(re.search(r'pos="([-\d.]+)', line)[1]) for line in lines(picture, "neuron")]
    names = [line for line in lines(picture, "time") if "t = " not in line]
    assert all(float(re.search(r'pos="([-\d.]+)', line)[1]) < min(nodes) for line in names)


def test_top_and_threshold_thin_out_an_unrolled_network():
    picture = by_hand().render(view="unrolled", steps=4, top=7)
    assert len(lines(picture, "connection")) == 7
    assert "7 of 21 connections of these steps drawn: the strongest" in words_of(picture)
    picture = by_hand().render(view="unrolled", steps=4, threshold=0.6)
    assert len(lines(picture, "connection")) == 4 + 2  # -1.2 at every step, -0.7 at two
    assert "6 of 21 connections of these steps drawn, at least 0.6" in words_of(picture)


def test_unrolled_network_shows_the_values_of_each_step():
    net = by_hand()
    x = np.array([[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]])
    outputs = net.predict(x, explicit=True)
    text = words_of(net.render(view="unrolled"))
    for value in [*x.reshape(-1), *outputs.reshape(-1)]:
        assert f"{value:.3g}" in text


def both_ways() -> ng.Network:
    """Return a network of sequences of five steps, whose input layer holds all of them."""
    ways = ng.Bidirectional(ng.SimpleRNN(9, return_sequences=True))
    return ng.Network([ng.Input((5, 2)), ways, ng.Dense(1)])


def test_boxes_of_a_step_tell_type_and_shape_in_full():
    text = words_of(both_ways().render(view="unrolled"))
    assert "Bidirectional SimpleRNN: 18" in text
    assert "Input: 2" in text  # of one step, not of all five
    words = ng.Network([ng.Input((None,)), ng.Embedding(9, 12), ng.GRU(12)])
    assert "Input:" not in words_of(words.render(view="unrolled"))
    x = ng.InputNode("x")
    nodes = [ng.Node("tanh", name=f"h{k}") for k in range(20)]
    for before, after in zip([x, *nodes], nodes, strict=False):
        ng.Connection(before, after, weight=0.1)
    ng.Connection(nodes[-1], nodes[0], weight=0.1, delay=1)
    text = words_of(ng.Network(inputs=[x], outputs=nodes[-1:]).render(view="unrolled"))
    assert "21 hand-made nodes" in text
    assert "…" not in text


def test_parts_of_one_name_are_told_apart():
    text = words_of(sequence().render(view="unrolled", expand="lstm"))
    assert {"input", "lstm/input", "forget"} <= set(text.split())


def test_ways_to_the_next_step_touch_no_other_box():
    picture = sequence().render(view="unrolled", expand="lstm", steps=3)
    boxes = {}
    for line in lines(picture, "layer"):
        name = re.search(r'"(b[\d.]+)"', line)[1]
        x, y = map(float, re.search(r'pos="([-\d.]+),([-\d.]+)"', line).groups())
        wide, high = (
            36 * float(re.search(rf" {k}=([\d.]+)", line)[1]) for k in ("width", "height")
        )
        boxes[name] = np.array([x, y]), np.array([wide, high])
    late = lines(picture, "late way")
    for line in late:
        up, down = re.findall(r'"(b[\d.]+)"', line)
        points = re.search(r'pos="e,\S+ ([^"]+)"', line)[1].split()
        way = bezier(points)
        for name, (centre, half) in boxes.items():
            if name not in (up, down):
                assert not (np.abs(way - centre) < half).all(axis=1).any(), (line, name)
    assert len(late) > 10


def test_the_last_step_of_a_layer_that_goes_backwards_is_the_first():
    source = sequence().render(view="unrolled", steps=5).source
    ends = re.findall(r'"b(\d+)\.(\d)" -> "b\d+\.5', source)
    assert ends == [("2", "4"), ("3", "0"), ("4", "5")]


def test_a_sample_that_was_not_run_is_named():
    with pytest.raises(ng.OptionError, match="the last run had 1 sample; it has no sample 7"):
        ran(sequence()).render(view="unrolled", sample=7)


def test_an_empty_title_leaves_none():
    for view in ("nodes", "layers", "program"):
        assert "connections" not in words_of(tutorial().render(view=view, title=""))


def test_nothing_to_unroll_is_said():
    with pytest.raises(ng.OptionError, match="no delays and no sequences"):
        tutorial().render(view="unrolled")


# the view of the program --------------------------------------------------------------------------


def test_program_is_drawn_and_leaves_the_network_alone():
    net = tutorial()
    before = [each.value for each in net.parameters.values()]
    picture = net.render(view="program")
    assert all(a is b.value for a, b in zip(before, net.parameters.values(), strict=True))
    names = [re.match(r"\s*(\w+)", line)[1] for line in lines(picture, "statement")]
    assert names == [f"s{number}" for number in range(len(names))]
    ends = re.findall(r"(\w+) -> (\w+)", "\n".join(lines(picture, "flow")))
    assert {up for up, _ in ends} >= {"s0", "s1", "s2", "alayer_0_and_1", "atarget"}
    assert "product" in words_of(picture)
    assert "backward" in words_of(picture)


def test_program_shows_layer_normalisation():
    picture = ng.Network([ng.Input((3,)), ng.LayerNormalization()]).render(view="program")
    words = words_of(picture)
    assert {"layer_norm", "layer_norm_gradient", "layer_normalization_gamma"} <= set(words.split())


def boxes_of_program(picture) -> dict[str, str]:
    """Return the statements drawn, with what they cost, by the names of their boxes."""
    found = [
        re.match(r'\s*(s\d+).*tooltip="([^"]+)"', each) for each in lines(picture, "statement")
    ]
    return {match[1]: match[2] for match in found}


def test_what_is_gathered_flows_from_the_nodes_it_names_alone():
    a, b = ng.InputNode("a"), ng.InputNode("b")
    p, q, y = (ng.Node("tanh", name=name) for name in "pqy")
    for up, down in ((a, p), (b, q), (p, q), (a, y), (q, y)):
        ng.Connection(up, down, weight=0.5)
    net = ng.Network(inputs=[a, b], outputs=[y])
    picture = render_program(net.compile().program)
    boxes = boxes_of_program(picture)
    flows = re.findall(r"(\w+) -> (\w+)", "\n".join(lines(picture, "flow")))

    def sources(start):
        (box,) = [box for box, statement in boxes.items() if statement.startswith(start)]
        return {boxes[up].partition(" ")[0] for up, down in flows if down == box}

    assert sources("a_q_picked = gather") == {"a_b", "q"}
    assert sources("d_q_net = activate_gradient") == {"d_nodes", "q"}
    assert sources("d_p_net = activate_gradient") == {"d_b_p", "p"}
    assert sources("d_nodes += scatter") == {"d_nodes", "d_a_q_picked"}


def test_what_is_read_in_another_shape_flows_from_its_last_writer():
    x = ng.Input((4, 4, 2))
    y = ng.BatchNormalization()(ng.Conv2D(2, 3, padding="same")(x))
    total = ng.Activation("relu")(ng.Add()([y, x]))
    picture = ng.Network(inputs=x, outputs=total).render(view="program")
    boxes = boxes_of_program(picture)
    (relu,) = [box for box, told in boxes.items() if "activate[function=relu" in told]
    assert len(re.findall(rf"-> {relu} ", picture.source)) == 1


def test_the_cost_of_a_recurrent_layer_is_that_of_its_products():
    net = ng.Network([ng.Input((None, 3)), ng.LSTM(4), ng.Dense(2)])
    picture = net.render(view="program")
    boxes = boxes_of_program(picture)
    forward, backward = (box for box, told in boxes.items() if "[kind=lstm" in told)
    assert f"{forward} -> {backward} " in picture.source  # its gates are kept for the way back
    costs = [told.rsplit("; ")[1] for told in boxes.values()]
    weights = 4 * 4 * (3 + 4 + 1)
    assert f"{2 * weights} operations" in costs
    assert f"{4 * weights} operations" in costs
    net = ng.Network([ng.Input((6, 6, 2)), ng.MaxPooling2D(3), ng.Flatten(), ng.Dense(2)])
    costs = [each.rsplit("; ")[1] for each in boxes_of_program(net.render(view="program")).values()]
    assert "72 operations" in costs  # every number is looked at once


# names, options, files ----------------------------------------------------------------------------

AWKWARD = ['a"b', "<b>bold</b>", "back\\slash\\N", "权重", "&amp;", "a:b", "line\nbreak", "1"]


@drawn
@pytest.mark.parametrize("view", ["nodes", "layers"])
def test_awkward_names_are_drawn_as_they_are(view):
    nodes = [ng.InputNode(name) for name in AWKWARD]
    if view == "layers":
        h = ng.Input((2,), name=AWKWARD[0])
        for name in AWKWARD[1:]:
            h = ng.Dense(2 + len(name), name=name)(h)
        layer = h
        while layer.incoming:
            layer = layer.incoming[0].source
        net = ng.Network(inputs=layer, outputs=h, name='net "<x>" \\N 网络')
    else:
        y = ng.Node("tanh", name="y")
        for node in nodes:
            ng.Connection(node, y, weight=0.5)
        net = ng.Network(inputs=nodes, outputs=[y], name='net "<x>" \\N 网络')
    root = ET.fromstring(net.render(view=view).pipe("svg"))
    text = "".join("".join(each.itertext()) for each in root.iter(f"{SVG}text"))
    for name in AWKWARD:
        assert name.replace("\n", "␊") in text
    assert 'net "<x>" \\N 网络' in text


def test_long_names_are_clipped_but_kept_in_the_tooltip():
    name = "a very long name that no circle could ever hold"
    a, y = ng.InputNode(name), ng.Node("tanh", name="y")
    ng.Connection(a, y, weight=1.0)
    source = ng.Network(inputs=[a], outputs=[y]).render(view="nodes").source
    assert "…" in source
    assert f'tooltip="{name}:' in source


@pytest.mark.parametrize(
    ("options", "near"),
    [
        ({"view": "node"}, "nodes"),
        ({"nubmers": True}, "numbers"),
        ({"show": "wieght"}, "weight"),
        ({"bias": "folded"}, "fold"),
        ({"view": "layers", "expand": "layer_3"}, "layer_"),
    ],
)
def test_unknown_words_get_the_nearest_match(options, near):
    with pytest.raises(ng.UnknownNameError, match=f"did you mean '{near}"):
        tutorial().render(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"top": -1},
        {"limit": 2},
        {"threshold": "x"},
        {"show": 5},
        {"steps": 0},
        {"numbers": "yes"},
        {"title": 3},
        {"tree": ("a", "b")},
        {"path": 3},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ng.OptionError):
        tutorial().render(**options)


def test_an_option_that_a_view_has_no_use_for_is_refused_by_name():
    sentence = "view 'layers' has no use for top, which is for 'nodes' and 'unrolled'; .* expand, "
    with pytest.raises(ng.OptionError, match=sentence):
        residual().render(view="layers", top=3)
    with pytest.raises(ng.OptionError, match="'program' has no use for show"):
        tutorial().render(view="program", show="delta")
    wide = ng.Network([784, 10])
    assert wide.render(numbers=True).source == wide.render(view="layers").source
    assert by_hand().render(steps=3).source == by_hand().render(view="unrolled", steps=3).source


def test_unrolled_boxes_say_what_they_have_no_place_for():
    text = words_of(sequence().render(view="unrolled", top=5, numbers=True))
    assert "a box a layer, which has no place for numbers, top" in text
    assert "no place" not in words_of(sequence().render(view="unrolled"))
    small = ng.Network([ng.Input((None, 1)), ng.SimpleRNN(1, name="rnn")])
    assert "a box" not in words_of(small.render(view="unrolled", top=5))
    with pytest.raises(ng.UnknownNameError, match="unknown layer 'lstm'"):
        small.render(view="unrolled", expand="lstm")


def test_names_of_parts_keep_their_ends():
    net = ng.Network([ng.Input((None, 2)), ng.Bidirectional(ng.LSTM(1)), ng.Dense(1)])
    text = words_of(net.render(view="nodes"))
    assert re.search(r"bidir\S*…/squash", text)


def test_unknown_format_is_refused_before_any_work(tmp_path):
    with pytest.raises(ng.UnknownNameError, match="picture format"):
        tutorial().render(tmp_path / "net.jpg")
    with pytest.raises(ng.UnknownNameError, match=r"'net' has no ending .*; known: \.svg"):
        tutorial().render("net")
    assert not list(tmp_path.iterdir())


@drawn
def test_a_path_that_cannot_be_written_leaves_nothing(tmp_path):
    folder = tmp_path / "net.svg"
    folder.mkdir()
    with pytest.raises(ng.StorageError, match="is a folder"):
        tutorial().render(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(ng.StorageError, match="cannot write"):
        tutorial().render(tmp_path / "file" / "net.svg")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "net.svg"]


@drawn
@pytest.mark.parametrize(
    ("kind", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("dot", b"digraph")]
)
def test_formats(tmp_path, kind, start):
    path = tmp_path / f"net.{kind}"
    tutorial().render(path)
    assert path.read_bytes().startswith(start)


@drawn
def test_a_picture_is_rendered_as_those_of_graphviz(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    picture = tutorial().render()
    path = picture.render("net.gv", directory=tmp_path, format="svg", view=True)
    assert Path(path) == tmp_path / "net.gv.svg"
    assert Path(path).read_bytes().startswith(b"<?xml")
    assert (tmp_path / "net.gv").read_text(encoding="utf-8") == picture.source
    assert opened == [Path(path).as_uri()]
    picture.render(tmp_path / "other", cleanup=True, outfile=tmp_path / "other.png")
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["net.gv", "net.gv.svg", "other.png"]


def test_pdf_is_drawn_where_something_can(tmp_path):
    if not any(True for _ in engines._engines("digraph {}", "pdf")):
        with pytest.warns(UserWarning, match="draws no PDF"):
            tutorial().render(tmp_path / "net.pdf")
        assert (tmp_path / "net.dot").exists()
    else:
        tutorial().render(tmp_path / "net.pdf")
        assert (tmp_path / "net.pdf").read_bytes().startswith(b"%PDF")


def test_without_graphviz_the_dot_is_written_and_three_ways_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "_command", lambda name: None)
    monkeypatch.setattr(engines, "_has_pygraphviz", lambda: False)
    with pytest.warns(UserWarning, match=r"neurograph\[viz\].*graphviz\.org.*any Graphviz viewer"):
        picture = tutorial().render(tmp_path / "net.svg")
    assert [each.name for each in tmp_path.iterdir()] == ["net.dot"]
    assert (tmp_path / "net.dot").read_text(encoding="utf-8") == picture.source
    with pytest.warns(UserWarning, match="nothing here can draw"):
        assert list(picture._repr_mimebundle_()) == ["text/plain"]


@drawn
def test_a_broken_program_is_passed_over(tmp_path, monkeypatch):
    broken = tmp_path / "dot"
    broken.write_text("#!/bin/sh\necho 'no plugins' >&2\nexit 1\n")
    broken.chmod(0o755)
    before = engines._command
    monkeypatch.setattr(
        engines, "_command", lambda name: str(broken) if name == "dot" else before(name)
    )
    assert tutorial().render().pipe("svg").startswith(b"<?xml")
    monkeypatch.setattr(engines, "_command", lambda name: str(broken))
    monkeypatch.setattr(engines, "_has_pygraphviz", lambda: False)
    with pytest.raises(ng.NeurographError, match="no SVG could be drawn: dot: no plugins"):
        tutorial().render().pipe("svg")


@drawn
def test_picture_shows_itself_in_notebooks():
    bundle = tutorial().render()._repr_mimebundle_()
    assert ET.fromstring(bundle["image/svg+xml"].encode()).tag == f"{SVG}svg"


def test_the_same_network_gives_the_same_text():
    assert tutorial().render().source == tutorial().render().source
