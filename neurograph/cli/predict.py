"""``neurograph predict``: what a saved model says to a picture, rows of numbers, or a sample."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from neurograph.cli.blocks import as_blocks
from neurograph.cli.data import add_data, data_of, fitted, needed
from neurograph.cli.networks import add_network, model_of, warn_if_new
from neurograph.cli.runs import Settings, read_settings
from neurograph.datasets import Scaler, prepare_picture, read_csv
from neurograph.datasets.picture import STYLES
from neurograph.errors import DataError, FormatError, OptionError, ShapeError, StorageError
from neurograph.options import whole
from neurograph.storage.atomic import atomic_write
from neurograph.train.model import Model

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")
TABLES = (".csv", ".csv.gz", ".npy")
BAR = 24  # characters of a probability of 1
MOST_ROWS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_network(parser)
    parser.add_argument("files", nargs="*", metavar="FILE", help="a picture, a .csv or a .npy")
    parser.add_argument("--sample", type=int, metavar="N", help="or sample N of the held-out data")
    add_data(parser, "whose samples; left out, what it was trained on")
    parser.add_argument("--like", choices=tuple(STYLES), help="prepare pictures as those of")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="show N classes (5)")
    parser.add_argument("--out", metavar="FILE", help="write all outputs as .csv or .npy")


def run(arguments: argparse.Namespace) -> int:
    """Print what the model was fed, and what it says."""
    top = whole("--top", arguments.top, least=1)
    if arguments.out and not arguments.out.endswith((".csv", ".npy")):
        raise FormatError(f"{arguments.out}: outputs are written as .csv or .npy")
    settings = read_settings(arguments.network)
    model = model_of(arguments.network)
    if len(model.network.inputs) != 1 or len(model.network.outputs) != 1:
        raise OptionError("predict is for networks with one input and one output")
    outputs = []
    if arguments.sample is not None:
        data = fitted(needed(data_of(arguments, settings), arguments.network), model.network)
        if not 0 <= arguments.sample < len(data.x_test):
            raise OptionError(
                f"there is no sample {arguments.sample}: {data.name} holds out "
                f"{len(data.x_test):,}, counted from 0"
            )
        x = data.x_test[arguments.sample : arguments.sample + 1]
        label = data.y_test[arguments.sample]
        print(f"sample {arguments.sample} of {data.name}: {_named(label, settings)}")
        outputs.append(_answer(model, x, settings, top))
    elif not arguments.files:
        raise OptionError("give a picture, a .csv or a .npy file, or --sample N")
    for file in arguments.files:
        x = _samples(file, model, settings, arguments.like)
        print(file)
        outputs.append(_answer(model, x, settings, top))
    warn_if_new(arguments.network)
    if arguments.out:
        _write(arguments.out, np.concatenate(outputs))
    return 0


def _samples(file: str, model: Model, settings: Settings | None, like: str | None) -> Any:
    """Return what a file holds as the network wants it, (rows, *shape)."""
    picture = Path(file).suffix.lower() in PICTURES
    if not picture and not file.endswith(TABLES):
        raise FormatError(f"{file}: predict reads {', '.join(PICTURES)}, .csv and .npy")
    if not Path(file).is_file():
        raise StorageError(f"{file}: there is no such file")
    return _picture(file, model, settings, like) if picture else _numbers(file, model, settings)


def _picture(file: str, model: Model, settings: Settings | None, like: str | None) -> Any:
    """Return a picture as the network wants it, (1, *shape)."""
    shape = model.network.inputs[0].shape
    style = like or (settings.data if settings and settings.data in STYLES else None)
    if style is None:
        fitting = [
            name for name, each in STYLES.items() if math.prod(each.size) == math.prod(shape)
        ]
        if not fitting:
            raise ShapeError(
                f"{file}: the network takes {shape}, which is the size of no known pictures; "
                f"prepare it with ng.datasets.prepare_picture and give a .npy file"
            )
        style = fitting[0]
    picture = prepare_picture(file, like=style)
    if picture.size != math.prod(shape):
        raise ShapeError(
            f"{file}: prepared as pictures of {style} it has shape {picture.shape}, but the "
            f"network takes {shape}"
        )
    return picture.reshape(1, *shape)


def _numbers(file: str, model: Model, settings: Settings | None) -> Any:
    """Return the rows of a file as the network wants them, (rows, *shape)."""
    source = model.network.inputs[0]
    if file.endswith(".npy"):
        try:
            rows = np.load(file, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise FormatError(f"{file}: this is no .npy file with an array of numbers") from error
    else:
        rows = read_csv(file).matrix()
    if rows.dtype.kind not in "fiub":
        raise DataError(f"{file}: it holds {rows.dtype}, expected numbers")
    if not source.layer.sequence:
        _check_rows(rows, source.shape, file)
    if settings is not None and settings.scaler is not None:
        rows = Scaler.from_dict(settings.scaler).transform(rows)
    if source.layer.sequence:
        return rows.reshape(-1, *rows.shape[-1 - len(source.shape) :])
    return rows.reshape(-1, *source.shape)


def _check_rows(rows: Any, shape: tuple[int, ...], file: str) -> None:
    size = math.prod(shape)
    if rows.size % size or (rows.ndim != 1 and math.prod(rows.shape[1:]) != size):
        raise ShapeError(
            f"{file}: it holds an array of shape {rows.shape}, the network takes rows of {size} "
            f"numbers"
        )


def _answer(model: Model, x: Any, settings: Settings | None, top: int) -> Any:
    """Print the answer to every row of x; return the outputs."""
    outputs = model.predict(x)
    names = settings.class_names if settings is not None else ()
    values = outputs.reshape(len(outputs), -1)
    classes = values.shape[1] > 1 and bool(np.allclose(values.sum(axis=1), 1, atol=1e-3))
    if len(x) > 1:
        _print_rows(values, names, classes)
        return outputs
    picture = _as_picture(x[0])
    if picture is not None:
        print("\n".join(f"  |{line}|" for line in as_blocks(picture)))
    if not classes:
        print("  " + ", ".join(f"{_unscaled(value, settings):.6g}" for value in values[0]))
        return outputs
    order = np.argsort(-values[0], kind="stable")[:top]
    width = max(len(_name(int(k), names)) for k in order)
    for k in order:
        bar = "#" * round(BAR * float(values[0, k]))
        print(f"  {_name(int(k), names).rjust(width)}  {values[0, k]:6.1%}  {bar}".rstrip())
    return outputs


def _print_rows(values: Any, names: tuple[str, ...], classes: bool) -> None:
    for number, row in enumerate(values[:MOST_ROWS]):
        if classes:
            best = int(row.argmax())
            print(f"  row {number}: {_name(best, names)} ({row[best]:.1%})")
        else:
            print(f"  row {number}: " + ", ".join(f"{value:.6g}" for value in row))
    if len(values) > MOST_ROWS:
        print(f"  … {len(values) - MOST_ROWS:,} more; --out FILE.csv writes them all")


def _as_picture(sample: Any) -> Any:
    """Return what can be shown of a sample: its picture, None if it is none."""
    sides = {64: (8, 8), 784: (28, 28)}
    if sample.ndim == 1 and sample.size in sides:
        sample = sample.reshape(sides[sample.size])
    fits = sample.ndim in (2, 3) and min(sample.shape[:2]) > 3
    return sample if fits and sample.min() >= 0 and sample.max() <= 1 else None


def _named(label: Any, settings: Settings | None) -> str:
    names = settings.class_names if settings is not None else ()
    if label.size > 1:
        return f"it is {_name(int(label.argmax()), names)}"
    return f"the target is {_unscaled(float(label.reshape(-1)[0]), settings):.6g}"


def _unscaled(value: float, settings: Settings | None) -> float:
    """Return the value of a series in its own unit again."""
    if settings is None or settings.scaler is None or settings.class_names:
        return float(value)
    return float(np.reshape(Scaler.from_dict(settings.scaler).inverse([[value]]), -1)[0])


def _name(number: int, names: tuple[str, ...]) -> str:
    return names[number] if number < len(names) else f"class {number}"


def _write(path: str, outputs: Any) -> None:
    with atomic_write(path) as file:
        if path.endswith(".npy"):
            np.save(file, outputs)
        else:
            flat = outputs.reshape(len(outputs), -1)
            head = ",".join(f"output_{k}" for k in range(flat.shape[1]))
            np.savetxt(file, flat, "%.9g", ",", header=head, comments="")
    print(f"the outputs are in {path}, a row for each sample")
