"""The readers: what they read, what they refuse, and what fuzzing found."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neurograph import datasets
from neurograph.datasets.cifar import parse_cifar
from neurograph.datasets.idx import gunzip, parse_idx
from neurograph.datasets.plain_pickle import read_pickle
from neurograph.datasets.table import parse_csv
from neurograph.errors import (
    DataError,
    FormatError,
    NeurographError,
    OptionError,
    StorageError,
    UnknownNameError,
)

DATA = os.environ.get("NEUROGRAPH_DATA", "")
fuzz = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx(values: np.ndarray[Any, Any]) -> bytes:
    code = CODES[values.dtype.str[1:]]
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, code, values.ndim, *values.shape)
    return head + values.astype(values.dtype.newbyteorder(">")).tobytes()


# IDX


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 1, 3), (0, 5)])
@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_of_every_type_and_shape(
    tmp_path: Path, kind: str, shape: tuple[int, ...], packed: bool
) -> None:
    values = (np.arange(np.prod(shape, dtype=int)) * 3 - 1).astype(kind).reshape(shape)
    raw = idx(values)
    (tmp_path / "file").write_bytes(gzip.compress(raw) if packed else raw)
    read = datasets.read_idx(tmp_path / "file")
    assert read.dtype == np.dtype(kind)
    assert read.dtype.isnative
    assert read.flags.writeable
    assert np.array_equal(read, values)
    assert read.shape == shape


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "starts with nothing"),
        (b"\0\0\x08", "no IDX file"),
        (b"\0\0\x07\x01\0\0\0\x01\0", "no IDX file: it starts with 00 00 07 01"),
        (b"\0\0\x08\x03\0\0\0\x01", "its header of 16 bytes is not complete"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "is cut short: 3 of 5 bytes"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "goes on after its last number: 3 of 2 bytes"),
        (b"\0\0\x08\x04" + b"\xff" * 16 + b"abc", "is cut short"),
        (b"\0\0\x08\x46" + b"\0\0\0\x01" * 70 + b"a", "which no array can have"),
        (gzip.compress(idx(np.zeros(99, "u1")))[:-9], "cut short"),
        (b"\x1f\x8b" + b"rubbish", "damaged gzip"),
        (gzip.compress(b""), "starts with nothing"),
    ],
)
def test_broken_idx_files(tmp_path: Path, raw: bytes, says: str) -> None:
    (tmp_path / "train-images").write_bytes(raw)
    with pytest.raises(FormatError, match=says) as caught:
        datasets.read_idx(tmp_path / "train-images")
    assert "'train-images'" in str(caught.value)


def test_a_gzip_file_that_unpacks_without_end_is_refused() -> None:
    with pytest.raises(FormatError, match="more than 1,000 bytes"):
        gunzip(gzip.compress(bytes(100_000)), "the file", limit=1000)


def test_a_gzip_file_of_several_pieces() -> None:
    assert gunzip(gzip.compress(b"one ") + gzip.compress(b"two"), "the file") == b"one two"
    with pytest.raises(FormatError, match="damaged gzip"):
        gunzip(gzip.compress(b"one") + b"rest", "the file")


def test_missing_files_and_folders_in_place_of_files(tmp_path: Path) -> None:
    readers = (datasets.read_idx, datasets.read_cifar, datasets.read_csv, datasets.read_trees)
    for read in readers:
        with pytest.raises(DataError, match=rf"{read.__name__}\(\) found no file"):
            read(tmp_path / "nothing")
        with pytest.raises(DataError, match="is a folder"):
            read(tmp_path)
        with pytest.raises(DataError, match="cannot be the path"):
            read(None)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=r"found no file|cannot be the path"):
            read("a\0b")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("a\n1\n")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    for read in (datasets.read_idx, datasets.read_cifar, datasets.read_csv, datasets.read_trees):
        with pytest.raises(StorageError, match=r"cannot read .*secret': permission denied"):
            read(tmp_path / "secret")


@fuzz
@given(st.binary(max_size=60))
def test_any_bytes_are_an_idx_file_or_a_format_error(raw: bytes) -> None:
    for each in (raw, b"\0\0" + raw, b"\0\0\x08\x01" + raw, b"\x1f\x8b\x08" + raw):
        with contextlib.suppress(FormatError):
            parse_idx(gunzip(each, "the file"))


# CIFAR


def batch(count: int = 4, seed: int = 0) -> tuple[np.ndarray[Any, Any], list[int]]:
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
    return rows, generator.integers(0, 10, count).tolist()


def python_2_batch(rows: np.ndarray[Any, Any], labels: list[int]) -> bytes:
    """Return a batch as Python 2 wrote it: byte strings, numpy.core, protocol 2."""

    def text(value: bytes) -> bytes:
        if len(value) < 256:
            return b"U" + bytes([len(value)]) + value
        return b"T" + struct.pack("<i", len(value)) + value

    def number(value: int) -> bytes:
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)

    array = b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04"
    array += text(b"b") + b"\x87Rq\x05(K\x01" + number(len(rows)) + number(3072) + b"\x86"
    array += b"cnumpy\ndtype\nq\x06" + text(b"u1") + b"K\x00K\x01\x87Rq\x07(K\x03" + text(b"|")
    array += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + text(rows.tobytes()) + b"tb"
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    names = b"](" + b"".join(text(b"a_%d.png" % i) for i in range(len(labels))) + b"e"
    items = text(b"batch_label") + text(b"training batch 1 of 5") + text(b"labels") + listed
    items += text(b"data") + array + text(b"filenames") + names
    return b"\x80\x02}q\x01(" + items + b"u."


@pytest.mark.parametrize("form", ["python 2", 2, 3, 4, "bytes keys", "binary", "binary 100"])
def test_every_form_of_a_cifar_batch(tmp_path: Path, form: object) -> None:
    rows, labels = batch()
    if form == "python 2":
        raw = python_2_batch(rows, labels)
        again = pickle.loads(raw, encoding="bytes")
        assert np.array_equal(again[b"data"], rows)
    elif form == "bytes keys":
        raw = pickle.dumps({b"data": rows, b"labels": labels, b"filenames": [b"x"] * 4}, 2)
    elif form == "binary":
        raw = np.column_stack([np.array(labels, np.uint8), rows]).tobytes()
    elif form == "binary 100":
        labels = [99, 0, 55, 7]
        raw = np.column_stack([np.array([19, 3, 4, 5], np.uint8), np.uint8(labels), rows]).tobytes()
    else:
        raw = pickle.dumps({"data": rows, "labels": labels}, protocol=int(str(form)))
    (tmp_path / "data_batch_1").write_bytes(raw)
    part = datasets.read_cifar(tmp_path / "data_batch_1")
    assert part.x.shape == (4, 32, 32, 3)
    assert part.x[1, 2, 3].tolist() == rows[1].reshape(3, 32, 32)[:, 2, 3].tolist()
    assert np.array_equal(part.x.transpose(0, 3, 1, 2).reshape(4, 3072), rows)
    assert part.y.tolist() == labels
    assert part.y.dtype == np.int64
    assert part.x.flags.writeable


def test_fortran_order_and_fine_labels() -> None:
    rows, _ = batch()
    raw = pickle.dumps({"data": np.asfortranarray(rows), "fine_labels": [1, 99, 3, 4]}, 2)
    part = parse_cifar(raw)
    assert np.array_equal(part.x.transpose(0, 3, 1, 2).reshape(4, 3072), rows)
    assert part.y.tolist() == [1, 99, 3, 4]


class Harmful:
    """A pickle that runs a command when it is loaded."""

    def __reduce__(self) -> Any:
        return (open, ("harm.txt", "w"))


ROWS, GOOD_LABELS = batch(2)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"data": ROWS, "labels": Harmful()}, "it asks for"),
        (Harmful(), "it asks for"),
        ({"data": ROWS, "labels": [1]}, "2 pictures and 1 labels"),
        ({"data": ROWS, "labels": [1, 10]}, "labels that are no whole numbers from 0 to 9"),
        ({"data": ROWS, "labels": [1, -1]}, "labels that are no whole numbers"),
        ({"data": ROWS, "labels": ["cat", "dog"]}, "labels that are no whole numbers"),
        ({"data": ROWS[:, :30], "labels": [1, 2]}, r"pictures of shape \(2, 30\)"),
        ({"data": ROWS[:0], "labels": []}, "holds no pictures"),
        ({"data": ROWS.astype("f4"), "labels": [1, 2]}, "not made of bytes"),
        ({"data": [[1, 2]], "labels": [1]}, "needs an array 'data'"),
        ({"labels": [1, 2]}, "needs an array 'data' and a list 'labels', and has labels"),
        ({}, "has nothing"),
        ([1, 2], "holds no dictionary"),
        ({"data": ROWS, "labels": {1, 2}}, "instruction|asks for"),
    ],
)
def test_pickles_that_are_no_batch(
    content: object, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match=says):
        parse_cifar(pickle.dumps(content, protocol=2), "'data_batch_1'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "no whole number of pictures"),
        (b"x" * 100, "no whole number of pictures"),
        (b"\x0a" + bytes(3072), "the label 10"),
        (bytes([3]) + b"\x64" + bytes(3072), "the label 100"),
        (b"\x80\x02", "the pickle is damaged"),
        (b"\x80\x02.", "the pickle is damaged"),
        (b"\x80\x02cos\nsystem\nU\x02ls\x85R.", "it asks for os.system"),
        (b"\x80\x02cnumpy\ndtype\n.", "nothing but the name numpy dtype"),
        (b"\x80\x02c\\s\nx\n.", "the pickle is damaged: invalid escape"),
        (b"\x80\x02})" + b"\x85" * 200_000 + b"Ns.", "a key that is neither a text nor a number"),
        (b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "holds no dictionary"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "pickle"),
        (b"\x80\x02Nr\xff\xff\xff\xff.", "holds no dictionary"),
    ],
)
def test_bytes_that_are_no_batch(raw: bytes, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        parse_cifar(raw, "'test_batch'")


def test_pickles_with_every_plain_value() -> None:
    value = {
        "none": None,
        "flags": [True, False],
        "numbers": [0, 255, 256, 70000, -1, 2**40, 2**300, 1.5],
        "texts": ["", "a", "ü", "x" * 300, b"", b"ab", b"\xff" * 300],
        "nested": ({"a": (1,)}, (1, 2), (1, 2, 3), (1, 2, 3, 4), ()),
        "array": np.arange(6, dtype=np.uint8).reshape(2, 3),
    }
    for protocol in range(5):
        read = read_pickle(pickle.dumps(value, protocol=protocol))
        assert np.array_equal(read.pop("array"), value["array"])
        assert read == {name: each for name, each in value.items() if name != "array"}
    shared = [1, 2]
    a, b = read_pickle(pickle.dumps([shared, shared]))
    assert a == [1, 2]
    assert a is b


@fuzz
@given(st.data())
def test_a_changed_batch_is_read_or_refused(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(SMALL_PICKLES)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            raw[place] = data.draw(st.integers(0, 255))
        else:
            del raw[place]
    with contextlib.suppress(FormatError):
        read_pickle(bytes(raw))


@fuzz
@given(st.binary(max_size=80))
def test_any_bytes_are_a_batch_or_a_format_error(raw: bytes) -> None:
    for each in (raw, b"\x80" + raw, b"\x80\x02}(" + raw, b"\x80\x02cnumpy\ndtype\n" + raw):
        with contextlib.suppress(FormatError):
            parse_cifar(each)


SMALL_PICKLES = [
    python_2_batch(np.zeros((1, 3072), np.uint8), [3])[:-300],
    *(
        pickle.dumps(
            {"data": np.arange(4, dtype=np.uint8), "labels": [1, 300], "x": ("a", None)}, p
        )
        for p in range(5)
    ),
]


# tables


def test_columns_get_the_type_that_fits_all_their_cells() -> None:
    table = parse_csv(
        "\ufeffcount, height ,code,mixed,day,big,bool,under\r\n"
        "1,1.5,000123,1,2020-01-01,1e3,True,1_0\r\n\r\n"
        ' -2 ,".5","7","a,b",2020-01-02,-2.,False,2_0\r\n'
    )
    assert list(table) == ["count", "height", "code", "mixed", "day", "big", "bool", "under"]
    kinds = [column.dtype.kind for column in table.values()]
    assert kinds == ["i", "f", "U", "U", "U", "f", "U", "U"]
    assert table["count"].tolist() == [1, -2]
    assert table["height"].tolist() == [1.5, 0.5]
    assert table["mixed"].tolist() == ["1", "a,b"]
    assert table.rows == 2
    assert "day" in table
    assert "night" not in table
    assert table.get("night") is None
    assert repr(table).startswith("<Table of 2 rows: count, height")


def test_reading_some_columns_in_their_order_and_classes(tmp_path: Path) -> None:
    path = tmp_path / "people.csv.gz"
    path.write_bytes(gzip.compress(b"a;b;c\n1;x;3\n2;y;4\n3;x;5\n"))
    table = datasets.read_csv(path, ["c", "b"], delimiter=";")
    assert list(table) == ["c", "b"]
    numbers, names = table.classes("b")
    assert numbers.tolist() == [0, 1, 0]
    assert names == ("x", "y")
    assert table.matrix().tolist() == [[3.0], [4.0], [5.0]]
    with pytest.raises(UnknownNameError, match=r"unknown column 'd' of 'people\.csv\.gz'"):
        datasets.read_csv(path, ["d"], delimiter=";")
    with pytest.raises(UnknownNameError, match="did you mean 'bb'"):
        parse_csv("a,bb\n1,2\n")["bbb"]
    with pytest.raises(DataError, match=r"'b' of 'people\.csv\.gz' holds text such as 'x'"):
        table.matrix("c", "b")


def test_gaps_are_an_error_or_nan() -> None:
    text = "a,b\n1,2\n,3\nNA,4\n"
    with pytest.raises(DataError, match="line 3 of the table has no number in column 'a'"):
        parse_csv(text)
    read = parse_csv(text, missing="nan")["a"]
    assert np.array_equal(read, [1, np.nan, np.nan], equal_nan=True)
    assert parse_csv("a\n1\n")["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n1,2,3\n", "line 3 of the table has 3 cells: the header has 2"),
        ("a,b,a\n1,2,3\n", "the column 'a' twice"),
        ("1,2\n3,4\n", "must name the columns"),
        ('a,b\n1,"2\n', "cannot be read"),
        ('a,b\n1,"2"x\n', "cannot be read"),
        ("a,b\n1,\0\n", "NUL"),
        ("a\n1e999\n", "line 2 of the table holds 1e999: too large"),
    ],
)
def test_broken_tables(text: str, says: str) -> None:
    with pytest.raises((DataError, FormatError), match=says):
        parse_csv(text)


def test_options_and_bytes_of_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,\xff\n")
    with pytest.raises(FormatError, match=r"'t\.csv' is not UTF-8 text: byte 6 is 0xff"):
        datasets.read_csv(path)
    path.write_bytes(gzip.compress(b"a,b\n1,2\n" * 50)[:-9])
    with pytest.raises(FormatError, match=r"'t\.csv' is a"):
        datasets.read_csv(path)
    with pytest.raises(OptionError, match="missing is 'zero'"):
        parse_csv("a\n1\n", missing="zero")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="delimiter"):
        parse_csv("a\n1\n", delimiter="::")
    assert parse_csv("a|b\n1|2\n", delimiter="|").matrix().tolist() == [[1.0, 2.0]]


TEXT = st.text(alphabet='ab1.e-+,;"\n\r \t\0é_', max_size=60)


@fuzz
@given(TEXT)
def test_any_text_is_a_table_or_an_error(text: str) -> None:
    for each in (text, "a,b\n" + text, "a\n1\n" + text):
        for missing in ("error", "nan"):
            try:
                table = parse_csv(each, missing=missing)  # type: ignore[arg-type]
            except NeurographError:
                continue
            assert len({len(column) for column in table.values()}) == 1


@fuzz
@given(
    st.lists(
        st.tuples(st.integers(-(10**17), 10**17), st.floats(allow_nan=False, allow_infinity=False)),
        min_size=1,
    )
)
def test_numbers_come_back_as_they_were_written(rows: list[tuple[int, float]]) -> None:
    text = "n,x\n" + "".join(f"{n},{x!r}\n" for n, x in rows)
    table = parse_csv(text)
    assert table["n"].tolist() == [n for n, _ in rows]
    assert table["x"].tolist() == [x for _, x in rows]


STOCK = """,date,open,close,high,low,volume,code
0,2010-12-27,121.741,117.87,122.379,117.432,45246.0,600519
1,2010-12-28,117.876,118.044,120.195,114.269,48176.0,600519
"""


def test_stock_prices(tmp_path: Path) -> None:
    path = tmp_path / "share.csv"
    path.write_text(STOCK)
    table = datasets.read_stock(path)
    assert list(table) == ["date", "open", "close", "high", "low", "volume", "code"]
    assert table["date"].tolist() == np.array(["2010-12-27", "2010-12-28"], "M8[D]").tolist()
    assert table["open"].tolist() == [121.741, 117.876]
    assert table["code"].tolist() == ["600519", "600519"]
    for old, new, says in (
        ("2010-12-28", "2010-12-27", "not in order of time: 2010-12-27 comes after 2010-12-27"),
        ("2010-12-28", "28.12.2010", "the date '28.12.2010', which is not year-month-day"),
        ("2010-12-28", "2010-13-28", "which is not year-month-day"),
        ("volume", "amount", "unknown column 'volume' of 'share.csv'"),
        ("118.044", "much", "'close' of 'share.csv' holds text"),
        ("118.044", "", "line 3 of 'share.csv' has no number in column 'close'"),
    ):
        path.write_text(STOCK.replace(old, new))
        with pytest.raises(NeurographError, match=says):
            datasets.read_stock(path)
    path.write_text(STOCK.replace("2010-12-", "201012"))
    assert datasets.read_stock(path)["date"][1] == np.datetime64("2010-12-28")


# trees


def test_trees_are_returned_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "trees.txt"
    path.write_bytes(
        b"\xef\xbb\xbf(3 (2 It) (4 lovely))\r\n\r\n(2 word) \n(1 (2 a\xc2\x85b) (1 c))"
    )
    trees = datasets.read_trees(path)
    assert trees == ["(3 (2 It) (4 lovely))", "(2 word)", "(1 (2 a\x85b) (1 c))"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("(2 a)\n(3 (2 b)\n", "line 2 of 'trees.txt' is no tree: 1 brackets are left open"),
        ("(2 a))\n", "line 1 .* closes at character 5, before the end"),
        ("(2 a) (2 b)\n", "before the end"),
        ("word\n", "starts with 'w', not with a bracket"),
        (")(\n", "not with a bracket"),
        ("\n \n", "holds no trees"),
    ],
)
def test_broken_trees(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "trees.txt").write_text(text)
    with pytest.raises((DataError, FormatError), match=says):
        datasets.read_trees(tmp_path / "trees.txt")


@fuzz
@given(st.binary(max_size=40) | st.text("() a2\n", max_size=40).map(str.encode))
def test_any_bytes_are_trees_or_an_error(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "trees.txt").write_bytes(raw)
    try:
        trees = datasets.read_trees(tmp_path / "trees.txt")
    except NeurographError:
        return
    assert all(tree.count("(") == tree.count(")") > 0 for tree in trees)


# pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "pictures").mkdir()
    generator = np.random.default_rng(0)
    for number in range(4):
        values = generator.integers(0, 256, (6, 5), dtype=np.uint8)
        image.fromarray(values).save(tmp_path / "pictures" / f"{number} a.png")
    (tmp_path / "list.txt").write_text("0 a.png 3\n1 a.png\t1\n\n2 a.png 0\n3 a.png 1\n")
    return tmp_path


def test_a_folder_of_pictures_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    x, y, names = datasets.read_images(folder / "pictures", folder / "list.txt")
    want = [np.asarray(Image.open(folder / "pictures" / f"{n} a.png")) for n in range(4)]
    assert np.array_equal(x, want)
    assert x.dtype == np.uint8
    assert y.tolist() == [3, 1, 0, 1]
    assert names == ("0", "1", "2", "3")
    (kept,) = folder.glob("*.npy")
    monkeypatch.setattr(Image, "open", None)
    again = datasets.read_images(folder / "pictures", folder / "list.txt")
    assert np.array_equal(again.x, x)
    monkeypatch.undo()
    # a picture that changes is noticed, a damaged array is made anew
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(folder / "pictures" / "2 a.png")
    assert datasets.read_images(folder / "pictures", folder / "list.txt").x[2].max() == 0
    (new,) = folder.glob("*.npy")
    assert new != kept
    new.write_bytes(new.read_bytes()[:100])
    assert datasets.read_images(folder / "pictures", folder / "list.txt").x[2].max() == 0
    new.write_bytes(b"")
    assert datasets.read_images(folder / "pictures", folder / "list.txt").x.shape == (4, 6, 5)


def test_sizes_modes_and_classes_of_pictures(folder: Path) -> None:
    from PIL import Image

    red = np.zeros((6, 5, 3), np.uint8)
    red[..., 0] = 200
    Image.fromarray(red).save(folder / "pictures" / "red.jpg", quality=100)
    (folder / "list.txt").write_text("red.jpg dog\n0 a.png cat\n")
    x, y, names = datasets.read_images(
        folder / "pictures", folder / "list.txt", size=(3, 4), cache=None
    )
    assert x.shape == (2, 3, 4, 3)
    assert abs(x[0, 0, 0].astype(int) - [200, 0, 0]).max() < 4
    assert (y.tolist(), names) == ([1, 0], ("cat", "dog"))
    grey = datasets.read_images(folder / "pictures", folder / "list.txt", mode="grey", cache=None)
    assert grey.x.shape == (2, 6, 5)
    assert abs(int(grey.x[0, 0, 0]) - 60) < 3
    agreed = datasets.read_images(
        folder / "pictures", folder / "list.txt", class_names=["dog", "cow", "cat"], cache=None
    )
    assert agreed.y.tolist() == [0, 2]
    assert list(folder.glob("*.npy")) == []
    kept = folder / "kept"
    datasets.read_images(folder / "pictures", folder / "list.txt", cache=kept)
    assert len(list(kept.glob("list-*.npy"))) == 1


def test_what_is_wrong_with_a_folder_of_pictures_is_said(folder: Path) -> None:
    from PIL import Image

    pictures, listing = folder / "pictures", folder / "list.txt"

    def fails(kind: type[Exception], says: str, **options: Any) -> None:
        with pytest.raises(kind, match=says):
            datasets.read_images(pictures, listing, **options)

    fails(OptionError, "mode is 'gray'", mode="gray")
    fails(OptionError, "size is 28", size=28)
    fails(OptionError, r"the width must be .*got 0", size=(3, 0))
    fails(OptionError, "has a name twice", class_names=["a", "a"])
    fails(DataError, "the label '3', which is not among the classes a, b", class_names=["a", "b"])
    listing.write_text("0 a.png 1\nlonely.png\n")
    fails(FormatError, "line 2 of 'list.txt' is 'lonely.png'")
    listing.write_text("gone.png 1\nlost.png 2\n")
    fails(DataError, r"lists 'gone.png' and 1 more, which .* does not hold")
    listing.write_text("\n")
    fails(DataError, "'list.txt' lists no pictures")
    listing.write_bytes(b"\xff\xfe")
    fails(FormatError, "not UTF-8")
    (pictures / "bad.png").write_bytes((pictures / "0 a.png").read_bytes()[:40])
    (pictures / "text.png").write_text("no picture")
    for name in ("bad.png", "text.png"):
        listing.write_text(f"0 a.png 1\n{name} 2\n")
        fails(FormatError, f"the picture '{name}' cannot be read")
    Image.fromarray(np.zeros((7, 5), np.uint8)).save(pictures / "tall.png")
    listing.write_text("0 a.png 1\ntall.png 2\n")
    fails(DataError, "'tall.png' is 7x5 and '0 a.png' is 6x5: pass size=")
    with pytest.raises(DataError, match="found no folder"):
        datasets.read_images(folder / "nowhere", listing)
    assert list(folder.glob("*.npy")) == []


def test_arrays_that_cannot_be_kept_are_still_returned(folder: Path) -> None:
    (folder / "file").write_text("no folder")
    with pytest.warns(UserWarning, match=r"read_images\(\) could not keep its arrays"):
        x, _, _ = datasets.read_images(
            folder / "pictures", folder / "list.txt", cache=folder / "file"
        )
    assert x.shape == (4, 6, 5)


@settings(fuzz, max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 100))
def test_any_bytes_are_a_picture_or_a_format_error(tmp_path: Path, raw: bytes, cut: int) -> None:
    image = pytest.importorskip("PIL.Image")
    good = io.BytesIO()
    image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(good, "PNG")
    (tmp_path / "list.txt").write_text("a.png 0\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in (raw, good.getvalue()[:cut] + raw):
            (tmp_path / "a.png").write_bytes(each)
            with contextlib.suppress(FormatError):
                datasets.read_images(tmp_path, tmp_path / "list.txt", cache=None)


@pytest.mark.skipif(not DATA, reason="NEUROGRAPH_DATA names no folder of data sets")
def test_the_real_share_and_the_real_sentences() -> None:
    table = datasets.read_stock(Path(DATA) / "stock" / "SH600519.csv")
    assert table.rows == 2429
    assert table["date"][[0, -1]].tolist() == np.array(["2010-12-27", "2020-12-25"], "M8").tolist()
    assert (table["open"][0], table["close"][-1]) == (121.741, 1830.0)
    sizes = {"train": 9645, "dev": 1101, "test": 2210}
    for name, size in sizes.items():
        trees = datasets.read_trees(Path(DATA) / "sst" / f"{name}.txt")
        assert len(trees) == size
        assert all(tree[1] in "01234" for tree in trees)
