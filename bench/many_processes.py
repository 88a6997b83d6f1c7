"""Compare a search over MPI and Ray with one process, and with the approach of pepg-es, which sends populations.

Run as ``python bench/many_processes.py`` (``pip install ".[bench,mpi,ray]"``); it starts ``mpiexec`` itself and takes
about five minutes. The rival is the parallel example of pepg-es: the root draws the population, sends each rank its
part, receives the rewards and updates alone. It uses this package's PEPG here, so that only the approach differs.
Before anything is printed, all approaches must end with the same bits. Bytes are counted by the loopback interface,
with Open MPI restricted to TCP.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pepg_fast import PEPG, kernels
from pepg_fast.benchmarks.report import data_size, duration, machine_line, markdown
from pepg_fast.distributed.state import fingerprint
from pepg_fast.search.gradients import GradientWork

SHAPES = ((256, 6020), (64, 1_000_000))
RANKS = (1, 2, 4)
SLEEPERS = (1, 2, 4, 8, 16)
#: Batches of generations, of which the fastest counts: other programs' share of the processors is not ours.
BATCHES = 5
#: Members of each sleeper and what each sleeps.
MEMBERS, NAP = 8, 0.01

LOOPBACK = Path("/sys/class/net/lo/statistics/rx_bytes")


def a_search(population_size: int, theta_size: int) -> PEPG:
    """The search that is timed, on one thread a process."""
    return PEPG(population_size, theta_size, 0.0, 1.0, 0.1, 0.1, rng=0, n_threads=1)


def trivial(solutions, members):
    """Return a fitness that takes almost no time."""
    return solutions[:, 0] - solutions[:, -1]


def naps(solutions, members):
    """Return a fitness after a pause that needs no processor."""
    time.sleep(NAP * len(solutions))
    return trivial(solutions, members)


def fastest(advance, generations: int, between=lambda: None) -> float:
    """Return the seconds of a generation in the fastest of several batches."""
    batch, seconds = max(1, generations // BATCHES), []
    for _ in range(BATCHES):
        between()
        began = time.perf_counter()
        advance(batch)
        between()
        seconds.append((time.perf_counter() - began) / batch)
    return min(seconds)


def state_of(es: PEPG) -> str:
    """Return a checksum of the search distribution."""
    return hashlib.sha256(es.mu.tobytes() + es.sigma.tobytes()).hexdigest()[:16]


# ---- on the ranks -----------------------------------------------------------------------------


def as_the_original(runner, es: PEPG, generations: int) -> None:
    """Run the approach of pepg-es: the root draws, sends, receives and updates."""
    comm, n, root = runner.comm, runner.size, runner.is_root
    ends = [es.population_size * i // n for i in range(n + 1)]
    mine = ends[runner.rank + 1] - ends[runner.rank]
    for _ in range(generations):
        if root:
            solutions = es.get_parameters()
            for rank in range(1, n):
                comm.Send(solutions[ends[rank] : ends[rank + 1]], dest=rank)
            rewards = np.empty(es.population_size)
            rewards[: ends[1]] = trivial(solutions[: ends[1]], None)
            for rank in range(1, n):
                comm.Recv(rewards[ends[rank] : ends[rank + 1]], source=rank)
            es.update(rewards)
        else:
            part = np.empty((mine, es.theta_size))
            comm.Recv(part, source=0)
            comm.Send(np.ascontiguousarray(trivial(part, None)), dest=0)


def inside(way: str, population_size: int, theta_size: int, generations: int) -> None:
    """Run one rank; the root prints the seconds and bytes of a generation."""
    from pepg_fast.distributed import MPIRunner

    split = way if way in ("whole", "columns") else "auto"
    with MPIRunner(split=split) as runner:
        es = a_search(population_size, theta_size)

        def advance(n: int) -> None:
            if way == "original":
                as_the_original(runner, es, n)
            else:
                runner.run(es, naps if way == "naps" else trivial, max_steps=n)

        advance(2)
        runner.barrier()
        before = int(LOOPBACK.read_text())
        advance(BATCHES)
        runner.barrier()
        moved = (int(LOOPBACK.read_text()) - before) / BATCHES
        seconds = fastest(advance, generations, runner.barrier)
        if runner.is_root:
            print(
                json.dumps(
                    {
                        "seconds": seconds,
                        "bytes": moved,
                        "state": state_of(es),
                        "way": runner.strategy(es),
                    }
                )
            )


def constants_inside() -> None:
    """Measure the seconds of a small collective call, and of each byte in a large one."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    small, large = np.zeros(5, np.int64), np.zeros(4_000_000)
    all_small, all_large = np.empty((comm.size, 5), np.int64), np.empty((comm.size, large.size))
    result = {}
    for name, mine, whole, n in (("call", small, all_small, 2000), ("byte", large, all_large, 10)):
        comm.Allgather(mine, whole)
        comm.Barrier()
        began = time.perf_counter()
        for _ in range(n):
            comm.Allgather(mine, whole)
        result[name] = (time.perf_counter() - began) / n
    result["byte"] /= large.nbytes * (comm.size - 1) or 1
    if comm.rank == 0:
        print(json.dumps(result))


# ---- around them ------------------------------------------------------------------------------


def mpiexec(n: int, *arguments: object, tcp: bool = False) -> dict:
    """Run this file on n ranks; return the output of the root."""
    own = Path(sys.executable).with_name("mpiexec")
    launcher = str(own) if own.exists() else shutil.which("mpiexec")
    if launcher is None:
        raise SystemExit('no mpiexec: pip install ".[mpi]"')
    environment = os.environ | {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMP_NUM_THREADS": "1",
    }
    if tcp:
        environment |= {
            "OMPI_MCA_pml": "ob1",
            "OMPI_MCA_btl": "tcp,self",
            "OMPI_MCA_btl_tcp_if_include": "lo",
        }
    command = [launcher, "-n", str(n), sys.executable, __file__, "--inside", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def by_itself(population_size: int, theta_size: int, generations: int) -> dict:
    """Run the search by `PEPG.run` in this process."""
    es = a_search(population_size, theta_size)

    def fitness(solutions):
        return trivial(solutions, None)

    def advance(n: int) -> None:
        es.run(fitness, max_steps=n, vectorized=True)

    advance(2 + BATCHES)
    return {"seconds": fastest(advance, generations), "bytes": 0, "state": state_of(es)}


def over_ray(
    n: int, population_size: int, theta_size: int, generations: int, fitness=trivial
) -> dict:
    """Run the search by a `RayRunner` with n workers on this machine's cluster."""
    from pepg_fast.distributed import RayRunner

    with RayRunner(n, num_cpus=0.1) as runner:
        es = a_search(population_size, theta_size)
        runner.run(es, fitness, max_steps=2)
        while any(worker.n_told is None for worker in runner._workers):  # all have the search
            runner._hire()
            time.sleep(0.2)
            runner.run(es, fitness, max_steps=1)
        es = a_search(population_size, theta_size)

        def advance(n: int) -> None:
            runner.run(es, fitness, max_steps=n)

        advance(2)
        before = int(LOOPBACK.read_text())
        advance(BATCHES)
        moved = (int(LOOPBACK.read_text()) - before) / BATCHES
        seconds = fastest(advance, generations)
        return {"seconds": seconds, "bytes": moved, "state": state_of(es)}


def start_ray() -> None:
    """Start a cluster on this machine whose workers can import from this folder."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=4, include_dashboard=False, object_store_memory=2**29, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}},
    )  # fmt: skip


def same_state(results: dict) -> None:
    """Check that searches are equal, before they are compared."""
    states = {name: result["state"] for name, result in results.items()}
    if len(set(states.values())) != 1:
        raise SystemExit(f"not the same bits: {states}")


def table_of_ways(
    population_size: int, theta_size: int, generations: int, *, with_ray: bool
) -> str:
    """Return the table of seconds and bytes of a generation with a trivial fitness, for each approach."""
    shape = population_size, theta_size, generations
    results = {("one process, PEPG.run", 1): by_itself(*shape)}
    wire: dict = {}
    for n in RANKS:
        for way in ("original", "whole", "columns", "auto") if n > 1 else ("original", "auto"):
            results[way, n] = mpiexec(n, way, *shape)
            if n > 1:
                wire[way, n] = mpiexec(n, way, *shape, tcp=True)
    for n in RANKS if with_ray else ():
        results["Ray", n] = over_ray(n, *shape)
    same_state(results)
    same_state(results | wire)
    alone = results["one process, PEPG.run", 1]["seconds"]
    rows = []
    for (way, n), result in results.items():
        moved = (
            wire[way, n]["bytes"] if (way, n) in wire else result["bytes"] if way == "Ray" else 0
        )
        name = f"auto ({result['way']})" if way == "auto" else way
        rows.append(
            [name, str(n), duration(result["seconds"]), duration(max(0.0, result["seconds"] - alone)),
             data_size(int(moved)) if moved else "-"]
        )  # fmt: skip
    head = ["variant", "processes", "a generation", "over one process", "bytes a generation"]
    return f"{population_size}x{theta_size} (all rows have bit-identical results)\n\n{markdown(head, rows)}\n"


def table_of_sleepers(*, with_ray: bool) -> str:
    """Return the table of weak scaling: each worker has the same number of members, whose fitness sleeps."""
    rows = []
    for n in SLEEPERS:
        shape = MEMBERS * n, 6020, 2 * BATCHES
        seconds = [mpiexec(n, "naps", *shape)["seconds"]]
        if with_ray:
            seconds.append(over_ray(n, *shape, fitness=naps)["seconds"])
        row = [str(n), str(MEMBERS * n)]
        for value in seconds:
            row += [duration(value), f"{100 * MEMBERS * NAP / value:.1f} %"]
        rows.append(row)
    head = ["workers", "members", "MPI, a generation", "efficiency"]
    head += ["Ray, a generation", "efficiency"] if with_ray else []
    return f"{MEMBERS} members a worker, {duration(NAP)} each, d = 6020\n\n{markdown(head, rows)}\n"


def seconds_of_the_rest(d: int = 2_000_000) -> dict[str, float]:
    """Return the seconds per parameter of an update without the noise, and of what runners add."""
    es = a_search(2, d)
    taken: dict[str, float] = {}

    def timed(name: str, call) -> None:
        began = time.perf_counter()
        call()
        taken[name] = min(taken.get(name, np.inf), (time.perf_counter() - began) / d)

    for _ in range(5):
        es.get_parameters(members=slice(0, 0))
        timed("the rest of an update", lambda: es.update([0.0, 1.0]))
        es.get_parameters(members=slice(0, 0))
        timed(
            "the rest, gradients given", lambda: es.update([0.0, 1.0], gradients=GradientWork.whole)
        )
        timed("checking that all have the same search", lambda: fingerprint(es))
    return taken


def share_of_checking(dtype) -> float:
    """Return the share of a 64x1,000,000 generation that the check for equal searches takes (medians, interleaved)."""
    es, rewards = PEPG(64, 1_000_000, 0.0, 1.0, 0.1, 0.1, rng=0, dtype=dtype), np.arange(64.0)
    checks, generations = [], []
    for _ in range(12):
        began = time.perf_counter()
        fingerprint(es)
        checks.append(time.perf_counter() - began)
        es.get_parameters()
        es.update(rewards)
        generations.append(time.perf_counter() - began - checks[-1])
    return float(np.median(checks[2:]) / np.median(generations[2:]))


def table_of_constants() -> str:
    """Return the table of constants of the cost model in docs/scaling.md."""
    n_pairs, d = 64, 200_000
    weights, drawn = np.zeros((2, n_pairs)), np.ones((2, d))
    rows = []
    for dtype in (np.float64, np.float32):
        state = drawn.astype(dtype)
        g, theta = np.empty((2, d), dtype), np.empty((n_pairs, d), dtype)
        calls = {
            "make a candidate": lambda s=state, t=theta: kernels.sample_side(1, 1, 0, False, s, t, 1),
            "draw again and add to both gradients":
                lambda s=state, g=g: kernels.gradients(1, 1, None, None, weights, s, *g, 1),
        }  # fmt: skip
        for name, call in calls.items():
            call()
            times = []
            for _ in range(5):
                began = time.perf_counter()
                call()
                times.append(time.perf_counter() - began)
            rows.append(
                [
                    f"{name}, {np.dtype(dtype)}, one thread",
                    f"{1e9 * min(times) / n_pairs / d:.2f} ns a normal",
                ]
            )
    for name, per_coordinate in seconds_of_the_rest().items():
        rows.append([f"{name}, float64, one thread", f"{1e9 * per_coordinate:.1f} ns a parameter"])
    for dtype in (np.float64, np.float32):
        share = share_of_checking(dtype)
        rows.append(
            [f"the same, 64x1000000, {np.dtype(dtype)}", f"{100 * share:.1f} % of a generation"]
        )
    for tcp in (False, True):
        for n in (2, 4):
            measured = mpiexec(n, "constants", tcp=tcp)
            where = "TCP, loopback" if tcp else "shared memory"
            rows.append([f"a collective call, {where}, {n} ranks", duration(measured["call"])])
            rows.append(
                [f"a byte received, {where}, {n} ranks", f"{1e9 * measured['byte']:.2f} ns"]
            )
    return markdown(["constant", "measured"], rows)


def main() -> None:
    """Read the command line, measure, print."""
    if sys.argv[1:2] == ["--inside"]:
        if sys.argv[2] == "constants":
            return constants_inside()
        return inside(sys.argv[2], *map(int, sys.argv[3:]))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--no-ray", action="store_true", help="measure only MPI")
    parser.add_argument(
        "--generations", type=int, default=50, help="timed generations (default: 50)"
    )
    options = parser.parse_args()
    with_ray = not options.no_ray
    if with_ray:
        start_ray()
    print(f"{machine_line()}; a thread a process, {os.cpu_count()} processors.\n")
    print(table_of_constants(), end="\n\n", flush=True)
    for population_size, theta_size in SHAPES:
        generations = (
            options.generations if theta_size < 100_000 else max(BATCHES, options.generations // 5)
        )
        print(
            table_of_ways(population_size, theta_size, generations, with_ray=with_ray), flush=True
        )
    print(table_of_sleepers(with_ray=with_ray))
    return None


if __name__ == "__main__":
    main()
