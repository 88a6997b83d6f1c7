#!/usr/bin/env python3
"""CartPole in C: compiled on first use, loaded with ctypes, trained without Python in the episodes.

    python train.py --seed 0
"""

import argparse
import ctypes
import os
import subprocess
import time
from pathlib import Path

SOURCE = Path(__file__).with_name('cartpole.c')
SOLVED = 475.0  # mean return from which gymnasium calls CartPole-v1 solved


def build(library=None, compiler=None):
    """Compile cartpole.c into `library` (by default in the same folder) unless that is newer; return its path."""
    library = Path(library or SOURCE.with_suffix('.so'))
    if not library.exists() or library.stat().st_mtime < SOURCE.stat().st_mtime:
        # A program that has opened the old library keeps it, because the new one is another file.
        unfinished = library.with_name(f'{library.name}.{os.getpid()}')
        subprocess.run([compiler or os.environ.get('CC', 'cc'), '-O3', '-shared', '-fPIC',
                        str(SOURCE), '-o', str(unfinished), '-lm'], check=True)
        os.replace(unfinished, library)
    return library


def load(library):
    """Return the functions (reset, step) of a compiled library, with their types."""
    loaded = ctypes.CDLL(str(library))
    numbers = ctypes.POINTER(ctypes.c_double)
    reset, step = loaded.cartpole_reset, loaded.cartpole_step
    reset.argtypes = [numbers, numbers, ctypes.c_uint64, ctypes.c_void_p]
    reset.restype = None
    step.argtypes = [numbers, numbers, numbers, numbers, ctypes.c_void_p]
    step.restype = ctypes.c_int
    return reset, step


def simulation(library=None):
    """Return CartPole-v1 as a `pepg_fast.Simulation`, compiled into `library`."""
    from pepg_fast import Simulation

    reset, step = load(build(library))
    return Simulation(reset, step, state_size=4, observation_size=4, action_size=1, max_steps=500)


def train(sim, *, seed=0, generations=100, population_size=64, episodes=4):
    """Search until the mean policy balances the pole; return the search and its last mean return."""
    from pepg_fast import PEPG, NeuralNetwork

    network = NeuralNetwork(4, 1, [16], hidden_activation='tanh')
    es = PEPG(population_size, network.number_of_parameters, mu_init=0.0, sigma_init=0.5,
              mu_lr=0.1, sigma_lr=0.1, rng=seed)
    score = 0.0
    for generation in range(generations):
        # All candidates of a generation get the same episodes; the next generation gets others.
        returns = sim.evaluate(network, es.get_parameters(), episodes=episodes,
                               seed=generation * episodes)
        es.update(returns)
        if es.step % 5 == 0:
            score = sim.evaluate(network, es.mu[None], episodes=100, seed=2**32)[0]
            print(f'Generation {es.step}: best {returns.max():.1f}, mean {returns.mean():.1f}, '
                  f'center {score:.1f}')
            if score >= SOLVED:
                break
    return es, score


def main():
    """Train and print how long it took."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--seed', type=int, default=0, help='seed of the search')
    parser.add_argument('--generations', type=int, default=100, help='generations at most')
    arguments = parser.parse_args()
    sim = simulation()
    begun = time.perf_counter()
    _, score = train(sim, seed=arguments.seed, generations=arguments.generations)
    verdict = 'Solved' if score >= SOLVED else 'Not solved'
    print(f'{verdict} after {time.perf_counter() - begun:.2f} seconds')


if __name__ == '__main__':
    main()
