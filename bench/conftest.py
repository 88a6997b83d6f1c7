"""How all benchmarks measure under pytest-benchmark.

Run them with ``pytest bench``, one shape with ``pytest bench -k 256x6020``.
"""

import pytest

from pepg_fast.benchmarks import report


@pytest.fixture
def measure(benchmark):
    """Check on a case that an implementation equals pepg-es, then time it."""

    def check_then_time(operation, impl, case):
        run = operation.checked(impl, case)
        benchmark.group = f"{operation.name} {case}"
        benchmark.extra_info.update(
            report.machine(impl.n_threads), bytes_moved=operation.bytes_moved(impl, case)
        )
        if case.is_large:
            benchmark.pedantic(run, rounds=3, warmup_rounds=1)
        else:
            benchmark(run)

    return check_then_time
