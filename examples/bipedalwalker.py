#!/usr/bin/env python3
"""BipedalWalker-v3 with a 24-64-64-4 network: the example of pepg-es on gymnasium.

    pip install "gymnasium[box2d]"
    python examples/bipedalwalker.py --generations 100

Ctrl-C stops early. Either way a checkpoint is saved, and the best network plays one episode.
"""

import argparse
import time

import gymnasium
import numpy as np

from pepg_fast import PEPG, NeuralNetwork


def play(env, network, seed=None):
    """Return the total reward of one episode."""
    observation, _ = env.reset(seed=seed)
    total_reward, done = 0.0, False
    while not done:
        action = np.clip(network(observation), -1.0, 1.0)
        observation, reward, terminated, truncated, _ = env.step(action.astype(np.float32))
        total_reward += float(reward)
        done = terminated or truncated
    return total_reward


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--generations', type=int, default=1000, help='generations to train for (default: %(default)s)')
    parser.add_argument('--population-size', type=int, default=256, help='number of candidates (default: %(default)s)')
    parser.add_argument('--seed', type=int, help='seed of search and episodes (default: another in each run)')
    parser.add_argument('--checkpoint', help='file for the checkpoint (default: checkpoints/<time>.checkpoint)')
    parser.add_argument('--resume', help='checkpoint of a run to continue')
    return parser.parse_args()


def main():
    """Train, then save the result and show it."""
    arguments = parse_arguments()
    env = gymnasium.make('BipedalWalker-v3')
    network = NeuralNetwork(env.observation_space.shape[0],
                            env.action_space.shape[0],
                            [64, 64], hidden_activation=np.tanh)
    if arguments.resume:
        es = PEPG.load_checkpoint(arguments.resume)
    else:
        es = PEPG(population_size=arguments.population_size, theta_size=network.number_of_parameters,
                  mu_init=0.0, sigma_init=2.0,
                  mu_lr=0.3, sigma_lr=0.2, rng=arguments.seed)

    try:
        for _ in range(arguments.generations):
            solutions = es.get_parameters()
            rewards = []
            prev_time = time.time()
            print(f'Step: {es.step}')
            # one seed for all candidates of a generation: they walk the same ground
            seed = None if arguments.seed is None else arguments.seed + es.step
            for solution in solutions:
                network.weights = solution
                rewards.append(play(env, network, seed))
            es.update(rewards)
            print(f'Step Took: {time.time() - prev_time} seconds')
            print(f'Max Reward Session: {es.best_fitness}')
            print(f'Max Reward Step: {np.max(rewards)}')
    except KeyboardInterrupt:
        print('Stopped')
    finally:
        path = es.save_checkpoint(arguments.checkpoint)
        if arguments.checkpoint:
            print(f'Saving checkpoint: {path}')

    if es.best_theta is not None:
        network.weights = es.best_theta
        print(f'Reward: {play(env, network)}')
    env.close()


if __name__ == '__main__':
    main()
