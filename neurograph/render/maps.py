"""Maps: weight matrices, kernels and feature maps as images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurograph.errors import DataError, OptionError, unknown
from neurograph.graph.layer import ZEROS, Layer
from neurograph.options import whole
from neurograph.parameter import Parameter
from neurograph.render.fill import lead_of
from neurograph.render.style import INK, WEIGHT_HUES, clip_path, short
from neurograph.storage.atomic import StrPath
from neurograph.storage.figures import needed, new_figure, write_figure
from neurograph.words import count

if TYPE_CHECKING:
    from neurograph.graph.network import Network

Array = NDArray[Any]
NAME_WIDTH = 160.0  # of a name in a title, in points
MARKED = 400  # cells at most whose signs are marked


def heatmap(
    network: Network,
    name: str,
    path: StrPath | None = None,
    *,
    gradient: bool = False,
    limit: int = 64,
) -> Any:
    """Draw a weight array as a map of colours; see ``Network.heatmap``."""
    limit = whole("heatmap: limit", limit, least=1)
    full, parameter = _parameter(network, name)
    values = parameter.gradient if gradient else parameter.value
    what = " gradient" if gradient else ""
    title = f"{clip_path(full, NAME_WIDTH, 10.0)}{what}, {_shape(parameter.shape)}"
    if values.ndim > 2:
        return _kernels(values, title, path, limit)
    figure = new_figure("a heat map", *_figure_size(np.atleast_2d(values).shape))
    axes = figure.add_subplot()
    matrix = np.atleast_2d(values)
    image = axes.imshow(matrix, aspect="auto", interpolation="nearest", **_scale(matrix))
    axes.set_title(title, fontsize=10, parse_math=False)
    layer, _, own = full.rpartition("/")
    gated = values.shape[-1:] > network.layer(layer).shape[-1:] if layer else False
    unit = "unit, gate by gate" if gated else "unit"
    axes.set_xlabel(f"to {unit}" if values.ndim == 2 else unit)
    if values.ndim == 2:
        axes.set_ylabel({"recurrent_kernel": "from state", "bias": ""}.get(own, "from input"))
    else:
        axes.yaxis.set_visible(False)
    _mark_negative(axes, matrix)
    axes.locator_params(integer=True)
    figure.colorbar(image, ax=axes, shrink=0.9)
    return write_figure(figure, path)


def show_kernels(
    network: Network, name: str, path: StrPath | None = None, *, limit: int = 64
) -> Any:
    """Draw the kernels of a convolution, filter by filter.

    Kernels on one channel are drawn on one scale of colours, on three channels as RGB pictures;
    else filters go across and channels down.

    Parameters
    ----------
    network : Network
    name : str
        A layer or parameter, shape (rows, columns, channels, filters) or (steps, channels,
        filters).
    path : path, optional
        Ends in .svg, .png or .pdf.
    limit : int
        At most so many kernels; the title says how many there are.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingDependencyError
        matplotlib, of the extra ``plot``, is not installed.
    UnknownNameError
        No layer or parameter has that name.
    OptionError
        It holds no kernels.

    Examples
    --------
    >>> import neurograph as ng
    >>> net = ng.Network([ng.Input((8, 8, 1)), ng.Conv2D(4, 3)], seed=0)
    >>> len(show_kernels(net, "conv2d").axes)  # four kernels and a scale
    5
    """
    limit = whole("show_kernels: limit", limit, least=1)
    full, parameter = _parameter(network, name)
    if len(parameter.shape) < 3:
        raise OptionError(
            f"show_kernels: {full!r} has shape {parameter.shape}, which holds no kernels; use "
            f"net.heatmap({name!r})"
        )
    return _kernels(
        parameter.value,
        f"{clip_path(full, NAME_WIDTH, 10.0)}, {_shape(parameter.shape)}",
        path,
        limit,
    )


def show_feature_maps(
    network: Network,
    name: str,
    path: StrPath | None = None,
    *,
    sample: int = 0,
    limit: int = 64,
) -> Any:
    """Draw what the last run left in a layer of images, channel by channel.

    Parameters
    ----------
    network : Network
        After ``predict(…, explicit=True)`` or ``model.inspect``.
    name : str
        A layer of shape (rows, columns, channels) or (steps, channels).
    path : path, optional
        Ends in .svg, .png or .pdf.
    sample : int
        Which sample of the batch.
    limit : int
        At most so many channels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingDependencyError
        matplotlib, of the extra ``plot``, is not installed.
    OptionError, DataError
        The layer holds no images, there was no such sample, or no run yet.
    """
    layer = network.layer(name)
    maps = _sample(layer, sample)
    if maps.ndim < 2:
        raise OptionError(
            f"show_feature_maps: layer {name!r} has shape {layer.shape}, which holds no images"
        )
    channels = maps.shape[-1]
    tiles = [
        maps[..., k]
        for k in range(min(channels, whole("show_feature_maps: limit", limit, least=1)))
    ]
    tiles = [tile if tile.ndim == 2 else tile[None, :] for tile in tiles]
    title = f"{clip_path(name, NAME_WIDTH, 10.0)}, {_shape(layer.shape)}, sample {sample}"
    return _grid(tiles, title, channels, path, WEIGHT_HUES)


def _sample(layer: Layer, sample: int) -> Array:
    if layer._output is ZEROS:
        raise DataError(
            f"layer {layer.name!r}: there was no run yet; call net.predict(x, explicit=True) or "
            f"model.inspect(x) first"
        )
    values: Array = np.asarray(layer.output)
    if len(lead_of(layer)) > layer.sequence:
        if not -len(values) <= sample < len(values):
            raise OptionError(
                f"layer {layer.name!r}: the last run had {count(len(values), 'sample')}, there is "
                f"no sample {sample}"
            )
        values = values[sample]
    return values


def _parameter(network: Network, name: str) -> tuple[str, Parameter]:
    """Return a parameter by its name or by its layer's, with its full name."""
    parameters = network.parameters
    if name in parameters:
        return name, parameters[name]
    of_layer = [each for each in parameters if each.rsplit("/", 1)[0] == name]
    if of_layer:
        kernel = f"{name}/kernel"
        chosen = kernel if kernel in of_layer else of_layer[0]
        return chosen, parameters[chosen]
    layers = dict.fromkeys(each.rsplit("/", 1)[0] for each in parameters)
    known, of = [*layers, *parameters], f"network {network.name!r}"
    raise unknown("parameter or layer with some", name, known, of=of)


def _kernels(values: Array, title: str, path: StrPath | None, limit: int) -> Any:
    channels, filters = values.shape[-2:]
    if channels == 3 and values.ndim == 4:
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) / (high - low or 1.0)
        title += f"; red, green, blue: {short(low)} to {short(high)}"
        tiles = [scaled[..., k] for k in range(min(filters, limit))]
        return _grid(tiles, title, filters, path, None)
    across = min(filters, max(limit // min(channels, 8), 1)) if channels > 1 else filters
    pairs = [(c, f) for c in range(min(channels, 8)) for f in range(across)][:limit]
    tiles = [np.atleast_2d(values[..., c, f]) for c, f in pairs]
    columns = across if channels > 1 else None
    return _grid(tiles, title, channels * filters, path, WEIGHT_HUES, columns)


def _grid(
    tiles: list[Array],
    title: str,
    total: int,
    path: StrPath | None,
    hues: Any,
    columns: int | None = None,
) -> Any:
    table = columns is not None  # filters across, channels down
    columns = columns or min(math.ceil(math.sqrt(len(tiles) * 1.6)), len(tiles))
    rows = math.ceil(len(tiles) / columns)
    columns = columns if table else math.ceil(len(tiles) / rows)  # rows of about one length
    width = min(max(1.0 * columns, 4.0), 16.0)
    figure = new_figure("a map of kernels", width + 0.8, min(width / columns * rows, 16.0) + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False)
    everything = np.concatenate([tile.reshape(-1) for tile in tiles])
    scale = {} if hues is None else _scale(everything, hues)
    image: Any = None
    for place, axes in enumerate(grid.reshape(-1)):
        axes.set_xticks([])
        axes.set_yticks([])
        if place < len(tiles):
            image = axes.imshow(tiles[place], interpolation="nearest", **scale)
            if hues is not None:
                _mark_negative(axes, tiles[place])
        else:
            axes.remove()
        if table and place < columns:
            axes.set_title(f"filter {place}", fontsize=7)
        if table and place % columns == 0:
            axes.set_ylabel(f"channel {place // columns}", fontsize=7)
    if hues is not None:
        figure.colorbar(image, ax=list(grid.reshape(-1)[: len(tiles)]), shrink=0.8)
    hidden = f"; {len(tiles)} of {total} shown" if len(tiles) < total else ""
    figure.suptitle(title + hidden, fontsize=10, parse_math=False)
    return write_figure(figure, path)


def _mark_negative(axes: Any, values: Array) -> None:
    """Put a minus into each negative cell while there are few: grey print has no hues."""
    if values.size <= MARKED:
        rows, columns = np.nonzero(values < 0.0)
        axes.scatter(columns, rows, marker="_", s=9, linewidths=0.8, color=INK)


def _scale(values: Array, hues: Any = WEIGHT_HUES) -> dict[str, Any]:
    """Return colours and limits: the same on both sides of zero, if there is a side below.

    What is not a finite number is black.
    """
    colours = needed("matplotlib.colors", "a heat map")
    low, _, high = hues
    values = values[np.isfinite(values)]
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    if values.min(initial=0.0) >= 0.0:
        shown, least = ["#ffffff", high], 0.0
    else:
        shown, least = [low, "#ffffff", high], -largest
    scale = colours.LinearSegmentedColormap.from_list("weights", shown).with_extremes(bad=INK)
    return {"cmap": scale, "vmin": least, "vmax": largest}


def _figure_size(shape: tuple[int, ...]) -> tuple[float, float]:
    rows, columns = shape
    width = min(max(0.18 * columns, 3.5), 12.0)
    return width + 1.2, min(max(0.18 * rows, 1.2), 8.0) + 0.9


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "one weight"
