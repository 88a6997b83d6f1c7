"""Interleaved timing: what disturbs the machine disturbs all contenders alike."""

import gc
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)

#: A batch of calls takes at least this long: some 10^5 ticks of the clock, and many calls for a
#: first one with cold caches.
BATCH_SECONDS = 0.02

#: Idle time before a batch. OpenBLAS's threads, which pepg-es starts, continue to spin for 0.1 to 0.2 s
#: after a call and would take a core from the next contender; no program alternates between the two.
SETTLE_SECONDS = 0.3


def interleaved(
    contenders: Mapping[Name, Callable[[], object]], *, rounds: int
) -> dict[Name, float]:
    """Time calls in turn, A B C A B C ..., in `rounds` batches of each.

    Return the median over the batches of the seconds that a call takes, by name.
    """
    n_calls = {name: _calls_per_batch(run) for name, run in contenders.items()}
    seconds: dict[Name, list[float]] = {name: [] for name in contenders}
    gc_was_enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in contenders.items():
                time.sleep(SETTLE_SECONDS)
                seconds[name].append(_batch(run, n_calls[name]) / n_calls[name])
    finally:
        if gc_was_enabled:
            gc.enable()
    return {name: statistics.median(values) for name, values in seconds.items()}


def _calls_per_batch(run: Callable[[], object]) -> int:
    """Calls that make a batch long enough; the first one warms up and does not count."""
    run()
    n = 1
    while (elapsed := _batch(run, n)) < BATCH_SECONDS:
        n = max(2 * n, int(1.2 * n * BATCH_SECONDS / max(elapsed, 1e-9)))
    return n


def _batch(run: Callable[[], object], n: int) -> float:
    """Seconds that `n` calls take."""
    start = time.perf_counter()
    for _ in range(n):
        run()
    return time.perf_counter() - start
