"""Measure the cost of training besides the environments, compared with workers that only step them.

    pip install ".[gym]" "gymnasium[box2d,classic-control]"
    python bench/training.py
    python bench/training.py --env BipedalWalker-v3 --generations 6

Each round has three turns, in the same worker processes: generations of a run that continues from round to round;
episodes with random actions (``action_space.sample()``); and the center's episodes with known actions, which measure
the environment alone, resets included. Episodes of training may be longer than those with random actions, so there may
be fewer resets: the third turn is the strict comparison.
"""

import argparse
import statistics
import time
from concurrent.futures import wait

import numpy as np

from pepg_fast.run.limits import Limits
from pepg_fast.run.loop import run_with
from pepg_fast.training import TrainConfig
from pepg_fast.training import config as configs
from pepg_fast.training.places import InWorkers
from pepg_fast.training.policy import Policy
from pepg_fast.training.rollouts import Task, make_env, registered, remembers
from pepg_fast.training.spaces import Interface
from pepg_fast.training.trainer import Trainer
from pepg_fast.training.workers import Workers

#: Hidden layers with which each environment is trained in docs/results.md.
HIDDEN = {"BipedalWalker-v3": ()}


def step_randomly(task: Task, seconds: float, seed: int) -> tuple[int, float]:
    """Play with random actions; steps, and the time they took."""
    env = make_env(task.env, task.env_args, None)
    env.action_space.seed(seed)
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        if task.new_env:
            env = make_env(task.env, task.env_args, None)
        env.reset(seed=seed + steps)
        done = False
        while not done:
            _, _, terminated, truncated, _ = env.step(env.action_space.sample())
            done = terminated or truncated
            steps += 1
    return steps, time.perf_counter() - began


def step_as_known(task: Task, seconds: float, episodes: list) -> tuple[int, float]:
    """Play episodes whose actions are known; steps, and the time they took."""
    env = make_env(task.env, task.env_args, None)
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for seed, actions in episodes:
            if task.new_env:
                env = make_env(task.env, task.env_args, None)
            env.reset(seed=seed)
            for action in actions:
                env.step(action)
            steps += len(actions)
    return steps, time.perf_counter() - began


def actions_of(policy: Policy, task: Task, seeds: range) -> list:
    """The actions that a policy takes in some episodes."""
    episodes = []
    for seed in seeds:
        env = make_env(task.env, task.env_args, None)
        observation, _ = env.reset(seed=seed)
        actions, done = [], False
        while not done:
            actions.append(policy(observation))
            observation, _, terminated, truncated, _ = env.step(actions[-1])
            done = terminated or truncated
        episodes.append((seed, actions))
    return episodes


def in_all(workers: Workers, function, *arguments) -> float:
    """Run a function in all workers at once; their steps a second together."""
    executors = map(workers.executor_of, range(workers.count))
    futures = [executor.submit(function, *arguments) for executor in executors if executor]
    wait(futures)
    return sum(steps / seconds for steps, seconds in (future.result() for future in futures))


def measured(env_id: str, generations: int, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Steps a second of the three turns, round by round."""
    config = TrainConfig(
        hidden_sizes=HIDDEN.get(env_id, (16, 16)),
        seed=0,
        center_every=0,
        normalize_observations=True,
    )
    config = configs.resolved(config)
    env = make_env(env_id, {}, None)
    interface = Interface.of(env, env_id, config.scale_actions)
    network = configs.make_network(config, interface.observation_size, interface.output_size)
    task = Task(registered(env_id), {}, None, network, interface, remembers(env))
    es = configs.make_search(config, network)
    found: dict[str, list[float]] = {"training": [], "random actions": [], "known actions": []}
    with Workers(task, config.workers) as workers:
        trainer = Trainer(es, config, task, InWorkers(workers), env_id)

        def train_for(steps: int) -> None:
            run_with(es, trainer, Limits(max_steps=steps), trainer)

        train_for(1)  # starts the workers
        for _ in range(rounds):
            before, began = es.interactions, time.perf_counter()
            train_for(generations)
            found["training"].append((es.interactions - before) / (time.perf_counter() - began))
            found["random actions"].append(in_all(workers, step_randomly, task, seconds, 0))
            episodes = actions_of(trainer.policy_file().policy("center"), task, range(3))
            found["known actions"].append(in_all(workers, step_as_known, task, seconds, episodes))
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--env", nargs="+", default=["CartPole-v1", "BipedalWalker-v3"])
    parser.add_argument("--generations", type=int, default=6, help="of training, in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each other turn")
    options = parser.parse_args()
    print(
        "| environment | training, steps/s | random actions | training / random | known actions | training / known |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for env_id in options.env:
        found = measured(env_id, options.generations, options.rounds, options.seconds)
        median = {name: statistics.median(values) for name, values in found.items()}
        ratio = {
            name: statistics.median(np.divide(found["training"], found[name]))
            for name in ("random actions", "known actions")
        }
        print(
            f"| {env_id} | {median['training']:,.0f} | {median['random actions']:,.0f} | "
            f"{ratio['random actions']:.0%} | {median['known actions']:,.0f} | {ratio['known actions']:.0%} |"
        )


if __name__ == "__main__":
    main()
