"""The build configuration, the choice of an instruction set, and the effects of forks and threads."""

import os
import subprocess
import sys

import pytest

import pepg_fast
from pepg_fast import kernels


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_show_config_prints_what_it_returns(capsys):
    assert pepg_fast.show_config() is None
    printed = capsys.readouterr().out
    facts = pepg_fast.show_config(mode="dicts")
    for name in ("version", "compiler", "isa_unit_chosen", "threads"):
        assert str(facts[name]) in printed
    assert (
        facts["isa_units_usable"][-1] == facts["isa_unit_chosen"] or "PEPG_FAST_ISA" in os.environ
    )


def test_show_config_refuses_another_mode():
    with pytest.raises(ValueError, match="mode: wanted 'stdout' or 'dicts', got 'yaml'"):
        pepg_fast.show_config(mode="yaml")


@pytest.mark.parametrize("isa", kernels.isas_usable())
def test_the_environment_forces_an_instruction_set(isa):
    run = python("from pepg_fast import kernels; print(kernels.isa())", PEPG_FAST_ISA=isa)
    assert run.stdout.strip() == isa, run.stderr


def test_an_unknown_instruction_set_fails_the_import_and_says_why():
    run = python("import pepg_fast", PEPG_FAST_ISA="avx3")
    assert run.returncode != 0
    assert "ImportError: PEPG_FAST_ISA: wanted one of baseline" in run.stderr
    assert "got 'avx3'" in run.stderr


def test_select_isa_names_the_usable_units():
    with pytest.raises(ValueError, match="isa: wanted one of baseline"):
        kernels.select_isa("avx3")


def test_threads_follow_openmp():
    run = python(
        "from pepg_fast import kernels; print(kernels.available_threads())", OMP_NUM_THREADS="3"
    )
    assert run.stdout.strip() == ("3" if kernels.openmp_version() else "1")


def test_the_import_loads_numpy_and_little_else():
    """It may take 1.15 times as long as `import numpy`; other modules are loaded when they are used."""
    run = python(  # dataclasses load what some versions of NumPy do, and others do not
        "import sys, numpy, dataclasses; before = set(sys.modules); import pepg_fast;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = {
        name
        for name in run.stdout.split()
        if not name.startswith(("pepg_fast", "_cython", "cython"))
    }
    assert len(loaded) < 8, loaded
    assert not loaded & {
        "numpy.random",
        "zipfile",
        "json",
        "hashlib",
        "argparse",
        "scipy",
        "matplotlib",
    }


AFTER_A_TEAM = """
import os, numpy as np
from pepg_fast import PEPG
def generation(es):
    es.update(-(es.get_parameters() ** 2).sum(axis=1) + np.arange(es.population_size))
    return es.mu
es = PEPG(64, 20000, 0.5, 1.0, 0.1, 0.1, rng=1, n_threads=4)
generation(es)
"""

CHILDREN = {
    "os.fork": """
import copy
wanted = copy.deepcopy(es)
pid = os.fork()
if pid == 0:
    same = np.array_equal(generation(es), generation(wanted))
    os._exit(0 if same and np.isfinite(es.mu).all() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
""",
    "multiprocessing.Pool": """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    results = pool.map(generation, [es, es, es])
wanted = generation(es)
assert all(np.array_equal(result, wanted) for result in results)
""",
    "fork in a thread": """
import threading
codes = []
def fork():
    pid = os.fork()
    if pid == 0:
        generation(es)
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
thread = threading.Thread(target=fork); thread.start(); thread.join()
assert codes == [0]
""",
    "spawn": """
import concurrent.futures, multiprocessing
with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as pool:
    assert pool.submit(len, es.get_parameters()).result() == 64
""",
}


@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_of_a_process_that_ran_a_team_does_not_hang(child):
    run = python(AFTER_A_TEAM + CHILDREN[child] + "\ngeneration(es); print('done')")
    assert run.stdout.strip() == "done", run.stderr


def test_threads_can_each_drive_a_search():
    run = python(
        AFTER_A_TEAM + "from concurrent.futures import ThreadPoolExecutor\n"
        "make = lambda seed: PEPG(64, 20000, 0.5, 1.0, 0.1, 0.1, rng=seed)\n"
        "wanted = [generation(make(seed)) for seed in range(8)]\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    got = list(pool.map(generation, [make(seed) for seed in range(8)]))\n"
        "assert all(map(np.array_equal, got, wanted)); print('done')"
    )
    assert run.stdout.strip() == "done", run.stderr
