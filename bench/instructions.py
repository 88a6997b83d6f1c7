"""Guard against regressions: count the instructions of operations with valgrind's callgrind.

Run as ``python bench/instructions.py [--check]``. Unlike times, counts repeat on a noisy machine. Each is the
difference between a process that makes the call N times and one that makes none; the AVX2 unit is used, because
valgrind does not support AVX-512. With ``--check``, a count above its limit is an error. The limits are 1.5 times the
counts when they were set, so that only a large regression fails.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SET_UP = """
import numpy as np
from pepg_fast import PEPG, NeuralNetwork
def generation(population, dim):
    es, rewards = PEPG(population, dim, 0.0, 1.0, 0.1, 0.1, rng=0, n_threads=1), list(map(float, range(population)))
    def run():
        es.get_parameters()
        es.update(rewards)
    return run
def forward(sizes, n=None):
    network = NeuralNetwork(sizes[0], sizes[-1], sizes[1:-1], "tanh")
    network.weights, x = np.full(network.number_of_parameters, 0.01), np.ones(sizes[0])
    if n is None:
        return lambda: network(x)
    solutions, inputs = np.full((n, network.number_of_parameters), 0.01), np.ones((n, sizes[0]))
    return lambda: network.forward_population(solutions, inputs, n_threads=1)
"""

#: Operation: how to make it, calls that are counted, limit in instructions a call.
OPERATIONS: dict[str, tuple[str, int, float]] = {
    "generation 100x9": ("generation(100, 9)", 200, 80_000),
    "generation 256x6020": ("generation(256, 6020)", 4, 20_000_000),
    "network(x) 24-64-64-4": ("forward([24, 64, 64, 4])", 200, 15_000),
    "population forward 100 of 2-2-1": ("forward([2, 2, 1], 100)", 100, 84_000),
    "population forward 256 of 24-64-64-4": ("forward([24, 64, 64, 4], 256)", 4, 2_300_000),
}


def instructions(operation: str, calls: int) -> int:
    """Count the instructions of a process that prepares the operation, and calls it once and then `calls` times."""
    code = f"{SET_UP}\nrun = {operation}\nrun()\nfor _ in range({calls}): run()"
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "run.py")
        script.write_text(code)
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={folder}/out",
            sys.executable,
            str(script),
        ]
        settings = {"PEPG_FAST_ISA": "avx2", "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
        run = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
    counted = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or not counted:
        raise RuntimeError(f"valgrind failed:\n{run.stderr[-2000:]}")
    return int(counted[1])


def instructions_a_call(operation: str, calls: int) -> float:
    """Return the instructions of one call of an operation, without its preparation."""
    return (instructions(operation, calls) - instructions(operation, 0)) / calls


def main() -> int:
    """Count, print the counts, and compare them with the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if a count is above its limit"
    )
    check, failed = parser.parse_args().check, False
    operations, calls, limits = zip(*OPERATIONS.values(), strict=True)
    with ThreadPoolExecutor(2) as pool:  # counts do not mind company
        counts = pool.map(instructions_a_call, operations, calls)
        for name, count, limit in zip(OPERATIONS, counts, limits, strict=True):
            failed |= count > limit
            print(f"{name:40} {count:14,.0f} instructions a call, limit {limit:14,.0f}", flush=True)
    return int(check and failed)


if __name__ == "__main__":
    raise SystemExit(main())
