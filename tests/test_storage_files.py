"""What a file holds, and the one sentence for each file that is not what it should be."""

from __future__ import annotations

import io
import json
import pickle
import sys
import types
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from storage_cases import forge

import neurograph as ng
from neurograph.errors import (
    DataError,
    FormatError,
    NeurographError,
    OptionError,
    ShapeError,
    StorageError,
    UnknownNameError,
)
from neurograph.storage import file, tensors


@pytest.fixture
def net():
    net = ng.Network([ng.Input((3,)), ng.Dense(2, activation="tanh")], name="small", seed=1)
    net.parameters["dense/kernel"].value = np.arange(6.0).reshape(3, 2) / 4
    return net


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def refusal(call, *arguments) -> str:
    with pytest.raises(NeurographError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


# what is in it ------------------------------------------------------------------------------------


def test_weights_are_plain_tensors_for_any_reader(net, path):
    net.save(path)
    found = safetensors.numpy.load_file(path)
    assert sorted(found) == ["dense/bias", "dense/kernel"]
    np.testing.assert_array_equal(found["dense/kernel"], net.parameters["dense/kernel"].value)


def test_the_metadata_are_text_and_json(net, path):
    file.save(path, net, {"state/m": np.arange(3)}, {"history": {"loss": [0.5, float("inf")]}})
    metadata, arrays = tensors.read_tensors(path)
    assert sorted(metadata) == ["checksums", "extras", "format", "sha256", "structure", "version"]
    assert (metadata["format"], metadata["version"]) == ("neurograph", "1")
    assert json.loads(metadata["extras"]) == {"history": {"loss": [0.5, {"$float": "inf"}]}}
    assert sorted(arrays) == ["@extra/state/m", "dense/bias", "dense/kernel"]
    layer = json.loads(metadata["structure"])["layers"][1]
    assert (layer["name"], layer["shape"], layer["activation"]) == ("dense", [2], "tanh")


def test_extras_and_tensors_come_back_as_they_were(net, path):
    given = {
        "optimizer/m": np.array([[1.5, np.nan]], np.float32),
        "count": np.array(7),
        "empty": np.zeros((0, 3)),
        "turned": np.arange(6.0).reshape(2, 3).T,
        "mask": np.array([True, False]),
        "wide": np.array([2**63 + 1], np.uint64),
        "big endian": np.array([1.5, 2.5], ">f8"),
    }
    extras = {
        "history": {"loss": [0.25, float("nan"), float("-inf")], "epoch": [0, 1]},
        "sizes": (1, (2.5, None), [True]),
        "by number": {3: "three", "$x": 1},
        "array": np.array([1, 2], np.int8),
        "indices": list(range(200)),
        "numpy": [np.float64(0.1), np.int64(3), np.bool_(True)],
        "words": "Grüße\n\0\U0001f600",
    }
    file.save(path, net, given, extras)
    loaded = file.load(path)
    assert sorted(loaded.tensors) == sorted(given)
    for name, array in given.items():
        np.testing.assert_array_equal(loaded.tensors[name], array)
        assert loaded.tensors[name].dtype == array.dtype.newbyteorder("=")
    array = loaded.extras.pop("array")
    assert (array.dtype, array.tolist()) == (np.int8, extras.pop("array").tolist())
    nan = loaded.extras["history"]["loss"].pop(1)
    assert nan != nan
    extras["history"]["loss"].pop(1)
    assert loaded.extras == extras
    assert loaded.path == str(path)


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "SFC64", "Philox", "MT19937"])
def test_every_kind_of_generator_goes_on_where_it_stopped(path, kind):
    generator = np.random.Generator(getattr(np.random, kind)(11))
    generator.random(5, np.float32)
    generator.spawn(2)
    net = ng.Network([2, 1], seed=generator)
    net.save(path)
    for twin in (ng.load(path), ng.from_json(net.to_json())):
        assert twin.generator.integers(0, 9, 20).tolist() == (
            ng.load(path).generator.integers(0, 9, 20).tolist()
        )
    twin = ng.load(path)
    assert twin.generator.random(3).tolist() == generator.random(3).tolist()
    assert twin.generator.spawn(1)[0].random() == generator.spawn(1)[0].random()


@pytest.mark.parametrize("name", ["@w", "@@w", "@extra/m", "@array/0", "__metadata__", "ü\n\0"])
def test_a_parameter_may_have_any_name(path, name):
    a, y = ng.InputNode("a"), ng.Node(name="y")
    ng.Connection(a, y, parameter=ng.Parameter(0.5, name=name))
    net = ng.Network(inputs=[a], outputs=[y])
    net.save(path)
    assert list(ng.load(path).parameters) == [name]
    net.load_weights(path)


def test_a_name_that_is_no_text_is_refused(path):
    a, y = ng.InputNode("a"), ng.Node(name="\ud800")
    ng.Connection(a, y, weight=0.5)
    net = ng.Network(inputs=[a], outputs=[y])
    assert refusal(net.save, path) == (
        "GraphError: node '\\ud800': '\\ud800' is not a name that a file can hold; use plain text"
    )


# what is refused ----------------------------------------------------------------------------------


def test_weights_that_are_not_finite_are_never_saved(net, path):
    net.save(path)
    before = path.read_bytes()
    net.parameters["dense/kernel"].value[2, 1] = np.nan
    expected = (
        "DataError: network 'small': parameter 'dense/kernel' is nan at [2, 1]; weights must be "
        "finite numbers"
    )
    for call in (net.save, net.to_text, net.to_json, net.save_npz):
        assert refusal(call, path) == expected
        assert path.read_bytes() == before


def test_extras_that_are_not_plain_are_refused(net, path):
    assert refusal(file.save, path, net, {}, {"loss": [len]}) == (
        "DataError: the extras: <built-in function len> cannot be kept in a file; plain numbers, "
        "text, lists, tuples, mappings and arrays can"
    )
    assert refusal(file.save, path, net, {"state": np.array(["text"])}) == (
        "FormatError: tensor '@extra/state': a file cannot hold arrays of <U4"
    )
    assert not path.exists()


def foreign_files() -> dict[str, tuple[bytes, str]]:
    archive = io.BytesIO()
    np.savez(archive, weights=np.ones(2))
    array = io.BytesIO()
    np.save(array, np.ones(2))
    pickled = pickle.dumps({"weights": [1.0]})
    huge = (2**40).to_bytes(8, "little") + b"{}"
    header = b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'
    return {
        "empty": (b"", "the file is empty"),
        "pickle": (
            pickled,
            "it is a pickle, which neurograph never opens, since a pickle can run any code",
        ),
        "npz": (
            archive.getvalue(),
            "it is a zip archive (.npz, .keras or .pt); net.load_weights reads .npz",
        ),
        "npy": (array.getvalue(), "it is a .npy file"),
        "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(200), "it is an HDF5 file"),
        "text": (b"dense 0.5 0.25\n" * 9, "it is not a safetensors file"),
        "picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "it is not a safetensors file"),
        "json": (b'{"format": "neurograph"}', "it is JSON; ng.from_json reads it"),
        "huge header": (huge, "it is not a safetensors file"),
        "short": (b"abc", "it is not a safetensors file"),
        "no data": (
            len(header).to_bytes(8, "little") + header,
            "it is truncated or damaged (",
        ),
    }


@pytest.mark.parametrize("kind", list(foreign_files()))
def test_a_foreign_file_is_named(path, kind):
    content, reason = foreign_files()[kind]
    path.write_bytes(content)
    found = refusal(ng.load, path)
    assert found.startswith(f"FormatError: cannot load {str(path)!r}: {reason}")


def test_a_pickle_is_never_executed(path):
    class Trap:
        def __reduce__(self):
            return (path.with_name("sprung").write_text, ("",))

    for protocol in range(6):
        path.write_bytes(pickle.dumps(Trap(), protocol))
        refusal(ng.load, path)
        refusal(ng.Network([1, 1]).load_weights, path)
    archive = zipfile.ZipFile(path, "w")
    with archive, archive.open("layer_1/kernel.npy", "w") as member:
        np.lib.format.write_array(member, np.array([Trap()], dtype=object))
    refusal(ng.Network([1, 1]).load_weights, path)
    assert not path.with_name("sprung").exists()


def test_safetensors_of_others_are_refused_as_networks_but_give_weights(net, path):
    weights = {name: each.value + 1 for name, each in net.parameters.items()}
    safetensors.numpy.save_file(weights, path)
    assert refusal(ng.load, path) == (
        f"FormatError: cannot load {str(path)!r}: it was not saved by neurograph; net.load_weights "
        f"can read plain tensors whose names are those of the parameters"
    )
    net.load_weights(path)
    assert net.parameters["dense/kernel"].value[0].tolist() == [1.0, 1.25]


def test_types_of_numbers_that_numpy_has_not_are_refused(path):
    header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert refusal(ng.load, path) == (
        f"FormatError: cannot load {str(path)!r}: tensor 'a' holds BF16, which NumPy has not"
    )


def test_a_newer_format_is_refused(net, path):
    net.save(path)
    metadata, arrays = tensors.read_tensors(path)
    forge(path, {**metadata, "version": "12"}, arrays)
    assert refusal(ng.load, path) == (
        f"FormatError: cannot load {str(path)!r}: it has format 12, made by a newer neurograph; "
        f"this one reads formats up to 1, so upgrade neurograph"
    )
    newer = net.to_json().replace('"version": 1', '"version": 12')
    assert refusal(ng.from_json, newer) == (
        "FormatError: cannot load the JSON text: it has format 12, made by a newer neurograph; "
        "this one reads formats up to 1, so upgrade neurograph"
    )


@pytest.mark.parametrize(("mark", "what"), [(b"\0\0\xd0\x3f", "parameter 'dense/kernel'")])
def test_a_changed_weight_is_noticed_by_its_name(net, path, mark, what):
    net.save(path)
    content = path.read_bytes()
    place = content.rindex(mark)
    path.write_bytes(content[:place] + b"\1" + content[place + 1 :])
    assert refusal(ng.load, path) == (
        f"FormatError: cannot load {str(path)!r}: it is damaged: the values of {what} do not agree "
        f"with their checksum"
    )
    assert refusal(net.load_weights, path) == (
        f"FormatError: cannot load {str(path)!r}: it is damaged: the values of {what} do not agree "
        f"with their checksum"
    )


def test_a_changed_structure_is_noticed(net, path):
    net.save(path)
    path.write_bytes(path.read_bytes().replace(b"tanh", b"relu"))
    assert refusal(ng.load, path) == (
        f"FormatError: cannot load {str(path)!r}: it is damaged: its metadata do not agree with "
        f"their checksum"
    )


def forged(path, change, arrays=None):
    """Change the structure, and make the checksums right again."""
    metadata, found = tensors.read_tensors(path)
    structure = json.loads(metadata["structure"])
    change(structure)
    found = {**found, **(arrays or {})}
    sums = json.dumps({name: file.checksum(array) for name, array in found.items()})
    forge(path, {**metadata, "structure": json.dumps(structure), "checksums": sums}, found)


def test_a_parameter_that_is_missing_or_too_many_is_named(net, path):
    net.save(path)
    forged(path, lambda structure: None, {"dense/extra": np.ones(3)})
    assert refusal(ng.load, path) == (
        f"FormatError: cannot load {str(path)!r}: parameter 'dense/extra' has weights but no place "
        f"in the structure"
    )
    net.save(path)
    metadata, arrays = tensors.read_tensors(path)
    arrays.pop("dense/bias")
    sums = json.dumps({name: file.checksum(array) for name, array in arrays.items()})
    forge(path, {**metadata, "checksums": sums}, arrays)
    assert refusal(ng.load, path) == (
        f"FormatError: cannot load {str(path)!r}: parameter 'dense/bias' has no weights"
    )


def test_a_parameter_of_another_shape_is_named(net, path):
    net.save(path)
    forged(path, lambda structure: None, {"dense/kernel": np.ones((2, 3))})
    assert refusal(ng.load, path) == (
        f"FormatError: cannot load {str(path)!r}: parameter 'dense/kernel' is float64 of shape "
        f"(3, 2) in the structure, but its weights are float64 of shape (2, 3)"
    )


def test_a_weight_that_is_nan_in_the_file_is_named(net, path):
    net.save(path)
    forged(path, lambda structure: None, {"dense/bias": np.array([0.0, np.nan])})
    assert refusal(ng.load, path) == (
        f"DataError: cannot load {str(path)!r}: the file: parameter 'dense/bias' is nan at [1]; "
        f"weights must be finite numbers"
    )


INJECTION = "0)\nimport os\nos._exit(3)\n#"


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["layers"][1]["incoming"][0]["options"].update(constant=INJECTION),
        lambda s: s["layers"][1]["incoming"][0]["options"].update(positions=INJECTION),
        lambda s: s["layers"][1].update(
            function={"name": "batch_normalization", "options": {"epsilon": INJECTION}}
        ),
        lambda s: s["layers"][0]["config"].update(dtype=INJECTION),
    ],
)
def test_no_text_of_a_file_gets_into_compiled_programs(net, path, change):
    net.save(path)
    forged(path, change)
    assert "FormatError: cannot load" in refusal(ng.load, path)


def test_names_of_a_file_are_no_code(path):
    name = f'x"""\n{INJECTION}\n"""\\'
    net = ng.Network([ng.Input((3,), name=name), ng.Dense(2, name=f"y{name}")], name=name, seed=1)
    net.save(path)
    twin = ng.load(path)
    assert twin.name == name
    np.testing.assert_array_equal(twin.predict(np.ones((1, 3))), net.predict(np.ones((1, 3))))


def test_a_layer_that_is_part_of_itself_is_refused(net, path):
    net.save(path)
    forged(path, lambda structure: structure["layers"][1].update(root=1))
    assert refusal(ng.load, path) == (
        f"FormatError: cannot load {str(path)!r}: layer 'dense' is a part of itself"
    )


def test_paths_that_are_no_files_are_refused(net, tmp_path):
    missing = tmp_path / "missing.safetensors"
    for call in (ng.load, net.load_weights, net.load_npz, net.from_text, ng.from_json):
        assert refusal(call, missing) == (
            f"StorageError: cannot load {str(missing)!r}: there is no such file"
        )
        assert (
            refusal(call, tmp_path)
            == f"StorageError: cannot load {str(tmp_path)!r}: it is not a file"
        )
    for wrong in (None, 3, b"x", "a\0b"):
        assert refusal(ng.load, wrong) == (
            f"OptionError: a file to load is given by its path, got {wrong!r}"
        )


def test_a_file_with_a_model_needs_the_part_that_makes_models(net, path, monkeypatch):
    restore = types.ModuleType("neurograph.train.restore")
    restore.restore_model = lambda loaded: ("a model", loaded)
    monkeypatch.setitem(sys.modules, "neurograph.train.restore", restore)
    file.save(path, net, {"m": np.ones(2)}, {"model": {"epoch": 3}})
    what, loaded = ng.load(path)
    assert what == "a model"
    assert loaded.extras == {"model": {"epoch": 3}}
    assert loaded.tensors["m"].tolist() == [1.0, 1.0]
    assert str(loaded.network) == str(net)


# weights into a network that is there -------------------------------------------------------------

FORMATS = {"safetensors": "save", "npz": "save_npz", "txt": "to_text", "json": "to_json"}


@pytest.mark.parametrize("suffix", list(FORMATS))
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_weights_come_back_bit_by_bit_in_every_format(tmp_path, suffix, dtype):
    net = ng.Network([ng.Input((4, 4, 1)), ng.Conv2D(3, 2), ng.Flatten(), ng.Dense(2)], seed=3)
    generator = np.random.default_rng(0)
    limits = np.finfo(dtype)
    for parameter in net.parameters.values():
        value = generator.normal(size=parameter.shape).astype(dtype)
        value.flat[:2] = limits.max, limits.smallest_subnormal
        parameter._bind(value, np.zeros_like(value))
    twin = ng.Network([ng.Input((4, 4, 1)), ng.Conv2D(3, 2), ng.Flatten(), ng.Dense(2)])
    for parameter in twin.parameters.values():
        parameter._bind(np.ones(parameter.shape, dtype), np.ones(parameter.shape, dtype))
    path = tmp_path / f"weights.{suffix}"
    getattr(net, FORMATS[suffix])(path)
    twin.load_weights(path)
    for name, parameter in net.parameters.items():
        assert twin.parameters[name].value.tobytes() == parameter.value.tobytes()


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_weights_that_do_not_fit_are_named_and_change_nothing(net, tmp_path, suffix):
    path = tmp_path / f"weights.{suffix}"
    getattr(net, FORMATS[suffix])(path)
    wide = ng.Network([ng.Input((3,)), ng.Dense(4)], name="wide", seed=2)
    before = wide.to_text()
    assert refusal(wide.load_weights, path) == (
        f"ShapeError: {path}: the array for parameter 'dense/kernel' has shape (3, 2), network "
        f"'wide' needs (3, 4)"
    )
    deep = ng.Network([ng.Input((3,)), ng.Dense(2), ng.Dense(2)], name="deep", seed=2)
    assert refusal(deep.load_weights, path) == (
        f"UnknownNameError: {path}: it has no weights for parameter 'dense_1/kernel' of network "
        f"'deep' nor for 1 other; it has dense/kernel, dense/bias"
    )
    bare = ng.Network([ng.Input((3,)), ng.Dense(2, use_bias=False)], name="bare", seed=2)
    assert refusal(bare.load_weights, path) == (
        f"UnknownNameError: {path}: network 'bare' has no parameter 'dense/bias'; it has "
        f"dense/kernel"
    )
    assert wide.to_text() == before


def test_weights_that_are_no_numbers_change_nothing(net, tmp_path):
    path = tmp_path / "weights.npz"
    good = {name: each.value for name, each in net.parameters.items()}
    for bad, reason in [
        (np.array([1.0, np.inf]), "is inf at [1]; weights must be finite numbers"),
        (np.array([1j, 0]), "holds complex128, expected real numbers"),
        (np.array(["a", "b"]), "holds str32, expected real numbers"),
        (np.array([True, False]), "holds bool, expected real numbers"),
    ]:
        np.savez(path, **{**good, "dense/bias": bad})
        for call in (net.load_weights, net.load_npz):
            assert refusal(call, path).endswith(reason)
    np.savez_compressed(path, **{**good, "dense/bias": np.array([3, 4])})
    net.load_npz(path)
    assert net.parameters["dense/bias"].value.tolist() == [3.0, 4.0]


def test_weights_too_large_for_float32_are_refused(net, tmp_path):
    path = tmp_path / "weights.npz"
    net.parameters["dense/bias"].value = [1e300, 0.0]
    net.save_npz(path)
    for parameter in net.parameters.values():
        parameter._bind(np.zeros(parameter.shape, "f4"), np.zeros(parameter.shape, "f4"))
    assert "parameter 'dense/bias' is inf at [0]" in refusal(net.load_weights, path)
    assert not net.parameters["dense/kernel"].value.any()


def test_connections_that_were_removed_stay_removed(net, tmp_path):
    path = tmp_path / "weights.json"
    net.parameters["dense/kernel"].value = np.ones((3, 2))
    net.to_json(path)
    net.node("dense[1]").upstream[0].remove()
    net.load_weights(path)
    assert net.parameters["dense/kernel"].value.tolist() == [[1, 0], [1, 1], [1, 1]]


def test_numpy_reads_what_save_npz_writes(net, tmp_path):
    path = tmp_path / "weights.npz"
    net.save_npz(path)
    with np.load(path) as found:
        assert sorted(found) == ["dense/bias", "dense/kernel"]
        np.testing.assert_array_equal(found["dense/kernel"], net.parameters["dense/kernel"].value)


def test_a_name_that_zip_cannot_hold_is_refused(tmp_path):
    a, y = ng.InputNode("a"), ng.Node(name="y")
    ng.Connection(a, y, parameter=ng.Parameter(0.5, name="a\0b"))
    net = ng.Network(inputs=[a], outputs=[y])
    assert refusal(net.save_npz, tmp_path / "w.npz") == (
        "OptionError: save_npz: 'a\\x00b' is no name for an array in a .npz file"
    )


def test_an_array_that_would_fill_the_memory_is_not_unpacked(net, tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, **{"dense/kernel": np.zeros(3_000_000)})
    assert refusal(net.load_weights, path) == (
        f"FormatError: cannot load {str(path)!r}: array 'dense/kernel' is far too large"
    )


def test_keyboard_and_disk_errors_name_the_file(net, path, monkeypatch):
    net.save(path)

    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("safetensors.safe_open", fail)
    assert refusal(ng.load, path) == (
        f"StorageError: cannot load {str(path)!r}: input/output error"
    )


def test_the_kinds_of_errors_are_the_builtins_too():
    assert issubclass(StorageError, OSError)
    assert issubclass(FormatError, ValueError)
    assert {DataError, OptionError, ShapeError, UnknownNameError} <= set(
        NeurographError.__subclasses__()
    )
