"""What this machine can do, whatever our code does: memory, arithmetic, and the time that a thread takes to wake up."""

import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from .. import kernels
from .._types import Array

ROUNDS = 7

#: Size, in float64 numbers, of the array that is written and read: larger than the caches of most machines.
LARGE, QUICK = 100_000_000, 25_000_000

#: Rows of the square matrices that are multiplied: the largest that OpenBLAS multiplies on one thread.
MATRIX = 64

#: How long a thread sleeps before it is woken (longer than any thread spins), and how many times.
SLEEP, WAKE_UPS = 0.005, 50


class Host(NamedTuple):
    """Figures of this machine at the time of measurement."""

    #: Bytes per second written to and read from warm memory, on as many threads as the kernels use, with the fastest of
    #: NumPy's operations.
    write: float
    read: float
    #: Floating-point operations per second of one core, from NumPy's float32 product of 64x64 matrices.
    flops: float
    #: Seconds to draw a normal into a cache, on as many threads as the kernels use; n d times that is the limit of a
    #: generation of n pairs of d parameters, however fast the memory is.
    draw: float
    #: Median seconds from waking a sleeping thread until it runs.
    wake_up: float
    #: Number of threads that the kernels use.
    threads: int

    def __str__(self) -> str:
        return (
            f"memory {self.write / 1e9:.0f} GB/s written and {self.read / 1e9:.0f} GB/s read on {self.threads} "
            f"thread{'s' if self.threads > 1 else ''}; {self.flops / 1e9:.0f} GFLOP/s on one core; "
            f"{self.draw * 1e9:.2f} ns per normal; a thread wakes up in {self.wake_up * 1e6:.0f} µs"
        )


def measured(*, quick: bool = False) -> Host:
    """Measure this machine, which takes a few seconds."""
    write, read = bandwidths(QUICK if quick else LARGE)
    return Host(write, read, flops(), seconds_to_draw(), wake_up(), kernels.available_threads())


def fastest(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the seconds of the fastest call: a limit is what the machine can do, not what it usually does."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def on_all_threads(work: Callable[[Array], object], array: Array, rounds: int = ROUNDS) -> float:
    """Return the seconds that `work` takes on an array that is split into one part for each thread."""
    n = kernels.available_threads()
    parts = np.array_split(array.reshape(-1), n)
    with ThreadPoolExecutor(n) as pool:
        return fastest(lambda: list(pool.map(work, parts)), rounds)


def seconds_to_read(array: Array, rounds: int = ROUNDS) -> float:
    """Return the seconds that the fastest way to read an array takes."""
    return min(
        on_all_threads(work, array.reshape(-1)[: array.size // 2 * 2].view("f8"), rounds)
        for work in (np.max, np.add.reduce, lambda a: a.view("i8").max())
    )


def seconds_to_write(array: Array, rounds: int = ROUNDS) -> float:
    """Return the seconds that the fastest way to write an array takes."""
    return min(
        on_all_threads(work, array, rounds)
        for work in (lambda a: a.fill(1.0), lambda a: a.view("u1").fill(1))
    )


def bandwidths(size: int = LARGE) -> tuple[float, float]:
    """Return the bytes per second written to and read from warm memory, with an array of `size` float64 numbers."""
    array = np.ones(size)
    return array.nbytes / seconds_to_write(array), array.nbytes / seconds_to_read(array)


def flops() -> float:
    """Return the floating-point operations per second of one core; a multiplication and an addition count as two."""
    a = np.full((MATRIX, MATRIX), 0.5, np.float32)
    product = np.empty_like(a)

    def many() -> None:
        for _ in range(1000):
            np.matmul(a, a, out=product)

    return 1000 * 2 * MATRIX**3 / fastest(many)


def seconds_to_draw() -> float:
    """Return the seconds that a normal takes if memory does not matter."""
    noise, times = np.empty((64, 4096), np.float32), 20

    def many() -> None:
        for generation in range(times):
            kernels.normals(1, generation, 0, noise)

    return fastest(many) / (times * noise.size)


def wake_up() -> float:
    """Return the median seconds from waking a sleeping thread until it runs."""
    asleep, awake = threading.Semaphore(0), threading.Semaphore(0)
    woken = []

    def sleeper() -> None:
        for _ in range(WAKE_UPS):
            asleep.acquire()
            woken.append(time.perf_counter())
            awake.release()

    thread = threading.Thread(target=sleeper, daemon=True)
    thread.start()
    called = []
    for _ in range(WAKE_UPS):
        time.sleep(SLEEP)
        called.append(time.perf_counter())
        asleep.release()
        awake.acquire()
    thread.join()
    return statistics.median(late - early for early, late in zip(called, woken, strict=True))
