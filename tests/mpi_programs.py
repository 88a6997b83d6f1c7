"""Programs that test_mpi.py runs on several ranks: ``mpiexec -n N python mpi_programs.py NAME [ARGUMENT ...]``."""

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from distributed_searches import (
    CASES,
    SPLITS,
    Shifting,
    a_search,
    coarse,
    fitness_of,
    judge,
    restarted,
    shifting_by_itself,
    slice_of,
)

from pepg_fast import PEPG, Checkpoints, EvaluationError
from pepg_fast.distributed import MPIRunner, each


def same_on_all(runner, value) -> bool:
    return len(set(runner.comm.allgather(value))) == 1


def bits(folder):
    """Run every case with every strategy; the root writes a checkpoint of each."""
    for split in SPLITS:
        with MPIRunner(split=split) as runner:
            for name in CASES:
                es = a_search(name)
                is_shared = runner.size > 1 and name != "low rank"
                assert runner.strategy(es) == (split if is_shared else "whole")
                runner.run(es, slice_of(name), max_steps=3)
                path = Path(folder, f"{name}-{split}-{runner.rank}")
                es.save_checkpoint(path)
                runner.barrier()


def restarts(folder):
    """Run a search with several attempts; each rank writes its final state."""
    with MPIRunner(split="columns") as runner:
        es = restarted(lambda es, **ends: runner.run(es, each(coarse), **ends))
        es.save_checkpoint(Path(folder, f"end-{runner.rank}"))


def with_large_numbers(solutions, members):
    return judge(solutions), None, {"large": 2**62 + members}


def loop(folder):
    """Call the parts of the runner by hand, with extras, and run a search with callbacks and a center."""
    with MPIRunner() as runner:
        es = a_search("plain")
        for _ in range(3):
            rewards, interactions, extras = runner.evaluate(es, with_extras)
            members = extras["member"]
            assert members.dtype == np.int32
            np.testing.assert_array_equal(members, np.arange(es.population_size))
            assert extras["moments"].shape == (es.population_size, 2, 3)
            assert extras["moments"].dtype == np.float32
            np.testing.assert_array_equal(
                extras["moments"][:, 1, 2], members.astype(np.float32) / 3
            )
            assert extras["is_even"].dtype == bool
            assert interactions == members.sum()
            runner.update(es, rewards)
        assert same_on_all(runner, es.mu.tobytes())
        few = a_search("few")  # of which the root evaluates none
        extras = runner.evaluate(few, with_large_numbers).extras
        np.testing.assert_array_equal(extras["large"], [2**62, 2**62 + 1])
        rows = []
        result = runner.run(
            es, slice_of("plain"), max_steps=4, center_every=2,
            callbacks=[lambda es, row: rows.append(row), Checkpoints(Path(folder, "checkpoints"))],
        )  # fmt: skip
        assert len(rows) == (4 if runner.is_root else 0)
        assert same_on_all(runner, (result.reason, result.step, result.history["center"].tobytes()))
        assert np.isfinite(result.history["center"]).sum() == 2
        # the root's callback, and its clock, end all
        result = runner.run(es, slice_of("plain"), callbacks=lambda es, row: es.step == 9)
        assert (result.reason, es.step) == ("callback", 9)
        result = runner.run(es, slice_of("plain"), time_limit=0.02)
        assert result.reason == "time_limit"
        assert same_on_all(runner, (es.step, es.mu.tobytes()))
        es = a_search("plain")
        runner.run(es, Shifting(), max_steps=4)
        np.testing.assert_array_equal(es.mu, shifting_by_itself(4).mu)
        if runner.is_root:
            print("done", es.step)


def with_extras(solutions, members):
    assert not solutions.flags.writeable
    return (
        judge(solutions),
        members,
        {
            "member": members.astype(np.int32),
            "moments": np.ones((1, 2, 3), np.float32)
            * (members / 3).astype(np.float32)[:, None, None],
            "is_even": members % 2 == 0,
        },
    )


def shared():
    """Check that different searches are refused, and that the root can share its own."""
    with MPIRunner(abort=False) as runner:
        np.random.seed(runner.rank)
        different = PEPG(10, 3, 0.0, 1.0, 0.1, 0.1)
        try:
            runner.run(different, each(fitness_of), max_steps=1)
        except RuntimeError as error:
            message = str(error)
        es = runner.share(PEPG(10, 3, 0.0, 1.0, 0.1, 0.1, rng=runner.rank))
        runner.run(es, each(fitness_of), max_steps=3)
        called = runner.share(lambda: runner.rank + 5)
        assert same_on_all(runner, (es.mu.tobytes(), message))
        runner.barrier()
        if runner.is_root:
            print(called, message, json.dumps(es.mu.tolist()))


def _reversed(es):
    es.mu = np.arange(37.0)[::-1]


def _edited(es):
    es.get_parameters()
    es.theta[3, 4] = 9.0


def _ahead(es):
    es.update(judge(es.get_parameters()))


DIFFERENCES = {
    "mu": (lambda es: setattr(es, "mu", np.arange(37.0)), _reversed),
    "theta": (lambda es: es.get_parameters(), _edited),
    "sigma_lr": (lambda es: None, lambda es: setattr(es, "sigma_lr", 0.2)),
    "step": (lambda es: None, _ahead),
}


def differing():
    """Check that ranks whose searches differ get an error that names a difference, also if one has asked already."""
    with MPIRunner(abort=False) as runner:
        is_odd = runner.rank == 1
        made = {name: a_search("plain") for name in DIFFERENCES}
        for name, changes in DIFFERENCES.items():
            changes[is_odd](made[name])
        made["upper"] = PEPG(14, 37, 0.0, 1.0, 0.1, 0.1, rng=0, lower=-1.0, upper=1.0 + is_odd)
        made["theta_size"] = PEPG(14, 37 + is_odd, 0.0, 1.0, 0.1, 0.1, rng=0)
        made["dtype"] = PEPG(14, 37, 0.0, 1.0, 0.1, 0.1, rng=0, dtype=("f8", "f4")[is_odd])
        for name, es in made.items():
            try:
                runner.evaluate(es, slice_of("plain"))
            except RuntimeError as error:
                message = str(error)
            assert same_on_all(runner, message)
            if runner.is_root:
                print(name, message)
        es = a_search("plain")
        if is_odd:
            es.get_parameters()
        runner.run(es, slice_of("plain"), max_steps=2)
        assert same_on_all(runner, es.mu.tobytes())


def edited():
    """Check that candidates that all ranks changed in the same way are evaluated as changed."""
    with MPIRunner() as runner:
        es = a_search("plain")
        np.clip(es.get_parameters(), -0.2, 0.2, out=es.theta)
        rewards, *_ = runner.evaluate(es, slice_of("plain"))
        np.testing.assert_array_equal(rewards, judge(es.theta))


def first_half(folder):
    """Make some steps with checkpoints, on this number of ranks."""
    with MPIRunner() as runner:
        es = a_search("wide")
        runner.run(
            es, slice_of("wide"), max_steps=3, callbacks=Checkpoints(Path(folder), every=1, keep=9)
        )


def second_half(folder):
    """Continue from the latest checkpoint, which only the root reads."""
    with MPIRunner() as runner:
        es = runner.share(lambda: PEPG.load_checkpoint(Checkpoints.latest(folder)))
        runner.run(es, slice_of("wide"), max_steps=6 - es.step)
        es.save_checkpoint(Path(folder, f"end-{runner.rank}"))


def killed(folder):
    """Let the root die in step 2, after the rewards have arrived and before the update."""
    with MPIRunner() as runner:
        es = a_search("wide")

        def tell(*arguments):
            if runner.is_root and es.step == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            MPIRunner._tell(runner, *arguments)

        runner._tell = tell
        runner.run(es, slice_of("wide"), max_steps=6, callbacks=Checkpoints(Path(folder), every=1))


def futures():
    """Call `PEPG.run` with mpi4py's executor, as ``python -m mpi4py.futures`` starts it."""
    from mpi4py.futures import MPIPoolExecutor

    es = a_search("plain")
    with MPIPoolExecutor() as executor:
        es.run(fitness_of, max_steps=3, executor=executor)
        print(executor.num_workers, json.dumps(es.mu.tolist()))


# ---- failures ---------------------------------------------------------------------------------


def on_rank(rank, broken):
    """Return an evaluation of slices that fails on one rank, in step 1."""

    def run(folder, **options):
        with MPIRunner(**options) as runner:
            es = a_search("plain")

            def evaluate(solutions, members):
                if runner.rank == rank and es.step == 1:
                    return broken(solutions)
                return judge(solutions)

            callbacks = Checkpoints(Path(folder))
            with contextlib.suppress(KeyboardInterrupt):
                result = runner.run(es, evaluate, max_steps=3, callbacks=callbacks)
                print(f"rank {runner.rank} ended: {result.reason} at {result.step}", flush=True)

    return run


def raises(solutions):
    raise ValueError("the simulator is out of order")


def interrupted(solutions):
    raise KeyboardInterrupt


def exits(solutions):
    os._exit(7)


raising = on_rank(1, raises)
nan = on_rank(1, lambda solutions: np.full(len(solutions), np.nan))
wrong_count = on_rank(1, lambda solutions: np.zeros(len(solutions) + 1))
mixed = on_rank(1, lambda solutions: (judge(solutions), 3))
interrupt = on_rank(1, interrupted)
leaving = on_rank(1, lambda solutions: sys.exit(0))
dying = on_rank(1, exits)


def slow(folder):
    on_rank(1, lambda solutions: time.sleep(60))(folder, timeout=0.3)


def slow_root(folder):
    on_rank(0, lambda solutions: time.sleep(60))(folder, timeout=0.3)


def elsewhere(folder):
    """Raise an error in the program, outside the runner."""
    with MPIRunner() as runner:
        if runner.rank == 1:
            raise KeyError("mine")
        runner.barrier()


def caught(folder):
    """Check that all ranks raise the error without abort, and can continue."""
    runner = MPIRunner(abort=False)
    es = a_search("plain")
    is_broken = [True]

    def evaluate(solutions, members):
        if runner.rank == 1 and es.step == 1 and is_broken.pop():
            raise ValueError("the simulator is out of order")
        return judge(solutions)

    try:
        runner.run(es, evaluate, max_steps=3)
    except EvaluationError as error:
        first = error
    assert isinstance(first.__cause__, ValueError)
    assert first.result.step == 1
    is_broken[:] = [False, False]
    runner.run(es, evaluate, max_steps=2)
    assert same_on_all(runner, (first.index, es.mu.tobytes()))
    runner.barrier()
    if runner.is_root:
        print(first.index, json.dumps(es.mu.tolist()))


def share_leaves():
    """Let the root end instead of making the search."""
    with MPIRunner() as runner:
        runner.share(lambda: sys.exit(0))


def _trained(**options):
    """Train on all ranks, without using the runner as a context."""
    from pepg_fast.training import TrainConfig, train

    config = TrainConfig(
        hidden_sizes=(), population_size=4, seed=1, max_steps=10**6, center_every=0
    )
    return train("envs:Slow-v0", config, runner=MPIRunner(), **options)


def train_callback():
    """Let a callback of the root raise an exception."""

    def raising(es, row):
        raise ValueError("the disk is full")

    _trained(callbacks=raising)


def train_signal(folder):
    """Send SIGTERM to a rank other than the root."""
    rank = MPIRunner().rank
    Path(folder, str(rank)).write_text(str(os.getpid()))

    def begun(es, row):
        if es.step == 3:
            os.kill(int(Path(folder, "1").read_text()), signal.SIGTERM)

    result = _trained(callbacks=begun)
    print(f"rank {rank} ended: {result.reason}", flush=True)


def train_signals(which):
    """Send two signals to one rank during an update after which the center is evaluated."""
    from pepg_fast.training import TrainConfig, train
    from pepg_fast.training.trainer import Trainer

    runner = MPIRunner()
    tell = Trainer.tell

    def interrupted(self, es, *more):
        tell(self, es, *more)
        if es.step == 2 and runner.rank == int(which):
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)

    Trainer.tell = interrupted
    config = TrainConfig(
        hidden_sizes=(), population_size=4, seed=1, max_steps=10**6, center_every=1
    )
    result = train("envs:Walk-v0", config, runner=runner)
    print(f"rank {runner.rank} ended: {result.reason} at {result.step}", flush=True)


def train_closes(folder):
    """Check that each rank closes its environments when the run ends."""
    import envs

    from pepg_fast.training import TrainConfig, train

    config = TrainConfig(
        hidden_sizes=(), population_size=8, seed=1, max_steps=2, env_args={"folder": folder}
    )
    runner = MPIRunner()
    train(envs.Shows, config, runner=runner)
    runner.barrier()
    if runner.is_root:
        print(len(list(Path(folder).iterdir())), "left")


def train_elsewhere(folder):
    """Check that the root's working folder counts, even if other ranks have none and the environment leaves it."""
    import envs

    from pepg_fast.training import TrainConfig, train

    runner = MPIRunner()
    here = Path(folder, str(runner.rank))
    here.mkdir()
    os.chdir(here)
    if not runner.is_root:
        here.rmdir()

    def env():
        return envs.Wanders("reset", str(Path(folder, "elsewhere")))

    for steps in (2, 4):
        if runner.is_root:
            os.chdir(here)
        config = TrainConfig(hidden_sizes=(), population_size=8, seed=1, max_steps=steps)
        result = train(env, config, folder="run", resume=steps == 4, runner=runner)
    print(result.folder == Path(folder, "0", "run"), flush=True)


if __name__ == "__main__":
    chosen = globals()[sys.argv[1]]
    chosen(*sys.argv[2 : 2 + chosen.__code__.co_argcount])  # some want no folder
