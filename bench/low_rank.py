"""Compare low-rank noise with its limits: the machine's multiply-adds, networks in memory, and the full-rank search.

    chrt -f 50 python bench/low_rank.py          # half a minute and 6 GB; needs a C compiler
    chrt -f 50 python bench/low_rank.py --large 1000  # also a thousand generations with ten million weights

All contenders take turns in one run, in float32. Figures are medians, with the fastest turn in parentheses. A forward
pass is called several times in a turn, as in a generation of episodes. The first call, which finds its data in
memory and the other threads asleep, is reported separately.
"""

import argparse
import ctypes
import resource
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from pepg_fast import PEPG, LowRankPEPG, NeuralNetwork, kernels

#: Twelve independent chains of multiply-adds on each thread, none of which waits for memory, and whose numbers the
#: compiler does not know. Returns how many a second there were, by each thread's own clock.
SOURCE = """
#include <pthread.h>
#include <time.h>
#define LANES (sizeof(vector) / sizeof(float))
#ifdef __AVX512F__
typedef float vector __attribute__((vector_size(64)));
#else
typedef float vector __attribute__((vector_size(32)));
#endif
typedef struct { long n; float numbers[2]; double rate; } work;
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static void *run(void *argument) {
    work *mine = argument;
    vector sum[12], a = (vector){0} + mine->numbers[0], b = (vector){0} + mine->numbers[1];
    for (int i = 0; i < 12; i++) sum[i] = (vector){0} + (float)i;
    const double began = now();
    for (long k = 0; k < mine->n; k++)
        for (int i = 0; i < 12; i++) sum[i] = sum[i] * a + b;
    mine->rate = 12.0 * LANES * (double)mine->n / (now() - began);
    for (int i = 0; i < 12; i++) mine->numbers[0] += sum[i][0];
    return 0;
}
double multiply_adds(long n, int n_threads) {
    pthread_t threads[64];
    work each[64];
    double rate = 0;
    for (int i = 0; i < n_threads; i++) {
        each[i] = (work){n, {0.999f, 0.0011f}, 0};
        if (pthread_create(&threads[i], 0, run, &each[i])) return 0;
    }
    for (int i = 0; i < n_threads; i++) {
        pthread_join(threads[i], 0);
        rate += each[i].rate;
    }
    return rate;
}
"""


def peak_of():
    """Return a function that measures the multiply-adds per second of all threads."""
    folder = Path(tempfile.mkdtemp())
    (folder / "peak.c").write_text(SOURCE)
    flags = [
        "-O3",
        "-funroll-loops",
        "-ffp-contract=fast",
        "-march=native",
        "-shared",
        "-fPIC",
        "-pthread",
    ]
    subprocess.run(["cc", *flags, "peak.c", "-o", "peak.so"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "peak.so"))
    library.multiply_adds.restype = ctypes.c_double
    n = min(kernels.available_threads(), 64)
    return lambda: library.multiply_adds(ctypes.c_long(1_000_000), ctypes.c_int(n))


def in_turns(calls, turns):
    """Return the median and the fastest seconds of each call."""
    seconds = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(turns):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return {name: (float(np.median(each)), min(each)) for name, each in seconds.items()}


#: Forward passes of a turn.
CALLS = 10


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
    peaks = []
    found = in_turns(
        {
            "peak": lambda: peaks.append(peak()),
            "low rank, first": lambda: es.forward(inputs),
            "low rank": lambda: [es.forward(inputs) for _ in range(CALLS)],
            "in memory": lambda: network.forward_population(theta, inputs),
        },
        turns,
    )
    found["low rank"] = tuple(seconds / CALLS for seconds in found["low rank"])
    work, limits = 256 * network.number_of_parameters, (np.median(peaks), max(peaks))
    for i, which in enumerate(("median", "best")):
        rate, limit = work / found["low rank"][i], limits[i]
        times = found["in memory"][i] / found["low rank"][i]
        print(
            f"forward 256 x (376-256-256-17), {which}: {1e3 * found['low rank'][i]:.2f} ms, "
            f"{rate / 1e9:.1f} of {limit / 1e9:.1f} GMAC/s = {100 * rate / limit:.0f} %; "
            f"{times:.1f} times forward_population; "
            f"the first after other work {1e3 * found['low rank, first'][i]:.2f} ms"
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
    began = time.perf_counter()
    found = in_turns({"one": lambda: es.update(es.forward(inputs)[:, 0])}, turns)["one"]
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"generation 1024 x (784-2760-2760-10), {network.number_of_parameters / 1e6:.1f} million "
        f"weights: {found[0]:.2f} s ({found[1]:.2f}); {turns + 1} of them took {seconds:.0f} s, "
        f"{memory:.0f} MB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--large",
        type=int,
        nargs="?",
        const=5,
        metavar="GENERATIONS",
        help="also run this many generations with ten million weights",
    )
    given = parser.parse_args()
    if given.large:
        large(given.large)
    else:
        forward(40)
        generation(4)
