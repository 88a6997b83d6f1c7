"""Whole episodes in C equal a loop in Python, bit for bit, on any number of threads."""

import ctypes
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from native_library import built

import pepg_fast
from pepg_fast import NeuralNetwork, RecurrentNetwork, Simulation, kernels

NORMAL, NAN_REWARD, INFINITE_OBSERVATION, SLOW, HUGE_REWARD = range(5)
SHAPE = {"state_size": 4, "observation_size": 2, "action_size": 1}

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    return built("walk", tmp_path_factory.mktemp("native"))


@pytest.fixture
def walk(library):
    """Make a Simulation of walk.c."""
    functions = ctypes.CDLL(str(library))

    def make(max_steps=1000, data=None) -> Simulation:
        return Simulation(
            functions.walk_reset, functions.walk_step, max_steps=max_steps, data=data, **SHAPE
        )

    return make


def scrambled(x: int) -> int:
    mask = 2**64 - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def episode(act, seed: int, max_steps: int) -> tuple[float, int, list]:
    """Run one episode in Python; return its return, its steps, and (observation, action, reward) of each step."""
    position, wanted = (
        (scrambled(seed) >> 11) * 2.0**-52 - 1.0,
        3.0 + scrambled((seed + 1) % 2**64) % 40,
    )
    observation, total, seen = [position, 0.0], 0.0, []
    for step in range(1, max_steps + 1):
        action = act(observation)
        position = 0.75 * position + 0.5 * action
        reward = 1.0 - position * position
        seen.append((observation, action, reward))
        observation = [position, step * 0.125]
        total += reward
        if step >= wanted:
            break
    return total, len(seen), seen


def actor(network: NeuralNetwork | RecurrentNetwork, weights: np.ndarray):
    """Return a member's policy for one episode, by the public forward pass, in the width of its weights."""
    memory = [np.zeros((1, network.state_size), weights.dtype)] if network.state_size else []

    def act(observation):
        x = np.array([observation], dtype=weights.dtype)
        return float(network.forward_population(weights[None], x, *memory)[0, 0])

    return act


NETWORKS = {
    "2-1": NeuralNetwork(2, 1, [], output_activation="tanh"),
    "2-3-1": NeuralNetwork(2, 1, [3], "tanh"),
    "2-30-1": NeuralNetwork(2, 1, [30], "relu", "tanh"),  # 121 parameters: the largest one a lane
    "2-32-1": NeuralNetwork(2, 1, [32], "tanh"),  # 129: the smallest beyond
    "2-40-40-1": NeuralNetwork(2, 1, [40, 40], "sigmoid"),
    "softmax": NeuralNetwork(2, 1, [5], "softmax"),
    "no bias": NeuralNetwork(2, 1, [4, 4], "tanh", bias=False),
    "gru": RecurrentNetwork(2, 1, 4),  # 101 parameters, one a lane
    "lstm": RecurrentNetwork(2, 1, 3, "lstm", "tanh"),
    "elman": RecurrentNetwork(2, 1, 20, "elman", bias=False),
    "large gru": RecurrentNetwork(2, 1, 11),
    "large lstm": RecurrentNetwork(2, 1, 9, "lstm"),
}


def members(network: NeuralNetwork | RecurrentNetwork, n: int, dtype=np.float64) -> np.ndarray:
    return (np.random.default_rng(n).normal(size=(n, network.number_of_parameters)) / 2).astype(
        dtype
    )


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_equal_to_a_loop_in_python(walk, network, dtype, isa):
    n, episodes, seed = 3, 2, 11
    solutions = members(network, n, dtype)
    returns, steps = walk(30).evaluate(
        network, solutions, episodes=episodes, seed=seed, return_steps=True
    )
    wanted = [
        [episode(actor(network, weights), seed + e, 30)[:2] for e in range(episodes)]
        for weights in solutions
    ]
    np.testing.assert_array_equal(returns, [sum(r for r, _ in rows) / episodes for rows in wanted])
    np.testing.assert_array_equal(steps, [sum(s for _, s in rows) for rows in wanted])


def test_candidates_of_low_rank_noise_need_not_be_in_memory_together(walk):
    network = NeuralNetwork(2, 1, [9, 8], "tanh")
    whole, parts = (
        pepg_fast.LowRankPEPG(20, 0.1, 0.5, 0.1, structure=network, rank=2, rng=4) for _ in range(2)
    )
    simulation, returns = walk(30), np.empty(20)
    for generation in range(3):
        whole.update(simulation.evaluate(network, whole.get_parameters(), seed=generation))
        for members, candidates in parts.iter_parameters(6):
            returns[members] = simulation.evaluate(network, candidates, seed=generation)
        parts.update(returns)
    np.testing.assert_array_equal(parts.mu, whole.mu)
    assert whole.best_fitness == parts.best_fitness > -np.inf


@pytest.mark.usefixtures("teams")
@pytest.mark.parametrize("name", ["2-3-1", "2-40-40-1", "gru", "large lstm"])
@pytest.mark.parametrize("episodes", [1, 5, 31, 32, 33, 70])
def test_the_same_bits_at_any_number_of_threads(walk, name, episodes, dtype):
    network, sim = NETWORKS[name], walk()
    solutions = members(network, 13, dtype)
    one = sim.evaluate(network, solutions, episodes=episodes, n_threads=1, return_steps=True)
    for n_threads in (2, 3, 7):
        for _ in range(3):
            more = sim.evaluate(
                network, solutions, episodes=episodes, n_threads=n_threads, return_steps=True
            )
            np.testing.assert_array_equal(one, more)
        if kernels.openmp_version():
            assert kernels.last_team() == n_threads


@pytest.mark.parametrize("name", ["2-3-1", "2-40-40-1", "lstm", "large gru"])
def test_a_member_does_not_feel_the_others(walk, name):
    network, sim = NETWORKS[name], walk()
    solutions = members(network, 20)
    together = sim.evaluate(network, solutions, episodes=3, seed=4)
    alone = [sim.evaluate(network, solutions[i : i + 1], episodes=3, seed=4)[0] for i in range(20)]
    np.testing.assert_array_equal(together, alone)


def test_episodes_are_seeded_one_after_the_other_and_alike_for_all(walk):
    network, sim = NETWORKS["2-3-1"], walk()
    twins = np.repeat(members(network, 1), 9, axis=0)
    returns = sim.evaluate(network, twins, episodes=4, seed=100)
    assert len(set(returns)) == 1
    singles = [sim.evaluate(network, twins[:1], seed=100 + e)[0] for e in range(4)]
    assert len(set(singles)) == 4
    assert returns[0] == sum(singles) / 4


def test_each_episode_by_itself(walk):
    network, sim = NETWORKS["2-3-1"], walk()
    solutions = members(network, 5)
    means, totals = sim.evaluate(network, solutions, episodes=3, return_steps=True)
    returns, steps = sim.evaluate(
        network, solutions, episodes=3, return_steps=True, per_episode=True
    )
    assert returns.shape == steps.shape == (5, 3)
    np.testing.assert_array_equal(returns.sum(axis=1) / 3, means)
    np.testing.assert_array_equal(steps.sum(axis=1), totals)


def test_seeds_wrap(walk):
    network, sim = NETWORKS["2-3-1"], walk()
    solution = members(network, 1)
    around = sim.evaluate(network, solution, seed=2**64 - 1, episodes=2)
    ends = [sim.evaluate(network, solution, seed=seed)[0] for seed in (-1, 2**64)]
    assert around[0] == sum(ends) / 2


def test_an_episode_ends_at_max_steps(walk):
    network = NETWORKS["2-3-1"]
    _, steps = walk(3).evaluate(network, members(network, 4), episodes=5, return_steps=True)
    np.testing.assert_array_equal(steps, 15)
    _, steps = walk(1).evaluate(network, members(network, 4), return_steps=True)
    np.testing.assert_array_equal(steps, 1)


@pytest.mark.parametrize("name", ["2-3-1", "2-40-40-1", "softmax", "gru", "large lstm"])
def test_a_rollout_is_an_episode_of_evaluate(walk, name, dtype):
    network, sim = NETWORKS[name], walk(25)
    solution = members(network, 1, dtype)[0]
    observations, actions, rewards = sim.rollout(network, solution, seed=42)
    total, n_steps, seen = episode(actor(network, solution), 42, 25)
    assert observations.shape == (n_steps + 1, 2)
    assert actions.shape == (n_steps, 1)
    np.testing.assert_array_equal(observations[:-1], [o for o, _, _ in seen])
    np.testing.assert_array_equal(actions[:, 0], [a for _, a, _ in seen])
    np.testing.assert_array_equal(rewards, [r for _, _, r in seen])
    assert sim.evaluate(network, solution[None], seed=42)[0] == total == sum(rewards.tolist())


def test_any_real_numbers_are_weights(walk):
    network, sim = NETWORKS["2-3-1"], walk()
    solutions = np.round(members(network, 4) * 4)
    wanted = sim.evaluate(network, solutions)
    for given in (
        solutions.tolist(),
        solutions.astype(int),
        np.asfortranarray(solutions),
        solutions[::-1][::-1],
    ):
        np.testing.assert_array_equal(sim.evaluate(network, given), wanted)


def test_no_members_no_returns(walk):
    network = NETWORKS["2-3-1"]
    returns, steps = walk().evaluate(
        network, np.empty((0, network.number_of_parameters)), return_steps=True
    )
    assert returns.shape == steps.shape == (0,)


def test_a_search_improves(walk):
    network, sim = NETWORKS["2-3-1"], walk(50)
    es = pepg_fast.PEPG(50, network.number_of_parameters, 0.0, 0.5, 0.1, 0.1, rng=1)
    first = sim.evaluate(network, es.mu[None], episodes=50)[0]
    for generation in range(40):
        es.update(sim.evaluate(network, es.get_parameters(), episodes=4, seed=generation * 4))
    assert sim.evaluate(network, es.mu[None], episodes=50)[0] > first


class TestNotFinite:
    """Actions and rewards that are not finite."""

    network = NeuralNetwork(2, 1, [3])  # tanh would make a finite action of an infinite observation

    @pytest.fixture(params=[NAN_REWARD, INFINITE_OBSERVATION], ids=["reward", "action"])
    def sim(self, walk, request) -> Simulation:
        return walk(40, data=np.array([request.param, 0.5]))

    def members(self) -> np.ndarray:
        """Return members that stay near 0, except for member 1, whose reward or action is not finite beyond 0.5."""
        solutions = np.zeros((4, self.network.number_of_parameters))
        solutions[:, :6] = [1, -1, 0, 0, 0, 0]
        solutions[:, 9:11] = [1.0, 1.0]
        solutions[1, -1] = 5.0
        solutions[1, 11] = 1.0
        return solutions

    def test_the_error_names_the_member(self, sim):
        with pytest.raises(RuntimeError, match=r"solutions: member 1 .*seed 7.*1 of 4 members"):
            sim.evaluate(self.network, self.members(), seed=7)

    def test_nan_policy_worst_ranks_the_member_last(self, sim):
        returns = sim.evaluate(self.network, self.members(), seed=7, nan_policy="worst")
        assert returns[1] == -np.inf
        assert np.isfinite(np.delete(returns, 1)).all()

    def test_nan_policy_keep_returns_nan(self, sim, walk):
        returns = sim.evaluate(self.network, self.members(), seed=7, nan_policy="keep")
        assert math.isnan(returns[1])
        fine = walk(40).evaluate(self.network, self.members(), seed=7)
        np.testing.assert_array_equal(np.delete(returns, 1), np.delete(fine, 1))

    def test_a_rollout_ends_at_the_failure(self, sim):
        observations, actions, rewards = sim.rollout(self.network, self.members()[1], seed=7)
        assert len(observations) == len(actions) + 1 == len(rewards) + 1 < 41
        assert np.isnan(rewards[-1])
        assert np.isfinite(rewards[:-1]).all()

    def test_returns_of_both_infinities_have_no_mean(self, walk):
        sim, solutions = walk(data=np.array([HUGE_REWARD, 0.0])), np.zeros((2, 13))
        returns = sim.evaluate(self.network, solutions, episodes=9, per_episode=True)
        assert set(returns.ravel()) == {-np.inf, np.inf}
        with pytest.raises(RuntimeError, match="member 0 has returns of inf and of -inf"):
            sim.evaluate(self.network, solutions, episodes=9)
        worst = sim.evaluate(self.network, solutions, episodes=9, nan_policy="worst")
        np.testing.assert_array_equal(worst, -np.inf)
        assert np.isnan(sim.evaluate(self.network, solutions, episodes=9, nan_policy="keep")).all()


class TestRefuses:
    """Messages name the argument, what was wanted and what was given."""

    network = NeuralNetwork(2, 1, [3], "tanh")

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            (
                {"network": None},
                TypeError,
                "network: wanted a NeuralNetwork or RecurrentNetwork, got NoneType",
            ),
            ({"network": NeuralNetwork(3, 1)}, ValueError, r"network: wanted 2 inputs .*, got 3"),
            ({"network": NeuralNetwork(2, 2)}, ValueError, r"network: wanted 1 outputs .*, got 2"),
            (
                {"network": NeuralNetwork(2, 1, [3], np.sin)},
                TypeError,
                r"native activations \(identity, sigmoid, tanh, relu, softmax\)",
            ),
            (
                {"solutions": np.zeros(13)},
                ValueError,
                r"solutions: wanted shape \(n, 13\), got \(13,\)",
            ),
            ({"solutions": np.zeros((2, 12))}, ValueError, r"solutions: wanted shape \(n, 13\)"),
            ({"solutions": "weights"}, TypeError, "solutions: wanted numbers"),
            ({"episodes": 0}, ValueError, "episodes: wanted at least 1"),
            ({"episodes": 2**62}, ValueError, "episodes: "),
            ({"seed": 0.5}, TypeError, "seed: wanted a whole number"),
            ({"n_threads": 0}, ValueError, "n_threads: wanted at least 1"),
            ({"nan_policy": "ignore"}, ValueError, "nan_policy: wanted 'raise', 'worst' or 'keep'"),
        ],
    )
    def test_bad_arguments(self, walk, change, error, message):
        arguments = {"network": self.network, "solutions": np.zeros((2, 13)), **change}
        with pytest.raises(error, match=message):
            walk().evaluate(**arguments)

    def test_a_rollout_of_many(self, walk):
        with pytest.raises(ValueError, match=r"solution: wanted shape \(13,\), got \(2, 13\)"):
            walk().rollout(self.network, np.zeros((2, 13)))

    @pytest.mark.parametrize("name", ["max_steps", *SHAPE])
    def test_sizes_that_change(self, walk, name):
        sim = walk()
        assert f"{name}={getattr(sim, name)}" in repr(sim)
        with pytest.raises(AttributeError):
            setattr(sim, name, 7)

    def test_pickling(self, walk):
        with pytest.raises(TypeError, match="cannot be pickled"):
            walk().__reduce__()


INTERRUPTED = """
    import ctypes, sys, numpy as np
    from pepg_fast import NeuralNetwork, Simulation
    path, hidden, n, n_threads, seconds, call = sys.argv[1:]
    lib = ctypes.CDLL(path)
    sim = Simulation(lib.walk_reset, lib.walk_step, state_size=4, observation_size=2, action_size=1,
                     max_steps=10**9, data=np.array([3.0, float(seconds)]))
    network = NeuralNetwork(2, 1, [int(hidden)], "tanh")
    solutions = np.zeros((int(n), network.number_of_parameters))
    print("ready", flush=True)
    try:
        if call == "evaluate":
            sim.evaluate(network, solutions, n_threads=int(n_threads))
        else:  # the pass that records
            sim._environment.rollout(network._perceptron, solutions[0], 0, np.empty((10**6 + 1, 2)),
                                     np.empty((10**6, 1)), np.empty(10**6))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("hidden", "n", "n_threads", "seconds", "call"),
    [
        (3, 1, 2, 0.001, "evaluate"),
        (3, 3, 1, 0.001, "evaluate"),
        (40, 3, 1, 0.001, "evaluate"),
        (40, 3, 2, 0.001, "evaluate"),
        (3, 40, 2, 0.2, "evaluate"),
        (3, 1, 1, 0.001, "rollout"),
    ],
)
def test_ctrl_c_ends_a_long_call(library, hidden, n, n_threads, seconds, call):
    """The episodes would take days."""
    arguments = [str(value) for value in (library, hidden, n, n_threads, seconds, call)]
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.2)
            child.send_signal(signal.SIGINT)
            output, _ = child.communicate(timeout=60)
        finally:
            child.kill()
    assert output == "interrupted\n"
