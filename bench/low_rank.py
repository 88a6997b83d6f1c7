"""Low-rank noise against its limits: the machine's multiply-adds, networks in memory, and the full-rank search.

    chrt -f 50 python bench/low_rank.py          # half a minute and 6 GB; needs a C compiler
    chrt -f 50 python bench/low_rank.py --large  # and ten million weights

All takes turns in one run, in float32. Figures are medians, and the best of the turns in brackets.
"""

import argparse
import ctypes
import resource
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from pepg_fast import PEPG, LowRankPEPG, NeuralNetwork, kernels

#: Twelve independent chains of multiply-adds, none of which waits for memory.
SOURCE = """
#define LANES (sizeof(vector) / sizeof(float))
#ifdef __AVX512F__
typedef float vector __attribute__((vector_size(64)));
#else
typedef float vector __attribute__((vector_size(32)));
#endif
double multiply_adds(long n, float *out) {
    vector sum[12], a = (vector){0} + out[0], b = (vector){0} + out[1];
    for (int i = 0; i < 12; i++) sum[i] = (vector){0} + (float)i;
    for (long k = 0; k < n; k++)
        for (int i = 0; i < 12; i++) sum[i] = sum[i] * a + b;
    for (int i = 0; i < 12; i++) out[0] += sum[i][0];
    return 12.0 * LANES * n;
}
"""


def peak_of():
    """A function that does multiply-adds on all threads and returns how many it did."""
    folder = Path(tempfile.mkdtemp())
    (folder / "peak.c").write_text(SOURCE)
    flags = ["-O3", "-funroll-loops", "-ffp-contract=fast", "-march=native", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "peak.c", "-o", "peak.so"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "peak.so"))
    library.multiply_adds.restype = ctypes.c_double
    n = kernels.available_threads()

    def run(steps=4_000_000):
        found = []

        def work():
            out = (ctypes.c_float * 2)(0.999, 0.0011)  # which the compiler does not know
            found.append(library.multiply_adds(ctypes.c_long(steps), out))

        threads = [threading.Thread(target=work) for _ in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(found)

    return run


def in_turns(calls, turns):
    """Seconds of each call, median and best."""
    seconds = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(turns):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return {name: (float(np.median(each)), min(each)) for name, each in seconds.items()}


def search_for(sizes, population):
    network = NeuralNetwork(sizes[0], sizes[-1], sizes[1:-1], "tanh")
    rng = np.random.default_rng(0)
    start = (0.02 * rng.standard_normal(network.number_of_parameters)).astype(np.float32)
    inputs = rng.standard_normal((population, sizes[0])).astype(np.float32)
    es = LowRankPEPG(population, start, 0.02, 0.01, structure=network, rng=0, dtype="float32")
    return network, start, inputs, es


def forward(turns):
    network, _, inputs, es = search_for((376, 256, 256, 17), 256)
    theta, peak = es.get_parameters(), peak_of()
    np.testing.assert_allclose(
        es.forward(inputs), network.forward_population(theta, inputs), atol=1e-4
    )
    found = in_turns(
        {
            "peak": peak,
            "low rank": lambda: es.forward(inputs),
            "in memory": lambda: network.forward_population(theta, inputs),
        },
        turns,
    )
    work, most = 256 * network.number_of_parameters, peak(1000) * 1000
    for i, which in enumerate(("median", "best")):
        rate, limit = work / found["low rank"][i], most / found["peak"][i]
        times = found["in memory"][i] / found["low rank"][i]
        print(
            f"forward 256 x (376-256-256-17), {which}: {1e3 * found['low rank'][i]:.2f} ms, "
            f"{rate / 1e9:.1f} of {limit / 1e9:.1f} GMAC/s = {100 * rate / limit:.0f} %; "
            f"{times:.1f} times forward_population"
        )


def generation(turns):
    network, start, inputs, es = search_for((784, 1024, 1024, 10), 512)
    full = PEPG(512, start.size, start, 0.02, 0.01, 0.0, rng=0, dtype="float32")

    def low():
        es.update(es.forward(inputs)[:, 0])

    def high():
        full.update(network.forward_population(full.get_parameters(), inputs)[:, 0])

    low()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = in_turns({"low": low, "high": high}, turns)
    (low_median, low_best), (high_median, high_best) = found["low"], found["high"]
    print(f"generation 512 x (784-1024-1024-10): {1e3 * low_median:.1f} ms ({1e3 * low_best:.1f}), full rank "
          f"{1e3 * high_median:.0f} ms ({1e3 * high_best:.0f}), {high_median / low_median:.1f} times; "
          f"{memory:.0f} MB before the full one")  # fmt: skip


def large(turns):
    network, _, inputs, es = search_for((784, 2760, 2760, 10), 1024)
    found = in_turns({"one": lambda: es.update(es.forward(inputs)[:, 0])}, turns)["one"]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"generation 1024 x (784-2760-2760-10), {network.number_of_parameters / 1e6:.1f} million "
        f"weights: {found[0]:.2f} s ({found[1]:.2f}), 1,000 of them {found[0] * 1000 / 60:.0f} "
        f"minutes; {memory:.0f} MB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    if given.large:
        large(5)
    else:
        forward(40)
        generation(4)
