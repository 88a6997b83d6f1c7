#!/usr/bin/env python3
"""HalfCheetah on MuJoCo's C library: compiled on first use, trained without Python in the episodes.

    python train.py --folder runs/cheetah --time-limit 60
"""

import argparse
import ctypes
import os
import subprocess
import weakref
from pathlib import Path

SOURCE = Path(__file__).with_name('cheetah.c')
NUMBERS = ctypes.POINTER(ctypes.c_double)


class World(ctypes.Structure):
    """The struct `cheetah` of cheetah.c."""

    _fields_ = [('model', ctypes.c_void_p), ('starts', NUMBERS), ('n_starts', ctypes.c_int64)]


def build(library=None, compiler=None):
    """Compile cheetah.c against the Python package `mujoco`; return the path of the library."""
    import mujoco

    library, package = Path(library or SOURCE.with_suffix('.so')), Path(mujoco.__file__).parent
    if not library.exists() or library.stat().st_mtime < SOURCE.stat().st_mtime:
        unfinished = library.with_name(f'{library.name}.{os.getpid()}')
        (mujoco_library,) = package.glob('libmujoco.so.*')
        subprocess.run([compiler or os.environ.get('CC', 'cc'), '-O3', '-ffp-contract=off', '-shared', '-fPIC',
                        f'-I{package / "include"}', str(SOURCE), str(mujoco_library), f'-Wl,-rpath,{package}',
                        '-o', str(unfinished), '-lm'], check=True)
        os.replace(unfinished, library)
    return library


def model_file():
    """Return the path of the model in gymnasium."""
    import gymnasium.envs.mujoco as environments

    return Path(environments.__file__).with_name('assets') / 'half_cheetah.xml'


def simulation(library=None, starts=None, xml=None):
    """Return HalfCheetah-v5 as a `pepg_fast.Simulation`; episodes begin at rows of `starts` (n, 18), if given."""
    import numpy as np

    from pepg_fast import Simulation

    loaded, world, error = ctypes.CDLL(str(build(library))), World(), ctypes.create_string_buffer(1000)
    if not loaded.cheetah_load(ctypes.byref(world), os.fsencode(xml or model_file()), error, len(error)):
        raise RuntimeError(f'xml: {error.value.decode()}')
    if starts is not None:
        world.kept = starts = np.ascontiguousarray(starts, float)
        world.starts, world.n_starts = starts.ctypes.data_as(NUMBERS), len(starts)
    made = Simulation(
        loaded.cheetah_reset, loaded.cheetah_step, state_size=1, observation_size=17, action_size=6, max_steps=1000,
        data=ctypes.pointer(world), make_context=loaded.cheetah_make_context,
        free_context=loaded.cheetah_free_context, low=-1.0, high=1.0,
    )
    weakref.finalize(made, loaded.cheetah_unload, ctypes.byref(world))
    return made


def main():
    from pepg_fast.training import TrainConfig, train

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--folder', help="folder for the run's files")
    parser.add_argument('--resume', action='store_true', help='continue the run in the folder')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--max-steps', type=int, help='number of generations')
    parser.add_argument('--time-limit', type=float, help='number of seconds')
    asked = parser.parse_args()
    config = TrainConfig(seed=asked.seed, max_steps=asked.max_steps, time_limit=asked.time_limit,
                         normalize_observations=True, hidden_sizes=(), population_size=64)
    result = train(simulation(), config, folder=asked.folder, resume=asked.resume, progress=True)
    print(f'{result.interactions} steps, {result.interactions / result.seconds:.0f} a second; '
          f'best center {result.best_center.score if result.best_center else float("nan"):.0f}')


if __name__ == '__main__':
    main()
