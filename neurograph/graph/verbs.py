"""The verbs of a network that other rooms carry out: each is imported when it is first used.

This is the one file whose imports go up, so that ``net.compile()`` and ``net.render()`` can be
written as users expect while the graph itself knows nothing of compilers and pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from neurograph.graph.states import reset_states, stateful_layers
from neurograph.graph.trees import takes_trees

if TYPE_CHECKING:
    import networkx as nx
    from numpy.typing import ArrayLike, NDArray

    from neurograph.graph.connection import Connection
    from neurograph.graph.layer import Layer
    from neurograph.graph.network import Network
    from neurograph.graph.node import Node
    from neurograph.inspect.paths import Path
    from neurograph.inspect.summary import Summary
    from neurograph.render.picture import Picture
    from neurograph.storage.atomic import StrPath
    from neurograph.train.model import Model


_OF_A_MODEL = (
    *("fit", "evaluate", "train_on_batch", "test_on_batch", "gradients", "inspect"),
    *("export", "source", "program", "plan", "explain"),
)


class TutorialVerbs:
    """What the tutorial's network can do: predict and train sample by sample, node by node."""

    def predict(self, sample: Any, *, explicit: bool = False) -> Any:
        """Return the outputs for one sample or, with one more axis, for a batch.

        Parameters
        ----------
        sample : array_like, list of array_like, or mapping
            (shape), (batch, shape); for sequences (time, shape), (batch, time, shape). Several
            inputs as a list in order, or by name.
        explicit : bool
            Walk the nodes, instead of running the compiled network: the same numbers, slower, and
            every node keeps its values.

        Returns
        -------
        ndarray, or list of ndarray for several outputs

        Raises
        ------
        ShapeError, DataError
            The sample does not fit the inputs, or is not finite.

        Examples
        --------
        >>> import neurograph as ng
        >>> net = ng.Network([2, 1], seed=0)
        >>> net.predict([0.5, 1.0], explicit=True).shape
        (1,)
        """
        network = cast("Network", self)
        if takes_trees(network):
            from neurograph.train.tree_model import predict_trees

            return predict_trees(network, sample, explicit)
        if explicit:
            from neurograph.interpret.tutorial import predict

            return predict(network, sample)
        from neurograph.train.tutorial import predict_compiled

        outputs = predict_compiled(network, sample)
        network._sample = sample  # for calc_delta, which walks it if no walk has
        return outputs

    def train(
        self, labels: Any, data_set: Any, rate: float, iteration: int, *, explicit: bool = False
    ) -> list[float]:
        """Train sample by sample: one step of gradient descent for each, ``iteration`` rounds.

        The error is E = sum((label - output)^2) / 2. The argument order is the tutorial's.

        Parameters
        ----------
        labels, data_set : sequences of equal length
            What ``predict`` should return, and what it takes.
        rate : float
            How much of the gradient a step subtracts from a weight.
        iteration : int
            Rounds through the data set.
        explicit : bool
            Walk the nodes, instead of running the compiled network: the same numbers, slower.

        Returns
        -------
        list of float
            The mean error of every round, that of each sample taken just before its step.

        Raises
        ------
        DataError, ShapeError, OptionError
            Labels, samples, rate or iteration cannot be.

        Examples
        --------
        >>> import neurograph as ng
        >>> net = ng.Network([2, 1], seed=0)
        >>> errors = net.train([[1.0], [0.0]], [[0.0, 1.0], [1.0, 0.0]], 0.5, 50, explicit=True)
        >>> errors[-1] < errors[0]
        True
        """
        network = cast("Network", self)
        if explicit:
            from neurograph.interpret.tutorial import train

            return train(network, labels, data_set, rate, iteration)
        from neurograph.train.tutorial import train_compiled

        return train_compiled(network, labels, data_set, rate, iteration)

    def train_one_sample(self, label: Any, sample: Any, rate: float) -> float:
        """Walk the nodes for one sample: predict, deltas, gradients, update; return its error."""
        from neurograph.interpret.tutorial import train_one_sample

        return train_one_sample(cast("Network", self), label, sample, rate)

    def calc_delta(self, label: Any) -> float:
        """Set the delta of every node, -dE/d net, for the last prediction; return the error E."""
        from neurograph.interpret.tutorial import calc_delta

        return calc_delta(cast("Network", self), label)

    def calc_gradient(self) -> None:
        """Set the gradient of every weight, dE/d weight, from the deltas."""
        from neurograph.interpret.backward import calc_gradients

        calc_gradients(cast("Network", self))

    def update_weight(self, rate: float) -> None:
        """Take one step of gradient descent: ``weight -= rate * gradient``."""
        from neurograph.interpret.backward import update_weights

        update_weights(cast("Network", self), rate)

    def get_gradient(self, label: Any, sample: Any) -> dict[str, NDArray[Any]]:
        """Set the gradients for one sample and return them by the name of their parameter."""
        from neurograph.interpret.tutorial import get_gradient

        return get_gradient(cast("Network", self), label, sample)

    def dump(self) -> str:
        """Return one line for each node and for the first hundred connections."""
        network = cast("Network", self)
        parts = [layer.dump() for layer in network.layers]
        return "\n".join([*parts, network.connections.dump()])


class PictureVerbs:
    """What a network shows of itself: pictures, maps of weights, a networkx graph."""

    def render(self, path: StrPath | None = None, view: str = "auto", **options: Any) -> Picture:
        """Draw the network; write the picture if a path is given.

        Parameters
        ----------
        path : path, optional
            Ends in .svg, .png, .pdf or .dot.
        view : {"auto", "nodes", "layers", "unrolled", "program"}
            Every node and connection; a box for each layer; one copy for each step of time; the
            compiled operations. ``auto`` draws nodes while they can be told apart, else layers; it
            unrolls if ``steps`` or a ``tree`` is given, and leaves aside what it has no use for.
        show : sequence of str
            ``"weight"`` (the default) or ``"gradient"`` gives width and colour to connections,
            ``"sharing"`` one colour to those that share a weight; ``"output"``, ``"net"`` or
            ``"delta"`` fills nodes with what the last run left; ``"activation"`` and ``"bias"`` are
            written into the nodes.
        numbers : bool
            Write the numbers of what is shown.
        top, threshold : int, float
            Draw only the strongest connections, or those of at least this absolute weight.
        limit : int
            At most so many nodes of a layer (10); an ellipsis says how many more there are.
        bias : {"auto", "nodes", "fold"}
            Whether constants are drawn as nodes.
        expand : str or sequence of str
            Names of composite layers and repeated blocks to be opened; ``"all"`` for all.
        steps : int
            Steps of time in an unrolled picture.
        sample, step : int
            Which sample, and which step of time, values are taken from: 0 and the last.
        tree : Tree or nested tuples
            For a network along trees: the one that the unrolled picture shows.
        title : str

        Returns
        -------
        graphviz.Digraph
            It shows itself in notebooks.

        Raises
        ------
        UnknownNameError
            A view, option, format or layer is not known; the message offers the nearest.
        OptionError
            An option has an impossible value, or the view has no use for it.
        StorageError
            The file cannot be written; nothing is left of it then.

        Warns
        -----
        UserWarning
            Nothing here can draw: the .dot text was written instead.

        Examples
        --------
        >>> import neurograph as ng
        >>> picture = ng.Network([3, 4, 2], seed=1).render(show=("weight", "output"), numbers=True)
        >>> print(picture.source.splitlines()[0])
        digraph network {
        """
        from neurograph.render.draw import render

        return render(cast("Network", self), path, view, **options)

    def heatmap(self, name: str, path: StrPath | None = None, **options: Any) -> Any:
        """Draw a weight array as a map of colours: a layer's kernel, or any parameter.

        Parameters
        ----------
        name : str
            A layer (``"dense"``), or a parameter (``"lstm/recurrent_kernel"``). Kernels of images
            are drawn filter by filter.
        path : path, optional
            Ends in .svg, .png or .pdf.
        gradient : bool
            Show dE/d weight instead.
        limit : int
            At most so many filters (64).

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        MissingDependencyError
            matplotlib, of the extra ``plot``, is not installed.
        UnknownNameError
            No layer or parameter has that name.
        """
        from neurograph.render.maps import heatmap

        return heatmap(cast("Network", self), name, path, **options)

    def to_networkx(self, limit: int = 5_000_000) -> nx.MultiDiGraph[Any]:
        """Return the network as a networkx graph; ``ng.from_networkx`` is the way back.

        Nodes carry ``layer``, ``index``, ``position``, ``activation``, ``aggregation``, ``role``
        and ``initial``; edges ``weight``, ``delay``, ``trainable`` and ``gradient``, and where the
        weight lives in an array ``parameter`` and ``index``. ``graph.graph`` holds ``inputs`` and
        ``outputs``, the names in order, and what else the way back needs.

        Parameters
        ----------
        limit : int
            The most connections that are made into edges, at about 1 kB each.

        Raises
        ------
        GraphError
            There are more connections.

        Examples
        --------
        >>> import networkx as nx
        >>> import neurograph as ng
        >>> graph = ng.Network([2, 3, 1], seed=0).to_networkx()
        >>> graph.number_of_edges(), nx.shortest_path(graph, "(0-0)", "(2-0)")
        (13, ['(0-0)', '(1-0)', '(2-0)'])
        """
        from neurograph.interop.networkx import to_networkx

        return to_networkx(cast("Network", self), limit)


class NetworkVerbs(PictureVerbs, TutorialVerbs):
    """What a network can do, besides being a graph."""

    if not TYPE_CHECKING:  # else no misspelt attribute would be found

        def __getattr__(self, name: str) -> Any:
            """Say that what only models can do needs a model."""
            cure = (
                f"; compile it first: net.compile(optimizer, loss).{name}"
                if name in _OF_A_MODEL
                else ""
            )
            said = f"{type(self).__name__!r} object has no attribute {name!r}{cure}"
            raise AttributeError(said, name=name, obj=self)

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = "mse",
        metrics: Any = (),
        dtype: str = "float32",
        seed: int | None = 0,
        passes: Sequence[str] | None = None,
        threads: int | None = None,
        loss_weights: Any = (),
        truncate: int | None = None,
    ) -> Model:
        """Return the compiled model of the network: it predicts, trains and can be looked into.

        Parameters
        ----------
        optimizer, loss, metrics
            By name, as an object, or (loss, metrics) a function of your own. For several outputs
            lists with one entry for each, or mappings by their names; the entries of metrics may be
            lists. A loss or metric alone is for every output.
        dtype : {"float32", "float64"}
        seed : int or None
            For shuffling and dropout.
        passes : sequence of str or None
            Compiler passes to run; None for all.
        threads : int or None
            Into how many threads a batch is divided; None decides by the network.
        loss_weights : sequence of float or mapping
            For several outputs, in their order or by name.
        truncate : int, optional
            Cut back-propagation through time into pieces of so many steps, in the order in which
            they are calculated: nothing comes back from a piece to the one before it.

        Raises
        ------
        UnknownNameError, OptionError
            For a name that is not known (with the nearest match) or an option that cannot be.
        """
        from neurograph.train.model import compile_network

        return compile_network(
            cast("Network", self),
            optimizer,
            loss,
            metrics,
            dtype,
            seed,
            passes,
            threads,
            loss_weights,
            truncate,
        )

    def reset_states(self) -> None:
        """Let all stateful layers begin their next batch anew; see ``Layer.reset_states``."""
        reset_states(stateful_layers(cast("Network", self)))

    def get_weights(self) -> list[NDArray[Any]]:
        """Return copies of all weights, in Keras's order and layouts, hand-made ones last."""
        from neurograph.layers.weights import get_weights

        return get_weights(cast("Network", self))

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Set all weights, given in the order of ``get_weights``.

        Raises
        ------
        ShapeError, DataError
            If their number, a shape or a value cannot be; nothing is changed then.
        """
        from neurograph.layers.weights import set_weights

        set_weights(cast("Network", self), weights)

    def summary(self, *, show: bool = True) -> Summary:
        """Print and return a table: layer, output shape, parameters, connections, sources.

        Parameters
        ----------
        show : bool
            Whether to print it; ``str()`` of what is returned is the same text.
        """
        from neurograph.inspect.summary import Summary

        summary = Summary.of(cast("Network", self))
        if show:
            print(summary)
        return summary

    def trace(self, x: Any, y: Any = None, *, format: str = "text", limit: int = 300) -> str:
        """Return the whole forward and backward pass for one sample as arithmetic.

        Parameters
        ----------
        x : array-like
            One sample, without a batch.
        y : array-like, optional
            Its label; with it the error, every delta and every gradient are written too.
        format : {"text", "latex"}
        limit : int
            The most connections that are written out.

        Raises
        ------
        GraphError, DataError, UnknownNameError
            The network is too large; `x` is a batch; the format is not known.
        """
        from neurograph.inspect.trace import trace

        return trace(cast("Network", self), x, y, format=format, limit=limit)

    def saliency(self, x: Any, output: Any = None) -> Any:
        """Return d output / d input, in the shape of ``x``: how much every input moves an output.

        Parameters
        ----------
        x : array-like, one sample or a batch, or a list of them for several inputs
        output : int, Node or None
            Which node of the first output; None: for each sample the one with the largest value.

        Raises
        ------
        GraphError, OptionError, ShapeError, DataError
            An input takes indices; there is no such output; the inputs do not fit.
        """
        from neurograph.inspect.saliency import saliency

        return saliency(cast("Network", self), x, output)

    def strongest_paths(
        self, source: Node | str, target: Node | str, k: int = 5, *, limit: int = 10_000_000
    ) -> list[Path]:
        """Return the k paths between two nodes with the largest products of absolute weights.

        Connections with a delay are left out. ``path.nodes``, ``path.weights`` and
        ``path.strength`` say more; ``print(path)`` shows it.

        Raises
        ------
        GraphError, OptionError, UnknownNameError
            The network has more than `limit` connections; k is not possible; no such node.
        """
        from neurograph.inspect.paths import strongest_paths

        return strongest_paths(cast("Network", self), source, target, k, limit=limit)

    # files ------------------------------------------------------------------------------------

    def save(self, path: StrPath) -> None:
        """Save structure and weights in one ``.safetensors`` file, there whole or not at all.

        ``ng.load(path)`` gives the network back, bit for bit.

        Raises
        ------
        StorageError
            The file cannot be written; what stood under `path` is as it was.
        DataError, GraphError
            A weight is not finite, or the network holds something that no file can name.
        """
        from neurograph.storage.file import save

        save(path, cast("Network", self))

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how ``copy.deepcopy`` and ``pickle`` make an equal network, not compiled yet."""
        from neurograph.storage.copying import recipe_of_network

        return recipe_of_network(cast("Network", self))

    def load_weights(self, path: StrPath) -> None:
        """Take over the weights of a file, by name: .safetensors, .npz, JSON or text.

        Raises
        ------
        StorageError, FormatError, UnknownNameError, ShapeError, DataError
            The file is missing or damaged, or does not fit; the network is then as it was.
        """
        from neurograph.storage.loading import load_weights

        load_weights(cast("Network", self), path)

    def to_text(self, path: StrPath | None = None) -> str:
        """Return all weights as readable text, exact to the bit; write it to `path` if given."""
        from neurograph.storage.text import to_text

        return to_text(cast("Network", self), path)

    def from_text(self, text_or_path: StrPath) -> None:
        """Take over weights from what ``to_text`` returned or wrote; see ``load_weights``."""
        from neurograph.storage.loading import from_text

        from_text(cast("Network", self), text_or_path)

    def to_json(self, path: StrPath | None = None) -> str:
        """Return structure and weights as JSON for ``ng.from_json``; write it if given a path."""
        from neurograph.storage.document import to_json

        return to_json(cast("Network", self), path)

    def save_npz(self, path: StrPath) -> None:
        """Save the weights for ``numpy.load``, one array a parameter, under its name."""
        from neurograph.storage.npz import save_npz

        save_npz(cast("Network", self), path)

    def load_npz(self, path: StrPath) -> None:
        """Take over the weights of a ``.npz`` file, by name; see ``load_weights``."""
        from neurograph.storage.loading import load_npz

        load_npz(cast("Network", self), path)


def recipe(part: Node | Layer | Connection) -> tuple[Any, ...]:
    """Return how ``copy.deepcopy`` and ``pickle`` find a part of a network in its copy."""
    from neurograph.graph.layer import Layer
    from neurograph.graph.node import Node
    from neurograph.storage import copying

    if isinstance(part, Layer):
        return copying.recipe_of_layer(part)
    if isinstance(part, Node):
        return copying.recipe_of_node(part)
    return copying.recipe_of_connection(part)


def explain_node(node: Node, sample: int, step: int, limit: int) -> str:
    """Return the arithmetic of a node with its numbers."""
    from neurograph.inspect.explain import explain_node as explain

    return explain(node, sample, step, limit)
