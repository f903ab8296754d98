"""Loading: a network or a model from a file, or weights into a network that is there."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from neurograph.errors import FormatError
from neurograph.graph.network import Network
from neurograph.storage import document, file, npz, text
from neurograph.storage.atomic import StrPath
from neurograph.storage.tensors import MOST_HEADER, checked_path
from neurograph.storage.weights import named_parameters, put_weights

Array = NDArray[Any]
MODEL = "model"


def load(path: StrPath) -> Any:
    """Load what ``net.save`` or ``model.save`` wrote.

    Parameters
    ----------
    path : str or path
        A ``.safetensors`` file of neurograph.

    Returns
    -------
    Network or Model
        A model if the file holds one: compiled, with the state of its optimizer, its history and
        its random generator.

    Raises
    ------
    StorageError
        There is no such file, or it cannot be read.
    FormatError
        The file is truncated, damaged, foreign, or made by a newer version.
    UnknownNameError
        It has an activation of your own that is not registered.

    Notes
    -----
    Nothing in the file is executed, and every number is checked against a checksum.

    Examples
    --------
    >>> load("nowhere.safetensors")
    Traceback (most recent call last):
    neurograph.errors.StorageError: cannot load 'nowhere.safetensors': there is no such file
    """
    loaded = file.load(path)
    if MODEL not in loaded.extras:
        return loaded.network
    return import_module("neurograph.train.restore").restore_model(loaded)


def load_weights(network: Network, path: StrPath) -> None:
    """Give a network the weights of a file, by name.

    Parameters
    ----------
    network : Network
    path : str or path
        A ``.safetensors`` file (of neurograph, or any whose tensors have the parameters' names),
        ``.npz``, JSON or text, as ``save``, ``save_npz``, ``to_json`` and ``to_text`` write them.
        The kind is told by the content.

    Raises
    ------
    StorageError, FormatError
        The file cannot be read, or is damaged.
    UnknownNameError, ShapeError, DataError
        A name is missing or too many, a shape differs, or a weight is not finite; the network is
        then as it was.
    """
    put_weights(network, _read_weights(network, path), str(path))


def load_npz(network: Network, path: StrPath) -> None:
    """Give a network the weights of a ``.npz`` file, by name; see ``load_weights``."""
    put_weights(network, npz.read_npz(path, _sizes(network)), str(path))


def from_text(network: Network, text_or_path: StrPath) -> None:
    r"""Give a network the weights of a text that ``to_text`` wrote, or of a file with one.

    Raises
    ------
    StorageError, FormatError, UnknownNameError, ShapeError, DataError
        As ``load_weights``; messages name the line.

    Examples
    --------
    >>> net = Network([1, 1])
    >>> words = ['parameter "layer_1/kernel" shape (1, 1) float64', "0.5"]
    >>> words += ['parameter "layer_1/bias" shape (1) float64', "-1"]
    >>> from_text(net, "\n".join(words))
    >>> net.find("(0-0) -> (1-0)").weight
    0.5
    """
    if isinstance(text_or_path, str) and "\n" in text_or_path:
        put_weights(network, text.read_text(text_or_path), "from_text")
    else:
        put_weights(network, _text_file(text_or_path), str(text_or_path))


def _read_weights(network: Network, path: StrPath) -> dict[str, Array]:
    name = checked_path(path)
    with open(name, "rb") as opened:
        start = opened.read(64)
    header = int.from_bytes(start[:8], "little")
    if header <= MOST_HEADER and start[8:9] == b"{":
        return file.read_weights(name)
    if start.startswith(b"PK"):
        return npz.read_npz(name, _sizes(network))
    if start.lstrip().startswith(b"{"):
        return document.read_weights(name)
    if start.lstrip().startswith((b"#", b"parameter ")):
        return _text_file(name)
    return file.read_weights(name)


def _text_file(path: StrPath) -> dict[str, Array]:
    name = checked_path(path)
    content = document.read_utf8(name)
    try:
        return text.read_text(content)
    except FormatError as error:
        raise FormatError(f"cannot load {name!r}: {error}") from error


def _sizes(network: Network) -> dict[str, int]:
    return {name: parameter.size for name, parameter in named_parameters(network).items()}
