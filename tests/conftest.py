"""What the tests of this folder share: the peers they are checked against."""

import warnings

import pytest


@pytest.fixture(scope="session")
def keras(tmp_path_factory):
    """Return Keras on PyTorch, loaded only when a test asks for it."""
    pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        found = pytest.importorskip("keras")
    if found.backend.backend() != "torch":
        pytest.skip("Keras was loaded with another backend")
    found.config.disable_traceback_filtering()
    return found


@pytest.fixture(scope="module")
def keras_float64(keras):
    """Yield Keras with float64 as its type of number."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield keras
    keras.config.set_floatx(before)
    keras.config.set_dtype_policy(before)
