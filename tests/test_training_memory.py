"""Policies with memory: every engine begins each episode with an empty memory and keeps episodes apart."""

import dataclasses
import pickle
import shutil

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium")
import envs  # noqa: E402

from pepg_fast import RecurrentNetwork  # noqa: E402
from pepg_fast.cli import main  # noqa: E402
from pepg_fast.training import Policy, TrainConfig, score, train  # noqa: E402
from pepg_fast.training.engines import rollouts_of  # noqa: E402
from pepg_fast.training.engines.batched import MOST_SLOTS  # noqa: E402
from pepg_fast.training.normalization import Normalizer  # noqa: E402
from pepg_fast.training.playing import _episode  # noqa: E402
from pepg_fast.training.rollouts import Asked, Task, interface_of, make_env, registered  # noqa: E402

CELLS = ["gru", "lstm", "elman"]
CONFIG = TrainConfig(
    seed=3, max_steps=4, population_size=8, cell="gru", hidden_sizes=(3,), center_every=2, center_episodes=3,
    episodes=2, normalize_observations=True, workers=0, checkpoint_every=1,
)  # fmt: skip


def returns_of(policy, seeds):
    """Return the returns of the simplest loop, with one environment and one policy for all episodes."""
    env, returns = make_env(policy.env_id, policy.env_args, policy.max_episode_steps), []
    for seed in seeds:
        policy.reset()
        observation, _ = env.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total, done = total + reward, terminated or truncated
        returns.append(total)
    return returns


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run and its folder."""
    folder = tmp_path_factory.mktemp("run") / "walk"
    return train("envs:Walk-v0", CONFIG, folder=folder), folder


def same(one, other):
    np.testing.assert_array_equal(one.mu, other.mu)
    for name in ("best", "mean", "center"):
        rows = one.history[name]  # since it was resumed, if it was
        np.testing.assert_array_equal(rows, other.history[name][-len(rows) :])


def test_a_run_does_not_depend_on_who_runs_its_episodes(run):
    same(train("envs:Walk-v0", dataclasses.replace(CONFIG, workers=2)), run[0])


def test_a_resumed_run_has_the_files_of_an_uninterrupted_one(run, tmp_path):
    train("envs:Walk-v0", dataclasses.replace(CONFIG, max_steps=2), folder=tmp_path / "r")
    same(train("envs:Walk-v0", CONFIG, folder=tmp_path / "r", resume=True), run[0])
    with pytest.raises(
        ValueError, match=r"cannot change these settings: cell is 'lstm' \(it was 'gru'\)"
    ):
        other = dataclasses.replace(CONFIG, cell="lstm")
        train("envs:Walk-v0", other, folder=tmp_path / "r", resume=True)


def test_policies_score_and_play_what_a_loop_finds(run, capsys):
    result, folder = run
    policy = Policy.load(folder / "policy.npz")
    assert isinstance(policy.network, RecurrentNetwork)
    assert (policy.network.cell, policy.network.hidden_size) == ("gru", 3)
    wanted = returns_of(policy, range(5))
    assert wanted == returns_of(pickle.loads(pickle.dumps(result.policy)), range(5))
    policy(np.ones(2))  # something to forget
    np.testing.assert_array_equal(score(policy, episodes=5, seed=0, workers=0).returns, wanted)
    np.testing.assert_array_equal(score(policy, episodes=5, seed=0, workers=2).returns, wanted)
    env = make_env(policy.env_id, {}, None)
    shown = [_episode(env, policy, seed, None)[0] for seed in range(5)]
    assert shown == wanted
    assert main(["evaluate", str(folder), "--episodes", "5", "--workers", "0"]) == 0
    assert f"{np.mean(wanted):.2f}" in capsys.readouterr().out


def test_an_observation_that_is_refused_is_not_remembered(run):
    policies = [run[0].policy, pickle.loads(pickle.dumps(run[0].policy))]
    for policy in policies:
        policy.reset()
        policy(np.array([0.5, 1.0]))
    with pytest.raises(ValueError, match="observation: wanted 2 numbers"):
        policies[0](np.ones(3))
    np.testing.assert_array_equal(*(policy(np.array([0.1, 0.2])) for policy in policies))


def test_from_the_command_line_and_a_networks_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [
        "--max-steps",
        "1",
        "--population-size",
        "4",
        "--workers",
        "0",
        "--seed",
        "1",
        "--center-every",
        "0",
    ]
    assert main(["train", "envs:Walk-v0", "--cell", "lstm", *arguments]) == 0
    config = (tmp_path / "runs" / "envs-Walk-v0" / "config.toml").read_text()
    assert 'cell = "lstm"' in config
    assert "hidden_sizes = [\n    16,\n]" in config
    network = RecurrentNetwork(2, 1, 4, "elman", "tanh")
    network.weights = np.linspace(-1, 1, network.number_of_parameters)
    network.save_network("walk.npz")
    policy = Policy.load("walk.npz", env="envs:Walk-v0")
    capsys.readouterr()
    command = [
        "evaluate",
        "envs:Walk-v0",
        "--network",
        "walk.npz",
        "--episodes",
        "4",
        "--workers",
        "0",
    ]
    assert main(command) == 0
    assert f"{np.mean(returns_of(policy, range(4))):.2f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "rnn"}, "cell: wanted 'none', 'elman', 'gru' or 'lstm', got 'rnn'"),
        ({"hidden_sizes": (16, 16)}, r"hidden_sizes: wanted one number of units with cell='gru'.*got \(16, 16\)"),
        ({"hidden_sizes": ()}, r"hidden_sizes: wanted one number of units with cell='gru'.*got \(\)"),
        ({"activation": "relu"}, "activation: wanted 'tanh' .*with cell='gru', got 'relu'"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_with_a_cell(arguments, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**{"cell": "gru"} | arguments)


def test_widths_are_those_of_a_cell_by_default():
    assert TrainConfig().hidden_sizes == (16, 16)
    assert TrainConfig(cell="gru").hidden_sizes == (16,)


# ---- engines ----------------------------------------------------------------------------------------------------

NORMALIZER = {size: Normalizer(np.full(size, 0.01), np.full(size, 2.0), 3.0) for size in (2, 4)}


def asked(env, engine, cell, rng, rows, episodes, **changes):
    """Return a task for policies with memory, and a request for episodes, some of which fail."""
    args, name = changes.pop("env_args", {}), env if callable(env) else registered(env)
    interface, _ = interface_of(name, args, None, True)
    network = RecurrentNetwork(interface.observation_size, interface.output_size, 6, cell)
    what = Task(name, args, None, network, interface, engine=engine, on_failure="worst", **changes)
    weights = rng.normal(size=(rows, network.number_of_parameters))
    weights[[3, rows - 1]] = np.nan
    seeds = rng.integers(2**31, size=(rows, episodes))
    return what, Asked(weights, seeds, NORMALIZER[interface.observation_size], True)


def alike(what, wanted, env=None, **more):
    """Check that an engine has the same episodes as the simplest engine, in the same environment or in `env`."""
    simple = dataclasses.replace(what, engine="gymnasium", env=env or what.env)
    plain = rollouts_of(simple).run_all(wanted)
    assert np.isnan(plain.returns).any()
    assert len(set(plain.lengths)) > 3
    fast = rollouts_of(what, **more)
    for _ in range(2):  # and whatever ran there before
        found = fast.run_all(wanted)
        np.testing.assert_array_equal(found.returns, plain.returns)
        np.testing.assert_array_equal(found.lengths, plain.lengths)
    few = rollouts_of(what, **more).run_all(wanted.some(slice(1, 3)))
    n = few.returns.size
    np.testing.assert_array_equal(few.returns, plain.returns[n // 2 : n // 2 + n])


@pytest.mark.parametrize("cell", CELLS)
def test_a_slot_that_takes_the_next_episode_forgets_the_last(cell, rng):
    pytest.importorskip("mujoco", minversion="4")
    args = {"reset_noise_scale": 0.1}
    alike(
        *asked("InvertedPendulum-v5", "mujoco", cell, rng, MOST_SLOTS, 2, env_args=args), threads=2
    )


def pair_of_walks():
    return gymnasium.vector.SyncVectorEnv([envs.Walk] * 2)


def test_in_vector_environments(rng):
    what, wanted = asked(envs.Walk, "vector", "gru", rng, 8, 2)
    alike(dataclasses.replace(what, env=pair_of_walks), wanted, envs.Walk)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("cell", CELLS)
def test_a_run_in_a_simulation_has_the_bits_of_one_in_python(cell, tmp_path):
    import ctypes

    from native_library import built
    from test_training_native import ACTIONS, Twin, simulation

    library = ctypes.CDLL(str(built("walk", tmp_path)))
    told, space = ACTIONS["box"]
    for hidden in (3, 12):
        config = dataclasses.replace(CONFIG, cell=cell, hidden_sizes=(hidden,))
        wanted = train(lambda: Twin(library, space), config)
        for workers in (1, 3):
            native = dataclasses.replace(config, workers=workers)
            same(train(simulation(library, **told), native), wanted)
