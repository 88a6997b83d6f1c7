"""Settings that change over a run, generations of several populations, and a start from another run's policy."""

import dataclasses

import envs
import numpy as np
import pytest

pytest.importorskip("gymnasium")
pytest.importorskip("loky")

from pepg_fast import PEPG, History, LowRankPEPG
from pepg_fast.storage import checkpoints
from pepg_fast.training import TrainConfig, ramps, train
from pepg_fast.training import config as configs
from pepg_fast.training.run_folder import RunFolder

SMALL = TrainConfig(
    hidden_sizes=(3,), population_size=8, seed=4, workers=0, max_steps=6, center_every=2, center_episodes=2,
    checkpoint_every=1, normalize_observations=True,
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("no_picture")


def changed(**changes) -> TrainConfig:
    return dataclasses.replace(SMALL, **changes)


def assert_same_run(one, other, kind=PEPG) -> None:
    """Check that checkpoints, histories and headers are equal, except for times."""
    states = [checkpoints.to_state(RunFolder(path).load_checkpoint(kind)) for path in (one, other)]
    for state in states:
        state["extra"]["training"].pop("seconds")
    np.testing.assert_equal(*states)
    rows = [dict(History.read_csv(path / "history.csv")) for path in (one, other)]
    for columns in rows:
        columns.pop("seconds")
    np.testing.assert_equal(*rows)
    heads = [
        [line for line in (path / "history.csv").read_text().splitlines() if line.startswith("#")]
        for path in (one, other)
    ]
    assert heads[0] == heads[1]


# ---- ramps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [(0.5, 0.5), ("0.5", 0.5), ("0.03:0.01", (0.03, 0.01)), ([1, 0.5], (1.0, 0.5)), ((1, 2), (1.0, 2.0))],
)  # fmt: skip
def test_a_ramp_is_a_pair_or_a_small_text(given, kept, tmp_path):
    config = TrainConfig(mu_lr=given, max_interactions=10)
    assert config.mu_lr == kept
    configs.write_toml(tmp_path / "c.toml", "Walk-v0", config)
    again = configs.read_toml(tmp_path / "c.toml")
    again.pop("env_id")
    assert TrainConfig(**again) == config


@pytest.mark.parametrize(
    ("share", "number"), [(0.0, 1.0), (0.25, 0.8), (1.0, 0.2), (0.5, pytest.approx(0.6))]
)
def test_a_ramp_is_a_line(share, number):
    assert ramps.at((1.0, 0.2), share) == number
    assert ramps.at(0.7, share) == 0.7
    assert ramps.at((10, 20), share) == round(10 + 10 * share)


SPAN = {"max_interactions": 1000}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mu_lr": (0.1, 0.01)}, "mu_lr: wanted max_interactions or schedule_interactions with"),
        (SPAN | {"mu_lr": (0.1, 0.0)}, "mu_lr: wanted a number above 0, got 0"),
        (SPAN | {"mu_lr": (0.1, 0.1, 0.1)}, "mu_lr: wanted one number, or two as in 0.03:0.01"),
        (SPAN | {"mu_lr": "fast:slow"}, "mu_lr: wanted a number, or two as in 0.03:0.01, got 'fast:slow'"),
        (SPAN | {"sigma_init": (0.1, 0.01)}, "sigma_init: wanted sigma_lr=0 with"),
        (SPAN | {"max_episode_steps": (20, 20)}, "max_episode_steps: wanted episodes that grow"),
        ({"top": 2}, "top: wanted fitness_shaping='top' with it, got 'centered'"),
        ({"top": 33, "fitness_shaping": "top"}, "top: wanted at most the 32 pairs"),
        ({"max_population": 128}, "max_population: wanted interactions_per_generation with it"),
        ({"max_population": 32, "interactions_per_generation": 9}, "max_population: wanted at least"),
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_make_no_sense_are_reported(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**changes)


RAMPED = changed(
    mu_lr=(0.2, 0.02), sigma_init=(0.3, 0.1), sigma_lr=0.0, reward_shift=(-1.0, 0.0), max_episode_steps=(5, 25),
    schedule_interactions=600,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:even with 64 episodes")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rank": 1, "sigma_lr": 0.2},
        {"interactions_per_generation": 150},
        {"interactions_per_generation": 300, "episodes": "auto"},
    ],
)
def test_a_run_with_ramps_continues_with_the_same_bits(changes, tmp_path):
    config = dataclasses.replace(RAMPED, **changes)
    train("Walk-v0", config, folder=tmp_path / "uncut")
    for steps in (3, 6):
        half = dataclasses.replace(config, max_steps=steps)
        train("Walk-v0", half, folder=tmp_path / "cut", resume=steps == 6)
    kind = LowRankPEPG if "rank" in changes else PEPG
    assert_same_run(tmp_path / "uncut", tmp_path / "cut", kind)


def test_each_generation_has_its_numbers():
    seen = []

    def note(es, row):
        seen.append((es.mu_lr, es.optimizer.alpha, es.sigma[0], row["length"], es.interactions))

    train("Walk-v0", dataclasses.replace(RAMPED, max_steps=12), callbacks=note)
    before = 0  # steps at the beginning of each generation
    for mu_lr, alpha, sigma, length, after in seen:
        share = min(before / 600, 1.0)
        assert mu_lr == alpha == pytest.approx(0.2 - 0.18 * share)
        assert sigma == pytest.approx(0.3 - 0.2 * share)
        assert length <= round(5 + 20 * share)
        before = after
    assert seen[0][3] == 5.0  # all of its episodes are cut short
    assert before > 600
    assert seen[-1][:2] == (0.02, 0.02)


def test_a_shift_fades_out_of_the_fitness():
    config = changed(reward_shift=(-100.0, 0.0), schedule_interactions=200, max_steps=8)
    history = train("Walk-v0", config).history
    shifts = (history["mean"] - history["mean_return"]) / history["length"]
    assert shifts[0] == pytest.approx(-100.0, rel=0.1)  # lengths and rewards of candidates differ
    assert (np.diff(np.abs(shifts)) <= 1e-9).all()
    np.testing.assert_array_equal(history["mean"][-2:], history["mean_return"][-2:])


@pytest.mark.parametrize("workers", [0, 2])
def test_the_center_has_whole_episodes(workers):
    config = changed(
        max_episode_steps=(2, 25), schedule_interactions=10**9, max_steps=2, center_every=1, workers=workers,
        center_episodes=3,
    )  # fmt: skip
    result = train("Walk-v0", config)
    np.testing.assert_array_equal(result.history["length"], 2.0)
    per_step = np.diff(result.history["interactions"]) - 8 * 2
    assert (per_step > 3 * 14).all()  # an episode of Walk has 15 to 30 steps
    assert result.policy.max_episode_steps == 25


@pytest.mark.parametrize("engine", ["gymnasium", "vector"])
def test_growing_episodes_are_the_same_in_every_engine(engine):
    config = changed(
        max_episode_steps=(4, 12), schedule_interactions=300, engine=engine, center_every=0
    )
    reference = train("Walk-v0", dataclasses.replace(config, engine="gymnasium"))
    np.testing.assert_array_equal(train("Walk-v0", config).mu, reference.mu)


def test_a_resumed_run_changes_a_rate_to_a_number_alone(tmp_path):
    config = dataclasses.replace(RAMPED, max_steps=3)
    train("Walk-v0", config, folder=tmp_path / "run")
    more = dataclasses.replace(config, max_steps=4, mu_lr=(0.5, 0.1))
    with pytest.raises(ValueError, match="mu_lr: wanted one number for a resumed run"):
        train(None, more, folder=tmp_path / "run", resume=True, change=["mu_lr"])
    more = dataclasses.replace(config, max_steps=4, mu_lr=0.5)
    train(None, more, folder=tmp_path / "run", resume=True, change=["mu_lr"])
    assert RunFolder(tmp_path / "run").load_checkpoint().optimizer.alpha == 0.5
    assert "# mu_lr: 0.5" in (tmp_path / "run" / "history.csv").read_text()


def test_a_ramp_lasts_as_long_as_when_the_run_began(tmp_path):
    config = changed(mu_lr=(0.2, 0.1), max_steps=None, max_interactions=400)
    train("Walk-v0", config, folder=tmp_path / "run")
    train(None, folder=tmp_path / "run", resume=True)  # nothing is left to do
    longer = dataclasses.replace(config, max_interactions=800)
    train(None, longer, folder=tmp_path / "run", resume=True)
    es = RunFolder(tmp_path / "run").load_checkpoint()
    assert es.interactions >= 800
    assert es.mu_lr == 0.1
    assert configs.read_toml(tmp_path / "run" / "config.toml")["schedule_interactions"] == 400


# ---- generations of several populations -------------------------------------------------------------------------


def test_a_generation_has_its_steps_or_its_most_candidates():
    config = changed(
        interactions_per_generation=1000, max_population=24, center_every=0, max_steps=2
    )
    result = train("Walk-v0", config)
    assert (result.step, result.evaluations) == (2, 48)
    config = changed(interactions_per_generation=300, center_every=0, max_steps=2)
    history = train("Walk-v0", config).history
    assert (np.diff(np.append(0, history["interactions"])) >= 300).all()
    assert (history["evaluations"] > 8).all()
    np.testing.assert_allclose(  # the row is that of all populations
        history["length"] * np.diff(np.append(0, history["evaluations"])),
        np.diff(np.append(0, history["interactions"])),
    )
    np.testing.assert_allclose(history["mean"], history["mean_return"])


@pytest.mark.parametrize("seeds", ["pair", "generation"])
@pytest.mark.parametrize("more", range(1, 6))
def test_a_run_that_ended_within_a_generation_continues_it(more, seeds, tmp_path):
    config = changed(interactions_per_generation=500, episode_seeds=seeds, max_steps=2)
    train("Walk-v0", config, folder=tmp_path / "uncut")
    for evaluations in (8 * more, 10**6):
        part = dataclasses.replace(config, max_evaluations=evaluations)
        train("Walk-v0", part, folder=tmp_path / "cut", resume=evaluations > 100)
    assert_same_run(tmp_path / "uncut", tmp_path / "cut")


def test_populations_of_a_generation_have_episodes_of_their_own():
    def run(**changes):
        config = changed(
            sigma_init=1e-12, mu_lr=1e-12, sigma_lr=0.0, center_every=0, max_steps=1, **changes
        )
        return train("Walk-v0", config).history

    one = run()
    two = run(interactions_per_generation=400, max_population=16)
    assert two["evaluations"][0] == 16
    assert two["mean_return"][0] != pytest.approx(one["mean_return"][0])
    same = run(interactions_per_generation=400, max_population=16, episode_seeds="generation")
    assert same["best"][0] == pytest.approx(same["worst"][0], rel=1e-6)


# ---- the best pairs, no bias, a start from another policy -------------------------------------------------------


def test_a_policy_without_bias_and_the_best_pairs(tmp_path):
    config = changed(
        hidden_sizes=(), bias=False, fitness_shaping="top", top=2, optimizer="sgd", momentum=0.0
    )
    result = train("Walk-v0", config, folder=tmp_path / "run")
    assert result.mu.shape == (2,)
    assert not result.policy.network.bias
    es = RunFolder(tmp_path / "run").load_checkpoint()
    assert (es.fitness_shaping, es.top) == ("top", 2)
    train(None, changed(**vars(config) | {"max_steps": 7}), folder=tmp_path / "run", resume=True)


def test_a_start_from_another_run_has_its_best_center_and_its_statistics(tmp_path):
    first = train("Walk-v0", SMALL, folder=tmp_path / "first")
    config = changed(start_from=str(tmp_path / "first"), seed=5)
    for steps in (1, 3):
        part = dataclasses.replace(config, max_steps=steps)
        train("Walk-v0", part, folder=tmp_path / "second", resume=steps == 3)
    second = train("Walk-v0", dataclasses.replace(config, max_steps=3), folder=tmp_path / "uncut")
    assert_same_run(tmp_path / "second", tmp_path / "uncut")
    start = train("Walk-v0", dataclasses.replace(config, max_steps=1, mu_lr=1e-300, center_every=1))
    best = first.best_center
    np.testing.assert_array_equal(start.mu, best.network.weights)
    np.testing.assert_allclose(start.policy.normalizer.mean, best.normalizer.mean, rtol=0.1)
    np.testing.assert_allclose(
        start.policy.normalizer.inverse_std, best.normalizer.inverse_std, rtol=0.01
    )
    assert second.step == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_sizes": (4,)}, "start_from: wanted a policy of the same network"),
        ({"bias": False}, "start_from: wanted a policy of the same network"),
        ({"normalize_observations": False}, "start_from: wanted normalize_observations=True"),
        ({"start_from": "nowhere"}, "start_from: wanted a run with a policy"),
    ],
    ids=str,
)
def test_a_policy_that_does_not_fit_is_refused_before_anything_is_written(
    changes, message, tmp_path
):
    train("Walk-v0", changed(max_steps=1), folder=tmp_path / "first")
    config = changed(**{"start_from": str(tmp_path / "first")} | changes)
    with pytest.raises(ValueError, match=message):
        train(envs.Walk, config, folder=tmp_path / "second")
    assert not (tmp_path / "second").exists()
