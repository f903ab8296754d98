"""TensorBoard: the numbers and weights of a training as event files, written by tensorboardX."""

from __future__ import annotations

import os
from typing import Any

from neurograph.errors import MissingDependencyError, OptionError
from neurograph.options import path_text, whole
from neurograph.storage.atomic import StrPath
from neurograph.train.callback import Callback, Logs


class TensorBoard(Callback):
    """Write event files for TensorBoard: ``tensorboard --logdir logs``.

    Folders and tags are Keras's: ``train`` and ``validation`` with ``epoch_loss`` and so on over
    the epochs, ``batch_loss`` over the batches, ``epoch_learning_rate``, and the parameters as
    histograms.

    Parameters
    ----------
    log_dir : str or path
    histogram_freq : int
        Write the weights' distribution after every so many epochs; 0 never.
    update_freq : "epoch", "batch" or int
        Write the running means of loss and metrics also after every (so many) batches.

    Raises
    ------
    MissingDependencyError
        tensorboardX is not installed.
    OptionError
        An option is not possible.
    """

    def __init__(
        self, log_dir: StrPath = "logs", histogram_freq: int = 0, update_freq: str | int = "epoch"
    ) -> None:
        self.log_dir = path_text("TensorBoard: log_dir", log_dir)
        self.histogram_freq = whole("TensorBoard: histogram_freq", histogram_freq)
        self.every = 0
        if update_freq == "batch":
            self.every = 1
        elif isinstance(update_freq, str) and update_freq != "epoch":
            raise OptionError(
                f"TensorBoard: update_freq is {update_freq!r}; choose 'epoch', 'batch' or a number"
            )
        elif update_freq != "epoch":
            self.every = whole("TensorBoard: update_freq", update_freq, least=1)
        if not self.every:  # nobody need gather the numbers of every batch
            self.on_train_batch_end = super().on_train_batch_end  # type: ignore[method-assign]
        self._writers: dict[str, Any] = {}
        try:
            import tensorboardX
        except ImportError as error:
            raise MissingDependencyError(
                "TensorBoard needs tensorboardX: pip install 'neurograph[tensorboard]'"
            ) from error
        self._make_writer = tensorboardX.SummaryWriter

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            purge = self.params["initial_epoch"] if self.params["resumed"] else None
            folder = os.path.join(self.log_dir, part)
            self._writers[part] = self._make_writer(folder, purge_step=purge)
        return self._writers[part]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the first file."""
        self._batches = self.model.update.step
        self._writer("train")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write the running means, if so many batches have gone by."""
        self._batches += 1
        if self._batches % self.every == 0:
            for name, value in (logs or {}).items():
                self._writer("train").add_scalar(f"batch_{name}", value, self._batches)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write loss and metrics, the learning rate and perhaps the weights."""
        for name, value in (logs or {}).items():
            part = "validation" if name.startswith("val_") else "train"
            self._writer(part).add_scalar(f"epoch_{name.removeprefix('val_')}", value, epoch)
        train = self._writer("train")
        if "learning_rate" not in (logs or {}):
            rate = self.model.optimizer.rate(self.model.update.step)
            train.add_scalar("epoch_learning_rate", rate, epoch)
        if self.histogram_freq and (epoch + 1) % self.histogram_freq == 0:
            for name, parameter in self.model.network.parameters.items():
                train.add_histogram(name, parameter.value.astype("float64").ravel(), epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
