"""The verbs of a model that other files carry out: each is imported when it is first used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from neurograph.storage.atomic import StrPath
    from neurograph.train.batches import Augment
    from neurograph.train.callback import Callback
    from neurograph.train.history import History
    from neurograph.train.model import Model


class ModelVerbs:
    """Training a model, and keeping it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how ``copy.deepcopy`` and ``pickle`` make an equal model of an equal network."""
        from neurograph.train.copying import recipe_of_model

        return recipe_of_model(cast("Model", self))

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = 32,
        epochs: int = 1,
        validation_data: Any = None,
        validation_split: float = 0.0,
        callbacks: Callback | Sequence[Callback] = (),
        verbose: int | str = 1,
        shuffle: bool = True,
        initial_epoch: int = 0,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        validation_freq: int | Iterable[int] = 1,
        accumulate: int = 1,
        augment: Augment | None = None,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        resume: StrPath | bool | None = None,
    ) -> History:
        r"""Train the network; return the history, which is ``model.history`` too.

        Parameters
        ----------
        x, y : array-like, (samples, [steps,] \*shape)
            Lists, or mappings by name, for several inputs and outputs. Or x alone: an iterable, an
            iterator or a function that returns one, of batches ``(x, y)`` or
            ``(x, y, sample_weight)``.
        batch_size : int
        epochs : int
            The number of the last epoch; with `initial_epoch` so many fewer are done.
        validation_data : (x, y), (x, y, sample_weight) or iterable of batches
        validation_split : float
            This share of the samples, the last ones, is kept for validation instead.
        callbacks : sequence of Callback
        verbose : {1, 0, 2}
            1 a line that fills on a terminal and plain lines elsewhere, 2 plain lines, 0 nothing.
        shuffle : bool
            Whether each epoch takes the samples in an order of its own.
        initial_epoch : int
        sample_weight : array-like, (samples,) or (samples, steps)
            For several outputs also a list with one for each (None: all 1), or a mapping by their
            names.
        class_weight : mapping of class number to weight
        validation_freq : int or iterable of int
            Validate after every so many epochs, or after those with these numbers (from 1).
        accumulate : int
            Update the weights once for so many batches, by their mean gradient.
        augment : function ``(x, generator) -> x``
            Changes the inputs of every batch.
        steps_per_epoch, validation_steps : int
            Batches of an epoch, or of a validation, where the data are an iterable.
        resume : path or True
            Go on from a checkpoint, or from the furthest one in a folder; begin, if there is none.
            True: go on with this model, which was stopped or loaded. The weights become those of
            a training that never stopped, bit for bit.

        Raises
        ------
        ShapeError, DataError, OptionError, UnknownNameError
            Something cannot be; no weight has changed then.

        Warns
        -----
        TrainingWarning
            If the loss stops being finite, or an iterator ends too early.

        Examples
        --------
        >>> import neurograph as ng
        >>> model = ng.Network([2, 3, 1], seed=0).compile("sgd(1.0)", loss="mse", seed=0)
        >>> x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        >>> history = model.fit(x, y, batch_size=4, epochs=3, verbose=0)
        >>> len(history.history["loss"]), model.history is history
        (3, True)
        """
        from neurograph.train.fit import fit

        given = {name: value for name, value in locals().items() if name not in ("self", "fit")}
        return fit(cast("Model", self), **given)

    def save(self, path: StrPath) -> None:
        """Save everything in one ``.safetensors`` file, there whole or not at all.

        It holds network, weights, optimizer and its state, schedule position, random generator,
        losses, metrics, history and the place in a training; ``ng.load(path)`` gives it back.
        Functions of your own are named in it, and have to be given again: ``ng.resume``.

        Raises
        ------
        StorageError
            The file cannot be written; what stood under `path` is as it was.
        DataError, GraphError
            A weight is not finite, or the network holds something that no file can name.
        """
        from neurograph.train.checkpoint import save_model

        save_model(cast("Model", self), path)

    def export(self, path: StrPath, steps: int | None = None) -> None:
        """Write the network for other programs to run, there whole or not at all.

        Parameters
        ----------
        path : path
            Ends in .py: a script with a function ``predict(x)`` that needs NumPy alone; small
            weights are in it, larger ones in a ``.npz`` beside it. Ends in .onnx: float32, with
            inputs and outputs of the network's shapes, channels last; for networks of library
            layers. It needs the extra ``onnx``.
        steps : int, optional
            For scripts of networks that take sequences of any length: the one they are for.

        Raises
        ------
        UnknownNameError, OptionError
            No format has that ending; ``steps`` is missing.
        GraphError
            Something has no counterpart in the format; it is named, and nothing is written.
        MissingDependencyError, StorageError
            A package is not installed; the file cannot be written.

        Examples
        --------
        >>> import neurograph as ng
        >>> ng.Network([2, 1]).compile().export("net.docx")
        Traceback (most recent call last):
        neurograph.errors.UnknownNameError: unknown format '.docx' of 'net.docx': did you mean ...
        """
        from neurograph.train.exports import export

        export(cast("Model", self), path, steps)
