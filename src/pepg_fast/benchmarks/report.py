"""Facts about the machine, units and Markdown."""

import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from .._config import show_config


def cpu_model() -> str:
    """Return the CPU's model name, if the system reports it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return platform.processor() or platform.machine()


def machine(n_threads: int | None = None) -> dict[str, object]:
    """Return the facts that figures depend on besides the code."""
    config = show_config("dicts") or {}
    return {
        "pepg_fast": config["version"],
        "isa": config["isa_unit_chosen"],
        "threads": n_threads or config["threads"],
        "cpu": cpu_model(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def machine_line() -> str:
    """Return the facts of `machine` as a line of text."""
    return (
        "pepg_fast {pepg_fast} ({isa}, {threads} threads) on {cpu}; Python {python}, NumPy {numpy}"
    ).format(**machine())


def duration(seconds: float) -> str:
    """Format seconds with three significant digits in a suitable unit.

    >>> duration(0.00123456)
    '1.23 ms'
    """
    return _with_unit(seconds, {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9})


def data_size(n_bytes: int) -> str:
    """Format bytes with three significant digits in a suitable unit.

    >>> data_size(36_987_654)
    '37.0 MB'
    """
    return _with_unit(n_bytes, {"GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0})


def ratio(value: float) -> str:
    """Format a factor with three significant digits.

    >>> ratio(12.345)
    '12.3x'
    """
    return f"{_three_digits(value)}x"


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]], *, n_text: int = 1) -> str:
    """Return a Markdown table: `n_text` columns of text, then columns of numbers, aligned to the right."""
    return "\n".join([*markdown_head(columns, n_text=n_text), *map(markdown_row, rows)])


def seconds_table(title: str, seconds: Mapping[str, Mapping[str, float]], ours: str) -> str:
    """Return a table of the seconds of each task and implementation, and of their ratios to those of `ours`."""
    names = next(iter(seconds.values()))
    rows = [
        [name, *(cell for each in seconds.values() for cell in (duration(each[name]), ratio(each[name] / each[ours])))]
        for name in names
    ]  # fmt: skip
    return markdown([title, *(text for task in seconds for text in (task, "ratio"))], rows)


def markdown_head(columns: Sequence[str], *, n_text: int = 1) -> list[str]:
    """Return the first two lines of a Markdown table."""
    rule = ["---" if i < n_text else "---:" for i in range(len(columns))]
    return [markdown_row(columns), markdown_row(rule)]


def markdown_row(cells: Sequence[str]) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _with_unit(value: float, units: Mapping[str, float]) -> str:
    """Format a value in the largest unit that it reaches, or else in the smallest."""
    unit, size = next(
        ((unit, size) for unit, size in units.items() if value >= 0.9995 * size),
        list(units.items())[-1],
    )
    return f"{_three_digits(value / size)} {unit}"


def _three_digits(value: float) -> str:
    """Format with three significant digits, or with all digits before the point if there are more."""
    digits = next((n for n, limit in ((2, 9.995), (1, 99.95)) if value < limit), 0)
    return f"{value:.{digits}f}"
