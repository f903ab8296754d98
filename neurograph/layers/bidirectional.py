"""A recurrent layer in both directions of time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from neurograph.errors import GraphError, OptionError
from neurograph.graph.bundles import OneToOneConnections
from neurograph.graph.layer import Layer
from neurograph.graph.masks import mask_of
from neurograph.layers.recipe import Recipe, put_under
from neurograph.layers.recurrent import Recurrent

MERGE_MODES = {"concat": "sum", "sum": "sum", "ave": "mean", "mul": "product"}


@dataclass(frozen=True, eq=False)
class Bidirectional(Recipe):
    """A recurrent layer twice, forwards and backwards in time, each with weights of its own.

    Schuster & Paliwal (1997). The second copy has delays of -1, so that at each step one knows the
    past, the other the future.

    Parameters
    ----------
    layer : SimpleRNN, LSTM or GRU
    merge_mode : {"concat", "sum", "ave", "mul", None}
        How the two are joined; None returns both.
    backward_layer : SimpleRNN, LSTM or GRU, optional
        Another layer for the way back; it has ``go_backwards=True``.

    Notes
    -----
    Parts: ``forward`` and ``backward``, each with its own parts:
    ``net.layer("bidirectional").gate("backward").gate("forget")``. Weights: those of the forward
    layer, then those of the backward one.

    Under a mask the layer is 0 at the steps that do not count, while the part ``hidden`` of each
    way repeats its state there.

    Examples
    --------
    >>> from neurograph.layers.core import Input
    >>> from neurograph.layers.recurrent_cells import LSTM
    >>> layer = Bidirectional(LSTM(5, return_sequences=True))(Input((None, 3)))
    >>> layer.shape, layer.gate("backward").gate("keep")[0].upstream[1].delay
    ((10,), -1)
    """

    layer: Any
    merge_mode: str | None = "concat"
    backward_layer: Any = None
    _ways: dict[str, Recurrent] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.merge_mode is not None and self.merge_mode not in MERGE_MODES:
            modes = ", ".join(map(repr, MERGE_MODES))
            raise OptionError(
                f"{self.label}: merge_mode is {self.merge_mode!r}; choose one of {modes} and None"
            )
        ahead = self._recurrent(self.layer)
        back = replace(ahead, go_backwards=not ahead.go_backwards)
        if self.backward_layer is not None:
            back = self._recurrent(self.backward_layer)
        if back.go_backwards == ahead.go_backwards:
            raise OptionError(
                f"{self.label}: both layers go the same way; give one of them go_backwards=True"
            )
        for option in ("units", "return_sequences", "return_state", "stateful"):
            if getattr(back, option) != getattr(ahead, option):
                raise OptionError(
                    f"{self.label}: {option} is {getattr(ahead, option)} one way and "
                    f"{getattr(back, option)} the other; it must be the same both ways"
                )
        for way, recipe in (("forward", ahead), ("backward", back)):
            trainable = self.trainable and recipe.trainable
            self._ways[way] = replace(recipe, name="", trainable=trainable)

    def _recurrent(self, recipe: Any) -> Recurrent:
        if not isinstance(recipe, Recurrent):
            raise GraphError(
                f"{self.label}: {type(recipe).__name__} is not a recurrent layer; give "
                f"ng.LSTM(8) or the like"
            )
        return recipe

    def options(self) -> dict[str, Any]:
        """Return the options as plain data, for summaries and files."""
        ways = {
            way: {"recipe": type(recipe).__name__, **recipe.options()}
            for way, recipe in self._ways.items()
        }
        return {"merge_mode": self.merge_mode, **ways}

    def __call__(self, source: Any, initial_state: Any = None, mask: Layer | None = None) -> Any:
        """Return the joined layer, or both with ``merge_mode=None``; then their final states.

        Parameters
        ----------
        source : Layer
            A sequence of steps with features; an image (steps, features) is folded into one.
        initial_state : list of Layer or array, optional
            The states of the forward layer, then those of the backward one.
        mask : Layer, optional
            A sequence of one node, 1 or 0; if absent the mask of ``source``, if that has one.
        """
        source = self.one(source)
        given = self._halves(initial_state)
        both, finals = [], []
        for way, recipe in self._ways.items():
            made, states = recipe.run(source, given.get(way), mask, aligned=True)
            both.append(made)
            finals += states
        if self.merge_mode is None:
            self._name(both)
            return [*both, *finals]
        root = self._join(both)
        valid = mask_of(source) if mask is None else mask
        if root.sequence and valid is not None:
            root.parts["mask"] = valid
        return [root, *finals] if finals else root

    def _halves(self, given: Any) -> dict[str, list[Any]]:
        if given is None:
            return {}
        states = list(given) if isinstance(given, (list, tuple)) else [given]
        needed = len(self._ways["forward"].states)
        if len(states) != 2 * needed:
            raise GraphError(
                f"{self.label}: got {len(states)} initial states; give {2 * needed}, those of the "
                f"forward layer and those of the backward one"
            )
        return {"forward": states[:needed], "backward": states[needed:]}

    def _join(self, both: list[Layer]) -> Layer:
        units, beside = both[0].size, self.merge_mode == "concat"
        assert self.merge_mode is not None
        root = self.make(
            (2 * units if beside else units,), both, aggregation=MERGE_MODES[self.merge_mode]
        )
        for number, (way, made) in enumerate(zip(self._ways, both, strict=True)):
            put_under(root, way, made)
            OneToOneConnections(made, root, target_start=(number * units if beside else 0,))
        return root

    def _name(self, both: list[Layer]) -> None:
        """Name two layers that nothing joins."""
        name = self.next_name()
        for way, made in zip(self._ways, both, strict=True):
            made.kind = f"{way}_{made.kind}"
            made.name = f"{name}_{way}" if name else ""
