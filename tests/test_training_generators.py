"""Environments that draw from global generators: workers seed these generators, and other processes do not."""

import contextlib
import random
import sys
import types

import numpy as np
import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("loky")
import envs
from test_training_rollouts import task

from pepg_fast import NeuralNetwork
from pepg_fast.training import TrainConfig, generators, score, train
from pepg_fast.training.generation import Generation
from pepg_fast.training.playing import play
from pepg_fast.training.policy import Policy
from pepg_fast.training.rollouts import Asked, EpisodeError, Rollouts
from pepg_fast.training.spaces import Interface
from pepg_fast.training.workers import Workers

CASES = [
    {"when": when, "source": source}
    for when in ("init", "reset", "step")
    for source in ("np.random", "random")
]


@pytest.fixture(autouse=True)
def generators_as_before():
    """Restore the generators after the test."""
    before = np.random.get_state(), random.getstate()
    yield
    np.random.set_state(before[0])
    random.setstate(before[1])


def weights_for(what, n):
    return np.random.default_rng(5).normal(size=(n, what.network.number_of_parameters))


def returns_of(what, seeds, n_workers):
    weights = weights_for(what, len(seeds))
    with Workers(what, n_workers) as workers:
        return workers.run(weights, Generation(what, seeds[:, None], None, False)).returns


def in_a_worker(what, seeds, weights):
    """Do in this process what a worker process does."""
    return Rollouts(what, is_worker=True).run(Asked(weights, seeds, None, True))


@pytest.mark.parametrize("new_env", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_episode_in_a_worker_is_a_function_of_its_seed(case, new_env):
    what = task(envs.Draws, env_args=case, new_env=new_env)
    seeds = np.array([3, 2**40, 5, 3, 7])
    weights = np.tile(weights_for(what, 1), (5, 1))
    together = in_a_worker(what, seeds, weights)
    one_by_one = [in_a_worker(what, seeds[i : i + 1], weights[:1]) for i in range(5)]
    assert together.returns.tolist() == [one.returns[0] for one in one_by_one]
    np.testing.assert_equal(together.statistics, [one.statistics[0] for one in one_by_one])
    assert together.returns[0] == together.returns[3]
    plain = Rollouts(task()).run(Asked(weights, seeds, None, False))
    noise = (together.returns - plain.returns) / (1 if case["when"] == "step" else plain.lengths)
    assert (noise != 0.0).all()
    if case["when"] != "init" or new_env:
        assert len(np.unique(noise.round(9))) == 4
    rollouts = Rollouts(what, is_worker=True)  # earlier episodes have no effect
    rollouts.run(Asked(weights[:2], seeds[:2], None, False))
    assert rollouts.run(Asked(weights[2:], seeds[2:], None, False)).returns.tolist() == (
        together.returns[2:].tolist()
    )


@pytest.mark.parametrize("source", ["np.random", "random"])
def test_the_results_do_not_depend_on_the_number_of_workers(source):
    what = task(envs.Draws, env_args={"source": source})
    seeds = np.arange(40)
    expected = returns_of(what, seeds, 1)
    for n_workers in (2, 3):
        assert returns_of(what, seeds, n_workers).tobytes() == expected.tobytes()


def test_one_that_seeds_them_itself_has_the_same_episodes_everywhere():
    what = task(envs.Draws, env_args={"seeds_itself": True})
    weights, seeds = weights_for(what, 9), np.arange(9)
    with pytest.warns(UserWarning, match="draws from the global generator of np.random"):
        here = Rollouts(what).run(Asked(weights, seeds, None, False)).returns
    there = in_a_worker(what, seeds, weights).returns
    assert there.tolist() == here.tolist()
    assert len(np.unique(there)) == 9


def test_an_error_in_a_worker_is_that_of_the_same_episode():
    class Trips(envs.Draws):
        def step(self, action):
            if np.random.random() < 0.02:
                raise ZeroDivisionError("the walker tripped")
            return super().step(action)

    what = task(Trips)
    weights, seeds = weights_for(what, 20), np.arange(20)

    def tripped(lo):
        with pytest.raises(EpisodeError, match="the walker tripped") as caught:
            in_a_worker(what, seeds[lo:], weights[lo:])
        assert caught.value.index + lo == caught.value.seed
        return caught.value.seed

    first = tripped(0)
    assert all(tripped(lo) == first for lo in range(first + 1))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_in_the_callers_process_it_is_noticed_and_nothing_is_seeded(case, monkeypatch):
    monkeypatch.setattr(generators, "seed", lambda number: pytest.fail("seeded"))
    what = task(envs.Draws, env_args=case)
    rollouts, weights = Rollouts(what), weights_for(what, 3)
    with pytest.warns(UserWarning, match="draws from") as caught:
        rollouts.run(Asked(weights, np.arange(3), None, False))
    rollouts.run(Asked(weights, np.arange(3), None, False))  # and not again
    assert len(caught) == 1
    text = str(caught[0].message)
    for word in ("Draws: ", f"generator of {case['source']},", "number of workers", "np_random"):
        assert word in text
    assert caught[0].filename == __file__


def test_others_keep_their_bits_and_the_generators_theirs():
    what = task()
    weights, seeds = weights_for(what, 9), np.arange(9)
    before = generators.states()
    expected = Rollouts(what).run(Asked(weights, seeds, None, False))
    assert generators.states() == before
    assert in_a_worker(what, seeds, weights).returns.tobytes() == expected.returns.tobytes()


def test_scores_and_training_runs_say_so_too():
    config = TrainConfig(population_size=4, hidden_sizes=(), max_steps=2, workers=0, seed=1,
                         normalize_observations=True)  # fmt: skip
    with pytest.warns(UserWarning, match="Draws: the environment draws") as caught:
        result = train(envs.Draws, config)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="Draws: the environment draws"):
        score(result.policy, envs.Draws, episodes=3, workers=0)


@pytest.mark.parametrize("is_actor", [False, True])
def test_rays_actors_are_workers_and_ranks_are_not(is_actor):
    what = task(envs.Draws)
    work = Generation(what, np.arange(3)[:, None], None, False)
    work.take_over(None, is_worker=is_actor)
    told = contextlib.nullcontext() if is_actor else pytest.warns(UserWarning, match="draws from")
    with told:
        fitness, _, _ = work(weights_for(what, 3), np.arange(3))
    work.close()
    expected = in_a_worker(what, np.arange(3), weights_for(what, 3)).returns
    assert (fitness.tolist() == expected.tolist()) == is_actor


def test_an_episode_that_is_played_is_reported_once():
    policy = Policy(NeuralNetwork(2, 1), Interface.of(envs.Draws(), "env", True), env_id="Draws-v0")
    policy.network.weights = np.zeros(3)
    with pytest.warns(UserWarning, match="Draws-v0: the environment draws") as caught:
        assert len(list(play(policy, 2, 0, None))) == 2
    assert len(caught) == 1


class Torch:
    """The part of torch that is used."""

    state = 5

    @classmethod
    def manual_seed(cls, number):
        cls.state = number

    @classmethod
    def get_rng_state(cls):
        return types.SimpleNamespace(numpy=lambda: np.array([cls.state]))


def test_torch_counts_if_somebody_has_imported_it(monkeypatch):
    assert set(generators.states()) == {"np.random", "random"}
    monkeypatch.setitem(sys.modules, "torch", Torch)
    before = generators.states()
    assert generators.drawn_between(before, generators.states()) == []
    generators.seed(7)
    assert set(generators.drawn_between(before, generators.states())) == {
        "np.random",
        "random",
        "torch",
    }


def test_what_is_drawn_from_torch_as_soon_as_it_is_imported_is_seeded_too(monkeypatch):
    class Imports(envs.Walk):
        def step(self, action):
            monkeypatch.setitem(sys.modules, "torch", Torch)
            Torch.state += 1
            observation, reward, *rest = super().step(action)
            return observation, reward + Torch.state, *rest

    what = task(Imports)
    weights, seeds = weights_for(what, 5), np.arange(5)
    expected = [
        in_a_worker(what, seeds[i : i + 1], weights[i : i + 1]).returns[0] for i in range(5)
    ]
    monkeypatch.delitem(sys.modules, "torch")
    assert in_a_worker(what, seeds, weights).returns.tolist() == expected
