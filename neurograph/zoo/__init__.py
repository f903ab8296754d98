"""The zoo: known architectures, built from the public layers.

Each name is a function ``(input_shape=…, classes=…, seed=None) -> Network``. Those ending in
``_cifar`` are the versions for images of 32 x 32. Where a definition leaves a choice, it is that of
torchvision, so that parameters can be counted and compared.

>>> from neurograph import zoo
>>> sum(each.size for each in zoo.lenet5().parameters.values())
61706
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from neurograph.errors import unknown
from neurograph.graph.network import Network

_Row = tuple[str, str, dict[str, Any]]
_TABLE: dict[str, _Row] = {
    "people": ("plain", "people", {}),
    "mlp": ("plain", "mlp", {}),
    "fashion_mlp": ("plain", "fashion_mlp", {}),
    "cbapd": ("plain", "cbapd", {}),
    "lenet5": ("lenet", "lenet5", {}),
    "lenet5_cifar": ("lenet", "lenet5", {"input_shape": (32, 32, 3)}),
    "alexnet": ("alexnets", "alexnet", {}),
    "alexnet_cifar": ("alexnets", "alexnet_cifar", {}),
    **{f"vgg{depth}": ("vgg", "vgg", {"depth": depth}) for depth in (11, 13, 16, 19)},
    **{
        f"vgg{depth}_cifar": ("vgg", "vgg_cifar", {"depth": depth}) for depth in (8, 11, 13, 16, 19)
    },
    "googlenet": ("inception", "googlenet", {}),
    "googlenet_cifar": ("inception", "googlenet_cifar", {}),
    **{f"resnet{depth}": ("resnet", "resnet", {"depth": depth}) for depth in (18, 34, 50, 101)},
    **{
        f"resnet{depth}_cifar": ("resnet", "resnet_cifar", {"depth": depth})
        for depth in (18, 34, 50, 101, 20, 32, 44, 56)
    },
}

NAMES = tuple(_TABLE)


def get(name: str) -> Callable[..., Network]:
    """Return the function that builds an architecture.

    Raises
    ------
    UnknownNameError
        If the zoo has no such name; the message offers the nearest.

    >>> get("resnet18_cifar")(classes=100).outputs[0].shape
    (100,)
    """
    if name not in _TABLE:
        raise unknown("network of the zoo", name, NAMES)
    module, function, options = _TABLE[name]
    found = getattr(import_module(f"neurograph.zoo.{module}"), function)
    return partial(found, **options) if options else found


def __getattr__(name: str) -> Any:
    """Return the function of an architecture, as in ``ng.zoo.vgg16()``."""
    if name not in _TABLE:
        raise AttributeError(f"the zoo has no {name!r}; it has {', '.join(NAMES)}")
    return get(name)


def __dir__() -> list[str]:
    return sorted([*NAMES, "NAMES", "get"])
