"""Several episodes at a time equal single episodes."""

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
import envs  # noqa: E402

from pepg_fast import NeuralNetwork, RecurrentNetwork  # noqa: E402
from pepg_fast.training.normalization import Normalizer, Statistics, merged  # noqa: E402
from pepg_fast.training.policy import Policy  # noqa: E402
from pepg_fast.training.rollouts import (  # noqa: E402
    Asked,
    EpisodeError,
    Rollouts,
    Task,
    make_env,
    remembers,
    with_version,
)
from pepg_fast.training.spaces import Interface  # noqa: E402

NORMALIZER = Normalizer(np.array([1.0, 0.5]), np.array([0.2, 3.0]), 2.0)


def task(env=envs.Walk, hidden=(4,), **changes):
    made = make_env(env, {}, None)
    interface = Interface.of(made, "env", True)
    network = NeuralNetwork(interface.observation_size, interface.output_size, hidden, "tanh")
    return Task(env, **({"env_args": {}, "max_episode_steps": None, "network": network,
                         "interface": interface} | changes))  # fmt: skip


def one_by_one(task, weights, seeds, normalizer):
    """Return the returns, lengths and observations of the simplest loop."""
    env = make_env(task.env, task.env_args, task.max_episode_steps)
    returns, lengths, seen = [], [], []
    for row, seed in zip(weights, seeds, strict=True):
        task.network.weights = row
        policy = Policy(task.network, task.interface, normalizer)
        observation, _ = env.reset(seed=int(seed))
        total, steps, done, mine = 0.0, 0, False, []
        while not done:
            mine.append(np.asarray(observation, float).ravel())
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total, steps, done = total + reward, steps + 1, terminated or truncated
        returns.append(total)
        lengths.append(steps)
        seen.append(np.array(mine))
    return np.array(returns), np.array(lengths), seen


@pytest.mark.parametrize("env", [envs.Walk, envs.Turns, "Walk-v0", "CartPole-v1"])
@pytest.mark.parametrize("normalizer", [None, NORMALIZER], ids=["as they are", "normalized"])
def test_together_they_are_what_they_are_one_by_one(env, normalizer, rng):
    if normalizer is not None and env in (envs.Turns, "CartPole-v1"):
        normalizer = Normalizer(np.full(4, 0.3), np.full(4, 2.0), 3.0)
    what = task(env)
    weights = rng.normal(size=(9, what.network.number_of_parameters))
    seeds = rng.integers(1000, size=9)
    returns, lengths, seen = one_by_one(what, weights, seeds, normalizer)
    episodes = Rollouts(what).run(Asked(weights, seeds, normalizer, True))
    np.testing.assert_array_equal(episodes.returns, returns)
    np.testing.assert_array_equal(episodes.lengths, lengths)
    everything = np.concatenate(seen)
    statistics = merged(Statistics.none(everything.shape[1]), episodes.statistics)
    assert statistics.count == len(everything)
    np.testing.assert_allclose(statistics.mean, everything.mean(axis=0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("cell", "hidden"), [("gru", 3), ("lstm", 7), ("elman", 5)])
def test_each_episode_has_a_memory_of_its_own(cell, hidden, rng):
    """This holds even if another episode fails after the others have passed through the network."""
    what = task(network=RecurrentNetwork(2, 1, hidden, cell), on_failure="worst")
    weights = rng.normal(size=(9, what.network.number_of_parameters))
    seeds = rng.integers(1000, size=9)
    returns, lengths, _ = one_by_one(what, weights, seeds, NORMALIZER)
    weights[4], returns[4], lengths[4] = np.nan, np.nan, 0
    rollouts = Rollouts(what)
    for _ in range(2):
        episodes = rollouts.run(Asked(weights, seeds, NORMALIZER, True))
        np.testing.assert_array_equal(episodes.returns, returns)
        np.testing.assert_array_equal(episodes.lengths, lengths)
    alone = rollouts.run(Asked(weights[2:3], seeds[2:3], NORMALIZER))
    np.testing.assert_array_equal(alone.returns, returns[2:3])


def test_environments_are_reused_without_a_trace(rng):
    what = task()
    weights = rng.normal(size=(5, what.network.number_of_parameters))
    rollouts = Rollouts(what)
    first = rollouts.run(Asked(weights, np.arange(5), None, False))
    rollouts.run(Asked(weights[::-1].copy(), np.arange(7, 12), None, False))
    again = rollouts.run(Asked(weights, np.arange(5), None, False))
    np.testing.assert_array_equal(first.returns, again.returns)
    assert first.statistics is None


def test_new_environments_where_a_reset_leaves_something_behind():
    """The world of BipedalWalker outlives a reset, but earlier episodes must have no effect."""
    pytest.importorskip("Box2D")
    assert remembers(make_env("BipedalWalker-v3", {}, None))
    assert not remembers(make_env("CartPole-v1", {}, None))
    what = task("BipedalWalker-v3", (), new_env=True, max_episode_steps=150)
    weights = 0.3 * np.random.default_rng(0).normal(size=(6, what.network.number_of_parameters))
    rollouts = Rollouts(what)
    first = rollouts.run(Asked(weights, np.arange(6), None, False))
    again = rollouts.run(Asked(weights[::-1].copy(), np.arange(6)[::-1], None, False))
    np.testing.assert_array_equal(first.returns, again.returns[::-1])


def test_a_shift_is_in_the_fitness_alone(rng):
    what = task()
    weights = rng.normal(size=(3, what.network.number_of_parameters))
    episodes = Rollouts(what).run(Asked(weights, np.arange(3), None, False))
    np.testing.assert_allclose(
        episodes.fitness(-0.5), episodes.returns - 0.5 * episodes.lengths, rtol=1e-15
    )


def test_a_floor_is_in_the_fitness_alone(rng):
    what = task(reward_floor=-0.5)
    weights = rng.normal(size=(6, what.network.number_of_parameters))
    episodes = Rollouts(what).run(Asked(weights, np.arange(6), None, False))
    plain = Rollouts(task()).run(Asked(weights, np.arange(6), None, False))
    np.testing.assert_array_equal(episodes.returns, plain.returns)
    env = envs.Walk()
    for row, seed, fitness in zip(weights, range(6), episodes.fitness(0.25), strict=True):
        what.network.weights = row
        policy = Policy(what.network, what.interface)
        observation, _ = env.reset(seed=seed)
        expected, done = 0.0, False
        while not done:
            observation, reward, done, _, _ = env.step(policy(observation))
            expected += max(reward, -0.5) + 0.25
        assert fitness == pytest.approx(expected, rel=1e-12)


def test_an_environment_that_raises_is_named_by_episode_and_seed():
    what = task(envs.Raises, env_args={"which": 7})
    weights = np.zeros((4, what.network.number_of_parameters))
    rollouts = Rollouts(what)
    with pytest.raises(
        EpisodeError, match=r"ZeroDivisionError: the walker tripped .*seed 14"
    ) as caught:
        rollouts.run(Asked(weights, np.array([12, 13, 14, 15]), None, False))
    assert (caught.value.index, caught.value.seed) == (2, 14)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    # The next episodes get new environments.
    assert len(rollouts.run(Asked(weights, np.arange(1, 5), None, False)).returns) == 4


def test_a_reward_of_nan_is_an_error():
    what = task(envs.GivesNaN)
    with pytest.raises(EpisodeError, match="a reward is NaN"):
        Rollouts(what).run(
            Asked(np.zeros((1, what.network.number_of_parameters)), np.array([3]), None, False)
        )


def test_max_episode_steps_cuts_episodes_of_both_kinds_of_environment():
    for env in (envs.Walk, "Walk-v0", "CartPole-v1"):
        what = task(env, max_episode_steps=5)
        weights = np.zeros((2, what.network.number_of_parameters))
        assert Rollouts(what).run(Asked(weights, np.arange(2), None, False)).lengths.tolist() == [
            5,
            5,
        ]


@pytest.mark.parametrize(
    ("env", "arguments", "message"),
    [
        ("NoSuchThing-v3", {}, r"env: cannot make 'NoSuchThing-v3'"),
        ("a:b:c", {}, r"env: wanted an environment's id, .* got 'a:b:c'"),
        (".a:Walk-v0", {}, r"env: wanted an environment's id, .* got '.a:Walk-v0'"),
        ("no_such_module:Thing-v0", {}, r"no_such_module"),
        ("CartPole-v1", {"colour": 3}, r"env_args: CartPole-v1 does not take .*colour"),
    ],
)
def test_an_environment_that_cannot_be_made_is_reported(env, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_env(env, arguments, None)


def shown(**args):
    """Run episodes of an environment with a given observation or reward."""
    what = task(envs.Shows, env_args=args)
    weights = np.ones((2, what.network.number_of_parameters))
    return Rollouts(what).run(Asked(weights, np.arange(2), None, False))


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (np.array([np.nan, 0.0]), "ValueError: observation: wanted finite numbers, got nan at index 0"),
        (np.array([0.0, -np.inf]), "observation: wanted finite numbers, got -inf at index 1"),
        (1.0, r"ValueError: observation: wanted 2 numbers, got shape \(\)"),
        (np.zeros(1), r"observation: wanted 2 numbers, got shape \(1,\)"),
        (np.zeros(3), r"observation: wanted 2 numbers, got shape \(3,\)"),
        (np.zeros(1, np.float32), r"observation: wanted 2 numbers, got shape \(1,\)"),
        (["1", "2"], "TypeError: observation: wanted numbers"),
        (np.zeros(2, complex), "TypeError: observation: wanted numbers"),
        (np.ma.array([1.0, 2.0], mask=[True, False]), "wanted numbers, got 1 masked"),
        ([None, 1.0], "observation: wanted"),
        (np.array(["1", "2"], object), "TypeError: observation: wanted numbers"),
        (np.zeros(2, "m8[s]"), "TypeError: observation: wanted numbers"),
        ({}, "TypeError: observation: wanted numbers"),
    ],
)  # fmt: skip
def test_an_observation_that_no_policy_can_have_is_an_error(observation, message):
    with pytest.raises(EpisodeError, match=message) as caught:
        shown(observation=observation)
    assert (caught.value.index, caught.value.seed) == (0, 0)
    assert isinstance(caught.value.__cause__, ValueError | TypeError)


@pytest.mark.parametrize("kind", [list, tuple, lambda pair: np.array([pair], np.int8)])
def test_observations_of_other_types_are_accepted(kind):
    plain = shown(observation=np.array([3.0, 4.0], np.float32))
    np.testing.assert_array_equal(shown(observation=kind([3, 4])).returns, plain.returns)


def test_observations_whose_squares_overflow_are_refused_where_statistics_are_taken():
    what = task(envs.Shows, env_args={"observation": np.array([0.0, 1e101])})
    weights = np.zeros((2, what.network.number_of_parameters))
    assert len(Rollouts(what).run(Asked(weights, np.arange(2), None, False)).returns) == 2
    with pytest.raises(EpisodeError, match=r"wanted numbers up to 1e\+100, got 1e\+101 at index 1"):
        Rollouts(what).run(Asked(weights, np.arange(2), None, True))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, lambda x: np.array([x])])
def test_returns_are_sums_in_float64_whatever_the_rewards_are(kind):
    reward = float(np.ravel(kind(0.1))[0])
    episodes = shown(reward=kind(0.1))
    # Not by `sum`, which from Python 3.12 on adds up more precisely.
    sums = np.add.accumulate(np.full(episodes.lengths.max(), reward))
    np.testing.assert_array_equal(episodes.returns, sums[episodes.lengths - 1])


@pytest.mark.parametrize(
    "reward",
    [
        "3", 1 + 0j, np.complex128(1), np.ma.masked, np.zeros(2), b"1", np.timedelta64(1, "s"), np.array(["1"]),
        np.array(np.timedelta64(-6, "ns")), np.array(["2020"], "M8[ns]"), np.array("1", object), np.array([1j]),
    ],
)  # fmt: skip
def test_a_reward_that_is_not_a_number_is_an_error(reward):
    with pytest.raises(EpisodeError, match="TypeError: reward: wanted a number, got"):
        shown(reward=reward)


@pytest.mark.parametrize("reward", [2, True, np.int8(2), np.uint64(2), np.bool_(True), np.array(2)])
def test_rewards_may_be_whole_numbers(reward):
    episodes = shown(reward=reward)
    np.testing.assert_array_equal(episodes.returns, float(reward) * episodes.lengths)


def test_an_infinite_penalty_has_no_floor():
    assert (shown(reward=-np.inf).returns == -np.inf).all()
    what = task(envs.Shows, env_args={"reward": -np.inf}, reward_floor=-1.0)
    with pytest.raises(EpisodeError, match="a reward is -inf, which reward_floor cannot lift"):
        Rollouts(what).run(
            Asked(np.zeros((1, what.network.number_of_parameters)), np.array([3]), None, False)
        )


def test_an_environment_that_cannot_close_does_not_hide_the_error(tmp_path):
    what = task(envs.Shows, env_args={"observation": 0.0, "folder": str(tmp_path)})
    for file in tmp_path.iterdir():
        file.unlink()
    rollouts = Rollouts(what)
    weights = np.zeros((3, what.network.number_of_parameters))
    rollouts._environments(3, print)[0].close()
    with pytest.raises(EpisodeError, match="observation: wanted 2 numbers"):
        rollouts.run(Asked(weights, np.arange(3), None, False))
    with pytest.warns(UserWarning, match=r"close\(\) raised FileNotFoundError"):
        rollouts.close()
    assert not list(tmp_path.iterdir())


def test_an_observation_that_nobody_will_act_on_may_be_anything(rng):
    class Last(envs.Walk):
        def step(self, action):
            observation, reward, done, *rest = super().step(action)
            return None if done else observation, reward, done, *rest

    what = task()
    weights = rng.normal(size=(4, what.network.number_of_parameters))
    wanted = Rollouts(what).run(Asked(weights, np.arange(4), None, True))
    found = Rollouts(task(Last)).run(Asked(weights, np.arange(4), None, True))
    np.testing.assert_array_equal(found.returns, wanted.returns)
    np.testing.assert_equal(found.statistics, wanted.statistics)


VALUES = r"step: wanted five values \(observation, reward, terminated, truncated, info\), got "
PAIR = r"reset: wanted two values \(observation, info\), got "
OLD = [
    ({"step": "four"}, VALUES + "4 values"),
    ({"step": "six"}, VALUES + "(6 values|more values)"),
    ({"step": "none"}, VALUES + "None"),
    ({"step": "one"}, VALUES + "int"),
    ({"reset": "observation"}, PAIR + "one value of type ndarray"),
    ({"reset": "list"}, PAIR + r"2 values \(float, float\)"),
    ({"reset": "three"}, PAIR + r"3 values \(ndarray, dict, dict\)"),
    ({"reset": "none"}, PAIR + "None"),
]


@pytest.mark.parametrize(("args", "message"), OLD)
@pytest.mark.parametrize(
    ("env", "limit"),
    [(envs.Old, None), (envs.Old, 9), ("Old-v0", None), ("OldLimited-v0", None), ("Old-v0", 9)],
)
def test_the_error_says_what_step_and_reset_must_return(env, limit, args, message):
    what = task(env, env_args=args, max_episode_steps=limit)
    weights = np.zeros((3, what.network.number_of_parameters))
    with pytest.raises(EpisodeError, match=f"TypeError: {message}") as caught:
        Rollouts(what).run(Asked(weights, np.array([5, 6, 7]), None, False))
    assert (caught.value.index, caught.value.seed) == (0, 5)
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("env", [envs.Seedless, "Seedless-v0"])
def test_the_error_says_what_reset_must_accept(env):
    what = task(env)
    with pytest.raises(
        EpisodeError, match=r"reset: wanted the arguments seed and options, .*unexpected keyword"
    ):
        Rollouts(what).run(
            Asked(np.zeros((1, what.network.number_of_parameters)), np.array([3]), None, False)
        )


def test_an_error_of_the_environments_own_stays_as_it_is():
    class Unpacks(envs.Walk):
        def step(self, action):
            seen, _, _, _, _ = super().step(action)[:4]
            return seen

        def reset(self, **options):
            if options["seed"] == 1:
                raise TypeError("mine")
            return super().reset(**options)

    for seed, message in ((0, "ValueError: not enough values"), (1, "TypeError: mine")):
        what = task(Unpacks)
        weights = np.zeros((1, what.network.number_of_parameters))
        with pytest.raises(EpisodeError, match=message):
            Rollouts(what).run(Asked(weights, np.array([seed]), None, False))


def ending(terminated, truncated):
    class Ends(envs.Walk):
        def step(self, action):
            return *super().step(action)[:2], terminated, truncated, None

    what = task(Ends)
    weights = np.zeros((2, what.network.number_of_parameters))
    return Rollouts(what).run(Asked(weights, np.arange(2), None, False))


@pytest.mark.parametrize(
    "yes", [True, 1, 1.0, np.True_, np.array(True), np.array([True]), np.int8(1)]
)
@pytest.mark.parametrize("no", [False, 0, np.False_, np.array([False]), np.uint8(0)])
def test_ends_may_be_anything_that_is_true_or_false(yes, no):
    assert ending(yes, no).lengths.tolist() == [1, 1]
    assert ending(no, yes).lengths.tolist() == [1, 1]


@pytest.mark.parametrize("value", [None, {}, "False", np.zeros(2, bool), [], 1j])
@pytest.mark.parametrize("which", ["terminated", "truncated"])
def test_ends_that_are_neither_are_refused(value, which):
    ends = {"terminated": False, "truncated": False} | {which: value}
    with pytest.raises(EpisodeError, match=f"TypeError: {which}: wanted True or False, got .*step"):
        ending(**ends)


@pytest.mark.parametrize("reward", ["3", [1.0], {}])
def test_a_reward_in_a_wrong_place_is_an_error(reward):
    with pytest.raises(EpisodeError, match="TypeError: reward: wanted a number, got"):
        shown(reward=reward)


def test_a_network_that_gives_nan_is_named_by_its_candidate():
    what = task(envs.Shows, env_args={"observation": np.array([1e200, 1e200])})
    what.network.hidden_activation = "relu"
    weights = np.zeros((4, what.network.number_of_parameters))
    weights[2] = 1e200  # whose sums are infinite, and
    weights[2, -5:] = 0.0  # nothing times infinity
    with pytest.raises(
        EpisodeError, match=r"ValueError: action: wanted numbers, got NaN from the network.*seed 12"
    ) as caught:
        Rollouts(what).run(Asked(weights, np.arange(10, 14), None, False))
    assert caught.value.index == 2


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (None, "None from .*lambda.*, which has no reset, step"),
        (5, "5 from .*lambda"),
        (envs.Walk, "which is a class"),
        (envs.Ducks, "which is a class"),
        (gymnasium.vector.SyncVectorEnv([envs.Walk]), "which steps several environments at a time"),
    ],
    ids=str,
)
def test_a_function_that_returns_no_environment_is_named(made, reason):
    with pytest.raises(
        TypeError, match=rf"env: wanted a function that returns a gymnasium\.Env, got .*{reason}"
    ):
        make_env(lambda: made, {}, None)


def wrapped(*limits):
    """Return a walk of at least 40 steps with Gymnasium's limits and another wrapper between them."""
    env = envs.Walk(steps=80)
    for limit in limits:
        env = gymnasium.wrappers.OrderEnforcing(gymnasium.wrappers.TimeLimit(env, limit))
    return env


@pytest.mark.parametrize("limits", [(), (7,), (30,), (5, 8), (12, 3)])
@pytest.mark.parametrize("outermost", [False, True])
def test_max_episode_steps_replaces_limits_as_for_an_id(limits, outermost):
    def makes():
        env = wrapped(*limits)
        return gymnasium.wrappers.TimeLimit(env, 6) if outermost else env

    what = task(makes, max_episode_steps=10)
    weights = np.zeros((2, what.network.number_of_parameters))
    assert Rollouts(what).run(Asked(weights, np.arange(2), None, False)).lengths.tolist() == [
        10,
        10,
    ]
    own = min([*limits, *([6] if outermost else [])], default=None)
    lengths = Rollouts(task(makes)).run(Asked(weights, np.arange(2), None, False)).lengths
    assert own is None or lengths.tolist() == [own, own]


def test_max_episode_steps_of_registered_environments_made_by_a_function():
    for env in ("Pendulum-v1", lambda: gymnasium.make("Pendulum-v1")):
        what = task(env, max_episode_steps=205)  # beyond the registered 200
        weights = np.zeros((1, what.network.number_of_parameters))
        assert Rollouts(what).run(Asked(weights, np.arange(1), None, False)).lengths.tolist() == [
            205
        ]


def test_environments_of_other_packages_are_accepted():
    plain = task(envs.Walk, max_episode_steps=5)
    weights = np.ones((3, plain.network.number_of_parameters))
    ducks = Rollouts(task(envs.Ducks, max_episode_steps=5))
    for _ in range(2):
        wanted = Rollouts(plain).run(Asked(weights, np.arange(3), None, False))
        found = ducks.run(Asked(weights, np.arange(3), None, False))
        np.testing.assert_array_equal(found.returns, wanted.returns)
        assert found.lengths.tolist() == [5, 5, 5]


@pytest.mark.parametrize("space", [gymnasium.spaces.Box(-0.1, 0.3, (1,), np.float64),
                                   gymnasium.spaces.Box(-1.0, 2.0, ()), gymnasium.spaces.Discrete(3, start=-2),
                                   gymnasium.spaces.Box(-0.1, 0.7, (2, 2), np.float16)])  # fmt: skip
def test_environments_get_and_keep_actions_like_samples(space):
    kept = []

    class Keeps(envs.Walk):
        def __init__(self):
            super().__init__()
            self.action_space = space

        def step(self, action):
            assert type(action) is type(space.sample())
            assert action.dtype == space.dtype
            assert np.shape(action) == space.shape
            assert space.contains(action)
            kept.append((action, np.array(action)))
            return super().step(np.zeros(1, np.float32))

    what = task(Keeps)
    weights = np.random.default_rng(0).normal(size=(4, what.network.number_of_parameters))
    Rollouts(what).run(Asked(100 * weights, np.arange(4), None, False))
    for action, copy in kept:
        np.testing.assert_array_equal(action, copy)
        if isinstance(action, np.ndarray):
            action[...] = 0


@pytest.mark.parametrize(
    ("env", "id"),
    [
        ("CartPole", "CartPole-v1"),
        ("CartPole-v0", "CartPole-v0"),
        ("envs:ns/Walk", "envs:ns/Walk-v0"),
        ("CartPol", "CartPol"),
        ("nothing:Walk", "nothing:Walk"),
        ("a b!", "a b!"),
    ],
)
def test_an_id_without_a_version_is_the_latest(env, id):
    assert with_version(env) == id
