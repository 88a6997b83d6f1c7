"""Fixtures of all tests."""

import gc
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pepg_fast import kernels

# A background job inherits Ctrl-C ignored, and so would its children, which tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def older_objects_are_not_garbage_collected() -> None:
    """Exclude objects of pytest and of earlier modules from garbage collection, which is then faster."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=kernels.isas_usable())
def isa(request) -> Iterator[str]:
    """Run the test on each instruction set that this CPU has."""
    before = kernels.isa()
    kernels.select_isa(request.param)
    yield request.param
    kernels.select_isa(before)


@pytest.fixture
def each_isa() -> Iterator[list[str]]:
    """Return the names of all usable instruction sets; the selection is restored after the test."""
    before = kernels.isa()
    yield kernels.isas_usable()
    kernels.select_isa(before)


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def dtype(request) -> np.dtype:
    """Run the test in both widths."""
    return np.dtype(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator with a fixed seed for the test."""
    return np.random.default_rng(20101)


#: Number of programs that run at the same time; most of them spend half of their time waiting.
AT_ONCE = 3


class Ahead:
    """Run the programs of tests in other processes, several at a time; each test waits for its own program."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders, self._pool = folders, ThreadPoolExecutor(AT_ONCE)
        self._begun: dict[pytest.Item, Any] = {}

    def result(self, item: pytest.Item, items: list[pytest.Item], do: Callable[..., Any]) -> Any:
        """Return the result of `do(item, folder)` for this item; the calls for the other items are started as well."""
        if item not in self._begun:
            for each in items:
                folder = self._folders.mktemp("ahead")
                self._begun[each] = self._pool.submit(do, each, folder)
        return self._begun[item].result()

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def ahead(tmp_path_factory) -> Iterator[Ahead]:
    """Yield the object that the tests of a module share."""
    made = Ahead(tmp_path_factory)
    yield made
    made.end()


@pytest.fixture
def each_case(request, ahead) -> Callable[[Callable[..., Any]], Any]:
    """Return a function that calls a function with a folder and the test's parameters, in a thread.

    The given function starts a process and waits for it. It is called for all cases of the test, `AT_ONCE` at the same
    time, and the result is that of the current case.
    """
    name = request.node.originalname
    cases = [item for item in request.session.items
             if item.path == request.path and getattr(item, "originalname", "") == name]  # fmt: skip

    def result(do: Callable[..., Any]) -> Any:
        return ahead.result(
            request.node, cases, lambda item, folder: do(folder, **item.callspec.params)
        )

    return result


@pytest.fixture
def done(request, ahead) -> Any:
    """Return the result of the function in the test's mark `runs`, which is called with a folder: an ended process.

    The functions of all marked tests of the module are called, `AT_ONCE` at a time and in threads.
    """
    marked = [item for item in request.session.items
              if item.path == request.path and item.get_closest_marker("runs")]  # fmt: skip

    def do(item: pytest.Item, folder: Path) -> Any:
        return item.get_closest_marker("runs").kwargs["do"](folder)

    return ahead.result(request.node, marked, do)


@pytest.fixture
def no_picture() -> Iterator[pytest.MonkeyPatch]:
    """Leave out the picture of training runs, which takes longer to draw than the run; `undo` restores it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pepg_fast.run.plotting.plot_history", lambda *_, **__: None)
        yield patch


@pytest.fixture
def teams() -> Iterator[None]:
    """Use teams of threads for any amount of work, so that tests of threads need little work."""
    kernels.force_teams(True)
    yield
    kernels.force_teams(False)
