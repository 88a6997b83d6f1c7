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
def nothing_old_is_searched_for_garbage() -> None:
    """Collecting garbage looks at what the module makes, not at what pytest and every library before it hold."""
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
    """Names to select within a test; the choice is put back afterward."""
    before = kernels.isa()
    yield kernels.isas_usable()
    kernels.select_isa(before)


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def dtype(request) -> np.dtype:
    """Both widths."""
    return np.dtype(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    """The test's own random numbers."""
    return np.random.default_rng(20101)


#: Programs that run at a time: most of them wait for others half of their time.
AT_ONCE = 3


class Ahead:
    """Run the programs of tests in other processes, several at a time; a test waits for its own and checks it."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders, self._pool = folders, ThreadPoolExecutor(AT_ONCE)
        self._begun: dict[pytest.Item, Any] = {}

    def result(self, item: pytest.Item, items: list[pytest.Item], do: Callable[..., Any]) -> Any:
        """What `do(item, folder)` returns for this item; that of the others begins, if it has not."""
        if item not in self._begun:
            for each in items:
                folder = self._folders.mktemp("ahead")
                self._begun[each] = self._pool.submit(do, each, folder)
        return self._begun[item].result()

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def ahead(tmp_path_factory) -> Iterator[Ahead]:
    """Shared by the tests of a module."""
    made = Ahead(tmp_path_factory)
    yield made
    made.end()


@pytest.fixture
def each_case(request, ahead) -> Callable[[Callable[..., Any]], Any]:
    """Call it with a function of a folder and the test's parameters, which starts a process and waits for it.

    It returns what the function does for this case. The function is called for all cases of the test, `AT_ONCE` at a
    time and in threads.
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
    """What the function of a folder in the test's mark `runs` returns: a process that has ended.

    The functions of all marked tests of the module are called, `AT_ONCE` at a time and in threads.
    """
    marked = [item for item in request.session.items
              if item.path == request.path and item.get_closest_marker("runs")]  # fmt: skip

    def do(item: pytest.Item, folder: Path) -> Any:
        return item.get_closest_marker("runs").kwargs["do"](folder)

    return ahead.result(request.node, marked, do)


@pytest.fixture
def no_picture() -> Iterator[pytest.MonkeyPatch]:
    """Training runs without their picture, which takes longer to draw than they do; `undo` brings it back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pepg_fast.run.plotting.plot_history", lambda *_, **__: None)
        yield patch


@pytest.fixture
def teams() -> Iterator[None]:
    """Use teams of threads for any amount of work, so that a test of threads has them."""
    kernels.force_teams(True)
    yield
    kernels.force_teams(False)
