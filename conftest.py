"""What all tests share, those in docstrings and documents too."""

# ruff: noqa: E402 (the variables must be set before anything loads NumPy)

import gc
import os
import signal

# one thread for products: the same bits whatever else the machine does
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

from collections.abc import Iterator

import pytest
from hypothesis import settings


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C mean what it means at a terminal: a job in the background begins without it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # the same examples in every run, however long one takes
    settings.register_profile("neurograph", deadline=None, derandomize=True)
    settings.load_profile("neurograph")


def pytest_collection_finish() -> None:
    """Collect garbage seldom, and never look through modules and tests, which stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50)


@pytest.fixture(autouse=True)
def folder_of_its_own(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Run the examples of a document where the files that they write are in nobody's way."""
    if request.node.path.suffix != ".md":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("document"))
        yield
