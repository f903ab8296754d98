"""Every data set by its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from neurograph.datasets import builtin, public
from neurograph.datasets.dataset import Dataset
from neurograph.errors import OptionError, unknown

_SHIPPED: dict[str, Callable[..., Dataset]] = {
    "digits": builtin.digits,
    "iris": builtin.iris,
    "people": builtin.people,
    "sunspots": builtin.sunspots,
    "airline": builtin.airline,
    "prices": builtin.prices,
    "names": builtin.names,
}
_PUBLIC: dict[str, Callable[..., Dataset]] = {
    "mnist": public.mnist,
    "fashion_mnist": public.fashion_mnist,
    "cifar10": public.cifar10,
}


def available() -> dict[str, str]:
    """Return the name of every data set and one line about it.

    >>> available()["iris"]
    "Fisher's 150 irises: four lengths in cm, three species."
    """
    lines = {}
    for name, make in (_SHIPPED | _PUBLIC).items():
        first = (make.__doc__ or "").partition("\n")[0]
        lines[name] = first.removeprefix("Return ")
        lines[name] = lines[name][:1].upper() + lines[name][1:]
    return lines


def load(name: str, folder: str | os.PathLike[str] | None = None, **options: Any) -> Dataset:
    """Return a data set by its name.

    Parameters
    ----------
    name : str
        One of ``available()``; capitals and hyphens do not matter.
    folder : path, optional
        Where the files of MNIST, Fashion-MNIST or CIFAR-10 lie.
    **options
        What the function of that name takes, such as ``window=`` for ``sunspots``.

    Examples
    --------
    >>> load("sunspots", window=20).train.x.shape
    (229, 20, 1)
    >>> load("fashon-mnist")
    Traceback (most recent call last):
    neurograph.errors.UnknownNameError: unknown data set 'fashon-mnist': did you mean \
'fashion_mnist'? Known: digits, iris, people, sunspots, airline, prices, names, mnist, \
fashion_mnist, cifar10
    """
    known = _SHIPPED | _PUBLIC
    key = str(name).lower().replace("-", "_")
    if key not in known:
        raise unknown("data set", name, known)
    if folder is not None:
        if key in _SHIPPED:
            raise OptionError(f"the data set {key!r} ships with neurograph: it takes no folder")
        options["folder"] = folder
    try:
        return known[key](**options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise OptionError(f"load({key!r}) cannot be called so: {error}") from error
