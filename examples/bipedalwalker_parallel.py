#!/usr/bin/env python3
"""BipedalWalker-v3 on many processes: the parallel example of pepg-es on gymnasium.

    pip install ".[mpi]" "gymnasium[box2d]"
    mpiexec -n 4 python examples/bipedalwalker_parallel.py --generations 100

Every rank evaluates its slice of the population. Only rewards cross the network, and the search is the same on any
number of ranks. The root writes checkpoints, from which another number of ranks can continue (--resume).
"""

import argparse
import time

import gymnasium
import numpy as np

from pepg_fast import PEPG, Checkpoints, NeuralNetwork
from pepg_fast.distributed import MPIRunner


def play(network, seed=None):
    """Return the total reward of one episode, and its number of steps."""
    # A new environment each time: Box2D's world keeps traces of the last episode, and which one that was depends on
    # the number of ranks.
    env = gymnasium.make('BipedalWalker-v3')
    observation, _ = env.reset(seed=seed)
    total_reward, steps, done = 0.0, 0, False
    while not done:
        action = np.clip(network(observation), -1.0, 1.0)
        observation, reward, terminated, truncated, _ = env.step(action.astype(np.float32))
        total_reward += float(reward)
        steps += 1
        done = terminated or truncated
    env.close()
    return total_reward, steps


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--generations', type=int, default=1000, help='generations to train for')
    parser.add_argument('--population-size', type=int, default=256, help='candidates in a generation')
    parser.add_argument('--seed', type=int, default=0, help='seed of the search and of the episodes')
    parser.add_argument('--folder', default='checkpoints-parallel', help='folder for checkpoints')
    parser.add_argument('--resume', action='store_true', help='continue from the latest checkpoint in the folder')
    return parser.parse_args()


def main():
    """Train, then show the result."""
    arguments = parse_arguments()
    env = gymnasium.make('BipedalWalker-v3')
    network = NeuralNetwork(env.observation_space.shape[0],
                            env.action_space.shape[0],
                            [64, 64], hidden_activation=np.tanh)
    env.close()

    with MPIRunner() as runner:
        def search():
            if arguments.resume:
                return PEPG.load_checkpoint(Checkpoints.latest(arguments.folder))
            return PEPG(population_size=arguments.population_size,
                        theta_size=network.number_of_parameters, mu_init=0.0, sigma_init=2.0,
                        mu_lr=0.3, sigma_lr=0.2, rng=arguments.seed)

        es = runner.share(search)

        def walk(solutions, members):
            rewards, steps = np.empty(len(solutions)), np.empty(len(solutions), int)
            for i, solution in enumerate(solutions):
                network.weights = solution
                # one seed for all candidates of a generation: they walk the same ground
                rewards[i], steps[i] = play(network, arguments.seed + es.step)
            return rewards, steps

        prev_time = time.time()

        def report(es, row):
            nonlocal prev_time
            print(f'Step: {es.step}')
            print(f'Step Took: {time.time() - prev_time} seconds on {runner.size} ranks')
            print(f'Max Reward Session: {es.best_fitness}')
            print(f'Max Reward Step: {row["best"]}', flush=True)
            prev_time = time.time()

        runner.run(es, walk, max_steps=arguments.generations,
                   callbacks=[report, Checkpoints(arguments.folder, every=10)])

        if runner.is_root and es.best_theta is not None:
            network.weights = es.best_theta
            print(f'Reward: {play(network)[0]}')


if __name__ == '__main__':
    main()
