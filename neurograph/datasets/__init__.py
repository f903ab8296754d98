"""Data: sets that ship, sets to download, readers, augmentation, scaling and encodings."""

from __future__ import annotations

from neurograph.datasets.augment import Augmentation, Flip, RandomCrop, Rescale
from neurograph.datasets.builtin import airline, digits, iris, names, people, prices, sunspots
from neurograph.datasets.catalogue import available, load
from neurograph.datasets.cifar import read_cifar
from neurograph.datasets.dataset import Dataset, Part
from neurograph.datasets.encoding import CharacterEncoding, sample_classes, to_categorical
from neurograph.datasets.fetch import cache_folder
from neurograph.datasets.idx import read_idx
from neurograph.datasets.images import Images, read_images
from neurograph.datasets.moves import Rotate, Shift, Zoom
from neurograph.datasets.picture import prepare_picture
from neurograph.datasets.public import cifar10, fashion_mnist, mnist
from neurograph.datasets.scaling import MinMaxScaler, Scaler, Standardizer
from neurograph.datasets.sequences import pad_sequences
from neurograph.datasets.series import from_series, windows
from neurograph.datasets.split import split
from neurograph.datasets.stock import read_stock
from neurograph.datasets.table import Table, read_csv
from neurograph.datasets.text import read_trees

__all__ = [
    "Augmentation",
    "CharacterEncoding",
    "Dataset",
    "Flip",
    "Images",
    "MinMaxScaler",
    "Part",
    "RandomCrop",
    "Rescale",
    "Rotate",
    "Scaler",
    "Shift",
    "Standardizer",
    "Table",
    "Zoom",
    "airline",
    "available",
    "cache_folder",
    "cifar10",
    "digits",
    "fashion_mnist",
    "from_series",
    "iris",
    "load",
    "mnist",
    "names",
    "pad_sequences",
    "people",
    "prepare_picture",
    "prices",
    "read_cifar",
    "read_csv",
    "read_idx",
    "read_images",
    "read_stock",
    "read_trees",
    "sample_classes",
    "split",
    "sunspots",
    "to_categorical",
    "windows",
]
