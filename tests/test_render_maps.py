from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from render_networks import tutorial
from test_render import drawn

import neurograph as ng
from neurograph.storage import figures

SVG = "{http://www.w3.org/2000/svg}"


def snapshots(net, times=3):
    first = net.get_weights()
    return [[(1 + k) * array for array in first] for k in range(times)]


# animation ----------------------------------------------------------------------------------------


@drawn
def test_animation_changes_width_and_colour_of_every_connection(tmp_path):
    net = tutorial()
    path = tmp_path / "learning.svg"
    ng.animate(net, snapshots(net), path, labels=["epoch 0", "epoch 1", "epoch 2"], seconds=3)
    root = ET.parse(path).getroot()
    moves = list(root.iter(f"{SVG}animate"))
    widths = [each for each in moves if each.get("attributeName") == "stroke-width"]
    assert len(widths) == len([e for e in moves if e.get("attributeName") == "stroke"]) == 26
    for each in widths:
        values = [float(value) for value in each.get("values").split(";")]
        assert len(values) == 3
        assert values == sorted(values)  # every weight grows
        assert each.get("dur") == "3s"
    labels = [
        text.text for text in root.iter(f"{SVG}text") if text.find(f"{SVG}animate") is not None
    ]
    assert labels == ["epoch 0", "epoch 1", "epoch 2"]


@drawn
def test_animation_leaves_constants_alone_and_tells_what_is_no_number(tmp_path):
    net = ng.Network([ng.Input((2,)), ng.Dense(2), ng.Flatten(), ng.Dense(1)], seed=0)
    weights = [[0.1 * array for array in net.get_weights()] for _ in range(2)]
    weights[1][0][0, 0] = np.nan
    ng.animate(net, weights, tmp_path / "learning.svg")
    text = (tmp_path / "learning.svg").read_text(encoding="utf-8")
    root = ET.fromstring(text)
    moves = [m for m in root.iter(f"{SVG}animate") if m.get("attributeName") == "stroke"]
    assert len(moves) == len(net.connections) - 2  # Flatten's are constant
    assert sum("#222222" in move.get("values") for move in moves) == 1
    assert "nan" not in "".join(move.get("values") for move in root.iter(f"{SVG}animate"))
    largest = max(np.abs(array).max() for array in weights[0])
    assert f"{largest:.3g}" in text


@drawn
def test_a_probe_of_the_network_is_animated(tmp_path):
    net = ng.Network([2, 2, 1], seed=0)
    probe = ng.Probe(net, every=2)
    model = net.compile("sgd(0.5)", "sse")
    model.fit([[0, 1], [1, 0]], [[0], [1]], epochs=4, batch_size=2, callbacks=[probe], verbose=0)
    ng.animate(net, probe, tmp_path / "learning.svg")
    root = ET.parse(tmp_path / "learning.svg").getroot()
    texts = [each for each in root.iter(f"{SVG}text") if each.find(f"{SVG}animate") is not None]
    assert [each.text for each in texts] == [f"after {step} batches" for step in (0, 2, 4)]
    assert [each.get("opacity") for each in texts] == ["1", "0", "0"]
    with pytest.raises(ng.OptionError, match=r"Probe of the weight of '.*': .* use Probe\(net\)"):
        ng.animate(net, ng.Probe("(0-0) -> (1-0)"), tmp_path / "other.svg")


@drawn
def test_animation_leaves_the_weights_alone(tmp_path):
    net = tutorial()
    before = net.get_weights()
    ng.animate(net, snapshots(net), tmp_path / "learning.svg")
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))


@drawn
def test_gif_has_a_frame_for_every_snapshot(tmp_path):
    image = pytest.importorskip("PIL.Image")
    net = ng.Network([2, 2, 1], seed=0)
    path = tmp_path / "learning.gif"
    ng.animate(net, snapshots(net, 4), path, seconds=2)
    with image.open(path) as gif:
        assert gif.n_frames == 4
        assert gif.info["duration"] == 500


@drawn
def test_strip_puts_the_pictures_side_by_side(tmp_path):
    net = ng.Network([2, 2, 1], seed=0)
    path = tmp_path / "strip.svg"
    ng.film_strip(net, snapshots(net, 3), path, columns=2, labels=["a", "b", "c"])
    root = ET.parse(path).getroot()
    frames = root.findall(f"{SVG}svg")
    assert len(frames) == 3
    places = [(float(frame.get("x")), float(frame.get("y"))) for frame in frames]
    assert places[0][1] == places[1][1] == 0
    assert places[1][0] > 0
    assert places[2][1] > 0
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))


@drawn
def test_top_keeps_what_was_ever_strongest(tmp_path):
    net = ng.Network([2, 1], seed=0)
    frames = [
        {"layer_1/kernel": [[9.0], [0.1]], "layer_1/bias": [0.0]},
        {"layer_1/kernel": [[0.0], [0.2]], "layer_1/bias": [0.0]},
    ]
    path = tmp_path / "learning.svg"
    ng.animate(net, frames, path, top=1)
    widths = [
        each.get("values")
        for each in ET.parse(path).getroot().iter(f"{SVG}animate")
        if each.get("attributeName") == "stroke-width"
    ]
    assert widths == ["3.40;0.60"]


def test_snapshots_that_do_not_fit_are_named(tmp_path):
    net = tutorial()
    path = tmp_path / "learning.svg"
    with pytest.raises(ng.DataError, match="at least two snapshots, got 1"):
        ng.animate(net, snapshots(net, 1), path)
    with pytest.raises(ng.ShapeError, match=r"snapshot 1: parameter 'layer_1/kernel' has shape"):
        ng.animate(net, [net.get_weights(), [a.T for a in net.get_weights()]], path)
    with pytest.raises(ng.UnknownNameError, match="did you mean 'layer_1/kernel'"):
        ng.animate(net, [{"layer_1/kernl": 1}, {}], path)
    with pytest.raises(ng.DataError, match="snapshot 0 has 1 arrays"):
        ng.animate(net, [[np.zeros((3, 4))]] * 2, path)
    with pytest.raises(ng.DataError, match="1 labels for 2 snapshots"):
        ng.animate(net, snapshots(net, 2), path, labels=["one"])
    with pytest.raises(ng.OptionError, match="shows weights"):
        ng.animate(net, snapshots(net, 2), path, show="gradient")
    with pytest.raises(ng.UnknownNameError, match="picture format"):
        ng.animate(net, snapshots(net, 2), tmp_path / "learning.mp4")
    assert not list(tmp_path.iterdir())


# decision boundary --------------------------------------------------------------------------------


def test_boundary_asks_the_network_everywhere():
    pytest.importorskip("matplotlib")
    asked = []

    def predict(points):
        asked.append(points)
        return points[:, 0] > 0

    x = np.array([[-1.0, 0.0], [1.0, 2.0]])
    figure = ng.decision_boundary(predict, x, [0, 1], resolution=11)
    (plane,) = asked
    assert plane.shape == (121, 2)
    assert plane[:, 0].min() == pytest.approx(-1.24)
    assert plane[:, 1].max() == pytest.approx(2.24)
    mesh = figure.axes[0].collections[0]
    assert np.array_equal(mesh.get_array().reshape(-1), (plane[:, 0] > 0).astype(float))


@pytest.mark.parametrize("classes", [1, 3])
def test_boundary_takes_one_answer_or_one_a_class(tmp_path, classes):
    pytest.importorskip("matplotlib")
    net = ng.Network([2, 3, classes], seed=0)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(20, 2))
    y = generator.integers(0, 2 if classes == 1 else classes, 20)
    path = tmp_path / "boundary.png"
    figure = ng.decision_boundary(net, x, y, path, resolution=15, title="where")
    assert path.read_bytes().startswith(b"\x89PNG")
    points = [c for c in figure.axes[0].collections if len(c.get_offsets()) > 1]
    assert sum(len(each.get_offsets()) for each in points) == 20


def test_boundaries_of_classes_run_where_two_answers_are_equal():
    """Not along the points that were asked, whose winners alone would make stairs."""
    pytest.importorskip("matplotlib")
    corners = np.array([[0.0, 0.0], [1.0, 0.1], [0.2, 1.0]])

    def predict(points):
        return -((points[:, None] - corners) ** 2).sum(axis=2)

    figure = ng.decision_boundary(predict, corners, [0, 1, 2], resolution=30)
    found = 0
    for contours in figure.axes[0].collections:
        if contours.get_facecolor().size == 0:
            for path in contours.get_paths():
                best = np.sort(predict(path.vertices), axis=1)
                middle = best[:, 2] - best[:, 1] < 0.02
                assert middle.mean() > 0.95  # all but where three meet
                found += len(best)
    assert found > 60


def test_areas_differ_in_grey():
    from neurograph.render.boundary import ABOVE, BELOW, TINTS
    from neurograph.render.style import GROUPS, luminance, mix

    for group in range(len(GROUPS) - 1):
        one, other = (
            luminance(mix("#ffffff", GROUPS[k], TINTS[k % 3])) for k in (group, group + 1)
        )
        assert abs(one - other) > 0.03
    assert luminance(ABOVE) - luminance(BELOW) > 0.1


def test_boundary_refuses_what_is_not_a_plane():
    pytest.importorskip("matplotlib")
    with pytest.raises(ng.ShapeError, match=r"x has shape \(4, 3\)"):
        ng.decision_boundary(lambda p: p, np.zeros((4, 3)), [0, 1, 0, 1])
    with pytest.raises(ng.ShapeError, match="predict returned shape"):
        ng.decision_boundary(lambda p: p[:3], np.zeros((2, 2)), [0, 1])


def test_what_cannot_be_drawn_is_refused_in_one_sentence():
    pytest.importorskip("matplotlib")
    with pytest.raises(ng.OptionError, match="a network, a model or a function, got 3"):
        ng.decision_boundary(3, [[0.0, 0.0]], [0])
    with pytest.raises(ng.DataError, match="y: expected numbers, got an array of str"):
        ng.decision_boundary(lambda p: p, [[0.0, 0.0]], ["setosa"])
    with pytest.raises(ng.DataError, match="'truth': expected numbers"):
        ng.show_series({"truth": ["x"]})
    with pytest.raises(ng.DataError, match="values: expected numbers"):
        ng.draw_tree(("a", "b"), values=["x", "y", "z"])
    with pytest.raises(ng.OptionError, match="limit must be a number of at least 1"):
        tutorial().heatmap("layer_1", limit=0)


# maps ---------------------------------------------------------------------------------------------


def image_of(axes):
    return np.asarray(axes.images[0].get_array())


def test_heatmap_shows_the_weights_of_a_layer(tmp_path):
    pytest.importorskip("matplotlib")
    net = tutorial()
    path = tmp_path / "map.svg"
    figure = net.heatmap("layer_1", path)
    kernel = net.parameters["layer_1/kernel"].value
    assert np.array_equal(image_of(figure.axes[0]), kernel)
    image = figure.axes[0].images[0]
    assert image.norm.vmax == -image.norm.vmin == np.abs(kernel).max()
    ET.parse(path)
    bias = net.heatmap("layer_1/bias")
    assert np.array_equal(image_of(bias.axes[0])[0], net.parameters["layer_1/bias"].value)


def test_negative_cells_are_marked_for_grey_print():
    pytest.importorskip("matplotlib")
    net = tutorial()
    kernel = net.parameters["layer_1/kernel"].value
    (marks,) = net.heatmap("layer_1").axes[0].collections
    assert sorted(map(tuple, marks.get_offsets()[:, ::-1].astype(int).tolist())) == sorted(
        zip(*np.nonzero(kernel < 0), strict=True)
    )
    assert not ng.Network([500, 2], seed=0).heatmap("layer_1").axes[0].collections


def test_axes_of_recurrent_weights_are_named():
    pytest.importorskip("matplotlib")
    net = ng.Network([ng.Input((None, 3)), ng.GRU(4, name="gru"), ng.Dense(2)], seed=0)
    named = {"gru": "from input", "gru/recurrent_kernel": "from state", "gru/bias": ""}
    for name, rows in named.items():
        axes = net.heatmap(name).axes[0]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("to unit, gate by gate", rows)
    assert net.heatmap("dense").axes[0].get_xlabel() == "to unit"


def test_heatmap_of_gradients():
    pytest.importorskip("matplotlib")
    net = tutorial()
    net.get_gradient([0.0, 1.0], [1.0, 2.0, 3.0])
    figure = net.heatmap("layer_2", gradient=True)
    assert np.array_equal(image_of(figure.axes[0]), net.parameters["layer_2/kernel"].gradient)


def test_kernels_are_drawn_filter_by_filter():
    pytest.importorskip("matplotlib")
    net = ng.Network([ng.Input((9, 9, 1)), ng.Conv2D(5, 3), ng.Conv2D(4, 2)], seed=0)
    kernel = net.parameters["conv2d/kernel"].value
    figure = ng.show_kernels(net, "conv2d")
    assert len(figure.axes) == 5 + 1
    for number in range(5):
        assert np.array_equal(image_of(figure.axes[number]), kernel[:, :, 0, number])
    second = net.heatmap("conv2d_1")
    kernel = net.parameters["conv2d_1/kernel"].value
    assert len(second.axes) == 5 * 4 + 1
    assert np.array_equal(image_of(second.axes[4 + 3]), kernel[:, :, 1, 3])
    few = ng.show_kernels(net, "conv2d", limit=3)
    assert len(few.axes) == 3 + 1
    assert "3 of 5 shown" in few.get_suptitle()


def test_kernels_on_three_channels_are_pictures():
    pytest.importorskip("matplotlib")
    net = ng.Network([ng.Input((5, 5, 3)), ng.Conv2D(2, 3)], seed=0)
    figure = ng.show_kernels(net, "conv2d")
    assert image_of(figure.axes[0]).shape == (3, 3, 3)
    assert len(figure.axes) == 2
    kernel = net.parameters["conv2d/kernel"].value
    low, high = (f"{each:.3g}".replace("-", "−") for each in (kernel.min(), kernel.max()))
    assert figure.get_suptitle().endswith(f"; red, green, blue: {low} to {high}")


def test_feature_maps_are_those_of_the_last_run():
    pytest.importorskip("matplotlib")
    net = ng.Network([ng.Input((6, 6, 1)), ng.Conv2D(3, 3, activation="relu")], seed=0)
    with pytest.raises(ng.DataError, match="there was no run yet"):
        ng.show_feature_maps(net, "conv2d")
    x = np.random.default_rng(1).normal(size=(2, 6, 6, 1))
    outputs = net.predict(x, explicit=True)
    figure = ng.show_feature_maps(net, "conv2d", sample=1)
    for number in range(3):
        assert np.array_equal(image_of(figure.axes[number]), outputs[1, :, :, number])
    with pytest.raises(ng.OptionError, match="had 2 samples, there is no sample 2"):
        ng.show_feature_maps(net, "conv2d", sample=2)


def test_unknown_layers_and_wrong_kinds_are_said():
    pytest.importorskip("matplotlib")
    net = tutorial()
    with pytest.raises(ng.UnknownNameError, match="did you mean 'layer_1'"):
        net.heatmap("layer1")
    with pytest.raises(ng.OptionError, match="holds no kernels"):
        ng.show_kernels(net, "layer_1")
    with pytest.raises(ng.UnknownNameError, match="picture format"):
        net.heatmap("layer_1", "map.bmp")


def test_series_are_drawn_at_their_times(tmp_path):
    pytest.importorskip("matplotlib")
    days = np.datetime64("2020-01-01") + np.arange(5)
    curves = {"truth": [[1.0], [2.0], [3.0], [4.0], [5.0]], "said": [4.5, float("nan")]}
    figure = ng.show_series(curves, tmp_path / "s.svg", time=days, title="a title", label="EUR")
    truth, said = figure.axes[0].lines
    assert truth.get_ydata().tolist() == [1, 2, 3, 4, 5]
    assert said.get_xdata().tolist() == days[-2:].tolist()
    lines = ng.show_series({name: [1.0, 2.0] for name in "abcd"}).axes[0].lines
    assert len({line.get_linestyle() for line in lines}) == 4  # grey print has no hues
    assert [each.get_text() for each in figure.axes[0].get_legend().texts] == ["truth", "said"]
    assert "svg" in (tmp_path / "s.svg").read_text()
    with pytest.raises(ng.ShapeError, match="longest curve has 5 steps"):
        ng.show_series(curves, time=days[:4])
    with pytest.raises(ng.ShapeError, match=r"'truth' has shape \(2, 2\)"):
        ng.show_series({"truth": np.ones((2, 2))})
    with pytest.raises(ng.DataError, match="no curve"):
        ng.show_series({})


def test_awkward_names_are_titles_as_they_are(tmp_path):
    pytest.importorskip("matplotlib")
    net = ng.Network([ng.Input((3,)), ng.Dense(2, name="a$b_{^$"), ng.Dense(1, name="n" * 90)])
    figure = net.heatmap("a$b_{^$", tmp_path / "map.png")
    assert figure.axes[0].get_title() == "a$b_{^$/kernel, 3 × 2"
    assert "nnn…/kernel, 2 × 1" in net.heatmap("n" * 90).axes[0].get_title()


def test_figures_show_themselves_in_notebooks():
    pytest.importorskip("matplotlib")
    shown = tutorial().heatmap("layer_1")._repr_png_()
    assert shown.startswith(b"\x89PNG")


def test_missing_packages_are_named(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(figures, "import_module", absent)
    with pytest.raises(ng.MissingDependencyError, match=r"needs matplotlib.*neurograph\[plot\]"):
        tutorial().heatmap("layer_1")
    with pytest.raises(ng.MissingDependencyError, match="needs pillow"):
        figures.needed("PIL.Image", "a strip")
